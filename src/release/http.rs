//! One GET of HTTP/1.1, by hand: hyper is in the program for the engine, but as a second client, with other bodies and
//! another way to connect, it would cost ten times what this does.

use std::io;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use radar_link::mqtt::tls;
use radar_link::proxy::{ProxyError, ProxyUrl};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::Address;

/// The most bytes of an answer's head, and of the line before a chunk.
const HEAD: usize = 16 * 1024;
const LINE: usize = 1024;
const HEADERS: usize = 64;
/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("{host}: {why}")]
    Connection { host: Box<str>, why: io::Error },
    #[error("{0}")]
    Proxy(#[source] ProxyError),
    #[error("{0}")]
    Tls(#[source] tls::TlsError),
    #[error("the connection broke: {0}")]
    Broken(#[source] io::Error),
    #[error("the server's answer is not HTTP")]
    Malformed,
    #[error("the server answers {0}")]
    Status(u16),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// After so many bytes.
    Left(u64),
    /// With the connection.
    Close,
    /// Before the line with a chunk's size; after the first it follows the end of a line.
    Size { first: bool },
    /// In a chunk with so many bytes left.
    Chunk(u64),
    /// It is all here.
    Done,
}

/// An answer: where else to ask, or a body.
pub(super) struct Answer {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    location: Option<String>,
    length: Option<u64>,
    body: Body,
}

impl Answer {
    /// Asks for what is at an address, and reads the head of the answer.
    pub(super) async fn to_get(address: &Address, proxy: Option<&ProxyUrl>) -> Result<Self, HttpError> {
        let mut stream = connect(address, proxy).await?;
        let Address { path, .. } = address;
        let host = address.authority();
        let version = crate::VERSION;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: radar-agent/{version}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.map_err(HttpError::Broken)?;
        stream.flush().await.map_err(HttpError::Broken)?;
        let mut buffer = BytesMut::new();
        loop {
            if let Some(head) = Head::read(&buffer)? {
                buffer.advance(head.bytes);
                let (length, location) = (head.length, head.redirect().map(str::to_owned));
                let body = head.body()?;
                return Ok(Self { stream, buffer, location, length, body });
            }
            if buffer.len() > HEAD || fill(&mut stream, &mut buffer).await? == 0 {
                return Err(HttpError::Malformed);
            }
        }
    }

    /// Where the server says that it is.
    pub(super) fn elsewhere(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// The bytes of the body, where the server tells.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next piece of the body; none at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            if let Some(piece) = self.body.take(&mut self.buffer)? {
                return Ok(Some(piece));
            }
            if self.body == Body::Done {
                return Ok(None);
            }
            if fill(&mut self.stream, &mut self.buffer).await? == 0 {
                return match self.body {
                    Body::Close => Ok(None),
                    _ => Err(HttpError::Broken(io::ErrorKind::UnexpectedEof.into())),
                };
            }
        }
    }
}

async fn fill(stream: &mut Box<dyn Stream>, buffer: &mut BytesMut) -> Result<usize, HttpError> {
    buffer.reserve(PIECE);
    match stream.read_buf(buffer).await {
        // Many servers end TLS without a word; what is missing then the length or the hash tells.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        other => other.map_err(HttpError::Broken),
    }
}

async fn connect(address: &Address, proxy: Option<&ProxyUrl>) -> Result<Box<dyn Stream>, HttpError> {
    let refused = |why| HttpError::Connection { host: address.host.clone(), why };
    let stream = match proxy {
        None => TcpStream::connect((&*address.host, address.port)).await.map_err(refused)?,
        Some(proxy) => proxy.connect(&address.host, address.port).await.map_err(HttpError::Proxy)?,
    };
    if !address.tls {
        return Ok(Box::new(stream));
    }
    let config = tls::of_the_system().map_err(HttpError::Tls)?;
    let name = ServerName::try_from(address.host.to_string()).map_err(|_| HttpError::Malformed)?;
    let stream = TlsConnector::from(Arc::clone(&config)).connect(name, stream).await.map_err(refused)?;
    Ok(Box::new(stream))
}

/// What the head of an answer says.
struct Head {
    bytes: usize,
    status: u16,
    location: Option<String>,
    length: Option<u64>,
    coding: Option<String>,
}

impl Head {
    /// None while it is not all there.
    fn read(buffer: &[u8]) -> Result<Option<Self>, HttpError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(bytes) = response.parse(buffer).map_err(|_| HttpError::Malformed)? else {
            return Ok(None);
        };
        let status = response.code.ok_or(HttpError::Malformed)?;
        let header = |name: &str| {
            let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| std::str::from_utf8(header.value).ok()).map(|value| value.trim().to_owned())
        };
        let length = header("content-length").map(|length| length.parse()).transpose();
        let length = length.map_err(|_| HttpError::Malformed)?;
        Ok(Some(Self { bytes, status, location: header("location"), length, coding: header("transfer-encoding") }))
    }

    fn redirect(&self) -> Option<&str> {
        self.location.as_deref().filter(|_| matches!(self.status, 301 | 302 | 303 | 307 | 308))
    }

    fn body(self) -> Result<Body, HttpError> {
        if self.redirect().is_some() {
            return Ok(Body::Done);
        }
        if self.status != 200 {
            return Err(HttpError::Status(self.status));
        }
        match (self.coding, self.length) {
            (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Ok(Body::Size { first: true }),
            (Some(_), _) => Err(HttpError::Malformed),
            (None, Some(0)) => Ok(Body::Done),
            (None, Some(length)) => Ok(Body::Left(length)),
            (None, None) => Ok(Body::Close),
        }
    }
}

impl Body {
    /// The next piece of what is in the buffer; none when there is too little of it, or at the end.
    fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, HttpError> {
        loop {
            match *self {
                Self::Done => return Ok(None),
                Self::Size { first } => {
                    if !first {
                        if buffer.len() < 2 {
                            return Ok(None);
                        }
                        if !buffer.starts_with(b"\r\n") {
                            return Err(HttpError::Malformed);
                        }
                    }
                    let before = if first { 0 } else { 2 };
                    match httparse::parse_chunk_size(&buffer[before..]) {
                        Ok(httparse::Status::Complete((line, size))) => {
                            buffer.advance(before + line);
                            *self = if size == 0 { Self::Done } else { Self::Chunk(size) };
                        }
                        Ok(httparse::Status::Partial) if buffer.len() <= LINE => return Ok(None),
                        _ => return Err(HttpError::Malformed),
                    }
                }
                Self::Left(_) | Self::Chunk(_) | Self::Close if buffer.is_empty() => return Ok(None),
                Self::Close => return Ok(Some(buffer.split().freeze())),
                Self::Left(left) | Self::Chunk(left) => {
                    let size = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let left = left - size as u64;
                    *self = match (*self, left) {
                        (Self::Left(_), 0) => Self::Done,
                        (Self::Left(_), left) => Self::Left(left),
                        (_, 0) => Self::Size { first: false },
                        (_, left) => Self::Chunk(left),
                    };
                    return Ok(Some(buffer.split_to(size).freeze()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a body that arrives in pieces of this size; `…` where more would be read.
    fn read(mut body: Body, text: &str, size: usize) -> Result<String, HttpError> {
        let (mut buffer, mut said) = (BytesMut::new(), String::new());
        for piece in text.as_bytes().chunks(size) {
            buffer.extend_from_slice(piece);
            while let Some(piece) = body.take(&mut buffer)? {
                said.push_str(&String::from_utf8_lossy(&piece));
            }
        }
        Ok(if body == Body::Done { said } else { said + "…" })
    }

    // DM13
    #[test]
    fn a_body_ends_where_its_head_says() {
        let chunks = "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";
        for size in [1, 2, 5, 100] {
            assert_eq!(read(Body::Left(4), "abcdef", size).unwrap(), "abcd");
            assert_eq!(read(Body::Left(9), "abcdef", size).unwrap(), "abcdef…");
            assert_eq!(read(Body::Close, "abcdef", size).unwrap(), "abcdef…");
            assert_eq!(read(Body::Size { first: true }, chunks, size).unwrap(), "abc0123456789");
            assert_eq!(read(Body::Size { first: true }, &chunks[..9], size).unwrap(), "abc…");
            for wrong in ["xyz\r\n", "3\r\nabcd\r\n", "fffffffffffffffff\r\n"] {
                assert!(read(Body::Size { first: true }, wrong, size).is_err(), "{wrong}");
            }
        }
    }

    // DM13
    #[test]
    fn a_head_says_what_follows() {
        let body = |text: &str| {
            let head = Head::read(text.replace('|', "\r\n").as_bytes()).map_err(|error| error.to_string())?;
            head.map(|head| head.body().map_err(|error| error.to_string())).transpose()
        };
        assert_eq!(body("HTTP/1.1 200 OK|Content-Length: 5"), Ok(None));
        for (text, expect) in [
            ("HTTP/1.1 200 OK|content-LENGTH: 5||", Ok(Some(Body::Left(5)))),
            ("HTTP/1.1 200 OK|Transfer-Encoding: chunked|Content-Length: 5||", Ok(Some(Body::Size { first: true }))),
            ("HTTP/1.0 200 OK||", Ok(Some(Body::Close))),
            ("HTTP/1.1 200 OK|Location: /x|Content-Length: 0||", Ok(Some(Body::Done))),
            ("HTTP/1.1 302 Found|Location: /x||", Ok(Some(Body::Done))),
            ("HTTP/1.1 302 Found||", Err("the server answers 302".to_owned())),
            ("HTTP/1.1 404 Not Found||", Err("the server answers 404".to_owned())),
            ("HTTP/1.1 200 OK|Transfer-Encoding: gzip||", Err("the server's answer is not HTTP".to_owned())),
            ("HTTP/1.1 200 OK|Content-Length: -1||", Err("the server's answer is not HTTP".to_owned())),
            ("SSH-2.0-OpenSSH||", Err("the server's answer is not HTTP".to_owned())),
        ] {
            assert_eq!(body(text), expect, "{text}");
        }
    }
}
