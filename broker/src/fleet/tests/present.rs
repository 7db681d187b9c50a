//! What runs on a host, and whether that is the truth.

use super::*;

fn list(text: &str, complete: bool) -> Option<(String, bool)> {
    Some((text.to_owned(), complete))
}

// DM7
#[test]
fn events_tell_what_happened_since_the_snapshot() {
    let mut desk = check(&[
        ("0 event 7 1 start web", &["store start 7/1"]),
        ("1 snapshot 7 1 db=running,web=running", &["store snapshot 7/1", "changed"]),
        ("2 event 7 2 die web exited", &["store die 7/2", "changed"]),
        ("3 event 7 3 create new new created", &["store create 7/3", "changed"]),
        ("4 event 7 4 destroy db", &["store destroy 7/4", "changed"]),
        ("5 event 7 5 kill web", &["store kill 7/5"]),
        // After all its events a list is no news.
        ("5 snapshot 7 5 new=created,web=exited", &["store snapshot 7/5", "touched"]),
    ]);
    assert_eq!(desk.containers(), list("new=created web=exited", true));
    assert_eq!(desk.view().containers, Some(Counts { total: 2, running: 0 }));
    // Of the two the later number counts, in whichever order they come.
    desk.run("6 event 7 7 start web running");
    assert_eq!(desk.run("7 event 7 6 die web dead"), ["store die 7/6", "changed"]);
    assert_eq!(desk.containers(), list("new=created web=running", true));
    assert_eq!(desk.view().containers, Some(Counts { total: 2, running: 1 }));
    // An agent that was restarted goes on from its own snapshot.
    desk.run("8 event 8 1 gone new");
    assert_eq!(desk.containers(), list("web=running", true));
    desk.run("9 snapshot 8 1 web=paused");
    assert_eq!(desk.containers(), list("web=paused", true));
}

// E4 RR7
#[test]
fn a_list_that_is_not_whole_never_takes_the_place_of_one_that_was() {
    for line in ["snapshot 7 1 none partial", "snapshot 7 1 none engine=down", "event 7 1 engine_lost"] {
        let mut desk = check(&[("0 snapshot 7 0 web=running engine=up", &["store snapshot 7/0", "changed"])]);
        assert_eq!(desk.run(&format!("1 {line}")).last().unwrap().split(' ').next(), Some("touched"), "{line}");
        assert_eq!(desk.containers(), list("web=running", false), "{line}");
        assert_eq!(desk.view().containers, Some(Counts { total: 1, running: 1 }), "{line}");
        // This very snapshot is the truth again once it is said again.
        desk.run("2 snapshot 7 1 none engine=up");
        assert_eq!(desk.containers(), list("", true), "{line}");
    }
}

// E4
#[test]
fn an_engine_that_does_not_answer_is_shown() {
    let mut desk = check(&[("0 online 1 start engine=up", &["touched"])]);
    desk.run("1 snapshot 7 0 web=running engine=up");
    desk.run("2 event 7 1 engine_lost");
    assert_eq!((desk.view().engine_answers, desk.fleet.summary().unreachable), (Some(false), 1));
    desk.run("3 online 1 update engine=down");
    assert_eq!((desk.view().engine_answers, desk.fleet.summary().unreachable), (Some(false), 1));
    // What is older than that changes nothing.
    desk.run("4 retained snapshot 7 0 web=running engine=up");
    assert_eq!(desk.view().engine_answers, Some(false));
    assert_eq!(desk.run("5 event 7 2 engine_back"), ["store engine_back 7/2", "touched"]);
    assert_eq!((desk.view().engine_answers, desk.view().complete), (Some(true), true));
}

// E4
#[test]
fn without_a_whole_list_nothing_is_known() {
    let mut desk = check(&[
        ("0 event 7 1 create web new running", &["store create 7/1"]),
        ("1 snapshot 7 1 none partial", &["touched"]),
    ]);
    assert_eq!((desk.containers(), desk.view().containers), (None, None));
    // An empty list that is whole is the truth.
    desk.run("2 snapshot 7 1 none");
    assert_eq!((desk.containers(), desk.view().containers), (list("", true), Some(Counts::default())));
}

#[test]
fn an_older_snapshot_changes_nothing() {
    let desk = check(&[
        ("0 snapshot 7 5 web=running", &["store snapshot 7/5", "changed"]),
        ("0 snapshot 8 0 web=paused", &["store snapshot 8/0", "changed"]),
        ("9 retained snapshot 7 5 web=dead", &[]),
        ("0 snapshot 8 0 web=paused", &[]),
    ]);
    assert_eq!(desk.containers(), list("web=paused", true));
}

#[test]
fn a_container_whose_beginning_is_missing_makes_the_list_incomplete() {
    let mut desk = Desk::new();
    desk.run("0 snapshot 7 0 web=running");
    desk.run("1 event 7 2 die other exited");
    assert_eq!(desk.containers(), list("web=running", false));
    desk.run("2 event 7 1 create other new running");
    assert_eq!(desk.containers(), list("other=exited web=running", true));
}

#[test]
fn many_events_become_a_part_of_the_snapshot() {
    let mut desk = Desk::new();
    desk.run("0 snapshot 7 0 web=running");
    for number in 1..=1000 {
        let state = if number % 2 == 0 { "running" } else { "exited" };
        desk.run(&format!("1 event 7 {} start web {state}", number * 2 - 1));
        desk.run(&format!("1 event 7 {} create c{number} new running", number * 2));
    }
    let (text, complete) = desk.containers().unwrap();
    assert!(complete);
    assert_eq!(text.split(' ').count(), 1001);
    assert_eq!(desk.view().containers, Some(Counts { total: 1001, running: 1001 }));
}
