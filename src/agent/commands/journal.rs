//! Which commands were accepted, and how they ended: what must be on the disk before anything is done, so that none
//! takes effect twice and none ends without a word.

use std::collections::BTreeMap;

use radar_wire::command::Outcome;
use serde::{Deserialize, Serialize};

use super::rules::SKEW;

/// So many commands are remembered at most; each for the minutes in which it could be sent again.
const MOST: usize = 1024;

/// How long an outcome that the broker has not taken is kept after its command has expired, in seconds.
const UNTOLD: i64 = 24 * 60 * 60;

/// A command that was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Until when it could be sent again, in seconds since 1970.
    pub(super) until: i64,
    /// How it ended; none while it is under way.
    pub(super) outcome: Option<Outcome>,
    /// The broker has its end.
    pub(super) told: bool,
}

/// The commands of the last minutes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// By name.
    entries: BTreeMap<Box<str>, Entry>,
    /// The latest time at which a command was accepted, in seconds since 1970. A clock that is behind it was set back,
    /// and would make valid again what was forgotten since.
    latest: i64,
}

impl Journal {
    /// The form in which it is written.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        crate::agent::spool::cbor(self)
    }

    pub(super) fn get(&self, jti: &str) -> Option<&Entry> {
        self.entries.get(jti)
    }

    pub(super) fn get_mut(&mut self, jti: &str) -> Option<&mut Entry> {
        self.entries.get_mut(jti)
    }

    /// Takes note of a command; false when there are too many.
    pub(super) fn accept(&mut self, jti: &str, until: i64, now: i64) -> bool {
        self.forget(now);
        if self.entries.len() >= MOST {
            return false;
        }
        self.latest = self.latest.max(now);
        self.entries.insert(jti.into(), Entry { until, outcome: None, told: false });
        true
    }

    /// The command was not accepted after all.
    pub(super) fn remove(&mut self, jti: &str) {
        self.entries.remove(jti);
    }

    /// The commands in it.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(jti, entry)| (&**jti, entry))
    }

    /// How many seconds the clock is behind a time at which a command was accepted.
    pub(super) fn behind(&self, now: i64) -> i64 {
        self.latest.saturating_sub(now)
    }

    /// Lets go of what is told and cannot be sent again, also by a clock that is behind as much as it may be.
    fn forget(&mut self, now: i64) {
        self.entries.retain(|_, entry| {
            let over = entry.until.saturating_add(SKEW) < now;
            let told = entry.told || entry.until.saturating_add(UNTOLD) < now;
            !(over && told && entry.outcome.is_some())
        });
    }
}
