//! From where the engine's events are read again after a start: what the cursor file holds, and when it is written.

use std::time::Duration;

use super::opening::Cursor;
use super::outbox::Entry;
use super::{Agent, Effect, Life};

/// How often the cursor file is written at most.
const CURSOR_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// How much older than the truth the cursor file is: what a broker lost in its last moments is read again.
const CURSOR_MARGIN: i64 = 60 * 1_000_000_000;

impl Agent {
    /// Writes the file, when it is time.
    pub(super) fn next_cursor(&mut self) -> Option<Effect> {
        let cursor = self.changed_cursor()?;
        let due = self.cursor_timeout().is_some_and(|at| at <= self.now.mono);
        due.then(|| {
            self.cursor_written = Some((self.now.mono, cursor));
            Effect::WriteCursor(cursor)
        })
    }

    /// When it is.
    pub(super) fn cursor_timeout(&self) -> Option<Duration> {
        self.changed_cursor()?;
        let written = self.cursor_written.filter(|(_, written)| written.read == self.engine_read);
        Some(written.map_or(Duration::ZERO, |(at, _)| at + CURSOR_INTERVAL))
    }

    /// What the cursor file should hold, where it holds something else.
    fn changed_cursor(&self) -> Option<Cursor> {
        let Life::Open { epoch, .. } = &self.life else { return None };
        let time = self.read_until()?.saturating_sub(CURSOR_MARGIN);
        let cursor = Cursor { epoch: *epoch, time: Some(time), read: self.engine_read };
        let written = self.cursor_written.map(|(_, written)| written);
        (self.config.on_disk && self.stop.is_none() && written != Some(cursor)).then_some(cursor)
    }

    /// Where an agent that restarts reads on: before the events that wait here.
    pub(super) fn read_until(&self) -> Option<i64> {
        let Life::Open { inventory, .. } = &self.life else { return None };
        let waiting = self.outbox.waiting_after(None).find_map(Entry::time);
        inventory.cursor().map(|time| waiting.map_or(time, |waiting| time.min(waiting - 1)))
    }
}
