//! All that is known of all agents: who is there, what runs on their hosts, which of their events are missing. A pure
//! core: messages and time go in; what is to be stored ([`Fleet::take_writes`]) and done ([`Fleet::next_effect`])
//! comes out. It knows neither the broker nor the store nor the server.
//!
//! Reading order: here is what a message does; `presence` decides whether an agent is there, `tracking` which numbers
//! are missing, `asking` when it is asked for them, `present` what its containers are. `view` is for those who look.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use radar_link::time::Now;
use radar_wire::codec::{ContentType, DecodeError, Encoded, Payload, decode, encode};
use radar_wire::command::Outcome;
use radar_wire::enroll::Enroll;
use radar_wire::event::{Action, Event};
use radar_wire::resend::Resend;
use radar_wire::snapshot::Snapshot;
use radar_wire::status::{Reason, Status};
use radar_wire::topic::{AgentId, Channel};

use crate::store::rows::{SnapshotRow, Write};
use agent::Agent;
use complaints::Complaints;
use confirming::Confirming;
use presence::Verdict;
use present::{Kept, Taken};
use tracking::{Hole, Seen};

mod agent;
mod asking;
mod complaints;
mod confirming;
mod numbers;
mod presence;
mod present;
mod tracking;
mod view;

pub use presence::Conflict;
pub use present::{Counts, Known};
pub use view::{AgentView, Summary};

/// How long a request for events is worth something to the agent.
const RESEND_EXPIRY: Duration = Duration::from_secs(60);
/// Epochs and sequence numbers are below this.
const NUMBERS: u64 = 1 << 53;

/// The bounds of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Agents that are known at most.
    pub agents: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { agents: 20_000 }
    }
}

/// What the shell is to do. The queue is emptied after every input, so it holds what one input causes.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Publish with QoS 1, not retained. May be dropped while there is no connection: it is asked again.
    Publish {
        /// Whose topic.
        agent: AgentId,
        /// Which of its topics.
        channel: Channel,
        /// What.
        payload: Encoded,
        /// For how long it is worth something.
        expiry: Duration,
    },
    /// The agent's presence or its containers have changed.
    Touched {
        /// Which agent.
        agent: AgentId,
        /// Its containers have changed, or became known, or may have changed unseen.
        changed: bool,
    },
    /// The agent is purged: nobody may know it any more.
    Forgotten {
        /// Which agent.
        agent: AgentId,
    },
    /// The agent brings the server's one-time token.
    Enroll {
        /// Which agent.
        agent: AgentId,
        /// The token.
        enroll: Enroll,
    },
    /// The agent says how a command goes.
    Outcome {
        /// Which agent.
        agent: AgentId,
        /// What it says.
        outcome: Box<Outcome>,
    },
    /// A message was dropped; to be logged, and rare enough for that.
    Complaint {
        /// Who sent it.
        agent: AgentId,
        /// On which topic.
        channel: Channel,
        /// What is wrong with it.
        text: String,
    },
}

/// Why a message was dropped.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("an epoch or a sequence number is out of range")]
    Numbers,
    #[error("there are {0} agents already, which is the most (BRIDGE_MAX_AGENTS); raise it or purge some")]
    Full(usize),
}

/// All agents.
#[derive(Debug, Default)]
pub struct Fleet {
    limits: Limits,
    agents: BTreeMap<AgentId, Agent>,
    effects: VecDeque<Effect>,
    writes: Vec<Write>,
    changed: BTreeSet<AgentId>,
    /// Agents that are asked for events, by the time of the next request.
    asked: BTreeSet<(Duration, AgentId)>,
    complaints: Complaints,
    refused: u64,
    /// Events that were received before, since the last look.
    repeated: u64,
    confirming: Option<Confirming>,
}

impl Fleet {
    /// A fleet without agents.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes a message of an agent. `retained` tells that it is not from now.
    pub fn handle_message(
        &mut self,
        agent: &AgentId,
        channel: &Channel,
        content_type: Option<&str>,
        payload: &[u8],
        retained: bool,
        now: Now,
    ) {
        let message = Message { content_type, payload, retained };
        let handled = match channel {
            // Cleared at the broker, which the agent can do as well as the operator: what was known stays.
            Channel::Status | Channel::Snapshot if payload.is_empty() => Ok(()),
            Channel::Status => self.handle_status(agent, message, now),
            Channel::Snapshot => self.handle_snapshot(agent, message, now),
            Channel::Event => self.handle_event(agent, message, now),
            Channel::Enroll => self.handle_enroll(agent, message),
            Channel::Outcome => self.handle_outcome(agent, message),
            Channel::Resend | Channel::Command | Channel::Log(_) | Channel::Stats => Ok(()),
        };
        if let Err(refusal) = handled {
            if let Refusal::Full(_) = refusal {
                self.refused += 1;
            }
            if self.complaints.count(agent, channel, now.mono) {
                let (agent, channel, text) = (agent.clone(), channel.clone(), refusal.to_string());
                self.effects.push_back(Effect::Complaint { agent, channel, text });
            }
        }
    }

    /// Forgets an agent, by the operator's word and by nothing else. What comes of it later makes it known anew.
    pub fn purge(&mut self, id: &AgentId) {
        if let Some(agent) = self.agents.remove(id) {
            if let Some(due) = agent.asking.due() {
                self.asked.remove(&(due, id.clone()));
            }
            self.changed.remove(id);
            self.complaints.forget(id);
            self.writes.push(Write::Purge(id.clone()));
            self.effects.push_back(Effect::Forgotten { agent: id.clone() });
        }
    }

    /// The bridge is connected to the broker: what is missing is asked for anew, and agents that do not show themselves
    /// in time are taken for gone, since the broker may have lost their last wills.
    pub fn handle_connected(&mut self, session_present: bool, now: Now) {
        let incomplete = self.agents.iter().filter(|(_, agent)| agent.missing() > 0).map(|(id, _)| id.clone());
        for id in incomplete.collect::<Vec<_>>() {
            self.void(&id);
            self.look(&id, None, now);
        }
        self.doubt(session_present, now);
    }

    /// What is to be done next.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What is to be stored since the last call, as one transaction, before the messages that caused it are
    /// acknowledged. An agent that changed often is in it once.
    pub fn take_writes(&mut self) -> Vec<Write> {
        let mut writes = std::mem::take(&mut self.writes);
        for id in std::mem::take(&mut self.changed) {
            if let Some(agent) = self.agents.get_mut(&id) {
                writes.push(Write::Agent(Box::new(agent.row(id))));
            }
        }
        writes
    }

    /// How many events came again since the last call and were dropped; those of which only the store knows that they
    /// came before are not among them.
    pub fn take_repeated(&mut self) -> u64 {
        std::mem::take(&mut self.repeated)
    }

    /// The monotonic time of the next [`Fleet::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let asked = self.asked.first().map(|(due, _)| *due);
        asked.into_iter().chain(self.confirming.as_ref().map(|confirming| confirming.due)).min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        while self.asked.first().is_some_and(|(due, _)| *due <= now.mono) {
            let Some((_, id)) = self.asked.pop_first() else { break };
            let Some(agent) = self.agents.get_mut(&id) else { continue };
            let hole = agent.asking.again(&agent.tracking, now.mono);
            self.asked.extend(agent.asking.due().map(|due| (due, id.clone())));
            self.ask(&id, hole);
        }
        self.confirm(now);
    }

    fn handle_status(&mut self, id: &AgentId, message: Message<'_>, now: Now) -> Result<(), Refusal> {
        let status: Status = message.decode()?;
        let agent = self.agent(id, status.at, now)?;
        let plain = message.plain(&status);
        let verdict = agent.presence.handle_status(&status, plain.as_deref().unwrap_or(message.payload), now.wall);
        if status.reason != Reason::Lost && verdict != Verdict::Stale {
            agent.hear(message.retained, now);
            agent.reassure();
        }
        if matches!(verdict, Verdict::Stale | Verdict::Same) {
            return Ok(());
        }
        agent.new_status = true;
        if let Some(engine) = &status.engine {
            agent.present.handle_engine(engine.answers);
        }
        if verdict == Verdict::Birth {
            self.void(id);
        }
        self.touch(id, false);
        self.look(id, None, now);
        Ok(())
    }

    fn handle_snapshot(&mut self, id: &AgentId, message: Message<'_>, now: Now) -> Result<(), Refusal> {
        if let Some(agent) = self.agents.get_mut(id)
            && agent.present.is(message.payload)
        {
            agent.hear(message.retained, now);
            return Ok(());
        }
        let snapshot: Snapshot = message.decode()?;
        let (epoch, sequence, at) = (snapshot.epoch, snapshot.sequence, snapshot.at);
        if epoch >= NUMBERS || sequence >= NUMBERS {
            return Err(Refusal::Numbers);
        }
        let agent = self.agent(id, at, now)?;
        agent.hear(message.retained, now);
        let known = agent.present.complete() && agent.missing() == 0;
        let reached = agent.tracking.reach(epoch, sequence);
        let content_type = message.content_type();
        let packed = present::packed(content_type, message.payload, &snapshot);
        let (content_type, bytes) =
            packed.as_ref().map_or((content_type, message.payload), |(content_type, bytes)| (*content_type, &**bytes));
        let taken = agent.tracking.place(epoch, sequence).map_or(Taken::Stale, |place| {
            agent.present.handle_snapshot(place, &snapshot, Kept { content_type, bytes })
        });
        if taken == Taken::Whole {
            let row = SnapshotRow { epoch, sequence, at, content_type, bytes: bytes.into() };
            self.writes.push(Write::Snapshot(id.clone(), Box::new(row)));
        }
        if reached {
            self.changed.insert(id.clone());
            self.prune(id, at, now);
        }
        if taken != Taken::Stale {
            // After every event up to it, a list says nothing new.
            self.touch(id, taken == Taken::Whole && (reached || !known));
        }
        self.look(id, None, now);
        Ok(())
    }

    fn handle_event(&mut self, id: &AgentId, message: Message<'_>, now: Now) -> Result<(), Refusal> {
        let event: Event = message.decode()?;
        let (epoch, sequence, at) = (event.epoch, event.sequence, event.at);
        if epoch >= NUMBERS || !(1..NUMBERS).contains(&sequence) || event.first == Some(0) {
            return Err(Refusal::Numbers);
        }
        let agent = self.agent(id, at, now)?;
        agent.hear(message.retained, now);
        let of_container = event.id.is_some();
        let mut happened = false;
        if let (Some(first), Some(_)) = (event.first, event.missing()) {
            let lost = agent.tracking.lose(epoch, first, sequence);
            for (first, last) in lost {
                self.lose(id, Hole { epoch, first, last }, at, now);
            }
        } else {
            let seen = agent.tracking.receive(epoch, sequence);
            if seen == Seen::Again {
                self.repeated += 1;
            } else {
                agent.unknown_gaps += u64::from(event.action == Action::Gap);
                if let Some(place) = agent.tracking.place(epoch, sequence) {
                    let plain = message.plain(&event);
                    happened = agent.present.handle_event(place, &event, plain.as_deref().unwrap_or(message.payload));
                }
                if seen == Seen::Recovered {
                    agent.lost = agent.lost.saturating_sub(1);
                    self.writes.push(Write::Recovered { agent: id.clone(), epoch, sequence });
                }
                self.writes.push(Write::Event { agent: id.clone(), heard: now.wall, event: Box::new(event) });
            }
        }
        self.changed.insert(id.clone());
        self.prune(id, at, now);
        if happened {
            self.touch(id, of_container);
        }
        self.look(id, Some(epoch), now);
        Ok(())
    }

    fn handle_enroll(&mut self, agent: &AgentId, message: Message<'_>) -> Result<(), Refusal> {
        let enroll = message.decode()?;
        self.effects.push_back(Effect::Enroll { agent: agent.clone(), enroll });
        Ok(())
    }

    fn handle_outcome(&mut self, agent: &AgentId, message: Message<'_>) -> Result<(), Refusal> {
        let outcome = Box::new(message.decode()?);
        self.effects.push_back(Effect::Outcome { agent: agent.clone(), outcome });
        Ok(())
    }

    /// The agent, which is made when it is new: its row precedes everything else of it.
    fn agent(&mut self, id: &AgentId, at: i64, now: Now) -> Result<&mut Agent, Refusal> {
        if !self.agents.contains_key(id) {
            if self.agents.len() >= self.limits.agents {
                return Err(Refusal::Full(self.limits.agents));
            }
            let mut agent = Agent { heard: at.clamp(0, now.wall), ..Agent::default() };
            self.writes.push(Write::Agent(Box::new(agent.row(id.clone()))));
            self.changed.insert(id.clone());
            self.agents.insert(id.clone(), agent);
        }
        Ok(self.agents.entry(id.clone()).or_default())
    }

    /// These numbers are lost for good.
    fn lose(&mut self, id: &AgentId, hole: Hole, at: i64, now: Now) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.lost = agent.lost.saturating_add(hole.size());
        }
        let Hole { epoch, first, last: sequence } = hole;
        let (action, set) = (Action::Gap, Default::default());
        let gap = Event { epoch, sequence, first: Some(first), at, time: None, action, id: None, name: None, set };
        self.writes.push(Write::Event { agent: id.clone(), heard: now.wall, event: Box::new(gap) });
    }

    fn prune(&mut self, id: &AgentId, at: i64, now: Now) {
        let given_up = self.agents.get_mut(id).map(|agent| agent.tracking.prune());
        for hole in given_up.unwrap_or_default() {
            self.lose(id, hole, at, now);
        }
    }

    fn touch(&mut self, id: &AgentId, changed: bool) {
        self.changed.insert(id.clone());
        self.effects.push_back(Effect::Touched { agent: id.clone(), changed });
    }

    /// Sees whether the agent is to be asked for something.
    fn look(&mut self, id: &AgentId, touched: Option<u64>, now: Now) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        let before = agent.asking.due();
        let hole = agent.asking.look(&agent.tracking, agent.presence.online(), touched, now.mono);
        let after = agent.asking.due();
        if before != after {
            if let Some(due) = before {
                self.asked.remove(&(due, id.clone()));
            }
            self.asked.extend(after.map(|due| (due, id.clone())));
        }
        self.ask(id, hole);
    }

    /// Whatever the agent was asked for, it has not heard it.
    fn void(&mut self, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        if let Some(due) = agent.asking.due() {
            self.asked.remove(&(due, id.clone()));
            agent.asking.forget();
        }
    }

    fn ask(&mut self, id: &AgentId, hole: Option<Hole>) {
        let Some(Hole { epoch, first: from, last: to }) = hole else { return };
        // Three numbers always fit.
        let Ok(payload) = encode(&Resend { epoch, from, to }) else { return };
        let (agent, channel, expiry) = (id.clone(), Channel::Resend, RESEND_EXPIRY);
        self.effects.push_back(Effect::Publish { agent, channel, payload, expiry });
    }
}

/// The message of an agent.
#[derive(Debug, Clone, Copy)]
struct Message<'a> {
    content_type: Option<&'a str>,
    payload: &'a [u8],
    retained: bool,
}

impl Message<'_> {
    fn decode<P: Payload>(&self) -> Result<P, DecodeError> {
        decode(self.content_type, self.payload)
    }

    /// Of a payload that was decoded.
    fn content_type(&self) -> ContentType {
        if self.content_type == Some(ContentType::CborZlib.as_str()) {
            ContentType::CborZlib
        } else {
            ContentType::Cbor
        }
    }

    /// The plain bytes of a payload that came as something else.
    fn plain<P: Payload>(&self, payload: &P) -> Option<Vec<u8>> {
        if self.content_type() == ContentType::Cbor {
            return None;
        }
        encode(payload).ok().map(|encoded| encoded.bytes)
    }
}

#[cfg(test)]
pub(crate) mod tests;
