//! The relation to one Registry Radar server, for all agents: who has an account there, whose heartbeat is due,
//! what the server's answers mean. A pure core: it reads no clock, opens no connection and keeps no list of
//! containers; the shell performs its [`Effect`]s and hands it what came of them.
//!
//! Invariants, each of which keeps the server's database whole or the truth on its page:
//! - one request is in flight, whatever the number of agents ([`Effect::Request`]);
//! - a heartbeat holds the whole list, each record complete, or is not sent (`body`, `container`);
//! - an empty list is sent when the engine has none, and never in place of an unknown one;
//! - a refresh secret is on the disk before it is used, and while it works nothing enrolls again;
//! - a failure that is the server's pauses all agents, one that is an agent's pauses that agent alone (`gate`).
//!
//! Reading order: here what comes in; `turn` is what an agent does when it is due, `outcome` what the
//! answers change; `agent`, `gate` and `web` hold the state.

mod agent;
mod body;
mod call;
mod condition;
mod container;
mod enrollment;
mod gate;
mod outcome;
mod pace;
mod report;
mod turn;
mod web;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use radar_link::secret::Secret;
use radar_link::time::Now;
use radar_wire::topic::AgentId;

pub use self::call::{Access, Answer, Call, Failure, Listed, Outcome, Request, RequestId};
pub use self::condition::{Condition, LoginCondition, ServerCondition};
pub use self::container::ServerContainer;
pub use self::enrollment::{Credential, Enrollment, Standing, Told, UpstreamId, UpstreamIdError};
pub use self::report::{AgentReport, ServerReport};
pub use self::web::Login;

use self::agent::{Agent, Saved};
use self::gate::Gate;
use self::turn::{Flight, Turn};
use self::web::Web;

/// An agent without an account waits this long for its token before an account is made for it.
const GRACE: Duration = Duration::from_secs(5);

/// What the operator has set.
#[derive(Debug, Clone, Default)]
pub struct RelaySettings {
    /// Accounts that the operator gives to agents.
    pub grants: Vec<Grant>,
    /// The login by which accounts are made for agents that have none.
    pub login: Option<Login>,
    /// Names this installation for ever; it marks the accounts that are made by the login.
    pub origin: String,
}

/// An account that the operator gives to an agent. It wins over what the agent brings.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Whose account it is.
    pub agent: AgentId,
    /// The account.
    pub upstream: UpstreamId,
    /// What opens it.
    pub credential: Credential,
}

/// What is known of an agent's presence.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Whether it is connected.
    pub online: bool,
    /// The name to show.
    pub name: &'a str,
    /// Its containers have changed, or have become known.
    pub changed: bool,
}

/// What the relay asks of its shell. To be performed in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Perform this and hand its outcome to [`Relay::handle_outcome`]; no other follows before.
    Request(Request),
    /// Hand the agent's containers to [`Relay::handle_list`], at once.
    List(AgentId),
    /// Make this durable, readable by its owner only, and say so to [`Relay::handle_stored`]. Until then
    /// nothing is requested for the agent.
    Store(AgentId, Enrollment),
    /// An agent's condition has changed.
    Agent(AgentId, Condition),
    /// The server's condition has changed.
    Server(ServerCondition),
    /// The login's condition has changed.
    Login(LoginCondition),
}

/// The relation to one server.
#[derive(Debug)]
pub struct Relay {
    grants: BTreeMap<AgentId, (UpstreamId, Credential)>,
    web: Option<Web>,
    agents: BTreeMap<AgentId, Agent>,
    /// Who is due when. An agent that waits for the store is not in it.
    queue: BTreeSet<(Duration, AgentId)>,
    flight: Option<Flight>,
    asked: Option<Turn>,
    /// The server does not keep up with the queue.
    late: bool,
    gate: Gate,
    interval: Duration,
    requests: u64,
    effects: VecDeque<Effect>,
}

impl Relay {
    /// A relation that goes on from what was stored.
    pub fn new(settings: RelaySettings, restored: impl IntoIterator<Item = (AgentId, Enrollment)>) -> Self {
        let RelaySettings { grants, login, origin } = settings;
        Self {
            grants: grants.into_iter().map(|grant| (grant.agent, (grant.upstream, grant.credential))).collect(),
            web: login.map(|login| Web::new(login, origin)),
            agents: restored.into_iter().map(|(id, stored)| (id, Agent::new(Some(stored)))).collect(),
            queue: BTreeSet::new(),
            flight: None,
            asked: None,
            late: false,
            gate: Gate::new(),
            interval: pace::INTERVAL,
            requests: 0,
            effects: VecDeque::new(),
        }
    }

    /// An agent came, went or changed. Its presence must be known: an agent that was not heard of yet is left
    /// alone until then.
    pub fn handle_agent(&mut self, id: &AgentId, seen: Seen<'_>, now: Now) {
        let agent = self.agents.entry(id.clone()).or_insert_with(|| Agent::new(None));
        let before = agent.online.replace(seen.online);
        let moved = before != Some(seen.online);
        let news = matches!(agent.condition, Condition::Waiting | Condition::Unlisted | Condition::Unsendable { .. });
        if agent.enrollment.is_none() {
            agent.name = self.web.is_some().then(|| seen.name.into());
            if moved {
                self.plan(id, now.mono + GRACE);
            }
        } else if moved || (seen.changed && news) {
            let due = agent.presence_due(now);
            self.plan(id, due);
        } else if seen.changed {
            agent.news = true;
            let due = agent.early_due(now);
            self.plan(id, due);
        }
        if before.is_none()
            && let Some((upstream, credential)) = self.grants.get(id).cloned()
        {
            self.offer(id, upstream, credential, now);
        }
        self.advance(now);
    }

    /// An agent brought the token that its user was given. Where the operator gave it another account, or its
    /// secret works, nothing happens.
    pub fn handle_enroll_token(&mut self, id: &AgentId, upstream: UpstreamId, token: Secret, now: Now) {
        if self.grants.get(id).is_some_and(|(granted, _)| *granted != upstream) {
            return;
        }
        self.agents.entry(id.clone()).or_insert_with(|| Agent::new(None));
        self.offer(id, upstream, Credential::Token(token), now);
        self.advance(now);
    }

    /// The answer to [`Effect::Store`].
    pub fn handle_stored(&mut self, id: &AgentId, durable: bool, now: Now) {
        let Some(agent) = self.agents.get_mut(id).filter(|agent| agent.saved == Saved::Asked) else { return };
        if durable {
            agent.saved = Saved::Yes;
            agent.store_failures = 0;
            if let Some(due) = agent.due {
                self.queue.insert((due, id.clone()));
            }
            self.take_offer(id, now);
        } else {
            agent.saved = Saved::Failed;
            agent.store_failures = agent.store_failures.saturating_add(1);
            agent.due = None;
            let wait = pace::backoff(agent.store_failures, Duration::from_secs(1), Duration::from_secs(60));
            self.plan(id, now.mono + wait);
        }
        self.advance(now);
    }

    /// An agent's rows and topics were cleared: it is as if it had never been.
    pub fn handle_purged(&mut self, id: &AgentId, now: Now) {
        if let Some(agent) = self.agents.remove(id)
            && let Some(due) = agent.due
        {
            self.queue.remove(&(due, id.clone()));
        }
        if let Some(flight) = self.flight.as_mut().filter(|flight| flight.turn.agent == *id) {
            flight.void = true;
        }
        self.asked.take_if(|turn| turn.agent == *id);
        if let Some(web) = &mut self.web {
            web.forget_list();
        }
        self.advance(now);
    }

    /// The time that [`Relay::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Now) {
        self.advance(now);
    }

    /// When [`Relay::handle_timeout`] is wanted, as monotonic time.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.flight.is_some() || self.asked.is_some() {
            return None;
        }
        self.queue.first().map(|(due, _)| (*due).max(self.gate.until))
    }

    /// What is to be done next.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Brings an agent's turn forward to `due`, or gives it one.
    fn plan(&mut self, id: &AgentId, due: Duration) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        let due = due.max(agent.hold);
        if agent.due.is_some_and(|planned| planned <= due) {
            return;
        }
        let before = agent.due.replace(due);
        if agent.saved != Saved::Asked {
            if let Some(before) = before {
                self.queue.remove(&(before, id.clone()));
            }
            self.queue.insert((due, id.clone()));
        }
    }

    /// Gives an agent no turn before `until`, and one then.
    fn hold(&mut self, id: &AgentId, until: Duration) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.hold = until;
        if let Some(before) = agent.due.take() {
            self.queue.remove(&(before, id.clone()));
        }
        self.plan(id, until);
    }

    /// Asks the store to keep an agent's account; its turn waits.
    fn save(&mut self, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        let Some(enrollment) = agent.enrollment.as_deref() else { return };
        agent.saved = Saved::Asked;
        if let Some(due) = agent.due {
            self.queue.remove(&(due, id.clone()));
        }
        self.effects.push_back(Effect::Store(id.clone(), enrollment.clone()));
    }

    /// Takes a credential that says anything new, or keeps it until the agent is idle: two enrollments at
    /// once would void each other's secret.
    fn offer(&mut self, id: &AgentId, upstream: UpstreamId, credential: Credential, now: Now) {
        let in_use = |turn: &Turn| turn.agent == *id;
        let busy =
            self.flight.as_ref().is_some_and(|flight| in_use(&flight.turn)) || self.asked.as_ref().is_some_and(in_use);
        let Some(agent) = self.agents.get_mut(id) else { return };
        if busy || agent.saved == Saved::Asked {
            agent.offer = Some(Box::new((upstream, credential)));
        } else if agent.wants(&upstream, &credential) {
            agent.enrollment = Some(Box::new(Enrollment::granted(upstream, credential)));
            agent.name = None;
            agent.access = None;
            agent.renewed = false;
            agent.failures = 0;
            agent.hold = Duration::ZERO;
            self.become_condition(id, Condition::Enrolling);
            self.plan(id, now.mono);
            self.save(id);
        }
    }

    fn take_offer(&mut self, id: &AgentId, now: Now) {
        let offer = self.agents.get_mut(id).and_then(|agent| agent.offer.take());
        if let Some((upstream, credential)) = offer.map(|offer| *offer) {
            self.offer(id, upstream, credential, now);
        }
    }

    fn become_condition(&mut self, id: &AgentId, condition: Condition) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        if !agent.condition.same_kind(&condition) {
            self.effects.push_back(Effect::Agent(id.clone(), condition.clone()));
        }
        agent.condition = condition;
    }
}
