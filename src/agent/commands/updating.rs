//! Updates as commands: they have their turn in their container's queue like acts, hold off every other command for it,
//! and go on in the next life.

use radar_link::time::Now;
use radar_wire::command::{Outcome, Progress};
use radar_wire::container::{ContainerId, Record};

use super::super::update::{self, Guard, Order};
use super::Commands;
use super::target::Target;
use super::task::Task;
use crate::engine::act::{ActError, Done};

impl Commands {
    /// How writing the journal of updates went.
    pub(in crate::agent) fn handle_updates_written(&mut self, result: &Result<(), String>, now: Now) {
        self.updates.handle_written(result, &mut self.tickets, now);
        self.work(now);
    }

    pub(super) fn handle_updated(&mut self, ticket: u64, result: &Result<Done, ActError>, now: Now) {
        let busy = self.working.values().map(|(_, target)| target).chain(self.waiting.keys());
        let busy = busy.filter_map(|target| match target {
            Target::Container(id) => Some(*id),
            _ => None,
        });
        let guard = Guard { rules: &self.rules, busy: busy.chain(self.pruned.iter().copied()).collect() };
        self.updates.handle_acted(ticket, result, &guard, &mut self.tickets, now);
        self.work(now);
    }

    pub(super) fn begin_update(&mut self, jti: Box<str>, order: Order, now: Now) {
        self.updates.begin(jti, order, &mut self.tickets);
        self.follow_updates(now);
    }

    /// Takes over what the updates want done.
    pub(super) fn follow_updates(&mut self, now: Now) {
        while let Some(effect) = self.updates.next_effect() {
            match effect {
                update::Effect::Act { ticket, act } => self.act(ticket, act, now),
                update::Effect::Told { jti, what } => {
                    let (state, result) = (Progress::Progress, Some(what));
                    self.tell(Outcome { jti, at: now.wall, state, reason: None, result });
                }
                update::Effect::Ended { jti, state, reason, result } => {
                    self.working.retain(|_, (working, _)| *working != jti);
                    // An earlier life may have told how it ended, and not had the time to forget it.
                    if self.journal.get(&jti).is_none_or(|entry| entry.outcome.is_none()) {
                        self.end(&jti, state, reason, result, now);
                    }
                }
            }
        }
    }

    /// Whether a container is being updated, or is to be.
    pub(super) fn is_updated(&self, record: &Record) -> bool {
        self.updates.holds(record.id, &record.name) || self.is_to_be_updated(record.id)
    }

    /// What a prune that begins now leaves alone: an update's way back does not run, and what it has made does not yet.
    /// Which they are may have become known since the prune was accepted.
    pub(super) fn spare_updated(&self, ids: &mut Vec<ContainerId>) {
        ids.retain(|id| !self.updates.holds_id(*id) && !self.is_to_be_updated(*id));
    }

    fn is_to_be_updated(&self, id: ContainerId) -> bool {
        let asked = self.waiting.values().flatten().chain(&self.fresh);
        let mut asked = asked.filter(|accepted| matches!(accepted.task, Task::Update(_)));
        asked.any(|accepted| accepted.target == Target::Container(id))
    }

    /// The update that has asked for this act.
    pub(super) fn update_of(&self, ticket: u64) -> Option<Box<str>> {
        self.updates.of(ticket).map(Into::into)
    }
}
