//! Logs among everything else that an agent publishes.

use super::check;
use super::commanded::{NOTED, commanded};
use super::world::World;

/// An agent that tells the log of `web` as act 1, and the broker has all that it has said.
fn telling() -> World {
    let mut world = commanded();
    world.run("logs 01-1 web\n acks\n +100");
    world
}

// DM5, PS4
#[test]
fn a_log_is_told_chunk_by_chunk_and_ends_in_an_outcome() {
    let mut world = commanded();
    let accepted = ["say: command of me: logs web accepted", NOTED, "act 1", "outcome 01-1 accepted"];
    check(&mut world, "logs 01-1 web", &accepted);
    check(&mut world, "ack\n told 1 a", &["log/01-1 0 a"]);
    check(&mut world, "ack", &["more 1"]);
    check(&mut world, "acted 1", &["log/01-1 1, end"]);
    check(&mut world, "ack", &[NOTED, "outcome 01-1 succeeded"]);
    check(&mut world, "ack", &[NOTED]);
}

// PS4, E1
#[test]
fn what_happens_on_the_host_goes_before_logs() {
    let mut world = telling();
    world.run("away gone\n connected 6 2\n acks\n acks\n logs 01-2 web\n logs 01-3 web\n acks\n acks\n acks");
    world.run("event kill web\n event oom web");
    check(&mut world, "told 2 a\n told 3 b\n event die web", &[]);
    check(&mut world, "ack", &["event 3 die web"]);
    check(&mut world, "ack", &["log/01-2 0 a"]);
    check(&mut world, "ack\n ack", &["log/01-3 0 b", "more 2"]);
    // And one that is not heard makes no event wait.
    check(&mut world, "nobody", &["cancel 3", NOTED, "outcome 01-3 succeeded ended: nobody listens any more"]);
    check(&mut world, "event start web", &["event 4 start web"]);
}

// PS4
#[test]
fn a_stream_that_nobody_hears_ends_at_its_next_sign_of_life() {
    let mut world = telling();
    check(&mut world, "+19899", &[]);
    check(&mut world, "+1", &["log/01-1 0"]);
    check(&mut world, "ack", &[]);
    check(&mut world, "+20000", &["log/01-1 1"]);
    check(&mut world, "nobody", &["cancel 1", NOTED, "outcome 01-1 succeeded ended: nobody listens any more"]);
    check(&mut world, "ack\n +10000", &[NOTED]);
}

// PS4, E1
#[test]
fn a_lost_link_ends_a_log_and_what_came_of_it_is_told_later() {
    let mut world = telling();
    world.run("told 1 a");
    check(&mut world, "away gone", &["say: no connection to the broker, events are kept: gone", "cancel 1", NOTED]);
    check(&mut world, "told 1 b\n acted 1", &[]);
    let said = world.run("connected 6\n acks\n acks");
    let interrupted = "outcome 01-1 failed interrupted: the link to the broker was lost";
    assert!(said.contains(&interrupted.to_owned()), "{said:?}");
    assert!(said.iter().all(|said| !said.starts_with("log/")), "{said:?}");
}

// PS4
#[test]
fn what_the_broker_refuses_ends_the_log_and_says_what_to_do() {
    let mut world = telling();
    world.run("told 1 a");
    let refused = "outcome 01-1 failed refused: not authorized; this agent's account must be allowed to publish on its topics log/#";
    check(&mut world, "refuse", &["cancel 1", NOTED, refused]);
    assert_eq!(world.run("event kill web")[0], "event 1 kill web");
}

// PS4
#[test]
fn a_stop_ends_logs_before_the_goodbye() {
    let mut world = telling();
    world.run("told 1 a");
    check(&mut world, "stop", &["say: stopping", "cancel 1"]);
    check(&mut world, "ack", &["log/01-1 1, stopped"]);
    check(&mut world, "ack", &[NOTED, "outcome 01-1 failed interrupted: the agent was stopped"]);
    let said = world.run("ack");
    assert!(said.contains(&"status Offline stop 5, engine answers".to_owned()), "{said:?}");
    // A broker that takes nothing does not keep it from ending.
    let mut world = telling();
    world.run("told 1 a\n stop");
    let said = world.run("+5000");
    assert!(said.contains(&"stopped, unsaid".to_owned()), "{said:?}");
}

// E11
#[test]
fn a_sign_of_life_that_finds_no_room_waits_without_a_spin() {
    let mut world = telling();
    world.run("away gone\n connected 6 2\n acks\n acks\n logs 01-2 web\n acks\n acks\n acks");
    world.run("event kill web\n event oom web");
    // The broker answers nothing, and the window is full when the sign of life is due.
    check(&mut world, "+21000", &[]);
    assert!(world.rest().is_none_or(|rest| !rest.is_zero()));
    check(&mut world, "ack", &["log/01-2 0"]);
}
