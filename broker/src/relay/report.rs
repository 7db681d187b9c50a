//! The relay as it is, for `/health`, `/metrics` and the table of agents.

use std::time::Duration;

use radar_link::time::Now;
use radar_wire::topic::AgentId;

use super::Relay;
use super::agent::Agent;
use super::condition::{Condition, LoginCondition, ServerCondition};
use super::enrollment::UpstreamId;

/// The server as a whole.
#[derive(Debug, Clone, Copy)]
pub struct ServerReport<'a> {
    /// How it stands.
    pub condition: &'a ServerCondition,
    /// How the login stands; none where there is no login.
    pub login: Option<&'a LoginCondition>,
    /// The interval that it asked for last.
    pub interval: Duration,
    /// Failures in a row.
    pub failures: u32,
    /// Agents whose turn has come and who wait.
    pub waiting: usize,
    /// Whether a request is on its way.
    pub in_flight: bool,
}

/// The relay of one agent.
#[derive(Debug, Clone, Copy)]
pub struct AgentReport<'a> {
    /// Its id at the server.
    pub upstream: Option<&'a UpstreamId>,
    /// How it stands.
    pub condition: &'a Condition,
    /// When the server last took a heartbeat, in milliseconds since 1970 UTC.
    pub last_beat: Option<i64>,
    /// The containers in it.
    pub containers: usize,
    /// The containers left out of it.
    pub left_out: usize,
    /// Failures of its own in a row.
    pub failures: u32,
}

impl Relay {
    /// How the server stands.
    pub fn server(&self, now: Now) -> ServerReport<'_> {
        ServerReport {
            condition: &self.gate.condition,
            login: self.web.as_ref().map(|web| &web.condition),
            interval: self.interval,
            failures: self.gate.failures,
            waiting: self.queue.iter().take_while(|(due, _)| *due <= now.mono).count(),
            in_flight: self.flight.is_some(),
        }
    }

    /// How the relay of an agent stands.
    pub fn agent(&self, id: &AgentId) -> Option<AgentReport<'_>> {
        self.agents.get(id).map(report)
    }

    /// How the relay of every agent stands.
    pub fn agents(&self) -> impl Iterator<Item = (&AgentId, AgentReport<'_>)> {
        self.agents.iter().map(|(id, agent)| (id, report(agent)))
    }
}

fn report(agent: &Agent) -> AgentReport<'_> {
    AgentReport {
        upstream: agent.enrollment.as_deref().map(|enrollment| &enrollment.upstream),
        condition: &agent.condition,
        last_beat: agent.last.map(|last| last.wall),
        containers: agent.last.map_or(0, |last| last.containers),
        left_out: agent.last.map_or(0, |last| last.left_out),
        failures: agent.failures,
    }
}
