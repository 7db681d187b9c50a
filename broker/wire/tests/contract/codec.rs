//! Reading what anybody may send: whole payloads come back as they were, all else is refused at a bounded price.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;

use ciborium::Value;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;
use radar_wire::codec::{ContentType, DecodeError, MAX_PACKED, Payload, decode, encode};
use radar_wire::command::{LogChunk, Outcome};
use radar_wire::container::{ContainerId, Health, Mount, Network, Port, Record, State};
use radar_wire::enroll::Enroll;
use radar_wire::event::{Action, Event};
use radar_wire::fields::Fields;
use radar_wire::resend::Resend;
use radar_wire::snapshot::Snapshot;
use radar_wire::stats::Stats;
use radar_wire::status::Status;

use crate::samples;

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).expect("memory takes all");
    packer.finish().expect("memory takes all")
}

fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("memory takes all");
    bytes
}

fn map(pairs: Vec<(&str, Value)>) -> Value {
    Value::Map(pairs.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn refusal<P: Payload + Debug>(content_type: Option<&str>, bytes: &[u8]) -> String {
    decode::<P>(content_type, bytes).expect_err("must be refused").to_string()
}

#[test]
fn a_large_snapshot_is_compressed_and_comes_back() {
    let snapshot = samples::large_snapshot();
    let encoded = encode(&snapshot).unwrap();
    assert_eq!(encoded.content_type, ContentType::CborZlib);
    assert!(encoded.bytes.len() < 2048, "{} bytes", encoded.bytes.len());
    assert_eq!(decode::<Snapshot>(Some("application/cbor+zlib"), &encoded.bytes).unwrap(), snapshot);
}

#[test]
fn cut_or_lengthened_payloads_are_refused() {
    let whole = encode(&samples::event()).unwrap().bytes;
    for cut in 0..whole.len() {
        assert!(decode::<Event>(None, &whole[..cut]).is_err(), "cut at {cut}");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert!(matches!(decode::<Event>(None, &longer), Err(DecodeError::Trailing(1))));
    let packed = encode(&samples::large_snapshot()).unwrap().bytes;
    for cut in 0..packed.len() {
        assert!(decode::<Snapshot>(Some("application/cbor+zlib"), &packed[..cut]).is_err(), "cut at {cut}");
    }
    let longer = [packed.as_slice(), &[0]].concat();
    assert!(matches!(decode::<Snapshot>(Some("application/cbor+zlib"), &longer), Err(DecodeError::Zlib)));
}

#[test]
fn limits_hold_before_the_work_is_done() {
    assert!(refusal::<Resend>(None, &[0; 1025]).contains("more than 1024 bytes"));
    assert!(refusal::<Snapshot>(Some("application/cbor+zlib"), &vec![0; MAX_PACKED + 1]).contains("more than"));
    let bomb = zlib(&vec![0; Snapshot::MAX + 1]);
    assert!(bomb.len() < 8192);
    assert!(refusal::<Snapshot>(Some("application/cbor+zlib"), &bomb).contains("more than"));
    let deep = [vec![0x81; 1000], vec![0]].concat();
    assert!(refusal::<Event>(None, &[&[0xa1, 0x61, b'x'][..], &deep].concat()).contains("nested deeper"));
    assert!(refusal::<Event>(Some("text/plain"), &[]).contains("content type"));
}

// E13
#[test]
fn unknown_fields_are_ignored_and_unknown_words_kept() {
    let Value::Map(mut pairs) = Value::serialized(&samples::event()).unwrap() else { panic!("a map") };
    pairs.push(("colour".into(), map(vec![("of", "the future".into())])));
    for (name, value) in &mut pairs {
        if name.as_text() == Some("action") {
            *value = "teleport".into();
        }
    }
    let bytes = cbor(&Value::Map(pairs));
    let event: Event = decode(None, &bytes).unwrap();
    assert_eq!(event.action, Action::Other("teleport".into()));
    assert_eq!(event, Event { action: Action::Other("teleport".into()), ..samples::event() });
    assert!(encode(&event).unwrap().bytes.windows(8).any(|text| text == b"teleport"));
}

#[test]
fn changed_fields_make_the_new_record_of_the_old() {
    let old = samples::record();
    let new =
        Record { state: State::Exited, exit_code: Some(137), health: None, labels: BTreeMap::new(), ..old.clone() };
    let fields = Fields::between(&old, &new);
    assert_eq!(fields.names().collect::<Vec<_>>(), ["exit_code", "health", "labels", "state"]);
    assert_eq!(fields.apply(old.id, Some(&old)).unwrap(), new);
    assert!(Fields::between(&old, &old).is_empty());
    assert_eq!(Fields::of(&old).apply(old.id, None).unwrap(), old);
    assert!(fields.apply(old.id, None).is_err(), "a name is missing");
}

fn text() -> impl Strategy<Value = Box<str>> {
    "[a-z0-9:/._-]{0,12}".prop_map(String::into_boxed_str)
}

prop_compose! {
    fn place()(ip in proptest::option::of(text()), name in text(), public in any::<Option<u16>>(), private in any::<u16>()) -> (Port, Network, Mount) {
        (
            Port { private, public, ip: ip.clone(), protocol: name.clone() },
            Network { name: name.clone(), ip: ip.clone() },
            Mount { target: name, source: ip, mode: "rw".into() },
        )
    }
}

prop_compose! {
    fn record()(
        bytes in any::<[u8; 32]>(),
        words in proptest::array::uniform4(text()),
        state in text(),
        health in proptest::option::of(text()),
        numbers in any::<(Option<i64>, Option<i64>, Option<i64>, u64)>(),
        places in proptest::collection::vec(place(), 0..3),
        labels in proptest::collection::btree_map(text(), text(), 0..3),
    ) -> Record {
        let [name, image, tag, more] = words;
        Record {
            id: ContainerId::new(bytes), name, image, tag,
            digest: health.clone(), image_id: Some(more.clone()),
            state: State::from(state.into_string()), health: health.map(|word| Health::from(word.into_string())),
            exit_code: numbers.0, created: numbers.1, started: numbers.2, finished: numbers.0, restarts: numbers.3,
            restart_policy: None,
            ports: places.iter().map(|all| all.0.clone()).collect(),
            networks: places.iter().map(|all| all.1.clone()).collect(),
            mounts: places.iter().map(|all| all.2.clone()).collect(),
            project: Some(more), service: None, labels,
        }
    }
}

fn survives<P: Payload>(bytes: &[u8]) {
    for content_type in [None, Some("application/cbor"), Some("application/cbor+zlib")] {
        if let Ok(payload) = decode::<P>(content_type, bytes) {
            drop(encode(&payload));
        }
    }
}

fn survive_all(bytes: &[u8]) {
    survives::<Status>(bytes);
    survives::<Snapshot>(bytes);
    survives::<Event>(bytes);
    survives::<Resend>(bytes);
    survives::<Enroll>(bytes);
    survives::<Outcome>(bytes);
    survives::<LogChunk>(bytes);
    survives::<Stats>(bytes);
}

proptest! {
    #[test]
    fn snapshots_come_back(containers in proptest::collection::vec(record(), 0..12)) {
        let snapshot = Snapshot { containers, ..samples::snapshot() };
        let encoded = encode(&snapshot).unwrap();
        prop_assert_eq!(decode::<Snapshot>(Some(encoded.content_type.as_str()), &encoded.bytes).unwrap(), snapshot);
    }

    #[test]
    fn changes_lead_from_any_record_to_any_other(old in record(), new in record()) {
        let new = Record { id: old.id, ..new };
        let event = Event { set: Fields::between(&old, &new), ..samples::event() };
        let event: Event = decode(None, &encode(&event).unwrap().bytes).unwrap();
        prop_assert_eq!(event.set.apply(old.id, Some(&old)).unwrap(), new);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        survive_all(&bytes);
        survive_all(&zlib(&bytes));
    }

    #[test]
    fn changed_bytes_never_panic(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for sample in [encode(&samples::snapshot()), encode(&samples::created()), encode(&samples::status())] {
            let mut bytes = sample.unwrap().bytes;
            let place = place.index(bytes.len());
            bytes[place] = byte;
            survive_all(&bytes);
        }
    }
}
