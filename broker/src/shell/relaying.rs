//! Between the relay and the outside: what the relay asks for, and what it is told.

use std::sync::Arc;

use radar_link::secret::Secret;
use radar_link::tasks::Owned;
use radar_link::time::Now;
use radar_wire::enroll::Enroll;
use radar_wire::topic::AgentId;
use tracing::{info, warn};

use super::Shell;
use crate::relay::{Condition, Effect, Outcome, Relay, RequestId, Seen, ServerContainer};
use crate::store::rows::UpstreamRow;
use crate::upstream::Upstream;

/// The relation to the server, where there is one.
pub(super) struct Relaying {
    pub(super) relay: Relay,
    pub(super) upstream: Upstream,
    pub(super) server: Arc<str>,
    pub(super) request: Option<(RequestId, Owned<Outcome>)>,
    /// Agents get a name at the server.
    pub(super) names: bool,
}

impl Shell {
    pub(super) fn handle_answer(&mut self, id: RequestId, outcome: Outcome) {
        let now = self.clock.now();
        if let Some(relaying) = &mut self.relaying {
            relaying.request = None;
            relaying.relay.handle_outcome(id, outcome, now);
        }
    }

    /// Tells the relay of an agent whose presence is known.
    pub(super) fn tell_relay(&mut self, agent: &AgentId, changed: bool, now: Now) {
        let Some(relaying) = &mut self.relaying else { return };
        let Some(view) = self.fleet.view(agent).filter(|view| view.presence.is_some()) else { return };
        let status = if relaying.names { self.fleet.status(agent) } else { None };
        let name = status.as_ref().map_or(agent.as_str(), |status| &status.agent.name);
        relaying.relay.handle_agent(agent, Seen { online: view.online(), name, changed }, now);
    }

    pub(super) fn enroll(&mut self, agent: &AgentId, enroll: Enroll, now: Now) {
        let Some(relaying) = &mut self.relaying else {
            warn!("{agent} brings an enrollment token, but no upstream is set (SERVER_URL)");
            return;
        };
        match enroll.id.parse() {
            Ok(upstream) => {
                let token = Secret::new(enroll.token);
                relaying.relay.handle_enroll_token(agent, upstream, token, now);
            }
            Err(error) => warn!("{agent}: its AGENT_ID cannot be used: {error}"),
        }
    }

    pub(super) fn perform_for_relay(&mut self, effect: Effect, now: Now) {
        let Some(relaying) = &mut self.relaying else { return };
        match effect {
            Effect::Request(request) => {
                let upstream = relaying.upstream.clone();
                let task = Owned::spawn(async move { upstream.perform(request.call).await });
                relaying.request = Some((request.id, task));
            }
            Effect::List(agent) => {
                let known = self.fleet.containers(&agent);
                let list = known.map(|known| known.records.iter().map(ServerContainer::of).collect());
                relaying.relay.handle_list(&agent, list, now);
            }
            Effect::Store(agent, enrollment) => {
                self.commits.account(UpstreamRow { agent, server: Arc::clone(&relaying.server), enrollment });
            }
            Effect::Agent(agent, Condition::Relayed) => {
                let containers = relaying.relay.agent(&agent).map_or(0, |report| report.containers);
                let plural = if containers == 1 { "" } else { "s" };
                info!("{agent} is at the server, {containers} container{plural}");
            }
            Effect::Agent(agent, condition) => say(condition.is_trouble(), &format!("{agent}: {condition}")),
            Effect::Server(condition) => say(condition.is_trouble(), &format!("server: {condition}")),
            Effect::Login(condition) => say(condition.is_trouble(), &format!("server login: {condition}")),
        }
    }
}

fn say(trouble: bool, text: &str) {
    if trouble {
        warn!("{text}");
    } else {
        info!("{text}");
    }
}
