//! What others see of the fleet: the command line, metrics, the relay. Cheap unless it says otherwise.

use std::collections::BTreeMap;
use std::ops::Bound;

use radar_wire::codec::decode;
use radar_wire::status::{Presence, Status};
use radar_wire::topic::AgentId;

use super::agent::Agent;
use super::{Conflict, Counts, Fleet, Known};

/// An agent as it is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentView {
    /// Its name in topics.
    pub id: AgentId,
    /// Whether it is there; `None` while no status came.
    pub presence: Option<Presence>,
    /// Why: the status's word, or `silent` when it did not come back after the broker had lost its memory.
    pub reason: Box<str>,
    /// Its last session.
    pub session: u64,
    /// When it was last heard, in milliseconds since 1970 UTC.
    pub last_heard: i64,
    /// The latest epoch and the highest number heard of in it.
    pub sequence: Option<(u64, u64)>,
    /// Whether its engine answers, where that was told.
    pub engine_answers: Option<bool>,
    /// How many containers it has, or had when that was last known.
    pub containers: Option<Counts>,
    /// Whether the containers are all that it has; if not, they are the last that were known.
    pub complete: bool,
    /// Events that are lost for good and counted.
    pub lost: u64,
    /// Gaps of unknown size.
    pub unknown_gaps: u64,
    /// Events that it is asked for.
    pub missing: u64,
    /// Messages of it that were dropped since the program started.
    pub decode_errors: u64,
    /// Two machines that use its id in turns.
    pub conflict: Option<Conflict>,
}

impl AgentView {
    /// Whether it is there, as far as is known.
    #[must_use]
    pub fn online(&self) -> bool {
        self.presence == Some(Presence::Online)
    }
}

/// The fleet in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Agents that are known.
    pub agents: usize,
    /// Those that are there.
    pub online: usize,
    /// Those that are there and whose engine does not answer.
    pub unreachable: usize,
    /// Containers, as last known.
    pub containers: u64,
    /// Events that are lost for good and counted.
    pub lost: u64,
    /// Gaps of unknown size.
    pub unknown_gaps: u64,
    /// Events that agents are asked for.
    pub missing: u64,
    /// Ids that two machines use.
    pub conflicts: usize,
    /// Messages that were dropped because there are too many agents.
    pub refused: u64,
    /// Messages that were dropped, by channel.
    pub decode_errors: BTreeMap<&'static str, u64>,
}

impl Fleet {
    /// An agent; `None` when it is not known.
    #[must_use]
    pub fn view(&self, id: &AgentId) -> Option<AgentView> {
        self.agents.get(id).map(|agent| self.see(id, agent))
    }

    /// All agents, by name.
    pub fn views(&self) -> impl Iterator<Item = AgentView> {
        self.agents.iter().map(|(id, agent)| self.see(id, agent))
    }

    /// The agents from a place on, by name.
    pub fn views_from(&self, from: Bound<&AgentId>) -> impl Iterator<Item = AgentView> {
        self.agents.range::<AgentId, _>((from, Bound::Unbounded)).map(|(id, agent)| self.see(id, agent))
    }

    /// The last status that counted, decoded; the presence in it is the view's unless the agent fell silent.
    #[must_use]
    pub fn status(&self, id: &AgentId) -> Option<Status> {
        let agent = self.agents.get(id)?;
        decode(None, &agent.presence.status).ok()
    }

    /// The containers as last known, decoded from the snapshot and what came after it; `None` when there never was a
    /// complete list.
    #[must_use]
    pub fn containers(&self, id: &AgentId) -> Option<Known> {
        self.agents.get(id)?.present.known()
    }

    /// The fleet in numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let decode_errors = self.complaints.channels().clone();
        let mut sum = Summary { agents: self.agents.len(), refused: self.refused, decode_errors, ..Summary::default() };
        for agent in self.agents.values() {
            let online = agent.presence.online();
            sum.online += usize::from(online);
            sum.unreachable += usize::from(online && agent.present.engine() == Some(false));
            sum.containers += agent.present.counts().map_or(0, |counts| u64::from(counts.total));
            sum.lost = sum.lost.saturating_add(agent.lost);
            sum.unknown_gaps = sum.unknown_gaps.saturating_add(agent.unknown_gaps);
            sum.missing = sum.missing.saturating_add(agent.missing());
            sum.conflicts += usize::from(agent.presence.conflict.is_some());
        }
        sum
    }

    fn see(&self, id: &AgentId, agent: &Agent) -> AgentView {
        AgentView {
            id: id.clone(),
            presence: agent.presence.state,
            reason: agent.presence.reason.clone(),
            session: agent.presence.session,
            last_heard: agent.heard,
            sequence: agent.tracking.latest(),
            engine_answers: agent.present.engine(),
            containers: agent.present.counts(),
            complete: agent.present.complete(),
            lost: agent.lost,
            unknown_gaps: agent.unknown_gaps,
            missing: agent.missing(),
            decode_errors: self.complaints.of(id),
            conflict: agent.presence.conflict.clone(),
        }
    }
}
