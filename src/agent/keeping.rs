//! When the outbox goes to disk. While the broker is away every event is appended; while it is
//! there nothing is written, and the file goes when the broker has all of it. A disk that fails
//! is tried again later, with the whole of what waits.

use std::time::Duration;

use super::outbox::{Name, Outbox};
use super::spool;

/// How long a disk that failed is left alone.
const RETRY: Duration = Duration::from_secs(60);

/// What is to be done with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Add these bytes and sync them.
    Append(Vec<u8>),
    /// Replace the file by these bytes, at once or not at all.
    Replace(Vec<u8>),
    /// Remove the file.
    Remove,
}

/// What is known of the file.
#[derive(Debug)]
pub struct Keeping {
    /// The bytes over which the file is written anew.
    limit: usize,
    /// The newest entry in the file, and the file's size.
    held: Option<(Name, usize)>,
    /// What the file says is no longer how things stand.
    stale: bool,
    failed: Option<Duration>,
}

impl Keeping {
    /// A file that may hold anything, and is brought in line first; of about `bytes` at most.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { limit: bytes.saturating_mul(2).saturating_add(64 * 1024), held: None, stale: true, failed: None }
    }

    /// The connection is gone: what was sent or acknowledged meanwhile stands otherwise in the file.
    pub fn handle_away(&mut self) {
        self.stale |= self.held.is_some();
    }

    /// How the last write went.
    pub fn handle_written(&mut self, went_well: bool, mono: Duration) {
        if !went_well {
            self.failed = Some(mono + RETRY);
            self.stale = true;
        }
    }

    /// When a failed disk is tried again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.failed
    }

    /// Tries a failed disk again when it is time.
    pub fn handle_timeout(&mut self, mono: Duration) {
        self.failed = self.failed.filter(|at| *at > mono);
    }

    /// What is to be done next, with the broker `away` or not.
    pub fn next_write(&mut self, outbox: &Outbox, away: bool) -> Option<Write> {
        if self.failed.is_some() {
            return None;
        }
        if outbox.waiting_after(None).next().is_none() && (self.held.is_some() || self.stale) {
            (self.held, self.stale) = (None, false);
            return Some(Write::Remove);
        }
        if !away {
            let first = outbox.waiting_after(None).next()?.name();
            let (last, _) = self.held?;
            return (first > last).then(|| {
                (self.held, self.stale) = (None, false);
                Write::Remove
            });
        }
        let size = self.held.map_or(0, |(_, size)| size);
        if self.stale || size > self.limit || self.is_overtaken(outbox) {
            return self.replace(outbox);
        }
        let mut bytes = Vec::new();
        let mut last = None;
        for entry in outbox.waiting_after(self.held.map(|(last, _)| last)) {
            spool::write(entry, &mut bytes);
            last = Some(entry.name());
        }
        self.held = Some((last?, size + bytes.len()));
        Some(Write::Append(bytes))
    }

    /// A gap has swallowed entries of the file together with some that it never saw.
    fn is_overtaken(&self, outbox: &Outbox) -> bool {
        let Some((held, _)) = self.held else { return false };
        let next = outbox.waiting_after(Some(held)).next();
        next.is_some_and(|entry| entry.epoch == held.epoch && entry.first <= held.sequence)
    }

    fn replace(&mut self, outbox: &Outbox) -> Option<Write> {
        let mut bytes = Vec::new();
        let mut last = None;
        for entry in outbox.waiting_after(None) {
            spool::write(entry, &mut bytes);
            last = Some(entry.name());
        }
        self.stale = false;
        self.held = Some((last?, bytes.len()));
        Some(Write::Replace(bytes))
    }
}

/// The whole outbox as a file, for a stop: the ring too.
#[must_use]
pub fn everything(outbox: &Outbox) -> Vec<u8> {
    let mut bytes = Vec::new();
    outbox.ring().chain(outbox.waiting_after(None)).for_each(|entry| spool::write(entry, &mut bytes));
    bytes
}
