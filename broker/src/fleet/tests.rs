//! Tables: lines of input, each with a time in milliseconds, and what comes out of it as text.

use std::time::Duration;

use radar_wire::command::Progress;
use radar_wire::container::{ContainerId, Record};
use radar_wire::fields::Fields;
use radar_wire::status::{AgentFacts, EngineFacts, Presence as Word};
use radar_wire::topic::Prefix;

use super::*;

mod history;
pub(crate) mod memory;
mod presence;
mod present;

/// A fleet with one agent, `pi`, that is fed by lines of text.
pub(crate) struct Desk {
    pub(crate) fleet: Fleet,
    now: Now,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { fleet: Fleet::new(Limits::default()), now: Now::default() }
    }

    /// Performs `<time> <what>` and says what came out, but for the agent's rows.
    pub(super) fn run(&mut self, line: &str) -> Vec<String> {
        self.handle(line);
        self.out()
    }

    /// Performs `<time> <what>`.
    pub(crate) fn handle(&mut self, line: &str) {
        let mut words: Vec<_> = line.split(' ').collect();
        let at: i64 = words.remove(0).parse().unwrap();
        self.now = Now { mono: Duration::from_millis(at.unsigned_abs()), wall: at };
        let retained = words[0] == "retained";
        if retained {
            words.remove(0);
        }
        match &*words {
            ["online" | "offline", ..] => self.send(Channel::Status, status(&words, at).bytes, retained),
            ["snapshot", ..] => {
                let encoded = encode(&snapshot(&words, at)).unwrap();
                let content_type = Some(encoded.content_type.as_str());
                self.fleet.handle_message(&pi(), &Channel::Snapshot, content_type, &encoded.bytes, retained, self.now);
            }
            ["event" | "gap", ..] => self.send(Channel::Event, encode(&event(&words, at)).unwrap().bytes, retained),
            ["bad", channel] => self.send(channel_named(channel), b"{}".to_vec(), retained),
            ["clear", channel] => self.send(channel_named(channel), Vec::new(), retained),
            ["purge"] => self.fleet.purge(&pi()),
            ["connected", how] => self.fleet.handle_connected(*how == "resumed", self.now),
            ["timeout"] => self.fleet.handle_timeout(self.now),
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, channel: Channel, payload: Vec<u8>, retained: bool) {
        self.fleet.handle_message(&pi(), &channel, Some("application/cbor"), &payload, retained, self.now);
    }

    fn out(&mut self) -> Vec<String> {
        let mut out: Vec<_> = self.fleet.take_writes().iter().filter_map(write).collect();
        out.extend(std::iter::from_fn(|| self.fleet.next_effect()).map(|it| effect(&it)));
        out
    }

    pub(crate) fn view(&self) -> AgentView {
        self.fleet.view(&pi()).expect("the agent is known")
    }

    /// The containers with their states, and whether they are all.
    pub(crate) fn containers(&self) -> Option<(String, bool)> {
        let known = self.fleet.containers(&pi())?;
        let states: Vec<_> = known.records.iter().map(|it| format!("{}={}", it.name, it.state.as_str())).collect();
        assert!(
            !known.complete || self.view().containers.unwrap().total as usize == states.len(),
            "the count is not that of the list: {states:?}, {:?}",
            self.view()
        );
        Some((states.join(" "), known.complete))
    }
}

/// Runs a script of `(line, what comes out)`.
#[track_caller]
pub(super) fn check(script: &[(&str, &[&str])]) -> Desk {
    let mut desk = Desk::new();
    for (line, expected) in script {
        assert_eq!(desk.run(line), *expected, "after `{line}`");
    }
    desk
}

pub(super) fn pi() -> AgentId {
    "pi".parse().unwrap()
}

fn channel_named(name: &str) -> Channel {
    Prefix::default().parse(&format!("radar/v1/pi/{name}")).unwrap().1
}

fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// `online|offline <session> <reason> [machine=…] [engine=up|down] [can=…]`
fn status(words: &[&str], at: i64) -> Encoded {
    let machine = option(words, "machine").map(Into::into);
    let engine = option(words, "engine").map(|it| EngineFacts { answers: it == "up", ..EngineFacts::default() });
    encode(&Status {
        state: if words[0] == "online" { Word::Online } else { Word::Offline },
        session: words[1].parse().unwrap(),
        reason: words[2].to_owned().into(),
        at,
        agent: AgentFacts { machine, ..AgentFacts::default() },
        engine,
        can: option(words, "can").map(Into::into).into_iter().collect(),
        allows: Vec::new(),
        warnings: Vec::new(),
    })
    .unwrap()
}

/// `snapshot <epoch> <sequence> <name=state,…>|none [partial] [engine=up|down]`
fn snapshot(words: &[&str], at: i64) -> Snapshot {
    let containers = words[3].split(',').filter_map(|it| it.split_once('=')).map(|(name, state)| record(name, state));
    let engine = option(&words[4..], "engine").map(|it| EngineFacts { answers: it == "up", ..EngineFacts::default() });
    Snapshot {
        epoch: words[1].parse().unwrap(),
        sequence: words[2].parse().unwrap(),
        time: None,
        at,
        complete: !words.contains(&"partial"),
        engine,
        host: None,
        containers: containers.collect(),
    }
}

/// `event <epoch> <sequence> <action> [<name> [new] [<state>]]` or `gap <epoch> <first>|? <last>`
fn event(words: &[&str], at: i64) -> Event {
    let mut event = Event {
        epoch: words[1].parse().unwrap(),
        sequence: 0,
        first: None,
        at,
        time: None,
        action: Action::Gap,
        id: None,
        name: None,
        set: Fields::default(),
    };
    if words[0] == "gap" {
        (event.first, event.sequence) = (words[2].parse().ok(), words[3].parse().unwrap());
        return event;
    }
    (event.sequence, event.action) = (words[2].parse().unwrap(), words[3].into());
    if let Some(name) = words.get(4) {
        (event.id, event.name) = (Some(id(name)), Some((*name).into()));
        let old = record(name, "an earlier one");
        event.set = match words[5..] {
            ["new", state] => Fields::of(&record(name, state)),
            [state] => Fields::between(&old, &record(name, state)),
            _ => Fields::default(),
        };
    }
    event
}

pub(super) fn id(name: &str) -> ContainerId {
    let mut bytes = [0; 32];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    ContainerId::new(bytes)
}

pub(crate) fn record(name: &str, state: &str) -> Record {
    Fields::default()
        .apply(
            id(name),
            Some(
                &serde_json::from_value(serde_json::json!({
                    "id": id(name).to_string(), "name": name, "image": "nginx", "tag": "latest", "state": state,
                }))
                .unwrap(),
            ),
        )
        .unwrap()
}

fn write(write: &Write) -> Option<String> {
    Some(match write {
        Write::Agent(_) => return None,
        Write::Snapshot(_, row) => format!("store snapshot {}/{}", row.epoch, row.sequence),
        Write::Event { event, .. } => match event.missing() {
            Some(_) => format!("store gap {}/{}..={}", event.epoch, event.first.unwrap(), event.sequence),
            None => format!("store {} {}/{}", event.action.as_str(), event.epoch, event.sequence),
        },
        Write::Recovered { epoch, sequence, .. } => format!("store recovered {epoch}/{sequence}"),
        Write::Purge(_) => "store purge".to_owned(),
        Write::Upstream(_) => "store upstream".to_owned(),
        Write::Command(_) => "store command".to_owned(),
    })
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Publish { channel: Channel::Resend, payload, .. } => {
            let Resend { epoch, from, to } = decode(None, &payload.bytes).unwrap();
            format!("resend {epoch}/{from}..={to}")
        }
        Effect::Publish { channel, .. } => format!("publish {channel}"),
        Effect::Touched { changed, .. } => if *changed { "changed" } else { "touched" }.to_owned(),
        Effect::Forgotten { .. } => "forgotten".to_owned(),
        Effect::Enroll { enroll, .. } => format!("enroll {}", enroll.id),
        Effect::Outcome { outcome, .. } => format!("{} {}", outcome.jti, outcome.state.as_str()),
        Effect::Complaint { channel, text, .. } => format!("complaint {channel}: {text}"),
    }
}

#[test]
fn what_does_not_decode_is_counted_and_told_once_a_minute() {
    let mut desk = Desk::new();
    let told = desk.run("0 bad status");
    assert!(told[0].starts_with("complaint status:"), "{told:?}");
    assert_eq!(desk.run("59999 bad status"), [""; 0]);
    assert_eq!(desk.run("59999 bad event"), [""; 0]);
    assert_eq!(desk.run("60000 bad snapshot").len(), 1);
    let sum = desk.fleet.summary();
    assert_eq!(sum.decode_errors, [("event", 1), ("snapshot", 1), ("status", 2)].into());
    // Nobody is known by what nobody can read.
    assert_eq!(sum.agents, 0);
    desk.run("60001 online 1 start");
    assert_eq!(desk.view().decode_errors, 4);
}

#[test]
fn no_number_of_bad_agents_makes_the_log_or_the_memory_grow() {
    let mut fleet = Fleet::new(Limits::default());
    for number in 0..5000 {
        let agent = format!("a{number}").parse().unwrap();
        fleet.handle_message(&agent, &Channel::Event, None, b"", false, Now::default());
    }
    let told = std::iter::from_fn(|| fleet.next_effect()).count();
    assert_eq!(told, 1025);
    assert_eq!(fleet.summary().decode_errors["event"], 5000);
}

#[test]
fn there_is_a_bound_on_the_number_of_agents() {
    let mut desk = Desk::new();
    desk.fleet = Fleet::new(Limits { agents: 1 });
    let other: AgentId = "other".parse().unwrap();
    let birth = status(&["online", "1", "start"], 0).bytes;
    desk.fleet.handle_message(&other, &Channel::Status, None, &birth, false, Now::default());
    desk.out();
    let told = desk.run("5 online 1 start");
    assert_eq!(
        told,
        ["complaint status: there are 1 agents already, which is the most (BRIDGE_MAX_AGENTS); raise it or purge some"]
    );
    assert_eq!((desk.fleet.summary().agents, desk.fleet.summary().refused), (1, 1));
    desk.fleet.purge(&other);
    desk.out();
    assert_eq!(desk.run("6 online 1 start"), ["touched"]);
}

// E3
#[test]
fn zero_bytes_on_a_retained_topic_change_nothing() {
    for how in ["clear", "retained clear"] {
        let mut desk = check(&[
            (&format!("0 {how} status"), &[]),
            (&format!("0 {how} snapshot"), &[]),
            ("1 online 1 start", &["touched"]),
            ("2 snapshot 1 0 web=running", &["store snapshot 1/0", "changed"]),
            ("3 event 1 3 die web exited", &["store die 1/3", "changed", "resend 1/1..=2"]),
            ("4 connected lost", &["resend 1/1..=2"]),
        ]);
        let before = (desk.fleet.summary(), desk.view(), desk.containers(), desk.fleet.poll_timeout());
        assert_eq!(before.0.agents, 1, "nobody is known by zero bytes");
        for channel in ["status", "snapshot"] {
            assert_eq!(desk.run(&format!("5 {how} {channel}")), [""; 0]);
        }
        let after = (desk.fleet.summary(), desk.view(), desk.containers(), desk.fleet.poll_timeout());
        assert_eq!(after, before);
    }
}

// E3
#[test]
fn the_operators_word_forgets_the_agent_and_late_zero_bytes_do_not_bring_it_back() {
    let mut desk = check(&[
        ("0 online 1 start", &["touched"]),
        ("1 event 1 3 start web", &["store start 1/3", "resend 1/1..=2"]),
        ("2 clear status", &[]),
        ("2 clear snapshot", &[]),
        ("3 purge", &["store purge", "forgotten"]),
        ("4 clear status", &[]),
        ("4 clear snapshot", &[]),
        ("5 purge", &[]),
    ]);
    assert_eq!(desk.fleet.view(&pi()), None);
    assert_eq!(desk.fleet.poll_timeout(), None);
    // It was purged too early: it comes back as a new one.
    assert_eq!(desk.run("6 event 1 4 die web"), ["store die 1/4"]);
}

#[test]
fn purged_and_back_in_one_batch_is_stored_in_that_order() {
    let mut fleet = Fleet::new(Limits::default());
    let birth = status(&["online", "1", "start"], 0).bytes;
    fleet.handle_message(&pi(), &Channel::Status, None, &birth, false, Now::default());
    fleet.purge(&pi());
    fleet.handle_message(&pi(), &Channel::Status, None, &birth, false, Now::default());
    let kinds: Vec<_> = fleet.take_writes().iter().map(|it| matches!(it, Write::Purge(_))).collect();
    assert_eq!(kinds, [false, true, false, false]);
}

#[test]
fn a_token_is_handed_on() {
    let mut desk = Desk::new();
    let enroll = Enroll { id: "up-1".to_owned(), token: "hush".to_owned() };
    desk.send(Channel::Enroll, encode(&enroll).unwrap().bytes, false);
    assert_eq!(desk.out(), ["enroll up-1"]);
}

#[test]
fn an_outcome_is_handed_on_and_makes_nobody_known() {
    let mut desk = Desk::new();
    let outcome = Outcome { jti: "1-a".into(), at: 7, state: Progress::Accepted, reason: None, result: None };
    desk.send(Channel::Outcome, encode(&outcome).unwrap().bytes, false);
    assert_eq!(desk.out(), ["1-a accepted"]);
    assert!(desk.run("0 bad outcome")[0].starts_with("complaint outcome:"));
    assert_eq!(desk.fleet.summary().agents, 0);
}
