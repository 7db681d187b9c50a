//! What the broker remembers of the agent, and what the agent does about it.

use super::world::config;
use super::{check, settled};

const REASSERTED: [&str; 2] =
    ["status Online reassert 5, engine answers", "say: the broker held another status of this agent: it is put right"];

// E2, DM3
#[test]
fn a_late_will_or_a_cleared_status_is_put_right() {
    for line in
        ["offline 4", "offline 5", "online 4 own", "cleared status", "garbage status", "offline 9007199254740992"]
    {
        let mut world = settled(config());
        check(&mut world, line, &REASSERTED);
        check(&mut world, "echo", &[]);
    }
}

// E2
#[test]
fn it_is_put_right_no_more_than_every_five_seconds() {
    let mut world = settled(config());
    check(&mut world, "offline 4", &REASSERTED);
    check(&mut world, "ack\n offline 4\n offline 4\n +4999", &[]);
    check(&mut world, "+1\n ack", &REASSERTED);
    check(&mut world, "+60000", &[]);
}

// E2
#[test]
fn what_was_retained_before_the_birth_needs_nothing() {
    let mut world = settled(config());
    world.run("away gone\n connected 6");
    check(&mut world, "offline 5\n online 5 own", &[]);
    check(&mut world, "echo\n acks\n +60000", &[]);
}

// E2
#[test]
fn an_own_life_with_a_better_clock_is_outnumbered() {
    let mut world = settled(config());
    let raised =
        ["say: the broker knows a later session of this agent, 90: connecting with a greater number", "raise above 90"];
    check(&mut world, "online 90 own", &raised);
    // Once in ten seconds, above the greatest that was seen.
    check(&mut world, "online 95 own\n offline 92\n +9999", &[]);
    let again =
        ["say: the broker knows a later session of this agent, 95: connecting with a greater number", "raise above 95"];
    check(&mut world, "+1", &again);
}

// DM2
#[test]
fn another_machine_with_this_id_is_reported_and_not_fought() {
    let mut world = settled(config());
    world.run("online 90 clone");
    world.run("away gone\n connected 91\n echo\n acks");
    let rival = "say: another agent, on host other, uses the id pi: give one of them another AGENT_ID (a cloned card: remove its DATA_DIR)";
    check(&mut world, "online 92 clone", &[rival, "status Online update 91, engine answers, warned"]);
    check(&mut world, "acks\n online 93 clone\n +240000", &[]);
    let said = world.run("+60000");
    assert_eq!(said[1], "raise above 93", "{said:?}");
}
