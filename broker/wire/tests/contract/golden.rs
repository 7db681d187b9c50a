//! The released form of every payload: these files never change, and new ones are only added.

use std::fmt::Debug;
use std::path::Path;

use radar_wire::codec::{ContentType, Payload, decode, encode};

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
