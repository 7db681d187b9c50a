//! The fleet and the store together, against an agent, a broker that loses, doubles and reorders, and crashes of the
//! bridge: whatever happens, every number ends up in the history once, as an event or as a part of a gap.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use radar_link::time::Now;
use radar_wire::codec::{Encoded, encode};
use radar_wire::resend::Resend;
use radar_wire::snapshot::Snapshot;
use radar_wire::status::{AgentFacts, Presence, Reason, Status};
use radar_wire::topic::Channel;

use super::*;
use crate::fleet::{Effect, Fleet, Limits};

/// Events that the agent can send again.
const RING: usize = 6;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Something happens on the host.
    Emit,
    /// The agent publishes a snapshot.
    Snapshot,
    /// A message in the air arrives.
    Deliver(usize),
    /// A message in the air is lost.
    Lose(usize),
    /// A message in the air is doubled.
    Double(usize),
    /// The agent answers what it was asked.
    Answer,
    /// What it was asked is lost.
    Deaf,
    /// The agent crashes, and tells the engine's last events again.
    Crash(usize),
    /// The bridge commits and acknowledges.
    Commit,
    /// The bridge crashes.
    Restart,
    /// Time passes until something is due.
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Emit),
        1 => Just(Step::Snapshot),
        8 => (0usize..4).prop_map(Step::Deliver),
        2 => (0usize..8).prop_map(Step::Lose),
        1 => (0usize..8).prop_map(Step::Double),
        2 => Just(Step::Answer),
        1 => Just(Step::Deaf),
        1 => (0usize..4).prop_map(Step::Crash),
        3 => Just(Step::Commit),
        1 => Just(Step::Restart),
        1 => Just(Step::Wait),
    ]
}

type Message = (Channel, Encoded);

struct World {
    _room: Room,
    connection: Connection,
    memory: Memory,
    fleet: Fleet,
    now: Now,
    epoch: u64,
    sequence: u64,
    ring: VecDeque<Event>,
    engine: Vec<Event>,
    crashes: usize,
    air: VecDeque<Message>,
    unacknowledged: Vec<Message>,
    asked: Vec<Resend>,
    /// The highest number of each epoch that the bridge was told of.
    told: BTreeMap<u64, u64>,
    /// Numbers that arrived and were acknowledged.
    acknowledged: BTreeSet<(u64, u64)>,
}

impl World {
    fn new() -> Self {
        let room = Room::new();
        let connection = schema::open(&room.path(), schema::MIGRATIONS).unwrap();
        connection.pragma_update(None, "synchronous", "off").unwrap();
        let mut world = Self {
            memory: Memory::read(&connection).unwrap(),
            connection,
            _room: room,
            fleet: Fleet::new(Limits::default()),
            now: Now { mono: Duration::ZERO, wall: 1000 },
            epoch: 1,
            sequence: 0,
            ring: VecDeque::new(),
            engine: Vec::new(),
            crashes: 0,
            air: VecDeque::new(),
            unacknowledged: Vec::new(),
            asked: Vec::new(),
            told: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
        };
        world.birth(1);
        world
    }

    fn birth(&mut self, session: u64) {
        let status = Status {
            state: Presence::Online,
            reason: Reason::Start,
            session,
            at: 0,
            agent: AgentFacts::default(),
            engine: None,
            can: Vec::new(),
            allows: Vec::new(),
            warnings: Vec::new(),
        };
        self.arrive((Channel::Status, encode(&status).unwrap()));
    }

    fn publish(&mut self, event: Event) {
        self.air.push_back((Channel::Event, encode(&event).unwrap()));
    }

    fn happen(&mut self, time: i64) {
        self.sequence += 1;
        let event = plain(self.epoch, self.sequence, "die", Some(time));
        self.ring.push_back(event.clone());
        if self.ring.len() > RING {
            self.ring.pop_front();
        }
        self.publish(event);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Emit => {
                let time = i64::try_from(self.engine.len()).unwrap() + 1;
                self.happen(time);
                self.engine.push(self.ring.back().unwrap().clone());
            }
            Step::Snapshot => {
                let (epoch, sequence, at) = (self.epoch, self.sequence, self.now.wall);
                let (time, engine, host, containers) = Default::default();
                let snapshot = Snapshot { epoch, sequence, time, at, complete: true, engine, host, containers };
                self.air.push_back((Channel::Snapshot, encode(&snapshot).unwrap()));
            }
            Step::Deliver(at) => {
                if let Some(message) = self.air.remove(at) {
                    self.arrive(message);
                }
            }
            Step::Lose(at) => drop(self.air.remove(at)),
            Step::Double(at) => self.air.extend(self.air.get(at).cloned()),
            Step::Answer => {
                for ask in std::mem::take(&mut self.asked) {
                    self.answer(&ask);
                }
            }
            Step::Deaf => self.asked.clear(),
            Step::Crash(again) => {
                self.crashes += 1;
                (self.epoch, self.sequence) = (self.epoch + 1, 0);
                self.ring.clear();
                for event in self.engine.clone().iter().rev().take(again).rev() {
                    self.happen(event.time.unwrap());
                }
            }
            Step::Commit => self.commit(),
            Step::Restart => {
                self.air.extend(self.unacknowledged.drain(..));
                self.memory = Memory::read(&self.connection).unwrap();
                let restored = restore::restore(&self.connection).unwrap();
                self.fleet = Fleet::restore(Limits::default(), restored.agents);
                self.fleet.handle_connected(true, self.now);
                self.look();
            }
            Step::Wait => {
                if let Some(due) = self.fleet.poll_timeout() {
                    self.now = Now { mono: due, wall: self.now.wall + 1 };
                    self.fleet.handle_timeout(self.now);
                    self.look();
                }
            }
        }
    }

    /// What is in the ring, each thing as it was; what is not, as one gap.
    fn answer(&mut self, ask: &Resend) {
        let has = |event: &&Event| event.epoch == ask.epoch && (ask.from..=ask.to).contains(&event.sequence);
        let again: Vec<_> = self.ring.iter().filter(has).cloned().collect();
        let gone = again.first().map_or(ask.to, |first| first.sequence - 1);
        if ask.from <= gone {
            self.publish(gap(ask.epoch, ask.from, gone));
        }
        for event in again {
            self.publish(event);
        }
    }

    fn arrive(&mut self, message: Message) {
        let (channel, Encoded { content_type, bytes }) = &message;
        self.fleet.handle_message(&agent_id("pi"), channel, Some(content_type.as_str()), bytes, false, self.now);
        self.unacknowledged.push(message);
        self.look();
    }

    fn look(&mut self) {
        while let Some(effect) = self.fleet.next_effect() {
            if let Effect::Publish { payload, .. } = effect {
                self.asked.push(radar_wire::codec::decode(None, &payload.bytes).unwrap());
            }
        }
    }

    fn commit(&mut self) {
        let writes = self.fleet.take_writes();
        batch::commit(&mut self.connection, &mut self.memory, &writes).unwrap();
        for (channel, payload) in self.unacknowledged.drain(..) {
            let name = Some(payload.content_type.as_str());
            let told = match channel {
                Channel::Snapshot => {
                    let snapshot: Snapshot = radar_wire::codec::decode(name, &payload.bytes).unwrap();
                    (snapshot.epoch, snapshot.sequence)
                }
                Channel::Event => {
                    let event: Event = radar_wire::codec::decode(name, &payload.bytes).unwrap();
                    if event.action != Action::Gap {
                        self.acknowledged.insert((event.epoch, event.sequence));
                    }
                    (event.epoch, event.sequence)
                }
                _ => continue,
            };
            let high = self.told.entry(told.0).or_default();
            *high = told.1.max(*high);
        }
    }

    /// Everything works again: whatever can be known is known at the end.
    fn settle(&mut self) {
        self.birth(2);
        self.step(Step::Snapshot);
        for _ in 0..500 {
            while !self.air.is_empty() {
                self.step(Step::Deliver(0));
            }
            self.commit();
            if self.asked.is_empty() {
                if self.fleet.summary().missing == 0 {
                    return;
                }
                self.step(Step::Wait);
            }
            self.step(Step::Answer);
        }
        panic!("something is missing for ever: {:?}", self.fleet.summary());
    }

    fn check(&self) {
        let mut rows = self.connection.prepare(&format!("SELECT {} FROM events", sql::EVENT)).unwrap();
        let rows: Vec<Event> = rows.query_map([], sql::event).unwrap().map(Result::unwrap).collect();
        let (mut events, mut gaps, mut times) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for event in &rows {
            match event.missing() {
                Some(_) => {
                    for number in event.first.unwrap()..=event.sequence {
                        assert!(gaps.insert((event.epoch, number)), "twice in a gap: {event:?}");
                    }
                }
                None => {
                    assert!(events.insert((event.epoch, event.sequence)));
                    assert!(times.insert(event.time.unwrap()), "told twice: {event:?}");
                }
            }
        }
        assert!(events.is_disjoint(&gaps), "{events:?} {gaps:?}");
        assert_eq!(self.fleet.summary().lost, gaps.len() as u64);
        for (&epoch, &high) in &self.told {
            for number in 1..=high {
                let (stored, lost) = (events.contains(&(epoch, number)), gaps.contains(&(epoch, number)));
                let arrived = self.acknowledged.contains(&(epoch, number));
                // What arrived is there, under this number or under that of another epoch; what did not is counted.
                assert!(if arrived { !lost } else { lost && !stored }, "{epoch}/{number}: {stored} {lost} {arrived}");
            }
        }
        let fits = self.crashes == 0 && self.engine.len() <= RING;
        assert!(!fits || (gaps.is_empty() && events.len() == self.engine.len()), "lost what the ring has: {gaps:?}");
        // Each thing that arrived under any number is there.
        let of = |place: &(u64, u64)| self.engine.iter().find(|it| (it.epoch, it.sequence) == *place);
        for event in self.acknowledged.iter().filter_map(of) {
            assert!(times.contains(&event.time.unwrap()), "{event:?} is not in the history");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    // E1 DM7
    #[test]
    fn every_number_is_in_the_history_once(steps in vec(step(), 0..120)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.settle();
        world.check();
    }
}

// RR7 E4 E2
#[test]
fn a_restart_changes_nothing_of_what_is_known() {
    let scripts: [&[&str]; 5] = [
        &["0 online 3 start engine=up", "1 snapshot 7 1 web=running,db=exited engine=up", "2 event 7 2 die web exited"],
        &[
            "0 online 3 start",
            "1 snapshot 7 1 web=running",
            "2 event 8 1 create db new running",
            "3 event 8 4 kill web",
        ],
        &["0 snapshot 7 1 web=running engine=up", "1 snapshot 7 2 none engine=down", "2 gap 7 1 1", "3 gap 7 ? 2"],
        &[
            "0 online 3 start engine=up",
            "1 snapshot 7 1 web=running engine=up",
            "2 event 7 2 engine_lost",
            "3 offline 3 lost",
        ],
        &["0 event 7 3 start web", "1 snapshot 7 3 none partial", "2 online 3 hibernated"],
    ];
    for script in scripts {
        let room = Room::new();
        let mut connection = schema::open(&room.path(), schema::MIGRATIONS).unwrap();
        let mut desk = crate::fleet::tests::Desk::new();
        for line in script {
            desk.handle(line);
        }
        let writes = desk.fleet.take_writes();
        while desk.fleet.next_effect().is_some() {}
        let mut memory = Memory::read(&connection).unwrap();
        batch::commit(&mut connection, &mut memory, &writes).unwrap();
        let (view, containers) = (desk.view(), desk.containers());
        desk.fleet = Fleet::restore(Limits::default(), restore::restore(&connection).unwrap().agents);
        assert_eq!((desk.view(), desk.containers()), (view, containers), "{script:?}");
        assert_eq!((desk.fleet.take_writes(), desk.fleet.next_effect()), (vec![], None), "{script:?}");
    }
}
