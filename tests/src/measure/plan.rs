//! How much is measured: the numbers of the full table, and the small ones that only show that it runs.

use std::time::Duration;

/// A part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// One agent on one host.
    Host,
    /// A command and its outcome.
    Command,
    /// The log of a container that writes without end.
    Logs,
    /// Agents, bridge and server, with outages.
    Relay,
    /// An agent with as little as the smallest boards have.
    Small,
    /// The bridge with a fleet of simulated agents.
    Fleet,
}

/// What to measure, and with how much of everything.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The parts; all of them when empty.
    pub parts: Vec<Part>,
    /// Containers that run.
    pub containers: usize,
    /// Containers in all for the second reading of the agent's memory.
    pub many_containers: usize,
    /// Starts of the agent.
    pub starts: usize,
    /// How long the idle agent is watched.
    pub idle: Duration,
    /// Events for latencies and for bytes.
    pub changes: usize,
    /// Commands whose way is timed.
    pub commands: usize,
    /// How long a noisy log is followed; the agent cuts it after 14 s.
    pub noisy: Duration,
    /// Events whose way to the server is timed, on each of the agents.
    pub beats: usize,
    /// Agents that relay to the server.
    pub relayed: usize,
    /// Outages.
    pub outages: usize,
    /// Events around each outage.
    pub events_per_outage: usize,
    /// Events at once on a small board.
    pub burst: usize,
    /// Simulated agents.
    pub agents: u32,
    /// Containers of each of them.
    pub simulated_containers: u16,
    /// Events per second that the simulated agents offer.
    pub rate: u32,
    /// How long a plain subscriber takes them.
    pub drained: Duration,
    /// How long the bridge takes them.
    pub stored: Duration,
}

impl Plan {
    /// The table as it stands in the README.
    pub fn full() -> Self {
        Self {
            parts: Vec::new(),
            containers: 25,
            many_containers: 100,
            starts: 7,
            idle: Duration::from_secs(60),
            changes: 100,
            commands: 100,
            noisy: Duration::from_secs(9),
            beats: 3,
            relayed: 5,
            outages: 10,
            events_per_outage: 200,
            burst: 1000,
            agents: 10_000,
            simulated_containers: 25,
            rate: 12_000,
            drained: Duration::from_secs(10),
            stored: Duration::from_secs(30),
        }
    }

    /// Little of everything: its figures mean nothing.
    pub fn quick() -> Self {
        Self {
            containers: 3,
            many_containers: 5,
            starts: 2,
            idle: Duration::from_secs(10),
            changes: 10,
            commands: 5,
            noisy: Duration::from_secs(2),
            beats: 1,
            relayed: 2,
            outages: 2,
            events_per_outage: 40,
            burst: 50,
            agents: 50,
            rate: 500,
            drained: Duration::from_secs(2),
            stored: Duration::from_secs(3),
            ..Self::full()
        }
    }

    pub(super) fn has(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }
}
