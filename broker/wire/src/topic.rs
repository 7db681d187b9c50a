//! Topics: `<prefix>/v1/<agent>/<channel>`, parsed at the border into types that cannot be wrong.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of the contract as it stands in every topic.
pub const VERSION: &str = "v1";

/// Why a text is not a prefix, an agent id or a topic.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopicError {
    /// An agent id has 1 to 64 of `A-Z a-z 0-9 _ -`.
    #[error("`{0}` is not an agent id: use 1 to 64 of A-Z a-z 0-9 _ -")]
    AgentId(String),
    /// A prefix has levels without `+`, `#`, `$` or control characters, none of them empty.
    #[error(
        "`{0}` is not a topic prefix: use levels such as `radar/home`, without + # $ or empty levels, 128 bytes at most"
    )]
    Prefix(String),
    /// The topic is none of version 1 below this prefix.
    #[error("`{0}` is not a topic of this contract")]
    Topic(String),
}

/// What all topics of one site begin with; one or several levels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix(Box<str>);

impl Prefix {
    /// The prefix of every installation that sets none.
    pub const DEFAULT: &str = "radar";

    /// The prefix as it stands in topics, without a slash at either end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The topic of one agent's channel.
    #[must_use]
    pub fn topic(&self, agent: &AgentId, channel: &Channel) -> String {
        format!("{}/{VERSION}/{agent}/{channel}", self.0)
    }

    /// The client id of an agent at the broker: one per agent and prefix, so that no two evict each other. An account
    /// that is made for the agent has it as its name, and is bound to it.
    #[must_use]
    pub fn client_id(&self, agent: &AgentId) -> String {
        self.client("radar-agent", agent)
    }

    /// The client id of the helper that gives an agent's container its new version, beside the agent; and the name of
    /// the helper's own account, where the agent's is bound to the agent's client id.
    #[must_use]
    pub fn take_over_client_id(&self, agent: &AgentId) -> String {
        self.client("radar-take-over", agent)
    }

    fn client(&self, head: &str, agent: &AgentId) -> String {
        match self.as_str() {
            Self::DEFAULT => format!("{head}-{agent}"),
            prefix => format!("{head}-{agent}@{prefix}"),
        }
    }

    /// The filter that matches one channel (`status`, `log/+`, …) of all agents.
    #[must_use]
    pub fn filter(&self, channel: &str) -> String {
        format!("{}/{VERSION}/+/{channel}", self.0)
    }

    /// Takes a topic apart.
    ///
    /// # Errors
    /// [`TopicError::Topic`] when it is not `<this prefix>/v1/<agent>/<a known channel>`.
    pub fn parse(&self, topic: &str) -> Result<(AgentId, Channel), TopicError> {
        let wrong = || TopicError::Topic(topic.chars().take(200).collect());
        let rest = topic
            .strip_prefix(&*self.0)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.strip_prefix(VERSION))
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(wrong)?;
        let (agent, channel) = rest.split_once('/').ok_or_else(wrong)?;
        let agent = agent.parse().map_err(|_| wrong())?;
        let channel = Channel::parse(channel).ok_or_else(wrong)?;
        Ok((agent, channel))
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl FromStr for Prefix {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let level =
            |level: &str| !level.is_empty() && !level.contains(['+', '#', '$']) && !level.contains(char::is_control);
        if text.len() <= 128 && text.split('/').all(level) {
            Ok(Self(text.into()))
        } else {
            Err(TopicError::Prefix(text.to_owned()))
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names an agent: 1 to 64 of `A-Z a-z 0-9 _ -`, so that it is one level of a topic as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentId(Box<str>);

impl AgentId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentId {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let fits =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if fits { Ok(Self(text.into())) } else { Err(TopicError::AgentId(text.chars().take(80).collect())) }
    }
}

impl TryFrom<String> for AgentId {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Self, TopicError> {
        text.parse()
    }
}

impl From<AgentId> for String {
    fn from(id: AgentId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One of an agent's topics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Presence; retained, and the agent's last will.
    Status,
    /// All containers as they are; retained.
    Snapshot,
    /// One thing that happened.
    Event,
    /// The bridge asks for events that it misses.
    Resend,
    /// The server's one-time token, on its way to the bridge.
    Enroll,
    /// A signed command.
    Command,
    /// How a command went.
    Outcome,
    /// A log stream, named by the command that asked for it.
    Log(Box<str>),
    /// Resource samples.
    Stats,
}

impl Channel {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "status" => Self::Status,
            "snapshot" => Self::Snapshot,
            "event" => Self::Event,
            "resend" => Self::Resend,
            "enroll" => Self::Enroll,
            "command" => Self::Command,
            "outcome" => Self::Outcome,
            "stats" => Self::Stats,
            _ => {
                let jti = text.strip_prefix("log/")?;
                let fits = (1..=64).contains(&jti.len()) && jti.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                fits.then(|| Self::Log(jti.into()))?
            }
        })
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status => "status",
            Self::Snapshot => "snapshot",
            Self::Event => "event",
            Self::Resend => "resend",
            Self::Enroll => "enroll",
            Self::Command => "command",
            Self::Outcome => "outcome",
            Self::Stats => "stats",
            Self::Log(jti) => return write!(f, "log/{jti}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_come_apart_as_they_were_put_together() {
        let jti = Channel::Log("01J9-ab".into());
        for prefix in ["radar", "radar/home", "a/b/c d"] {
            let prefix: Prefix = prefix.parse().unwrap();
            for agent in ["a", "pi-kitchen", "Pi_4", &"x".repeat(64)] {
                let agent: AgentId = agent.parse().unwrap();
                for channel in [Channel::Status, Channel::Snapshot, Channel::Event, Channel::Resend, jti.clone()] {
                    let topic = prefix.topic(&agent, &channel);
                    assert_eq!(prefix.parse(&topic), Ok((agent.clone(), channel)));
                }
            }
        }
    }

    // E8
    #[test]
    fn client_ids_are_one_per_agent_prefix_and_purpose() {
        let mut seen = std::collections::BTreeSet::new();
        for prefix in ["radar", "radar/home", "pi"] {
            let prefix: Prefix = prefix.parse().unwrap();
            for agent in ["pi", "pi-take-over", "take-over-pi"] {
                let agent: AgentId = agent.parse().unwrap();
                assert!(seen.insert(prefix.client_id(&agent)) && seen.insert(prefix.take_over_client_id(&agent)));
            }
        }
        assert!(seen.contains("radar-agent-pi") && seen.contains("radar-take-over-pi@radar/home"), "{seen:?}");
    }

    #[test]
    fn what_is_not_a_topic_is_refused() {
        let prefix = Prefix::default();
        for topic in [
            "",
            "radar",
            "radar/v1",
            "radar/v1/pi",
            "radar/v2/pi/status",
            "radarx/v1/pi/status",
            "radar/v1//status",
            "radar/v1/pi/Status",
            "radar/v1/p i/status",
            "radar/v1/pi/status/",
            "radar/v1/pi/log/",
            "radar/v1/pi/log/a/b",
            "radar/v1/pi/log/..",
            "home/radar/v1/pi/status",
        ] {
            assert!(prefix.parse(topic).is_err(), "{topic}");
        }
    }

    #[test]
    fn prefixes_and_agent_ids_are_checked() {
        for bad in ["", "/radar", "radar/", "a//b", "a/+", "#", "$SYS", "a\u{0}", &"x".repeat(129)] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
        for bad in ["", "a/b", "a.b", "ä", "+", &"x".repeat(65)] {
            assert!(bad.parse::<AgentId>().is_err(), "{bad}");
        }
    }
}
