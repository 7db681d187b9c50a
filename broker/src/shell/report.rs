//! What the shell answers to `/health` and `/metrics`: a reading of the cores at this moment.

use tracing::error;

use super::Shell;
use crate::health::{Agents, Broker, Health, Store, Upstream, Word};
use crate::http::Question;
use crate::metrics::{Reading, RelayReading};
use crate::relay::{Condition, ServerCondition};

impl Shell {
    /// Answers a request. One whose asker has gone needs no answer.
    pub(super) fn answer(&mut self, question: Question) {
        match question {
            Question::Health(reply) => {
                let _ = reply.send(self.health());
            }
            Question::Metrics(reply) => {
                self.metrics.repeated(self.fleet.take_repeated());
                match self.metrics.text(&self.reading()) {
                    Ok(text) => {
                        let _ = reply.send(text);
                    }
                    Err(error) => error!("the metrics cannot be written: {error}"),
                }
            }
        }
    }

    fn health(&self) -> Health {
        let summary = self.fleet.summary();
        let failing = self.commits.failing();
        let connected = self.link.works();
        let (upstream, troubled) = self.upstream();
        let ok = connected && failing.is_none() && !troubled;
        Health {
            status: if ok { Word::Ok } else { Word::Degraded },
            broker: Broker { connected, reason: self.link.trouble().map(str::to_owned) },
            store: Store { ok: failing.is_none(), reason: failing.map(str::to_owned) },
            upstream,
            agents: Agents { known: summary.agents, online: summary.online },
            version: crate::VERSION,
        }
    }

    /// The server in words, and whether something is wrong with it.
    fn upstream(&self) -> (Upstream, bool) {
        let Some(relaying) = &self.relaying else {
            return (Upstream { state: "none".to_owned(), reason: None }, false);
        };
        let report = relaying.relay.server(self.clock.now());
        let login = report.login.filter(|login| login.is_trouble());
        let state = match report.condition {
            ServerCondition::Unheard if login.is_none() => "not asked yet",
            ServerCondition::Well if login.is_none() => "ok",
            ServerCondition::Unheard | ServerCondition::Well => "login refused",
            ServerCondition::Unreachable(_) => "unreachable",
            ServerCondition::Failing { .. } => "failing",
            ServerCondition::Wedged => "wedged",
            ServerCondition::Foreign { .. } => "not a server",
            ServerCondition::Denying { .. } => "denying",
        };
        let trouble = report.condition.is_trouble().then(|| report.condition.to_string());
        let reason = trouble.or_else(|| login.map(ToString::to_string));
        let troubled = reason.is_some();
        (Upstream { state: state.to_owned(), reason }, troubled)
    }

    fn reading(&self) -> Reading {
        let summary = self.fleet.summary();
        let mut queues = vec![("store", self.commits.depth()), ("publish", self.link.depth())];
        let mut relays = Vec::new();
        let mut upstream = None;
        if let Some(relaying) = &self.relaying {
            let server = relaying.relay.server(self.clock.now());
            upstream = Some(*server.condition == ServerCondition::Well);
            queues.push(("upstream", server.waiting));
            relays.extend(relaying.relay.agents().map(|(id, report)| RelayReading {
                agent: id.to_string(),
                relayed: *report.condition == Condition::Relayed,
                last_beat: report.last_beat,
            }));
        }
        Reading {
            agents: summary.agents,
            online: summary.online,
            unreachable: summary.unreachable,
            conflicts: summary.conflicts,
            refused: summary.refused,
            gaps: summary.unknown_gaps,
            lost: summary.lost,
            missing: summary.missing,
            decode_errors: summary.decode_errors,
            connected: self.link.works(),
            store_ok: self.commits.failing().is_none(),
            queues,
            upstream,
            relays,
        }
    }
}
