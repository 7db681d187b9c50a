//! An update of many containers in waves: which are begun when, and what a failure means for those that are left. Pure.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;

use super::ending::{End, Ending};
use super::exit::Exit;
use super::failure::Failure;
use super::target::Target;

/// What becomes of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its wave has not begun, or never will; why, where it is known from the start.
    NotBegun(Option<String>),
    /// It is, as far as is known here, under way.
    UnderWay,
    Updated,
    /// The steps that it would take.
    Planned(Vec<String>),
    Unchanged,
    /// It is not for updates, and its host says so.
    LeftOut(String),
    /// The new one did not work, and the old one is back.
    RolledBack(String),
    Failed(String, Exit),
    /// No outcome came.
    Unknown(String),
}

impl Fate {
    /// Whether it is as it should be afterwards.
    fn is_fine(&self) -> bool {
        matches!(self, Self::Updated | Self::Planned(_) | Self::Unchanged | Self::LeftOut(_))
    }

    /// Whether it tells that something is wrong with the update.
    fn is_failure(&self) -> bool {
        matches!(self, Self::RolledBack(_) | Self::Failed(..) | Self::Unknown(_))
    }

    /// The word for it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::NotBegun(_) => "not begun",
            Self::UnderWay => "under way",
            Self::Updated => "updated",
            Self::Planned(_) => "planned",
            Self::Unchanged => "unchanged",
            Self::LeftOut(_) => "left out",
            Self::RolledBack(_) => "rolled back",
            Self::Failed(..) => "failed",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Why it is so.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::NotBegun(why) => why.as_deref().unwrap_or_default(),
            Self::LeftOut(why) | Self::RolledBack(why) | Self::Failed(why, _) | Self::Unknown(why) => why,
            Self::UnderWay | Self::Updated | Self::Planned(_) | Self::Unchanged => "",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            fate if fate.is_fine() => Exit::Done,
            Self::Failed(_, exit) => *exit,
            Self::Unknown(_) | Self::UnderWay => Exit::Unknown,
            _ => Exit::Failed,
        }
    }
}

/// How the update of one container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    So(Fate),
    /// Something else is done to it just now, for example because it shares another's network.
    Busy(String),
}

impl Ended {
    /// What an outcome says.
    pub(super) fn of(ending: Result<Ending, Failure>, dry_run: bool) -> Self {
        let why = |ending: &Ending| ending.reason.clone().unwrap_or_default();
        Self::So(match ending {
            Ok(ending) => match (ending.end, ending.word()) {
                (End::Succeeded, _) if dry_run => Fate::Planned(steps(&ending)),
                (End::Succeeded, _) => Fate::Updated,
                (End::Unchanged, _) => Fate::Unchanged,
                (End::Unknown, _) => Fate::Unknown(why(&ending)),
                (_, "busy") => return Self::Busy(why(&ending)),
                (_, "protected") => Fate::LeftOut(why(&ending)),
                (_, "rolled-back") => Fate::RolledBack(why(&ending)),
                _ if ending.exit() == Exit::Unknown => Fate::Unknown(why(&ending)),
                _ => Fate::Failed(why(&ending), ending.exit()),
            },
            Err(failure) => match (failure.word(), failure.exit()) {
                (Some("busy"), _) => return Self::Busy(failure.to_string()),
                (Some("protected"), _) => Fate::LeftOut(failure.to_string()),
                (_, Exit::Unknown) => Fate::Unknown(failure.to_string()),
                (_, exit) => Fate::Failed(failure.to_string(), exit),
            },
        })
    }
}

fn steps(ending: &Ending) -> Vec<String> {
    let steps = ending.result.get("steps").and_then(serde_json::Value::as_array);
    steps.into_iter().flatten().filter_map(|step| step.as_str().map(str::to_owned)).collect()
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Say that this wave begins; counted from 1.
    Wave(usize),
    /// Begin this one.
    Begin(usize),
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub target: Target,
    pub fate: Fate,
    turn: Turn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Waits,
    /// It was busy, and is tried once more when the others of its wave have ended.
    WaitsAgain,
    Had,
    /// The second one.
    HadAgain,
    /// It has none.
    None,
}

/// The update of them all.
#[derive(Debug)]
pub(super) struct Rollout {
    items: Vec<Item>,
    /// How many of the items are in waves; the others have no turn.
    planned: usize,
    size: NonZeroUsize,
    stop_on_failure: bool,
    wave: usize,
    announced: bool,
    stopped: bool,
}

impl Rollout {
    /// These, in this order; those of `without` have no turn, and say why.
    pub(super) fn new(
        targets: Vec<Target>,
        without: Vec<(Target, Fate)>,
        size: NonZeroUsize,
        stop_on_failure: bool,
    ) -> Self {
        let planned = targets.len();
        let item = |target| Item { target, fate: Fate::NotBegun(None), turn: Turn::Waits };
        let other = |(target, fate)| Item { target, fate, turn: Turn::None };
        let items = targets.into_iter().map(item).chain(without.into_iter().map(other)).collect();
        Self { items, planned, size, stop_on_failure, wave: 0, announced: false, stopped: false }
    }

    /// All, in their order.
    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// The waves, in their order.
    pub(super) fn waves(&self) -> impl Iterator<Item = &[Item]> {
        self.items[..self.planned].chunks(self.size.get())
    }

    /// Those that have no turn.
    pub(super) fn without(&self) -> &[Item] {
        &self.items[self.planned..]
    }

    /// What to do next; `None` while others are under way, and at the end.
    pub(super) fn next_effect(&mut self) -> Option<Effect> {
        loop {
            let range = self.range();
            if self.stopped || range.is_empty() {
                return None;
            }
            if !self.announced {
                self.announced = true;
                return Some(Effect::Wave(self.wave + 1));
            }
            let wave = &mut self.items[range.clone()];
            if let Some(index) = wave.iter().position(|item| item.turn == Turn::Waits) {
                return Some(Self::begin(wave, range.start, index, Turn::Had));
            }
            if wave.iter().any(|item| item.fate == Fate::UnderWay) {
                return None;
            }
            // One after the other: they may be busy with each other.
            if let Some(index) = wave.iter().position(|item| item.turn == Turn::WaitsAgain) {
                return Some(Self::begin(wave, range.start, index, Turn::HadAgain));
            }
            if self.stop_on_failure && wave.iter().any(|item| item.fate.is_failure()) {
                self.stopped = true;
                return None;
            }
            self.wave += 1;
            self.announced = false;
        }
    }

    /// The update of one has ended.
    pub(super) fn handle_ended(&mut self, index: usize, ended: Ended) {
        let Some(item) = self.items.get_mut(index) else { return };
        match ended {
            Ended::So(fate) => item.fate = fate,
            Ended::Busy(_) if item.turn == Turn::Had => {
                item.turn = Turn::WaitsAgain;
                item.fate = Fate::NotBegun(None);
            }
            Ended::Busy(why) => item.fate = Fate::Failed(why, Exit::Refused),
        }
    }

    /// Nobody waits for it any longer; what is under way goes on without us.
    pub(super) fn handle_stop(&mut self) {
        self.stopped = true;
    }

    /// How many ended how, in words; only what there is.
    pub(super) fn summary(&self) -> String {
        let counts = self.counts();
        let total = self.items.len();
        let parts: Vec<_> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        format!("{total} container{}: {}", if total == 1 { "" } else { "s" }, parts.join(", "))
    }

    /// How many ended how, in the order in which they are told.
    pub(super) fn counts(&self) -> Vec<(&'static str, usize)> {
        const ORDER: [&str; 9] = [
            "updated",
            "planned",
            "unchanged",
            "left out",
            "rolled back",
            "failed",
            "unknown",
            "under way",
            "not begun",
        ];
        let mut counts = BTreeMap::new();
        for item in &self.items {
            *counts.entry(item.fate.word()).or_default() += 1;
        }
        ORDER.into_iter().filter_map(|word| Some((word, *counts.get(word)?))).collect()
    }

    /// The exit code: of few that somebody has named, what they share; of many, whether all are fine.
    pub(super) fn exit(&self, named: bool) -> Exit {
        if self.items.iter().any(|item| item.fate == Fate::UnderWay) {
            return Exit::Unknown;
        }
        // That nothing is wrong is not that anything was done.
        if self.planned == 0 && self.items.iter().all(|item| matches!(item.fate, Fate::LeftOut(_))) {
            return Exit::Refused;
        }
        let begun = self.items.iter().filter(|item| !named || !matches!(item.fate, Fate::NotBegun(None)));
        match Exit::of_all(begun.map(|item| item.fate.exit())) {
            Exit::Done => Exit::Done,
            exit if named => exit,
            _ => Exit::Failed,
        }
    }

    fn range(&self) -> Range<usize> {
        let start = (self.wave * self.size.get()).min(self.planned);
        start..(start + self.size.get()).min(self.planned)
    }

    fn begin(wave: &mut [Item], start: usize, index: usize, turn: Turn) -> Effect {
        wave[index].turn = turn;
        wave[index].fate = Fate::UnderWay;
        Effect::Begin(start + index)
    }
}

#[cfg(test)]
mod tests;
