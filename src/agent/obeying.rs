//! Commands on their way between the broker, [`commands`] and the shell.

use radar_link::mqtt::Received;
use radar_link::time::Now;

use super::remark::Remark;
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
