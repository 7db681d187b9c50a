//! Commands on their way between the broker, [`commands`] and the shell.

use radar_link::mqtt::Received;
use radar_link::time::Now;

use super::remark::Remark;
use super::trial::{Note, Settled};
use super::{Agent, Effect, Life, commands};

/// How many commands wait for the first list of the containers.
const EARLY: usize = 32;

impl Agent {
    /// How writing the journal of commands went.
    pub fn handle_commands_written(&mut self, result: Result<(), String>, now: Now) {
        self.now = now;
        if let Err(error) = &result {
            self.say(Remark::CommandsUnwritten { error: error.clone() });
        }
        self.commands.handle_written(result, now);
    }

    /// How fetching a new version of the agent went: the version that it tells of itself, or the id of the image; none
    /// when there is nothing new.
    pub fn handle_fetched(&mut self, result: Result<Option<Box<str>>, String>, now: Now) {
        self.now = now;
        self.commands.handle_fetched(result, now);
    }

    /// How writing the note of a trial went. With it on the disk the agent stops, for [`Agent::leaves_for`].
    pub fn handle_noted(&mut self, result: Result<(), String>, now: Now) {
        self.now = now;
        if self.stop.is_none() && self.commands.handle_noted(result, now) {
            self.handle_stop(now);
        }
    }

    /// A helper that was to replace this agent has not done it.
    pub fn handle_stayed(&mut self, why: &str, now: Now) {
        self.now = now;
        self.commands.handle_stayed(why, now);
    }

    /// How a self-update of an earlier life has ended.
    pub fn handle_settled(&mut self, settled: Settled, now: Now) {
        self.now = now;
        self.commands.settle(settled, now);
    }

    /// The trial of a new version, for which the agent stops or has stopped; none for another stop.
    #[must_use]
    pub fn leaves_for(&self) -> Option<&Note> {
        self.commands.leaves_for()
    }

    /// How writing the journal of updates went.
    pub fn handle_updates_written(&mut self, result: Result<(), String>, now: Now) {
        self.now = now;
        if let Err(error) = &result {
            self.say(Remark::CommandsUnwritten { error: error.clone() });
        }
        self.commands.handle_updates_written(&result, now);
    }

    pub(super) fn handle_command(&mut self, received: &Received) {
        // The bridge tells that nothing came of it.
        if self.stop.is_some() {
            return;
        }
        match &self.life {
            Life::Open { inventory, .. } if inventory.complete() || self.engine_down => {
                self.commands.handle_message(&received.payload, received.retain, inventory.records(), self.now);
            }
            // What it is about may be there and not be known yet.
            _ if self.early.len() < EARLY => self.early.push((received.payload.clone(), received.retain)),
            _ => {}
        }
    }

    /// Commands that came before the containers were known.
    pub(super) fn take_early(&mut self) {
        if let Life::Open { inventory, .. } = &self.life
            && (inventory.complete() || self.engine_down)
        {
            for (payload, retained) in std::mem::take(&mut self.early) {
                self.commands.handle_message(&payload, retained, inventory.records(), self.now);
            }
        }
    }

    pub(super) fn next_of_commands(&mut self) -> Option<Effect> {
        // Whatever came in, what is due by now is done; what is still due then waits for something else than time.
        if self.commands.poll_timeout().is_some_and(|at| at <= self.now.mono) {
            self.commands.handle_timeout(self.now);
        }
        loop {
            return Some(match self.commands.next_effect()? {
                commands::Effect::Write(bytes) => Effect::WriteCommands(bytes),
                commands::Effect::WriteUpdates(bytes) => Effect::WriteUpdates(bytes),
                commands::Effect::Act { ticket, act } => Effect::Act { ticket, act },
                commands::Effect::More { ticket } => Effect::More { ticket },
                commands::Effect::Cancel { ticket } => Effect::Cancel { ticket },
                commands::Effect::Fetch(order) => Effect::Fetch(order),
                commands::Effect::FetchImage { image, own } => Effect::FetchImage { image, own },
                commands::Effect::WriteTakeOver(bytes) => Effect::WriteTakeOver(bytes),
                commands::Effect::HandOver(note) => Effect::HandOver(note),
                commands::Effect::Discard(target) => Effect::Discard(target),
                commands::Effect::WriteNote(bytes) => Effect::WriteNote(bytes),
                commands::Effect::Sample { ticket } => match self.begin_sample(ticket) {
                    Some(effect) => effect,
                    None => continue,
                },
                commands::Effect::Sampled(stats) => match self.tell_sample(&stats) {
                    Some(effect) => effect,
                    None => continue,
                },
                commands::Effect::Ignored { messages, reason } => {
                    Effect::Say(Remark::NotCommanded { messages, reason })
                }
                commands::Effect::Told { who, what, state, reason } => {
                    Effect::Say(Remark::Commanded { who, what, state, reason })
                }
            });
        }
    }
}
