//! A website with a release on it, over TLS, and all that can be wrong with one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use radar_tests::certificates::Certificates;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// How a file is given that is not simply given.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// It is not there.
    Missing,
    /// These bytes instead.
    Bytes(Vec<u8>),
    /// The first half of what is announced.
    Cut,
    /// The first half, as if that were all.
    Half,
    /// It is elsewhere.
    Elsewhere(String),
}

type Ways = Arc<Mutex<BTreeMap<String, Way>>>;

/// The server; dropping it ends it.
pub(crate) struct Site {
    room: TempDir,
    port: u16,
    plain: u16,
    ways: Ways,
    _serving: JoinSet<()>,
}

impl Site {
    /// Gives what is in its directory, over TLS, and over HTTP what it redirects there.
    pub(crate) async fn serve() -> Result<Self> {
        let room = tempfile::tempdir_in("/tmp").context("a directory for the site")?;
        let files = room.path().join("files");
        fs::create_dir(&files)?;
        let certificates = Certificates::make(room.path())?;
        let tls = certificates.acceptor()?;
        // For wget, which has no variable for it.
        fs::write(room.path().join("wgetrc"), format!("ca_certificate = {}\n", certificates.ca().display()))?;
        let (plain, listener) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        let (port, plain_port) = (listener.local_addr()?.port(), plain.local_addr()?.port());
        let ways = Ways::default();
        let mut serving = JoinSet::new();
        let known = Arc::clone(&ways);
        serving.spawn(async move {
            let mut answering = JoinSet::new();
            loop {
                let (known, files) = (Arc::clone(&known), files.clone());
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        let tls = tls.clone();
                        answering.spawn(async move {
                            // Who does not trust it says nothing more.
                            let Ok(stream) = tls.accept(stream).await else { return };
                            answer(stream, &files, &known).await.unwrap_or_default();
                        });
                    }
                    Ok((stream, _)) = plain.accept() => {
                        answering.spawn(async move { answer(stream, &files, &known).await.unwrap_or_default() });
                    }
                    else => return,
                }
            }
        });
        Ok(Self { room, port, plain: plain_port, ways, _serving: serving })
    }

    /// What the address of every file begins with.
    pub(crate) fn address(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The same files over plain HTTP.
    pub(crate) fn plain(&self) -> String {
        format!("http://localhost:{}", self.plain)
    }

    /// Where its files are.
    pub(crate) fn files(&self) -> PathBuf {
        self.room.path().join("files")
    }

    /// Whom curl, and by a file of settings wget, is to trust.
    pub(crate) fn trust(&self) -> [(&'static str, PathBuf); 2] {
        [("CURL_CA_BUNDLE", self.room.path().join("ca.pem")), ("WGETRC", self.room.path().join("wgetrc"))]
    }

    /// Gives this file in this way from now on.
    pub(crate) fn give(&self, name: &str, way: Way) {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), way);
    }

    /// Gives this file as it is again.
    pub(crate) fn give_simply(&self, name: &str) {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, files: &Path, ways: &Ways) -> Option<()> {
    let mut request = vec![0; 8192];
    let length = stream.read(&mut request).await.ok()?;
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let name = request.strip_prefix("GET /")?.split(' ').next()?;
    let way = ways.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
    // With a question behind it, it is the same file given in another way.
    let body = fs::read(files.join(name.split('?').next()?)).ok();
    let sized = |body: &[u8]| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let (head, body) = match (way, body) {
        (Some(Way::Bytes(bytes)), _) => (sized(&bytes), bytes),
        (Some(Way::Cut), Some(body)) => (sized(&body), body[..body.len() / 2].to_vec()),
        (Some(Way::Half), Some(body)) => {
            let half = body[..body.len() / 2].to_vec();
            (sized(&half), half)
        }
        (Some(Way::Elsewhere(address)), _) => {
            let head = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close";
            (format!("{head}\r\nLocation: {address}\r\n\r\n"), Vec::new())
        }
        (None, Some(body)) => (sized(&body), body),
        _ => ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(), Vec::new()),
    };
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(&body).await.ok()?;
    stream.flush().await.ok()?;
    stream.shutdown().await.ok()
}
