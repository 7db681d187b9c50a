//! How a life of the agent begins: what is on disk and what the broker retained of an earlier
//! life decide whether the epoch goes on, what is known of the containers, and where the
//! engine's events are read on.

use std::collections::BTreeMap;
use std::time::Duration;

use radar_link::time::Now;
use radar_wire::codec;
use radar_wire::container::Record;
use radar_wire::event::{Action, Event};
use radar_wire::snapshot::Snapshot;
use serde::{Deserialize, Serialize};

use super::commands::journal::Journal;
use super::inventory::Restored;
use super::outbox::Entry;
use super::spool::Spool;
use super::trial::Settled;
use super::update::journal::Journal as Updates;

/// How long the broker is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Epochs of the contract are below.
const NO_EPOCH: u64 = 1 << 53;

/// What an earlier life left on disk.
#[derive(Debug, Default)]
pub struct Kept {
    /// The outbox.
    pub spool: Spool,
    /// The state at a clean stop; none after anything else.
    pub stopped: Option<Snapshot>,
    /// The cursor file.
    pub cursor: Option<Cursor>,
    /// The commands of the last minutes.
    pub commands: Journal,
    /// How a self-update ended.
    pub settled: Option<Settled>,
    /// The updates that were under way.
    pub updates: Updates,
}

/// What the cursor file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The epoch that wrote it.
    pub epoch: u64,
    /// The engine's time in nanoseconds up to which its events were told, or a little earlier.
    pub time: Option<i64>,
    /// The engine's time in nanoseconds of an event that was read; an engine that has lost it started anew since.
    #[serde(default)]
    pub read: Option<i64>,
}

/// The time before the epoch is known.
#[derive(Debug)]
pub struct Opening {
    until: Duration,
    stopped: Option<Snapshot>,
    cursor: Option<Cursor>,
    retained: Option<Snapshot>,
}

/// How a life begins.
#[derive(Debug)]
pub struct Beginning {
    /// The epoch of its events.
    pub epoch: u64,
    /// The last number that is given out.
    pub sequence: u64,
    /// Whether the epoch is that of the life before.
    pub resumed: bool,
    /// What is known of the containers, and the cursor.
    pub restored: Restored,
    /// The engine's time of an event that was read.
    pub read: Option<i64>,
}

impl Opening {
    /// Begins to wait for the broker.
    #[must_use]
    pub fn new(stopped: Option<Snapshot>, cursor: Option<Cursor>, now: Now) -> Self {
        Self { until: now.mono + PATIENCE, stopped, cursor, retained: None }
    }

    /// The own snapshot topic holds this.
    pub fn handle_snapshot(&mut self, payload: &[u8], content_type: Option<&str>) {
        let read: Option<Snapshot> = codec::decode(content_type, payload).ok();
        self.retained = read.filter(|snapshot| snapshot.epoch < NO_EPOCH);
    }

    /// When it goes on without the broker.
    #[must_use]
    pub fn poll_timeout(&self) -> Duration {
        self.until
    }

    /// Begins the life; `entries` are those of the outbox, which a retained snapshot may lack.
    #[must_use]
    pub fn begin<'a>(self, wall: i64, entries: impl Iterator<Item = &'a Entry>) -> Beginning {
        let entries: Vec<&Entry> = entries.collect();
        let read = self.cursor.and_then(|cursor| cursor.read);
        let last = entries.last().map(|entry| (entry.epoch, entry.last));
        let outdone = |stopped: &Snapshot| {
            let of = |snapshot: &Snapshot| (snapshot.epoch, snapshot.sequence);
            // A data directory that was put back from a copy: its numbers were given out already.
            self.retained.as_ref().map(of).max(last) > Some(of(stopped))
        };
        if let Some(stopped) = self.stopped.as_ref().filter(|stopped| !outdone(stopped)) {
            let (epoch, sequence) = (stopped.epoch, stopped.sequence);
            let restored = Restored { records: records(stopped, &[]), cursor: stopped.time };
            return Beginning { epoch, sequence, resumed: true, restored, read };
        }
        let told: Vec<Event> = entries.iter().filter_map(|entry| codec::decode(None, &entry.bytes()).ok()).collect();
        let epochs = [&self.stopped, &self.retained].into_iter().flatten().map(|snapshot| snapshot.epoch);
        let known = epochs.chain(self.cursor.map(|cursor| cursor.epoch)).chain(told.iter().map(|event| event.epoch));
        let clock = u64::try_from(wall).unwrap_or(0);
        let epoch = known.max().map_or(clock, |known| clock.max(known.saturating_add(1))).max(1);
        // Whatever is before the latest of these is at the broker or in the outbox file.
        let retained = self.retained.as_ref().and_then(|retained| retained.time);
        let newest = told.iter().filter_map(|event| event.time).max();
        let cursor = retained.into_iter().chain(self.cursor.and_then(|cursor| cursor.time)).chain(newest).max();
        let records = self.retained.as_ref().and_then(|retained| records(retained, &told));
        Beginning { epoch, sequence: 0, resumed: false, restored: Restored { records, cursor }, read }
    }
}

/// The containers of a snapshot after the events that it does not include. None when it does
/// not say what containers there are.
fn records(snapshot: &Snapshot, told: &[Event]) -> Option<Vec<Record>> {
    if !snapshot.complete && snapshot.containers.is_empty() {
        return None;
    }
    let mut records: BTreeMap<_, _> = snapshot.containers.iter().map(|record| (record.id, record.clone())).collect();
    for event in told.iter().filter(|event| (event.epoch, event.sequence) > (snapshot.epoch, snapshot.sequence)) {
        let Some(id) = event.id else { continue };
        if matches!(event.action, Action::Destroy | Action::Gone) {
            records.remove(&id);
        } else if let Ok(record) = event.set.apply(id, records.get(&id)) {
            records.insert(id, record);
        }
    }
    Some(records.into_values().collect())
}
