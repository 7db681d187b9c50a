//! What happens on the host gets its number here, and goes to the outbox.

use radar_wire::event::{Action, Event};
use radar_wire::fields::Fields;
use radar_wire::snapshot::Snapshot;

use super::inventory::{self, Change};
use super::outbox::Entry;
use super::remark::Remark;
use super::{Agent, Effect, Life};

impl Agent {
    pub(super) fn next_of_inventory(&mut self) -> Option<Effect> {
        loop {
            let Life::Open { inventory, .. } = &mut self.life else { return None };
            match inventory.next_effect()? {
                // What the engine says while the agent stops is told or kept; it is asked for no more.
                inventory::Effect::List { .. } | inventory::Effect::Inspect { .. } | inventory::Effect::Reopen
                    if self.stop.is_some() => {}
                inventory::Effect::List { ticket } => return Some(Effect::List { ticket }),
                inventory::Effect::Inspect { id } => return Some(Effect::Inspect { id }),
                inventory::Effect::Reopen => return Some(Effect::ReopenEngine),
                inventory::Effect::Happened(change) => self.tell(change),
                inventory::Effect::Gap { missing } => self.tell_gap(missing),
            }
            if let Some(effect) = self.effects.pop_front() {
                return Some(effect);
            }
        }
    }

    fn tell(&mut self, change: Change) {
        let Life::Open { epoch, sequence, .. } = &mut self.life else { return };
        *sequence += 1;
        let Change { time, action, id, name, set } = change;
        let event =
            Event { epoch: *epoch, sequence: *sequence, first: None, at: self.now.wall, time, action, id, name, set };
        let gap = Entry::gap(*epoch, *sequence, *sequence, self.now.wall);
        let entry = Entry::new(&event);
        if entry.is_none() {
            self.say(Remark::EventTooLarge);
        }
        self.push(entry.unwrap_or(gap));
    }

    fn tell_gap(&mut self, missing: Option<u64>) {
        let Life::Open { epoch, sequence, .. } = &mut self.life else { return };
        let at = self.now.wall;
        let entry = match missing {
            Some(0) => return,
            Some(count) => {
                let first = *sequence + 1;
                *sequence += count.min(u64::from(u32::MAX));
                Some(Entry::gap(*epoch, first, *sequence, at))
            }
            None => {
                *sequence += 1;
                let (action, set) = (Action::Gap, Fields::default());
                let (epoch, sequence) = (*epoch, *sequence);
                Entry::new(&Event { epoch, sequence, first: None, at, time: None, action, id: None, name: None, set })
            }
        };
        entry.into_iter().for_each(|entry| self.push(entry));
    }

    fn push(&mut self, entry: Entry) {
        let lost = self.outbox.push(entry);
        if lost > 0 && !std::mem::replace(&mut self.overflowed, true) {
            self.say(Remark::Overflow);
        }
    }

    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        let Life::Open { epoch, sequence, inventory } = &self.life else { return None };
        Some(Snapshot {
            epoch: *epoch,
            sequence: *sequence,
            time: inventory.cursor(),
            at: self.now.wall,
            complete: inventory.complete(),
            engine: self.engine(),
            host: inventory.host().cloned(),
            containers: inventory.records().values().cloned().collect(),
        })
    }
}
