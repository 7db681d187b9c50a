//! What does not decode: counted per agent and channel, and logged once per agent and minute, so that neither a
//! broken nor a hostile agent can fill a log.

use std::collections::BTreeMap;
use std::time::Duration;

use radar_wire::topic::{AgentId, Channel};

/// Agents whose errors are counted apart from each other.
const AGENTS: usize = 1024;
/// How long nothing more is logged of an agent.
const QUIET: Duration = Duration::from_secs(60);

/// The errors so far.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    agents: BTreeMap<AgentId, Errors>,
    channels: BTreeMap<&'static str, u64>,
    /// Until when nothing is logged of agents that have no place.
    others: Option<Duration>,
}

#[derive(Debug, Default)]
struct Errors {
    channels: BTreeMap<&'static str, u64>,
    quiet_until: Option<Duration>,
}

impl Complaints {
    /// Counts an error; whether it is to be logged.
    pub(super) fn count(&mut self, agent: &AgentId, channel: &Channel, now: Duration) -> bool {
        let name = name(channel);
        *self.channels.entry(name).or_default() += 1;
        let quiet_until = if self.agents.contains_key(agent) || self.agents.len() < AGENTS {
            let errors = self.agents.entry(agent.clone()).or_default();
            *errors.channels.entry(name).or_default() += 1;
            &mut errors.quiet_until
        } else {
            &mut self.others
        };
        let log = quiet_until.is_none_or(|until| until <= now);
        if log {
            *quiet_until = Some(now + QUIET);
        }
        log
    }

    /// The errors of one agent.
    pub(super) fn of(&self, agent: &AgentId) -> u64 {
        self.agents.get(agent).map_or(0, |errors| errors.channels.values().sum())
    }

    /// All errors by channel.
    pub(super) fn channels(&self) -> &BTreeMap<&'static str, u64> {
        &self.channels
    }

    /// The agent is purged.
    pub(super) fn forget(&mut self, agent: &AgentId) {
        self.agents.remove(agent);
    }
}

/// The channel's name, without what a log stream adds to it.
fn name(channel: &Channel) -> &'static str {
    match channel {
        Channel::Status => "status",
        Channel::Snapshot => "snapshot",
        Channel::Event => "event",
        Channel::Resend => "resend",
        Channel::Enroll => "enroll",
        Channel::Command => "command",
        Channel::Outcome => "outcome",
        Channel::Log(_) => "log",
        Channel::Stats => "stats",
    }
}
