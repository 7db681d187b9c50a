//! The login as a user of the server's page, by which agents are made there. An agent made here carries a tag
//! that names this installation and the agent. That bounds what a crash between the making and the storing of
//! its answer can leave behind: before another one is made the server's list is read, and one that has the tag
//! but was never used is deleted.

use std::time::Duration;

use radar_link::secret::Secret;
use radar_wire::topic::AgentId;

use super::call::{Call, Listed};
use super::condition::LoginCondition;
use super::enrollment::UpstreamId;

/// The server's list is read again after this time.
const LIST_AGE: Duration = Duration::from_secs(60);
/// A refused login is tried again after this time: the password may have been changed at the server.
const REFUSED: Duration = Duration::from_secs(300);
/// A user of the server's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// `SERVER_USERNAME`.
    pub username: String,
    /// `SERVER_PASSWORD`.
    pub password: Secret,
}

/// What is known of the login.
#[derive(Debug)]
pub(super) struct Web {
    login: Login,
    origin: String,
    token: Option<Secret>,
    /// Those in the server's list that carry a tag of this installation, and when it was read.
    ours: Option<(Duration, Vec<Listed>)>,
    /// The token was renewed after a refusal, so the next refusal counts.
    renewed: bool,
    /// No call before.
    pub(super) hold: Duration,
    pub(super) condition: LoginCondition,
}

/// What is to be done for an agent that has no account.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Provision {
    /// This call comes next.
    Call(Call),
    /// The server has one that was made for it and is in use.
    Taken(UpstreamId),
}

impl Web {
    pub(super) const fn new(login: Login, origin: String) -> Self {
        Self {
            login,
            origin,
            token: None,
            ours: None,
            renewed: false,
            hold: Duration::ZERO,
            condition: LoginCondition::Unused,
        }
    }

    /// The next step on the way to an agent at the server.
    pub(super) fn provision(&self, agent: &AgentId, name: Option<&str>, mono: Duration) -> Provision {
        let Some(web) = self.token.clone() else {
            let Login { username, password } = self.login.clone();
            return Provision::Call(Call::Login { username, password });
        };
        let tag = self.tag(agent);
        let listed = self.ours.as_ref().filter(|(read, _)| mono.saturating_sub(*read) <= LIST_AGE);
        let Some((_, listed)) = listed else { return Provision::Call(Call::Agents { web }) };
        let mut made: Vec<_> = listed.iter().filter(|listed| listed.tags.contains(&tag)).collect();
        made.sort_by_key(|listed| !listed.seen);
        match made.first() {
            Some(Listed { upstream, seen: true, .. }) => Provision::Taken(upstream.clone()),
            Some(Listed { upstream, .. }) => Provision::Call(Call::Delete { web, upstream: upstream.clone() }),
            None => {
                let name = name.filter(|name| !name.trim().is_empty()).unwrap_or(agent.as_str()).to_owned();
                Provision::Call(Call::Create { web, name, tag })
            }
        }
    }

    /// What no answer can undo: a call that may have been performed without our knowing.
    pub(super) fn forget_list(&mut self) {
        self.ours = None;
    }

    pub(super) fn logged_in(&mut self, web: Secret) -> bool {
        self.token = Some(web);
        self.become_condition(LoginCondition::Well)
    }

    pub(super) fn listed(&mut self, agents: Vec<Listed>, mono: Duration) {
        self.renewed = false;
        let ours = format!("radar-edge:{}:", self.origin);
        let mut agents = agents;
        agents.retain(|listed| listed.tags.iter().any(|tag| tag.starts_with(&ours)));
        self.ours = Some((mono, agents));
    }

    pub(super) fn created(&mut self, agent: &AgentId, upstream: UpstreamId) {
        self.renewed = false;
        let tags = vec![self.tag(agent)];
        if let Some((_, ours)) = &mut self.ours {
            ours.push(Listed { upstream, tags, seen: false });
        }
    }

    pub(super) fn deleted(&mut self, upstream: &UpstreamId) {
        self.renewed = false;
        if let Some((_, ours)) = &mut self.ours {
            ours.retain(|listed| listed.upstream != *upstream);
        }
    }

    /// The token was refused: once it is renewed, then the login counts as refused. True when the condition has
    /// changed.
    pub(super) fn denied(&mut self, error: String, mono: Duration) -> bool {
        self.token = None;
        if std::mem::replace(&mut self.renewed, true) {
            self.renewed = false;
            return self.refused(LoginCondition::Refused(error), mono);
        }
        false
    }

    /// The login itself was refused. True when the condition has changed.
    pub(super) fn refused(&mut self, condition: LoginCondition, mono: Duration) -> bool {
        self.token = None;
        self.hold = mono + REFUSED;
        self.become_condition(condition)
    }

    fn become_condition(&mut self, condition: LoginCondition) -> bool {
        let changed = !self.condition.same_kind(&condition);
        self.condition = condition;
        changed
    }

    fn tag(&self, agent: &AgentId) -> String {
        format!("radar-edge:{}:{agent}", self.origin)
    }
}
