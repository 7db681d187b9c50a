//! Which commands were accepted, and how they ended: what must be on the disk before anything is done, so that none
//! takes effect twice and none ends without a word.

use std::collections::BTreeMap;

use radar_wire::command::{Outcome, Progress};
use serde::{Deserialize, Serialize};

use super::rules::SKEW;
use crate::agent::spool;

/// So many commands are remembered at most; each for the minutes in which it could be sent again.
const MOST: usize = 1024;

/// How long an outcome that the broker has not taken is kept after its command has expired, in seconds.
const UNTOLD: i64 = 24 * 60 * 60;

/// Bytes of a result that are kept until it is told, and of all of them: the journal is written as a whole, again and
/// again, and on a card.
const RESULT: usize = 4 * 1024;
const RESULTS: usize = 64 * 1024;

/// A command that was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Until when it could be sent again, in seconds since 1970.
    pub(super) until: i64,
    /// It only reads: what it finds is not kept, since it can be asked for again.
    #[serde(default)]
    pub(super) reads: bool,
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
        spool::cbor(self)
    }

    pub(super) fn get(&self, jti: &str) -> Option<&Entry> {
        self.entries.get(jti)
    }

    pub(super) fn get_mut(&mut self, jti: &str) -> Option<&mut Entry> {
        self.entries.get_mut(jti)
    }

    /// Takes note of a command, which only reads or not; false when there are too many.
    pub(super) fn accept(&mut self, jti: &str, reads: bool, until: i64, now: i64) -> bool {
        self.forget(now);
        if self.entries.len() >= MOST {
            return false;
        }
        self.latest = self.latest.max(now);
        self.entries.insert(jti.into(), Entry { until, reads, outcome: None, told: false });
        true
    }

    /// Takes note of an end. Returns what is told of it from now on when it itself is lost: it, or when its result is not
    /// kept, that.
    pub(super) fn end(&mut self, outcome: &Outcome) -> Option<Outcome> {
        let others = self.entries.iter().filter(|(jti, _)| **jti != outcome.jti);
        let held: usize = others.filter_map(|(_, entry)| entry.outcome.as_ref()).map(result_bytes).sum();
        let entry = self.entries.get_mut(&outcome.jti)?;
        let room = if entry.reads { 0 } else { RESULT.min(RESULTS.saturating_sub(held)) };
        let noted = if result_bytes(outcome) <= room { outcome.clone() } else { without_result(outcome, entry.reads) };
        entry.outcome = Some(noted.clone());
        Some(noted)
    }

    /// The broker has this outcome. Returns whether that is an end, and new; its result is of no use any more.
    pub(super) fn tell(&mut self, outcome: &Outcome) -> bool {
        let is_end = !matches!(outcome.state, Progress::Accepted | Progress::Progress);
        let entry = self.entries.get_mut(&outcome.jti).filter(|entry| is_end && entry.outcome.is_some() && !entry.told);
        let Some(entry) = entry else { return false };
        (entry.told, entry.outcome) = (true, Some(without_result(outcome, false)));
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

/// Bytes of what an outcome has found, in the form in which it is written.
pub(super) fn result_bytes(outcome: &Outcome) -> usize {
    outcome.result.as_ref().map_or(0, |result| spool::cbor(result).len())
}

/// An end whose result is gone. One that was only to find something has not succeeded without it.
fn without_result(outcome: &Outcome, reads: bool) -> Outcome {
    let Outcome { jti, at, state, reason, result } = outcome.clone();
    let (state, why) = match (result, reads) {
        (None, _) => (state, None),
        (Some(_), true) => {
            (Progress::Failed, Some("interrupted: what it found could not be kept until it was told; ask again"))
        }
        (Some(_), false) => (state, Some("not-kept: what it found or did was told before, or was too much to keep")),
    };
    Outcome { jti, at, state, reason: reason.or_else(|| why.map(Into::into)), result: None }
}
