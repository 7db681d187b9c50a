//! One thing that happened on a host, with a number that names it for ever.

use serde::{Deserialize, Serialize};

use crate::codec::Payload;
use crate::container::ContainerId;
use crate::fields::Fields;

/// An event; (agent, epoch, sequence) names it for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The life of the agent's sequence that this number belongs to; below 2^53.
    pub epoch: u64,
    /// The number within the epoch; every event has the next one, beginning with 1.
    #[serde(rename = "seq")]
    pub sequence: u64,
    /// In a gap: the first of the numbers that it stands for, `sequence` being the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// When the agent saw it.
    pub at: i64,
    /// The engine's own time in nanoseconds; none for what the engine did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
    /// What happened.
    pub action: Action,
    /// The container; none where the action is about the engine or the sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ContainerId>,
    /// The container's name at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// The fields of its record that changed; all of them for a new container.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub set: Fields,
}

impl Payload for Event {}

impl Event {
    /// In a gap: how many events it stands for, where that is known.
    #[must_use]
    pub fn missing(&self) -> Option<u64> {
        let first = self.first.filter(|first| self.action == Action::Gap && *first <= self.sequence)?;
        Some(self.sequence - first + 1)
    }
}

/// What happened: the engine's words as they came, and six of our own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[expect(missing_docs, reason = "the engine's words")]
pub enum Action {
    Create,
    Start,
    Restart,
    Kill,
    Die,
    Oom,
    Stop,
    Pause,
    Unpause,
    Rename,
    Update,
    HealthStatus,
    Destroy,
    /// A container that the engine told nothing of, seen when comparing with its list.
    Found,
    /// A change that the engine told nothing of, seen when comparing with its list.
    Changed,
    /// A container that went without a word, seen when comparing with the engine's list.
    Gone,
    /// Events that are lost: the numbers `first..=sequence`, or an unknown number of them.
    Gap,
    /// The engine stopped answering.
    EngineLost,
    /// The engine answers again.
    EngineBack,
    /// A word that this version does not know.
    Other(Box<str>),
}

impl Action {
    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Kill => "kill",
            Self::Die => "die",
            Self::Oom => "oom",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Rename => "rename",
            Self::Update => "update",
            Self::HealthStatus => "health_status",
            Self::Destroy => "destroy",
            Self::Found => "found",
            Self::Changed => "changed",
            Self::Gone => "gone",
            Self::Gap => "gap",
            Self::EngineLost => "engine_lost",
            Self::EngineBack => "engine_back",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for Action {
    fn from(word: &str) -> Self {
        match word {
            "create" => Self::Create,
            "start" => Self::Start,
            "restart" => Self::Restart,
            "kill" => Self::Kill,
            "die" => Self::Die,
            "oom" => Self::Oom,
            "stop" => Self::Stop,
            "pause" => Self::Pause,
            "unpause" => Self::Unpause,
            "rename" => Self::Rename,
            "update" => Self::Update,
            "health_status" => Self::HealthStatus,
            "destroy" => Self::Destroy,
            "found" => Self::Found,
            "changed" => Self::Changed,
            "gone" => Self::Gone,
            "gap" => Self::Gap,
            "engine_lost" => Self::EngineLost,
            "engine_back" => Self::EngineBack,
            _ => Self::Other(word.into()),
        }
    }
}

impl From<String> for Action {
    fn from(word: String) -> Self {
        Self::from(word.as_str())
    }
}

impl From<Action> for String {
    fn from(action: Action) -> Self {
        action.as_str().to_owned()
    }
}
