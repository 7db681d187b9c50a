//! What containers there are: lists, records and events of the engine become changes in their
//! order, each once, and a record of every container. Pure; what a change is told with (numbers,
//! bytes) is the outbox's business.
//!
//! Every event waits in a queue until the engine has said what its container became, so that it
//! is told with the fields that changed. A list is compared with the records now and then; what
//! it contradicts is asked for once the contradiction has stood for a while, and told as `found`,
//! `changed` or `gone`.

mod asks;
mod effect;
mod queue;
mod suspects;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use radar_link::time::Now;
use radar_wire::container::{ContainerId, Record};
use radar_wire::event::Action;
use radar_wire::fields::Fields;
use radar_wire::snapshot::HostFacts;
use radar_wire::status::EngineFacts;

use crate::engine::notice::{EngineEvent, History, InspectError, Listed, Notice, Opened};
use asks::Asks;
pub use effect::{Change, Effect};
use queue::{Queue, Taken, Truth};
use suspects::{STANDING, Suspect, Suspects, contradicts, corrected};

/// How long after a list that failed the next is asked for.
const RETRY: Duration = Duration::from_secs(5);

/// How far, in nanoseconds, the engine's clock is trusted to be ahead of the events that it has sent.
const MARGIN: i64 = 5_000_000_000;

/// What was known before this life of the agent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restored {
    /// The containers of the agent's own retained snapshot; none when there is no such snapshot.
    pub records: Option<Vec<Record>>,
    /// The engine's time up to which its events are told already, in nanoseconds.
    pub cursor: Option<i64>,
}

/// The containers of one host, as a state machine without I/O.
#[derive(Debug)]
pub struct Inventory {
    interval: Duration,
    records: BTreeMap<ContainerId, Record>,
    link: Link,
    engine: Option<EngineFacts>,
    host: Option<HostFacts>,
    complete: bool,
    /// No list has been worked through yet, and nothing was restored: containers that are there are not news.
    baseline: bool,
    queue: Queue,
    asks: Asks,
    suspects: Suspects,
    effects: VecDeque<Effect>,
    cursor: Option<i64>,
    /// Events of this time are told already.
    restored: Option<i64>,
    tickets: u64,
    revision: u64,
}

#[derive(Debug)]
enum Link {
    /// Nobody knows yet.
    Unheard,
    Down,
    Up(Up),
}

/// The time since the event stream was opened.
#[derive(Debug)]
struct Up {
    at: Now,
    /// The engine's clock then, in nanoseconds.
    time: Option<i64>,
    /// The list that is under way.
    list: Option<List>,
    /// When the next list is due, in monotonic time.
    next_list: Duration,
    /// Whether a list was answered.
    listed: bool,
    /// Whether records may be wrong where the list does not contradict them.
    doubt: bool,
    reopening: bool,
}

#[derive(Debug)]
struct List {
    ticket: u64,
    asked: Now,
    /// Containers that events spoke of since.
    touched: BTreeSet<ContainerId>,
}

impl Inventory {
    /// An inventory that has not heard of the engine yet; it asks for a list every `interval`.
    #[must_use]
    pub fn new(restored: Restored, interval: Duration) -> Self {
        let Restored { records, cursor } = restored;
        Self {
            interval,
            baseline: records.is_none(),
            records: records.unwrap_or_default().into_iter().map(|record| (record.id, record)).collect(),
            link: Link::Unheard,
            engine: None,
            host: None,
            complete: false,
            queue: Queue::default(),
            asks: Asks::default(),
            suspects: Suspects::default(),
            effects: VecDeque::new(),
            cursor,
            restored: cursor,
            tickets: 0,
            revision: 0,
        }
    }

    /// Takes in what the engine told.
    pub fn handle_notice(&mut self, notice: Notice, now: Now) {
        match notice {
            Notice::Up(opened) => self.up(*opened, now),
            Notice::Down { .. } => self.down(),
            Notice::Event(event) => self.event(event, now),
            Notice::Listed { ticket, result } => self.listed(ticket, result, now),
            Notice::Inspected { id, result } => self.inspected(id, result, now),
            Notice::Told { .. } | Notice::Acted { .. } => {}
        }
        self.handle_timeout(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(taken) = self.queue.take() {
            self.tell(taken);
        }
        let Link::Up(up) = &mut self.link else { return };
        while let Some(id) = self.suspects.due(now.mono) {
            self.asks.want(id);
        }
        while let Some(id) = self.asks.begin(self.queue.next_number()) {
            self.effects.push_back(Effect::Inspect { id });
        }
        if up.list.is_none() && up.next_list <= now.mono {
            self.tickets += 1;
            let ticket = self.tickets;
            up.list = Some(List { ticket, asked: now, touched: BTreeSet::new() });
            self.effects.push_back(Effect::List { ticket });
        }
        if !self.complete && up.listed && self.queue.is_empty() && !self.suspects.contradict() {
            (self.complete, self.baseline) = (true, false);
            self.revision += 1;
        }
    }

    /// When something is due, in monotonic time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let Link::Up(up) = &self.link else {
            return None;
        };
        let list = up.list.is_none().then_some(up.next_list);
        [list, self.suspects.next_due()].into_iter().flatten().min()
    }

    /// What is to be done next; ask until there is nothing.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Every container. When there is no effect left, these are the records that all handed out
    /// changes make, beside those that were there at first.
    #[must_use]
    pub fn records(&self) -> &BTreeMap<ContainerId, Record> {
        &self.records
    }

    /// Whether the records are all that the engine has.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// The engine's time in nanoseconds up to which its events are handed out; where a later life reads on.
    #[must_use]
    pub fn cursor(&self) -> Option<i64> {
        self.cursor
    }

    /// The engine, once it answered; `answers` says whether it does now.
    #[must_use]
    pub fn engine(&self) -> Option<&EngineFacts> {
        self.engine.as_ref()
    }

    /// The engine's host, once the engine answered.
    #[must_use]
    pub fn host(&self) -> Option<&HostFacts> {
        self.host.as_ref()
    }

    /// Counts the changes of what a snapshot says, the cursor left out: equal numbers, equal snapshots.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    fn up(&mut self, opened: Opened, now: Now) {
        let Opened { facts, host, time, history } = opened;
        let first = matches!(self.link, Link::Unheard);
        let back = matches!(self.link, Link::Down);
        let lossy = match history {
            History::Overrun => true,
            // Between the two changes of the engine everybody knows that nobody watched.
            History::Restarted => !back,
            History::NotAsked | History::Whole => false,
        };
        if lossy {
            self.queue.push_gap();
            self.complete = false;
        }
        if back {
            self.effects.push_back(Effect::of_engine(Action::EngineBack));
        }
        if lossy || self.engine.as_ref() != Some(&facts) || self.host.as_ref() != Some(&host) {
            self.revision += 1;
        }
        (self.engine, self.host) = (Some(facts), Some(host));
        // What was in doubt and is not looked at yet stays in doubt.
        let unseen = !self.suspects.is_empty() || matches!(&self.link, Link::Up(up) if up.doubt);
        let doubt = first || back || lossy || unseen;
        self.suspects.clear_all();
        self.asks.void();
        for id in self.queue.awaited() {
            self.asks.want(id);
        }
        let next_list = now.mono;
        self.link = Link::Up(Up { at: now, time, list: None, next_list, listed: false, doubt, reopening: false });
    }

    fn down(&mut self) {
        if matches!(self.link, Link::Down) {
            return;
        }
        self.link = Link::Down;
        self.queue.settle();
        while let Some(taken) = self.queue.take() {
            self.tell(taken);
        }
        self.asks.void();
        self.suspects.clear_all();
        self.effects.push_back(Effect::of_engine(Action::EngineLost));
        self.complete = false;
        if let Some(engine) = &mut self.engine {
            engine.answers = false;
        }
        self.revision += 1;
    }

    fn event(&mut self, event: EngineEvent, now: Now) {
        let Link::Up(up) = &mut self.link else { return };
        if self.restored == Some(event.time) || self.queue.knows(&event) {
            return;
        }
        let id = event.id;
        let waits = words::changes(&event, self.records.contains_key(&id));
        if waits {
            self.asks.want(id);
        }
        if waits || event.action == Action::Destroy {
            self.suspects.clear(id);
            if let Some(list) = &mut up.list {
                list.touched.insert(id);
            }
        }
        if let Some(given_up) = self.queue.push(event, waits)
            && !self.queue.awaited().any(|id| id == given_up.id)
        {
            self.doubt(given_up.id, now);
        }
    }

    fn listed(&mut self, ticket: u64, result: Result<Vec<Listed>, String>, now: Now) {
        let Link::Up(up) = &mut self.link else { return };
        let Some(list) = up.list.take_if(|list| list.ticket == ticket) else {
            return;
        };
        let Ok(entries) = result else {
            up.next_list = now.mono + RETRY;
            return;
        };
        up.next_list = now.mono + self.interval;
        let (untold, doubt) = (up.listed, std::mem::take(&mut up.doubt));
        up.listed = true;
        let covered = up.covered(list.asked);

        let mut missing: BTreeSet<_> = self.records.keys().copied().collect();
        let standing = now.mono + STANDING;
        for Listed { record: listed } in entries {
            let id = listed.id;
            missing.remove(&id);
            if list.touched.contains(&id) {
                continue;
            }
            let old = self.records.get(&id);
            let differs = old.is_none_or(|old| contradicts(&listed, old));
            if differs || doubt {
                let due = if old.is_none() && self.baseline { now.mono } else { standing };
                self.suspects.suspect(id, Some(Box::new(listed)), differs, untold, due);
            }
        }
        for id in missing.into_iter().filter(|id| !list.touched.contains(id)) {
            self.suspects.suspect(id, None, true, untold, standing);
        }
        if self.queue.is_empty() {
            self.cursor = self.cursor.max(covered);
        }
    }

    fn inspected(&mut self, id: ContainerId, result: Result<Box<Record>, InspectError>, now: Now) {
        let Some(number) = self.asks.end(id) else {
            return;
        };
        let known = self.records.contains_key(&id);
        let record = result.as_ref().ok().cloned();
        if self.queue.answer(id, number, record, known) {
            match result {
                Ok(_) => self.suspects.clear(id),
                Err(InspectError::Gone) => self.suspects.postpone(id, now.mono),
                Err(InspectError::Failed(_)) => {
                    self.suspects.postpone(id, now.mono);
                    self.doubt(id, now);
                }
            }
            return;
        }
        if self.queue.has(id) {
            // Its events come first.
            self.suspects.postpone(id, now.mono);
            return;
        }
        match result {
            Ok(record) => {
                if let Some(suspect) = self.suspects.take(id) {
                    self.found_out(id, Some(*record), &suspect);
                }
            }
            Err(InspectError::Gone) => {
                if let Some(suspect) = self.suspects.take(id) {
                    self.found_out(id, None, &suspect);
                }
            }
            Err(InspectError::Failed(_)) => {
                if let Some(suspect) = self.suspects.failed(id, now.mono) {
                    let listed = suspect.listed.as_deref();
                    let record = match (listed, self.records.get(&id)) {
                        (Some(listed), Some(old)) => Some(corrected(old, listed)),
                        (listed, _) => listed.cloned(),
                    };
                    self.found_out(id, record, &suspect);
                }
            }
        }
    }

    /// What a container is, which no event told.
    fn found_out(&mut self, id: ContainerId, record: Option<Record>, suspect: &Suspect) {
        let old = self.records.get(&id);
        let (action, name, set) = match (old, &record) {
            (None, None) => return,
            (None, Some(_)) if self.baseline => {
                self.put(id, record);
                return;
            }
            (None, Some(new)) => (Action::Found, new.name.clone(), Fields::of(new)),
            (Some(old), None) => (Action::Gone, old.name.clone(), Fields::default()),
            (Some(old), Some(new)) if old == new => return,
            (Some(old), Some(new)) => (Action::Changed, new.name.clone(), Fields::between(old, new)),
        };
        self.put(id, record);
        self.effects.push_back(Effect::Happened(Change { time: None, action, id: Some(id), name: Some(name), set }));
        if let Link::Up(up) = &mut self.link
            && suspect.differs
            && suspect.untold
            && !up.reopening
        {
            up.reopening = true;
            self.effects.push_back(Effect::Reopen);
        }
    }

    /// A container's record may be wrong, and no event will tell.
    fn doubt(&mut self, id: ContainerId, now: Now) {
        let due = now.mono + STANDING;
        let listed = self.records.get(&id).cloned().map(Box::new);
        self.suspects.suspect(id, listed, !self.complete, false, due);
    }

    fn tell(&mut self, taken: Taken) {
        let (event, truth) = match taken {
            Taken::Gap(missing) => {
                self.effects.push_back(Effect::Gap { missing });
                return;
            }
            Taken::Event(event, truth) => (event, truth),
        };
        let id = event.id;
        let old = self.records.get(&id);
        let new = match (truth, old) {
            _ if event.action == Action::Destroy => None,
            (Truth::Record(record), _) => Some(*record),
            (Truth::Words, old) => old.map(|old| words::applied(old, &event)),
        };
        let set = match (old, &new) {
            (_, None) => Fields::default(),
            (Some(old), Some(new)) => Fields::between(old, new),
            (None, Some(new)) => Fields::of(new),
        };
        let known_name = new.as_ref().or(old).map(|record| record.name.clone());
        let EngineEvent { time, action, name, health, .. } = event;
        self.cursor = Some(time);
        // Podman says it after every check of a container's health.
        let noise = action == Action::HealthStatus && health.is_none() && old.is_some() && set.is_empty();
        if noise {
            return;
        }
        if new.is_some() || action == Action::Destroy {
            self.put(id, new);
        }
        let name = name.or(known_name);
        self.effects.push_back(Effect::Happened(Change { time: Some(time), action, id: Some(id), name, set }));
    }

    fn put(&mut self, id: ContainerId, record: Option<Record>) {
        let before = match &record {
            Some(record) if self.records.get(&id) == Some(record) => return,
            Some(record) => self.records.insert(id, record.clone()),
            None => self.records.remove(&id),
        };
        if record.is_some() || before.is_some() {
            self.revision += 1;
        }
    }
}

impl Up {
    /// The engine's time up to which its events have certainly come, when it answered what was asked at `asked`. Of
    /// the two clocks the slower counts, since a cursor that is too old is harmless.
    fn covered(&self, asked: Now) -> Option<i64> {
        let mono = i64::try_from(asked.mono.saturating_sub(self.at.mono).as_nanos()).unwrap_or(i64::MAX);
        let wall = asked.wall.saturating_sub(self.at.wall).saturating_mul(1_000_000);
        Some(self.time?.saturating_add(mono.min(wall)).saturating_sub(MARGIN))
    }
}

#[cfg(test)]
mod tests;
