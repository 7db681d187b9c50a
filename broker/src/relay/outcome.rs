//! What the server's answers change.

use std::time::Duration;

use radar_link::time::Now;
use radar_wire::topic::AgentId;

use super::agent::LastBeat;
use super::call::{Answer, Call, Failure, Outcome, RequestId};
use super::condition::{Condition, LoginCondition};
use super::enrollment::{Credential, Enrollment, Standing, Told};
use super::pace::{self, backoff};
use super::turn::{Beat, Flight, Purpose, Turn};
use super::{Effect, Relay};

/// An agent whose call failed waits, so that the others have their turns.
const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(60);
/// A heartbeat that the server does not take as it stands is tried again after this time, then doubled.
const REJECTED: Duration = Duration::from_secs(60);
const REJECTED_MOST: Duration = Duration::from_secs(1800);

impl Relay {
    /// How a request ended. Owed once for each [`Effect::Request`].
    pub fn handle_outcome(&mut self, request: RequestId, outcome: Outcome, now: Now) {
        let Some(Flight { turn, purpose, void, .. }) = self.flight.take_if(|flight| flight.id == request) else {
            return;
        };
        if !void {
            let id = turn.agent.clone();
            match purpose {
                Purpose::Enroll => self.enrolled(turn, outcome, now),
                Purpose::Token(beat, body) => self.exchanged(turn, beat, body, outcome, now),
                Purpose::Beat(beat) => self.beaten(turn, beat, outcome, now),
                web => self.provisioned(turn, &web, outcome, now),
            }
            self.take_offer(&id, now);
        }
        self.advance(now);
    }

    fn enrolled(&mut self, turn: Turn, outcome: Outcome, now: Now) {
        match outcome {
            Outcome::Answer(Answer::Enrolled { access, secret }) => {
                self.answered();
                let Some(agent) = self.agents.get_mut(&turn.agent) else { return };
                let Some(enrollment) = agent.enrollment.as_deref_mut() else { return };
                enrollment.standing = Standing::Enrolled;
                enrollment.secret = Some(secret);
                enrollment.told.offline = true;
                agent.access = Some(Box::new((now.mono, access)));
                self.plan(&turn.agent, now.mono);
                self.save(&turn.agent);
            }
            Outcome::Refused { status: 400, error } if error == "Not enrolled or already used" => {
                self.end(&turn.agent, Standing::TokenRefused, error);
            }
            Outcome::Refused { status: 401, error } if error == "Invalid enrollment token" => {
                self.end(&turn.agent, Standing::TokenRefused, error);
            }
            other => self.failed(turn, other, now),
        }
    }

    fn exchanged(&mut self, turn: Turn, beat: Beat, body: String, outcome: Outcome, now: Now) {
        match outcome {
            Outcome::Answer(Answer::Token(access)) => {
                let token = access.token.clone();
                let Some(agent) = self.agents.get_mut(&turn.agent) else { return };
                agent.access = Some(Box::new((now.mono, access)));
                self.request(turn, Purpose::Beat(beat), Call::Beat { access: token, body });
            }
            Outcome::Refused { status: 401, error } if error == "No refresh secret on file" => {
                self.end(&turn.agent, Standing::Deleted, error);
            }
            Outcome::Refused { status: 401, error } if error == "Invalid refresh secret" => {
                self.end(&turn.agent, Standing::SecretRefused, error);
            }
            other => self.failed(turn, other, now),
        }
    }

    fn beaten(&mut self, turn: Turn, beat: Beat, outcome: Outcome, now: Now) {
        let Some(agent) = self.agents.get_mut(&turn.agent) else { return };
        match outcome {
            Outcome::Answer(Answer::Beat { interval }) => self.accepted(&turn.agent, beat, interval, now),
            Outcome::Refused { status: 401, error } => {
                agent.access = None;
                if std::mem::replace(&mut agent.renewed, true) {
                    agent.renewed = false;
                    self.failed(turn, Outcome::Refused { status: 401, error }, now);
                } else {
                    self.plan(&turn.agent, turn.due);
                }
            }
            Outcome::Refused { status: status @ (400 | 413 | 422), error } => {
                self.rejected(&turn.agent, format!("status {status}: {error}"), now);
            }
            Outcome::Failed(Failure::Rejected { status: 413 }) => {
                let text = "status 413: larger than the server, or a proxy before it, takes";
                self.rejected(&turn.agent, text.to_owned(), now);
            }
            Outcome::Failed(Failure::Rejected { status }) => {
                self.rejected(&turn.agent, format!("status {status}"), now);
            }
            Outcome::Failed(failure @ Failure::Server { .. }) => {
                self.hold_back(&turn.agent, now);
                self.trouble(failure, true, now);
            }
            other => self.failed(turn, other, now),
        }
    }

    fn accepted(&mut self, id: &AgentId, beat: Beat, interval: Option<f64>, now: Now) {
        if self.gate.beat_accepted() {
            self.effects.push_back(Effect::Server(self.gate.condition.clone()));
        }
        if let Some(interval) = interval.and_then(pace::interval) {
            self.interval = interval;
        }
        let late = self.late;
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.failures = 0;
        agent.hold = Duration::ZERO;
        agent.renewed = false;
        // A change since the list was taken has planned another turn.
        agent.news &= agent.due.is_some();
        agent.last = Some(LastBeat { wall: now.wall, containers: beat.containers, left_out: beat.left_out });
        agent.access.take_if(|_| !late);
        let mut news = false;
        if let Some(enrollment) = agent.enrollment.as_deref_mut() {
            let told = Told { offline: !beat.online, empty: beat.containers == 0 };
            news = std::mem::replace(&mut enrollment.told, told) != told;
        }
        if agent.online == Some(true) {
            self.plan_beat(id, now);
        }
        self.become_condition(id, Condition::Relayed);
        if news {
            self.save(id);
        }
    }

    fn provisioned(&mut self, turn: Turn, purpose: &Purpose, outcome: Outcome, now: Now) {
        let Some(web) = &mut self.web else { return };
        let answered = matches!(outcome, Outcome::Answer(_));
        let news = match (purpose, outcome) {
            (Purpose::Login, Outcome::Answer(Answer::Login { first_login: true, .. })) => {
                web.refused(LoginCondition::FirstLogin, now.mono)
            }
            (Purpose::Login, Outcome::Answer(Answer::Login { web: token, .. })) => web.logged_in(token),
            (Purpose::Login, Outcome::Refused { status: 400 | 401, error }) => {
                web.refused(LoginCondition::Refused(error), now.mono)
            }
            (Purpose::Agents, Outcome::Answer(Answer::Agents(agents))) => {
                web.listed(agents, now.mono);
                false
            }
            (Purpose::Delete(upstream), Outcome::Answer(Answer::Deleted)) => {
                web.deleted(upstream);
                false
            }
            (Purpose::Create, Outcome::Answer(Answer::Created { upstream, token })) => {
                web.created(&turn.agent, upstream.clone());
                if let Some(agent) = self.agents.get_mut(&turn.agent) {
                    let mut made = Enrollment::granted(upstream, Credential::Token(token));
                    made.told = Told { offline: true, empty: true };
                    agent.enrollment = Some(Box::new(made));
                    agent.name = None;
                }
                self.save(&turn.agent);
                false
            }
            (_, Outcome::Refused { status: 401, error }) => {
                web.forget_list();
                web.denied(error, now.mono)
            }
            (Purpose::Create, Outcome::Refused { status: 400, error }) => {
                return self.rejected(&turn.agent, error, now);
            }
            (_, other) => {
                // It may have been performed all the same.
                web.forget_list();
                return self.failed(turn, other, now);
            }
        };
        if news && let Some(web) = &self.web {
            self.effects.push_back(Effect::Login(web.condition.clone()));
        }
        if answered {
            self.answered();
        }
        self.plan(&turn.agent, now.mono);
    }

    /// An account has come to an end that only a new credential changes.
    fn end(&mut self, id: &AgentId, standing: Standing, note: String) {
        self.answered();
        let Some(agent) = self.agents.get_mut(id) else { return };
        let Some(enrollment) = agent.enrollment.as_deref_mut() else { return };
        enrollment.standing = standing;
        enrollment.note.clone_from(&note);
        agent.access = None;
        let condition = match standing {
            Standing::Deleted => Condition::Deleted,
            Standing::SecretRefused => Condition::SecretRefused(note),
            _ => Condition::TokenRefused(note),
        };
        self.become_condition(id, condition);
        self.save(id);
    }

    /// The server does not take what this agent has to say; that is no reason to pause the others.
    fn rejected(&mut self, id: &AgentId, text: String, now: Now) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.failures = agent.failures.saturating_add(1);
        let wait = backoff(agent.failures, REJECTED, REJECTED_MOST);
        self.hold(id, now.mono + wait);
        self.become_condition(id, Condition::Rejected(text));
    }

    /// The call came to nothing: the server is left in peace for a while. Then it is this agent's turn again
    /// when the server was away, and the others' first when this agent's call may be the cause.
    fn failed(&mut self, turn: Turn, outcome: Outcome, now: Now) {
        if let Outcome::Failed(Failure::Unreachable(_)) = &outcome {
            self.plan(&turn.agent, turn.due);
        } else {
            self.hold_back(&turn.agent, now);
        }
        match outcome {
            Outcome::Failed(failure) => self.trouble(failure, false, now),
            Outcome::Refused { status, error } => {
                if self.gate.deny(status, error, now.mono) {
                    self.effects.push_back(Effect::Server(self.gate.condition.clone()));
                }
            }
            Outcome::Answer(_) => {
                let text = "an answer to another question".to_owned();
                self.trouble(Failure::Foreign { status: 200, text }, false, now);
            }
        }
    }

    fn hold_back(&mut self, id: &AgentId, now: Now) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.failures = agent.failures.saturating_add(1);
        let wait = backoff(agent.failures, FIRST, MOST);
        self.hold(id, now.mono + wait);
    }

    fn trouble(&mut self, failure: Failure, beat: bool, now: Now) {
        if self.gate.fail(failure, beat, now.mono) {
            self.effects.push_back(Effect::Server(self.gate.condition.clone()));
        }
    }

    fn answered(&mut self) {
        if self.gate.answered() {
            self.effects.push_back(Effect::Server(self.gate.condition.clone()));
        }
    }
}
