//! `radar-bridge`: keeps a fleet's state and history, and relays it to a Registry Radar server.
//!
//! Reading order: [`settings`] says what can be set; `shell` is the one event loop, which
//! feeds the cores and performs their effects: `fleet` decides what a message means for the
//! fleet, `relay` decides what the server is told and when, `commanding` how commands go and
//! end. `store` is the only room with
//! SQL, `upstream` the only HTTP client, `http` the only HTTP server, `control` the socket over which
//! commands are asked for, and a purge; `http::api` is another way to commands. `accounts` is for commands that make accounts at the broker. [`cli`] is what a person types
//! beside the broker, [`radar`] what they type anywhere else.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use radar_link::tasks::Tasks;
use shell::{Inboxes, Shell};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tracing::{info, warn};

mod accounts;
pub mod api_keys;
mod asking;
pub mod cli;
pub mod commanding;
mod control;
pub mod fleet;
pub mod following;
mod health;
mod http;
mod instance;
mod key;
mod metrics;
pub mod radar;
pub mod relay;
mod sentence;
pub mod settings;
mod shell;
pub mod store;
mod text;
mod told;
pub mod upstream;
mod when;

pub use http::{ListenError, listen, listen_api};
pub use settings::Settings;

/// How long the end may take.
const GRACE: Duration = Duration::from_secs(9);

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that the program was built from, where the build says so (`RADAR_COMMIT`).
pub const COMMIT: Option<&str> = option_env!("RADAR_COMMIT");

/// The version and the commit, as `--version` of both programs shows them.
fn version() -> String {
    match COMMIT {
        Some(commit) => format!("{VERSION} ({commit})"),
        None => VERSION.to_owned(),
    }
}

/// Runs the bridge until `shutdown` ends: opens what `BRIDGE_LISTEN` and `BRIDGE_API_LISTEN` name, then
/// [`serve_with_api`].
///
/// # Errors
/// What cannot be opened at the start, or a part of the program that failed. The loss of the
/// broker, the server or the disk is a state, not an error.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    let listener = listen(settings.listen).await?;
    let api = match settings.api_listen {
        Some(address) => Some(listen_api(address).await?),
        None => None,
    };
    serve_with_api(settings, listener, api, shutdown).await
}

/// Runs the bridge until `shutdown` ends, without the HTTP API, on a socket that is open already.
///
/// # Errors
/// As [`run`].
pub async fn serve(
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    serve_with_api(settings, listener, None, shutdown).await
}

/// Runs the bridge until `shutdown` ends, on sockets that are open already; without one for the HTTP API there is none.
///
/// # Errors
/// As [`run`].
pub async fn serve_with_api(
    settings: Settings,
    listener: TcpListener,
    api: Option<TcpListener>,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let (questions, answers) = mpsc::channel(http::QUEUE);
    let (orders, control) = mpsc::channel(control::QUEUE);
    let (api_questions, api_asked) = mpsc::channel(http::api::QUEUE);
    let (committed, commits) = watch::channel(());
    let left = Arc::new(Notify::new());
    let inboxes = Inboxes { questions: answers, control, api: api_asked, left: Arc::clone(&left), committed };
    let shell = Shell::open(&settings, inboxes)?;
    info!("http://{address}/health and http://{address}/metrics");
    if !address.ip().is_loopback() {
        warn!("BRIDGE_LISTEN is {address}: everybody who reaches it can read /health and /metrics, without a password");
    }
    let mut tasks = Tasks::new();
    tasks.spawn("http", http::serve(listener, questions, http::Limits::default(), tasks.stop()));
    match control::Listener::open(&settings.data_dir) {
        Ok(listener) => tasks.spawn("control", control::serve(listener, orders, tasks.stop())),
        Err(error) => warn!("`radar-bridge command` and `purge` cannot be used: {error}"),
    }
    if let Some(listener) = api {
        let parts = http::api::Parts {
            shell: api_questions,
            left,
            committed: commits,
            metrics: shell.api_metrics(),
            database: settings.database().into(),
            keys: settings.api_keys().into(),
        };
        tasks.spawn("api", http::api::run(listener, parts, tasks.stop()));
    }
    tasks.spawn("shell", shell.run(tasks.stop()));
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        ended = tasks.first_end() => ended.map_or(Ok(()), |ended| ended.result),
    };
    let finished = tasks.finish(GRACE).await;
    ended?;
    finished.map_err(|failures| failures.into_iter().next().map_or_else(|| anyhow::anyhow!("stopped"), Into::into))
}
