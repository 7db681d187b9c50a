//! Steps of an update: what is done to which container, in which order, forwards, backwards, and to the end. The ways
//! back and to the end are found by looking at what there is, so that they begin anywhere, and end where nothing is
//! left to do.

use std::collections::BTreeSet;

use radar_wire::container::ContainerId;
use serde_json::Value;

use super::blueprint::{Blueprint, text};
use super::journal::{Entry, Member, Was};

/// Which of the two containers that share a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Old,
    New,
}

/// One thing to do with the container of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: usize,
    pub(super) side: Side,
    pub(super) deed: Deed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// Under a name that is not its last when it is a new one.
    Create,
    Leave,
    /// The network of this number in its blueprint.
    Join(usize),
    /// Out of the way.
    SetAside,
    /// The name of the place.
    Name,
    Stop,
    Start,
    Pause,
    /// Wait until it is healthy.
    Watch,
    Remove,
}

/// What is seen of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) id: ContainerId,
    pub(super) name: Box<str>,
    /// Also when it is frozen.
    pub(super) running: bool,
    pub(super) paused: bool,
    /// It has run at some time.
    pub(super) started: bool,
    /// The engine removes it when it ends.
    pub(super) fleeting: bool,
    pub(super) image: Box<str>,
    pub(super) networks: BTreeSet<Box<str>>,
    /// The id of the container in whose network it lives.
    pub(super) joined: Option<ContainerId>,
}

impl Sight {
    /// Reads an inspect; none for a container that is not there.
    pub(super) fn read(document: &Value) -> Option<Self> {
        let state = &document["State"];
        let networks = document["NetworkSettings"]["Networks"].as_object();
        Some(Self {
            id: text(&document["Id"]).parse().ok()?,
            name: text(&document["Name"]).trim_start_matches('/').into(),
            running: state["Running"] == true || state["Restarting"] == true || state["Paused"] == true,
            paused: state["Paused"] == true,
            started: !matches!(text(&state["StartedAt"]), "" | "0001-01-01T00:00:00Z"),
            fleeting: document["HostConfig"]["AutoRemove"] == true,
            image: text(&document["Image"]).into(),
            networks: networks.into_iter().flat_map(|all| all.keys()).map(|name| name.as_str().into()).collect(),
            joined: joined(document),
        })
    }

    pub(super) fn was(&self) -> Was {
        match (self.running, self.paused) {
            (_, true) => Was::Paused,
            (true, false) => Was::Running,
            (false, false) => Was::Stopped,
        }
    }

    /// The engine removes it, or has been asked to, and is not done yet.
    fn is_vanishing(&self) -> bool {
        self.fleeting && self.started && !self.running
    }
}

/// It was made again, and is not on all of its networks.
fn is_unfinished(old: &Sight, member: &Member) -> bool {
    member.was != Was::Stopped && !old.started && old.networks != member.networks
}

fn joined(document: &Value) -> Option<ContainerId> {
    let modes = ["NetworkMode", "PidMode", "IpcMode"].map(|mode| text(&document["HostConfig"][mode]));
    modes.iter().find_map(|mode| mode.strip_prefix("container:")?.parse().ok())
}

/// Both containers of a member, as they are seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) old: Option<Sight>,
    pub(super) new: Option<Sight>,
}

/// What an update does until the new container is found healthy.
pub(super) fn change(members: &[Member], blueprints: &[Blueprint]) -> Vec<Step> {
    let step = |at, side, deed| Step { at, side, deed };
    let mut steps = Vec::new();
    for (at, blueprint) in blueprints.iter().enumerate() {
        create(&mut steps, at, Side::New, blueprint);
    }
    for at in 0..members.len() {
        steps.extend([step(at, Side::Old, Deed::SetAside), step(at, Side::New, Deed::Name)]);
    }
    let runs = |at: &usize| members[*at].was != Was::Stopped;
    steps.extend((0..members.len()).rev().filter(runs).map(|at| step(at, Side::Old, Deed::Stop)));
    if runs(&0) {
        steps.extend([step(0, Side::New, Deed::Start), step(0, Side::New, Deed::Watch)]);
    }
    if members.first().is_some_and(|member| member.was == Was::Paused) {
        steps.push(step(0, Side::New, Deed::Pause));
    }
    steps
}

/// What is left to do once the new container is found healthy. Who lives in its namespaces starts once.
pub(super) fn finish(members: &[Member], seen: &[Pair], tried: &BTreeSet<usize>) -> Vec<Step> {
    let mut steps = Vec::new();
    for (at, (member, pair)) in members.iter().zip(seen).enumerate().skip(1) {
        let Some(new) = pair.new.as_ref().filter(|_| member.was != Was::Stopped && !tried.contains(&at)) else {
            continue;
        };
        if !new.started {
            steps.push(Step { at, side: Side::New, deed: Deed::Start });
        }
        if member.was == Was::Paused && !new.paused && (new.running || !new.started) {
            steps.push(Step { at, side: Side::New, deed: Deed::Pause });
        }
    }
    let left = seen.iter().enumerate().rev().filter(|(_, pair)| pair.old.is_some());
    steps.extend(left.map(|(at, _)| Step { at, side: Side::Old, deed: Deed::Remove }));
    steps
}

/// What an update does after its change, as long as nothing goes wrong: for telling it before.
pub(super) fn finish_as_planned(members: &[Member]) -> Vec<Step> {
    let sight = |member: &Member, started| Sight {
        id: member.old,
        name: member.name.clone(),
        running: started,
        paused: false,
        started,
        fleeting: false,
        image: member.image.clone(),
        networks: BTreeSet::new(),
        joined: None,
    };
    let pair = |(at, member)| Pair { old: Some(sight(member, false)), new: Some(sight(member, at == 0)) };
    let seen: Vec<Pair> = members.iter().enumerate().map(pair).collect();
    finish(members, &seen, &BTreeSet::new())
}

/// What brings back what was. Containers that it has started once are left as they are.
pub(super) fn undo(members: &[Member], seen: &[Pair], tried: &BTreeSet<usize>) -> Vec<Step> {
    let step = |at, side, deed| Step { at, side, deed };
    let new = |pair: &Pair| pair.new.is_some();
    let mut steps: Vec<Step> =
        (0..seen.len()).rev().filter(|at| new(&seen[*at])).map(|at| step(at, Side::New, Deed::Remove)).collect();
    for (at, (member, pair)) in members.iter().zip(seen).enumerate() {
        let stale = |old: &Sight| at > 0 && old.joined.is_some_and(|joined| joined != members[0].old);
        match (&pair.old, &member.again) {
            (Some(old), Some(_)) if old.is_vanishing() || stale(old) || is_unfinished(old, member) => {
                steps.push(step(at, Side::Old, Deed::Remove))
            }
            (Some(old), _) => {
                if old.name != member.name {
                    steps.push(step(at, Side::Old, Deed::Name));
                }
                if !old.running && member.was != Was::Stopped && !tried.contains(&at) {
                    steps.push(step(at, Side::Old, Deed::Start));
                }
                if !old.paused && member.was == Was::Paused && (old.running || !tried.contains(&at)) {
                    steps.push(step(at, Side::Old, Deed::Pause));
                }
                continue;
            }
            (None, Some(again)) => create(&mut steps, at, Side::Old, again),
            (None, None) => continue,
        }
        // Who lives with it needs to know its new id first.
        if at == 0 {
            break;
        }
    }
    steps
}

fn create(steps: &mut Vec<Step>, at: usize, side: Side, blueprint: &Blueprint) {
    steps.push(Step { at, side, deed: Deed::Create });
    steps.extend(blueprint.leave.as_ref().map(|_| Step { at, side, deed: Deed::Leave }));
    steps.extend((0..blueprint.join.len()).map(|nth| Step { at, side, deed: Deed::Join(nth) }));
}

/// Where what is seen differs from what was.
pub(super) fn differences(entry: &Entry, seen: &[Pair], tried: &BTreeSet<usize>) -> Vec<String> {
    let mut found = Vec::new();
    for (at, (member, pair)) in entry.members.iter().zip(seen).enumerate() {
        let name = &member.name;
        if let Some(new) = &pair.new {
            found.push(format!("the new container is there as {}", new.name));
        }
        let Some(old) = &pair.old else {
            found.push(format!("{name} is gone"));
            continue;
        };
        if old.name != *name {
            found.push(format!("{name} is called {}", old.name));
        }
        let as_it_was = old.was() == member.was || (tried.contains(&at) && !old.running);
        if !as_it_was || old.is_vanishing() {
            let (is, was) = (word(old.was()), word(member.was));
            found.push(format!("{name} is {is} and was {was}"));
        }
        if old.image != member.image {
            found.push(format!("{name} is made from {} and was made from {}", old.image, member.image));
        }
        if old.networks != member.networks {
            found.push(format!("{name} is on {:?} and was on {:?}", old.networks, member.networks));
        }
    }
    found
}

fn word(was: Was) -> &'static str {
    match was {
        Was::Running => "running",
        Was::Paused => "paused",
        Was::Stopped => "stopped",
    }
}

/// A step in words.
pub(super) fn told(step: &Step, entry: &Entry, blueprint: Option<&Blueprint>) -> String {
    let name = &entry.members[step.at].name;
    let which = match step.side {
        Side::Old => "the old",
        Side::New => "the new",
    };
    match &step.deed {
        Deed::Create if step.side == Side::Old => format!("create {name} again"),
        Deed::Create => format!("create {} as {}", name, entry.temporary(step.at)),
        Deed::Leave => {
            format!("take {which} {name} off {}", blueprint.and_then(|one| one.leave.as_deref()).unwrap_or("?"))
        }
        Deed::Join(nth) => {
            let network = blueprint.and_then(|one| one.join.get(*nth)).map_or("?", |(network, _)| network);
            format!("connect {which} {name} to {network}")
        }
        Deed::SetAside => format!("rename {which} {name} to {}", entry.backup(step.at)),
        Deed::Name => format!("give {which} container the name {name}"),
        Deed::Stop => format!("stop {which} {name}"),
        Deed::Start => format!("start {which} {name}"),
        Deed::Pause => format!("pause {which} {name}"),
        Deed::Watch => format!("wait until {which} {name} is healthy"),
        Deed::Remove => format!("remove {which} {name}"),
    }
}
