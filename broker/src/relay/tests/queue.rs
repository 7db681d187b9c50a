//! One request at a time, in the order in which agents are due.

use super::*;

// RR5
#[test]
fn fifty_agents_at_once_go_one_after_the_other() {
    let names: Vec<String> = (0..50).map(|n| format!("pi-{n:02}")).collect();
    let mut state = Script::new(RelaySettings::default(), names.iter().map(|name| enrolled(name)));
    for name in &names {
        state.input(&format!("online {name}"));
    }
    let mut beats = Vec::new();
    // `perform` fails when a second request comes while one is on its way.
    while state.flight.is_some() {
        beats.extend(state.seen.drain(..).filter(|text| text.starts_with("beat")));
        state.input("ok");
    }
    let order: Vec<_> = beats.iter().map(|beat| beat.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(order, names.iter().map(|name| format!("up-{name}")).collect::<Vec<_>>());
    assert_eq!(state.relay.server(state.now).waiting, 0);
}

// RR5
#[test]
fn who_is_due_first_goes_first() {
    check_with(
        RelaySettings::default(),
        [enrolled("a"), enrolled("b"), enrolled("c")],
        "
        0 online c
        > token up-c secret-c
        1 online b
        2 online a
        3 ok
        > beat up-c access-1 online 2
        3 ok
        > server is Well
        > c is Relayed
        > token up-b secret-b
        3 ok
        > beat up-b access-3 online 2
        3 ok
        > b is Relayed
        > token up-a secret-a
        ",
    );
}

// RR5
#[test]
fn a_server_that_does_not_keep_up_is_spared_the_exchange() {
    // Its beats take 6 s each, so the queue is late; the second beat of `a` uses the token of its first.
    check_with(
        RelaySettings::default(),
        [enrolled("a"), enrolled("b")],
        "
        0 online b
        > token up-b secret-b
        0 online a
        6 ok
        > beat up-b access-1 online 2
        12 ok
        > server is Well
        > b is Relayed
        > token up-a secret-a
        12 ok
        > beat up-a access-3 online 2
        13 changed a
        13 changed b
        24 ok
        > a is Relayed
        > beat up-a access-3 online 2
        30 ok
        > token up-b secret-b
        ",
    );
}

#[test]
fn the_reports_say_how_it_stands() {
    let mut state = Script::new(RelaySettings::default(), [enrolled("pi")]);
    let id: AgentId = "pi".parse().unwrap();
    state.input("online pi");
    assert!(state.relay.server(state.now).in_flight);
    state.input("ok");
    state.input("ok 30.5");
    let report = state.relay.agent(&id).unwrap();
    assert_eq!((report.containers, report.left_out, report.failures), (2, 0, 0));
    assert_eq!(report.last_beat, Some(state.now.wall));
    assert_eq!(report.condition, &Condition::Relayed);
    assert_eq!(report.upstream.map(UpstreamId::as_str), Some("up-pi"));
    let server = state.relay.server(state.now);
    assert_eq!(server.condition, &ServerCondition::Well);
    assert_eq!(server.interval, Duration::from_millis(30_500));
    assert_eq!(state.relay.agents().count(), 1);
}

#[test]
fn an_agent_takes_little_memory() {
    // Ten thousand of them, with their keys and places in the queue, fit into a few megabytes.
    assert!(size_of::<Agent>() <= 320, "{} bytes", size_of::<Agent>());
    let (_, stored) = enrolled("pi");
    assert!(size_of_val(&stored) <= 160, "{} bytes", size_of_val(&stored));
}
