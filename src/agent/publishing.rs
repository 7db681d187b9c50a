//! What goes to the broker, in which order, and what comes of it. Everything shares one window:
//! the status first, then the token, what the bridge asked for, the events in order, the snapshot
//! when no unsent event precedes it, and logs. What the broker refuses is said once and tried again slowly. While no
//! bridge listens the events stay in the outbox, and one of them asks now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use radar_link::mqtt::{Delivery, Message, Qos};
use radar_wire::codec::{self, ContentType, EncodeError, Encoded};
use radar_wire::enroll::Enroll;
use radar_wire::snapshot::Snapshot;
use radar_wire::status::{EngineFacts, Reason};
use radar_wire::topic::Channel;

use super::outbox::Name;
use super::remark::Remark;
use super::streams::{self, Chunk};
use super::{Agent, Effect, Life, Stop};

/// How long what was refused is left alone.
const REFUSED: Duration = Duration::from_secs(60);

/// How long a snapshot waits for the engine's first list after a connect.
const SETTLE: Duration = Duration::from_secs(10);

/// How long the broker keeps the token for a bridge that is away.
const TOKEN_EXPIRY: Duration = Duration::from_secs(24 * 60 * 60);

/// The waits until the token is published again. Who heard it may be somebody else than the bridge, which takes it
/// only once.
const TOKEN_FIRST: Duration = Duration::from_secs(2);
const TOKEN_MOST_UNHEARD: Duration = Duration::from_secs(10 * 60);
const TOKEN_MOST_HEARD: Duration = Duration::from_secs(24 * 60 * 60);

/// An outcome that nobody heard is published again after this time.
const OUTCOME_AGAIN: Duration = Duration::from_secs(2);

/// The waits until one event is published again to see whether a bridge listens.
const PROBE_FIRST: Duration = Duration::from_millis(500);
const PROBE_MOST: Duration = Duration::from_secs(5);

/// What can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the contract's channels")]
pub enum Class {
    Status,
    Enroll,
    Event,
    Outcome,
    Snapshot,
    Log,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status => "status",
            Self::Enroll => "enroll",
            Self::Event => "event",
            Self::Outcome => "outcome",
            Self::Snapshot => "snapshot",
            Self::Log => "log",
        })
    }
}

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Flight {
    Status(Reason),
    Goodbye,
    Enroll,
    Answer,
    Event(Name),
    Outcome(u64),
    Snapshot,
    Chunk(u64),
}

impl Flight {
    fn class(&self) -> Class {
        match self {
            Self::Status(_) | Self::Goodbye => Class::Status,
            Self::Enroll => Class::Enroll,
            Self::Answer | Self::Event(_) => Class::Event,
            Self::Outcome(_) => Class::Outcome,
            Self::Snapshot => Class::Snapshot,
            Self::Chunk(_) => Class::Log,
        }
    }
}

/// What a snapshot says, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gist {
    revision: u64,
    sequence: u64,
    complete: bool,
}

/// The state of the connection as far as publishing goes.
#[derive(Debug)]
pub(super) struct Publishing {
    key: u64,
    window: usize,
    connected: Option<Duration>,
    /// The broker has taken a status on this connection.
    online: bool,
    in_flight: BTreeMap<u64, Flight>,
    /// The session takes nothing until its next notice.
    blocked: bool,
    held: BTreeMap<Class, Duration>,
    refused: BTreeSet<Class>,
    /// Whether somebody subscribes to the events. While nobody does the broker forgets them at once, so they wait here.
    heard: Option<bool>,
    probe_wait: Duration,
    token_wait: Duration,
    /// A connection without a snapshot.
    snapshot_owed: bool,
    snapshot: Option<(Duration, Gist)>,
    /// Since when the last snapshot is not the truth.
    changed: Option<Duration>,
    /// The snapshot does not fit: the text that says so.
    pub(super) too_large: Option<Box<str>>,
    /// What the last status said of the engine, and its warnings.
    told: (Option<EngineFacts>, Vec<Box<str>>),
}

impl Publishing {
    pub(super) fn new() -> Self {
        Self {
            key: 0,
            window: 0,
            connected: None,
            online: false,
            in_flight: BTreeMap::new(),
            blocked: false,
            held: BTreeMap::new(),
            refused: BTreeSet::new(),
            heard: None,
            probe_wait: PROBE_FIRST,
            token_wait: TOKEN_FIRST,
            snapshot_owed: false,
            snapshot: None,
            changed: None,
            too_large: None,
            told: (None, Vec::new()),
        }
    }

    pub(super) fn handle_connected(&mut self, window: usize, mono: Duration) {
        self.connected = Some(mono);
        self.window = window.max(1);
        self.snapshot_owed = true;
        self.held.clear();
        self.token_wait = TOKEN_FIRST;
    }

    /// A name for what is published next.
    pub(super) fn next_key(&mut self) -> u64 {
        self.key += 1;
        self.key
    }

    /// Returns whether there was a connection.
    pub(super) fn handle_away(&mut self) -> bool {
        self.in_flight.clear();
        self.blocked = false;
        self.online = false;
        self.connected.take().is_some()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.is_some()
    }

    pub(super) fn is_online(&self) -> bool {
        self.online
    }

    fn is_unheard(&self) -> bool {
        self.heard == Some(false)
    }

    fn is_free(&self, class: Class, mono: Duration) -> bool {
        self.held.get(&class).is_none_or(|until| *until <= mono)
    }

    fn is_under_way(&self, flight: &Flight) -> bool {
        self.in_flight.values().any(|one| one == flight)
    }
}

impl Agent {
    pub(super) fn handle_delivered(&mut self, key: u64, outcome: Delivery) {
        self.publishing.blocked = false;
        let Some(flight) = self.publishing.in_flight.remove(&key) else { return };
        if let Flight::Chunk(ticket) = flight {
            return self.commands.handle_chunk(ticket, outcome, self.now);
        }
        let class = flight.class();
        let heard = match outcome {
            Delivery::Accepted => true,
            Delivery::NoSubscriber => false,
            Delivery::Refused(reason) => return self.refused(flight, reason),
        };
        if self.publishing.refused.remove(&class) {
            self.say(Remark::Taken { class });
        }
        if matches!(class, Class::Event | Class::Enroll) {
            self.heard(heard);
        }
        match flight {
            Flight::Event(name) if heard => self.outbox.acknowledge(name),
            Flight::Event(name) => {
                self.outbox.take_back(name);
                self.hold_events();
            }
            Flight::Enroll => {
                let wait = self.publishing.token_wait;
                let most = if heard { TOKEN_MOST_HEARD } else { TOKEN_MOST_UNHEARD };
                self.publishing.token_wait = (wait * 2).min(most);
                self.publishing.held.insert(class, self.now.mono + wait);
            }
            Flight::Outcome(number) if heard => self.commands.handle_taken(number),
            Flight::Outcome(number) => {
                self.commands.handle_not_taken(number);
                self.publishing.held.insert(class, self.now.mono + OUTCOME_AGAIN);
            }
            Flight::Goodbye => self.stop = Some(Stop::Left),
            Flight::Snapshot => self.publishing.too_large = None,
            Flight::Status(_) => self.publishing.online = true,
            Flight::Answer | Flight::Chunk(_) => {}
        }
    }

    /// The session has no room for it.
    pub(super) fn publish_later(&mut self, key: u64) {
        let Some(flight) = self.publishing.in_flight.remove(&key) else { return };
        self.publishing.blocked = true;
        self.again(flight);
    }

    /// The broker would end the connection over it.
    pub(super) fn publish_never(&mut self, key: u64, size: u32, max: u32) {
        let Some(flight) = self.publishing.in_flight.remove(&key) else { return };
        match flight {
            Flight::Event(name) => {
                self.outbox.give_up(name);
                self.say(Remark::EventTooLarge);
            }
            Flight::Snapshot => self.snapshot_too_large(size as usize, max as usize),
            Flight::Answer => {}
            Flight::Chunk(ticket) => self.commands.handle_chunk_too_large(ticket, self.now),
            Flight::Outcome(number) => {
                let why = format!("the result has {size} bytes, and the broker takes {max}");
                self.commands.handle_too_large(number, &why);
            }
            other => self.refused(other, format!("a message of {size} bytes is larger than the {max} it takes")),
        }
    }

    fn refused(&mut self, flight: Flight, reason: String) {
        let class = flight.class();
        self.publishing.held.insert(class, self.now.mono + REFUSED);
        if self.publishing.refused.insert(class) {
            self.say(Remark::Refused { class, reason });
        }
        self.again(flight);
    }

    fn again(&mut self, flight: Flight) {
        match flight {
            Flight::Event(name) => self.outbox.take_back(name),
            Flight::Status(reason) => {
                let at = self.publishing.held.get(&Class::Status).copied().unwrap_or_default();
                self.presence.handle_refused(reason, at);
            }
            Flight::Outcome(number) => self.commands.handle_not_taken(number),
            Flight::Chunk(ticket) => self.commands.handle_chunk_not_taken(ticket),
            Flight::Snapshot => self.publishing.snapshot_owed = true,
            Flight::Goodbye => self.stop = Some(Stop::Left),
            Flight::Enroll | Flight::Answer => {}
        }
    }

    /// A bridge is there that asks for events, perhaps a new one.
    pub(super) fn asked(&mut self) {
        self.listened();
        if let Some(until) = self.publishing.held.get_mut(&Class::Enroll) {
            *until = (*until).min(self.now.mono + TOKEN_FIRST);
        }
    }

    /// Somebody hears the events again.
    fn listened(&mut self) {
        if self.publishing.is_unheard() {
            self.publishing.held.remove(&Class::Event);
            self.publishing.probe_wait = PROBE_FIRST;
        }
    }

    fn hold_events(&mut self) {
        let publishing = &mut self.publishing;
        if publishing.is_free(Class::Event, self.now.mono) {
            publishing.held.insert(Class::Event, self.now.mono + publishing.probe_wait);
            publishing.probe_wait = (publishing.probe_wait * 2).min(PROBE_MOST);
        }
    }

    fn heard(&mut self, heard: bool) {
        if heard {
            self.listened();
        }
        let before = self.publishing.heard.replace(heard);
        match (before, heard) {
            (None | Some(true), false) => self.say(Remark::Unheard),
            (Some(false), true) => self.say(Remark::Heard),
            _ => {}
        }
    }

    pub(super) fn next_publish(&mut self) -> Option<Effect> {
        self.publishing.connected?;
        if self.publishing.blocked || self.publishing.in_flight.len() >= self.publishing.window {
            return None;
        }
        let (flight, message) = self
            .next_status()
            .or_else(|| self.next_token())
            .or_else(|| self.next_outcome())
            .or_else(|| self.next_answer())
            .or_else(|| self.next_event())
            .or_else(|| self.next_goodbye())
            .or_else(|| self.next_snapshot())
            .or_else(|| self.next_chunk())?;
        let key = self.publishing.next_key();
        self.publishing.in_flight.insert(key, flight);
        Some(Effect::Publish { key, message })
    }

    fn next_status(&mut self) -> Option<(Flight, Message)> {
        if self.stop.is_some() {
            return None;
        }
        let tell = (self.engine(), self.warnings());
        if self.publishing.told != tell {
            self.presence.handle_change();
        }
        let status = self.presence.next_status(self.now, tell.0.as_ref(), &tell.1)?;
        let reason = status.reason.clone();
        if reason == Reason::Reassert {
            self.say(Remark::Reasserted);
        }
        let message = self.encoded(&Channel::Status, codec::encode(&status).ok()?, true);
        self.publishing.told = tell;
        Some((Flight::Status(reason), message))
    }

    fn next_outcome(&mut self) -> Option<(Flight, Message)> {
        if !self.publishing.is_free(Class::Outcome, self.now.mono) {
            return None;
        }
        let (number, outcome) = self.commands.next_outcome()?;
        match codec::encode(outcome) {
            Ok(encoded) => Some((Flight::Outcome(number), self.encoded(&Channel::Outcome, encoded, false))),
            Err(error) => {
                self.commands.handle_too_large(number, &error.to_string());
                None
            }
        }
    }

    fn next_token(&mut self) -> Option<(Flight, Message)> {
        let publishing = &self.publishing;
        let free = publishing.is_free(Class::Enroll, self.now.mono) && !publishing.is_under_way(&Flight::Enroll);
        let token = self.config.enroll.as_ref().filter(|_| free && self.stop.is_none())?;
        let id = self.config.id.as_str().to_owned();
        let encoded = codec::encode(&Enroll { id, token: token.expose().to_owned() }).ok()?;
        let message = Message { expiry: Some(TOKEN_EXPIRY), ..self.encoded(&Channel::Enroll, encoded, false) };
        Some((Flight::Enroll, message))
    }

    fn next_answer(&mut self) -> Option<(Flight, Message)> {
        if !self.publishing.is_free(Class::Event, self.now.mono) || self.stop.is_some() {
            return None;
        }
        let bytes = self.asks.next_answer(&self.outbox, self.now.wall)?;
        Some((Flight::Answer, self.event(bytes)))
    }

    fn next_event(&mut self) -> Option<(Flight, Message)> {
        let leaving = match self.stop {
            None => false,
            Some(Stop::Flushing { until, .. }) => until <= self.now.mono,
            Some(_) => true,
        };
        let probing = self.publishing.is_unheard()
            && self.publishing.in_flight.values().any(|flight| matches!(flight, Flight::Event(_)));
        if leaving || probing || !self.publishing.is_free(Class::Event, self.now.mono) {
            return None;
        }
        let (name, bytes) = self.outbox.send_next()?;
        Some((Flight::Event(name), self.event(bytes)))
    }

    /// Events that wait go first, as long as there is time.
    fn next_goodbye(&mut self) -> Option<(Flight, Message)> {
        let Some(Stop::Flushing { until, give_up }) = self.stop else { return None };
        let free = |class| self.publishing.is_free(class, self.now.mono);
        let flushed =
            (self.outbox.waiting() == 0 || !free(Class::Event)) && (self.commands.is_idle() || !free(Class::Outcome));
        if !flushed && until > self.now.mono {
            return None;
        }
        let reason = if self.commands.is_replaced() { Reason::Update } else { Reason::Stop };
        let status = self.presence.goodbye(reason, self.now.wall, self.engine().as_ref())?;
        let message = self.encoded(&Channel::Status, codec::encode(&status).ok()?, true);
        self.stop = Some(Stop::Leaving { give_up });
        Some((Flight::Goodbye, message))
    }

    fn next_snapshot(&mut self) -> Option<(Flight, Message)> {
        let gist = self.gist()?;
        let connected = self.publishing.connected?;
        let settled = self.is_settled() || connected + SETTLE <= self.now.mono;
        if self.publishing.snapshot.is_none_or(|(_, told)| told != gist) {
            self.publishing.changed.get_or_insert(self.now.mono);
        }
        let due = self.snapshot_due().is_some_and(|at| at <= self.now.mono);
        let publishing = &self.publishing;
        let ready = settled
            && self.stop.is_none()
            && publishing.is_free(Class::Snapshot, self.now.mono)
            && !publishing.is_under_way(&Flight::Snapshot)
            && (!self.outbox.has_unsent() || self.publishing.is_unheard());
        if !ready || !(due || publishing.snapshot_owed) {
            return None;
        }
        self.publishing.changed = None;
        self.publishing.snapshot = Some((self.now.mono, gist));
        self.publishing.snapshot_owed = false;
        let snapshot = Snapshot { time: self.read_until(), ..self.snapshot()? };
        match codec::encode(&snapshot) {
            Ok(encoded) => Some((Flight::Snapshot, self.encoded(&Channel::Snapshot, encoded, true))),
            Err(EncodeError::TooLarge { size, max }) => {
                self.snapshot_too_large(size, max);
                None
            }
            Err(_) => None,
        }
    }

    fn next_chunk(&mut self) -> Option<(Flight, Message)> {
        if matches!(self.stop, Some(Stop::Leaving { .. } | Stop::Left | Stop::Done)) {
            return None;
        }
        let Chunk { ticket, channel, bytes } = self.commands.next_chunk(self.now)?;
        let message = self.message(&channel, ContentType::Cbor, bytes, false);
        Some((Flight::Chunk(ticket), Message { expiry: Some(streams::EXPIRY), ..message }))
    }

    fn snapshot_too_large(&mut self, size: usize, max: usize) {
        let remark = Remark::SnapshotTooLarge { size, max };
        if self.publishing.too_large.replace(remark.to_string().into()).is_none() {
            self.say(remark);
        }
    }

    /// The containers are known, or the engine is known not to answer.
    fn is_settled(&self) -> bool {
        match &self.life {
            Life::Open { inventory, .. } => inventory.complete() || self.engine_down,
            Life::Opening(_) => false,
        }
    }

    fn gist(&self) -> Option<Gist> {
        match &self.life {
            Life::Open { sequence, inventory, .. } => {
                let (revision, complete) = (inventory.revision(), inventory.complete());
                Some(Gist { revision, sequence: *sequence, complete })
            }
            Life::Opening(_) => None,
        }
    }

    /// When the next snapshot is due: an interval after the first change that it tells, so that one
    /// tells all of a burst; sooner when the list becomes whole, or is it no more.
    fn snapshot_due(&self) -> Option<Duration> {
        let (at, told) = self.publishing.snapshot?;
        let since = if self.gist()?.complete == told.complete { self.publishing.changed? } else { at };
        Some(since + self.config.snapshot_interval)
    }

    /// When something that waits for time can be published.
    pub(super) fn publish_timeout(&self) -> Option<Duration> {
        let publishing = &self.publishing;
        let connected = publishing.connected?;
        let snapshot = self.snapshot_due();
        let settled = publishing.snapshot_owed.then_some(connected + SETTLE);
        let held = publishing.held.values().copied();
        held.chain(snapshot).chain(settled).filter(|at| *at > self.now.mono).min()
    }

    fn event(&self, bytes: Bytes) -> Message {
        self.message(&Channel::Event, ContentType::Cbor, bytes, false)
    }

    fn encoded(&self, channel: &Channel, encoded: Encoded, retain: bool) -> Message {
        self.message(channel, encoded.content_type, Bytes::from(encoded.bytes), retain)
    }

    fn message(&self, channel: &Channel, content_type: ContentType, payload: Bytes, retain: bool) -> Message {
        Message {
            topic: self.config.prefix.topic(&self.config.id, channel),
            payload,
            retain,
            qos: Qos::AtLeastOnce,
            content_type: Some(content_type.as_str()),
            expiry: None,
        }
    }
}
