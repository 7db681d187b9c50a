//! What the inventory asks for, and what it tells.

use radar_wire::container::ContainerId;
use radar_wire::event::Action;
use radar_wire::fields::Fields;

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

impl Effect {
    /// Something happened to the engine.
    pub(super) fn of_engine(action: Action) -> Self {
        Self::Happened(Change { time: None, action, id: None, name: None, set: Fields::default() })
    }
}
