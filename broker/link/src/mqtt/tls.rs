//! TLS: rustls with ring, whom to trust, who we are.

use std::io;
use std::path::PathBuf;

/// Why TLS cannot be set up. Every text names the setting and the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read or is not PEM.
    #[error("{setting}: cannot use {}: {why}", file.display())]
    File {
        /// The variable that names the file.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system has no certificates to trust.
    #[error("no trusted certificates were found on this system; name a file with them in MQTT_CA_FILE")]
    NoRoots {
        /// What was tried.
        source: Option<io::Error>,
    },
}

/// Makes ring the crypto provider of the whole program, once; a second call does nothing.
/// First thing in `main`, for every TLS client in it.
pub fn install_provider() {
    // An error says that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
