//! One update that is under way, as a machine: each answer leads to the next demand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ciborium::Value as Cbor;
use radar_link::time::Now;
use radar_wire::command::Progress;
use radar_wire::container::ContainerId;
use radar_wire::image::ImageName;
use serde_json::Value;

use super::blueprint::{Blueprint, blueprint, rejoin, text};
use super::health::{Verdict, Watch};
use super::journal::{Entry, Member, Phase, Was, mark};
use super::plan::{self, Deed, Pair, Side, Sight, Step};
use super::{Guard, Order};
use crate::engine::act::{Act, ActError, ActErrorKind};

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

    /// Whether it is about this container.
    pub(super) fn holds(&self, id: ContainerId) -> bool {
        self.order.id == id || self.entry.has(id)
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

    fn learned(&mut self, stage: Stage, found: Value, guard: &Guard<'_>) -> Demand {
        match stage {
            Stage::Old => {
                self.old = found.get(0).cloned().unwrap_or_default();
                if self.old.is_null() {
                    return failed("not-found: the container is gone".to_owned());
                }
                if self.old["State"]["Dead"] == true || text(&self.old["State"]["Status"]) == "removing" {
                    return failed("conflict: it is being removed".to_owned());
                }
                let own = text(&self.old["Config"]["Image"]);
                let image: Box<str> = self.order.image.clone().unwrap_or_else(|| own.into());
                if self.order.image.is_none() && ImageName::parse(&image).is_none() {
                    return failed("no-name: it was made from an image without a name; say which image".to_owned());
                }
                self.names.push(image);
                self.ask(Stage::Sharing, Act::Sharing { id: self.order.id })
            }
            Stage::Sharing => {
                if let Value::Array(all) = found {
                    self.sharing = all;
                }
                for other in &self.sharing {
                    if let Err(why) = guard.check(other) {
                        return failed(why);
                    }
                }
                let image = self.names[0].clone();
                if self.order.dry_run {
                    return self.ask(Stage::NewImage, Act::DescribeImage { image });
                }
                self.tell(format!("pull {image}"), false);
                self.ask(Stage::Pull, Act::Pull { image })
            }
            Stage::Pull => self.ask(Stage::NewImage, Act::DescribeImage { image: self.names[0].clone() }),
            Stage::NewImage => {
                self.new_image = found;
                let named = *self.names[0] == *text(&self.old["Config"]["Image"]);
                if named && !self.order.dry_run && self.new_image["Id"] == self.old["Image"] {
                    let reason = Some("unchanged: it is of this image already".into());
                    return Demand::End(Ending { state: Progress::Succeeded, reason, result: None });
                }
                self.ask(Stage::OldImage, Act::DescribeImage { image: text(&self.old["Image"]).into() })
            }
            Stage::OldImage => {
                self.blueprints = vec![blueprint(&self.old, Some(&found), &self.names[0])];
                self.ask_name(0)
            }
            Stage::Name(at) => {
                let other = &self.sharing[at];
                let named = if found["Id"] == other["Image"] { &other["Config"]["Image"] } else { &other["Image"] };
                self.names.push(text(named).into());
                self.blueprints.push(blueprint(other, None, text(named)));
                self.ask_name(at + 1)
            }
            _ => self.look(Goal::Undo),
        }
    }

    fn ask(&mut self, stage: Stage, act: Act) -> Demand {
        self.stage = stage;
        Demand::Act(act)
    }

    /// Those who share its namespaces are made again from the image that they have, by its name where it still means that.
    fn ask_name(&mut self, at: usize) -> Demand {
        match self.sharing.get(at) {
            Some(other) => {
                let image = text(&other["Config"]["Image"]).into();
                self.ask(Stage::Name(at), Act::DescribeImage { image })
            }
            None => self.plan(),
        }
    }

    fn plan(&mut self) -> Demand {
        let mut members = Vec::new();
        let mut again = false;
        for (at, document) in std::iter::once(&self.old).chain(&self.sharing).enumerate() {
            let Some(sight) = Sight::read(document) else {
                return failed("engine: what it says of the container is not understood".to_owned());
            };
            let was = sight.was();
            let fleeting = sight.fleeting && was != Was::Stopped;
            again |= fleeting && at == 0;
            let image = if at == 0 { &*sight.image } else { &*self.names[at] };
            members.push(Member {
                again: (again || fleeting).then(|| blueprint(document, None, image)),
                name: sight.name,
                old: sight.id,
                new: None,
                was,
                image: sight.image,
                networks: sight.networks,
            });
        }
        self.entry.from = members[0].image.clone();
        self.entry.to = text(&self.new_image["Id"]).into();
        self.entry.members = members;
        self.steps = plan::change(&self.entry.members, &self.blueprints).into();
        let rest = plan::finish_as_planned(&self.entry.members);
        if self.order.dry_run {
            let texts = self.steps.iter().chain(&rest).map(|step| Cbor::from(self.text(step)));
            let pull = Cbor::from(format!("pull {}", self.names[0]));
            let steps: Vec<Cbor> = std::iter::once(pull).chain(texts).collect();
            let result = Some(map([("from", self.entry.from.to_string().into()), ("steps", steps.into())]));
            return Demand::End(Ending { state: Progress::Succeeded, reason: None, result });
        }
        self.of = u64::try_from(1 + self.steps.len() + rest.len()).unwrap_or(u64::MAX);
        self.stage = Stage::Noted;
        Demand::Note
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

    fn undo(&mut self, why: String) -> Demand {
        self.tell(format!("go back: {why}"), true);
        (self.why, self.round) = (why, 0);
        self.tried.clear();
        self.look(Goal::Undo)
    }

    fn look(&mut self, goal: Goal) -> Demand {
        self.stage = Stage::Look(goal);
        let named = |(at, member): (usize, &Member)| {
            let new = member.new.map_or_else(|| self.entry.temporary(at), |id| id.to_string().into());
            [member.old.to_string().into(), self.entry.backup(at), new]
        };
        describe(self.entry.members.iter().enumerate().flat_map(named).collect())
    }

    fn later(&mut self, goal: Goal, now: Now) -> Demand {
        self.stage = Stage::Look(goal);
        let wait = POLL.saturating_mul(1 << self.round.min(6)).min(LONGEST_WAIT);
        Demand::Wait(now.mono + wait)
    }

    fn looked(&mut self, goal: Goal, found: &Value, now: Now) -> Demand {
        let sights = found.as_array().map(Vec::as_slice).unwrap_or_default();
        let seen: Vec<Pair> = sights
            .chunks_exact(3)
            .map(|three| Pair {
                old: Sight::read(&three[0]).or_else(|| Sight::read(&three[1])),
                new: Sight::read(&three[2]),
            })
            .collect();
        // One that was made and not heard of has a name that nobody else gives.
        for (at, pair) in seen.iter().enumerate() {
            let member = &mut self.entry.members[at];
            member.new = member.new.or(pair.new.as_ref().map(|new| new.id));
            if let Some(old) = pair.old.as_ref().filter(|old| old.id != member.old) {
                self.made(&Step { at, side: Side::Old, deed: Deed::Create }, old.id);
            }
        }
        let steps = match goal {
            Goal::Undo => plan::undo(&self.entry.members, &seen, &self.tried),
            Goal::Finish => plan::finish(&self.entry.members, &seen, &self.tried),
        };
        let last = self.round >= TRIES;
        let left = match goal {
            Goal::Undo => plan::differences(&self.entry, &seen, &self.tried),
            Goal::Finish => steps.iter().map(|step| self.text(step)).collect(),
        };
        if steps.is_empty() && left.is_empty() || last {
            return self.end(goal, &left);
        }
        if steps.is_empty() {
            self.round += 1;
            return self.later(goal, now);
        }
        self.steps = steps.into();
        self.mend(goal)
    }

    fn mend(&mut self, goal: Goal) -> Demand {
        let Some(step) = self.steps.front().cloned() else {
            self.round += 1;
            return self.look(goal);
        };
        self.tell(self.text(&step), goal == Goal::Undo);
        self.stage = Stage::Mend(goal);
        self.act(&step)
    }

    fn mended(&mut self, goal: Goal, result: Result<Answer, ActError>, now: Now) -> Demand {
        let Some(step) = self.steps.pop_front() else { return self.look(goal) };
        let follows = goal == Goal::Finish && step.side == Side::New;
        match self.settled(&step, result) {
            Ok(answer) => {
                if step.deed == Deed::Start {
                    self.tried.insert(step.at);
                }
                if let Some(made) = answer.made {
                    self.made(&step, made);
                    self.stage = Stage::MendNoted(goal);
                    return Demand::Note;
                }
                self.mend(goal)
            }
            // Who lives in its namespaces does not start: that is told, and the others go on.
            Err(error) if follows => {
                self.failures.insert(step.at, format!("{}: {}: {error}", self.text(&step), error.kind.as_str()));
                self.tried.insert(step.at);
                self.steps.retain(|other| (other.at, other.side) != (step.at, step.side));
                self.mend(goal)
            }
            Err(error) => {
                self.error = Some(format!("{}: {error}", self.text(&step)));
                self.steps.clear();
                self.round += 1;
                self.later(goal, now)
            }
        }
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

    fn end(&mut self, goal: Goal, left: &[String]) -> Demand {
        let error = self.error.take().map(|error| format!(" ({error})")).unwrap_or_default();
        if goal == Goal::Undo {
            let why = match left {
                [] => format!("rolled-back: {}", self.why),
                left => format!("rollback-incomplete: {}; {}{error}", left.join("; "), self.why),
            };
            return failed(why);
        }
        let reason = (!left.is_empty()).then(|| cut(format!("left: {}{error}", left.join("; "))));
        let dependents = self.entry.members.iter().enumerate().skip(1).map(|(at, member)| {
            let error = self.failures.get(&at).map(|error| Cbor::from(error.clone()));
            let container = member.new.map(|id| Cbor::from(id.to_string()));
            map_of([("name", Some(member.name.to_string().into())), ("container", container), ("error", error)])
        });
        let dependents: Vec<Cbor> = dependents.collect();
        let new = self.entry.members.first().and_then(|member| member.new);
        let result = map_of([
            ("from", Some(self.entry.from.to_string().into())),
            ("to", Some(self.entry.to.to_string().into())),
            ("container", new.map(|id| id.to_string().into())),
            ("dependents", (!dependents.is_empty()).then(|| dependents.into())),
        ]);
        Demand::End(Ending { state: Progress::Succeeded, reason, result: Some(result) })
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

fn map<const N: usize>(fields: [(&str, Cbor); N]) -> Cbor {
    map_of(fields.map(|(name, value)| (name, Some(value))))
}

fn map_of<const N: usize>(fields: [(&str, Option<Cbor>); N]) -> Cbor {
    Cbor::Map(fields.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect())
}
