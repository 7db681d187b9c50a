//! Which commands were accepted, and how they ended: what must be on the disk before anything is done, so that none
//! takes effect twice and none ends without a word.

use std::collections::BTreeMap;

use radar_wire::command::Outcome;
use serde::{Deserialize, Serialize};

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

/// The commands of the last minutes, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Journal(BTreeMap<Box<str>, Entry>);

impl Journal {
    /// A journal as it was written.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        ciborium::de::from_reader_with_recursion_limit(bytes, 32).map_err(|error| error.to_string())
    }

    /// The form in which it is written.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Every part has a CBOR form, and a vector takes all bytes.
        let _ = ciborium::into_writer(self, &mut bytes);
        bytes
    }

    pub(super) fn get(&self, jti: &str) -> Option<&Entry> {
        self.0.get(jti)
    }

    pub(super) fn get_mut(&mut self, jti: &str) -> Option<&mut Entry> {
        self.0.get_mut(jti)
    }

    /// Takes note of a command; false when there are too many.
    pub(super) fn accept(&mut self, jti: &str, until: i64, now: i64) -> bool {
        self.forget(now);
        if self.0.len() >= MOST {
            return false;
        }
        self.0.insert(jti.into(), Entry { until, outcome: None, told: false });
        true
    }

    /// The command was not accepted after all.
    pub(super) fn remove(&mut self, jti: &str) {
        self.0.remove(jti);
    }

    /// The commands in it.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(jti, entry)| (&**jti, entry))
    }

    /// Lets go of what cannot be sent again and is told.
    fn forget(&mut self, now: i64) {
        self.0.retain(|_, entry| {
            let over = entry.until < now;
            let told = entry.told || entry.until.saturating_add(UNTOLD) < now;
            !(over && told && entry.outcome.is_some())
        });
    }
}
