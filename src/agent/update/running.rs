//! One update that is under way, as a machine: each answer leads to the next demand. It begins in [`asking`], and ends in
//! [`mending`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ciborium::Value as Cbor;
use radar_link::time::Now;
use radar_wire::command::Progress;
use radar_wire::container::ContainerId;
use serde_json::Value;

use super::blueprint::{Blueprint, rejoin, text};
use super::health::{Verdict, Watch};
use super::journal::{Entry, Phase, mark};
use super::plan::{self, Deed, Side, Step};
use super::{Guard, Order};
use crate::engine::act::{Act, ActError, ActErrorKind};

mod asking;
mod mending;

/// How long a started container is left alone between two looks at it.
const POLL: Duration = Duration::from_secs(1);
/// How often it is tried to reach the end, or to come back, while the engine answers; the wait before a try doubles.
const TRIES: u32 = 8;
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The most bytes of a reason.
const LONGEST_REASON: usize = 1000;

/// What is to happen next.
#[derive(Debug)]
pub(super) enum Demand {
    /// Have the engine do this.
    Act(Act),
    /// Write the journal.
    Note,
    /// Come back at this monotonic time.
    Wait(Duration),
    /// It is over.
    End(Ending),
}

/// How it has ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) state: Progress,
    pub(super) reason: Option<Box<str>>,
    pub(super) result: Option<Cbor>,
}

/// What an act has come to.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What it has told.
    pub(super) found: Value,
    /// The container that it has made.
    pub(super) made: Option<ContainerId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Undo,
    Finish,
}

/// What the machine waits for.
#[derive(Debug)]
enum Stage {
    /// What must be known before it is planned.
    Old,
    Sharing,
    Pull,
    NewImage,
    OldImage,
    Name(usize),
    /// The first of the steps.
    Change,
    /// The note of a phase, or of a container that was made; then it goes on with the first of the steps.
    Noted,
    Watch(Watch),
    Proven,
    Look(Goal),
    Mend(Goal),
    MendNoted(Goal),
}

/// One update.
#[derive(Debug)]
pub(super) struct Running {
    order: Order,
    pub(super) entry: Entry,
    blueprints: Vec<Blueprint>,
    stage: Stage,
    old: Value,
    sharing: Vec<Value>,
    /// The images' names; that of the new one first, then those of who shares the namespaces.
    names: Vec<Box<str>>,
    /// The whole name of the image that is pulled.
    pull: Box<str>,
    /// The configuration that the new image was found with; null when it was not found.
    new_image: Value,
    steps: VecDeque<Step>,
    number: u64,
    of: u64,
    /// What is to be told on the way.
    pub(super) told: VecDeque<Cbor>,
    round: u32,
    /// Started once on the way to the goal.
    tried: BTreeSet<usize>,
    failures: BTreeMap<usize, String>,
    why: String,
    error: Option<String>,
}

impl Running {
    /// One that begins.
    pub(super) fn begin(jti: &str, order: Order) -> (Self, Demand) {
        let named = order.id.to_string().into();
        let (from, to) = (Box::default(), Box::default());
        let entry = Entry { phase: Phase::Trying, from, to, members: Vec::new(), mark: mark(jti) };
        (Self::new(order, entry, Stage::Old), describe(vec![named]))
    }

    /// One that an earlier life has left.
    pub(super) fn resume(entry: Entry) -> (Self, Demand) {
        let id = entry.members.first().map_or(ContainerId::new([0; 32]), |member| member.old);
        let goal = if entry.phase == Phase::Proven { Goal::Finish } else { Goal::Undo };
        let mut resumed =
            Self::new(Order { id, image: None, dry_run: false, patience: None }, entry, Stage::Look(goal));
        resumed.why = "the agent ended while it was under way".to_owned();
        let look = resumed.look(goal);
        (resumed, look)
    }

    fn new(order: Order, entry: Entry, stage: Stage) -> Self {
        Self {
            order,
            entry,
            blueprints: Vec::new(),
            stage,
            old: Value::Null,
            sharing: Vec::new(),
            names: Vec::new(),
            pull: Box::default(),
            new_image: Value::Null,
            steps: VecDeque::new(),
            number: 0,
            of: 0,
            told: VecDeque::new(),
            round: 0,
            tried: BTreeSet::new(),
            failures: BTreeMap::new(),
            why: String::new(),
            error: None,
        }
    }

    /// Whether it is about this container, or about one that shares its namespaces.
    pub(super) fn holds(&self, id: ContainerId) -> bool {
        let shares = |other: &Value| text(&other["Id"]).parse() == Ok(id);
        self.order.id == id || self.entry.has(id) || self.sharing.iter().any(shares)
    }

    /// Whether it gives this name to one of its containers for a while.
    pub(super) fn names(&self, name: &str) -> bool {
        (0..self.entry.members.len()).any(|at| *self.entry.backup(at) == *name || *self.entry.temporary(at) == *name)
    }

    /// How an act has ended.
    pub(super) fn acted(&mut self, result: Result<Answer, ActError>, guard: &Guard<'_>, now: Now) -> Demand {
        match std::mem::replace(&mut self.stage, Stage::Change) {
            Stage::Watch(watch) => self.watched(watch, result, now),
            Stage::Look(goal) => match result {
                Ok(answer) => self.looked(goal, &answer.found, now),
                // Without an engine there is nothing to do but to wait for it.
                Err(error) => {
                    self.error = Some(error.to_string());
                    self.later(goal, now)
                }
            },
            Stage::Mend(goal) => self.mended(goal, result, now),
            Stage::Change => self.changed(result, now),
            Stage::NewImage if self.order.dry_run && result.is_err() => {
                self.learned(Stage::NewImage, Value::Null, guard)
            }
            Stage::Name(at) if result.is_err() => self.learned(Stage::Name(at), Value::Null, guard),
            stage => match result {
                Ok(answer) => self.learned(stage, answer.found, guard),
                Err(error) => failed(format!("{}: {error}", error.kind.as_str())),
            },
        }
    }

    /// How writing the journal went.
    pub(super) fn written(&mut self, result: Result<(), String>, now: Now) -> Demand {
        let stage = std::mem::replace(&mut self.stage, Stage::Change);
        match (stage, result) {
            (Stage::MendNoted(goal), _) => self.mend(goal),
            (Stage::Noted, Ok(())) => self.next(now),
            (Stage::Proven, Ok(())) => self.look(Goal::Finish),
            (_, Ok(())) => self.look(Goal::Undo),
            (_, Err(error)) => {
                self.entry.phase = Phase::Trying;
                self.undo(format!("storage: {error}"))
            }
        }
    }

    /// It is the time that it wanted to wait for.
    pub(super) fn due(&mut self) -> Demand {
        match &self.stage {
            Stage::Watch(_) => self.look_at_new(),
            Stage::Look(goal) => self.look(*goal),
            _ => self.look(Goal::Undo),
        }
    }

    fn next(&mut self, now: Now) -> Demand {
        let Some(step) = self.steps.front().cloned() else {
            self.entry.phase = Phase::Proven;
            self.stage = Stage::Proven;
            return Demand::Note;
        };
        self.tell(self.text(&step), false);
        if step.deed == Deed::Watch {
            self.stage = Stage::Watch(Watch::new(self.order.patience, now.mono));
            return self.look_at_new();
        }
        self.stage = Stage::Change;
        self.act(&step)
    }

    fn changed(&mut self, result: Result<Answer, ActError>, now: Now) -> Demand {
        let Some(step) = self.steps.pop_front() else { return self.look(Goal::Undo) };
        match self.settled(&step, result) {
            Ok(answer) => {
                if let Some(made) = answer.made {
                    self.made(&step, made);
                    self.stage = Stage::Noted;
                    return Demand::Note;
                }
                self.next(now)
            }
            Err(error) => self.undo(format!("{}: {}: {error}", self.text(&step), error.kind.as_str())),
        }
    }

    fn watched(&mut self, mut watch: Watch, result: Result<Answer, ActError>, now: Now) -> Demand {
        let verdict = match &result {
            Ok(answer) => watch.judge(&answer.found[0], now.mono),
            Err(error) => watch.unseen(&error.text, now.mono),
        };
        match verdict {
            Verdict::Wait => {
                self.stage = Stage::Watch(watch);
                Demand::Wait(now.mono + POLL)
            }
            Verdict::Good => {
                self.steps.pop_front();
                self.next(now)
            }
            Verdict::Bad(why) => self.undo(format!("unhealthy: {why}")),
        }
    }

    fn look_at_new(&mut self) -> Demand {
        let id = self.entry.members.first().and_then(|member| member.new);
        describe(id.map(|id| id.to_string().into()).into_iter().collect())
    }

    /// What is not there any more needs no end.
    fn settled(&self, step: &Step, result: Result<Answer, ActError>) -> Result<Answer, ActError> {
        let ends = matches!(step.deed, Deed::Remove | Deed::Stop);
        let fleeting = self.entry.members[step.at].again.is_some();
        match result {
            Err(error) if ends && error.kind == ActErrorKind::NotFound && (fleeting || step.deed == Deed::Remove) => {
                Ok(Answer::default())
            }
            Ok(Answer { made: None, .. }) if step.deed == Deed::Create => {
                let text = "it has made a container and not told its id".into();
                Err(ActError { kind: ActErrorKind::Engine, text })
            }
            result => result,
        }
    }

    fn made(&mut self, step: &Step, made: ContainerId) {
        let members = &mut self.entry.members;
        match step.side {
            Side::New => {
                members[step.at].new = Some(made);
                if step.at == 0 {
                    let from = members[0].old;
                    self.blueprints.iter_mut().skip(1).for_each(|other| rejoin(other, from, made));
                }
            }
            Side::Old => {
                let from = std::mem::replace(&mut members[step.at].old, made);
                if step.at == 0 {
                    let others = members.iter_mut().filter_map(|member| member.again.as_mut());
                    others.for_each(|other| rejoin(other, from, made));
                }
            }
        }
    }

    fn act(&mut self, step: &Step) -> Demand {
        match self.act_of(step) {
            Some(act) => Demand::Act(act),
            // Of a container that is not known nothing is done.
            None => self.undo(format!("{}: it is not known which", self.text(step))),
        }
    }

    fn act_of(&self, step: &Step) -> Option<Act> {
        let member = &self.entry.members[step.at];
        let old = step.side == Side::Old;
        if step.deed == Deed::Create {
            let name = if old { self.entry.backup(step.at) } else { self.entry.temporary(step.at) };
            return Some(Act::Create { name, body: self.blueprint(step)?.body.clone() });
        }
        let id = if old { member.old } else { member.new? };
        Some(match step.deed {
            Deed::Create | Deed::Watch => Act::Describe { named: vec![id.to_string().into()] },
            Deed::Leave => Act::Disconnect { network: self.blueprint(step)?.leave.clone()?, id },
            Deed::Join(nth) => {
                let (network, endpoint) = self.blueprint(step)?.join.get(nth)?.clone();
                Act::Connect { network, id, endpoint }
            }
            Deed::SetAside => Act::Rename { id, to: self.entry.backup(step.at) },
            Deed::Name => Act::Rename { id, to: member.name.clone() },
            Deed::Stop => Act::Stop { id, timeout: None },
            Deed::Start => Act::Start { id },
            Deed::Pause => Act::Pause { id },
            // The new one's volumes that have no name have nothing in them but what the image put there.
            Deed::Remove => Act::Remove { id, force: true, volumes: !old && member.again.is_none() },
        })
    }

    fn blueprint(&self, step: &Step) -> Option<&Blueprint> {
        match step.side {
            Side::Old => self.entry.members[step.at].again.as_ref(),
            Side::New => self.blueprints.get(step.at),
        }
    }

    fn text(&self, step: &Step) -> String {
        plan::told(step, &self.entry, self.blueprint(step))
    }

    fn tell(&mut self, what: String, back: bool) {
        self.number += 1;
        let numbered = !back && self.of > 0 && self.number <= self.of;
        let number = |number: u64| numbered.then(|| Cbor::from(number));
        let fields = [("step", number(self.number)), ("of", number(self.of)), ("what", Some(what.into()))];
        self.told.push_back(map_of(fields));
    }
}

fn describe(named: Vec<Box<str>>) -> Demand {
    Demand::Act(Act::Describe { named })
}

fn failed(why: String) -> Demand {
    Demand::End(Ending { state: Progress::Failed, reason: Some(cut(why)), result: None })
}

fn cut(mut reason: String) -> Box<str> {
    let end = (0..=LONGEST_REASON.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
    reason.truncate(end.unwrap_or(0));
    reason.into()
}

fn map_of<const N: usize>(fields: [(&str, Option<Cbor>); N]) -> Cbor {
    Cbor::Map(fields.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect())
}
