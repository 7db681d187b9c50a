//! TLS: rustls with ring, whom to trust, who we are.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use super::Settings;

/// Why TLS cannot be set up. Every text names the setting and the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or does not hold what it should.
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
    NoRoots,
    /// The crypto provider lacks what TLS needs.
    #[error("TLS cannot be used")]
    Provider(#[source] rustls::Error),
}

/// Makes ring the crypto provider of the whole program, once; a second call does nothing.
/// First thing in `main`, for every TLS client in it.
pub fn install_provider() {
    // An error says that a provider is installed already.
    let _ = default_provider().install_default();
}

/// Trusts the system, and shows nothing: for what else is fetched over TLS than messages.
///
/// # Errors
/// The system has no certificates to trust.
pub fn of_the_system() -> Result<Arc<ClientConfig>, TlsError> {
    Ok(Arc::new(trusting(None)?.with_no_client_auth()))
}

/// Trusts `ca_file`, or else the system; shows `cert_file`, if there is one.
pub(super) fn client_config(settings: &Settings) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = trusting(settings.ca_file.as_deref())?;
    let config = match (&settings.cert_file, &settings.key_file) {
        (Some(cert_file), Some(key_file)) => {
            let refused = |why| TlsError::File { setting: "MQTT_CERT_FILE", file: cert_file.clone(), why };
            let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| {
                let why = explain(&error, "a private key");
                TlsError::File { setting: "MQTT_KEY_FILE", file: key_file.clone(), why }
            })?;
            builder
                .with_client_auth_cert(certificates("MQTT_CERT_FILE", cert_file)?, key)
                .map_err(|error| {
                    refused(match error {
                        rustls::Error::InvalidCertificate(error) if format!("{error:?}").contains("UnsupportedCertVersion") => {
                            "it is not of X.509 version 3, as openssl makes it without extensions; make one with deploy/make-ca --client".to_owned()
                        }
                        error => format!("it does not go with {}: {error}", key_file.display()),
                    })
                })?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn trusting(ca_file: Option<&Path>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    Ok(ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?
        .with_root_certificates(roots(ca_file)?))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca_file {
        for certificate in certificates("MQTT_CA_FILE", file)? {
            roots.add(certificate).map_err(|error| TlsError::File {
                setting: "MQTT_CA_FILE",
                file: file.to_owned(),
                why: error.to_string(),
            })?;
        }
    } else {
        // A few unusable certificates in the system's store are usual; an empty one is not.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

fn certificates(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refused = |why| TlsError::File { setting, file: file.to_owned(), why };
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| refused(explain(&error, "a certificate")))?;
    if found.is_empty() { Err(refused("there is no certificate in it".to_owned())) } else { Ok(found) }
}

fn explain(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => "there is no such file".to_owned(),
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => format!("there is no {} in it", what.trim_start_matches("a ")),
        error => format!("it is not {what} in PEM form: {error}"),
    }
}
