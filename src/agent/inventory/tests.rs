//! Scripts. Times are told as `+2s`; `a` and `b` name containers by their first letter.

mod model;

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

// E4
#[test]
fn what_is_there_at_first_is_the_baseline_and_no_news() {
    check(
        "up
         show
         listed web running, db exited
         is web running
         show
         is db exited exit=0
         show",
        "list
         not all:
         inspect db
         inspect web
         not all: web=running
         all: db=exited web=running",
    );
}

// E4
#[test]
fn an_engine_without_containers_is_complete_once_it_said_so() {
    check("up\nshow\nlisted\nshow", "list\nnot all:\nall:");
}

// E4
#[test]
fn a_list_that_fails_completes_nothing_and_is_asked_again() {
    check(
        "up
         listed failed
         show
         +4s
         +1s
         listed
         show",
        "list
         not all:
         list
         all:",
    );
}

// DM7
#[test]
fn events_are_told_in_order_with_the_fields_that_changed() {
    check(
        "up
         listed
         event 10 web create
         is web created
         event 20 web start
         is web running
         event 30 web kill
         event 40 web die exit=137
         is web exited exit=137
         event 50 web destroy
         show
         cursor",
        "list
         inspect web
         10 create web state=created and all
         inspect web
         20 start web state=running
         30 kill web
         inspect web
         40 die web exit_code=137 state=exited
         50 destroy web
         all:
         cursor Some(50)",
    );
}

// DM7
#[test]
fn an_event_waits_for_the_ones_before_it() {
    check(
        "up
         listed web running, db running
         is web running
         is db running
         event 10 web die exit=1
         event 20 db pause
         event 30 web oom
         is db paused
         is web exited exit=1",
        "list
         inspect db
         inspect web
         inspect web
         inspect db
         10 die web exit_code=1 state=exited
         20 pause db state=paused
         30 oom web",
    );
}

// RR10
#[test]
fn a_crash_loop_is_inspected_now_and_then_but_told_event_by_event() {
    check(
        "up
         listed web running
         is web running
         event 10 web die exit=1
         event 11 web start
         event 12 web die exit=2
         event 13 web start
         is web restarting exit=1 restarts=1
         is web running restarts=2",
        "list
         inspect web
         inspect web
         10 die web exit_code=1 restarts=1 state=restarting
         inspect web
         11 start web exit_code=null state=running
         12 die web exit_code=2 state=exited
         13 start web exit_code=null restarts=2 state=running",
    );
}

#[test]
fn a_new_container_that_is_inspected_late_comes_whole_with_its_first_event() {
    check(
        "up
         listed
         event 10 a pause
         event 11 b create
         event 12 b start
         is b running
         is a paused
         is b running
         show",
        "list
         inspect a
         inspect b
         inspect b
         10 pause a state=paused and all
         11 create b state=running and all
         12 start b
         all: a=paused b=running",
    );
}

// DM7
#[test]
fn a_container_that_vanished_is_told_by_its_events_and_never_invented() {
    check(
        "up
         listed web running
         is web running
         event 10 job create
         event 11 job start
         event 12 job die exit=3
         event 13 job destroy
         event 14 web die exit=4
         gone job
         gone job
         show
         gone web
         show",
        "list
         inspect web
         inspect job
         inspect web
         10 create job
         inspect job
         11 start job
         12 die job
         13 destroy job
         all: web=running
         14 die web exit_code=4 state=exited
         all: web=exited",
    );
}

#[test]
fn a_late_answer_brings_no_removed_container_back() {
    check(
        "up
         listed
         event 10 job create
         is job created
         event 11 job start
         event 12 job destroy
         is job running
         show",
        "list
         inspect job
         10 create job state=created and all
         inspect job
         11 start job state=running
         12 destroy job
         all:",
    );
}

#[test]
fn what_the_engine_cannot_tell_is_told_in_the_events_words_and_asked_again() {
    check(
        "up
         listed web running
         is web running
         event 10 web die exit=1
         failed web
         +2s
         is web exited exit=1 restarts=3",
        "list
         inspect web
         inspect web
         10 die web exit_code=1 state=exited
         inspect web
         - changed web restarts=3",
    );
}

// DM6
#[test]
fn a_container_that_cannot_be_inspected_is_known_by_the_list_in_the_end() {
    check(
        "up
         listed web running
         failed web
         +5s
         failed web
         show
         +5s
         failed web
         show",
        "list
         inspect web
         inspect web
         not all:
         inspect web
         all: web=running",
    );
}

// DM7
#[test]
fn health_is_told_by_the_event_alone() {
    check(
        "up
         listed web running health=starting
         is web running health=starting
         event 10 web health_status health=healthy
         event 11 new health_status health=healthy
         is new running health=healthy",
        "list
         inspect web
         10 health_status web health=healthy
         inspect new
         11 health_status new state=running and all",
    );
}

#[test]
fn a_rename_is_told_under_the_new_name() {
    check(
        "up
         listed web running
         is web running
         event 10 web rename name=shop
         is web running name=shop",
        "list
         inspect web
         inspect web
         10 rename shop name=shop",
    );
}

// DM7
#[test]
fn an_event_that_is_replayed_is_told_once() {
    check(
        "up
         listed
         event 10 a create
         is a created
         event 11 a start
         up
         event 10 a create
         event 11 a start
         event 11 a die exit=0
         is a running
         is a exited exit=0",
        "list
         inspect a
         10 create a state=created and all
         inspect a
         inspect a
         list
         11 start a state=running
         inspect a
         11 die a exit_code=0 state=exited",
    );
}

// E4
#[test]
fn an_engine_that_is_away_is_told_once_and_its_containers_are_kept() {
    check(
        "down
         down
         up
         listed web running
         is web running
         event 10 web die exit=1
         event 11 web kill
         down
         show
         down
         up
         show
         listed web exited
         show
         +2s
         is web exited exit=1 restarts=1",
        "- engine_lost
         - engine_back
         list
         inspect web
         inspect web
         10 die web exit_code=1 state=exited
         11 kill web
         - engine_lost
         not all: web=exited
         - engine_back
         list
         not all: web=exited
         all: web=exited
         inspect web
         - changed web restarts=1",
    );
}

// DM7
#[test]
fn a_restarted_agent_tells_the_replayed_events_then_what_no_event_told() {
    check_restored(
        &["db running", "old exited", "web running"],
        50,
        "show
         up
         listed db running, new running, web exited
         show
         event 50 web start
         event 60 web die exit=1
         is web exited exit=1
         show
         +2s
         is db running restarts=1
         is new running
         gone old
         show",
        "not all: db=running old=exited web=running
         list
         not all: db=running old=exited web=running
         inspect web
         60 die web exit_code=1 state=exited
         not all: db=running old=exited web=exited
         inspect db
         inspect new
         inspect old
         - changed db restarts=1
         - found new state=running and all
         - gone old
         all: db=running new=running web=exited",
    );
}

#[test]
fn a_restarted_agent_to_which_the_list_agrees_is_complete_at_once() {
    check_restored(
        &["db running"],
        50,
        "up\nlisted db running\nshow\n+2s\nis db running\nshow",
        "list\nall: db=running\ninspect db\nall: db=running",
    );
}

// E1
#[test]
fn what_the_engine_has_forgotten_is_a_gap_before_what_it_replays() {
    check_restored(
        &["web running"],
        50,
        "up overrun
         event 60 web stop
         is web exited",
        "gap
         list
         inspect web
         60 stop web state=exited",
    );
    check_restored(&[], 50, "up restarted\nlisted\nshow", "gap\nlist\nall:");
    check("up\nlisted\ndown\nup restarted", "list\n- engine_lost\n- engine_back\nlist");
    check("up\nlisted\nup restarted\nshow", "list\ngap\nlist\nnot all:");
}

#[test]
fn a_gap_keeps_its_place_among_events_that_wait() {
    check(
        "up
         listed
         event 10 a create
         up overrun
         event 20 b create
         is b created
         is a created",
        "list
         inspect a
         inspect a
         list
         inspect b
         10 create a state=created and all
         gap
         20 create b state=created and all",
    );
}

#[test]
fn a_list_is_asked_every_minute_and_its_contradictions_must_stand() {
    check(
        "up
         listed web running
         is web running
         +59s
         +1s
         listed web exited, new running
         show
         +1s
         event 10 new create
         is new running
         +1s
         is web exited exit=9
         +58s",
        "list
         inspect web
         list
         all: web=running
         inspect new
         10 create new state=running and all
         inspect web
         - changed web exit_code=9 state=exited
         reopen
         list",
    );
}

#[test]
fn a_container_that_an_event_touched_since_the_list_was_asked_is_no_suspect() {
    check(
        "up
         listed web running
         is web running
         +60s
         event 10 web die exit=1
         is web exited exit=1
         event 11 new create
         is new created
         listed web running
         +10s
         show",
        "list
         inspect web
         list
         inspect web
         10 die web exit_code=1 state=exited
         inspect new
         11 create new state=created and all
         all: new=created web=exited",
    );
}

#[test]
fn only_few_inspects_are_under_way() {
    check(
        "up
         listed a running, b running, c running, d running, e running, f running
         is b running
         gone a",
        "list
         inspect a
         inspect b
         inspect c
         inspect d
         inspect e
         inspect f",
    );
}

// E1
#[test]
fn too_many_waiting_events_become_one_gap_of_their_number() {
    let mut script = String::from("up\nlisted slow running\nis slow running\nevent 1 slow update\n");
    for time in 0..queue::MOST + 2 {
        let _ = writeln!(script, "event {} slow stop", time + 10);
    }
    script.push_str("is slow running\nis slow exited\n+60s\n");
    let mut expect = String::from("list\ninspect slow\ninspect slow\ninspect slow\ngap 3\n");
    for time in 2..queue::MOST + 1 {
        let _ = writeln!(expect, "{} stop slow", time + 10);
    }
    let _ = writeln!(expect, "{} stop slow state=exited\nlist", queue::MOST + 11);
    check(&script, &expect);
}

// E1
#[test]
fn a_container_of_which_all_events_were_given_up_is_looked_at() {
    let mut script = String::from("up\nlisted\nevent 1 one create\nevent 2 slow create\n");
    for time in 0..queue::MOST {
        let _ = writeln!(script, "event {} slow kill", time + 10);
    }
    script.push_str("is slow created\nis one created\nshow\n");
    let mut run = Script::new(Restored::default());
    run.run(&script);
    let told: Vec<_> = run.said.iter().filter(|said| !said.contains("kill")).collect();
    assert_eq!(
        told,
        [
            "list",
            "inspect one",
            "inspect slow",
            "gap 2",
            "- found slow state=created and all",
            "- found one state=created and all",
            "all: one=created slow=created",
        ]
    );
}

#[test]
fn the_cursor_moves_on_with_the_engines_clock_while_nothing_happens() {
    check(
        "up 100000000000
         cursor
         listed
         +60s
         listed
         cursor
         event 155000000001 web kill
         cursor
         event 7 web kill
         cursor",
        "list
         cursor None
         list
         cursor Some(155000000000)
         155000000001 kill web
         cursor Some(155000000001)
         7 kill web
         cursor Some(7)",
    );
}

#[test]
fn of_two_clocks_the_slower_moves_the_cursor() {
    let expect = |cursor: &str| format!("list\nlist\ncursor Some({cursor})");
    check("up 100000000000\nlisted\nclock -40\n+60s\nlisted\ncursor", &expect("115000000000"));
    check("up 100000000000\nlisted\nclock 90\n+60s\nlisted\ncursor", &expect("155000000000"));
}

#[test]
fn no_clock_is_too_odd() {
    let mut inventory = Inventory::new(Restored { records: None, cursor: Some(50) }, Duration::from_secs(60));
    let opened = |time| Opened {
        facts: EngineFacts::default(),
        host: HostFacts::default(),
        time: Some(time),
        history: History::Whole,
    };
    for (mono, wall, time) in [(0, i64::MAX, i64::MAX), (70, i64::MIN, i64::MIN), (200, 0, 0)] {
        let now = Now { mono: Duration::from_secs(mono), wall };
        inventory.handle_notice(Notice::Up(Box::new(opened(time))), now);
        let mut ticket = 0;
        while let Some(effect) = inventory.next_effect() {
            if let Effect::List { ticket: asked } = effect {
                ticket = asked;
            }
        }
        let later = Now { mono: now.mono + Duration::from_secs(1), wall: 5 };
        inventory.handle_notice(Notice::Listed { ticket, result: Ok(vec![]) }, later);
    }
    assert!(inventory.complete());
}

#[test]
fn the_revision_counts_what_a_snapshot_would_say() {
    let mut script = Script::new(Restored::default());
    let mut changes = |line: &str| {
        let before = script.inventory.revision();
        script.line(line);
        script.inventory.revision() != before
    };
    for (line, expect) in [
        ("up", true),
        ("listed web running", false),
        ("is web running", true),
        ("event 10 web kill", false),
        ("event 11 web restart", false),
        ("is web running", false),
        ("event 12 web stop", false),
        ("is web exited", true),
        ("up", false),
        ("listed web exited", false),
        ("down", true),
        ("down", false),
        ("up", true),
        ("listed web exited", true),
    ] {
        assert_eq!(changes(line), expect, "{line}");
    }
}
