//! The outbox as a file: a CBOR sequence (RFC 8742), one map per entry, that can be appended to.
//! Reading takes what is whole and stops at the first thing that is not: a torn tail, zeros after a power
//! cut, somebody else's bytes. Only the form is here; who writes when is [`super::keeping`].

use std::fmt;

use bytes::Bytes;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::outbox::{Entry, Standing};

/// What a file held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Spool {
    /// Its entries, by name.
    pub entries: Vec<Entry>,
    /// How many bytes at its end were not entries.
    pub dropped: usize,
}

#[derive(Serialize, Deserialize)]
struct Item {
    /// The event as it is published.
    #[serde(rename = "e")]
    event: Raw,
    /// It was sent once.
    #[serde(rename = "t", default, skip_serializing_if = "is_false")]
    tried: bool,
    /// The broker has it.
    #[serde(rename = "a", default, skip_serializing_if = "is_false")]
    acknowledged: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field by reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Appends an entry to the bytes of a file.
pub fn write(entry: &Entry, file: &mut Vec<u8>) {
    let acknowledged = entry.standing == Standing::Acknowledged;
    let item = Item { event: Raw(entry.bytes()), tried: entry.tried, acknowledged };
    let start = file.len();
    if ciborium::into_writer(&item, &mut *file).is_err() {
        // Writing to memory does not fail; half an item would hide all that follow.
        file.truncate(start);
    }
}

/// Reads a file, whatever is in it.
#[must_use]
pub fn read(file: &[u8]) -> Spool {
    let mut spool = Spool::default();
    let mut rest = file;
    while !rest.is_empty() {
        let mut after = rest;
        let Some(entry) = read_one(&mut after) else { break };
        if spool.entries.last().is_some_and(|last| last.name() >= entry.name()) {
            break;
        }
        spool.entries.push(entry);
        rest = after;
    }
    spool.dropped = rest.len();
    spool
}

fn read_one(rest: &mut &[u8]) -> Option<Entry> {
    let item: Item = ciborium::de::from_reader_with_recursion_limit(rest, 8).ok()?;
    let entry = Entry::decode(item.event.0)?;
    let standing = if item.acknowledged { Standing::Acknowledged } else { Standing::Waiting };
    Some(Entry { tried: item.tried, standing, ..entry })
}

/// Bytes as a CBOR byte string.
struct Raw(Bytes);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Buffer;
        impl Visitor<'_> for Buffer {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Raw, E> {
                Ok(Raw(Bytes::from(bytes)))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Raw, E> {
                Ok(Raw(Bytes::copy_from_slice(bytes)))
            }
        }
        deserializer.deserialize_byte_buf(Buffer)
    }
}

/// What is written to the disk, as one CBOR value.
pub(super) fn cbor(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What we write has a CBOR form in every part, and a vector takes all bytes.
    let _ = ciborium::into_writer(value, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use radar_wire::event::{Action, Event};
    use radar_wire::fields::Fields;

    use super::*;
    use crate::agent::outbox::Entry;

    fn event(epoch: u64, sequence: u64) -> Entry {
        let event = Event {
            epoch,
            sequence,
            first: None,
            at: 1_700_000_000_000,
            time: Some(1_700_000_000_000_000_000),
            action: Action::Start,
            id: None,
            name: Some("web".into()),
            set: Fields::default(),
        };
        Entry::new(&event).unwrap()
    }

    fn file(entries: &[Entry]) -> Vec<u8> {
        let mut file = Vec::new();
        entries.iter().for_each(|entry| write(entry, &mut file));
        file
    }

    fn sample() -> Vec<Entry> {
        let acknowledged = Entry { standing: Standing::Acknowledged, tried: true, ..event(7, 1) };
        vec![acknowledged, Entry { tried: true, ..event(7, 2) }, Entry::gap(7, 3, 9, 5), event(8, 1)]
    }

    // E1
    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read(&file(&sample())), Spool { entries: sample(), dropped: 0 });
        assert_eq!(read(&[]), Spool::default());
    }

    // E1
    #[test]
    fn a_tail_torn_at_any_byte_costs_the_torn_entry_only() {
        let whole = file(&sample());
        let ends: Vec<usize> = (0..=sample().len()).map(|count| file(&sample()[..count]).len()).collect();
        for cut in 0..whole.len() {
            let kept = ends.iter().rposition(|end| *end <= cut).unwrap();
            let expected = Spool { entries: sample()[..kept].to_vec(), dropped: cut - ends[kept] };
            assert_eq!(read(&whole[..cut]), expected, "cut at {cut}");
        }
    }

    // E1
    #[test]
    fn garbage_behind_the_entries_is_dropped_and_counted() {
        for garbage in [
            &[0; 512][..],
            &[0xff; 64],
            b"hello",
            &[0xa1, 0x61, 0x65, 0x40],
            &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255],
        ] {
            let mut bytes = file(&sample());
            bytes.extend_from_slice(garbage);
            assert_eq!(read(&bytes), Spool { entries: sample(), dropped: garbage.len() });
        }
    }

    #[test]
    fn entries_out_of_order_end_the_reading() {
        let mut bytes = file(&sample());
        let more = file(&[event(8, 1)]);
        bytes.extend_from_slice(&more);
        assert_eq!(read(&bytes), Spool { entries: sample(), dropped: more.len() });
    }
}
