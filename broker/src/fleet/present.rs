//! An agent's containers as they are: the last complete snapshot as the bytes that came, and the events after it,
//! decoded only when somebody asks. A list that is not complete, or that an engine gave which does not answer, never
//! takes the place of one that was.

use std::collections::BTreeMap;

use ciborium::Value;
use radar_wire::codec::{ContentType, PACK_OVER, decode, encode};
use radar_wire::container::{ContainerId, Record, State};
use radar_wire::event::{Action, Event};
use radar_wire::fields::Fields;
use radar_wire::snapshot::Snapshot;

use super::tracking::Place;

/// Events that are kept beside a small snapshot, in bytes; beside a larger one, as many bytes as it has. Over this
/// they become a part of it.
const TAIL: usize = 4096;

/// A host's containers, as far as they are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The containers, by id.
    pub records: Vec<Record>,
    /// Whether these are all, and the engine answers. If not, they are the last that were known.
    pub complete: bool,
}

/// How many containers a host has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub total: u32,
    /// Those that run.
    pub running: u32,
}

/// What is known of a host's containers and its engine.
#[derive(Debug, Default)]
pub(super) struct Present {
    base: Option<Base>,
    /// By place; all after the base.
    tail: Vec<(Place, Box<[u8]>)>,
    tail_bytes: usize,
    /// The last list was not complete.
    partial: bool,
    engine: Option<bool>,
    /// Where the engine's state was last told.
    engine_place: Place,
    counts: Counts,
    /// Which containers there are and whether they run, made when it is first needed.
    running: Option<Box<[(u64, bool)]>>,
}

#[derive(Debug)]
struct Base {
    place: Place,
    content_type: ContentType,
    bytes: Box<[u8]>,
}

/// The bytes of a snapshot as they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept<'a> {
    pub(super) content_type: ContentType,
    pub(super) bytes: &'a [u8],
}

/// What became of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is older than what is known.
    Stale,
    /// It is not the whole list, so only what it says of the engine counts.
    Partial,
    /// It is what is known.
    Whole,
}

impl Present {
    /// Whether this very snapshot is what is known already.
    pub(super) fn is(&self, payload: &[u8]) -> bool {
        !self.partial && self.base.as_ref().is_some_and(|base| *base.bytes == *payload)
    }

    /// Takes a snapshot; `kept` are its bytes in a compact form.
    pub(super) fn handle_snapshot(&mut self, place: Place, snapshot: &Snapshot, kept: Kept<'_>) -> Taken {
        let newer = self.base.as_ref().is_none_or(|base| base.place <= place);
        if !newer {
            return Taken::Stale;
        }
        if place >= self.engine_place {
            self.engine_place = place;
            self.engine = snapshot.engine.as_ref().map(|engine| engine.answers).or(self.engine);
        }
        self.partial = !snapshot.complete || snapshot.engine.as_ref().is_some_and(|engine| !engine.answers);
        if self.partial {
            return Taken::Partial;
        }
        let Kept { content_type, bytes } = kept;
        self.base = Some(Base { place, content_type, bytes: bytes.into() });
        self.tail.retain(|(at, _)| *at > place);
        self.tail_bytes = self.tail.iter().map(|(_, bytes)| bytes.len()).sum();
        self.tail.shrink_to_fit();
        self.recount(&snapshot.containers);
        if !self.tail.is_empty() {
            self.count_again();
        }
        Taken::Whole
    }

    /// Takes an event; whether it changed what is known. `payload` are its bytes as plain CBOR.
    pub(super) fn handle_event(&mut self, place: Place, event: &Event, payload: &[u8]) -> bool {
        if let Action::EngineLost | Action::EngineBack = event.action {
            if place < self.engine_place {
                return false;
            }
            self.engine_place = place;
            let answers = event.action == Action::EngineBack;
            return self.engine.replace(answers) != Some(answers);
        }
        let Some(id) = self.changes(place, event) else {
            return false;
        };
        let last = self.tail.last().is_none_or(|(before, _)| *before < place);
        if last {
            // Before the event is in the tail, since what is made of both would count it twice.
            self.count(id, ends(event), &event.set);
        }
        if !self.insert(place, payload) {
            return false;
        }
        if !last {
            self.count_again();
        }
        self.fold();
        true
    }

    /// What a status says of the engine.
    pub(super) fn handle_engine(&mut self, answers: bool) -> bool {
        self.engine.replace(answers) != Some(answers)
    }

    /// The containers, decoded; `None` when there never was a complete list.
    pub(super) fn known(&self) -> Option<Known> {
        let base = self.base.as_ref()?;
        let (snapshot, whole) = self.decode(base)?;
        Some(Known { records: snapshot.containers, complete: whole && self.complete() })
    }

    /// Whether the list is all that there is.
    pub(super) fn complete(&self) -> bool {
        self.base.is_some() && !self.partial && self.engine != Some(false)
    }

    /// Whether the engine answers, where that was told.
    pub(super) fn engine(&self) -> Option<bool> {
        self.engine
    }

    /// How many containers there are; `None` when there never was a complete list.
    pub(super) fn counts(&self) -> Option<Counts> {
        self.base.as_ref().map(|_| self.counts)
    }

    /// Takes what was stored, which was valid when it was.
    pub(super) fn restore(place: Place, kept: Kept<'_>, counts: Counts, complete: bool) -> Self {
        let Kept { content_type, bytes } = kept;
        let base = Some(Base { place, content_type, bytes: bytes.into() });
        Self { base, counts, partial: !complete, ..Self::default() }
    }

    /// Takes an event that was stored after the snapshot; what was counted includes it.
    pub(super) fn restore_event(&mut self, place: Place, event: &Event, payload: &[u8]) {
        if self.changes(place, event).is_some() {
            self.insert(place, payload);
            self.fold();
        }
    }

    /// The container that the event changes in what is known; none when it changes nothing, or is included already.
    fn changes(&self, place: Place, event: &Event) -> Option<ContainerId> {
        let after = self.base.as_ref().is_some_and(|base| place > base.place);
        event.id.filter(|_| after && (ends(event) || !event.set.is_empty()))
    }

    fn insert(&mut self, place: Place, payload: &[u8]) -> bool {
        let at = self.tail.partition_point(|(before, _)| *before < place);
        if self.tail.get(at).is_some_and(|(same, _)| *same == place) {
            return false;
        }
        self.tail.insert(at, (place, payload.into()));
        self.tail_bytes += payload.len();
        true
    }

    fn decode(&self, base: &Base) -> Option<(Snapshot, bool)> {
        let mut snapshot: Snapshot = decode(Some(base.content_type.as_str()), &base.bytes).ok()?;
        let mut records: BTreeMap<_, _> =
            std::mem::take(&mut snapshot.containers).into_iter().map(|record| (record.id, record)).collect();
        let mut whole = true;
        for (_, bytes) in &self.tail {
            let Ok(event) = decode::<Event>(None, bytes) else { continue };
            let Some(id) = event.id else { continue };
            if ends(&event) {
                records.remove(&id);
                continue;
            }
            match event.set.apply(id, records.get(&id)) {
                Ok(record) => drop(records.insert(id, record)),
                // What made the container is missing; the next snapshot has it.
                Err(_) => whole = false,
            }
        }
        snapshot.containers = records.into_values().collect();
        Some((snapshot, whole))
    }

    fn fold(&mut self) {
        let Some(base) = &self.base else { return };
        if self.tail_bytes <= TAIL.max(base.bytes.len()) {
            return;
        }
        let (Some((snapshot, whole)), Some(&(place, _))) = (self.decode(base), self.tail.last()) else { return };
        self.recount(&snapshot.containers);
        let Ok(encoded) = encode(&snapshot) else { return };
        self.base = Some(Base { place, content_type: encoded.content_type, bytes: encoded.bytes.into() });
        self.tail = Vec::new();
        self.tail_bytes = 0;
        self.partial |= !whole;
    }

    fn recount(&mut self, records: &[Record]) {
        let mut running: Vec<_> =
            records.iter().map(|record| (key(record.id), record.state == State::Running)).collect();
        running.sort_unstable();
        self.counts = counts(&running);
        self.running = Some(running.into());
    }

    fn count_again(&mut self) {
        if let Some((snapshot, _)) = self.base.as_ref().and_then(|base| self.decode(base)) {
            self.recount(&snapshot.containers);
        }
    }

    fn count(&mut self, id: ContainerId, ends: bool, set: &Fields) {
        let (state, whole) = state_of(set);
        if !ends && state.is_none() {
            return;
        }
        if self.running.is_none() {
            self.count_again();
        }
        let mut running = self.running.take().unwrap_or_default().into_vec();
        let (at, key) = (running.binary_search_by_key(&key(id), |&(key, _)| key), key(id));
        match (at, state) {
            (Ok(at), _) if ends => drop(running.remove(at)),
            (Ok(at), Some(state)) => running[at].1 = state,
            (Err(at), Some(state)) if whole && !ends => running.insert(at, (key, state)),
            _ => {}
        }
        self.counts = counts(&running);
        self.running = Some(running.into());
    }
}

/// The bytes to keep of a snapshot that came as plain CBOR and is large.
pub(super) fn packed(content_type: ContentType, payload: &[u8], snapshot: &Snapshot) -> Option<(ContentType, Vec<u8>)> {
    if content_type == ContentType::CborZlib || payload.len() <= PACK_OVER {
        return None;
    }
    encode(snapshot).ok().map(|encoded| (encoded.content_type, encoded.bytes))
}

/// Whether the container is no more.
fn ends(event: &Event) -> bool {
    matches!(event.action, Action::Destroy | Action::Gone)
}

/// Tells containers of one host apart, for counting.
fn key(id: ContainerId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *id.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn counts(running: &[(u64, bool)]) -> Counts {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Counts { total: number(running.len()), running: number(running.iter().filter(|(_, runs)| *runs).count()) }
}

/// Whether the fields say that the container runs, and whether they are a whole record.
fn state_of(set: &Fields) -> (Option<bool>, bool) {
    let Ok(Value::Map(fields)) = Value::serialized(set) else {
        return (None, false);
    };
    let named = |name: &str| fields.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value);
    let state = named("state").and_then(Value::as_text).map(|state| state == State::Running.as_str());
    (state, named("name").is_some() && named("image").is_some())
}
