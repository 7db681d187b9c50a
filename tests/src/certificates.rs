//! Certificates for a broker or an engine, and for its clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Version 3 certificates: rustls refuses version 1, which openssl makes without an extension file.
const EXTENSIONS: &str = "\
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
[client]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = clientAuth
";

/// A certificate authority with a server's and a client's certificate, as PEM files valid for two days.
/// Two of them do not trust each other.
#[derive(Debug, Clone)]
pub struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// Makes all of them in an existing directory with the `openssl` command.
    pub fn make(directory: &Path) -> Result<Self> {
        let made = Self { directory: directory.to_owned() };
        fs::write(made.file("extensions"), EXTENSIONS).context("the extensions of the certificates")?;
        for name in ["ca", "server", "client"] {
            made.openssl(&format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"))?;
        }
        made.openssl("req -x509 -new -config extensions -extensions ca -subj /CN=ca -days 2 -key ca.key -out ca.pem")?;
        for name in ["server", "client"] {
            made.openssl(&format!("req -new -config extensions -subj /CN={name} -key {name}.key -out {name}.csr"))?;
            made.openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                 -extfile extensions -extensions {name} -out {name}.pem"
            ))?;
        }
        Ok(made)
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The server's certificate, for `localhost` and `127.0.0.1`.
    pub fn server(&self) -> PathBuf {
        self.file("server.pem")
    }

    /// The server's private key.
    pub fn server_key(&self) -> PathBuf {
        self.file("server.key")
    }

    /// A client's certificate.
    pub fn client(&self) -> PathBuf {
        self.file("client.pem")
    }

    /// The client's private key.
    pub fn client_key(&self) -> PathBuf {
        self.file("client.key")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn openssl(&self, arguments: &str) -> Result<()> {
        let mut command = Command::new("openssl");
        command.current_dir(&self.directory).args(arguments.split_whitespace());
        let output = command.output().context("openssl is needed for certificates")?;
        if !output.status.success() {
            bail!("openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}
