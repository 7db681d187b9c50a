//! What the shell answers to the HTTP API: a look at what the cores know, of many agents a part at a time.

use std::ops::Bound;

use super::Shell;
use crate::fleet::AgentView;
use crate::http::api::{Agent, Host, Question};
use crate::store::rows::CommandRow;

/// Agents that are told of at a time, and with their containers, so that the loop goes on between.
const AGENTS: usize = 200;
const HOSTS: usize = 20;

impl Shell {
    /// Answers a question. One whose asker has gone needs no answer.
    pub(super) fn handle_question(&mut self, question: Question) {
        match question {
            Question::Agents(after, reply) => {
                let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                let agents = self.fleet.views_from(from).take(AGENTS).map(|view| self.agent(view));
                let _ = reply.send(agents.collect());
            }
            Question::Agent(id, reply) => {
                let _ = reply.send(self.fleet.view(&id).map(|view| self.agent(view)));
            }
            Question::Hosts(from, reply) => {
                let from = from.as_ref().map_or(Bound::Unbounded, Bound::Included);
                let _ = reply.send(self.fleet.views_from(from).take(HOSTS).map(|view| self.host(view)).collect());
            }
            Question::Host(id, reply) => {
                let _ = reply.send(self.fleet.view(&id).map(|view| self.host(view)));
            }
            Question::Command(asked) => self.handle_asked(asked),
            Question::Follow(asked) => self.handle_stream_asked(asked),
            Question::Row(jti, reply) => {
                let _ = reply.send(self.row(&jti));
            }
            Question::Unstored(reply) => {
                let _ = reply.send(self.commits.unstored().cloned().collect());
            }
            Question::Watch(jti, news, reply) => {
                if self.commands.core.get(&jti).is_some() {
                    self.commands.wait(&jti, news);
                }
                let _ = reply.send(self.row(&jti));
            }
        }
    }

    fn agent(&self, view: AgentView) -> Agent {
        let status = self.fleet.status(&view.id);
        Agent::of(view, status)
    }

    fn host(&self, view: AgentView) -> Host {
        let known = self.fleet.containers(&view.id);
        let online = view.online();
        let AgentView { id: agent, last_heard: heard, .. } = view;
        let complete = known.as_ref().is_some_and(|known| known.complete);
        Host { agent, online, heard, complete, records: known.map(|known| known.records).unwrap_or_default() }
    }

    /// A command that the store may not have as it is yet.
    fn row(&self, jti: &str) -> Option<CommandRow> {
        self.commands.core.get(jti).or_else(|| self.commits.unstored().find(|row| &*row.jti == jti)).cloned()
    }
}
