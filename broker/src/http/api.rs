//! The HTTP API, `/api/v1`: a listener of its own, on which nothing is told to who shows no key. Every path stands in
//! one table ([`table::ROUTES`]), of which the router and the OpenAPI document are made. What is asked goes to the
//! shell, which owns all state; what is history is read from the store beside it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONNECTION};
use axum::http::{HeaderValue, Method, Uri};
use axum::middleware::{from_fn_with_state, map_response_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, on};
use axum::{Router, serve};
use radar_link::time::Clock;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::asking::{Asked, AskedStream, Followed, stream};
use crate::commanding::{News, Order};
use crate::following::{Kind, MOST};
use crate::metrics::ApiMetrics;
use crate::store::{ReadError, Reader};
use call::Call;
use connection::Guarded;
use problem::Problem;
use route::Route;
use streaming::Place;
use table::ROUTES;

mod actions;
mod agents;
mod auth;
mod call;
mod commands;
mod connection;
mod containers;
mod events;
mod logs;
mod openapi;
mod problem;
mod question;
mod route;
mod stats;
mod streaming;
mod table;
mod usage;

pub(crate) use agents::Agent;
pub(crate) use containers::Host;
pub(crate) use question::Question;

/// What every path begins with.
const BASE: &str = "/api/v1";
/// How many questions may wait for the shell; who finds the queue full waits.
pub(crate) const QUEUE: usize = 16;
/// How long the shell may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long requests under way may take when the program stops.
const GRACE: Duration = Duration::from_secs(2);
/// How a command goes, until somebody reads it; of an agent that says more only the end counts.
const NEWS: usize = 16;

/// What the rest of the program gives it.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// The way to the shell.
    pub shell: mpsc::Sender<Question>,
    /// Notified when a follower goes.
    pub left: Arc<Notify>,
    /// Changes with every transaction.
    pub committed: watch::Receiver<()>,
    /// What is counted.
    pub metrics: ApiMetrics,
    /// The database.
    pub database: Arc<Path>,
    /// The file of the keys.
    pub keys: Arc<Path>,
}

/// Answers requests until `stop`.
pub(crate) async fn run(listener: TcpListener, parts: Parts, stop: CancellationToken) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    info!("http://{address}{BASE}, with a key of `radar-bridge api-key create`");
    if !address.ip().is_loopback() {
        warn!("BRIDGE_API_LISTEN is {address}: keys and what is told go over the network without TLS");
    }
    let (keys, shown) = mpsc::channel(QUEUE);
    let keeper = auth::Keeper::new(&parts.keys).run(shown);
    let api = Api { parts, keys, streams: Arc::new(Semaphore::new(MOST)), clock: Clock::start(), stop: stop.clone() };
    let service = serve(Guarded::new(listener), router(api));
    let served = service.with_graceful_shutdown(stop.clone().cancelled_owned());
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = served => Ok(result?),
        () = late => Ok(()),
        () = keeper => Ok(()),
    }
}

/// What every handler has.
#[derive(Debug, Clone)]
struct Api {
    parts: Parts,
    keys: mpsc::Sender<auth::Shown>,
    streams: Arc<Semaphore>,
    clock: Clock,
    stop: CancellationToken,
}

impl Api {
    /// Asks the shell.
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, Problem> {
        let asked = async {
            let (sender, answer) = oneshot::channel();
            self.parts.shell.send(question(sender)).await.ok()?;
            answer.await.ok()
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await.ok().flatten();
        answer.ok_or_else(|| Problem::trouble("the bridge does not answer in time"))
    }

    /// Reads the store, beside the loop.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Problem> {
        let database = Arc::clone(&self.parts.database);
        let reading = tokio::task::spawn_blocking(move || {
            let reader = Reader::open(&database).map_err(|error| error.to_string())?;
            read(&reader).map_err(|error| error.to_string())
        });
        let read = reading.await.unwrap_or_else(|error| Err(error.to_string()));
        read.map_err(|error| Problem::trouble(&error))
    }

    /// Has the shell make a command of it; its name, and how it goes.
    async fn issue(&self, order: Order) -> Result<(Box<str>, mpsc::Receiver<News>), Problem> {
        let (news, inbox) = mpsc::channel(NEWS);
        let issued = self.ask(|answer| Question::Command(Asked { order, answer, news })).await?;
        Ok((issued.map_err(|refusal| Problem::of_refusal(&refusal))?, inbox))
    }

    /// Takes a place among the streams.
    fn place(&self) -> Result<Place, Problem> {
        let permit = Arc::clone(&self.streams).try_acquire_owned();
        permit.map(|permit| Place::new(permit, &self.parts.metrics)).map_err(|_| Problem::too_many_streams())
    }

    /// Has the shell open a stream.
    async fn follow(&self, order: Order, kind: Kind) -> Result<(Box<str>, Followed), Problem> {
        let (follower, followed) = stream(Arc::clone(&self.parts.left));
        let asked = self.ask(|answer| Question::Follow(AskedStream { order, kind, answer, follower })).await?;
        let issued = asked.ok_or_else(Problem::too_many_streams)?;
        Ok((issued.map_err(|refusal| Problem::of_refusal(&refusal))?, followed))
    }
}

fn router(api: Api) -> Router {
    let routes = ROUTES
        .iter()
        .fold(Router::new(), |router, route| router.route(&format!("{BASE}{}", route.path), endpoint(route)));
    routes
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(api.clone(), auth::authenticate))
        .layer(map_response_with_state(api.clone(), finish))
        .with_state(api)
}

fn endpoint(route: &'static Route) -> MethodRouter<Api> {
    on(route.verb.filter(), move |State(api): State<Api>, request: Request| async move {
        let answered = async { (route.handler)(api, Call::read(route, request).await?).await };
        answered.await.unwrap_or_else(|problem| problem.into_response())
    })
}

/// Counts an answer. An idle connection would hold one of the few places.
async fn finish(State(api): State<Api>, mut response: Response) -> Response {
    api.parts.metrics.answered(response.status().as_u16());
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn unknown(uri: Uri) -> Problem {
    Problem::new(404, "unknown-path", format!("there is no {}; {BASE}/openapi.json has all there is", uri.path()))
}

async fn not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(405, "method", format!("{} does not take {method}", uri.path()))
}

/// `BRIDGE_API_LISTEN` opened; port 0 takes any free one.
///
/// # Errors
/// The address is taken, or not one of this host.
pub async fn listen_api(address: SocketAddr) -> Result<TcpListener, super::ListenError> {
    super::open(address, "BRIDGE_API_LISTEN").await
}

#[cfg(test)]
mod tests;
