//! When samples of what is used are taken: while somebody has asked for them, or the operator wants them, and only
//! while there is a broker to tell them. Never two at once, and one that takes longer than the interval is followed by
//! a pause as long. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use radar_link::time::Now;
use radar_wire::stats::{ContainerUsage, Stats, Usage};

/// For how long may be asked, and for which intervals, in seconds.
const SECONDS: std::ops::RangeInclusive<u32> = 1..=300;
const INTERVALS: std::ops::RangeInclusive<u32> = 1..=60;

/// Seconds between two samples unless the asker says otherwise.
const INTERVAL: u32 = 2;

/// When one is tried again that could not be taken.
const LATER: Duration = Duration::from_secs(5);

/// How many ask at once.
const ASKS: usize = 16;

/// What somebody has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    seconds: u32,
    interval: u32,
}

impl Ask {
    /// Checks what was asked for.
    pub(super) fn new(seconds: u32, interval: Option<u32>) -> Result<Self, String> {
        let interval = interval.unwrap_or(INTERVAL);
        if !SECONDS.contains(&seconds) || !INTERVALS.contains(&interval) {
            let (most, longest) = (SECONDS.end(), INTERVALS.end());
            return Err(format!("invalid: samples are for 1 to {most} seconds, every 1 to {longest} seconds"));
        }
        Ok(Self { seconds, interval })
    }
}

/// What is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    /// Seconds between two samples; shorter than asked for where others want more of them.
    pub(super) interval: u64,
    /// The end, in milliseconds since 1970 UTC.
    pub(super) until: i64,
}

/// All who want samples, and the one that is under way.
#[derive(Debug)]
pub(super) struct Sampling {
    configured: Option<Duration>,
    /// By the command: until when, and how often.
    asks: BTreeMap<Box<str>, (Duration, Duration)>,
    connected: bool,
    /// When the next is taken, where one is wanted.
    next: Duration,
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    ticket: u64,
    begun: Duration,
    /// When the host was read, and what it uses.
    host: Option<(i64, Usage)>,
}

impl Sampling {
    /// Samples as often as the operator wants; without that, only when they are asked for.
    pub(super) fn new(configured: Option<Duration>) -> Self {
        Self { configured, asks: BTreeMap::new(), connected: false, next: Duration::ZERO, under_way: None }
    }

    pub(super) fn handle_connected(&mut self) {
        self.connected = true;
    }

    pub(super) fn handle_away(&mut self) {
        self.connected = false;
    }

    /// Somebody asks; none where too many do.
    pub(super) fn ask(&mut self, jti: &str, ask: Ask, now: Now) -> Option<Grant> {
        self.handle_timeout(now.mono);
        if self.asks.len() >= ASKS {
            return None;
        }
        let length = Duration::from_secs(ask.seconds.into());
        self.asks.insert(jti.into(), (now.mono + length, Duration::from_secs(ask.interval.into())));
        self.next = now.mono;
        let interval = self.interval(now.mono).unwrap_or_default().as_secs();
        Some(Grant { interval, until: now.wall + i64::from(ask.seconds) * 1000 })
    }

    /// Ends what a command has asked for; returns whether it had.
    pub(super) fn cancel(&mut self, jti: &str, mono: Duration) -> bool {
        self.asks.remove(jti).is_some_and(|(until, _)| until > mono)
    }

    /// Forgets whose time is over.
    pub(super) fn handle_timeout(&mut self, mono: Duration) {
        self.asks.retain(|_, (until, _)| *until > mono);
    }

    /// Whether a sample is to begin now.
    pub(super) fn is_due(&self, mono: Duration) -> bool {
        self.connected && self.under_way.is_none() && self.next <= mono && self.interval(mono).is_some()
    }

    /// When one is to begin.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let last = self.asks.values().map(|(until, _)| *until).max();
        let wanted = self.configured.is_some() || last.is_some_and(|last| self.next < last);
        (self.connected && self.under_way.is_none() && wanted).then_some(self.next)
    }

    /// One begins, with this ticket; the host is read first.
    pub(super) fn begin(&mut self, ticket: u64, mono: Duration) {
        self.under_way = Some(UnderWay { ticket, begun: mono, host: None });
    }

    /// The one that began cannot be taken yet.
    pub(super) fn put_off(&mut self, mono: Duration) {
        self.under_way = None;
        self.next = mono + LATER;
    }

    /// What the host uses.
    pub(super) fn handle_host(&mut self, usage: Usage, now: Now) {
        if let Some(under_way) = &mut self.under_way {
            under_way.host = Some((now.wall, usage));
        }
    }

    /// What the containers use: a whole sample, if somebody can be told.
    pub(super) fn handle_told(&mut self, ticket: u64, containers: Vec<ContainerUsage>) -> Option<Stats> {
        let under_way = self.under_way.as_mut().filter(|under_way| under_way.ticket == ticket)?;
        let (at, host) = under_way.host.take().filter(|_| self.connected)?;
        Some(Stats { at, host, containers })
    }

    /// An act has ended; returns whether it was the sample's.
    pub(super) fn handle_ended(&mut self, ticket: u64, mono: Duration) -> bool {
        let Some(under_way) = self.under_way.take_if(|under_way| under_way.ticket == ticket) else { return false };
        let interval = self.interval(mono).unwrap_or_default();
        let next = under_way.begun + interval;
        self.next = if next > mono { next } else { mono + interval };
        true
    }

    /// The shortest interval that somebody wants; none when nobody does.
    fn interval(&self, mono: Duration) -> Option<Duration> {
        let asked = self.asks.values().filter(|(until, _)| *until > mono).map(|(_, interval)| *interval);
        asked.chain(self.configured).min()
    }
}

#[cfg(test)]
mod tests;
