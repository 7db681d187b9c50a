//! The self-update of a program of the host, as far as the commands know it: who may give a new version, where it is
//! fetched to, and that nothing else is under way when the agent leaves for the trial of it.

use std::path::PathBuf;
use std::time::Duration;

use ciborium::Value;
use radar_link::jws::{Digest, PublicKey, is_signed};
use radar_link::time::Now;
use radar_wire::command::{Claims, Outcome, Program, Progress};

use super::{Commands, Effect};
use crate::agent::trial::{Note, PATIENCE, PATIENCE_MOST, Settled, Stage};
use crate::release::Order;

/// How long other commands are waited for, so that none is cut off.
const OTHERS: Duration = Duration::from_secs(60);

/// What the agent may be replaced by.
#[derive(Debug, Clone, Default)]
pub struct Releases {
    /// Who signs releases.
    pub keys: Vec<PublicKey>,
    /// The file that it runs from, or why it cannot be replaced.
    pub program: Option<Result<PathBuf, Box<str>>>,
    /// This life is itself the trial of a new version: the command that it comes from.
    pub trial: Option<Box<str>>,
}

/// A self-update under way.
#[derive(Debug)]
pub(super) struct Renewal {
    jti: Box<str>,
    order: Order,
    patience: Duration,
    step: Step,
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
    /// The agent leaves.
    Leaving(Box<Note>),
}

impl Renewal {
    /// What a command asks for.
    ///
    /// # Errors
    /// Why it is not done.
    pub(super) fn new(
        releases: &Releases,
        jti: &str,
        program: &Program,
        patience: Option<u32>,
    ) -> Result<Self, String> {
        if releases.keys.is_empty() {
            return Err("no-release-key: AGENT_RELEASE_KEY says who signs releases, and it is not set".to_owned());
        }
        let target = match &releases.program {
            Some(Ok(target)) => target.clone(),
            Some(Err(why)) => return Err(format!("not-replaceable: {why}")),
            None => return Err("not-replaceable: the agent runs in a container: name an image".to_owned()),
        };
        let digest: Digest = program.sha256.parse().map_err(|error| format!("invalid: sha256: {error}"))?;
        if !is_signed(&releases.keys, &digest, &program.signature) {
            return Err("signature: no key of AGENT_RELEASE_KEY has signed this SHA-256".to_owned());
        }
        let address = program.url.parse().map_err(|error| format!("invalid: url: {error}"))?;
        let patience = patience.map_or(PATIENCE, |seconds| Duration::from_secs(seconds.into()));
        if patience.is_zero() || patience > PATIENCE_MOST {
            return Err(format!("invalid: patience is 1 to {} s", PATIENCE_MOST.as_secs()));
        }
        Ok(Self { jti: jti.into(), order: Order { address, digest, target }, patience, step: Step::Fresh })
    }

    fn note(&self, to: Box<str>) -> Note {
        Note {
            jti: self.jti.clone(),
            from: crate::version().into(),
            to,
            sha256: self.order.digest.to_string().into(),
            target: self.order.target.clone(),
            patience: self.patience,
            stage: Stage::Trying,
        }
    }
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
        let Some(program) = program.filter(|_| image.is_none()) else {
            return Err(
                "invalid: the agent is a program of this host: name a program, with its hash and its signature"
                    .to_owned(),
            );
        };
        if self.renewal.is_some() {
            return Err("busy: the agent is being updated already".to_owned());
        }
        let renewal = Renewal::new(&self.rules.releases, &claims.jti, program, patience)?;
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
            self.effects.push_back(Effect::Fetch(renewal.order.clone()));
        } else {
            self.renewal = None;
        }
    }

    /// The command of a self-update that is being noted.
    pub(super) fn fresh_renewal(&self) -> Option<Box<str>> {
        self.renewal.as_ref().filter(|renewal| renewal.step == Step::Fresh).map(|renewal| renewal.jti.clone())
    }

    /// How fetching the new version went.
    pub(in super::super) fn handle_fetched(&mut self, result: Result<Box<str>, String>, now: Now) {
        let Some(renewal) = self.renewal.as_mut().filter(|renewal| renewal.step == Step::Fetching) else { return };
        let jti = renewal.jti.clone();
        match result {
            Ok(to) => {
                let what =
                    format!("{to} is here and is what was signed; it is tried now, and the agent is away until then");
                renewal.step = Step::Waiting { to, until: now.mono + OTHERS };
                let result = Value::Map(vec![(Value::from("what"), Value::from(what))]);
                self.tell(Outcome { jti, at: now.wall, state: Progress::Progress, reason: None, result: Some(result) });
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
        let idle = self.working.is_empty() && self.waiting.is_empty() && self.fresh.is_empty();
        let Some(renewal) = self.renewal.as_mut().filter(|_| idle) else { return };
        if let Step::Waiting { to, .. } = &renewal.step {
            let note = Box::new(renewal.note(to.clone()));
            self.effects.push_back(Effect::WriteNote(note.to_bytes()));
            renewal.step = Step::Noting(note);
        }
    }

    /// How writing the note of the trial went. Returns whether the agent is to leave.
    pub(in super::super) fn handle_noted(&mut self, result: Result<(), String>, now: Now) -> bool {
        let Some(renewal) = self.renewal.as_mut() else { return false };
        let Step::Noting(note) = &renewal.step else { return false };
        match result {
            Ok(()) => renewal.step = Step::Leaving(note.clone()),
            Err(error) => self.give_up(&format!("storage: the trial could not be noted: {error}"), now),
        }
        self.renewal.is_some()
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
            self.effects.push_back(Effect::Discard(order.target));
            self.end(&jti, Progress::Failed, Some(why.into()), None, now);
        }
    }

    /// How a self-update of an earlier life ended; told unless it was already.
    pub(super) fn settle(&mut self, settled: Settled, now: Now) {
        let Settled { jti, state, reason, result } = settled;
        if self.journal.get(&jti).is_none_or(|entry| entry.outcome.is_none()) {
            self.end(&jti, state, reason, result, now);
        }
        // Once the journal is written, the note of the trial goes.
        self.unwritten = true;
    }

    /// Whether a command goes on beyond this life.
    pub(super) fn is_on_trial(&self, jti: &str) -> bool {
        self.rules.releases.trial.as_deref() == Some(jti)
    }
}
