//! What an agent does when it is due, one request at a time: enroll, or ask for the list, exchange the secret,
//! beat.

use std::time::Duration;

use radar_link::time::Now;
use radar_wire::topic::AgentId;

use super::agent::Saved;
use super::call::{Call, Request, RequestId};
use super::condition::Condition;
use super::container::{Sendable, ServerContainer};
use super::enrollment::{Standing, Told, UpstreamId};
use super::web::Provision;
use super::{Effect, Relay, body, pace};

/// The queue counts as late when an agent waited this long although the gate was open.
const LATE: Duration = Duration::from_secs(5);
/// An account that the server has but we cannot open is looked for again after this time.
const TAKEN: Duration = Duration::from_secs(600);

/// The agent whose turn it is, and since when.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) agent: AgentId,
    pub(super) due: Duration,
}

/// The request that is on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) id: RequestId,
    pub(super) turn: Turn,
    pub(super) purpose: Purpose,
    /// The agent was purged meanwhile.
    pub(super) void: bool,
}

/// What a request is for.
#[derive(Debug)]
pub(super) enum Purpose {
    Enroll,
    /// An access token for this beat.
    Token(Beat, String),
    Beat(Beat),
    Login,
    Agents,
    Create,
    Delete(UpstreamId),
}

/// What a heartbeat says, beside its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    pub(super) online: bool,
    pub(super) containers: usize,
    pub(super) left_out: usize,
}

impl Relay {
    /// Gives turns until something is on its way or nobody is due.
    pub(super) fn advance(&mut self, now: Now) {
        while self.flight.is_none() && self.asked.is_none() && self.gate.until <= now.mono {
            if self.queue.first().is_none_or(|(due, _)| *due > now.mono) {
                return;
            }
            let Some((due, agent)) = self.queue.pop_first() else { return };
            self.late = now.mono.saturating_sub(due.max(self.gate.until)) > LATE;
            self.take_turn(Turn { agent, due }, now);
        }
    }

    fn take_turn(&mut self, turn: Turn, now: Now) {
        let Some(agent) = self.agents.get_mut(&turn.agent) else { return };
        agent.take_turn(now);
        if agent.saved == Saved::Failed {
            self.save(&turn.agent);
            self.plan(&turn.agent, now.mono);
            return;
        }
        let Some(enrollment) = agent.enrollment.as_deref() else { return self.provision(turn, now) };
        let note = || enrollment.note.clone();
        let end = match enrollment.standing {
            Standing::Granted => {
                let Some(token) = enrollment.token.clone() else { return };
                let call = Call::Enroll { upstream: enrollment.upstream.clone(), token };
                return self.request(turn, Purpose::Enroll, call);
            }
            Standing::Enrolled => {
                let news = match agent.online {
                    None => return,
                    Some(online) => online || agent.news || !enrollment.told.offline,
                };
                if news {
                    self.effects.push_back(Effect::List(turn.agent.clone()));
                    self.asked = Some(turn);
                    return;
                }
                Condition::Relayed
            }
            Standing::TokenRefused => Condition::TokenRefused(note()),
            Standing::SecretRefused => Condition::SecretRefused(note()),
            Standing::Deleted => Condition::Deleted,
        };
        self.become_condition(&turn.agent, end);
    }

    /// The answer to [`Effect::List`]: the agent's containers as they were last known, whether or not it and
    /// its engine can be reached now; `None` when they were never known.
    pub fn handle_list(&mut self, id: &AgentId, list: Option<Vec<ServerContainer>>, now: Now) {
        if let Some(turn) = self.asked.take_if(|turn| turn.agent == *id) {
            self.beat(turn, list, now);
            self.take_offer(id, now);
        }
        self.advance(now);
    }

    fn beat(&mut self, turn: Turn, list: Option<Vec<ServerContainer>>, now: Now) {
        let Some(agent) = self.agents.get_mut(&turn.agent) else { return };
        let Some(enrollment) = agent.enrollment.as_deref_mut() else { return };
        let online = agent.online == Some(true);
        // For a host of which the server holds nothing, the empty list changes nothing.
        let list = list.or_else(|| (!online && enrollment.told.empty).then(Vec::new));
        let Some(list) = list else {
            let condition = if online { Condition::Waiting } else { Condition::Unlisted };
            return self.skip(&turn.agent, condition, now);
        };
        let Sendable { containers, left_out } = Sendable::of(list);
        if containers.is_empty() && left_out > 0 {
            return self.skip(&turn.agent, Condition::Unsendable { left_out }, now);
        }
        let text = match body::heartbeat(&enrollment.upstream, online, &containers, now.wall) {
            Ok(text) => text,
            Err(body::TooLarge { bytes }) => {
                let condition = Condition::TooLarge { containers: containers.len(), bytes };
                return self.skip(&turn.agent, condition, now);
            }
        };
        let told =
            Told { offline: enrollment.told.offline && !online, empty: enrollment.told.empty && containers.is_empty() };
        if told != enrollment.told {
            enrollment.told = told;
            self.plan(&turn.agent, turn.due);
            self.save(&turn.agent);
            return;
        }
        let beat = Beat { online, containers: containers.len(), left_out };
        let Some(secret) = enrollment.secret.clone() else { return };
        let upstream = enrollment.upstream.clone();
        match agent.usable_access(self.late, now) {
            Some(access) => {
                let call = Call::Beat { access: access.token.clone(), body: text };
                self.request(turn, Purpose::Beat(beat), call);
            }
            None => self.request(turn, Purpose::Token(beat, text), Call::Token { upstream, secret }),
        }
    }

    /// Says nothing to the server this time. An agent that is there is looked at again.
    fn skip(&mut self, id: &AgentId, condition: Condition, now: Now) {
        self.become_condition(id, condition);
        if self.agents.get(id).is_some_and(|agent| agent.online == Some(true)) {
            self.plan_beat(id, now);
        }
    }

    /// The next beat by the server's interval.
    pub(super) fn plan_beat(&mut self, id: &AgentId, now: Now) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.beats = agent.beats.wrapping_add(1);
        let wait = pace::spread(self.interval, id.as_str(), agent.beats);
        self.plan(id, now.mono + wait);
    }

    fn provision(&mut self, turn: Turn, now: Now) {
        let (Some(agent), Some(web)) = (self.agents.get(&turn.agent), self.web.as_ref()) else {
            return self.become_condition(&turn.agent, Condition::Unenrolled);
        };
        if agent.online != Some(true) {
            return;
        }
        if now.mono < web.hold {
            let until = web.hold;
            return self.plan(&turn.agent, until);
        }
        match web.provision(&turn.agent, agent.name.as_deref(), now.mono) {
            Provision::Taken(upstream) => {
                self.become_condition(&turn.agent, Condition::Taken(upstream.to_string()));
                self.plan(&turn.agent, now.mono + TAKEN);
            }
            Provision::Call(call) => {
                let purpose = match &call {
                    Call::Agents { .. } => Purpose::Agents,
                    Call::Create { .. } => Purpose::Create,
                    Call::Delete { upstream, .. } => Purpose::Delete(upstream.clone()),
                    _ => Purpose::Login,
                };
                self.request(turn, purpose, call);
            }
        }
    }

    pub(super) fn request(&mut self, turn: Turn, purpose: Purpose, call: Call) {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.flight = Some(Flight { id, turn, purpose, void: false });
        self.effects.push_back(Effect::Request(Request { id, call }));
    }
}
