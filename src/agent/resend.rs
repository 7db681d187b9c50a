//! What the bridge asks for again: ranges of numbers, answered one message at a time, as fast as the
//! window lets them go, and no more of them than a bridge in order would ask for.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use radar_wire::resend::Resend;

use super::outbox::{Found, Name, Outbox, gap_bytes};

/// How many ranges wait for their answers.
const QUEUE: usize = 16;

/// Numbers of the contract are below.
const NO_NUMBER: u64 = 1 << 53;

/// How many ranges are taken at once, and how long it takes until one more is.
const BURST: u32 = 20;
const REFILL: Duration = Duration::from_secs(1);

/// The ranges that are still to be answered.
#[derive(Debug)]
pub struct Asks {
    queue: VecDeque<Resend>,
    tokens: u32,
    filled: Duration,
}

impl Asks {
    /// Nothing is asked for.
    #[must_use]
    pub fn new() -> Self {
        Self { queue: VecDeque::new(), tokens: BURST, filled: Duration::ZERO }
    }

    /// Takes a range, cut at the `last` name that was given out: beyond it nothing can be lost. A
    /// bridge whose ask is not taken asks again.
    pub fn push(&mut self, mut ask: Resend, last: Name, mono: Duration) {
        ask.to = match ask.epoch.cmp(&last.epoch) {
            Ordering::Less => ask.to,
            Ordering::Equal => ask.to.min(last.sequence),
            Ordering::Greater => return,
        };
        ask.from = ask.from.max(1);
        let known = self.queue.iter().any(|one| one.epoch == ask.epoch && one.from <= ask.from && ask.to <= one.to);
        if ask.from > ask.to || ask.to >= NO_NUMBER || known || self.queue.len() >= QUEUE || !self.allow(mono) {
            return;
        }
        self.queue.push_back(ask);
    }

    /// The connection is gone, and the bridge finds out anew what it misses.
    pub fn clear(&mut self) {
        self.queue.clear();
    }

    /// Whether there is nothing to answer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next message of an answer.
    pub fn next_answer(&mut self, outbox: &Outbox, wall: i64) -> Option<Bytes> {
        loop {
            let ask = self.queue.front_mut()?;
            let (answer, covered) = match outbox.find(ask.epoch, ask.from) {
                Found::Here(bytes, last) => (Some(bytes), last),
                Found::Coming(last) => (None, last),
                Found::Lost(last) => {
                    let last = last.min(ask.to);
                    (Some(gap_bytes(ask.epoch, ask.from, last, wall)), last)
                }
            };
            if covered >= ask.to {
                self.queue.pop_front();
            } else {
                ask.from = covered + 1;
            }
            if answer.is_some() {
                return answer;
            }
        }
    }

    fn allow(&mut self, mono: Duration) -> bool {
        let more = mono.saturating_sub(self.filled).as_secs() / REFILL.as_secs();
        if more > 0 {
            self.tokens = BURST.min(self.tokens.saturating_add(u32::try_from(more).unwrap_or(BURST)));
            self.filled = mono;
        }
        let allowed = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        allowed
    }
}

impl Default for Asks {
    fn default() -> Self {
        Self::new()
    }
}
