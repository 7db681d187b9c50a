//! How a life begins after another.

use radar_wire::event::{Action, Event};
use radar_wire::fields::Fields;
use radar_wire::snapshot::Snapshot;

use super::check;
use super::world::{START, World, config, id, record};
use crate::agent::Config;
use crate::agent::opening::{Cursor, Kept};
use crate::agent::outbox::Entry;
use crate::agent::spool::Spool;

const BORN: [&str; 2] = ["say: connected to the broker, session 5", "status Online start 5"];

fn snapshot(epoch: u64, sequence: u64, time: i64, names: &[&str]) -> Snapshot {
    let containers = names.iter().map(|name| record(name, "running")).collect();
    Snapshot { epoch, sequence, time: Some(time), at: 0, complete: true, engine: None, host: None, containers }
}

fn entry(epoch: u64, sequence: u64, time: i64, action: Action, name: &str) -> Entry {
    let set = match action {
        Action::Create => Fields::of(&record(name, "created")),
        _ => Fields::default(),
    };
    let (time, id, name) = (Some(time), Some(id(name)), Some(name.into()));
    Entry::new(&Event { epoch, sequence, first: None, at: 0, time, action, id, name, set }).unwrap()
}

fn spool(entries: Vec<Entry>) -> Spool {
    Spool { entries, dropped: 0 }
}

fn memory() -> Config {
    Config { on_disk: false, ..config() }
}

// E1
#[test]
fn after_a_clean_stop_the_epoch_goes_on() {
    let kept = Kept { stopped: Some(snapshot(70, 4, 9, &["web"])), ..Kept::default() };
    let mut world = World::new(memory(), kept);
    check(&mut world, "connected 5", &BORN);
    world.retained(&snapshot(70, 3, 8, &["web"]));
    let opened = [
        "say: going on where the last run stopped, epoch 70 after event 4",
        "start engine since Some(9)",
        "unsubscribe snapshot",
    ];
    check(&mut world, "echo", &opened);
    world.run("has web running\n engine up\n acks");
    check(&mut world, "event kill web", &["event 70:5 kill web"]);
}

// E1
#[test]
fn after_a_crash_a_new_epoch_begins_with_the_retained_snapshot() {
    let mut world = World::new(memory(), Kept::default());
    world.run("connected 5");
    world.retained(&snapshot(70, 3, 8, &["db", "web"]));
    let opened = [
        "say: the last run ended without a stop; epoch 1700000000000 begins with the 2 containers of its snapshot",
        "start engine since Some(8)",
        "unsubscribe snapshot",
    ];
    check(&mut world, "echo", &opened);
    world.run("has web running\n engine up\n acks");
    check(&mut world, "+3000", &["event 1 gone db", "snapshot 1 whole [web]"]);
}

// E1
#[test]
fn the_latest_cursor_counts_and_the_epoch_is_above_all_known() {
    let future = u64::try_from(START).unwrap() + 1000;
    let cursor = Some(Cursor { epoch: 60, time: Some(20), read: Some(15) });
    let entries = vec![entry(future, 1, 30, Action::Kill, "web"), entry(future, 2, 25, Action::Kill, "web")];
    let mut world = World::new(memory(), Kept { spool: spool(entries), cursor, ..Kept::default() });
    world.run("connected 5");
    world.retained(&snapshot(70, 3, 8, &["web"]));
    let said = world.run("echo");
    assert!(said[0].contains(&format!("epoch {} begins", future + 1)), "{said:?}");
    assert_eq!(said[1], "start engine since Some(30), having read Some(15)");
}

// E1
#[test]
fn events_of_the_outbox_that_the_retained_snapshot_lacks_are_known() {
    let entries = vec![
        entry(70, 3, 7, Action::Destroy, "db"),
        entry(70, 4, 8, Action::Destroy, "web"),
        entry(70, 5, 9, Action::Create, "new"),
    ];
    let mut world = World::new(memory(), Kept { spool: spool(entries), ..Kept::default() });
    world.run("connected 5");
    world.retained(&snapshot(70, 3, 8, &["db", "web"]));
    world.run("echo\n has db running\n has new created\n engine up\n acks");
    // Nothing is found or gone: the engine has just what is known.
    check(&mut world, "acks\n +20000", &[]);
}

// E1
#[test]
fn what_waits_on_disk_goes_out_before_anything_else_with_its_own_numbers() {
    let entries = vec![entry(70, 4, 8, Action::Kill, "web"), entry(70, 5, 9, Action::Oom, "web")];
    let mut world = World::new(memory(), Kept { spool: spool(entries), ..Kept::default() });
    let out = [BORN[0], BORN[1], "event 70:4 kill web", "event 70:5 oom web"];
    check(&mut world, "connected 5", &out);
}

// E1
#[test]
fn a_data_directory_put_back_from_a_copy_does_not_give_its_numbers_out_again() {
    for retained in [snapshot(70, 5, 9, &["web"]), snapshot(71, 1, 9, &["web"])] {
        let kept = Kept { stopped: Some(snapshot(70, 4, 9, &["web"])), ..Kept::default() };
        let mut world = World::new(memory(), kept);
        world.run("connected 5");
        world.retained(&retained);
        let said = world.run("echo");
        assert!(said[0].contains("epoch 1700000000000 begins"), "{said:?}");
    }
}

// E1
#[test]
fn without_a_broker_it_begins_after_two_seconds() {
    let cursor = Some(Cursor { epoch: 60, time: Some(20), read: None });
    let mut world = World::new(memory(), Kept { cursor, ..Kept::default() });
    check(&mut world, "+1999", &[]);
    check(&mut world, "+1", &["say: epoch 1700000002000 begins", "start engine since Some(20)"]);
    world.run("connected 5\n echo");
    world.retained(&snapshot(70, 3, 8, &["db", "web"]));
    check(&mut world, "", &[]);
}

// E8
#[test]
fn an_account_that_cannot_read_its_own_topics_is_told() {
    let mut world = World::new(memory(), Kept::default());
    world.run("connected 5\n ack");
    let said = [
        "say: the broker takes this agent's status and does not give it back: allow the account to read its status, snapshot and resend topics",
        "say: epoch 1700000002000 begins",
        "start engine since None",
        "unsubscribe snapshot",
    ];
    check(&mut world, "+2000", &said);
}

// E1
#[test]
fn a_retained_snapshot_that_is_garbage_or_of_no_known_list_is_not_believed() {
    let mut world = World::new(memory(), Kept::default());
    world.run("connected 5\n garbage snapshot");
    check(&mut world, "echo", &["say: epoch 1700000000000 begins", "start engine since None", "unsubscribe snapshot"]);

    let mut world = World::new(memory(), Kept::default());
    world.run("connected 5");
    world.retained(&Snapshot { complete: false, ..snapshot(70, 3, 8, &[]) });
    check(
        &mut world,
        "echo",
        &["say: epoch 1700000000000 begins", "start engine since Some(8)", "unsubscribe snapshot"],
    );

    let mut world = World::new(memory(), Kept::default());
    world.run("connected 5");
    world.retained(&snapshot(u64::MAX, 3, 8, &[]));
    check(&mut world, "echo", &["say: epoch 1700000000000 begins", "start engine since None", "unsubscribe snapshot"]);
}

// E1
#[test]
fn a_torn_file_is_said() {
    let entries = vec![entry(70, 4, 8, Action::Kill, "web")];
    let mut world = World::new(memory(), Kept { spool: Spool { entries, dropped: 17 }, ..Kept::default() });
    let torn = "say: the outbox file was not whole: 1 events are kept, 17 bytes at its end are dropped";
    check(&mut world, "", &[torn]);
}
