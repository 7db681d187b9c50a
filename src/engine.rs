//! The container engine: the only room that names bollard. It finds the engine, opens its event
//! stream again whenever that ends, asks it for lists and records, and turns its answers into the
//! contract's words. What an answer means for the host is the core's business.

mod address;
pub mod notice;

use std::time::Duration;

use radar_wire::container::ContainerId;

pub use address::{Address, AddressError, Environment};
use notice::Notice;

/// How the engine is reached and read.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// Labels to show beside `org.opencontainers.image.*` and `radar.*`: names, or prefixes that
    /// end with `*`.
    pub labels: Vec<String>,
    /// How long a request may take; 10 s is [`Settings::TIME_OUT`].
    pub time_out: Duration,
}

impl Settings {
    /// How long a request may take unless set.
    pub const TIME_OUT: Duration = Duration::from_secs(10);
}

/// The way to the engine, owned by the shell's event loop; it spawns nothing and works only
/// while [`Engine::next`] is polled.
pub struct Engine;

impl Engine {
    /// Begins to look for the engine. Its events are read from `since` on, inclusive, the
    /// engine's time in nanoseconds; without it from the first answer on.
    #[must_use]
    pub fn start(_settings: Settings, _since: Option<i64>) -> Self {
        Self
    }

    /// The next thing that the engine tells. Cancel-safe.
    pub async fn next(&mut self) -> Notice {
        std::future::pending().await
    }

    /// Asks for a list; exactly one [`Notice::Listed`] or a [`Notice::Down`] follows.
    pub fn list(&mut self, _ticket: u64) {}

    /// Asks for a record; exactly one [`Notice::Inspected`] or a [`Notice::Down`] follows. How
    /// many are asked for at once is bounded by the core that asks.
    pub fn inspect(&mut self, _id: ContainerId) {}
}
