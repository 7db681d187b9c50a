//! Commands among everything else that an agent does.

use std::time::Duration;

use radar_link::jws::SigningKey;

use super::check;
use super::world::{World, config};
use crate::agent::Config;
use crate::agent::commands::Rules;
use crate::agent::opening::Kept;

pub(super) const NOTED: &str = "commands noted";
const ACCEPTED: &str = "say: command of me: restart web accepted";

/// A connected agent with the container `web`, which may be restarted.
pub(super) fn commanded() -> World {
    let key = SigningKey::generate().unwrap();
    let rules = Rules { keys: vec![key.public()], policy: "operate,logs".parse().unwrap(), ..Rules::default() };
    let mut world = World::new(Config { on_disk: true, rules, ..config() }, Kept::default());
    world.run("connected 5\n echo\n has web running\n engine up\n acks\n acks\n acks\n acks");
    world.key = Some(key);
    world
}

// E5
#[test]
fn a_command_is_noted_done_and_told() {
    let mut world = commanded();
    check(&mut world, "command 01-1 web", &[ACCEPTED, NOTED, "act 1", "outcome 01-1 accepted"]);
    check(&mut world, "ack", &[]);
    check(&mut world, "acted 1", &[NOTED, "outcome 01-1 succeeded"]);
    check(&mut world, "ack", &[NOTED]);
}

// E5, E1
#[test]
fn an_outcome_waits_for_the_broker_and_for_a_bridge() {
    let mut world = commanded();
    world.run("command 01-1 web\n ack");
    world.run("away gone");
    check(&mut world, "acted 1", &[NOTED]);
    let said = world.run("connected 6");
    assert!(said.contains(&"outcome 01-1 succeeded".to_owned()), "{said:?}");
    world.run("acks\n acks");
    world.run("command 01-2 web");
    check(&mut world, "nobody", &[]);
    check(&mut world, "+1999", &[]);
    check(&mut world, "+1", &["outcome 01-2 accepted"]);
}

// E5
#[test]
fn a_command_that_comes_first_waits_for_the_containers() {
    let mut world = commanded();
    let key = world.key.take();
    let rules =
        Rules { keys: vec![key.as_ref().unwrap().public()], policy: "operate".parse().unwrap(), ..Rules::default() };
    let mut world = World::new(Config { on_disk: true, rules, ..config() }, Kept::default());
    world.key = key;
    world.run("connected 5\n command 01-1 web\n echo\n command 01-2 web");
    let said = world.run("has web running\n engine up\n acks\n acks");
    assert!(said.contains(&"outcome 01-1 accepted".to_owned()), "{said:?}");
    assert!(said.contains(&"outcome 01-2 accepted".to_owned()), "{said:?}");
}

// E5
#[test]
fn a_stop_waits_for_a_command_that_ends_soon() {
    let mut world = commanded();
    world.run("command 01-1 web\n acks");
    check(&mut world, "stop", &["say: stopping"]);
    check(&mut world, "command 01-2 web", &[]);
    check(&mut world, "acted 1", &[NOTED, "outcome 01-1 succeeded"]);
    let said = world.run("ack");
    assert!(said.contains(&"status Offline stop 5, engine answers".to_owned()), "{said:?}");
}

// DM8
#[test]
fn samples_that_the_operator_wants_are_taken_while_there_is_a_broker() {
    let mut world = World::new(Config { stats_interval: Some(Duration::from_secs(5)), ..config() }, Kept::default());
    world
        .run("connected 5\n echo\n has web running\n has db exited\n has cron paused\n engine up\n acks\n acks\n acks");
    check(&mut world, "+5000", &["sample 2 of 2"]);
    check(&mut world, "sampled 2 web", &["stats of 1"]);
    check(&mut world, "+4999", &[]);
    check(&mut world, "+1", &["sample 3 of 2"]);
    world.run("away gone");
    check(&mut world, "sampled 3 web\n +60000", &[]);
    let said = world.run("connected 6");
    assert!(said.contains(&"sample 4 of 2".to_owned()), "{said:?}");
}
