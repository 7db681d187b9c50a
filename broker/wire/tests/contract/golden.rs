//! The released form of every payload: these files never change, and new ones are only added.

use std::fmt::Debug;
use std::path::Path;

use ciborium::Value;
use radar_wire::codec::{ContentType, Payload, decode, encode};
use radar_wire::command::{LogChunk, Outcome};
use radar_wire::enroll::Enroll;
use radar_wire::event::Event;
use radar_wire::resend::Resend;
use radar_wire::snapshot::Snapshot;
use radar_wire::stats::Stats;
use radar_wire::status::Status;

use crate::samples;

fn check<P: Payload + PartialEq + Debug>(name: &str, sample: &P) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let released = std::fs::read(&path).unwrap_or_default();
    let written = encode(sample).expect("samples are small");
    let hex: String = written.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(written.content_type, ContentType::Cbor, "{name}: samples are small");
    assert_eq!(written.bytes, released, "{name} is written differently than released; in full: {hex}");
    assert_eq!(
        &decode::<P>(Some("application/cbor"), &released).expect("the released form is read"),
        sample,
        "{name} is read differently"
    );
}

// E13
#[test]
fn payloads_are_written_and_read_as_released() {
    check("status.cbor", &samples::status());
    check("will.cbor", &samples::will());
    check("guarded.cbor", &samples::guarded());
    check("snapshot.cbor", &samples::snapshot());
    check("event.cbor", &samples::event());
    check("created.cbor", &samples::created());
    check("gap.cbor", &samples::gap());
    check("resend.cbor", &samples::resend());
    check("enroll.cbor", &samples::enroll());
    check("outcome.cbor", &samples::outcome());
    check("log.cbor", &samples::log_chunk());
    check("stats.cbor", &samples::stats());
}

fn released(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    ciborium::from_reader(std::fs::read(path).expect("it is there").as_slice()).expect("CBOR")
}

fn bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("memory takes all");
    bytes
}

/// What a later version may add: fields of every shape, in every structure. What is a table of its writer's, and no
/// structure of the contract, stays as it is.
fn with_new_fields(value: &mut Value) -> usize {
    match value {
        Value::Map(pairs) => {
            let tables = ["labels", "set", "result"];
            let inner = pairs.iter_mut().filter(|(name, _)| !name.as_text().is_some_and(|name| tables.contains(&name)));
            let added: usize = inner.map(|(_, value)| with_new_fields(value)).sum();
            let deep = Value::Map(vec![("of".into(), Value::Array(vec![1.into(), Value::Null, Value::Float(0.5)]))]);
            pairs.insert(0, ("a_colour".into(), deep));
            pairs.push(("zeal".into(), Value::Bytes(vec![0; 100])));
            added + 1
        }
        Value::Array(items) => items.iter_mut().map(with_new_fields).sum(),
        _ => 0,
    }
}

/// What a later version may say: another word in place of each that is one of a list.
fn with_new_words(value: &mut Value) -> usize {
    let lists = ["reason", "action", "health", "kind", "stream", "end", "restart_policy", "protocol", "mode"];
    match value {
        Value::Map(pairs) => pairs
            .iter_mut()
            .map(|(name, value)| match (name.as_text(), &value) {
                (Some(name), Value::Text(_)) if lists.contains(&name) => {
                    *value = "teleported".into();
                    1
                }
                _ => with_new_words(value),
            })
            .sum(),
        Value::Array(items) => {
            let texts = items.iter().all(Value::is_text) && !items.is_empty();
            if texts {
                items.push("teleport".into());
            }
            usize::from(texts) + items.iter_mut().map(with_new_words).sum::<usize>()
        }
        _ => 0,
    }
}

fn check_later<P: Payload + PartialEq + Debug>(name: &str, sample: &P, words: usize) {
    let mut later = released(name);
    assert!(with_new_fields(&mut later) > 0, "{name}");
    let read: P = decode(Some("application/cbor"), &bytes(&later)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(&read, sample, "{name} is read differently when there is something new in it");
    assert_eq!(with_new_words(&mut later), words, "{name}");
    let read: P = decode(Some("application/cbor"), &bytes(&later)).unwrap_or_else(|error| panic!("{name}: {error}"));
    // Who passes it on passes on what it does not know.
    let passed_on = encode(&read).expect("samples are small").bytes;
    let kept = passed_on.windows(8).filter(|text| text == b"teleport").count();
    assert!(kept >= words, "{name}: {kept} of {words} words are kept");
}

// E13
#[test]
fn payloads_of_a_later_version_are_read_as_far_as_they_are_known() {
    check_later::<Status>("status.cbor", &samples::status(), 5);
    check_later::<Status>("will.cbor", &samples::will(), 1);
    check_later::<Snapshot>("snapshot.cbor", &samples::snapshot(), 5);
    check_later::<Event>("event.cbor", &samples::event(), 1);
    check_later::<Event>("created.cbor", &samples::created(), 5);
    check_later::<Event>("gap.cbor", &samples::gap(), 1);
    check_later::<Resend>("resend.cbor", &samples::resend(), 0);
    check_later::<Enroll>("enroll.cbor", &samples::enroll(), 0);
    check_later::<Outcome>("outcome.cbor", &samples::outcome(), 1);
    check_later::<LogChunk>("log.cbor", &samples::log_chunk(), 3);
    check_later::<Stats>("stats.cbor", &samples::stats(), 0);
}

/// Writes the files of payloads that have none yet.
#[test]
#[ignore = "only for a payload that is new"]
fn write_missing() {
    fn write<P: Payload>(name: &str, sample: &P) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        if !path.exists() {
            std::fs::write(path, encode(sample).unwrap().bytes).unwrap();
        }
    }
    write("status.cbor", &samples::status());
    write("will.cbor", &samples::will());
    write("guarded.cbor", &samples::guarded());
    write("snapshot.cbor", &samples::snapshot());
    write("event.cbor", &samples::event());
    write("created.cbor", &samples::created());
    write("gap.cbor", &samples::gap());
    write("resend.cbor", &samples::resend());
    write("enroll.cbor", &samples::enroll());
    write("outcome.cbor", &samples::outcome());
    write("log.cbor", &samples::log_chunk());
    write("stats.cbor", &samples::stats());
}
