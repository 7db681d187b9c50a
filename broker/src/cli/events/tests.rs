use std::sync::Arc;

use radar_wire::container::ContainerId;

use radar_wire::fields::Fields;

use super::*;
use crate::store::rows::{AgentRow, Write as Row};
use crate::store::{Keep, Store};

fn event(action: &str) -> Event {
    Event {
        epoch: 5,
        sequence: 9,
        first: None,
        at: 1_795_228_544_500,
        time: Some(1_795_228_544_250_999_999),
        action: Action::from(action),
        id: Some(ContainerId::new([0xab; 32])),
        name: Some("web".into()),
        set: Fields::default(),
    }
}

fn fields(json: &str) -> Fields {
    serde_json::from_str(json).unwrap()
}

fn printed(event: &Event, json: bool) -> String {
    let mut out = Vec::new();
    print(event, json, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn json_has_these_names_in_this_order() {
    let set = fields(r#"{"state":"running"}"#);
    assert_eq!(
        printed(&Event { set, ..event("start") }, true),
        format!(
            "{{\"epoch\":5,\"sequence\":9,\"at\":1795228544500,\"engine_time\":1795228544250999999,\
             \"action\":\"start\",\"container\":\"{}\",\"name\":\"web\",\"set\":{{\"state\":\"running\"}}}}\n",
            "ab".repeat(32)
        )
    );
    let gap = Event { time: None, id: None, name: None, ..event("gap") };
    assert_eq!(
        printed(&Event { first: Some(3), ..gap.clone() }, true),
        "{\"epoch\":5,\"sequence\":9,\"at\":1795228544500,\"engine_time\":null,\"action\":\"gap\",\
         \"container\":null,\"name\":null,\"count\":7,\"first\":3}\n"
    );
    assert!(printed(&gap, true).ends_with("\"count\":null,\"first\":null}\n"));
}

#[test]
fn people_read_when_what_who_and_what_changed() {
    let set = r#"{"state":"exited","exit_code":137,"health":null,"finished":1,"ports":[]}"#;
    let whole = r#"{"name":"web","image":"nginx","tag":"1.25","digest":"sha256:1","state":"created","ports":[]}"#;
    for (event, line) in [
        (
            Event { set: fields(whole), ..event("create") },
            "2026-11-21T02:35:44.250Z  create         web  nginx:1.25, created\n",
        ),
        (
            Event { set: fields(set), ..event("die") },
            "2026-11-21T02:35:44.250Z  die            web  exited, no health, exit code 137, ports\n",
        ),
        (Event { name: None, time: None, ..event("gone") }, "2026-11-21T02:35:44.500Z  gone           abababababab\n"),
        (Event { name: None, id: None, ..event("engine_lost") }, "2026-11-21T02:35:44.250Z  engine_lost    -\n"),
        (
            Event { first: Some(3), ..event("gap") },
            "2026-11-21T02:35:44.250Z  gap            7 events lost (numbers 3 to 9)\n",
        ),
        (
            Event { first: Some(9), ..event("gap") },
            "2026-11-21T02:35:44.250Z  gap            1 event lost (number 9)\n",
        ),
        (event("gap"), "2026-11-21T02:35:44.250Z  gap            events lost; how many is not known\n"),
    ] {
        assert_eq!(printed(&event, false), line);
    }
}

#[test]
fn nothing_of_a_host_can_steer_the_terminal() {
    let set = fields(r#"{"\u001b[2J":"\u001b]0;x\u0007"}"#);
    let line = printed(&Event { set, name: Some("\u{1b}[31mred\nline".into()), ..event("\u{1b}c") }, false);
    assert_eq!(line.trim_end_matches('\n').chars().filter(|c| c.is_control()).count(), 0, "{line:?}");
}

// E1
#[tokio::test]
async fn history_is_in_the_order_of_the_engine_since_a_time() {
    let room = tempfile::tempdir().unwrap();
    let database = room.path().join("bridge.db");
    let (store, _) = Store::open(&database, Keep::default()).unwrap();
    let pi: AgentId = "pi".parse().unwrap();
    let happened = |sequence: u64, seconds: i64, action: &str| Row::Event {
        agent: pi.clone(),
        heard: 0,
        event: Box::new(Event { sequence, time: Some(seconds * 1_000_000_000), ..event(action) }),
    };
    let writes: Arc<[Row]> = Arc::new([
        Row::Agent(Box::new(AgentRow::example())),
        happened(1, 30, "stop"),
        happened(2, 10, "create"),
        happened(3, 20, "start"),
    ]);
    store.commit(writes).await.unwrap();

    let shown = |agent: &str, since| {
        let mut out = Vec::new();
        show(&database, &agent.parse().unwrap(), since, false, false, &mut out)?;
        let text = String::from_utf8(out)?;
        anyhow::Ok(text.lines().filter_map(|line| line.split_whitespace().nth(1)).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(shown("pi", None).unwrap(), "create start stop");
    assert_eq!(shown("pi", Some(20_000)).unwrap(), "start stop");
    let error = shown("po", None).unwrap_err().to_string();
    assert!(error.contains("no agent po"), "{error}");
}

#[tokio::test]
async fn what_arrives_is_printed_once_until_nobody_reads() {
    /// Takes so many lines.
    struct Reading(Vec<u8>, usize);

    impl Write for Reading {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.iter().filter(|byte| **byte == b'\n').count() >= self.1 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let room = tempfile::tempdir().unwrap();
    let database = room.path().join("bridge.db");
    let (store, _) = Store::open(&database, Keep::default()).unwrap();
    let pi: AgentId = "pi".parse().unwrap();
    let happened = |sequence: u64| {
        let event = Event { sequence, time: None, ..event("changed") };
        Row::Event { agent: pi.clone(), heard: 0, event: Box::new(event) }
    };
    let writes: Arc<[Row]> = Arc::new([Row::Agent(Box::new(AgentRow::example())), happened(1)]);
    store.commit(writes).await.unwrap();

    let following = {
        let (database, pi) = (database.clone(), pi.clone());
        thread::spawn(move || {
            let mut out = Reading(Vec::new(), 4);
            let error = show(&database, &pi, None, true, true, &mut out).unwrap_err();
            (String::from_utf8(out.0).unwrap(), error)
        })
    };
    for sequence in 2..=6 {
        let writes: Arc<[Row]> = Arc::new([happened(sequence)]);
        store.commit(writes).await.unwrap();
    }
    let (text, error) = following.join().unwrap();
    let sequences: Vec<u64> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, [1, 2, 3, 4]);
    assert!(super::super::is_closed(&error));
}
