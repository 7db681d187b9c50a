//! What hostile payloads cost in memory. Alone in its program, because the whole program's heap is measured.

use std::io::Write;

use ciborium::Value;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use peak_alloc::PeakAlloc;
use radar_wire::codec::{Payload, decode};
use radar_wire::event::Event;
use radar_wire::snapshot::Snapshot;
use radar_wire::status::Status;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Serde's own limit for what it sets aside on the word of a length.
const ASIDE: usize = 1024 * 1024 + 16 * 1024;

fn cost<P: Payload>(content_type: Option<&str>, bytes: &[u8]) -> usize {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let _ = decode::<P>(content_type, bytes);
    HEAP.peak_usage() - before
}

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

/// The bound that the codec states: a length that is only claimed costs `ASIDE`, all else 64 bytes for each byte allowed.
#[test]
fn hostile_payloads_cost_no_more_than_their_limit_allows() {
    let packed = Some("application/cbor+zlib");
    for claim in [0x9b, 0x7b, 0x5b] {
        let bytes = [&[0xa1, 0x63][..], b"can", &[claim, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]].concat();
        assert!(cost::<Status>(None, &bytes) < ASIDE);
    }

    let numbers = Value::Array(vec![0.into(); 60_000]);
    let event = cbor(&map(vec![("set", map(vec![("a", numbers)]))]));
    assert!(event.len() < Event::MAX);
    let price = cost::<Event>(None, &event);
    assert!(price > Event::MAX && price < 64 * Event::MAX, "{price}");

    let labels = (0..300_000).map(|n| (Value::from(format!("{n:x}")), Value::from(""))).collect();
    let hostile = cbor(&map(vec![("containers", Value::Array(vec![map(vec![("labels", Value::Map(labels))])]))]));
    assert!(hostile.len() < Snapshot::MAX);
    let price = cost::<Snapshot>(packed, &zlib(&hostile));
    assert!(price > Snapshot::MAX && price < 64 * Snapshot::MAX, "{price}");

    let bomb = zlib(&vec![0; 100 << 20]);
    assert!(cost::<Snapshot>(packed, &bomb) < 3 * Snapshot::MAX + ASIDE);
}
