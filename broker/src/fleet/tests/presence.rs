//! Who is there, and since when that is known.

use super::*;

// E2
#[test]
fn the_will_of_an_earlier_session_takes_nobody_down() {
    let desk =
        check(&[("0 online 5 start", &["touched"]), ("1 online 6 start", &["touched"]), ("2 offline 5 lost", &[])]);
    assert!(desk.view().online());
    let desk = check(&[
        ("0 online 5 start", &["touched"]),
        ("1 offline 5 lost", &["touched"]),
        ("2 offline 5 lost", &["touched"]),
        ("3 online 6 start", &["touched"]),
        ("4 offline 7 stop", &["touched"]),
    ]);
    assert_eq!((desk.view().online(), &*desk.view().reason, desk.view().session), (false, "stop", 7));
}

// E2
#[test]
fn a_session_that_ended_does_not_begin_again_but_a_live_agent_may_say_so() {
    let desk = check(&[
        ("0 online 5 start", &["touched"]),
        ("1 offline 5 lost", &["touched"]),
        // A broker that was restarted with an old memory.
        ("2 retained online 5 start", &[]),
        ("3 retained online 4 start", &[]),
    ]);
    assert!(!desk.view().online());
    let desk = check(&[
        ("0 online 5 start", &["touched"]),
        ("1 offline 5 lost", &["touched"]),
        ("2 online 5 reassert", &["touched"]),
    ]);
    assert!(desk.view().online());
}

#[test]
fn the_same_again_is_nothing_and_does_not_look_fresh() {
    let mut desk = Desk::new();
    let payload = status(&["online", "5", "start"], 100).bytes;
    let at = |wall| Now { mono: Duration::ZERO, wall };
    desk.fleet.handle_message(&pi(), &Channel::Status, None, &payload, true, at(9000));
    // Met by a retained message: heard when that was written.
    assert_eq!(desk.view().last_heard, 100);
    desk.out();
    desk.fleet.handle_message(&pi(), &Channel::Status, None, &payload, true, at(9500));
    assert_eq!((desk.out(), desk.fleet.take_writes().len(), desk.view().last_heard), (vec![], 0, 100));
    desk.run("9600 event 1 1 start web");
    assert_eq!(desk.view().last_heard, 9600);
    // The broker says that it is lost, not the agent.
    desk.run("9700 offline 5 lost");
    assert_eq!(desk.view().last_heard, 9600);
}

// DM2
#[test]
fn two_machines_that_take_turns_are_a_conflict_and_a_moved_card_is_none() {
    let mut desk = check(&[
        ("0 online 1 start machine=a", &["touched"]),
        ("10 offline 1 lost machine=a", &["touched"]),
        ("20 online 2 start machine=b", &["touched"]),
        ("30 offline 1 lost machine=a", &[]),
        ("40 online 3 start machine=b", &["touched"]),
    ]);
    assert_eq!(desk.view().conflict, None);
    desk.run("50 online 4 start machine=a");
    let conflict = desk.view().conflict.unwrap();
    assert_eq!((conflict.machines.map(String::from), conflict.last), (["b".to_owned(), "a".to_owned()], 50));
    assert_eq!(desk.fleet.summary().conflicts, 1);
    desk.run("60 online 5 start machine=b");
    assert_eq!(desk.view().conflict.unwrap().last, 60);
    // The other one was given an id of its own.
    desk.run("3600061 online 6 start machine=b");
    assert_eq!(desk.view().conflict, None);
}

// E2
#[test]
fn who_does_not_come_back_to_a_broker_without_memory_is_gone() {
    for confirmed in [false, true] {
        let mut desk = check(&[("0 online 5 start", &["touched"]), ("1000 connected new", &[])]);
        assert_eq!(desk.run("61000 timeout"), [""; 0]);
        if confirmed {
            desk.run("100000 retained online 5 start");
        }
        assert_eq!(desk.run("121000 timeout"), [""; 0]);
        assert_eq!(desk.fleet.poll_timeout(), Some(Duration::from_secs(181)));
        let out = desk.run("181000 timeout");
        assert_eq!((out.is_empty(), desk.view().online()), (confirmed, confirmed));
        assert_eq!(desk.fleet.poll_timeout(), None);
        if !confirmed {
            assert_eq!(&*desk.view().reason, "silent");
            assert_eq!(desk.run("190000 online 5 start"), ["touched"]);
        }
    }
    // There is nothing to ask for, or nobody who answers.
    for start in ["0 online 5 start can=resend", "0 online 5 start"] {
        let mut desk = check(&[(start, &["touched"])]);
        if !start.contains("can") {
            desk.run("1 event 7 1 start web");
        }
        desk.run("1000 connected resumed");
        assert_eq!(desk.fleet.poll_timeout(), None);
    }
}

// E2, E1
#[test]
fn who_died_with_a_broker_that_has_a_memory_is_gone() {
    let script = [
        ("0 online 5 start can=resend", &["touched"][..]),
        ("1 event 7 1 start web", &["store start 7/1"]),
        ("1000 connected resumed", &[]),
        // It waited at the broker, as the status that the broker remembers.
        ("2000 event 7 2 kill web", &["store kill 7/2"]),
        ("2001 retained online 5 start can=resend", &["touched"]),
        ("61000 timeout", &["resend 7/2..=2"]),
        ("121000 timeout", &["resend 7/2..=2"]),
    ];
    for sign in
        [None, Some("70000 event 7 2 kill web"), Some("70000 online 6 start can=resend"), Some("70000 offline 5 lost")]
    {
        let mut desk = Desk::new();
        for (line, expected) in script {
            if line.starts_with("121000")
                && let Some(sign) = sign
            {
                desk.run(sign);
                assert_eq!(desk.run(line), [""; 0], "{sign}");
            } else {
                assert_eq!(desk.run(line), *expected, "after `{line}`");
            }
        }
        let there = desk.view().online();
        let out = desk.run("181000 timeout");
        assert_eq!((desk.view().online(), out.len()), (sign.is_some() && there, usize::from(sign.is_none())));
        assert_eq!(desk.fleet.poll_timeout(), None);
        if sign.is_none() {
            assert_eq!(&*desk.view().reason, "silent");
        }
    }
}

// E2
#[test]
fn many_who_say_nothing_are_asked_a_part_at_a_time() {
    let mut fleet = Fleet::new(Limits::default());
    let now = |at| Now { mono: Duration::from_secs(at), wall: 1000 };
    for number in 0..1200 {
        let id: AgentId = format!("pi-{number}").parse().unwrap();
        let status = status(&["online", "5", "start", "can=resend"], 0).bytes;
        let event = encode(&event(&["event", "7", "1", "start", "web"], 0)).unwrap().bytes;
        for (channel, payload) in [(Channel::Status, status), (Channel::Event, event)] {
            fleet.handle_message(&id, &channel, Some("application/cbor"), &payload, false, now(0));
        }
    }
    let asked = |fleet: &mut Fleet| {
        let effects = std::iter::from_fn(|| fleet.next_effect());
        effects.filter(|effect| matches!(effect, Effect::Publish { channel: Channel::Resend, .. })).count()
    };
    asked(&mut fleet);
    fleet.handle_connected(true, now(1));
    let mut counts = Vec::new();
    while let Some(due) = fleet.poll_timeout() {
        fleet.handle_timeout(Now { mono: due, wall: 1000 });
        counts.push((due.as_secs(), asked(&mut fleet)));
    }
    assert_eq!(counts, [(61, 500), (62, 500), (63, 200), (121, 500), (122, 500), (123, 200), (181, 0)]);
}

// E13
#[test]
fn words_of_a_later_version_are_kept() {
    let desk = check(&[("0 online 5 hibernated", &["touched"]), ("1 event 1 1 prune web", &["store prune 1/1"])]);
    assert_eq!(&*desk.view().reason, "hibernated");
    assert_eq!(desk.fleet.status(&pi()).unwrap().reason.as_str(), "hibernated");
}
