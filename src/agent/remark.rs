//! What the agent has to say to its operator: changes of state, each once, with what to do about it.

use std::fmt;

use tracing::Level;

use radar_wire::command::Progress;

use super::publishing::Class;

/// Something for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "their texts say it")]
pub enum Remark {
    Connected { session: u64, resumed: bool },
    Away { reason: String },
    Resumed { epoch: u64, sequence: u64 },
    Began { epoch: u64, known: Option<usize> },
    EngineUp { kind: Box<str>, version: Box<str> },
    EngineDown { reason: String },
    EngineDenies { words: Box<str> },
    SpoolTorn { bytes: usize, kept: usize },
    DiskFailed { error: String },
    DiskWorks,
    Overflow,
    Unheard,
    Heard,
    Refused { class: Class, reason: String },
    Taken { class: Class },
    SubscriptionRefused { filter: String, reason: String },
    EventTooLarge,
    SnapshotTooLarge { size: usize, max: usize },
    Reasserted,
    Outnumbered { above: u64 },
    Rival { id: String, host: Box<str> },
    BadResend,
    NoEcho,
    NotCommanded { messages: u64, reason: String },
    Commanded { who: String, what: String, state: Progress, reason: Option<Box<str>> },
    CommandsUnwritten { error: String },
    SamplesTooLarge { why: String },
    Stopping,
    Unsaid,
}

impl Remark {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Connected { .. }
            | Self::Resumed { .. }
            | Self::Began { .. }
            | Self::EngineUp { .. }
            | Self::DiskWorks
            | Self::Heard
            | Self::Taken { .. }
            | Self::Commanded { .. }
            | Self::Stopping => Level::INFO,
            Self::Reasserted | Self::Outnumbered { .. } => Level::INFO,
            Self::Refused { .. } | Self::SubscriptionRefused { .. } | Self::Rival { .. } => Level::ERROR,
            _ => Level::WARN,
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { session, resumed: true } => write!(f, "connected to the broker again, session {session}"),
            Self::Connected { session, resumed: false } => write!(f, "connected to the broker, session {session}"),
            Self::Away { reason } => write!(f, "no connection to the broker, events are kept: {reason}"),
            Self::Resumed { epoch, sequence } => {
                write!(f, "going on where the last run stopped, epoch {epoch} after event {sequence}")
            }
            Self::Began { epoch, known: Some(count) } => {
                write!(f, "the last run ended without a stop; epoch {epoch} begins with the {count} containers of its snapshot")
            }
            Self::Began { epoch, known: None } => write!(f, "epoch {epoch} begins"),
            Self::EngineUp { kind, version } => write!(f, "the engine answers: {kind} {version}"),
            Self::EngineDown { reason } => write!(f, "the engine does not answer: {reason}"),
            Self::EngineDenies { words } => write!(
                f,
                "who guards the engine's socket denies {words}; it is unavailable until it is allowed there (without events, changes are found by the list of every AGENT_RECONCILE_INTERVAL)"
            ),
            Self::SpoolTorn { bytes, kept } => write!(
                f,
                "the outbox file was not whole: {kept} events are kept, {bytes} bytes at its end are dropped"
            ),
            Self::DiskFailed { error } => write!(
                f,
                "events stay in memory, since DATA_DIR cannot be written: {error}; make room or mend it, it is tried again every minute"
            ),
            Self::DiskWorks => f.write_str("DATA_DIR can be written again"),
            Self::Overflow => f.write_str(
                "more events wait for the broker than AGENT_OUTBOX_EVENTS and AGENT_OUTBOX_BYTES allow: the oldest go, and a gap says how many",
            ),
            Self::Unheard => f.write_str(
                "no bridge is listening: nobody subscribes to this agent's events; is radar-bridge running, with the same MQTT_TOPIC_PREFIX",
            ),
            Self::Heard => f.write_str("a bridge is listening again"),
            Self::Refused { class, reason } => {
                write!(f, "this agent's {class} topic is refused, and tried again every minute: {reason}")
            }
            Self::Taken { class } => write!(f, "the broker takes this agent's {class} topic again"),
            Self::SubscriptionRefused { filter, reason } => {
                write!(f, "the broker refuses the subscription of {filter}: {reason}; allow the account to read it")
            }
            Self::EventTooLarge => f.write_str("an event is larger than the broker takes: a gap takes its place"),
            Self::SnapshotTooLarge { size, max } => write!(
                f,
                "the snapshot has {size} bytes, more than the {max} that the broker takes: none is published; raise the broker's packet limit"
            ),
            Self::Reasserted => f.write_str("the broker held another status of this agent: it is put right"),
            Self::Outnumbered { above } => {
                write!(f, "the broker knows a later session of this agent, {above}: connecting with a greater number")
            }
            Self::Rival { id, host } => write!(
                f,
                "another agent, on host {host}, uses the id {id}: give one of them another AGENT_ID (a cloned card: remove its DATA_DIR)"
            ),
            Self::BadResend => f.write_str("a message on the resend topic is none of the contract and is ignored"),
            Self::NoEcho => f.write_str(
                "the broker takes this agent's status and does not give it back: allow the account to read its status, snapshot and resend topics",
            ),
            Self::NotCommanded { messages, reason } => {
                write!(f, "{messages} messages on the command topic are ignored, the last because: {reason}")
            }
            Self::Commanded { who, what, state, reason } => {
                let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
                write!(f, "command of {}: {} {}{reason}", plain(who), plain(what), state.as_str())
            }
            Self::CommandsUnwritten { error } => {
                write!(f, "commands are refused, since they cannot be noted in DATA_DIR first: {error}")
            }
            Self::SamplesTooLarge { why } => write!(f, "samples of what is used are not told: {why}"),
            Self::Stopping => f.write_str("stopping"),
            Self::Unsaid => f.write_str("the broker did not take the goodbye in time; the last will tells it"),
        }
    }
}

/// What came from elsewhere, without what a terminal would obey, and not too much of it.
fn plain(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}
