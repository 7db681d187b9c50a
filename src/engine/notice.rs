//! What the engine's room tells the core: plain values in the contract's words, without a type of
//! the engine's client.

use radar_wire::container::{ContainerId, Health, Record};
use radar_wire::event::Action;
use radar_wire::snapshot::HostFacts;
use radar_wire::status::EngineFacts;
use thiserror::Error;

use super::act::{ActError, Done, Piece};

/// Something that the engine, or the way to it, told.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The engine answers and its events are read. Comes again without a [`Notice::Down`] between
    /// when only the event stream had to be opened anew.
    Up(Box<Opened>),
    /// The engine does not answer; a list or a record that was asked for and is not there yet never will be.
    /// Said once, and again for a new reason.
    Down {
        /// Why, and what to do about it; for a log and for the operator.
        reason: String,
    },
    /// An event of a kept kind; noise never comes this far.
    Event(EngineEvent),
    /// The answer to a list.
    Listed {
        /// What the list was asked with.
        ticket: u64,
        /// Every container, running or not.
        result: Result<Vec<Listed>, String>,
    },
    /// The answer to an inspect.
    Inspected {
        /// The container.
        id: ContainerId,
        /// Its record.
        result: Result<Box<Record>, InspectError>,
    },
    /// An act that is under way tells something, and waits for [`Engine::more`](super::Engine::more) before it tells
    /// more.
    Told {
        /// What the act was asked for with.
        ticket: u64,
        /// What it tells.
        piece: Piece,
    },
    /// An act has ended. Every act does, also when the engine goes away meanwhile.
    Acted {
        /// What the act was asked for with.
        ticket: u64,
        /// What it did or found.
        result: Result<Done, ActError>,
    },
}

/// The engine as it was when its event stream was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The engine.
    pub facts: EngineFacts,
    /// Its host.
    pub host: HostFacts,
    /// The engine's clock in nanoseconds since 1970; none when it does not tell.
    pub time: Option<i64>,
    /// Whether the events since the cursor are all there.
    pub history: History,
}

/// Whether the engine still has all events since the cursor. It keeps the last 256 events of all
/// kinds, in memory only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// There was no cursor.
    NotAsked,
    /// Nothing since the cursor is missing.
    Whole,
    /// The engine's memory is full, and all of it is newer than the cursor.
    Overrun,
    /// The engine started after the cursor, and does not know what was before.
    Restarted,
}

/// One event of the engine about one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// The engine's time in nanoseconds since 1970.
    pub time: i64,
    /// What happened, in Docker's words.
    pub action: Action,
    /// The container.
    pub id: ContainerId,
    /// The container's name after the event.
    pub name: Option<Box<str>>,
    /// With `die`: how it ended.
    pub exit_code: Option<i64>,
    /// With `health_status`: what its check says.
    pub health: Option<Health>,
}

/// An entry of the engine's list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// What the list tells of the container. Name, image id, state and health are as an inspect
    /// tells them; what a list does not tell (times, policy, exit code, addresses) is absent.
    pub record: Record,
}

/// Why there is no record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InspectError {
    /// The engine does not have the container: normal, since all of this is a race.
    #[error("the container is gone")]
    Gone,
    /// The engine could not tell.
    #[error("{0}")]
    Failed(String),
}
