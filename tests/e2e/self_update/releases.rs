//! A server with programs to download, and all that can be wrong with one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use radar_link::jws::{Hasher, SigningKey, sign_digest};
use radar_wire::command::Program;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

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
    port: u16,
    _serving: JoinSet<()>,
}

impl Releases {
    pub(super) async fn serve() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (port, offers) = (listener.local_addr()?.port(), Offers::default());
        let mut serving = JoinSet::new();
        let known = Arc::clone(&offers);
        serving.spawn(async move {
            let mut answering = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let known = Arc::clone(&known);
                answering.spawn(async move { answer(stream, &known).await.unwrap_or_default() });
            }
        });
        Ok(Self { offers, port, _serving: serving })
    }

    /// Gives a program under a name; what a command says of it, signed with this key.
    pub(super) fn offer(&self, key: &SigningKey, name: &str, body: &[u8], way: Way) -> Result<Program> {
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        offers.0.insert(name.to_owned(), (body.to_vec(), way));
        let mut hasher = Hasher::new();
        hasher.update(body);
        let digest = hasher.finish();
        let url = format!("http://127.0.0.1:{}/{name}/0", self.port).into();
        Ok(Program { url, sha256: digest.to_string().into(), signature: sign_digest(key, &digest)?.into() })
    }

    /// How many requests came.
    pub(super) fn asked(&self) -> usize {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// A request is `GET /<name>/<how often it was redirected>`.
async fn answer(mut stream: TcpStream, offers: &Offers) -> Option<()> {
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
    if way == Way::Stalled {
        // Until the other side has had enough.
        let _ = stream.read(&mut [0]).await;
    }
    Some(())
}
