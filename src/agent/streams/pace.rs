//! How fast a stream goes: a bucket that fills at the rate, and lets a burst through.

use std::time::Duration;

/// Bytes in a second, and bytes at once.
pub(super) const RATE: u64 = 1024 * 1024;
pub(super) const BURST: u64 = 4 * RATE;

/// What has gone through; times are monotonic.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the bucket would be full again.
    full: Duration,
    /// Since when there was no pause, but something that had to wait.
    held: Option<Duration>,
}

/// What was held back has paused when so much could follow at once; a machine that is busy pauses for less.
const PAUSE: Duration = Duration::from_secs(1);

impl Pace {
    /// So many bytes have gone through; until when nothing may follow.
    pub(super) fn spend(&mut self, bytes: u64, now: Duration) -> Option<Duration> {
        self.full = self.full.max(now) + time(bytes);
        let free = self.full.saturating_sub(time(BURST));
        if free + PAUSE <= now {
            self.held = None;
        }
        (free > now).then(|| {
            self.held.get_or_insert(now);
            free
        })
    }

    /// For how long it holds back.
    pub(super) fn held_for(&self, now: Duration) -> Duration {
        self.held.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}

fn time(bytes: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / RATE)
}
