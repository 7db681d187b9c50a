//! The only place that reads clocks. Shells make a [`Now`] and hand it to the cores, which
//! never ask for the time themselves.

use std::future::pending;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub mod utc;

/// One reading of both clocks, taken by a shell and handed to a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// Monotonic time since [`Clock::start`]; for waiting and measuring.
    pub mono: Duration,
    /// Milliseconds since 1970 UTC; for what is shown and stored. Jumps when the host's clock is set.
    pub wall: i64,
}

/// The program's clock; copies share one start.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: tokio::time::Instant,
}

impl Clock {
    /// Starts the monotonic time at zero.
    #[expect(clippy::disallowed_methods, reason = "this is the room that reads clocks")]
    pub fn start() -> Self {
        Self { start: tokio::time::Instant::now() }
    }

    /// Reads both clocks. A wall clock before 1970 reads as 0.
    #[expect(clippy::disallowed_methods, reason = "this is the room that reads clocks")]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Now { mono: self.start.elapsed(), wall: i64::try_from(wall).unwrap_or(i64::MAX) }
    }

    /// Waits until the monotonic time `mono`, or for ever when there is none: the shell's arm
    /// for a core's `poll_timeout`. Cancel-safe.
    pub async fn sleep_until(&self, mono: Option<Duration>) {
        match mono.and_then(|mono| self.start.checked_add(mono)) {
            Some(at) => tokio::time::sleep_until(at).await,
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sleep_ends_at_its_monotonic_time() {
        let clock = Clock::start();
        clock.sleep_until(Some(Duration::from_secs(3))).await;
        assert!(clock.now().mono >= Duration::from_secs(3));
        assert!(clock.now().mono < Duration::from_secs(4));
    }

    #[test]
    fn the_wall_clock_is_in_milliseconds_of_this_century() {
        let wall = Clock::start().now().wall;
        assert!((1_700_000_000_000..10_000_000_000_000).contains(&wall), "{wall}");
    }
}
