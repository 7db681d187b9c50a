//! Every number once, and what is missing is asked for.

use super::*;

// E1
#[test]
fn a_hole_is_asked_for_at_once_and_again_with_growing_pauses() {
    let mut desk = check(&[
        ("0 online 1 start", &["touched"]),
        ("0 event 7 1 start web", &["store start 7/1"]),
        ("1000 event 7 4 die web", &["store die 7/4", "resend 7/2..=3"]),
        ("1500 event 7 6 start web", &["store start 7/6"]),
        ("2000 event 7 7 die web", &["store die 7/7"]),
    ]);
    let mut asked = Vec::new();
    while asked.len() < 9 {
        let due = desk.fleet.poll_timeout().unwrap();
        let out = desk.run(&format!("{} timeout", due.as_millis()));
        asked.push(format!("{} {}", due.as_millis(), out.join(" ")));
    }
    // Messages of the epoch put it off, since they may be the answer. Then each hole has its turn.
    let expected = [
        "4000 resend 7/5..=5",
        "8000 resend 7/2..=3",
        "16000 resend 7/5..=5",
        "32000 resend 7/2..=3",
        "64000 resend 7/5..=5",
        "124000 resend 7/2..=3",
        "184000 resend 7/5..=5",
        "244000 resend 7/2..=3",
        "304000 resend 7/5..=5",
    ];
    assert_eq!(asked, expected);
    assert_eq!(desk.view().missing, 3);
    assert_eq!(desk.run("305000 event 7 5 die web"), ["store die 7/5", "resend 7/2..=3"]);
    assert_eq!(desk.run("305001 event 7 2 die web"), ["store die 7/2"]);
    assert_eq!(desk.run("305002 event 7 3 die web"), ["store die 7/3"]);
    assert_eq!((desk.view().missing, desk.fleet.poll_timeout()), (0, None));
}

// E1
#[test]
fn what_is_gone_is_answered_by_a_gap_that_counts_only_what_was_missing() {
    let desk = check(&[
        ("0 online 1 start", &["touched"]),
        ("1 event 7 5 start web", &["store start 7/5", "resend 7/1..=4"]),
        ("2 event 7 3 start web", &["store start 7/3"]),
        ("3 gap 7 1 4", &["store gap 7/1..=2", "store gap 7/4..=4"]),
        ("4 gap 7 1 4", &[]),
        ("5 event 7 3 start web", &[]),
    ]);
    assert_eq!((desk.view().lost, desk.view().missing), (3, 0));
}

// E1
#[test]
fn what_was_lost_and_comes_after_all_is_stored() {
    let desk = check(&[
        ("0 online 1 start", &["touched"]),
        ("1 gap 7 1 4", &["store gap 7/1..=4"]),
        ("2 event 7 3 start web", &["store recovered 7/3", "store start 7/3"]),
        ("3 event 7 3 start web", &[]),
    ]);
    assert_eq!(desk.view().lost, 3);
}

// E1
#[test]
fn a_gap_of_unknown_size_is_an_event_of_its_own() {
    let desk = check(&[("0 gap 7 ? 1", &["store gap 7/1"]), ("1 gap 7 ? 1", &[])]);
    assert_eq!((desk.view().lost, desk.view().unknown_gaps), (0, 1));
}

// E1
#[test]
fn a_snapshot_shows_what_was_lost_last() {
    check(&[
        ("0 online 1 start", &["touched"]),
        ("1 event 7 1 start web", &["store start 7/1"]),
        ("2 snapshot 7 1 none", &["store snapshot 7/1", "changed"]),
        ("3 snapshot 7 3 none", &["store snapshot 7/3", "changed", "resend 7/2..=3"]),
    ]);
    // Met in the middle of an epoch: its ring may still have all of it.
    check(&[
        ("0 retained online 1 start", &["touched"]),
        ("1 retained snapshot 7 900 none", &["store snapshot 7/900", "changed", "resend 7/1..=900"]),
    ]);
}

// E1
#[test]
fn the_holes_of_an_epoch_that_is_over_are_asked_for_too() {
    check(&[
        ("0 online 1 start", &["touched"]),
        ("1 event 7 2 start web", &["store start 7/2", "resend 7/1..=1"]),
        ("2 online 2 start", &["touched", "resend 7/1..=1"]),
        ("3 event 8 3 start web", &["store start 8/3"]),
        ("4 gap 7 1 1", &["store gap 7/1..=1", "resend 8/1..=2"]),
    ]);
}

#[test]
fn nobody_is_asked_who_is_not_there() {
    let mut desk = check(&[
        ("0 event 7 2 start web", &["store start 7/2"]),
        ("1 online 1 start", &["touched", "resend 7/1..=1"]),
        ("2 offline 1 lost", &["touched"]),
    ]);
    assert_eq!(desk.fleet.poll_timeout(), None);
    assert_eq!(desk.run("3 online 2 start"), ["touched", "resend 7/1..=1"]);
    // A request that was on its way when the bridge lost the broker is made again.
    assert_eq!(desk.run("4 connected resumed"), ["resend 7/1..=1"]);
}

#[test]
fn holes_and_epochs_have_a_bound_over_which_they_are_counted_as_lost() {
    let mut desk = Desk::new();
    for number in 1..=400 {
        desk.run(&format!("0 event 7 {} start web", number * 2));
    }
    let view = desk.view();
    assert_eq!((view.lost + view.missing, view.missing), (400, 127));

    for epoch in 8..200 {
        desk.run(&format!("0 event {epoch} 2 start web"));
    }
    let view = desk.view();
    assert_eq!((view.lost + view.missing, view.missing), (592, 16));
    // What comes late from an epoch that nobody follows is kept, but cannot open a hole.
    assert_eq!(desk.run("0 event 9 9 start web"), ["store start 9/9"]);
    assert_eq!(desk.view().missing, 16);
}

#[test]
fn numbers_out_of_range_are_refused() {
    let mut desk = Desk::new();
    for line in ["event 7 0 start web", "event 9007199254740992 1 start web", "gap 7 0 4"] {
        desk.run(&format!("0 {line}"));
    }
    desk.run("0 snapshot 7 9007199254740992 none");
    assert_eq!(desk.fleet.summary().decode_errors, [("event", 3), ("snapshot", 1)].into());
    assert_eq!(desk.fleet.summary().agents, 0);
    // A gap that ends before it begins says at least that there is one.
    assert_eq!(desk.run("0 gap 7 9 1"), ["store gap 7/1"]);
}

// E1
#[test]
fn what_comes_again_is_dropped_and_counted() {
    let mut desk = check(&[
        ("0 event 7 1 start web", &["store start 7/1"]),
        ("1 event 7 1 start web", &[]),
        ("2 event 7 1 start web", &[]),
    ]);
    assert_eq!((desk.fleet.take_repeated(), desk.fleet.take_repeated()), (2, 0));
}
