//! Scripts: what comes in, line by line (`+100` is 100 ms), and what the agent does.

mod commanded;
mod logged;
mod opening;
mod outages;
mod presence;
pub(crate) mod world;

use world::{World, config, with_token};

use super::opening::Kept;

fn check(world: &mut World, lines: &str, expected: &[&str]) {
    let said = world.run(lines);
    assert_eq!(said, expected, "after\n{lines}");
}

/// An agent with the containers `db` and `web`, connected with session 5, its first snapshot taken.
fn settled(config: super::Config) -> World {
    let mut world = World::new(config, Kept::default());
    world.run("connected 5\n echo\n has db running\n has web running\n engine up\n acks\n acks\n acks");
    world
}

// DM3, E2
#[test]
fn a_start_is_a_birth_then_the_engine_then_a_snapshot() {
    let mut world = World::new(config(), Kept::default());
    let born = ["say: connected to the broker, session 5", "status Online start 5"];
    check(&mut world, "has web running\n connected 5", &born);
    let opened = ["say: epoch 1700000000000 begins", "start engine since None", "unsubscribe snapshot"];
    check(&mut world, "echo", &opened);
    let up = ["say: the engine answers: docker 20", "status Online update 5, engine answers", "snapshot 0 whole [web]"];
    check(&mut world, "engine up", &up);
    check(&mut world, "acks\n +600000", &[]);
}

// E11
#[test]
fn its_own_snapshot_is_read_once_and_not_echoed() {
    let mut world = World::new(config(), Kept::default());
    let said = world.run("connected 5\n ack\n subscribed status\n subscribed snapshot");
    assert!(!said.contains(&"unsubscribe snapshot".to_owned()), "{said:?}");
    assert!(world.run("echo").contains(&"unsubscribe snapshot".to_owned()));
    world.run("engine up\n acks\n away gone\n connected 6");
    check(&mut world, "subscribed status\n subscribed snapshot\n subscribed resend", &["unsubscribe snapshot"]);
}

// DM7, E11
#[test]
fn events_go_out_at_once_and_one_snapshot_tells_all_of_a_burst() {
    let mut world = settled(config());
    check(&mut world, "has web exited\n event die web", &["event 1 die web"]);
    check(&mut world, "+1000\n has web running\n event start web", &["event 2 start web"]);
    check(&mut world, "acks\n +28999", &[]);
    check(&mut world, "+1\n acks", &["snapshot 2 whole [db web]"]);
    check(&mut world, "+600000", &[]);
}

// DM7
#[test]
fn no_more_is_under_way_than_the_window_allows_and_the_snapshot_is_behind_the_events() {
    let mut world = settled(config());
    world.run("away gone");
    world.run("event kill web\n event oom web\n event kill db");
    let two =
        ["say: connected to the broker again, session 6", "status Online start 6, engine answers", "event 1 kill web"];
    check(&mut world, "connected 6 2", &two);
    check(&mut world, "ack", &["event 2 oom web"]);
    check(&mut world, "ack", &["event 3 kill db"]);
    check(&mut world, "ack", &["snapshot 3 whole [db web]"]);
}

// E4
#[test]
fn an_engine_that_goes_is_told_and_never_an_empty_list() {
    let mut world = settled(config());
    let lost =
        ["say: the engine does not answer: no socket", "status Online update 5, engine away", "event 1 engine_lost"];
    check(&mut world, "engine down", &lost);
    check(&mut world, "acks\n +30000", &["snapshot 1 partial [db web]"]);
    let back = ["say: the engine answers: docker 20", "status Online update 5, engine answers", "event 2 engine_back"];
    check(&mut world, "acks\n engine up", &back);
    check(&mut world, "acks\n +30000", &["snapshot 2 whole [db web]"]);
}

// E4
#[test]
fn an_engine_that_was_never_there_is_told_as_such() {
    let mut world = World::new(config(), Kept::default());
    world.run("connected 5\n echo\n ack");
    let said = world.run("engine down\n acks");
    assert!(said.contains(&"status Online update 5, engine away".to_owned()), "{said:?}");
    assert!(said.contains(&"snapshot 1 partial []".to_owned()), "{said:?}");
}

// E3
#[test]
fn a_snapshot_that_an_operator_cleared_comes_with_the_next_change() {
    let mut world = settled(config());
    check(&mut world, "cleared snapshot\n +600000", &[]);
    check(&mut world, "event kill web\n ack\n +30000", &["event 1 kill web", "snapshot 1 whole [db web]"]);
}

// E11
#[test]
fn a_snapshot_that_the_broker_does_not_take_is_said_once_and_never_cut() {
    let mut world = settled(config());
    let said = [
        "event 1 kill web",
        "too large: snapshot 1 whole [db web]",
        "say: the snapshot has 9 bytes, more than the 5 that the broker takes: none is published; raise the broker's packet limit",
        "status Online update 5, engine answers, warned",
    ];
    check(&mut world, "packets small\n event kill web\n ack\n +30000\n ack\n +600000", &said);
    let again = ["event 2 kill web", "too large: snapshot 2 whole [db web]"];
    check(&mut world, "event kill web\n ack\n +30000", &again);
    let fits = ["event 3 kill web", "snapshot 3 whole [db web]", "status Online update 5, engine answers"];
    check(&mut world, "packets large\n event kill web\n ack\n +30000\n acks", &fits);
}

// DM1
#[test]
fn the_token_goes_out_at_each_connect_and_ever_less_often_after_it() {
    let mut world = World::new(with_token(), Kept::default());
    let first = ["say: connected to the broker, session 5", "status Online start 5", "enroll pi t0ken"];
    check(&mut world, "connected 5", &first);
    let unheard = "say: no bridge is listening: nobody subscribes to this agent's events; is radar-bridge running, with the same MQTT_TOPIC_PREFIX";
    check(&mut world, "ack\n nobody", &[unheard]);
    world.run("echo\n engine up\n acks\n acks");
    check(&mut world, "+1000", &[]);
    check(&mut world, "+1000\n nobody\n +3000", &["enroll pi t0ken"]);
    check(&mut world, "+1000", &["enroll pi t0ken"]);
    world.run("away gone");
    let again = world.run("connected 6");
    assert!(again.contains(&"enroll pi t0ken".to_owned()), "{again:?}");
    check(&mut world, "acks", &["say: a bridge is listening again"]);
    // It may have been somebody else who heard it.
    let mut told = Vec::new();
    for second in 1..=100_000 {
        if world.run("+1000\n acks").contains(&"enroll pi t0ken".to_owned()) {
            told.push(second);
        }
    }
    assert_eq!(told, [2, 6, 14, 30, 62, 126, 254, 510, 1022, 2046, 4094, 8190, 16382, 32766, 65534]);
    // A bridge that asks for events may be a new one.
    check(&mut world, "resend 77 1 1\n +1000\n acks", &["event 77:1..=1 gap"]);
    check(&mut world, "+1000\n acks", &["enroll pi t0ken"]);
}

// E1
#[test]
fn events_that_nobody_hears_wait_and_one_of_them_asks() {
    let mut world = settled(config());
    let unheard = "say: no bridge is listening: nobody subscribes to this agent's events; is radar-bridge running, with the same MQTT_TOPIC_PREFIX";
    check(&mut world, "event kill web\n nobody", &["event 1 kill web", unheard]);
    check(&mut world, "event die web\n +499", &[]);
    check(&mut world, "+1\n nobody", &["event 1 kill web"]);
    check(&mut world, "+999", &[]);
    check(&mut world, "+1", &["event 1 kill web"]);
    check(&mut world, "ack", &["say: a bridge is listening again", "event 2 die web"]);
}

// E1
#[test]
fn a_bridge_that_asks_is_told_at_once_what_nobody_heard() {
    let mut world = settled(config());
    world.run("event kill web\n nobody\n +500\n nobody\n +1000\n nobody");
    check(&mut world, &format!("resend {} 1 1", world::START), &["event 1 kill web"]);
}

// E1
#[test]
fn what_the_bridge_misses_is_sent_again_and_what_is_gone_is_a_gap() {
    let mut world = settled(config());
    for _ in 0..7 {
        world.run("event kill web\n acks");
    }
    let epoch = world::START;
    let answer = ["event 1..=2 gap", "event 3 kill web", "event 4 kill web"];
    check(&mut world, &format!("resend {epoch} 1 4"), &answer);
    check(&mut world, &format!("acks\n resend {epoch} 6 900"), &["event 6 kill web", "event 7 kill web"]);
    check(&mut world, &format!("acks\n resend {epoch} 8 9"), &[]);
    check(&mut world, "resend 77 3 5", &["event 77:3..=5 gap"]);
    check(&mut world, "acks\n resend 77 5 3\n resend 77 1 9007199254740992", &[]);
    check(&mut world, &format!("acks\n resend {} 1 5", epoch + 1), &[]);
    let garbage = "say: a message on the resend topic is none of the contract and is ignored";
    check(&mut world, "garbage resend", &[garbage]);
    check(&mut world, "garbage resend", &[]);
}

// E1
#[test]
fn a_bridge_that_asks_without_end_is_not_answered_without_end() {
    let mut world = settled(config());
    let answers = (1..100).map(|number| world.run(&format!("resend 77 {number} {number}\n acks")).len()).sum::<usize>();
    assert_eq!(answers, 20);
    assert_eq!(world.run("+2000\n resend 77 1 1\n resend 77 2 2\n resend 77 3 3").len(), 2);
}

// DM3
#[test]
fn a_stop_lets_events_leave_then_says_goodbye_and_waits_for_the_answer() {
    let mut world = settled(config());
    world.run("event kill web");
    check(&mut world, "stop", &["say: stopping"]);
    check(&mut world, "ack", &["status Offline stop 5, engine answers"]);
    check(&mut world, "offline 5\n ack", &["stopped"]);
}

// DM3
#[test]
fn a_stop_ends_in_time_when_the_broker_is_silent_or_away() {
    let mut world = settled(config());
    world.run("event kill web\n stop");
    check(&mut world, "+1999", &[]);
    check(&mut world, "+1", &["status Offline stop 5, engine answers"]);
    let unsaid = "say: the broker did not take the goodbye in time; the last will tells it";
    check(&mut world, "+3000", &[unsaid, "stopped, unsaid"]);

    // With as much under way as the connection takes, the goodbye waits for room, without a spin.
    let mut world = settled(config());
    world.run(&"event kill web\n".repeat(25));
    world.run("stop");
    check(&mut world, "+2500", &[]);
    check(&mut world, "ack", &["status Offline stop 5, engine answers"]);
    check(&mut world, "acks", &["stopped"]);

    let mut world = settled(config());
    world.run("away gone");
    check(&mut world, "stop", &["say: stopping", "stopped"]);

    let mut world = World::new(config(), Kept::default());
    check(&mut world, "stop", &["say: stopping", "stopped"]);
}

// E8
#[test]
fn what_the_broker_refuses_is_said_once_and_tried_again_slowly() {
    let mut world = settled(config());
    let refused = "say: this agent's event topic is refused, and tried again every minute: not authorized";
    check(&mut world, "event kill web\n refuse", &["event 1 kill web", refused]);
    check(&mut world, "event kill db\n +29000", &[]);
    check(&mut world, "+31000", &["event 1 kill web", "event 2 kill db", "snapshot 2 whole [db web]"]);
    check(&mut world, "refuse\n refuse\n ack\n +59000", &[]);
    let taken = "say: the broker takes this agent's event topic again";
    check(&mut world, "+1000\n acks", &["event 1 kill web", "event 2 kill db", taken]);
}
