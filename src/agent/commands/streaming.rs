//! Commands that do not wait in a container's queue: a log, which may take hours, samples, and the end of these. They are
//! noted, accepted and told like all others.

use radar_link::mqtt::Delivery;
use radar_link::time::Now;
use radar_wire::command::Progress;

use super::super::streams::{self, Chunk, MOST};
use super::task::Task;
use super::{Accepted, Commands, Effect};

impl Commands {
    /// The agent is about to end, and log streams before it.
    pub(in crate::agent) fn handle_stop(&mut self, now: Now) {
        self.streams.handle_stop();
        self.follow_streams(now);
    }

    /// The next chunk of a log that can be published.
    pub(in crate::agent) fn next_chunk(&mut self, now: Now) -> Option<Chunk> {
        let chunk = self.streams.next_chunk(now.mono);
        self.follow_streams(now);
        chunk
    }

    /// What the broker says of a stream's chunk.
    pub(in crate::agent) fn handle_chunk(&mut self, ticket: u64, outcome: Delivery, now: Now) {
        self.streams.handle_delivered(ticket, outcome, now.mono);
        self.follow_streams(now);
    }

    /// A stream's chunk was not taken for publishing, and goes again.
    pub(in crate::agent) fn handle_chunk_not_taken(&mut self, ticket: u64) {
        self.streams.handle_not_taken(ticket);
    }

    /// A stream's chunk is larger than the broker takes.
    pub(in crate::agent) fn handle_chunk_too_large(&mut self, ticket: u64, now: Now) {
        self.streams.handle_too_large(ticket);
        self.follow_streams(now);
    }

    /// Refuses a log stream beyond those that there may be.
    pub(super) fn check_streams(&self, task: &Task) -> Result<(), String> {
        let is_log = |task: &Task| matches!(task, Task::Log(..));
        let open = self.streams.len() + self.fresh.iter().filter(|fresh| is_log(&fresh.task)).count();
        if is_log(task) && open >= MOST {
            return Err(format!("busy: {MOST} logs are told already; end one of them"));
        }
        Ok(())
    }

    /// Begins what waits for nothing, once it is noted.
    pub(super) fn begin(&mut self, accepted: Accepted, now: Now) {
        match accepted.task {
            Task::Act(_) | Task::Update(_) => {}
            Task::Sample(ask) => self.ask_samples(&accepted.jti, ask, now),
            Task::Log(act, asked) => {
                self.tickets += 1;
                self.streams.open(self.tickets, accepted.jti, asked, now.mono);
                self.effects.push_back(Effect::Act { ticket: self.tickets, act });
            }
            Task::Cancel(jti) => {
                let (state, reason) = match self.streams.cancel(&jti) || self.sampling.cancel(&jti, now.mono) {
                    true => (Progress::Succeeded, None),
                    false => (Progress::Failed, Some("not-found: nothing of this name is under way".into())),
                };
                self.end(&accepted.jti, state, reason, None, now);
                self.follow_streams(now);
            }
        }
    }

    /// Takes over what the streams want done.
    pub(super) fn follow_streams(&mut self, now: Now) {
        while let Some(effect) = self.streams.next_effect() {
            match effect {
                streams::Effect::More { ticket } => self.effects.push_back(Effect::More { ticket }),
                streams::Effect::Cancel { ticket } => self.effects.push_back(Effect::Cancel { ticket }),
                streams::Effect::Ended { jti, state, reason, result } => {
                    self.end(&jti, state, reason, Some(result), now);
                }
            }
        }
        self.go_on();
    }
}
