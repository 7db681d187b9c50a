//! Where the engine is: read from the environment's words, looked for, and connected to.

use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{ClientVersion, Docker};
use thiserror::Error;
use tokio::net::UnixStream;

use super::failure::text;

/// What the environment says of the engine, as it came.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `DOCKER_HOST`: `unix://`, `tcp://`, `http://` or `https://`; none to look for a socket.
    pub host: Option<String>,
    /// `DOCKER_CERT_PATH`: the directory of `ca.pem`, `cert.pem` and `key.pem`.
    pub cert_path: Option<PathBuf>,
    /// Whether `DOCKER_TLS_VERIFY` is set to something.
    pub tls_verify: bool,
    /// `XDG_RUNTIME_DIR`, where rootless engines have their sockets.
    pub runtime_dir: Option<PathBuf>,
}

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The first of these sockets that answers.
    Sockets(Vec<PathBuf>),
    /// Plain HTTP, `host:port`.
    Http(String),
    /// TLS, `host:port`, with the files of this directory.
    Tls(String, PathBuf),
}

/// Why the environment does not say where the engine is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Not an address, or of a kind that is not spoken.
    #[error("DOCKER_HOST is `{0}`; use unix:///path, tcp://host:port, http://host:port or https://host:port")]
    Host(String),
    /// TLS without the files that it needs.
    #[error("DOCKER_HOST is `{0}` with TLS; set DOCKER_CERT_PATH to the directory of ca.pem, cert.pem and key.pem")]
    CertPath(String),
    /// A file of TLS is missing.
    #[error("DOCKER_CERT_PATH is `{directory}`, but has no {file}")]
    CertFile {
        /// What was given.
        directory: String,
        /// What is missing.
        file: &'static str,
    },
}

impl Address {
    /// Reads the environment's words; connects to nothing. TLS is used when the host begins with
    /// `https://`, or when there are certificates for it.
    ///
    /// # Errors
    /// When `DOCKER_HOST` is no address, or TLS is asked for without its files.
    pub fn parse(environment: Environment) -> Result<Self, AddressError> {
        let Environment { host, cert_path, tls_verify, runtime_dir } = environment;
        let Some(host) = host else {
            return Ok(Self(Place::Sockets(usual_sockets(runtime_dir.as_deref()))));
        };
        let wrong = || AddressError::Host(host.clone());
        let (scheme, rest) = host.split_once("://").ok_or_else(wrong)?;
        if scheme == "unix" {
            return if rest.starts_with('/') { Ok(Self(Place::Sockets(vec![rest.into()]))) } else { Err(wrong()) };
        }
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '@', '?', '#', ' ']) {
            return Err(wrong());
        }
        let tls = match scheme {
            "https" => true,
            "tcp" => tls_verify || cert_path.is_some(),
            "http" => false,
            _ => return Err(wrong()),
        };
        let port = if tls { 2376 } else { 2375 };
        let authority = if has_port(authority) { authority.to_owned() } else { format!("{authority}:{port}") };
        if !tls {
            return Ok(Self(Place::Http(authority)));
        }
        let directory = cert_path.ok_or(AddressError::CertPath(host))?;
        match ["ca.pem", "cert.pem", "key.pem"].into_iter().find(|file| !directory.join(file).is_file()) {
            Some(file) => Err(AddressError::CertFile { directory: directory.display().to_string(), file }),
            None => Ok(Self(Place::Tls(authority, directory))),
        }
    }

    /// A client for whatever answers there. Only of a socket it is known by then that it does.
    ///
    /// # Errors
    /// What was tried and why it failed, and what to do.
    pub(super) async fn connect(&self, time_out: Duration, version: &ClientVersion) -> Result<Docker, String> {
        let seconds = time_out.as_secs().max(1);
        match &self.0 {
            Place::Sockets(paths) => {
                let path = answering(paths).await?;
                let path = path.to_str().ok_or_else(|| format!("the path {} is not text", path.display()))?;
                Docker::connect_with_unix(path, seconds, version).map_err(|error| text(&error))
            }
            Place::Http(authority) => {
                Docker::connect_with_http(authority, seconds, version).map_err(|error| text(&error))
            }
            Place::Tls(authority, directory) => {
                let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map(|file| directory.join(file));
                Docker::connect_with_ssl(authority, &key, &cert, &ca, seconds, version).map_err(|error| text(&error))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Sockets(paths) => match paths.as_slice() {
                [path] => write!(f, "unix://{}", path.display()),
                _ => f.write_str("the usual sockets"),
            },
            Place::Http(authority) => write!(f, "tcp://{authority}"),
            Place::Tls(authority, _) => write!(f, "https://{authority}"),
        }
    }
}

fn has_port(authority: &str) -> bool {
    let behind = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    behind.contains(':')
}

fn usual_sockets(runtime_dir: Option<&Path>) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("/var/run/docker.sock"), PathBuf::from("/run/podman/podman.sock")];
    if let Some(directory) = runtime_dir {
        paths.extend([directory.join("docker.sock"), directory.join("podman/podman.sock")]);
    }
    paths
}

/// The first socket that takes a connection.
async fn answering(paths: &[PathBuf]) -> Result<&Path, String> {
    let mut tried = Vec::new();
    for path in paths {
        match UnixStream::connect(path).await {
            Ok(_) => return Ok(path),
            Err(error) => tried.push((path.as_path(), error)),
        }
    }
    Err(none_answers(&tried))
}

fn none_answers(tried: &[(&Path, io::Error)]) -> String {
    if let Some((path, _)) = tried.iter().find(|(_, error)| error.kind() == io::ErrorKind::PermissionDenied) {
        return not_allowed(path);
    }
    let mut said = String::from(if tried.len() == 1 { "no container engine at" } else { "no container engine; tried" });
    for (number, (path, error)) in tried.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let why = match error.kind() {
            io::ErrorKind::NotFound => "not there".to_owned(),
            io::ErrorKind::ConnectionRefused => "nobody listens".to_owned(),
            _ => error.to_string(),
        };
        // Writing to a String cannot fail.
        let _ = write!(said, "{comma} {} ({why})", path.display());
    }
    said.push_str("; start the engine, mount its socket, or set DOCKER_HOST");
    said
}

fn not_allowed(path: &Path) -> String {
    let group = match std::fs::metadata(path) {
        Ok(metadata) => metadata.gid().to_string(),
        Err(_) => "of the socket".to_owned(),
    };
    format!(
        "not allowed to open {}: run the agent as a member of the group {group} \
         (in Compose `group_add: [\"{group}\"]`, for a service `SupplementaryGroups={group}`), or as root",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(host: &str, cert_path: Option<&Path>) -> String {
        let environment = Environment {
            host: Some(host.to_owned()),
            cert_path: cert_path.map(Path::to_owned),
            ..Environment::default()
        };
        match Address::parse(environment) {
            Ok(address) => address.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn hosts_are_read_as_the_engines_own_tools_read_them() {
        let certs = tempfile::tempdir().unwrap();
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            std::fs::write(certs.path().join(file), "").unwrap();
        }
        let certs = Some(certs.path());
        let table = [
            ("unix:///run/docker.sock", None, "unix:///run/docker.sock"),
            ("tcp://10.0.0.2:2375", None, "tcp://10.0.0.2:2375"),
            ("tcp://pi", None, "tcp://pi:2375"),
            ("tcp://pi/", None, "tcp://pi:2375"),
            ("tcp://[::1]", None, "tcp://[::1]:2375"),
            ("tcp://[::1]:99", None, "tcp://[::1]:99"),
            ("http://pi:80", certs, "tcp://pi:80"),
            ("tcp://pi", certs, "https://pi:2376"),
            ("https://pi:443", certs, "https://pi:443"),
        ];
        for (host, certs, expect) in table {
            assert_eq!(parse(host, certs), expect, "{host}");
        }
    }

    // DM19
    #[test]
    fn what_is_no_address_is_refused_with_its_setting_and_what_to_do() {
        let empty = tempfile::tempdir().unwrap();
        for host in ["pi", "ssh://pi", "tcp://", "tcp://pi/path", "unix://run/docker.sock", "npipe:////./pipe/x", ""] {
            let said = parse(host, None);
            assert!(said.contains("DOCKER_HOST") && said.contains("tcp://host:port"), "{said}");
        }
        assert!(parse("https://pi", None).contains("set DOCKER_CERT_PATH"));
        assert!(parse("tcp://pi", Some(empty.path())).contains("has no ca.pem"));
    }

    // E10
    #[test]
    fn without_a_setting_the_sockets_of_docker_and_podman_are_tried() {
        let Address(Place::Sockets(paths)) =
            Address::parse(Environment { runtime_dir: Some("/run/user/5".into()), ..Environment::default() }).unwrap()
        else {
            panic!("no sockets")
        };
        let paths: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        let own = ["/run/user/5/docker.sock", "/run/user/5/podman/podman.sock"];
        assert_eq!(paths, [&["/var/run/docker.sock", "/run/podman/podman.sock"][..], &own].concat());
    }

    // E4
    #[tokio::test]
    async fn all_that_was_tried_is_told() {
        let room = tempfile::tempdir().unwrap();
        let stale = room.path().join("podman/podman.sock");
        std::fs::create_dir(room.path().join("podman")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
        let missing = room.path().join("docker.sock");

        let said = answering(&[missing.clone(), stale.clone()]).await.unwrap_err();

        assert!(said.contains(&format!("{} (not there)", missing.display())), "{said}");
        assert!(said.contains(&format!("{} (nobody listens)", stale.display())), "{said}");
        assert!(said.contains("DOCKER_HOST"), "{said}");
    }

    #[tokio::test]
    async fn the_first_socket_that_answers_is_taken() {
        let room = tempfile::tempdir().unwrap();
        let there = room.path().join("b.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&there).unwrap();
        let paths = [room.path().join("a.sock"), there.clone()];
        assert_eq!(answering(&paths).await, Ok(there.as_path()));
    }

    // E4
    #[test]
    fn a_socket_that_may_not_be_opened_is_told_with_the_group_to_add() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("docker.sock");
        std::fs::write(&path, "").unwrap();
        let group = std::fs::metadata(&path).unwrap().gid();
        let missing = room.path().join("other.sock");
        let said = none_answers(&[
            (missing.as_path(), io::ErrorKind::NotFound.into()),
            (path.as_path(), io::ErrorKind::PermissionDenied.into()),
        ]);
        assert!(said.contains(&path.display().to_string()), "{said}");
        assert!(said.contains(&format!("group_add: [\"{group}\"]")), "{said}");
    }
}
