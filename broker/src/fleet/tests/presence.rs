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
        assert_eq!(desk.fleet.poll_timeout(), Some(Duration::from_secs(181)));
        if confirmed {
            desk.run("100000 retained online 5 start");
        }
        let out = desk.run("181000 timeout");
        assert_eq!((out.is_empty(), desk.view().online()), (confirmed, confirmed));
        assert_eq!(desk.fleet.poll_timeout(), None);
        if !confirmed {
            assert_eq!(&*desk.view().reason, "silent");
            assert_eq!(desk.run("190000 online 5 start"), ["touched"]);
        }
    }
    let desk = check(&[("0 online 5 start", &["touched"]), ("1000 connected resumed", &[])]);
    assert_eq!(desk.fleet.poll_timeout(), None);
}

// E13
#[test]
fn words_of_a_later_version_are_kept() {
    let desk = check(&[("0 online 5 hibernated", &["touched"]), ("1 event 1 1 prune web", &["store prune 1/1"])]);
    assert_eq!(&*desk.view().reason, "hibernated");
    assert_eq!(desk.fleet.status(&pi()).unwrap().reason.as_str(), "hibernated");
}
