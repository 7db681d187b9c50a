//! The broker away, and the disk.

use super::world::{World, config};
use super::{check, settled};
use crate::agent::Config;
use crate::agent::opening::Kept;

const AWAY: &str = "say: no connection to the broker, events are kept: gone";

fn on_disk() -> Config {
    Config { on_disk: true, ..config() }
}

// E1
#[test]
fn while_the_broker_is_away_events_go_to_disk_and_then_out_in_order() {
    let mut world = settled(on_disk());
    check(&mut world, "event kill web\n acks", &["event 1 kill web", "cursor 1700000000000"]);
    check(&mut world, "away gone\n away gone", &[AWAY]);
    check(&mut world, "event oom web", &["append 1"]);
    check(&mut world, "event kill db", &["append 1"]);
    let again = [
        "say: connected to the broker again, session 6",
        "status Online start 6, engine answers",
        "event 2 oom web",
        "event 3 kill db",
        "snapshot 3 whole [db web]",
    ];
    check(&mut world, "connected 6", &again);
    check(&mut world, "ack\n ack", &[]);
    check(&mut world, "ack", &["remove"]);
    check(&mut world, "ack\n event kill web\n ack", &["event 4 kill web"]);
}

// E1
#[test]
fn what_was_under_way_goes_to_disk_and_out_again() {
    let mut world = settled(on_disk());
    world.run("event kill web\n event oom web\n ack");
    check(&mut world, "away gone", &[AWAY, "append 1"]);
    world.run("connected 6");
    check(&mut world, "away gone", &[AWAY, "replace 1"]);
    let said = world.run("connected 7\n acks");
    assert!(said.contains(&"event 2 oom web".to_owned()) && said.contains(&"remove".to_owned()), "{said:?}");
    assert!(!said.contains(&"event 1 kill web".to_owned()), "{said:?}");
}

// E11
#[test]
fn while_the_broker_is_there_only_the_rare_cursor_is_written() {
    let mut world = settled(on_disk());
    let mut written = Vec::new();
    for _ in 0..25 {
        written.extend(world.run("event kill web\n acks\n +60000\n acks"));
    }
    written.retain(|said| !said.starts_with("event") && !said.starts_with("snapshot"));
    assert_eq!(written, ["cursor 1700000000000"; 3]);
}

// E1
#[test]
fn over_the_bound_a_gap_takes_the_place_of_the_oldest() {
    let mut world = settled(config());
    world.run("away gone");
    let said = world.run(&"event kill web\n".repeat(14));
    let full = "say: more events wait for the broker than AGENT_OUTBOX_EVENTS and AGENT_OUTBOX_BYTES allow: the oldest go, and a gap says how many";
    assert_eq!(said, [full]);
    let out = world.run("connected 6");
    assert_eq!(out[2..5], ["event 1..=5 gap", "event 6 kill web", "event 7 kill web"]);
    assert_eq!(out[11..], ["event 14 kill web", "snapshot 14 whole [db web]"]);
}

// E1
#[test]
fn a_full_disk_is_said_once_and_tried_again_with_all_that_waits() {
    let mut world = settled(on_disk());
    world.run("event kill web\n acks");
    let failed = "say: events stay in memory, since DATA_DIR cannot be written: no space; make room or mend it, it is tried again every minute";
    check(&mut world, "disk full\n away gone\n event kill web", &[AWAY, "append 1", failed]);
    check(&mut world, "event kill db\n +59999", &[]);
    check(&mut world, "+1", &["replace 2"]);
    check(&mut world, "disk empty\n +60000", &["replace 2", "say: DATA_DIR can be written again"]);
    check(&mut world, "event kill web", &["append 1"]);
}

// E1
#[test]
fn a_clean_stop_keeps_the_state_and_what_waits() {
    let mut world = settled(on_disk());
    world.run("event kill web\n acks\n away gone\n event oom web");
    check(&mut world, "stop", &["say: stopping", "finish 2 events, 1700000000000 2", "stopped"]);

    let mut world = World::new(on_disk(), Kept::default());
    world.run("");
    check(&mut world, "stop", &["say: stopping", "finish 0 events, nothing", "stopped"]);
}

// DM7, E1
#[test]
fn what_happens_during_a_stop_is_told_or_kept() {
    let mut world = settled(on_disk());
    world.run("event kill web\n stop");
    check(&mut world, "event oom web", &["event 2 oom web"]);
    check(&mut world, "ack\n ack", &["status Offline stop 5, engine answers"]);
    check(&mut world, "event kill db", &[]);
    check(&mut world, "ack", &["finish 3 events, 1700000000000 3", "stopped"]);
}
