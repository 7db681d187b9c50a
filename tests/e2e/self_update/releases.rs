//! A server with programs to download, and all that can be wrong with one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use radar_link::jws::{Hasher, SigningKey, sign_digest};
use radar_tests::certificates::Certificates;
use radar_wire::command::Program;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How a program is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// At once.
    Straight,
    /// After some redirects, in chunks.
    Redirected,
    /// Not at all.
    Missing,
    /// It is always elsewhere.
    Loop,
    /// It is said to have more bytes than are taken.
    TooLarge,
    /// Its first half, and then nothing.
    Stalled,
}

type Offers = Arc<Mutex<(BTreeMap<String, (Vec<u8>, Way)>, usize)>>;

/// The server; dropping it ends it.
pub(super) struct Releases {
    offers: Offers,
    /// What its addresses begin with.
    base: String,
    _serving: JoinSet<()>,
}

impl Releases {
    pub(super) async fn serve() -> Result<Self> {
        Self::serve_by("http", None).await
    }

    /// Over TLS, with a certificate of this authority.
    pub(super) async fn serve_tls(certificates: &Certificates) -> Result<Self> {
        Self::serve_by("https", Some(certificates.acceptor()?)).await
    }

    async fn serve_by(scheme: &str, tls: Option<TlsAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (base, offers) = (format!("{scheme}://127.0.0.1:{}", listener.local_addr()?.port()), Offers::default());
        let mut serving = JoinSet::new();
        let known = Arc::clone(&offers);
        serving.spawn(async move {
            let mut answering = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (known, tls) = (Arc::clone(&known), tls.clone());
                answering.spawn(async move {
                    let answered = match tls {
                        None => answer(stream, &known).await,
                        // Who does not trust it says nothing more.
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => answer(stream, &known).await,
                            Err(_) => None,
                        },
                    };
                    answered.unwrap_or_default();
                });
            }
        });
        Ok(Self { offers, base, _serving: serving })
    }

    /// Gives a program under a name; its address.
    pub(super) fn put(&self, name: &str, body: &[u8], way: Way) -> String {
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        offers.0.insert(name.to_owned(), (body.to_vec(), way));
        format!("{}/{name}/0", self.base)
    }

    /// The same; what a command says of it, signed with this key.
    pub(super) fn offer(&self, key: &SigningKey, name: &str, body: &[u8], way: Way) -> Result<Program> {
        let mut hasher = Hasher::new();
        hasher.update(body);
        let digest = hasher.finish();
        let url = self.put(name, body, way).into();
        Ok(Program { url, sha256: digest.to_string().into(), signature: sign_digest(key, &digest)?.into() })
    }

    /// How many requests came.
    pub(super) fn asked(&self) -> usize {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// A request is `GET /<name>/<how often it was redirected>`.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, offers: &Offers) -> Option<()> {
    let mut request = vec![0; 4096];
    let length = stream.read(&mut request).await.ok()?;
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let (name, count) = request.strip_prefix("GET /")?.split(' ').next()?.split_once('/')?;
    let count: usize = count.parse().ok()?;
    let (body, way) = {
        let mut offers = offers.lock().unwrap_or_else(PoisonError::into_inner);
        offers.1 += 1;
        offers.0.get(name)?.clone()
    };
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: /{name}/{}\r\nContent-Length: 0\r\n\r\n", count + 1);
    let sized = |size: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
    let (head, body) = match way {
        Way::Redirected if count < 3 => (redirect, Vec::new()),
        Way::Loop => (redirect, Vec::new()),
        Way::Redirected => {
            let chunks = body
                .chunks(100_000)
                .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            let body = chunks.chain(b"0\r\n\r\n".iter().copied()).collect();
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), body)
        }
        Way::Missing => ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(), Vec::new()),
        Way::TooLarge => (sized(64 * 1024 * 1024 + 1), Vec::new()),
        Way::Straight => (sized(body.len()), body),
        Way::Stalled => (sized(body.len()), body[..body.len() / 2].to_vec()),
    };
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(&body).await.ok()?;
    stream.flush().await.ok()?;
    if way == Way::Stalled {
        // Until the other side has had enough.
        let _ = stream.read(&mut [0]).await;
    }
    stream.shutdown().await.ok()
}
