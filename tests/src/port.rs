//! Loopback ports for servers that are stopped and started again. They lie below the range from which
//! the kernel takes ports for outgoing connections: a client that retries while its server is down could
//! otherwise be given the server's own port and connect to itself.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

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
        if TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + offset)).is_ok() {
            return Ok(FIRST + offset);
        }
    }
    bail!("every loopback port from {FIRST} to {} is taken", FIRST + COUNT)
}
