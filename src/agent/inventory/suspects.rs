//! Containers of which the engine's list says something else than their records. Most are only a
//! race between a list and an event, so a suspect must stand for a while without an event that touches it.

use std::collections::BTreeMap;
use std::time::Duration;

use radar_wire::container::{ContainerId, Record};

/// How long a suspicion must stand.
pub(super) const STANDING: Duration = Duration::from_secs(2);

/// How long until the engine is asked again after it could not tell.
const RETRY: Duration = Duration::from_secs(5);

/// How long when it could not tell again and again.
const LATER: Duration = Duration::from_secs(60);

/// How often the engine is asked before its list is all there is.
const TRIES: u8 = 3;

/// The suspects.
#[derive(Debug, Default)]
pub(super) struct Suspects(BTreeMap<ContainerId, Suspect>);

/// One suspect.
#[derive(Debug, Clone)]
pub(super) struct Suspect {
    /// What the list says of it; `None` when it does not have it.
    pub(super) listed: Option<Box<Record>>,
    /// Whether the list contradicts the record; otherwise it is only looked at to be sure.
    pub(super) differs: bool,
    /// Whether events should have told it: the list was not the first since the engine is up.
    pub(super) untold: bool,
    /// When to ask for it; `None` while it is asked for.
    due: Option<Duration>,
    tries: u8,
}

impl Suspects {
    /// Suspects a container, or confirms it.
    pub(super) fn suspect(
        &mut self,
        id: ContainerId,
        listed: Option<Box<Record>>,
        differs: bool,
        untold: bool,
        due: Duration,
    ) {
        let fresh = Suspect { listed: None, differs, untold, due: Some(due), tries: 0 };
        let suspect = self.0.entry(id).or_insert(fresh);
        suspect.listed = listed;
        if differs && !suspect.differs {
            (suspect.differs, suspect.tries) = (true, 0);
            suspect.due = suspect.due.map(|later| later.min(due));
        }
    }

    /// An event speaks for the container.
    pub(super) fn clear(&mut self, id: ContainerId) {
        self.0.remove(&id);
    }

    pub(super) fn clear_all(&mut self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any list contradicts a record.
    pub(super) fn contradict(&self) -> bool {
        self.0.values().any(|suspect| suspect.differs)
    }

    /// A suspect that is due, to be asked for.
    pub(super) fn due(&mut self, now: Duration) -> Option<ContainerId> {
        let is_due = |suspect: &Suspect| suspect.due.is_some_and(|due| due <= now);
        let (id, suspect) = self.0.iter_mut().find(|(_, suspect)| is_due(suspect))?;
        suspect.due = None;
        Some(*id)
    }

    /// When the next suspect is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.0.values().filter_map(|suspect| suspect.due).min()
    }

    /// What the engine told about it comes too early.
    pub(super) fn postpone(&mut self, id: ContainerId, now: Duration) {
        if let Some(suspect) = self.0.get_mut(&id) {
            suspect.due = Some(now + STANDING);
        }
    }

    /// The engine told about it, which ends the suspicion.
    pub(super) fn take(&mut self, id: ContainerId) -> Option<Suspect> {
        self.0.remove(&id)
    }

    /// The engine could not tell. Returns the suspect when its list has to do instead; what only
    /// an inspect tells stays in doubt then.
    pub(super) fn failed(&mut self, id: ContainerId, now: Duration) -> Option<Suspect> {
        let suspect = self.0.get_mut(&id)?;
        suspect.tries = suspect.tries.saturating_add(1);
        suspect.due = Some(now + if suspect.tries < TRIES { RETRY } else { LATER });
        if suspect.tries != TRIES {
            return None;
        }
        if suspect.listed.is_none() {
            return self.0.remove(&id);
        }
        let given_up = suspect.clone();
        (suspect.listed, suspect.differs) = (None, false);
        Some(given_up)
    }
}

/// Whether a list's entry and a record cannot both be true. A list tells the health of running
/// containers only.
pub(super) fn contradicts(listed: &Record, record: &Record) -> bool {
    listed.name != record.name
        || listed.state != record.state
        || (listed.health.is_some() && listed.health != record.health)
        || (listed.image_id.is_some() && listed.image_id != record.image_id)
}

/// The record with what a list tells better.
pub(super) fn corrected(record: &Record, listed: &Record) -> Record {
    Record {
        name: listed.name.clone(),
        state: listed.state.clone(),
        health: listed.health.clone().or_else(|| record.health.clone()),
        ..record.clone()
    }
}
