//! The event loop: feeds the core with what the broker, the engine and the clock say, performs
//! its effects, and decides nothing.

use std::future::Future;

use radar_link::mqtt::SetupError;

use crate::engine::AddressError;
use crate::settings::Settings;

/// Why the agent did not run, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The engine's address cannot be used.
    #[error("DOCKER_HOST: {0}")]
    Engine(#[source] AddressError),
    /// The broker's settings do not fit together.
    #[error("{0}")]
    Broker(#[source] SetupError),
}

/// Runs the agent until `shutdown` is ready, and then ends it within 10 s.
///
/// Logging and the rustls provider are the caller's business; several agents can run in one
/// process, each with its own `DATA_DIR`.
///
/// # Errors
/// Settings that cannot be used. The loss of the broker or of the engine is not an error.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    drop(settings);
    shutdown.await;
    Ok(())
}
