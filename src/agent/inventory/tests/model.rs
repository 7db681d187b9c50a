//! A model of an engine that is asked, answers late and out of step, loses its connection and
//! replays: whatever happens, every event is told once and in order, and in the end the
//! records are the engine's containers.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// Below what the engine holds, so that nothing that is replayed is lost.
const STEPS: usize = 256;

#[derive(Debug, Clone)]
enum Step {
    /// Something happens to a container, whatever is possible.
    Happen(u8, u8),
    /// Events reach the agent.
    Deliver(usize),
    /// An inspect is answered; with what was true when it was asked, or with what is true by then.
    Inspect {
        which: usize,
        late: bool,
        fails: bool,
    },
    /// A list is answered.
    List {
        late: bool,
        fails: bool,
    },
    /// The event stream is opened anew.
    Reopen,
    /// The engine is away for a while; it goes on by itself.
    Away,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..5u8, 0..8u8).prop_map(|(who, what)| Step::Happen(who, what)),
        6 => (1..4usize).prop_map(Step::Deliver),
        8 => (0..4usize, any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(which, late, fails)| Step::Inspect { which, late, fails }),
        3 => (any::<bool>(), prop::bool::weighted(0.1)).prop_map(|(late, fails)| Step::List { late, fails }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Away),
        2 => (1..40_000u16).prop_map(Step::Wait),
    ]
}

struct Model {
    inventory: Inventory,
    now: Now,
    clock: i64,
    born: BTreeMap<u8, u32>,
    containers: BTreeMap<ContainerId, Record>,
    /// All events that ever happened; those before `delivered` have reached the agent.
    events: Vec<EngineEvent>,
    delivered: usize,
    inspects: VecDeque<(ContainerId, Option<Record>)>,
    list: Option<(u64, Vec<Record>)>,
    told: Vec<(i64, Action)>,
    folded: BTreeMap<ContainerId, Record>,
}

impl Model {
    fn new() -> Self {
        let inventory = Inventory::new(Restored { records: Some(vec![]), cursor: None }, Duration::from_secs(60));
        let mut model = Self {
            inventory,
            now: Now::default(),
            clock: 1_000,
            born: BTreeMap::new(),
            containers: BTreeMap::new(),
            events: vec![],
            delivered: 0,
            inspects: VecDeque::new(),
            list: None,
            told: vec![],
            folded: BTreeMap::new(),
        };
        model.open();
        model
    }

    fn open(&mut self) {
        (self.inspects, self.list) = (VecDeque::new(), None);
        // The engine replays from the last event on, which therefore comes twice.
        self.delivered = self.delivered.saturating_sub(1);
        let opened = Opened {
            facts: EngineFacts::default(),
            host: HostFacts::default(),
            time: Some(self.clock),
            history: History::Whole,
        };
        self.notice(Notice::Up(Box::new(opened)));
    }

    fn happen(&mut self, who: u8, what: u8) {
        let life = self.born.entry(who).or_insert(0);
        let id = id_of(&format!("{}{life}", char::from(b'a' + who)));
        let name = name_of(id);
        let state = self.containers.get(&id).map(|record| record.state.clone());
        let (action, after) = match (what, &state) {
            (_, None) => (Action::Create, Some(record(&format!("{name} created")))),
            (0 | 1, Some(State::Created | State::Exited)) => (Action::Start, Some(record(&format!("{name} running")))),
            (2 | 3, Some(State::Running)) => (Action::Die, Some(record(&format!("{name} exited exit={what}")))),
            (4, Some(State::Running)) => (Action::Pause, Some(record(&format!("{name} paused")))),
            (_, Some(State::Paused)) => (Action::Unpause, Some(record(&format!("{name} running")))),
            (5, Some(State::Running)) => (Action::Kill, self.containers.get(&id).cloned()),
            (6, Some(State::Running)) => {
                (Action::HealthStatus, Some(record(&format!("{name} running health=healthy"))))
            }
            (7, Some(State::Exited)) => {
                *life += 1;
                (Action::Destroy, None)
            }
            _ => return,
        };
        self.clock += 1;
        let exit_code = after.as_ref().and_then(|record| record.exit_code).filter(|_| action == Action::Die);
        let health = after.as_ref().and_then(|record| record.health.clone()).filter(|_| action == Action::HealthStatus);
        self.events.push(EngineEvent { time: self.clock, action, id, name: Some(name.into()), exit_code, health });
        match after {
            Some(record) => self.containers.insert(id, record),
            None => self.containers.remove(&id),
        };
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Happen(who, what) => self.happen(who, what),
            Step::Deliver(count) => {
                for _ in 0..count {
                    let Some(event) = self.events.get(self.delivered).cloned() else {
                        break;
                    };
                    self.delivered += 1;
                    self.notice(Notice::Event(event));
                }
            }
            Step::Inspect { which, late, fails } => {
                if self.inspects.is_empty() {
                    return;
                }
                let which = which % self.inspects.len();
                let Some((id, early)) = self.inspects.remove(which) else {
                    return;
                };
                let record = if late { self.containers.get(&id).cloned() } else { early };
                let result = match record {
                    _ if fails => Err(InspectError::Failed("odd".to_owned())),
                    Some(record) => Ok(Box::new(record)),
                    None => Err(InspectError::Gone),
                };
                self.notice(Notice::Inspected { id, result });
            }
            Step::List { late, fails } => {
                let Some((ticket, early)) = self.list.take() else {
                    return;
                };
                let records = if late { self.containers.values().cloned().collect() } else { early };
                let entries = records.into_iter().map(|record| Listed { record }).collect();
                let result = if fails { Err("odd".to_owned()) } else { Ok(entries) };
                self.notice(Notice::Listed { ticket, result });
            }
            Step::Reopen => self.open(),
            Step::Away => {
                (self.inspects, self.list) = (VecDeque::new(), None);
                self.notice(Notice::Down { reason: "away".to_owned() });
                self.open();
            }
            Step::Wait(millis) => {
                self.now.mono += Duration::from_millis(millis.into());
                self.now.wall += i64::from(millis);
                self.inventory.handle_timeout(self.now);
                self.effects();
            }
        }
    }

    /// Lets everything that is under way come to its end.
    fn settle(&mut self) {
        for _ in 0..40 {
            self.step(&Step::Deliver(usize::MAX));
            while !self.inspects.is_empty() || self.list.is_some() {
                self.step(&Step::Inspect { which: 0, late: true, fails: false });
                self.step(&Step::List { late: true, fails: false });
            }
            self.step(&Step::Wait(5_000));
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.inventory.handle_notice(notice, self.now);
        self.effects();
    }

    fn effects(&mut self) {
        while let Some(effect) = self.inventory.next_effect() {
            match effect {
                Effect::List { ticket } => {
                    self.list = Some((ticket, self.containers.values().cloned().collect()));
                }
                Effect::Inspect { id } => self.inspects.push_back((id, self.containers.get(&id).cloned())),
                Effect::Reopen => {}
                Effect::Gap { .. } => panic!("nothing was lost"),
                Effect::Happened(change) => self.fold(change),
            }
        }
        assert_eq!(&self.folded, self.inventory.records(), "the changes make the records");
        assert!(self.inspects.len() <= 4);
    }

    fn fold(&mut self, change: Change) {
        if let Some(time) = change.time {
            self.told.push((time, change.action.clone()));
        }
        let Some(id) = change.id else { return };
        if matches!(change.action, Action::Destroy | Action::Gone) {
            self.folded.remove(&id);
        } else if !change.set.is_empty() {
            let record = change.set.apply(id, self.folded.get(&id)).expect("fields of a record");
            self.folded.insert(id, record);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    // DM7, E1
    #[test]
    fn each_event_is_told_once_in_order_and_the_records_come_true(steps in prop::collection::vec(step(), 1..STEPS)) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
        model.settle();
        let happened: Vec<_> = model.events.iter().map(|event| (event.time, event.action.clone())).collect();
        prop_assert_eq!(&model.told, &happened);
        prop_assert_eq!(model.inventory.records(), &model.containers);
        prop_assert!(model.inventory.complete());
        prop_assert!(model.inventory.cursor() >= happened.last().map(|(time, _)| *time));
    }
}
