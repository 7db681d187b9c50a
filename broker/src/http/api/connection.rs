//! The API's connections: so many at a time, each with a request that comes in time and a reader who takes what it is
//! told. How long a request may be under way is not limited here: a log is followed for as long as somebody reads.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

use crate::following::MOST;

/// Connections at a time: requests, and as many streams as there may be.
const CONNECTIONS: usize = 64 + MOST;
/// How long a request's head may take to come.
const HEAD: Duration = Duration::from_secs(10);
/// How long a reader may take nothing.
const STALLED: Duration = Duration::from_secs(30);

pub(super) struct Guarded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Guarded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

impl Listener for Guarded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // What is told piece by piece is told at once; without it, it is only later.
        let _ = stream.set_nodelay(true);
        let head = Some((Box::pin(sleep(HEAD)), 0));
        (Connection { stream, head, stalled: None, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that holds its place.
pub(super) struct Connection {
    stream: TcpStream,
    /// Until when the head may come, and how many bytes of the empty line at its end are there.
    head: Option<(Pin<Box<Sleep>>, usize)>,
    /// Since the reader takes nothing: when that is too long.
    stalled: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// How a write went: a reader who takes nothing for too long has gone.
    fn written<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
        if stalled.as_mut().poll(context).is_ready() {
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        } else {
            written
        }
    }
}

/// How many bytes of the empty line that ends a head are there, with these after those of before; none when it is whole.
fn heading(before: usize, bytes: &[u8]) -> Option<usize> {
    const END: &[u8; 4] = b"\r\n\r\n";
    let mut there = before;
    for byte in bytes {
        there = match *byte {
            byte if byte == END[there] => there + 1,
            b'\r' => 1,
            _ => 0,
        };
        if there == END.len() {
            return None;
        }
    }
    Some(there)
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some((late, there)) = &mut self.head {
            match &read {
                Poll::Pending if late.as_mut().poll(context).is_ready() => {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending => {}
                Poll::Ready(_) => match heading(*there, &buffer.filled()[before..]) {
                    Some(now) => *there = now,
                    None => self.head = None,
                },
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.written(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head_is_found_in_whatever_pieces_it_comes() {
        let text = b"GET / HTTP/1.1\r\nHost: x\r\r\n\r\n";
        for cut in 0..text.len() {
            let there = heading(0, &text[..cut]).expect("it is not whole");
            assert_eq!(heading(there, &text[cut..]), None, "{cut}");
        }
        assert_eq!(heading(0, b"a\r\nb\r\n"), Some(2));
    }
}
