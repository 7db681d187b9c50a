//! What storing costs, measured against SQLite alone. Run by hand.

use std::io::Write as _;

use radar_link::time::{Clock, Now};
use radar_wire::codec::encode;
use radar_wire::topic::Channel;

use super::*;
use crate::fleet::{Fleet, Limits};

const EVENTS: u64 = 60_000;
const BATCH: usize = 500;

/// Events as they come, in turns from all agents.
fn payloads(agents: u64) -> Vec<(AgentId, Vec<u8>)> {
    let set =
        Fields::between(&crate::fleet::tests::record("web", "running"), &crate::fleet::tests::record("web", "exited"));
    (0..EVENTS)
        .map(|number| {
            let time = Some(1_700_000_000_000_000_000 + i64::try_from(number).unwrap() * 1000);
            let event = Event { set: set.clone(), ..plain(1_700_000_000_000, number / agents + 1, "die", time) };
            (agent_id(&format!("agent-{}", number % agents)), encode(&event).unwrap().bytes)
        })
        .collect()
}

/// Seconds.
fn took(work: impl FnOnce()) -> f64 {
    let clock = Clock::start();
    work();
    clock.now().mono.as_secs_f64()
}

fn whole(payloads: &[(AgentId, Vec<u8>)]) -> f64 {
    let room = Room::new();
    let mut connection = schema::open(&room.path(), schema::MIGRATIONS).unwrap();
    let mut memory = Memory::read(&connection).unwrap();
    let mut fleet = Fleet::new(Limits::default());
    took(|| {
        for batch in payloads.chunks(BATCH) {
            for (agent, payload) in batch {
                fleet.handle_message(agent, &Channel::Event, None, payload, false, Now::default());
            }
            while fleet.next_effect().is_some() {}
            batch::commit(&mut connection, &mut memory, &fleet.take_writes()).unwrap();
        }
    })
}

/// The same rows into the same file without anything else: no index, no decoding, no duplicates.
fn raw(payloads: &[(AgentId, Vec<u8>)]) -> f64 {
    let room = Room::new();
    let mut connection = schema::open(&room.path(), schema::MIGRATIONS).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE raw (arrival INTEGER PRIMARY KEY, agent, epoch, seq, first, at, time, action, container, name,
             fields)",
        )
        .unwrap();
    took(|| {
        for batch in payloads.chunks(BATCH) {
            let transaction = connection.transaction().unwrap();
            for (_, payload) in batch {
                let insert = "INSERT INTO raw (agent, epoch, seq, at, time, action, container, name, fields)
                              VALUES (1, 1700000000000, 1, 1000, 1700000000000000000, 'die', ?1, 'web', ?2)";
                let row = rusqlite::params![&payload[..32], &payload[..30]];
                transaction.prepare_cached(insert).unwrap().execute(row).unwrap();
            }
            transaction.commit().unwrap();
        }
    })
}

#[test]
#[ignore = "measures; cargo test -p radar-bridge --lib -- --ignored --nocapture speed"]
fn events_per_second() {
    for agents in [1, 100, 10_000] {
        let payloads = payloads(agents);
        let (whole, raw) = (whole(&payloads), raw(&payloads));
        let rate = |seconds: f64| EVENTS as f64 / seconds;
        writeln!(
            std::io::stderr(),
            "{agents} agents: {:.0} events/s decoded, deduplicated and stored; {:.0} bare rows/s; ratio {:.2}",
            rate(whole),
            rate(raw),
            raw / whole
        )
        .unwrap();
    }
}
