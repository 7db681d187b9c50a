//! Whether an agent is there, and who it is. The same form is its last will.

use serde::{Deserialize, Serialize};

use crate::codec::Payload;

/// An agent's presence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Whether the agent is there.
    pub state: Presence,
    /// Why it is as it is.
    pub reason: Reason,
    /// Grows with every connection of the agent; a status with a smaller one than seen before is stale.
    pub session: u64,
    /// When this was written; a last will is written when its session begins.
    pub at: i64,
    /// The agent's program and host.
    pub agent: AgentFacts,
    /// The engine, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineFacts>,
    /// What the agent can do (`events`, `resend`, …).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub can: Vec<Box<str>>,
    /// What its policy allows others to do (`observe`, …).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allows: Vec<Box<str>>,
    /// What its operator should know, such as an id that came from another machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Box<str>>,
}

impl Payload for Status {}

/// The agent's program and its host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFacts {
    /// The program's version.
    pub version: Box<str>,
    /// The source's commit that it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Box<str>>,
    /// The processor's architecture (`aarch64`, `x86_64`, …).
    pub arch: Box<str>,
    /// The operating system (`linux`).
    pub os: Box<str>,
    /// The host's name.
    pub host: Box<str>,
    /// The name to show.
    pub name: Box<str>,
    /// Tells two machines with the same id apart: a hash of what is the hardware's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Box<str>>,
}

/// The container engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineFacts {
    /// `docker`, `podman`, …
    pub kind: Box<str>,
    /// The engine's version.
    pub version: Box<str>,
    /// The version of its API that is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Box<str>>,
    /// Whether it answers now.
    pub answers: bool,
    /// What who guards its socket denies: `events`, `image-names`, `host-facts`, and actions that the agent's policy
    /// allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unavailable: Vec<Box<str>>,
}

/// Whether an agent is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they say it themselves")]
pub enum Presence {
    Online,
    Offline,
}

/// Why an agent's presence is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Reason {
    /// It connected.
    Start,
    /// It was asked to stop.
    Stop,
    /// The broker lost it: the last will.
    Lost,
    /// Something that it tells of itself changed.
    Update,
    /// It read itself offline and says that it is there.
    Reassert,
    /// A word that this version does not know.
    Other(Box<str>),
}

impl Reason {
    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Lost => "lost",
            Self::Update => "update",
            Self::Reassert => "reassert",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for Reason {
    fn from(word: String) -> Self {
        match word.as_str() {
            "start" => Self::Start,
            "stop" => Self::Stop,
            "lost" => Self::Lost,
            "update" => Self::Update,
            "reassert" => Self::Reassert,
            _ => Self::Other(word.into()),
        }
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.as_str().to_owned()
    }
}
