//! What goes to the broker, in which order (`next`), and what comes of it. Everything shares one window:
//! the status first, then the token, what the bridge asked for, the events in order, the snapshot
//! when no unsent event precedes it, and logs. What the broker refuses is said once and tried again slowly. While no
//! bridge listens the events stay in the outbox, and one of them asks now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use radar_link::mqtt::Delivery;
use radar_wire::status::{EngineFacts, Reason};

use super::outbox::Name;
use super::remark::Remark;
use super::{Agent, Stop};

mod next;

/// How long what was refused is left alone.
const REFUSED: Duration = Duration::from_secs(60);

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
}
