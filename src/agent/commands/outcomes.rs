//! What the broker is to be told of commands, in order, until it has taken it.

use std::collections::VecDeque;

use radar_link::time::Now;
use radar_wire::command::{Outcome, Progress};

use super::Commands;
use super::journal::result_bytes;

/// How many outcomes wait for the broker; over it the oldest that is no end goes first.
const MOST: usize = 512;

/// How many bytes of results wait, beyond a little of each: ten of the largest. In memory they are several times that.
const BYTES: usize = 2 * 1024 * 1024;

/// The outcomes that wait.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    waiting: VecDeque<Waiting>,
    numbers: u64,
}

#[derive(Debug)]
struct Waiting {
    /// Names it while it is under way.
    number: u64,
    under_way: bool,
    /// Of its result.
    bytes: usize,
    outcome: Outcome,
}

impl Outcomes {
    /// Takes one, or in its place another, which is a small one, when too much waits.
    pub(super) fn push(&mut self, mut outcome: Outcome, small: Option<Outcome>) {
        if self.waiting.len() >= MOST {
            let is_no_end =
                |waiting: &Waiting| matches!(waiting.outcome.state, Progress::Accepted | Progress::Progress);
            let at = self.waiting.iter().position(is_no_end).unwrap_or(0);
            self.waiting.remove(at);
        }
        let mut bytes = result_bytes(&outcome);
        if let Some(small) = small.filter(|_| self.bytes() + bytes > BYTES) {
            (bytes, outcome) = (result_bytes(&small), small);
        }
        self.numbers += 1;
        self.waiting.push_back(Waiting { number: self.numbers, under_way: false, bytes, outcome });
    }

    /// The next one, which is under way from then on.
    pub(super) fn next(&mut self) -> Option<(u64, &Outcome)> {
        let next = self.waiting.iter_mut().find(|waiting| !waiting.under_way)?;
        next.under_way = true;
        Some((next.number, &next.outcome))
    }

    /// It has arrived.
    pub(super) fn take(&mut self, number: u64) -> Option<Outcome> {
        let at = self.waiting.iter().position(|waiting| waiting.number == number)?;
        Some(self.waiting.remove(at)?.outcome)
    }

    /// What it found is left away, for this reason.
    pub(super) fn cut(&mut self, number: u64, reason: String) -> Option<&Outcome> {
        let waiting = self.waiting.iter_mut().find(|waiting| waiting.number == number)?;
        (waiting.outcome.result, waiting.bytes) = (None, 0);
        waiting.outcome.reason = Some(reason.into());
        Some(&waiting.outcome)
    }

    /// It has not arrived, and is told again.
    pub(super) fn give_back(&mut self, number: u64) {
        let given_back = self.waiting.iter_mut().filter(|waiting| waiting.number == number);
        given_back.for_each(|waiting| waiting.under_way = false);
    }

    /// Nothing that is under way arrives any more.
    pub(super) fn give_all_back(&mut self) {
        self.waiting.iter_mut().for_each(|waiting| waiting.under_way = false);
    }

    /// What is told next makes what waits to be told of a command's progress old.
    pub(super) fn forget_progress(&mut self, jti: &str) {
        let is_old = |outcome: &Outcome| outcome.state == Progress::Progress && &*outcome.jti == jti;
        self.waiting.retain(|waiting| waiting.under_way || !is_old(&waiting.outcome));
    }

    /// Whether there is one of this command.
    pub(super) fn has(&self, jti: &str) -> bool {
        self.iter().any(|outcome| &*outcome.jti == jti)
    }

    fn bytes(&self) -> usize {
        self.waiting.iter().map(|waiting| waiting.bytes).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Outcome> {
        self.waiting.iter().map(|waiting| &waiting.outcome)
    }
}

impl Commands {
    /// The next outcome for the broker, with a number that comes back when it has been taken.
    pub(in super::super) fn next_outcome(&mut self) -> Option<(u64, &Outcome)> {
        self.outcomes.next()
    }

    /// The broker, and behind it somebody, has it.
    pub(in super::super) fn handle_taken(&mut self, number: u64) {
        let Some(outcome) = self.outcomes.take(number) else { return };
        self.unwritten |= self.journal.tell(&outcome);
    }

    /// It is larger than the broker takes: what it found is left away.
    pub(in super::super) fn handle_too_large(&mut self, number: u64, why: &str) {
        let Some(outcome) = self.outcomes.cut(number, format!("too-large: {why}")) else { return };
        if let Some(entry) = self.journal.get_mut(&outcome.jti).filter(|entry| entry.outcome.is_some()) {
            entry.outcome = Some(outcome.clone());
        }
        self.handle_not_taken(number);
    }

    /// It was not taken, and is told again.
    pub(in super::super) fn handle_not_taken(&mut self, number: u64) {
        self.outcomes.give_back(number);
    }

    /// Tells whether a command was noted on the disk; one that was not is none.
    pub(super) fn tell_noted(&mut self, jti: &str, result: &Result<(), String>, now: Now) {
        let (state, reason) = match result {
            Ok(()) => (Progress::Accepted, None),
            Err(error) => {
                self.journal.remove(jti);
                let why = format!("storage: it could not be noted before it is done: {error}");
                (Progress::Refused, Some(why.into_boxed_str()))
            }
        };
        self.tell(Outcome { jti: jti.into(), at: now.wall, state, reason, result: None });
    }

    pub(super) fn end(
        &mut self,
        jti: &str,
        state: Progress,
        reason: Option<Box<str>>,
        result: Option<ciborium::Value>,
        now: Now,
    ) {
        self.outcomes.forget_progress(jti);
        self.tell_end(Outcome { jti: jti.into(), at: now.wall, state, reason, result });
    }

    /// Notes an end, and tells it.
    pub(super) fn tell_end(&mut self, outcome: Outcome) {
        let noted = self.journal.end(&outcome);
        self.unwritten |= noted.is_some();
        self.outcomes.push(outcome, noted);
    }

    pub(super) fn tell(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome, None);
    }
}
