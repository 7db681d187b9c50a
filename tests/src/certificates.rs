//! Certificates for a broker or an engine, and for its clients, as `deploy/make-ca` makes them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// A certificate authority with a server's and a client's certificate, as PEM files. Two of them do not trust each
/// other.
#[derive(Debug, Clone)]
pub struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// Makes all of them in an existing directory: the server's for `localhost` and `127.0.0.1`.
    pub fn make(directory: &Path) -> Result<Self> {
        let made = Self { directory: directory.to_owned() };
        made.call(&["localhost", "127.0.0.1"])?;
        made.call(&["--client", "client"])?;
        Ok(made)
    }

    /// Calls `deploy/make-ca` for this directory.
    pub fn call(&self, arguments: &[&str]) -> Result<()> {
        let output = make_ca(&self.directory, arguments)?;
        ensure!(output.status.success(), "make-ca {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The server's certificate.
    pub fn server(&self) -> PathBuf {
        self.file("server.pem")
    }

    /// The server's private key.
    pub fn server_key(&self) -> PathBuf {
        self.file("server.key")
    }

    /// A client's certificate; its name is `client`.
    pub fn client(&self) -> PathBuf {
        self.file("clients/client.pem")
    }

    /// The client's private key.
    pub fn client_key(&self) -> PathBuf {
        self.file("clients/client.key")
    }

    /// For a server of the test's own, with the server's certificate.
    pub fn acceptor(&self) -> Result<TlsAcceptor> {
        let chain = CertificateDer::pem_file_iter(self.server())?.collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_file(self.server_key())?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain?, key)
            .context("the server's certificate")?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// Runs `deploy/make-ca` for a directory, with options or hosts.
pub fn make_ca(directory: &Path, arguments: &[&str]) -> Result<Output> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/make-ca");
    Command::new(script).arg(directory).args(arguments).output().context("deploy/make-ca does not start")
}
