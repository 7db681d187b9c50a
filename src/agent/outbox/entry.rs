//! One event as it waits: its name and the bytes that are published.

use bytes::Bytes;
use radar_wire::codec;
use radar_wire::event::{Action, Event};
use radar_wire::fields::Fields;

/// What an entry costs beside its bytes.
const OVERHEAD: usize = 64;

/// Names an event of this agent for ever; ordered as they were given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The life of the agent's sequence.
    pub epoch: u64,
    /// The number within it; of a gap, the last one.
    pub sequence: u64,
}

/// How far an entry has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// To be sent.
    Waiting,
    /// Sent, and not acknowledged.
    Sent,
    /// The broker has it.
    Acknowledged,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// An event, as it is published.
    Event(Bytes),
    /// Stands for numbers whose events are lost; seen at this time.
    Gap {
        /// Milliseconds since 1970 UTC.
        at: i64,
    },
    /// A gap of unknown size, as it is published; joined with nothing, since a sum with it is unknown too.
    Mark(Bytes),
}

/// One event of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The epoch of its numbers.
    pub epoch: u64,
    /// The first number that it stands for.
    pub first: u64,
    /// The last one, which names it.
    pub last: u64,
    /// What it is.
    pub body: Body,
    /// How far it has come.
    pub standing: Standing,
    /// It was sent once, so it may have arrived.
    pub tried: bool,
}

impl Entry {
    /// An event that waits. None when the event is too large for any reader.
    #[must_use]
    pub fn new(event: &Event) -> Option<Self> {
        let bytes = Bytes::from(codec::encode(event).ok()?.bytes);
        Some(Self::read(event, bytes))
    }

    /// A gap that waits, for the numbers `first..=last`.
    #[must_use]
    pub fn gap(epoch: u64, first: u64, last: u64, at: i64) -> Self {
        Self { epoch, first, last, body: Body::Gap { at }, standing: Standing::Waiting, tried: false }
    }

    /// The entry that these bytes are. None when they are no event.
    #[must_use]
    pub fn decode(bytes: Bytes) -> Option<Self> {
        let event: Event = codec::decode(None, &bytes).ok()?;
        let sound = event.first.is_none_or(|first| first <= event.sequence) && event.sequence > 0;
        sound.then(|| Self::read(&event, bytes))
    }

    fn read(event: &Event, bytes: Bytes) -> Self {
        let gap = event.action == Action::Gap;
        let (first, body) = match event.first.filter(|_| gap) {
            Some(first) => (first, Body::Gap { at: event.at }),
            None if gap => (event.sequence, Body::Mark(bytes)),
            None => (event.sequence, Body::Event(bytes)),
        };
        Self { epoch: event.epoch, first, last: event.sequence, body, standing: Standing::Waiting, tried: false }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        Name { epoch: self.epoch, sequence: self.last }
    }

    /// The engine's time of an event that the engine told, in nanoseconds.
    #[must_use]
    pub fn time(&self) -> Option<i64> {
        let Body::Event(bytes) = &self.body else { return None };
        codec::decode::<Event>(None, bytes).ok()?.time
    }

    /// What is published: always the same bytes.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        match &self.body {
            Body::Event(bytes) | Body::Mark(bytes) => bytes.clone(),
            Body::Gap { at } => gap_bytes(self.epoch, self.first, self.last, *at),
        }
    }

    /// What it counts against the bound.
    #[must_use]
    pub fn size(&self) -> usize {
        OVERHEAD
            + match &self.body {
                Body::Event(bytes) | Body::Mark(bytes) => bytes.len(),
                Body::Gap { .. } => OVERHEAD,
            }
    }

    /// Whether it is to be sent.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.standing == Standing::Waiting
    }

    /// The gap that takes its place.
    #[must_use]
    pub fn as_gap(&self) -> Self {
        let at = match &self.body {
            Body::Gap { at } => *at,
            Body::Event(bytes) | Body::Mark(bytes) => codec::decode::<Event>(None, bytes).map_or(0, |event| event.at),
        };
        Self { body: Body::Gap { at }, ..self.clone() }
    }

    /// This gap and the event or gap right after it as one gap.
    #[must_use]
    pub fn join(&self, next: &Self) -> Option<Self> {
        let joins = matches!(self.body, Body::Gap { .. }) && !matches!(next.body, Body::Mark(_));
        let neighbours = self.epoch == next.epoch && self.last.checked_add(1) == Some(next.first);
        (joins && neighbours && !next.tried).then(|| Self { last: next.last, ..self.clone() })
    }
}

/// A gap as it is published.
#[must_use]
pub fn gap_bytes(epoch: u64, first: u64, last: u64, at: i64) -> Bytes {
    let event = Event {
        epoch,
        sequence: last,
        first: Some(first),
        at,
        time: None,
        action: Action::Gap,
        id: None,
        name: None,
        set: Fields::default(),
    };
    codec::encode(&event).map(|encoded| Bytes::from(encoded.bytes)).unwrap_or_default()
}
