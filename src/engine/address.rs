//! Where the engine is.

use std::path::PathBuf;

use thiserror::Error;

/// What the environment says of the engine, as it came.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `DOCKER_HOST`: `unix://`, `tcp://`, `http://` or `https://`; none to look for a socket.
    pub host: Option<String>,
    /// `DOCKER_CERT_PATH`: the directory of `ca.pem`, `cert.pem` and `key.pem`.
    pub cert_path: Option<PathBuf>,
    /// `DOCKER_TLS_VERIFY` is set to something.
    pub tls_verify: bool,
    /// `XDG_RUNTIME_DIR`, where rootless engines have their sockets.
    pub runtime_dir: Option<PathBuf>,
}

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address;

/// Why the environment does not say where the engine is; a wrong configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("TBD")]
pub struct AddressError;

impl Address {
    /// Reads the environment's words; opens nothing.
    ///
    /// # Errors
    /// When `DOCKER_HOST` is no address, or TLS is asked for without its files.
    pub fn parse(_environment: Environment) -> Result<Self, AddressError> {
        Ok(Self)
    }
}
