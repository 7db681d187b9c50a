//! All state of the agent, and every decision: pure, without I/O, clock or randomness. The shell
//! hands in what the broker, the engine and the clock say, and performs the effects in order.
//!
//! What happens on the host becomes an event with the next number of the epoch
//! ([`inventory`] → [`outbox`]); the events, the snapshot and the agent's own status reach the
//! broker through one window ([`publishing`]). How a life begins is in [`opening`], what is
//! said of the agent itself in [`presence`], what the bridge asks for again in [`resend`], what
//! goes to disk in [`keeping`], from where the engine's events are read again in `cursor`, and how a life ends in
//! `stopping`.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use radar_link::mqtt::{Delivery, Notice, PublishError, Received};
use radar_link::secret::Secret;
use radar_link::time::Now;
use radar_wire::codec;
use radar_wire::status::{AgentFacts, EngineFacts};
use radar_wire::topic::{AgentId, Channel, Prefix};

use crate::engine::notice::{History, Notice as EngineNotice};

pub mod commands;
mod cursor;
pub mod effect;
pub mod inventory;
pub mod keeping;
mod obeying;
pub mod opening;
pub mod outbox;
pub mod presence;
pub mod publishing;
mod pulls;
pub mod remark;
pub mod resend;
mod samples;
mod sampling;
pub mod spool;
mod stopping;
mod streams;
pub mod takeover;
mod telling;
pub mod trial;
pub mod update;

use commands::{Commands, Rules};
pub use effect::Effect;
use inventory::Inventory;
use keeping::Keeping;
use opening::{Cursor, Kept, Opening};
use outbox::{Bounds, Name, Outbox};
use presence::{Presence, Verdict};
use publishing::Publishing;
use remark::Remark;
use resend::Asks;
use stopping::Stop;

/// What an agent is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// What all topics start with.
    pub prefix: Prefix,
    /// Its id.
    pub id: AgentId,
    /// Its program and host.
    pub facts: AgentFacts,
    /// The server's one-time token, for the bridge.
    pub enroll: Option<Secret>,
    /// How much the outbox keeps.
    pub bounds: Bounds,
    /// The shortest time between two snapshots.
    pub snapshot_interval: Duration,
    /// How often the engine's list is compared.
    pub reconcile_interval: Duration,
    /// How often what is used is sampled, also when nobody asks.
    pub stats_interval: Option<Duration>,
    /// Whether there is a data directory.
    pub on_disk: bool,
    /// Who may command it, and what.
    pub rules: Rules,
    /// What the operator should know from the beginning on.
    pub warnings: Vec<Box<str>>,
}

/// Where the agent is in its life.
#[derive(Debug)]
enum Life {
    /// The epoch is not known yet.
    Opening(Box<Opening>),
    /// It watches the engine.
    Open { epoch: u64, sequence: u64, inventory: Box<Inventory> },
}

/// What is told of the agent to a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The broker is connected.
    pub connected: bool,
    /// It has taken the word that the agent is there.
    pub online: bool,
    /// Whether the engine answers; none before it was asked.
    pub engine: Option<bool>,
    /// How many events wait for the broker.
    pub waiting: usize,
}

/// The core.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    now: Now,
    life: Life,
    outbox: Outbox,
    asks: Asks,
    commands: Commands,
    /// Commands, and whether they were retained, until the containers are known.
    early: Vec<(Bytes, bool)>,
    presence: Presence,
    publishing: Publishing,
    keeping: Option<Keeping>,
    disk_failed: bool,
    cursor_written: Option<(Duration, Cursor)>,
    engine_down: bool,
    /// What who guards its socket denies, as it was said last.
    engine_denies: Vec<Box<str>>,
    /// A request that does not decode was said; once is enough.
    bad_resend: bool,
    /// The engine's time of the first event that was read from it since it started.
    engine_read: Option<i64>,
    /// The last sample that was published.
    sample_key: u64,
    /// That samples do not fit was said; once is enough.
    samples_too_large: bool,
    /// Another agent uses the id: its text.
    rival: Option<Box<str>>,
    /// Why the broker is away, as it was said.
    away: Option<String>,
    was_connected: bool,
    overflowed: bool,
    refused_filters: BTreeSet<String>,
    stop: Option<Stop>,
    effects: VecDeque<Effect>,
}

impl Agent {
    /// An agent that is about to connect.
    #[must_use]
    pub fn new(config: Config, kept: Kept, now: Now) -> Self {
        let (id, rules) = (config.id.clone(), config.rules.clone());
        let commands = Commands::new(id, rules, config.on_disk, kept.commands, kept.updates, kept.settled, now);
        let mut outbox = Outbox::new(config.bounds);
        let mut effects = VecDeque::new();
        if kept.spool.dropped > 0 {
            let kept_events = kept.spool.entries.len();
            effects.push_back(Effect::Say(Remark::SpoolTorn { bytes: kept.spool.dropped, kept: kept_events }));
        }
        for entry in kept.spool.entries {
            outbox.push(entry);
        }
        Self {
            life: Life::Opening(Box::new(Opening::new(kept.stopped, kept.cursor, now))),
            asks: Asks::new(),
            commands: commands.sampling_every(config.stats_interval),
            early: Vec::new(),
            presence: Presence::new(config.facts.clone(), config.rules.abilities(config.on_disk)),
            publishing: Publishing::new(),
            keeping: config.on_disk.then(|| Keeping::new(config.bounds.bytes)),
            disk_failed: false,
            cursor_written: None,
            engine_down: false,
            engine_denies: Vec::new(),
            bad_resend: false,
            engine_read: None,
            sample_key: 0,
            samples_too_large: false,
            rival: None,
            away: None,
            was_connected: false,
            overflowed: false,
            refused_filters: BTreeSet::new(),
            stop: None,
            config,
            now,
            outbox,
            effects,
        }
    }

    /// Takes in what the session at the broker told.
    pub fn handle_broker(&mut self, notice: Notice, now: Now) {
        self.now = now;
        match notice {
            Notice::Connected { number, window, max_packet, .. } => {
                self.publishing.handle_connected(usize::from(window), now.mono);
                self.presence.handle_connected(number);
                self.commands.handle_connected(max_packet, now);
                let resumed = std::mem::replace(&mut self.was_connected, true);
                self.away = None;
                self.say(Remark::Connected { session: number, resumed });
            }
            Notice::Disconnected { reason, .. } => {
                let connected = self.publishing.handle_away();
                self.outbox.take_all_back();
                self.asks.clear();
                self.commands.handle_away(now);
                self.presence.handle_away();
                if let Some(keeping) = self.keeping.as_mut().filter(|_| connected) {
                    keeping.handle_away();
                }
                let reason = reason.to_string();
                if self.away.as_ref() != Some(&reason) && self.stop.is_none() {
                    self.away = Some(reason.clone());
                    self.say(Remark::Away { reason });
                }
            }
            Notice::Delivered { key, outcome } => self.handle_delivered(key, outcome),
            Notice::Received(received) => self.handle_received(&received),
            Notice::Subscribed { filter } => {
                self.refused_filters.remove(&filter);
                if matches!(self.life, Life::Open { .. }) && filter == self.snapshot_topic() {
                    self.effects.push_back(Effect::Unsubscribe(filter));
                }
            }
            Notice::SubscriptionRefused { filter, reason } => {
                if self.refused_filters.insert(filter.clone()) {
                    self.say(Remark::SubscriptionRefused { filter, reason });
                }
            }
        }
    }

    /// A message was not taken for publishing.
    pub fn handle_not_published(&mut self, key: u64, error: &PublishError, now: Now) {
        self.now = now;
        match error {
            PublishError::NotConnected | PublishError::WindowFull => self.publish_later(key),
            PublishError::TooLarge { .. } if key == self.sample_key => {
                let said = self.sample_too_large(error.to_string());
                self.effects.extend(said);
            }
            PublishError::TooLarge { size, max } => self.publish_never(key, *size, *max),
            PublishError::Topic(_) => self.handle_delivered(key, Delivery::Refused(error.to_string())),
        }
    }

    /// Takes in what the engine told.
    pub fn handle_engine(&mut self, notice: EngineNotice, now: Now) {
        self.now = now;
        let notice = match notice {
            EngineNotice::Told { ticket, piece } => return self.commands.handle_told(ticket, piece, now),
            EngineNotice::Acted { ticket, result } => return self.commands.handle_acted(ticket, result, now),
            notice => notice,
        };
        match &notice {
            EngineNotice::Up(opened) => {
                if opened.history == History::Restarted {
                    self.engine_read = None;
                }
                self.commands.handle_engine(&opened.facts);
                let first = self.engine().is_none();
                let again = std::mem::replace(&mut self.engine_down, false);
                let EngineFacts { kind, version, .. } = opened.facts.clone();
                if first || again {
                    self.say(Remark::EngineUp { kind, version });
                }
                let denies = &opened.facts.unavailable;
                if *denies != self.engine_denies {
                    self.engine_denies.clone_from(denies);
                    if !denies.is_empty() {
                        self.say(Remark::EngineDenies { words: denies.join(", ").into() });
                    }
                }
            }
            EngineNotice::Down { reason } => {
                self.engine_down = true;
                self.say(Remark::EngineDown { reason: reason.clone() });
            }
            EngineNotice::Event(event) => {
                self.engine_read.get_or_insert(event.time);
            }
            EngineNotice::Listed { .. }
            | EngineNotice::Inspected { .. }
            | EngineNotice::Told { .. }
            | EngineNotice::Acted { .. } => {}
        }
        if let Life::Open { inventory, .. } = &mut self.life {
            inventory.handle_notice(notice, now);
        }
        self.take_early();
    }

    /// How writing the outbox file went.
    pub fn handle_written(&mut self, result: Result<(), String>, now: Now) {
        self.now = now;
        let Some(keeping) = &mut self.keeping else { return };
        keeping.handle_written(result.is_ok(), now.mono);
        match result {
            Err(error) if !std::mem::replace(&mut self.disk_failed, true) => self.say(Remark::DiskFailed { error }),
            Ok(()) if std::mem::take(&mut self.disk_failed) => self.say(Remark::DiskWorks),
            _ => {}
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        if let Some(above) = self.presence.handle_timeout(now.mono) {
            self.outnumber(above);
        }
        if let Some(keeping) = &mut self.keeping {
            keeping.handle_timeout(now.mono);
        }
        match &mut self.life {
            Life::Opening(opening) if opening.poll_timeout() <= now.mono => {
                if self.publishing.is_connected() {
                    self.say(Remark::NoEcho);
                }
                self.open();
            }
            Life::Opening(_) => {}
            Life::Open { inventory, .. } => inventory.handle_timeout(now),
        }
    }

    /// When something is due, in monotonic time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let life = match &self.life {
            Life::Opening(opening) => Some(opening.poll_timeout()),
            Life::Open { inventory, .. } => inventory.poll_timeout(),
        };
        let keeping = self.keeping.as_ref().and_then(Keeping::poll_timeout);
        // What is due by now and was not done waits for something else than time.
        let (commands, presence) = (self.commands.poll_timeout(), self.presence.poll_timeout());
        let own = [commands, presence, self.publish_timeout(), self.cursor_timeout()];
        let own = own.into_iter().chain(self.stop_timeouts()).flatten().filter(|at| *at > self.now.mono);
        own.chain(life).chain(keeping).min()
    }

    /// What is to be done next; ask until there is nothing.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects
            .pop_front()
            .or_else(|| self.next_of_commands())
            .or_else(|| self.next_of_inventory())
            .or_else(|| self.next_write())
            .or_else(|| self.next_publish())
            .or_else(|| self.next_cursor())
            .or_else(|| self.next_of_stop())
    }

    /// What a health check is told.
    #[must_use]
    pub fn condition(&self) -> Condition {
        Condition {
            connected: self.publishing.is_connected(),
            online: self.publishing.is_online(),
            engine: self.engine().map(|engine| engine.answers),
            waiting: self.outbox.waiting(),
        }
    }

    fn handle_received(&mut self, received: &Received) {
        let content_type = received.content_type.as_deref();
        match self.config.prefix.parse(&received.topic) {
            Ok((id, Channel::Status)) if id == self.config.id => self.handle_status(&received.payload, content_type),
            // Cleared by an operator, it comes again with the next change.
            Ok((id, Channel::Snapshot)) if id == self.config.id && !received.payload.is_empty() => {
                if let Life::Opening(opening) = &mut self.life {
                    opening.handle_snapshot(&received.payload, content_type);
                }
            }
            Ok((id, Channel::Resend)) if id == self.config.id => match codec::decode(content_type, &received.payload) {
                Ok(ask) => {
                    self.asked();
                    if let Some(last) = self.last_name() {
                        self.asks.push(ask, last, self.now.mono);
                    }
                }
                Err(_) if std::mem::replace(&mut self.bad_resend, true) => {}
                Err(_) => self.say(Remark::BadResend),
            },
            Ok((id, Channel::Command)) if id == self.config.id => self.handle_command(received),
            _ => {}
        }
    }

    fn handle_status(&mut self, payload: &[u8], content_type: Option<&str>) {
        if self.stop.is_some() {
            return;
        }
        match self.presence.handle_status(payload, content_type, self.now.mono) {
            Verdict::Fine => {}
            Verdict::Born => {
                if matches!(self.life, Life::Opening(_)) {
                    self.open();
                }
            }
            Verdict::Outnumber(above) => self.outnumber(above),
            Verdict::Rival { host, .. } => {
                let remark = Remark::Rival { id: self.config.id.as_str().to_owned(), host };
                self.rival = Some(remark.to_string().into());
                self.say(remark);
            }
        }
    }

    fn outnumber(&mut self, above: u64) {
        self.say(Remark::Outnumbered { above });
        self.effects.push_back(Effect::RaiseSession(above));
    }

    fn warnings(&self) -> Vec<Box<str>> {
        let own = [&self.rival, &self.publishing.too_large].into_iter().flatten();
        self.config.warnings.iter().chain(own).cloned().collect()
    }

    fn open(&mut self) {
        let ended = Life::Opening(Box::new(Opening::new(None, None, self.now)));
        let Life::Opening(opening) = std::mem::replace(&mut self.life, ended) else { return };
        let entries = self.outbox.ring().chain(self.outbox.waiting_after(None));
        let beginning = opening.begin(self.now.wall, entries);
        let (epoch, sequence, restored) = (beginning.epoch, beginning.sequence, beginning.restored);
        let known = restored.records.as_ref().map(Vec::len);
        self.say(match beginning.resumed {
            true => Remark::Resumed { epoch, sequence },
            false => Remark::Began { epoch, known },
        });
        self.engine_read = beginning.read;
        self.effects.push_back(Effect::StartEngine { since: restored.cursor, read: beginning.read });
        let inventory = Box::new(Inventory::new(restored, self.config.reconcile_interval));
        self.life = Life::Open { epoch, sequence, inventory };
        if self.publishing.is_connected() {
            self.effects.push_back(Effect::Unsubscribe(self.snapshot_topic()));
        }
    }

    /// Read once, for what an earlier life has left there; after that it would only be the echo of our own.
    fn snapshot_topic(&self) -> String {
        self.config.prefix.topic(&self.config.id, &Channel::Snapshot)
    }

    fn next_write(&mut self) -> Option<Effect> {
        if self.outbox.waiting() == 0 {
            self.overflowed = false;
        }
        // The last word on the file is Finish.
        let keeping = self.keeping.as_mut().filter(|_| self.stop.is_none())?;
        let away = !self.publishing.is_connected();
        keeping.next_write(&self.outbox, away).map(Effect::Write)
    }

    /// The engine; of one that never answered only that it does not.
    fn engine(&self) -> Option<EngineFacts> {
        let known = match &self.life {
            Life::Open { inventory, .. } => inventory.engine().cloned(),
            Life::Opening(_) => None,
        };
        known.or_else(|| self.engine_down.then(EngineFacts::default))
    }

    fn last_name(&self) -> Option<Name> {
        match self.life {
            Life::Open { epoch, sequence, .. } => Some(Name { epoch, sequence }),
            Life::Opening(_) => None,
        }
    }

    fn say(&mut self, remark: Remark) {
        self.effects.push_back(Effect::Say(remark));
    }
}

#[cfg(test)]
mod tests;
