//! Loopback ports for servers that are stopped and started again. They lie below the range from which
//! the kernel takes ports for outgoing connections: a client that retries while its server is down could
//! otherwise be given the server's own port and connect to itself.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::{TcpListener, TcpSocket};

use crate::wait::until;

const FIRST: u16 = 15_000;
const COUNT: u16 = 16_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback port on which nothing listens; each call returns another one.
pub fn free() -> Result<u16> {
    // Test processes that run side by side begin far from each other.
    let start = std::process::id().wrapping_mul(61) % u32::from(COUNT);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from((start + step) % u32::from(COUNT)).unwrap_or_default();
        // Not listening, it is in nobody's way; while another test starts a program, that holds a copy of it.
        let socket = TcpSocket::new_v4().context("a socket")?;
        socket.set_reuseaddr(true).context("a socket")?;
        if socket.bind((Ipv4Addr::LOCALHOST, FIRST + offset).into()).is_ok() {
            return Ok(FIRST + offset);
        }
    }
    bail!("every loopback port from {FIRST} to {} is taken", FIRST + COUNT)
}

/// Listens on such a port. Who has listened on it before may have copies for a moment, in programs that other tests start.
pub async fn listen(port: u16) -> Result<TcpListener> {
    until(&format!("port {port}"), Duration::from_secs(5), async || {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => Err(error),
            other => Ok(other),
        }
    })
    .await?
    .with_context(|| format!("cannot listen on port {port}"))
}
