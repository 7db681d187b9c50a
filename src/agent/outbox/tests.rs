use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use radar_wire::codec;
use radar_wire::event::{Action, Event};
use radar_wire::fields::Fields;
use radar_wire::resend::Resend;

use super::*;
use crate::agent::keeping::{Keeping, Write, everything};
use crate::agent::resend::Asks;
use crate::agent::spool;

const SMALL: Bounds = Bounds { events: 5, bytes: 100_000, ring_events: 4, ring_bytes: 100_000 };
const WINDOW: usize = 3;

fn event(epoch: u64, sequence: u64) -> Entry {
    let (action, set) = (Action::Start, Fields::default());
    let event = Event { epoch, sequence, first: None, at: 5, time: None, action, id: None, name: None, set };
    Entry::new(&event).unwrap()
}

fn mark(epoch: u64, sequence: u64) -> Entry {
    let (action, set) = (Action::Gap, Fields::default());
    let event = Event { epoch, sequence, first: None, at: 5, time: None, action, id: None, name: None, set };
    Entry::new(&event).unwrap()
}

fn drain(outbox: &mut Outbox) -> Vec<String> {
    let mut sent = Vec::new();
    while let Some((name, bytes)) = outbox.send_next() {
        let event: Event = codec::decode(None, &bytes).unwrap();
        let gap = if event.action == Action::Gap { "gap " } else { "" };
        let first = event.first.map(|first| format!("{first}..=")).unwrap_or_default();
        sent.push(format!("{gap}{}:{first}{}", name.epoch, name.sequence));
    }
    sent
}

// E1
#[test]
fn over_the_bound_the_oldest_become_one_gap() {
    let mut outbox = Outbox::new(SMALL);
    let lost: u64 = (1..=9).map(|number| outbox.push(event(7, number))).sum();
    assert_eq!(lost, 5);
    assert_eq!(drain(&mut outbox), ["gap 7:1..=5", "7:6", "7:7", "7:8", "7:9"]);
}

// E1
#[test]
fn what_was_sent_is_left_and_the_gap_comes_behind_it() {
    let mut outbox = Outbox::new(SMALL);
    (1..=4).for_each(|number| _ = outbox.push(event(7, number)));
    outbox.send_next();
    outbox.send_next();
    (5..=8).for_each(|number| _ = outbox.push(event(7, number)));
    outbox.take_all_back();
    assert_eq!(drain(&mut outbox), ["7:1", "7:2", "gap 7:3..=6", "7:7", "7:8"]);
}

// E1
#[test]
fn bytes_are_bounded_too() {
    let one = event(7, 1).size();
    let mut outbox = Outbox::new(Bounds { bytes: 4 * one, events: 1000, ..SMALL });
    (1..=8).for_each(|number| _ = outbox.push(event(7, number)));
    assert!(outbox.waiting_bytes <= 4 * one, "{}", outbox.waiting_bytes);
    assert_eq!(drain(&mut outbox).first().map(String::as_str), Some("gap 7:1..=6"));
}

// E1
#[test]
fn gaps_of_two_epochs_and_of_unknown_size_stay_apart() {
    let mut outbox = Outbox::new(SMALL);
    outbox.push(event(7, 1));
    outbox.push(event(7, 2));
    outbox.push(mark(7, 3));
    (1..=6).for_each(|number| _ = outbox.push(event(8, number)));
    assert_eq!(drain(&mut outbox), ["gap 7:1..=2", "gap 7:3", "gap 8:1..=4", "8:5", "8:6"]);
}

#[test]
fn marks_alone_do_not_break_the_bound() {
    let mut outbox = Outbox::new(SMALL);
    (1..=50).for_each(|epoch| _ = outbox.push(mark(epoch, 1)));
    assert_eq!(outbox.waiting(), SMALL.events + SPARE);
}

// E1
#[test]
fn a_refused_event_is_sent_again_in_its_place() {
    let mut outbox = Outbox::new(SMALL);
    (1..=4).for_each(|number| _ = outbox.push(event(7, number)));
    drain(&mut outbox);
    outbox.acknowledge(Name { epoch: 7, sequence: 3 });
    outbox.take_back(Name { epoch: 7, sequence: 2 });
    assert_eq!(drain(&mut outbox), ["7:2"]);
    for sequence in [1, 2, 4] {
        outbox.acknowledge(Name { epoch: 7, sequence });
    }
    assert_eq!((outbox.waiting(), outbox.ring().count()), (0, 4));
}

// E1
#[test]
fn what_can_never_be_sent_becomes_a_gap() {
    let mut outbox = Outbox::new(SMALL);
    outbox.push(event(7, 1));
    let (name, _) = outbox.send_next().unwrap();
    outbox.give_up(name);
    assert_eq!(drain(&mut outbox), ["gap 7:1..=1"]);
}

// E1
#[test]
fn the_ring_serves_the_same_bytes_until_they_are_too_many() {
    let mut outbox = Outbox::new(SMALL);
    let mut sent = BTreeMap::new();
    for number in 1..=9 {
        outbox.push(event(7, number));
        let (name, bytes) = outbox.send_next().unwrap();
        outbox.acknowledge(name);
        sent.insert(number, bytes);
    }
    outbox.push(event(7, 10));
    assert_eq!(outbox.find(7, 3), Found::Lost(5));
    assert_eq!(outbox.find(7, 6), Found::Here(sent[&6].clone(), 6));
    assert_eq!(outbox.find(7, 10), Found::Coming(10));
    assert_eq!(outbox.find(6, 1), Found::Lost(u64::MAX));
}

#[derive(Debug, Clone)]
enum Op {
    Happen(u8),
    Miss(u8),
    Send,
    Acknowledge,
    /// Of what is in flight so many arrive, and the connection is gone.
    Cut(u8),
    Connect,
    /// The agent is killed while the broker is away.
    Crash,
    Stop,
    Ask(u8, u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1u8..4).prop_map(Op::Happen),
        1 => (1u8..4).prop_map(Op::Miss),
        6 => Just(Op::Send),
        5 => Just(Op::Acknowledge),
        2 => (0u8..4).prop_map(Op::Cut),
        2 => Just(Op::Connect),
        1 => Just(Op::Crash),
        1 => Just(Op::Stop),
        1 => (1u8..20, 0u8..9).prop_map(|(from, count)| Op::Ask(from, count)),
    ]
}

/// An agent's outbox, its file, the broker and a bridge.
struct World {
    outbox: Outbox,
    keeping: Keeping,
    file: Option<Vec<u8>>,
    connected: bool,
    in_flight: VecDeque<(Name, Bytes)>,
    epoch: u64,
    sequence: u64,
    given: BTreeMap<u64, u64>,
    arrived: Vec<(Name, Bytes)>,
}

impl World {
    fn new() -> Self {
        Self {
            outbox: Outbox::new(SMALL),
            keeping: Keeping::new(0),
            file: None,
            connected: false,
            in_flight: VecDeque::new(),
            epoch: 1,
            sequence: 0,
            given: BTreeMap::new(),
            arrived: Vec::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Happen(count) => (0..*count).for_each(|_| {
                self.sequence += 1;
                self.outbox.push(event(self.epoch, self.sequence));
            }),
            Op::Miss(count) => {
                let first = self.sequence + 1;
                self.sequence += u64::from(*count);
                self.outbox.push(Entry::gap(self.epoch, first, self.sequence, 5));
            }
            Op::Send if self.connected && self.in_flight.len() < WINDOW => {
                self.in_flight.extend(self.outbox.send_next());
            }
            Op::Acknowledge => {
                if let Some((name, bytes)) = self.in_flight.pop_front() {
                    self.arrived.push((name, bytes));
                    self.outbox.acknowledge(name);
                }
            }
            Op::Cut(arriving) => self.cut(usize::from(*arriving)),
            Op::Connect => self.connected = true,
            Op::Crash if !self.connected => self.restart(true),
            Op::Stop => {
                self.cut(0);
                self.file = Some(everything(&self.outbox));
                self.restart(false);
            }
            Op::Ask(from, count) => self.ask(u64::from(*from), u64::from(*from) + u64::from(*count)),
            Op::Send | Op::Crash => {}
        }
        self.given.insert(self.epoch, self.sequence);
        while let Some(write) = self.keeping.next_write(&self.outbox, !self.connected) {
            match write {
                Write::Append(bytes) => self.file.get_or_insert_default().extend(bytes),
                Write::Replace(bytes) => self.file = Some(bytes),
                Write::Remove => self.file = None,
            }
        }
    }

    fn cut(&mut self, arriving: usize) {
        let arriving = arriving.min(self.in_flight.len());
        self.arrived.extend(self.in_flight.drain(..arriving));
        self.in_flight.clear();
        self.outbox.take_all_back();
        if std::mem::take(&mut self.connected) {
            self.keeping.handle_away();
        }
    }

    fn restart(&mut self, crash: bool) {
        let spool = spool::read(self.file.as_deref().unwrap_or_default());
        assert_eq!(spool.dropped, 0);
        self.outbox = Outbox::new(SMALL);
        self.keeping = Keeping::new(0);
        spool.entries.into_iter().for_each(|entry| _ = self.outbox.push(entry));
        if crash {
            self.epoch += 1;
            self.sequence = 0;
        }
    }

    /// Every number that is asked for is answered or on its way, once, with the bytes of before.
    fn ask(&mut self, from: u64, to: u64) {
        let last = Name { epoch: self.epoch, sequence: self.sequence };
        let to = to.min(self.sequence);
        let mut asks = Asks::new();
        asks.push(Resend { epoch: self.epoch, from, to }, last, Duration::ZERO);
        let mut next = from;
        while let Some(bytes) = asks.next_answer(&self.outbox, 5) {
            let event: Event = codec::decode(None, &bytes).unwrap();
            let first = event.first.unwrap_or(event.sequence);
            for coming in next..first.max(next) {
                assert!(matches!(self.outbox.find(self.epoch, coming), Found::Coming(_)), "{coming} is forgotten");
            }
            if event.action != Action::Gap {
                let name = Name { epoch: event.epoch, sequence: event.sequence };
                assert!(self.arrived.iter().any(|(arrived, same)| *arrived == name && *same == bytes));
            }
            next = event.sequence + 1;
        }
        for coming in next..=to {
            assert!(matches!(self.outbox.find(self.epoch, coming), Found::Coming(_)), "{coming} is forgotten");
        }
    }

    /// Lets everything arrive, and looks at what the bridge has.
    fn finish(mut self) {
        for _ in 0..1000 {
            for op in [Op::Connect, Op::Send, Op::Acknowledge] {
                self.apply(&op);
            }
        }
        assert_eq!(self.outbox.waiting(), 0);
        assert_eq!(self.file, None, "the file goes when the broker has all of it");
        let mut once: Vec<(Name, Bytes)> = Vec::new();
        for (name, bytes) in self.arrived {
            match once.iter().find(|(known, _)| *known == name) {
                Some((_, same)) => assert_eq!(*same, bytes, "{name:?} came in two forms"),
                None => once.push((name, bytes)),
            }
        }
        assert!(once.is_sorted_by_key(|(name, _)| *name), "{once:?}");
        let mut covered: BTreeMap<u64, u64> = BTreeMap::new();
        for (name, bytes) in &once {
            let event: Event = codec::decode(None, bytes).unwrap();
            let last = covered.entry(name.epoch).or_default();
            assert_eq!(event.first.unwrap_or(event.sequence), *last + 1, "{name:?} follows {last}");
            *last = event.sequence;
        }
        self.given.retain(|_, last| *last > 0);
        assert_eq!(covered, self.given);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    // E1
    #[test]
    fn every_number_arrives_or_is_in_exactly_one_gap_in_order(ops in prop::collection::vec(op(), 0..120)) {
        let mut world = World::new();
        ops.iter().for_each(|op| world.apply(op));
        world.finish();
    }
}
