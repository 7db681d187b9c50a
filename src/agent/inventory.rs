//! What containers there are.

use std::collections::BTreeMap;
use std::time::Duration;

use radar_link::time::Now;
use radar_wire::container::{ContainerId, Record};
use radar_wire::event::Action;
use radar_wire::fields::Fields;
use radar_wire::snapshot::HostFacts;
use radar_wire::status::EngineFacts;

use crate::engine::notice::Notice;

/// What was known before this life of the agent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restored {
    /// The containers of the agent's own retained snapshot; none when there is no such snapshot.
    pub records: Option<Vec<Record>>,
    /// The engine's time up to which its events are told already, in nanoseconds.
    pub cursor: Option<i64>,
}

/// What the inventory asks of its shell, in the order in which it is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the engine for its list.
    List {
        /// Comes back with the answer.
        ticket: u64,
    },
    /// Have the event stream opened anew: containers changed, and it said nothing.
    Reopen,
    /// Ask the engine for a container's record.
    Inspect {
        /// The container.
        id: ContainerId,
    },
    /// Tell this.
    Happened(Change),
    /// Tell that events are lost here.
    Gap {
        /// How many; none when nobody knows.
        missing: Option<u64>,
    },
}

/// Something that happened, still without a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The engine's time in nanoseconds; none for what the engine did not tell.
    pub time: Option<i64>,
    /// What happened.
    pub action: Action,
    /// The container; none where the action is about the engine.
    pub id: Option<ContainerId>,
    /// The container's name after it.
    pub name: Option<Box<str>>,
    /// The fields of the record that changed; all of them for a new container.
    pub set: Fields,
}

/// The containers of one host, as a state machine without I/O.
#[derive(Debug)]
pub struct Inventory {
    records: BTreeMap<ContainerId, Record>,
}

impl Inventory {
    /// An inventory that has not heard of the engine yet; it asks for a list every `interval`.
    #[must_use]
    pub fn new(restored: Restored, _interval: Duration) -> Self {
        let records = restored.records.unwrap_or_default().into_iter().map(|record| (record.id, record)).collect();
        Self { records }
    }

    /// Takes in what the engine told.
    pub fn handle_notice(&mut self, _notice: Notice, _now: Now) {}

    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Now) {}

    /// When something is due, in monotonic time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// What is to be done next; ask until there is nothing.
    pub fn next_effect(&mut self) -> Option<Effect> {
        None
    }

    /// Every container, as the effects handed out so far have it: folding every `set` gives the same.
    #[must_use]
    pub fn records(&self) -> &BTreeMap<ContainerId, Record> {
        &self.records
    }

    /// Whether the records are all that the engine has.
    #[must_use]
    pub fn complete(&self) -> bool {
        false
    }

    /// The engine's time of the last event that was handed out, or the restored one; in nanoseconds.
    #[must_use]
    pub fn cursor(&self) -> Option<i64> {
        None
    }

    /// The engine, once it answered; `answers` says whether it does now.
    #[must_use]
    pub fn engine(&self) -> Option<&EngineFacts> {
        None
    }

    /// The engine's host, once the engine answered.
    #[must_use]
    pub fn host(&self) -> Option<&HostFacts> {
        None
    }

    /// Counts the changes of what a snapshot of this inventory says; equal numbers, equal snapshots.
    #[must_use]
    pub fn revision(&self) -> u64 {
        0
    }
}
