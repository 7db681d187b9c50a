//! Whether what somebody wants can become a command now, by what is known of the agent and of the bridge itself.

use radar_wire::status::Status;
use radar_wire::topic::AgentId;

use super::AskError;

/// Why it does not become a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody has heard of the agent.
    #[error("no agent {0} is known; `radar-bridge agents` shows those that are")]
    UnknownAgent(AgentId),
    /// It says that it takes none.
    #[error("{0} takes no commands: set AGENT_COMMAND_KEY on its host to what `radar-bridge key` prints, and DATA_DIR")]
    TakesNone(AgentId),
    /// There is no way to the broker.
    #[error("the bridge cannot send it: {0}")]
    Broker(String),
    /// Nothing is stored at the moment.
    #[error("the bridge cannot store it: {0}")]
    Store(String),
    /// There is no key to sign with.
    #[error("the bridge cannot sign it: {0}")]
    Key(String),
    /// It is none.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// What is known when somebody asks.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Whether the agent was ever heard of.
    pub agent: bool,
    /// What it said last; none when it never said what it can do, so that it may be one that can.
    pub status: Option<&'a Status>,
    /// What is wrong with the way to the broker.
    pub broker: Option<&'a str>,
    /// What is wrong with the store.
    pub store: Option<&'a str>,
}

/// Whether an agent can be asked at all.
///
/// # Errors
/// The first thing that is in the way.
pub fn admit(agent: &AgentId, known: Known<'_>) -> Result<(), Refusal> {
    if !known.agent {
        return Err(Refusal::UnknownAgent(agent.clone()));
    }
    if known.status.is_some_and(|status| !takes_commands(status)) {
        return Err(Refusal::TakesNone(agent.clone()));
    }
    if let Some(trouble) = known.broker {
        return Err(Refusal::Broker(trouble.to_owned()));
    }
    if let Some(trouble) = known.store {
        return Err(Refusal::Store(trouble.to_owned()));
    }
    Ok(())
}

/// Whether an agent says that it takes commands.
#[must_use]
pub fn takes_commands(status: &Status) -> bool {
    status.can.iter().any(|word| &**word == "commands")
}

#[cfg(test)]
mod tests {
    use radar_wire::status::{AgentFacts, Presence, Reason};

    use super::*;

    fn status(can: &[&str]) -> Status {
        Status {
            state: Presence::Online,
            reason: Reason::Start,
            session: 1,
            at: 1,
            agent: AgentFacts::default(),
            engine: None,
            can: can.iter().map(|word| (*word).into()).collect(),
            allows: Vec::new(),
            warnings: Vec::new(),
        }
    }

    // E6
    #[test]
    fn who_is_unknown_or_takes_none_or_cannot_be_reached_is_not_asked() {
        let pi: AgentId = "pi".parse().unwrap();
        let (takes, takes_none) = (status(&["events", "commands"]), status(&["events"]));
        let well = Known { agent: true, status: Some(&takes), broker: None, store: None };
        for (known, expected) in [
            (well, None),
            (Known { status: None, ..well }, None),
            (Known { agent: false, status: None, ..well }, Some(Refusal::UnknownAgent(pi.clone()))),
            (Known { status: Some(&takes_none), broker: Some("x"), ..well }, Some(Refusal::TakesNone(pi.clone()))),
            (Known { broker: Some("gone"), store: Some("full"), ..well }, Some(Refusal::Broker("gone".to_owned()))),
            (Known { store: Some("full"), ..well }, Some(Refusal::Store("full".to_owned()))),
        ] {
            assert_eq!(admit(&pi, known).err(), expected, "{known:?}");
        }
    }
}
