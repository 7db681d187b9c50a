//! Updates of containers, with a way back: a container gives its place to one of a newer image, or of another, with the
//! same configuration, and takes it again when that one does not work. Pure.
//!
//! The order is: pull, look at everything, plan; create the new container under a name of its own and put it on its
//! networks; give the old one another name and the new one the old one's; stop the old one, start the new one, wait until it
//! is healthy; start those who live in its namespaces, who were replaced with it; remove what was replaced.
//! The new one is made while the old one still works, so what the engine does not accept is found out before anything
//! has changed. Names change before the old one stops, because an engine that removes a container when it stops does
//! so at its leisure, and has its name until then.
//!
//! The [`journal`] on the disk says who is who before anything is made, with each container's id before it gets a name
//! that is not its own, and whether the new one was found healthy. Everything else is found out by looking: the way
//! back and the way to the end (`plan`) are planned from what there is, done, and looked at again, until nothing is
//! left to do. So an agent that was killed anywhere goes back or finishes, and an engine that was away is no harm.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ciborium::Value as Cbor;
use radar_link::time::Now;
use radar_wire::command::Progress;
use radar_wire::container::ContainerId;
use serde_json::Value;

use super::commands::Rules;
use super::commands::policy;
use crate::engine::act::{Act, ActError, Done, Piece};

pub(crate) mod blueprint;
mod health;
pub mod journal;
mod plan;
mod running;

use blueprint::text;
use journal::Journal;
use running::{Answer, Demand, Ending, Running};

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    id: ContainerId,
    image: Option<Box<str>>,
    dry_run: bool,
    /// In seconds.
    patience: Option<u32>,
}

impl Order {
    /// One for this container. The image has its whole name; `patience` is in seconds.
    pub(super) fn new(id: ContainerId, image: Option<Box<str>>, dry_run: bool, patience: Option<u32>) -> Self {
        Self { id, image, dry_run, patience }
    }
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Effect {
    /// Have the engine do this.
    Act { ticket: u64, act: Act },
    /// Tell how far a command is.
    Told { jti: Box<str>, what: Cbor },
    /// Tell how a command has ended.
    Ended { jti: Box<str>, state: Progress, reason: Option<Box<str>>, result: Option<Cbor> },
}

/// Who must be asked before a container is replaced because it lives in another's namespaces.
#[derive(Debug)]
pub(super) struct Guard<'a> {
    /// What the operator has set.
    pub(super) rules: &'a Rules,
    /// The containers that something else is done with.
    pub(super) busy: Vec<ContainerId>,
}

impl Guard<'_> {
    fn check(&self, document: &Value) -> Result<(), String> {
        let (id, name) = (text(&document["Id"]), text(&document["Name"]).trim_start_matches('/'));
        let labels = document["Config"]["Labels"].as_object();
        let labels: BTreeMap<Box<str>, Box<str>> =
            labels.into_iter().flatten().map(|(label, value)| (label.as_str().into(), text(value).into())).collect();
        if self.rules.own.as_deref().is_some_and(|own| id.starts_with(own)) {
            return Err(format!("protected: the agent itself runs in {name}, which lives in its namespaces"));
        }
        if policy::is_protected(&labels) {
            return Err(format!("protected: {name} lives in its namespaces, and its label radar.protect forbids it"));
        }
        self.rules.policy.check("update", Some(&labels)).map_err(|why| format!("policy: {name}: {why}"))?;
        let busy = id.parse().is_ok_and(|id| self.busy.contains(&id));
        if busy { Err(format!("busy: {name} lives in its namespaces, and something is done with it")) } else { Ok(()) }
    }
}

/// What an update waits for.
#[derive(Debug)]
enum Waits {
    /// An act, and what it has told so far.
    Act(u64, Value),
    /// The journal is to be written.
    Note,
    /// It is being written.
    Noting,
    /// This monotonic time.
    Time(Duration),
}

/// All updates that are under way.
#[derive(Debug, Default)]
pub(super) struct Updates {
    running: BTreeMap<Box<str>, (Running, Waits)>,
    /// The last update has gone from the journal, and not yet from the disk.
    forget: bool,
    effects: VecDeque<Effect>,
}

impl Updates {
    /// Begins one; `tickets` counts the acts.
    pub(super) fn begin(&mut self, jti: Box<str>, order: Order, tickets: &mut u64) {
        let (running, demand) = Running::begin(&jti, order);
        self.settle(jti, running, demand, tickets);
    }

    /// Goes on with what an earlier life has left: the command's name, and the container.
    pub(super) fn resume(&mut self, journal: Journal, tickets: &mut u64) -> Vec<(Box<str>, ContainerId)> {
        let mut resumed = Vec::new();
        for (jti, entry) in journal.0 {
            let Some(id) = entry.members.first().map(|member| member.old) else { continue };
            let (running, demand) = Running::resume(entry);
            self.settle(jti.clone(), running, demand, tickets);
            resumed.push((jti, id));
        }
        resumed
    }

    /// Whether a container is being updated, or replaced together with one that is; or has a name that an update gives,
    /// and is one of its own that it has not heard of yet.
    pub(super) fn holds(&self, id: ContainerId, name: &str) -> bool {
        self.running.values().any(|(running, _)| running.holds(id) || running.names(name))
    }

    /// The same, of a container whose name is not known.
    pub(super) fn holds_id(&self, id: ContainerId) -> bool {
        self.running.values().any(|(running, _)| running.holds(id))
    }

    /// The command whose act this is.
    pub(super) fn of(&self, ticket: u64) -> Option<&str> {
        let mut all = self.running.iter();
        all.find(|(_, (_, waits))| matches!(waits, Waits::Act(waiting, _) if *waiting == ticket)).map(|(jti, _)| &**jti)
    }

    /// An act tells something; whether it is one of an update's, and is to tell more.
    pub(super) fn handle_told(&mut self, ticket: u64, piece: &Piece) -> bool {
        let waits = self.running.values_mut().map(|(_, waits)| waits);
        let found = waits.filter_map(|waits| match waits {
            Waits::Act(waiting, found) if *waiting == ticket => Some(found),
            _ => None,
        });
        let mut own = false;
        for found in found {
            own = true;
            if let Piece::Found(document) = piece {
                *found = document.0.clone();
            }
        }
        own
    }

    /// How an act has ended; whether it is one of an update's.
    pub(super) fn handle_acted(
        &mut self,
        ticket: u64,
        result: &Result<Done, ActError>,
        guard: &Guard<'_>,
        tickets: &mut u64,
        now: Now,
    ) -> bool {
        let is_it = |waits: &Waits| matches!(waits, Waits::Act(waiting, _) if *waiting == ticket);
        let jti = self.running.iter().find(|(_, (_, waits))| is_it(waits)).map(|(jti, _)| jti.clone());
        let Some((jti, (mut running, Waits::Act(_, found)))) = jti.and_then(|jti| self.running.remove_entry(&jti))
        else {
            return false;
        };
        let others = self.running.values().flat_map(|(other, _)| &other.entry.members).map(|member| member.old);
        let others: Vec<ContainerId> = others.chain(guard.busy.iter().copied()).collect();
        let guard = Guard { rules: guard.rules, busy: others };
        let answer = result.clone().map(|done| {
            let made = done.result.as_ref().and_then(Cbor::as_text).and_then(|id| id.parse().ok());
            Answer { found, made }
        });
        let demand = running.acted(answer, &guard, now);
        self.settle(jti, running, demand, tickets);
        true
    }

    /// How writing the journal went.
    pub(super) fn handle_written(&mut self, result: &Result<(), String>, tickets: &mut u64, now: Now) {
        let noting = self.running.iter().filter(|(_, (_, waits))| matches!(waits, Waits::Noting));
        let noting: Vec<Box<str>> = noting.map(|(jti, _)| jti.clone()).collect();
        for jti in noting {
            let Some((jti, (mut running, _))) = self.running.remove_entry(&jti) else { continue };
            let demand = running.written(result.clone(), now);
            self.settle(jti, running, demand, tickets);
        }
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, tickets: &mut u64, now: Now) {
        let is_due = |waits: &Waits| matches!(waits, Waits::Time(at) if *at <= now.mono);
        let due = self.running.iter().filter(|(_, (_, waits))| is_due(waits));
        let due: Vec<Box<str>> = due.map(|(jti, _)| jti.clone()).collect();
        for jti in due {
            let Some((jti, (mut running, _))) = self.running.remove_entry(&jti) else { continue };
            let demand = running.due();
            self.settle(jti, running, demand, tickets);
        }
    }

    /// When something is due, in monotonic time.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let times = self.running.values().filter_map(|(_, waits)| match waits {
            Waits::Time(at) => Some(*at),
            _ => None,
        });
        times.min()
    }

    /// What is to be done next.
    pub(super) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The journal, when it is to be written; empty when nothing is under way. Not before the outcome of what has ended
    /// is on the disk.
    pub(super) fn next_write(&mut self) -> Option<Vec<u8>> {
        let mut write = std::mem::take(&mut self.forget);
        for (_, waits) in self.running.values_mut() {
            if matches!(waits, Waits::Note) {
                *waits = Waits::Noting;
                write = true;
            }
        }
        let noted = self.running.iter().filter(|(_, (running, _))| !running.entry.members.is_empty());
        let noted = noted.map(|(jti, (running, _))| (jti.clone(), running.entry.clone()));
        write.then(|| Journal(noted.collect()).to_bytes())
    }

    fn settle(&mut self, jti: Box<str>, mut running: Running, demand: Demand, tickets: &mut u64) {
        let told = std::mem::take(&mut running.told);
        self.effects.extend(told.into_iter().map(|what| Effect::Told { jti: jti.clone(), what }));
        let waits = match demand {
            Demand::Act(act) => {
                *tickets += 1;
                self.effects.push_back(Effect::Act { ticket: *tickets, act });
                Waits::Act(*tickets, Value::Null)
            }
            Demand::Note => Waits::Note,
            Demand::Wait(at) => Waits::Time(at),
            Demand::End(Ending { state, reason, result }) => {
                self.forget |= !running.entry.members.is_empty();
                self.effects.push_back(Effect::Ended { jti, state, reason, result });
                return;
            }
        };
        self.running.insert(jti, (running, waits));
    }
}

#[cfg(test)]
pub(super) mod tests;
