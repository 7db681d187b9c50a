//! What the bridge answers over HTTP: `/health` and `/metrics`, and on a listener of its own the API ([`api`]). The only
//! room that names axum.
//! It knows nothing by itself: each request becomes a question to the shell, which owns all
//! state. `/health` and `/metrics` ask for no password, so their listener is on loopback unless told otherwise.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::health::Health;

pub(crate) mod api;
mod bounded;

pub use api::listen_api;

/// How many questions may wait for the shell; a request that finds the queue full waits itself,
/// and there are no more requests than connections.
pub(crate) const QUEUE: usize = 8;

/// What nobody may hold up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long the shell may take before a request is answered 503.
    pub patience: Duration,
    /// The life of a connection, whatever happens on it.
    pub life: Duration,
    /// How long requests under way may take when the program stops.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { patience: Duration::from_secs(5), life: Duration::from_secs(30), grace: Duration::from_secs(2) }
    }
}

/// What a request wants to know.
#[derive(Debug)]
pub(crate) enum Question {
    /// How the bridge is.
    Health(oneshot::Sender<Health>),
    /// All metrics in the text form of OpenMetrics.
    Metrics(oneshot::Sender<String>),
}

/// What `BRIDGE_LISTEN` or `BRIDGE_API_LISTEN` names cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; free it, or set {setting} to another")]
pub struct ListenError {
    /// The setting that names it.
    pub setting: &'static str,
    /// The address that was asked for.
    pub address: SocketAddr,
    #[source]
    source: io::Error,
}

/// Opens the socket of `/health` and `/metrics`; port 0 takes any free one.
///
/// # Errors
/// The address is taken, or not one of this host.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    open(address, "BRIDGE_LISTEN").await
}

async fn open(address: SocketAddr, setting: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { setting, address, source })
}

/// Answers requests until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    shell: mpsc::Sender<Question>,
    limits: Limits,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let desk = Desk { shell, patience: limits.patience };
    let service = axum::serve(bounded::Bounded::new(listener, limits.life), routes(desk));
    let served = service.with_graceful_shutdown(stop.clone().cancelled_owned());
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(limits.grace).await;
    };
    tokio::select! {
        result = served => Ok(result?),
        () = late => Ok(()),
    }
}

/// Where questions are asked.
#[derive(Debug, Clone)]
struct Desk {
    shell: mpsc::Sender<Question>,
    patience: Duration,
}

impl Desk {
    async fn ask<T>(&self, question: fn(oneshot::Sender<T>) -> Question) -> Option<T> {
        let asked = async {
            let (sender, answer) = oneshot::channel();
            self.shell.send(question(sender)).await.ok()?;
            answer.await.ok()
        };
        tokio::time::timeout(self.patience, asked).await.ok().flatten()
    }
}

fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .with_state(desk)
        .layer(axum::middleware::map_response(one_request_a_connection))
}

/// An idle connection would hold one of the few places.
async fn one_request_a_connection(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn health(State(desk): State<Desk>) -> Response {
    match desk.ask(Question::Health).await {
        Some(health) => {
            let status = if health.works() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, Json(health)).into_response()
        }
        None => no_answer(),
    }
}

async fn metrics(State(desk): State<Desk>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match desk.ask(Question::Metrics).await {
        Some(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        None => no_answer(),
    }
}

async fn unknown(uri: Uri) -> Response {
    error(StatusCode::NOT_FOUND, &format!("there is no {}; try /health or /metrics", uri.path()))
}

async fn not_allowed(method: Method) -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, &format!("{method} is not allowed here; use GET"))
}

fn no_answer() -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, "the bridge does not answer in time")
}

fn error(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

#[cfg(test)]
mod tests;
