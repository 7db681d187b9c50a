//! `CONNECT` of HTTP/1.1: has a proxy open a way to a host, which it looks up itself, and leaves the stream at its
//! beginning. Nothing else of HTTP, and no socket of its own.
//!
//! rumqttc takes no stream that somebody else has opened; it reaches a proxy through the crate `async-http-proxy`. This
//! one has its name and its two functions, and takes its place (`[patch]` in the workspace's `Cargo.toml`). The
//! original reads a line without a bound, calls an answer with more than 16 headers none, and brings the versions
//! before of two crates that are in the tree.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The most bytes of an answer's head.
pub const HEAD: usize = 8 * 1024;
/// The most lines of it.
const HEADERS: usize = 64;

/// Why there is no way through the proxy. No text has the account in it.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection to the proxy broke.
    #[error("the connection to the proxy broke")]
    Io(#[source] io::Error),
    /// The proxy ended the connection before its answer.
    #[error("the proxy closed the connection without an answer")]
    Closed,
    /// What answers is no HTTP proxy.
    #[error("the answer is not that of an HTTP proxy")]
    Malformed,
    /// More than [`HEAD`] bytes, and no end of the head.
    #[error("the head of the proxy's answer is longer than {HEAD} bytes")]
    TooLong,
    /// The proxy does not open the way: 407, 403 and others.
    #[error("the proxy answers {0}")]
    Status(u16),
}

/// Asks for a way to a host, a name or an address (of IPv6 in brackets), without an account at the proxy. There is no
/// deadline: it is the caller's.
///
/// # Errors
/// A [`HttpError`]; the stream is then of no more use.
pub async fn http_connect_tokio<IO>(io: &mut IO, host: &str, port: u16) -> Result<(), HttpError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    connect(io, host, port, "").await
}

/// The same with an account at the proxy.
///
/// # Errors
/// As for [`http_connect_tokio`].
pub async fn http_connect_tokio_with_basic_auth<IO>(
    io: &mut IO,
    host: &str,
    port: u16,
    username: &str,
    password: &str,
) -> Result<(), HttpError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let account = STANDARD.encode(format!("{username}:{password}"));
    connect(io, host, port, &format!("Proxy-Authorization: Basic {account}\r\n")).await
}

async fn connect<IO>(io: &mut IO, host: &str, port: u16, account: &str) -> Result<(), HttpError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{account}\r\n");
    io.write_all(request.as_bytes()).await.map_err(HttpError::Io)?;
    io.flush().await.map_err(HttpError::Io)?;
    let mut buffer = vec![0; HEAD];
    let mut filled = 0;
    loop {
        let read = io.read(&mut buffer[filled..]).await.map_err(HttpError::Io)?;
        if read == 0 {
            return Err(HttpError::Closed);
        }
        filled += read;
        if let Some((head, status)) = answer(&buffer[..filled])? {
            return match status {
                // The client speaks first in all that goes through here, so what follows is a web page.
                200..=299 if head < filled => Err(HttpError::Malformed),
                200..=299 => Ok(()),
                status => Err(HttpError::Status(status)),
            };
        }
        if filled == HEAD {
            return Err(HttpError::TooLong);
        }
    }
}

/// The length of the head and the status; none while it is not all there.
fn answer(bytes: &[u8]) -> Result<Option<(usize, u16)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => {
            response.code.map(|code| Some((head, code))).ok_or(HttpError::Malformed)
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(HttpError::TooLong),
        Err(_) => Err(HttpError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// What comes of an answer that arrives in pieces, and the request.
    async fn asked(pieces: &[&str], account: Option<(&str, &str)>) -> (Result<(), String>, String) {
        let (mut near, mut far): (DuplexStream, DuplexStream) = duplex(64 * 1024);
        let answering = async {
            let mut request = vec![0; 4096];
            let read = far.read(&mut request).await.unwrap();
            for piece in pieces {
                // The other end may have read enough.
                if far.write_all(piece.as_bytes()).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(far);
            String::from_utf8(request[..read].to_vec()).unwrap()
        };
        let asking = async {
            match account {
                None => http_connect_tokio(&mut near, "broker.example", 443).await,
                Some((name, word)) => {
                    http_connect_tokio_with_basic_auth(&mut near, "broker.example", 443, name, word).await
                }
            }
        };
        let (request, result) = tokio::join!(answering, asking);
        (result.map_err(|error| error.to_string()), request)
    }

    // E9
    #[tokio::test]
    async fn the_host_is_asked_for_by_its_name_with_the_account() {
        let (result, request) = asked(&["HTTP/1.1 200 Connection established\r\n\r\n"], None).await;
        assert_eq!(result, Ok(()));
        assert_eq!(request, "CONNECT broker.example:443 HTTP/1.1\r\nHost: broker.example:443\r\n\r\n");
        let (_, request) = asked(&["HTTP/1.1 200 OK\r\n\r\n"], Some(("me", "pass:word"))).await;
        assert!(request.contains("\r\nProxy-Authorization: Basic bWU6cGFzczp3b3Jk\r\n"), "{request}");
    }

    // E9
    #[tokio::test]
    async fn every_answer_is_told_from_the_others() {
        let many = format!("HTTP/1.1 407 No\r\n{}\r\n", "X-Header: 1\r\n".repeat(40));
        let flood = format!("HTTP/1.1 200 OK\r\n{}", "X-Header: 1\r\n".repeat(65));
        let line = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(2 * HEAD));
        let closed = "the proxy closed the connection without an answer";
        let malformed = "the answer is not that of an HTTP proxy";
        let long = "the head of the proxy's answer is longer than 8192 bytes";
        for (pieces, expect) in [
            (&["HTTP/1.1 20", "0 OK\r\nX: y\r", "\n\r\n"][..], Ok(())),
            (&["HTTP/1.0 200 OK\r\n\r\n"], Ok(())),
            (&[&many], Err("the proxy answers 407")),
            (&["HTTP/1.1 403 Forbidden\r\n\r\n<html>"], Err("the proxy answers 403")),
            (&["HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>"], Err(malformed)),
            (&["<html>"], Err(malformed)),
            (&["SSH-2.0-OpenSSH\r\n"], Err(malformed)),
            (&[], Err(closed)),
            (&["HTTP/1.1 200"], Err(closed)),
            (&[&flood], Err(long)),
            (&[&line], Err(long)),
        ] {
            assert_eq!(asked(pieces, None).await.0, expect.map_err(str::to_owned), "{pieces:?}");
        }
    }
}
