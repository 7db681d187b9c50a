//! What is meant: a container of an agent, as one types it.

use std::fmt;
use std::str::FromStr;

use radar_wire::topic::AgentId;

/// `AGENT/CONTAINER`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub agent: AgentId,
    /// Its name, its id, or the beginning of its id.
    pub container: String,
}

/// `AGENT`, or `AGENT/CONTAINER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    pub agent: AgentId,
    pub container: Option<String>,
}

/// The text names no container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("name a container as AGENT/CONTAINER, for example pi-kitchen/nginx (`radar ps` shows them)")]
pub(super) struct TargetError;

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (agent, container) = text.split_once('/').ok_or(TargetError)?;
        let agent = agent.parse().map_err(|_| TargetError)?;
        if !is_name(container) {
            return Err(TargetError);
        }
        Ok(Self { agent, container: container.to_owned() })
    }
}

impl FromStr for Scope {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.contains('/') {
            let Target { agent, container } = text.parse()?;
            return Ok(Self { agent, container: Some(container) });
        }
        Ok(Self { agent: text.parse().map_err(|_| TargetError)?, container: None })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.agent, self.container)
    }
}

/// As the engine allows names; ids are such too.
fn is_name(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    begins && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_agent_and_a_container() {
        let target: Target = "pi-kitchen/nginx.1".parse().unwrap();
        assert_eq!((target.agent.to_string().as_str(), target.container.as_str()), ("pi-kitchen", "nginx.1"));
        assert_eq!(target.to_string(), "pi-kitchen/nginx.1");
        for text in
            ["", "pi", "pi/", "/web", "pi//web", "pi/a/b", "pi/..", "pi/.", "p i/web", "pi/we b", "pi/we\u{1b}b"]
        {
            assert_eq!(text.parse::<Target>(), Err(TargetError), "{text:?}");
        }
        assert_eq!("pi".parse::<Scope>().unwrap().container, None);
        assert_eq!("pi/web".parse::<Scope>().unwrap().container.as_deref(), Some("web"));
        assert!("pi/".parse::<Scope>().is_err());
    }
}
