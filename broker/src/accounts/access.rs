//! Who may do what: the channels of the contract by the direction in which they go. Every form of access rules is made
//! from these tables.

use radar_wire::topic::{AgentId, Prefix, VERSION};

/// What an agent publishes on its own topics; the status also as its last will.
const AGENT_PUBLISHES: &[&str] = &["status", "snapshot", "event", "enroll", "outcome", "stats", "log/+"];
/// What an agent receives on its own topics. Its status and snapshot it reads back.
const AGENT_RECEIVES: &[&str] = &["status", "snapshot", "resend", "command"];
/// What the bridge publishes on every agent's topics. Status and snapshot only to clear them, in a purge.
const BRIDGE_PUBLISHES: &[&str] = &["resend", "command", "status", "snapshot"];
/// What the bridge receives of every agent.
const BRIDGE_RECEIVES: &[&str] = &["status", "snapshot", "event", "enroll", "outcome", "stats", "log/+"];

/// What an account may do; nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    /// Topics, or filters with `+`, on which it may publish.
    pub publish: Vec<String>,
    /// Topics, or filters with `+`, which it may subscribe to, and of which it is given messages.
    pub receive: Vec<String>,
}

impl Access {
    /// Of one agent: its own topics.
    pub(crate) fn agent(prefix: &Prefix, agent: &AgentId) -> Self {
        Self::on(prefix, agent.as_str(), AGENT_PUBLISHES, AGENT_RECEIVES)
    }

    /// Of the bridge: every agent's topics of the prefix.
    pub(crate) fn bridge(prefix: &Prefix) -> Self {
        Self::on(prefix, "+", BRIDGE_PUBLISHES, BRIDGE_RECEIVES)
    }

    fn on(prefix: &Prefix, agent: &str, publish: &[&str], receive: &[&str]) -> Self {
        let topics = |channels: &[&str]| channels.iter().map(|it| format!("{prefix}/{VERSION}/{agent}/{it}")).collect();
        Self { publish: topics(publish), receive: topics(receive) }
    }
}

#[cfg(test)]
mod tests {
    use radar_wire::topic::Channel;

    use super::*;

    /// Whether the agent and the bridge publish on a channel. A new channel does not compile without its row.
    fn directions(channel: &Channel) -> (bool, bool) {
        match channel {
            Channel::Status | Channel::Snapshot => (true, true),
            Channel::Event | Channel::Enroll | Channel::Outcome | Channel::Log(_) | Channel::Stats => (true, false),
            Channel::Resend | Channel::Command => (false, true),
        }
    }

    // E8
    #[test]
    fn every_channel_goes_in_its_direction_and_in_no_other() {
        let prefix: Prefix = "radar/home".parse().unwrap();
        let (agent, bridge) = (Access::agent(&prefix, &"pi".parse().unwrap()), Access::bridge(&prefix));
        let own = |name: &str| format!("radar/home/v1/pi/{name}");
        let all = |name: &str| format!("radar/home/v1/+/{name}");
        let channels = [
            Channel::Status,
            Channel::Snapshot,
            Channel::Event,
            Channel::Resend,
            Channel::Enroll,
            Channel::Command,
            Channel::Outcome,
            Channel::Log("+".into()),
            Channel::Stats,
        ];
        for channel in &channels {
            let (name, (by_agent, by_bridge)) = (channel.to_string(), directions(channel));
            assert_eq!(agent.publish.contains(&own(&name)), by_agent, "{name}");
            assert_eq!(agent.receive.contains(&own(&name)), by_bridge, "{name}");
            assert_eq!(bridge.publish.contains(&all(&name)), by_bridge, "{name}");
            assert_eq!(bridge.receive.contains(&all(&name)), by_agent, "{name}");
        }
        let count = agent.publish.len() + agent.receive.len();
        assert_eq!((count, bridge.publish.len() + bridge.receive.len()), (channels.len() + 2, channels.len() + 2));
    }
}
