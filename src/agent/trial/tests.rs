//! Trials as tables: what is seen at which second, and what is done.

use super::*;

/// Each line is a second and what is seen then; the steps that are not to wait.
fn run(patience: u64, lines: &[(u64, &str)]) -> Vec<String> {
    let mut trial = Trial::new(Duration::from_secs(patience), Duration::from_secs(100));
    let mut steps = Vec::new();
    for (second, seen) in lines {
        let seen = match *seen {
            "online" => Seen::Running { online: true },
            "offline" => Seen::Running { online: false },
            how => Seen::Ended(how.into()),
        };
        match trial.handle(&seen, Duration::from_secs(100 + second)) {
            Step::Wait => {}
            step => steps.push(format!("{second} {step:?}")),
        }
    }
    steps
}

// DM13
#[test]
fn a_new_version_is_adopted_once_it_has_been_online_for_a_while() {
    let none = (0, "none yet");
    assert_eq!(run(60, &[none, (1, "offline"), (2, "online"), (6, "online")]), ["0 Start"]);
    assert_eq!(run(60, &[none, (1, "offline"), (2, "online"), (7, "online")]), ["0 Start", "7 Adopt"]);
    let flapping = [none, (2, "online"), (6, "offline"), (7, "online"), (11, "online"), (12, "online")];
    assert_eq!(run(60, &flapping), ["0 Start", "12 Adopt"]);
    let late = [none, (9, "online"), (10, "online"), (13, "online"), (14, "online")];
    assert_eq!(run(10, &late), ["0 Start", "14 Adopt"]);
}

// DM13
#[test]
fn a_new_version_that_is_not_online_in_time_is_not_adopted() {
    let back = "10 Back(\"the new one was not online at the broker within 10 s\")";
    assert_eq!(run(10, &[(0, "none yet"), (1, "offline"), (9, "offline"), (10, "offline")]), ["0 Start", back]);
    let lost = [(0, "none yet"), (6, "online"), (9, "online"), (10, "offline")];
    assert_eq!(run(10, &lost), ["0 Start", back]);
}

// DM13
#[test]
fn a_new_version_that_ends_is_started_again_three_times() {
    let ends: Vec<(u64, &str)> =
        [(0, "none yet")].into_iter().chain((1..20).map(|second| (second, "exit code 3"))).collect();
    let back = "the new one ended 4 times: exit code 3";
    let steps = run(60, &ends);
    assert_eq!(steps[..5], ["0 Start", "2 Start", "4 Start", "6 Start", &format!("7 Back({back:?})")]);
    let recovers = [(0, "none yet"), (1, "exit code 3"), (2, "exit code 3"), (3, "online"), (8, "online")];
    assert_eq!(run(60, &recovers), ["0 Start", "2 Start", "8 Adopt"]);
    let steps = run(2, &ends);
    assert_eq!(
        steps[..2],
        [
            "0 Start".to_owned(),
            format!("2 Back({:?})", "the new one ended, and was not online within 2 s: exit code 3")
        ]
    );
}

fn note(stage: Stage) -> Note {
    Note {
        jti: "01-1".into(),
        from: "1".into(),
        to: "2".into(),
        sha256: "00".into(),
        target: "/opt/radar-agent".into(),
        patience: PATIENCE,
        stage,
    }
}

// DM13
#[test]
fn the_life_after_tells_what_became_of_it() {
    for (stage, is_staged, state, reason) in [
        (Stage::Trying, true, Progress::Failed, "rolled-back: interrupted"),
        (Stage::Trying, false, Progress::Failed, "rolled-back: interrupted"),
        (Stage::Adopting, true, Progress::Failed, "rolled-back: interrupted"),
        (Stage::Adopting, false, Progress::Succeeded, ""),
        (Stage::Back("it is broken".into()), true, Progress::Failed, "rolled-back: it is broken"),
        (Stage::Back("it is broken".into()), false, Progress::Failed, "rolled-back: it is broken"),
    ] {
        let note = note(stage);
        assert_eq!(ciborium::from_reader::<Note, _>(note.to_bytes().as_slice()).unwrap(), note);
        let settled = note.settle(is_staged, "2");
        assert_eq!(settled.state, state, "{note:?}");
        assert!(settled.reason.unwrap_or_default().starts_with(reason), "{note:?}");
    }
    assert_eq!(note(Stage::Trying).staged(), PathBuf::from("/opt/.radar-agent.new"));
}

// DM13
#[test]
fn what_a_program_has_said_is_told_in_one_short_line() {
    assert_eq!(last_lines(b"\x1b[31mERROR\x1b[0m no\x07 such\nthing\n"), "ERROR no such | thing");
    assert_eq!(last_lines(b""), "");
    assert!(last_lines("x".repeat(5000).as_bytes()).len() <= SAID);
    assert!(last_lines(&[0xc3; 5000]).len() <= 3 * SAID);
}
