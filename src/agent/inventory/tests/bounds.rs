//! How much is asked and kept, and how far the cursor has come.

use super::*;

#[test]
fn only_few_inspects_are_under_way() {
    check(
        "up
         listed a running, b running, c running, d running, e running, f running
         is b running
         gone a",
        "list
         inspect a
         inspect b
         inspect c
         inspect d
         inspect e
         inspect f",
    );
}

// E1
#[test]
fn too_many_waiting_events_become_one_gap_of_their_number() {
    let mut script = String::from("up\nlisted slow running\nis slow running\nevent 1 slow update\n");
    for time in 0..queue::MOST + 2 {
        let _ = writeln!(script, "event {} slow stop", time + 10);
    }
    script.push_str("is slow running\nis slow exited\n+60s\n");
    let mut expect = String::from("list\ninspect slow\ninspect slow\ninspect slow\ngap 3\n");
    for time in 2..queue::MOST + 1 {
        let _ = writeln!(expect, "{} stop slow", time + 10);
    }
    let _ = writeln!(expect, "{} stop slow state=exited\nlist", queue::MOST + 11);
    check(&script, &expect);
}

// E1
#[test]
fn a_container_of_which_all_events_were_given_up_is_looked_at() {
    let mut script = String::from("up\nlisted\nevent 1 one create\nevent 2 slow create\n");
    for time in 0..queue::MOST {
        let _ = writeln!(script, "event {} slow kill", time + 10);
    }
    script.push_str("is slow created\nis one created\nshow\n");
    let mut run = Script::new(Restored::default());
    run.run(&script);
    let told: Vec<_> = run.said.iter().filter(|said| !said.contains("kill")).collect();
    assert_eq!(
        told,
        [
            "list",
            "inspect one",
            "inspect slow",
            "gap 2",
            "- found slow state=created and all",
            "- found one state=created and all",
            "all: one=created slow=created",
        ]
    );
}

#[test]
fn the_cursor_moves_on_with_the_engines_clock_while_nothing_happens() {
    check(
        "up 100000000000
         cursor
         listed
         +60s
         listed
         cursor
         event 155000000001 web kill
         cursor
         event 7 web kill
         cursor",
        "list
         cursor None
         list
         cursor Some(155000000000)
         155000000001 kill web
         cursor Some(155000000001)
         7 kill web
         cursor Some(7)",
    );
}

#[test]
fn of_two_clocks_the_slower_moves_the_cursor() {
    let expect = |cursor: &str| format!("list\nlist\ncursor Some({cursor})");
    check("up 100000000000\nlisted\nclock -40\n+60s\nlisted\ncursor", &expect("115000000000"));
    check("up 100000000000\nlisted\nclock 90\n+60s\nlisted\ncursor", &expect("155000000000"));
}

#[test]
fn no_clock_is_too_odd() {
    let mut inventory = Inventory::new(Restored { records: None, cursor: Some(50) }, Duration::from_secs(60));
    let opened = |time| Opened {
        facts: EngineFacts::default(),
        host: HostFacts::default(),
        time: Some(time),
        history: History::Whole,
    };
    for (mono, wall, time) in [(0, i64::MAX, i64::MAX), (70, i64::MIN, i64::MIN), (200, 0, 0)] {
        let now = Now { mono: Duration::from_secs(mono), wall };
        inventory.handle_notice(Notice::Up(Box::new(opened(time))), now);
        let mut ticket = 0;
        while let Some(effect) = inventory.next_effect() {
            if let Effect::List { ticket: asked } = effect {
                ticket = asked;
            }
        }
        let later = Now { mono: now.mono + Duration::from_secs(1), wall: 5 };
        inventory.handle_notice(Notice::Listed { ticket, result: Ok(vec![]) }, later);
    }
    assert!(inventory.complete());
}

#[test]
fn the_revision_counts_what_a_snapshot_would_say() {
    let mut script = Script::new(Restored::default());
    let mut changes = |line: &str| {
        let before = script.inventory.revision();
        script.line(line);
        script.inventory.revision() != before
    };
    for (line, expect) in [
        ("up", true),
        ("listed web running", false),
        ("is web running", true),
        ("event 10 web kill", false),
        ("event 11 web restart", false),
        ("is web running", false),
        ("event 12 web stop", false),
        ("is web exited", true),
        ("up", false),
        ("listed web exited", false),
        ("down", true),
        ("down", false),
        ("up", true),
        ("listed web exited", true),
    ] {
        assert_eq!(changes(line), expect, "{line}");
    }
}
