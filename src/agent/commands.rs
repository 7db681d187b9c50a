//! What others ask of this host: who may ask, whether it is allowed, and that it takes effect at most once and always
//! ends in an outcome. Pure; signatures are checked in here, since that is arithmetic, and the engine's work is the
//! shell's.
//!
//! A command that is accepted is in the [`journal`] on the disk before anything is done. After a crash what was under
//! way ends as interrupted; what comes again is not done again, and its outcome is told again. Commands about one
//! container are done one after the other, those about different ones beside each other; a log is told beside all
//! (`streaming`).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use radar_link::jws::{self, VerifyError};
use radar_link::time::Now;
use radar_wire::command::{Claims, Command, MAX_COMMAND, Outcome, Progress};
use radar_wire::container::{ContainerId, Record};
use radar_wire::status::EngineFacts;
use radar_wire::topic::AgentId;

use super::pulls::Pulls;
use super::sampling::Sampling;
use super::streams::Streams;
use super::trial::Settled;
use super::update::Updates;
use super::update::journal::Journal as UpdateJournal;
use crate::engine::act::{Act, ActError, Done};

mod effect;
pub mod journal;
mod meanwhile;
pub(super) mod named;
mod outcomes;
pub mod policy;
pub mod renewal;
mod rules;
mod streaming;
mod target;
mod task;
mod updating;

pub(super) use effect::Effect;
use journal::Journal;
use outcomes::Outcomes;
use renewal::Renewal;
pub use rules::Rules;
use rules::{SKEW, check_times, is_name};
use target::Target;
use task::Task;

/// How many commands are done at once, how many wait for one container, and how many wait in all.
const AT_ONCE: usize = 8;
const PER_TARGET: usize = 8;
const WAITING: usize = 64;

/// How many pulls are done at once, so that other commands find room beside them.
const PULLS: usize = 3;

/// How long the engine may take for one step.
pub const STEP: Duration = Duration::from_secs(60);

/// When a journal that the disk did not take is written again.
const AGAIN: Duration = Duration::from_secs(10);

/// How often messages that are no command of ours are said.
const COMPLAIN: Duration = Duration::from_secs(60);

/// A command that was accepted.
#[derive(Debug)]
struct Accepted {
    jti: Box<str>,
    task: Task,
    target: Target,
}

/// The commands of this host.
#[derive(Debug)]
pub(super) struct Commands {
    agent: AgentId,
    rules: Rules,
    /// Whether there is a disk for the journal.
    on_disk: bool,
    journal: Journal,
    /// The journal on the disk is not this one.
    unwritten: bool,
    /// When the disk, which did not take the journal, is asked again.
    again: Option<Duration>,
    /// Accepted, once the journal is written.
    fresh: Vec<Accepted>,
    waiting: BTreeMap<Target, VecDeque<Accepted>>,
    /// By the ticket of the act; an update has one to itself.
    working: BTreeMap<u64, (Box<str>, Target)>,
    /// The containers that the prune under way removes; there is one at a time.
    pruned: Vec<ContainerId>,
    streams: Streams,
    renewal: Option<Renewal>,
    updates: Updates,
    tickets: u64,
    pulls: Pulls,
    sampling: Sampling,
    /// The engine is Podman.
    podman: bool,
    /// The words of what who guards the engine's socket denies.
    unavailable: Vec<Box<str>>,
    outcomes: Outcomes,
    ignored: u64,
    complain: Duration,
    effects: VecDeque<Effect>,
}

impl Commands {
    /// Goes on from what an earlier life has left: what was under way then is interrupted, but updates, which go back or
    /// finish, and a self-update, which is `settled`, or of which this life is a part.
    pub(super) fn new(
        agent: AgentId,
        rules: Rules,
        on_disk: bool,
        journal: Journal,
        updates: UpdateJournal,
        settled: Option<Settled>,
        now: Now,
    ) -> Self {
        let mut commands = Self {
            agent,
            rules,
            on_disk,
            journal,
            unwritten: false,
            again: None,
            fresh: Vec::new(),
            waiting: BTreeMap::new(),
            working: BTreeMap::new(),
            pruned: Vec::new(),
            streams: Streams::new(),
            renewal: None,
            updates: Updates::default(),
            tickets: 0,
            pulls: Pulls::default(),
            sampling: Sampling::new(None),
            podman: false,
            unavailable: Vec::new(),
            outcomes: Outcomes::default(),
            ignored: 0,
            complain: Duration::ZERO,
            effects: VecDeque::new(),
        };
        for (jti, id) in commands.updates.resume(updates, &mut commands.tickets) {
            commands.tickets += 1;
            commands.working.insert(commands.tickets, (jti, Target::Container(id)));
        }
        if let Some(settled) = settled {
            commands.settle(settled, now);
        }
        let told: Vec<_> = commands.outcomes.iter().map(|outcome| outcome.jti.clone()).collect();
        let open = |jti: &str| !commands.is_on_trial(jti) && !told.iter().any(|one| &**one == jti);
        let left: Vec<_> = commands.journal.entries().filter(|(jti, entry)| !entry.told && open(jti)).collect();
        let left: Vec<(Box<str>, Option<Outcome>)> =
            left.into_iter().map(|(jti, entry)| (jti.into(), entry.outcome.clone())).collect();
        for (jti, outcome) in left {
            let resumed = commands.working.values().any(|(working, _)| *working == jti);
            match outcome {
                None if resumed => {}
                Some(outcome) => commands.tell_end(outcome),
                None => {
                    let reason = "interrupted: the agent ended while this was under way; see what became of it";
                    commands.end(&jti, Progress::Failed, Some(reason.into()), None, now);
                }
            }
        }
        commands.work(now);
        commands
    }

    /// With samples that the operator wants always.
    pub(super) fn sampling_every(self, interval: Option<Duration>) -> Self {
        Self { sampling: Sampling::new(interval), ..self }
    }

    /// The engine answers, and says who it is.
    pub(super) fn handle_engine(&mut self, facts: &EngineFacts) {
        self.podman = &*facts.kind == "podman";
        self.unavailable.clone_from(&facts.unavailable);
    }

    /// Takes a message of the command topic.
    pub(super) fn handle_message(
        &mut self,
        payload: &[u8],
        retained: bool,
        records: &BTreeMap<ContainerId, Record>,
        now: Now,
    ) {
        if self.rules.keys.is_empty() || !self.on_disk {
            let reason = if self.on_disk { "no AGENT_COMMAND_KEY is set" } else { "commands need a DATA_DIR" };
            return self.ignore(reason.to_owned(), now);
        }
        let claims: Claims = match jws::verify(&self.rules.keys, payload, MAX_COMMAND) {
            Ok(claims) => claims,
            Err(VerifyError::Claims(text)) => return self.ignore(format!("signed, but no command: {text}"), now),
            Err(error) => return self.ignore(error.to_string(), now),
        };
        if claims.aud != self.agent {
            return self.ignore(format!("a command for the agent {}", claims.aud), now);
        }
        if !is_name(&claims.jti) {
            return self.ignore("signed, but its jti is none".to_owned(), now);
        }
        if let Some(entry) = self.journal.get(&claims.jti) {
            // Once more by the broker, or by somebody else: it is not done again.
            if let Some(outcome) = entry.outcome.clone().filter(|_| !self.outcomes.has(&claims.jti)) {
                self.tell(outcome);
            }
            return;
        }
        match self.accept(&claims, retained, records, now) {
            Ok(accepted) => self.fresh.extend(accepted),
            Err((state, reason)) => {
                self.log(&claims, state.clone(), Some(reason.clone()));
                let jti = claims.jti.as_str().into();
                self.tell(Outcome { jti, at: now.wall, state, reason: Some(reason), result: None });
            }
        }
    }

    fn accept(
        &mut self,
        claims: &Claims,
        retained: bool,
        records: &BTreeMap<ContainerId, Record>,
        now: Now,
    ) -> Result<Option<Accepted>, (Progress, Box<str>)> {
        let refused = |reason: String| (Progress::Refused, reason.into_boxed_str());
        let failed = |reason: String| (Progress::Failed, reason.into_boxed_str());
        if retained {
            return Err(refused("retained: a command is never kept by the broker".to_owned()));
        }
        let seconds = now.wall.div_euclid(1000);
        check_times(claims, seconds).map_err(refused)?;
        let behind = self.journal.behind(seconds);
        if behind > SKEW {
            return Err(refused(format!("clock: this host's clock was set back by {behind} s; set it right")));
        }
        if claims.cmd == Command::Unknown {
            return Err(refused("unknown-command: this version of the agent does not know it".to_owned()));
        }
        if let Some(why) = self.is_leaving() {
            return Err(refused(why.to_owned()));
        }
        let word = claims.cmd.word();
        let record = match claims.cmd.container() {
            None => None,
            Some(named) => Some(target::find(records.iter(), named).map_err(failed)?),
        };
        let labels = record.map(|record| &record.labels);
        if !matches!(claims.cmd, Command::Cancel { .. }) {
            self.rules.policy.check(word, labels).map_err(|why| refused(format!("policy: {why}")))?;
        }
        if self.unavailable.iter().any(|denied| &**denied == word) {
            let why = format!("unavailable: who guards the engine's socket denies {word}; allow it there");
            return Err(refused(why));
        }
        if let Some(record) = record.filter(|_| policy::harms(word)) {
            let own = self.rules.is_own(&record.id);
            if own || policy::is_protected(&record.labels) {
                let why = if own { "the agent itself runs in it" } else { "its label radar.protect says so" };
                return Err(refused(format!("protected: {word} is not for this container: {why}")));
            }
        }
        if let Some(record) = record.filter(|record| self.is_updated(record)) {
            return Err(refused(format!("busy: {} is being updated", record.name)));
        }
        let updates = matches!(claims.cmd, Command::Update { .. });
        if let Some(record) = record.filter(|record| updates && self.pruned.contains(&record.id)) {
            return Err(refused(format!("busy: {} does not run, and a prune is removing it", record.name)));
        }
        if let Command::SelfUpdate { image, program, patience } = &claims.cmd {
            let renewed = self.accept_renewal(claims, image.as_deref(), program.as_ref(), *patience, seconds);
            return renewed.map(|()| None).map_err(refused);
        }
        let id = record.map(|record| record.id);
        let is_updated = |record: &Record| self.is_updated(record);
        let mut task = Task::of(&claims.cmd, id, records, &self.rules, self.podman).map_err(refused)?;
        if let Task::Act(Act::RemoveStopped { ids }) = &mut task {
            ids.retain(|id| !records.get(id).is_some_and(is_updated));
        }
        let target = task.target(id);
        let waiting: usize = self.waiting.values().map(VecDeque::len).sum::<usize>() + self.fresh.len();
        let ahead = self.waiting.get(&target).map_or(0, VecDeque::len)
            + self.fresh.iter().filter(|other| other.target == target).count();
        if task.queues() && ahead >= PER_TARGET || waiting >= WAITING {
            return Err(refused("busy: too many commands wait already".to_owned()));
        }
        self.check_streams(&task).map_err(refused)?;
        self.note(claims, seconds).map_err(refused)?;
        Ok(Some(Accepted { jti: claims.jti.as_str().into(), task, target }))
    }

    /// Takes a command into the journal, which is to be written before anything is done.
    fn note(&mut self, claims: &Claims, seconds: i64) -> Result<(), String> {
        let until = claims.exp.saturating_add(SKEW);
        if !self.journal.accept(&claims.jti, policy::only_reads(claims.cmd.word()), until, seconds) {
            return Err("busy: too many commands are remembered".to_owned());
        }
        self.unwritten = true;
        self.log(claims, Progress::Accepted, None);
        Ok(())
    }

    /// How writing the journal went.
    pub(super) fn handle_written(&mut self, result: Result<(), String>, now: Now) {
        self.again = result.is_err().then(|| now.mono + AGAIN);
        for accepted in std::mem::take(&mut self.fresh) {
            self.tell_noted(&accepted.jti, &result, now);
            if result.is_err() {
                continue;
            }
            if accepted.task.queues() {
                self.waiting.entry(accepted.target.clone()).or_default().push_back(accepted);
            } else {
                self.begin(accepted, now);
            }
        }
        if let Some(jti) = self.fresh_renewal() {
            self.tell_noted(&jti, &result, now);
            self.begin_renewal(result.is_ok());
        }
        self.work(now);
    }

    /// How the engine's work went.
    pub(super) fn handle_acted(&mut self, ticket: u64, result: Result<Done, ActError>, now: Now) {
        if self.streams.handle_acted(ticket, &result) || self.sampling.handle_ended(ticket, now.mono) {
            return;
        }
        self.pulls.end(ticket);
        let Some((jti, target)) = self.working.remove(&ticket) else {
            return self.handle_updated(ticket, &result, now);
        };
        if target == Target::Unused {
            self.pruned.clear();
        }
        match result {
            Ok(Done { needed, result }) => {
                let unchanged = (!needed).then(|| "unchanged: it was so already".into());
                self.end(&jti, Progress::Succeeded, unchanged, result, now);
            }
            Err(ActError { kind, text }) => {
                let reason = format!("{}: {text}", kind.as_str());
                self.end(&jti, Progress::Failed, Some(reason.into()), None, now);
            }
        }
        self.work(now);
    }

    /// The connection is gone, with all that was under way on it.
    pub(super) fn handle_away(&mut self, now: Now) {
        self.sampling.handle_away();
        self.outcomes.give_all_back();
        self.streams.handle_away();
        self.follow_streams(now);
    }

    /// What is to be done next.
    pub(super) fn next_effect(&mut self) -> Option<Effect> {
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        if std::mem::take(&mut self.unwritten) {
            return Some(Effect::Write(self.journal.to_bytes()));
        }
        self.updates.next_write().map(Effect::WriteUpdates)
    }

    /// Whether nothing is under way, and all is told.
    pub(super) fn is_idle(&self) -> bool {
        let working = !self.working.is_empty() || !self.fresh.is_empty() || !self.waiting.is_empty();
        !working && self.streams.len() == 0 && self.outcomes.is_empty()
    }

    fn work(&mut self, now: Now) {
        self.follow_updates(now);
        while self.working.len() < AT_ONCE {
            let busy = |target: &Target| self.working.values().any(|(_, working)| working == target);
            let free = |queue: &VecDeque<Accepted>| {
                let pulls = queue.front().is_some_and(|next| matches!(next.task, Task::Act(Act::Pull { .. })));
                !pulls || self.pulls.count() < PULLS
            };
            let mut waiting = self.waiting.iter();
            let Some((target, _)) = waiting.find(|(target, queue)| !busy(target) && free(queue)) else { break };
            let target = target.clone();
            let Some(queue) = self.waiting.get_mut(&target) else { break };
            let next = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&target);
            }
            let Some(Accepted { jti, task, target }) = next else { continue };
            self.tickets += 1;
            self.working.insert(self.tickets, (jti.clone(), target));
            match task {
                Task::Update(order) => self.begin_update(jti, order, now),
                Task::Act(act) => self.act(self.tickets, act, now),
                Task::Log(..) | Task::Sample(_) | Task::Cancel(_) => {}
            }
        }
        self.go_on();
    }

    fn act(&mut self, ticket: u64, mut act: Act, now: Now) {
        match &mut act {
            Act::Pull { .. } => self.pulls.begin(ticket, now.mono),
            Act::RemoveStopped { ids } => {
                self.spare_updated(ids);
                self.pruned.clone_from(ids);
            }
            _ => {}
        }
        self.effects.push_back(Effect::Act { ticket, act });
    }

    fn ignore(&mut self, reason: String, now: Now) {
        self.ignored += 1;
        if self.complain <= now.mono {
            self.complain = now.mono + COMPLAIN;
            let messages = std::mem::take(&mut self.ignored);
            self.effects.push_back(Effect::Ignored { messages, reason });
        }
    }

    fn log(&mut self, claims: &Claims, state: Progress, reason: Option<Box<str>>) {
        let what = match claims.cmd.container() {
            Some(container) => format!("{} {container}", claims.cmd.word()),
            None => claims.cmd.word().to_owned(),
        };
        self.effects.push_back(Effect::Told { who: claims.sub.clone(), what, state, reason });
    }
}

#[cfg(test)]
mod tests;
