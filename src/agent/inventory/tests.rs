//! Scripts. Times are told as `+2s`; `a` and `b` name containers by their first letter.

mod bounds;
mod events;
mod lists;
mod model;
mod returns;

use std::fmt::Write as _;

use radar_wire::container::State;

use super::*;

/// A container's id made of its name, so that one can be read off the other.
fn id_of(name: &str) -> ContainerId {
    let mut bytes = [0; 32];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    ContainerId::new(bytes)
}

fn name_of(id: ContainerId) -> String {
    id.as_bytes().iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect()
}

/// `web running exit=1 health=healthy ip=1.2.3.4 name=other`
fn record(text: &str) -> Record {
    let mut words = text.split_whitespace();
    let name = words.next().expect("a container");
    let state = words.next().expect("a state").to_owned();
    let mut record = Record {
        id: id_of(name),
        name: name.into(),
        image: "app".into(),
        tag: "1".into(),
        digest: None,
        image_id: None,
        state: State::from(state),
        health: None,
        exit_code: None,
        created: Some(1),
        started: None,
        finished: None,
        restarts: 0,
        restart_policy: None,
        ports: vec![],
        networks: vec![],
        mounts: vec![],
        project: None,
        service: None,
        labels: BTreeMap::new(),
    };
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        match key {
            "exit" => record.exit_code = Some(value.parse().unwrap()),
            "health" => record.health = Some(value.to_owned().into()),
            "name" => record.name = value.into(),
            "restarts" => record.restarts = value.parse().unwrap(),
            _ => panic!("no such field: {key}"),
        }
    }
    record
}

fn event(text: &str) -> EngineEvent {
    let words: Vec<_> = text.split_whitespace().collect();
    let [time, container, action, ..] = words[..] else { panic!("not an event: {text}") };
    let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    EngineEvent {
        time: time.parse().unwrap(),
        action: Action::from(action),
        id: id_of(container),
        name: Some(value("name").unwrap_or(container).into()),
        exit_code: value("exit").map(|code| code.parse().unwrap()),
        health: value("health").map(|word| word.to_owned().into()),
    }
}

fn told(effect: &Effect) -> String {
    let change = match effect {
        Effect::List { .. } => return "list".to_owned(),
        Effect::Reopen => return "reopen".to_owned(),
        Effect::Inspect { id } => return format!("inspect {}", name_of(*id)),
        Effect::Gap { missing: None } => return "gap".to_owned(),
        Effect::Gap { missing: Some(missing) } => return format!("gap {missing}"),
        Effect::Happened(change) => change,
    };
    let mut text = change.time.map_or("-".to_owned(), |time| time.to_string());
    let _ = write!(text, " {}", change.action.as_str());
    if let Some(name) = &change.name {
        let _ = write!(text, " {name}");
    }
    let set = serde_json::to_value(&change.set).unwrap();
    let set = set.as_object().unwrap();
    let all = set.contains_key("image");
    for (field, value) in set.iter().filter(|(field, _)| !all || *field == "state") {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(text, " {field}={value}");
    }
    text + if all { " and all" } else { "" }
}

struct Script {
    inventory: Inventory,
    now: Now,
    ticket: u64,
    said: Vec<String>,
}

impl Script {
    fn new(restored: Restored) -> Self {
        let inventory = Inventory::new(restored, Duration::from_secs(60));
        let now = Now { mono: Duration::ZERO, wall: 1_000_000 };
        Self { inventory, now, ticket: 0, said: vec![] }
    }

    fn run(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.line(line);
        }
    }

    fn line(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let notice = match word {
            "up" => {
                let mut history = History::Whole;
                let mut time = None;
                for word in rest.split_whitespace() {
                    match word {
                        "overrun" => history = History::Overrun,
                        "restarted" => history = History::Restarted,
                        word => time = word.parse().ok(),
                    }
                }
                let facts = EngineFacts { kind: "docker".into(), answers: true, ..EngineFacts::default() };
                Notice::Up(Box::new(Opened { facts, host: HostFacts::default(), time, history }))
            }
            "down" => Notice::Down { reason: "away".to_owned() },
            "event" => Notice::Event(event(rest)),
            "is" => {
                let record = record(rest);
                Notice::Inspected { id: record.id, result: Ok(Box::new(record)) }
            }
            "gone" => Notice::Inspected { id: id_of(rest), result: Err(InspectError::Gone) },
            "failed" => Notice::Inspected { id: id_of(rest), result: Err(InspectError::Failed("odd".to_owned())) },
            "listed" if rest == "failed" => Notice::Listed { ticket: self.ticket, result: Err("odd".to_owned()) },
            "listed" => {
                let entries = rest.split(',').map(str::trim).filter(|text| !text.is_empty());
                let entries = entries.map(|text| Listed { record: record(text) }).collect();
                Notice::Listed { ticket: self.ticket, result: Ok(entries) }
            }
            "show" => {
                let mut text = String::from(if self.inventory.complete() { "all:" } else { "not all:" });
                for record in self.inventory.records().values() {
                    let _ = write!(text, " {}={}", record.name, record.state.as_str());
                }
                self.said.push(text);
                return;
            }
            "clock" => {
                let seconds: i64 = rest.parse().expect("seconds");
                self.now.wall += seconds * 1000;
                return;
            }
            "cursor" => {
                self.said.push(format!("cursor {:?}", self.inventory.cursor()));
                return;
            }
            _ => {
                let seconds: f64 = word.trim_matches(['+', 's']).parse().expect("a known word");
                self.now.mono += Duration::from_secs_f64(seconds);
                self.now.wall += (seconds * 1000.0) as i64;
                self.inventory.handle_timeout(self.now);
                self.drain();
                return;
            }
        };
        self.inventory.handle_notice(notice, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.inventory.next_effect() {
            if let Effect::List { ticket } = effect {
                self.ticket = ticket;
            }
            self.said.push(told(&effect));
        }
    }
}

fn run(restored: Restored, text: &str, expect: &str) {
    let mut script = Script::new(restored);
    script.run(text);
    let expect: Vec<_> = expect.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // Joined, a difference is found by eye.
    assert_eq!(script.said.join("\n"), expect.join("\n"));
}

fn check(script: &str, expect: &str) {
    run(Restored::default(), script, expect);
}

fn check_restored(records: &[&str], cursor: i64, script: &str, expect: &str) {
    let records = records.iter().map(|text| record(text)).collect();
    run(Restored { records: Some(records), cursor: Some(cursor) }, script, expect);
}
