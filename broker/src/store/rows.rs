//! What is stored, as plain data: what the cores ask to be written, and what they are given back at start. No SQL.

use std::sync::Arc;

use radar_wire::codec::ContentType;
use radar_wire::command::Command;
use radar_wire::event::Event;
use radar_wire::topic::AgentId;

use crate::commanding::State;
use crate::relay::Enrollment;

/// One change of what is stored. All writes of a batch become durable together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// An agent is new or has changed; before anything else of it.
    Agent(Box<AgentRow>),
    /// The agent's last complete snapshot.
    Snapshot(AgentId, Box<SnapshotRow>),
    /// An event, or a gap; dropped when it is there, or its container, action and engine time are.
    Event {
        /// Whose it is.
        agent: AgentId,
        /// When it came, in milliseconds since 1970 UTC.
        heard: i64,
        /// The event. A gap with its first number stands for numbers none of which is stored.
        event: Box<Event>,
    },
    /// A number that a stored gap stands for was received after all: the gap shrinks or parts.
    Recovered {
        /// Whose it is.
        agent: AgentId,
        /// Its epoch.
        epoch: u64,
        /// The number.
        sequence: u64,
    },
    /// Everything of an agent goes, but for the commands that were given to it.
    Purge(AgentId),
    /// An agent's account at a server. Durable before the secret is used.
    Upstream(Box<UpstreamRow>),
    /// A command is new or has changed; one that has ended stays as it is.
    Command(Box<CommandRow>),
}

/// An agent as it is stored and as the command line shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentRow {
    /// Its name in topics.
    pub agent: AgentId,
    /// When it was last heard, in milliseconds since 1970 UTC; 0 for never.
    pub heard: i64,
    /// Whether it is there.
    pub online: bool,
    /// Why.
    pub reason: Box<str>,
    /// Its last session.
    pub session: u64,
    /// The payload of its last status; none when it has not changed (or, read back, when there never was one).
    pub status: Option<Box<[u8]>>,
    /// What is known of its numbers; only the fleet reads it.
    pub tracking: Vec<u8>,
    /// Events that are lost for good and counted.
    pub lost: u64,
    /// Gaps of unknown size.
    pub unknown_gaps: u64,
    /// Events that it is asked for.
    pub missing: u64,
    /// Its containers and those that run; none when they were never known.
    pub containers: Option<(u32, u32)>,
    /// Whether its engine answers.
    pub engine: Option<bool>,
    /// Whether the containers are all that it has.
    pub complete: bool,
    /// Two machines that use its id in turns.
    pub conflict: Option<String>,
}

/// A complete snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    /// The epoch.
    pub epoch: u64,
    /// The last event that it includes.
    pub sequence: u64,
    /// When the agent made it.
    pub at: i64,
    /// How the bytes are to be read.
    pub content_type: ContentType,
    /// The snapshot.
    pub bytes: Box<[u8]>,
}

/// An agent's account at a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamRow {
    /// The agent.
    pub agent: AgentId,
    /// The server's URL.
    pub server: Arc<str>,
    /// The account.
    pub enrollment: Enrollment,
}

/// A command that was given to an agent, and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRow {
    /// Names it for ever; later ones are greater.
    pub jti: Box<str>,
    /// Who is to do it.
    pub agent: AgentId,
    /// Who asked.
    pub who: Box<str>,
    /// What to do.
    pub what: Command,
    /// When it was issued, in milliseconds since 1970 UTC.
    pub issued: i64,
    /// Until when it is valid, likewise.
    pub expires: i64,
    /// How far it is.
    pub state: State,
    /// Why it failed or was refused.
    pub reason: Option<Box<str>>,
    /// What it found or did, as JSON.
    pub result: Option<Box<str>>,
    /// When its end was known, in milliseconds since 1970 UTC; none while it is under way.
    pub ended: Option<i64>,
}

/// What was stored when the program started.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// Names this installation for ever.
    pub origin: String,
    /// All agents, by name.
    pub agents: Vec<RestoredAgent>,
    /// Their accounts, at all servers that there ever were.
    pub upstreams: Vec<UpstreamRow>,
    /// The commands that have not ended.
    pub commands: Vec<CommandRow>,
    /// The greatest name of a command.
    pub last_command: Option<String>,
}

/// An agent as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoredAgent {
    /// The agent.
    pub row: AgentRow,
    /// Its last complete snapshot.
    pub snapshot: Option<SnapshotRow>,
    /// The events that came after it, in the order in which they came.
    pub tail: Vec<Event>,
}

#[cfg(test)]
impl CommandRow {
    /// A command for `pi` that is under way, for tests in which it only has to be there.
    pub(crate) fn example(jti: &str) -> Self {
        Self {
            jti: jti.into(),
            agent: "pi".parse().unwrap(),
            who: "uid:1000".into(),
            what: Command::Stop { container: "web".into(), timeout: Some(5) },
            issued: 1_795_228_544_250,
            expires: 1_795_228_604_000,
            state: State::Issued,
            reason: None,
            result: None,
            ended: None,
        }
    }
}

#[cfg(test)]
impl AgentRow {
    /// An agent `pi` that has come just now, for tests in which it only has to be there.
    pub(crate) fn example() -> Self {
        Self {
            agent: "pi".parse().unwrap(),
            heard: 0,
            online: true,
            reason: "start".into(),
            session: 1,
            status: None,
            tracking: Vec::new(),
            lost: 0,
            unknown_gaps: 0,
            missing: 0,
            containers: None,
            engine: None,
            complete: false,
            conflict: None,
        }
    }
}
