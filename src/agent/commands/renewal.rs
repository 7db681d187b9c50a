//! The self-update of a program of the host, as far as the commands know it: who may give a new version, where it is
//! fetched to, and that nothing else is under way when the agent leaves for the trial of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ciborium::Value;
use radar_link::jws::{Digest, PublicKey, is_signed};
use radar_link::time::Now;
use radar_wire::command::{Claims, Outcome, Program, Progress};
use radar_wire::container::ContainerId;

use super::{Commands, Effect, named};
use crate::agent::takeover::{self, TakeOver};
use crate::agent::trial::{Note, PATIENCE, PATIENCE_MOST, Settled, Stage};
use crate::release::Order;

/// How long other commands are waited for, so that none is cut off.
const OTHERS: Duration = Duration::from_secs(60);

/// What the agent may be replaced by.
#[derive(Debug, Clone, Default)]
pub struct Releases {
    /// Who signs releases.
    pub keys: Vec<PublicKey>,
    /// What there is to replace.
    pub place: Place,
    /// This life is itself the trial of a new version: the command that it comes from.
    pub trial: Option<Box<str>>,
}

/// What an agent runs from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nothing that can be replaced, for this reason.
    Fixed(Box<str>),
    /// This file.
    Program(PathBuf),
    /// This container, with its data on a mount.
    Container(ContainerId),
}

impl Default for Place {
    fn default() -> Self {
        Self::Fixed("it is a part of another program".into())
    }
}

/// A self-update under way.
#[derive(Debug)]
pub(super) struct Renewal {
    jti: Box<str>,
    order: Wanted,
    patience: Duration,
    step: Step,
}

#[derive(Debug, Clone)]
enum Wanted {
    Program(Order),
    Image { image: Box<str>, own: ContainerId },
}

#[derive(Debug, PartialEq)]
enum Step {
    /// The command is being noted.
    Fresh,
    /// The new one is being fetched.
    Fetching,
    /// It is here, and waits for other commands to end until then.
    Waiting { to: Box<str>, until: Duration },
    /// The trial is being noted.
    Noting(Box<Note>),
    /// The same, for the helper.
    NotingHelper(Box<TakeOver>),
    /// The agent leaves.
    Leaving(Box<Note>),
    /// The helper replaces it.
    HandedOver,
}

impl Renewal {
    /// What a command asks for.
    ///
    /// # Errors
    /// Why it is not done.
    pub(super) fn new(
        releases: &Releases,
        jti: &str,
        image: Option<&str>,
        program: Option<&Program>,
        patience: Option<u32>,
    ) -> Result<Self, String> {
        let (order, usual) = match (&releases.place, image, program) {
            (Place::Container(own), Some(image), None) if !image.is_empty() => {
                (Wanted::Image { image: named::image(image)?, own: *own }, takeover::PATIENCE)
            }
            (Place::Container(_), ..) => {
                return Err("invalid: the agent runs in a container: name an image and nothing else".to_owned());
            }
            (_, None, Some(_)) if releases.keys.is_empty() => {
                return Err("no-release-key: AGENT_RELEASE_KEY says who signs releases, and it is not set".to_owned());
            }
            (Place::Fixed(why), ..) => return Err(format!("not-replaceable: {why}")),
            (Place::Program(target), None, Some(program)) => {
                (Wanted::Program(ordered(releases, target, program)?), PATIENCE)
            }
            (Place::Program(_), ..) => {
                let why = "the agent is a program of this host: name a program, with its hash and its signature";
                return Err(format!("invalid: {why}"));
            }
        };
        let patience = patience.map_or(usual, |seconds| Duration::from_secs(seconds.into()));
        if patience.is_zero() || patience > PATIENCE_MOST {
            return Err(format!("invalid: patience is 1 to {} s", PATIENCE_MOST.as_secs()));
        }
        Ok(Self { jti: jti.into(), order, patience, step: Step::Fresh })
    }

    fn noting(&self, to: Box<str>) -> Step {
        let (jti, from, stage) = (self.jti.clone(), crate::version().into(), Stage::Trying);
        match &self.order {
            Wanted::Program(order) => Step::Noting(Box::new(Note {
                jti,
                from,
                to,
                sha256: order.digest.to_string().into(),
                target: order.target.clone(),
                patience: self.patience,
                stage,
            })),
            Wanted::Image { image, own } => Step::NotingHelper(Box::new(TakeOver {
                jti,
                image: image.clone(),
                to,
                from,
                old: *own,
                patience: self.patience,
                stage,
            })),
        }
    }
}

/// A program that a release key has signed.
fn ordered(releases: &Releases, target: &Path, program: &Program) -> Result<Order, String> {
    let digest: Digest = program.sha256.parse().map_err(|error| format!("invalid: sha256: {error}"))?;
    if !is_signed(&releases.keys, &digest, &program.signature) {
        return Err("signature: no key of AGENT_RELEASE_KEY has signed this SHA-256".to_owned());
    }
    let address = program.url.parse().map_err(|error| format!("invalid: url: {error}"))?;
    Ok(Order { address, digest, target: target.to_owned() })
}

impl Commands {
    /// Takes a self-update, unless something speaks against it.
    pub(super) fn accept_renewal(
        &mut self,
        claims: &Claims,
        image: Option<&str>,
        program: Option<&Program>,
        patience: Option<u32>,
        seconds: i64,
    ) -> Result<(), String> {
        if self.renewal.is_some() {
            return Err("busy: the agent is being updated already".to_owned());
        }
        let renewal = Renewal::new(&self.rules.releases, &claims.jti, image, program, patience)?;
        self.note(claims, seconds)?;
        self.renewal = Some(renewal);
        Ok(())
    }

    /// Why no command is taken just now.
    pub(super) fn is_leaving(&self) -> Option<&'static str> {
        if self.rules.releases.trial.is_some() {
            return Some("busy: this is the trial of a new version of the agent; ask again in a moment");
        }
        let stays = |renewal: &Renewal| matches!(renewal.step, Step::Fresh | Step::Fetching);
        let leaves = self.renewal.as_ref().is_some_and(|renewal| !stays(renewal));
        leaves.then_some("busy: the agent is about to be replaced by another version; ask again in a moment")
    }

    /// The command of a self-update is noted, or not.
    pub(super) fn begin_renewal(&mut self, noted: bool) {
        let Some(renewal) = self.renewal.as_mut().filter(|renewal| renewal.step == Step::Fresh) else { return };
        if noted {
            renewal.step = Step::Fetching;
            self.effects.push_back(match renewal.order.clone() {
                Wanted::Program(order) => Effect::Fetch(order),
                Wanted::Image { image, own } => Effect::FetchImage { image, own },
            });
        } else {
            self.renewal = None;
        }
    }

    /// The command of a self-update that is being noted.
    pub(super) fn fresh_renewal(&self) -> Option<Box<str>> {
        self.renewal.as_ref().filter(|renewal| renewal.step == Step::Fresh).map(|renewal| renewal.jti.clone())
    }

    /// How fetching the new version went.
    pub(in super::super) fn handle_fetched(&mut self, result: Result<Option<Box<str>>, String>, now: Now) {
        let Some(renewal) = self.renewal.as_mut().filter(|renewal| renewal.step == Step::Fetching) else { return };
        let jti = renewal.jti.clone();
        match result {
            Ok(Some(to)) => {
                let what = format!("{to} is here and is tried now; the agent is away until then");
                renewal.step = Step::Waiting { to, until: now.mono + OTHERS };
                let result = Value::Map(vec![(Value::from("what"), Value::from(what))]);
                self.tell(Outcome { jti, at: now.wall, state: Progress::Progress, reason: None, result: Some(result) });
                // A log that is followed has no end of its own.
                self.handle_stop(now);
            }
            Ok(None) => {
                self.renewal = None;
                let unchanged = "unchanged: the agent runs from this image already";
                self.end(&jti, Progress::Succeeded, Some(unchanged.into()), None, now);
            }
            Err(why) => {
                self.renewal = None;
                self.end(&jti, Progress::Failed, Some(why.into()), None, now);
            }
        }
        self.go_on();
    }

    /// Leaves as soon as nothing else is under way.
    pub(super) fn go_on(&mut self) {
        let under_way = !self.working.is_empty() || !self.waiting.is_empty() || !self.fresh.is_empty();
        let idle = !under_way && self.streams.len() == 0;
        let Some(renewal) = self.renewal.as_mut().filter(|_| idle) else { return };
        if let Step::Waiting { to, .. } = &renewal.step {
            renewal.step = renewal.noting(to.clone());
            self.effects.extend(match &renewal.step {
                Step::Noting(note) => Some(Effect::WriteNote(note.to_bytes())),
                Step::NotingHelper(note) => Some(Effect::WriteTakeOver(note.to_bytes())),
                _ => None,
            });
        }
    }

    /// How writing the note of the trial went. Returns whether the agent is to leave.
    pub(in super::super) fn handle_noted(&mut self, result: Result<(), String>, now: Now) -> bool {
        let Some(renewal) = self.renewal.as_mut() else { return false };
        if let Err(error) = result {
            self.give_up(&format!("storage: the trial could not be noted: {error}"), now);
            return false;
        }
        match &renewal.step {
            Step::Noting(note) => {
                renewal.step = Step::Leaving(note.clone());
                true
            }
            Step::NotingHelper(note) => {
                self.effects.push_back(Effect::HandOver(note.clone()));
                renewal.step = Step::HandedOver;
                false
            }
            _ => false,
        }
    }

    /// The helper has not replaced this agent, for this reason.
    pub(in super::super) fn handle_stayed(&mut self, why: &str, now: Now) {
        self.give_up(why, now);
    }

    /// Whether the agent goes to be replaced.
    pub(in super::super) fn is_replaced(&self) -> bool {
        let goes = |renewal: &Renewal| matches!(renewal.step, Step::Leaving(_) | Step::HandedOver);
        self.renewal.as_ref().is_some_and(goes)
    }

    /// When other commands are waited for no longer.
    pub(super) fn renewal_timeout(&self) -> Option<Duration> {
        match self.renewal.as_ref()?.step {
            Step::Waiting { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Gives up what has waited too long.
    pub(super) fn time_renewal(&mut self, now: Now) {
        if self.renewal_timeout().is_some_and(|until| until <= now.mono) {
            self.give_up("busy: other commands were under way all the time", now);
        }
    }

    /// The trial for which the agent leaves.
    pub(in super::super) fn leaves_for(&self) -> Option<&Note> {
        match &self.renewal.as_ref()?.step {
            Step::Leaving(note) => Some(note),
            _ => None,
        }
    }

    fn give_up(&mut self, why: &str, now: Now) {
        if let Some(Renewal { jti, order, .. }) = self.renewal.take() {
            self.effects.push_back(match order {
                Wanted::Program(order) => Effect::Discard(Some(order.target)),
                Wanted::Image { .. } => Effect::Discard(None),
            });
            self.end(&jti, Progress::Failed, Some(why.into()), None, now);
        }
    }

    /// How a self-update of an earlier life ended; told unless it was already.
    pub(in super::super) fn settle(&mut self, settled: Settled, now: Now) {
        let Settled { jti, state, reason, result } = settled;
        if self.journal.get(&jti).is_none_or(|entry| entry.outcome.is_none()) {
            self.end(&jti, state, reason, result, now);
        }
        // Once the journal is written, the note of the trial goes.
        self.unwritten = true;
        self.rules.releases.trial = None;
    }

    /// Whether a command goes on beyond this life.
    pub(super) fn is_on_trial(&self, jti: &str) -> bool {
        self.rules.releases.trial.as_deref() == Some(jti)
    }
}
