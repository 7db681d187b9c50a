use radar_wire::command::Progress;

use super::*;

const START: i64 = 1_795_228_544_250;
const A: &str = "1795228544250-000000000000000a";

fn at(millis: u64) -> Now {
    Now { mono: Duration::from_millis(millis), wall: START + i64::try_from(millis).unwrap() }
}

fn ask(random: u64) -> Ask {
    Ask {
        agent: "pi".parse().unwrap(),
        who: "uid:1000".into(),
        command: Command::Stop { container: "web".into(), timeout: Some(5) },
        valid: VALID,
        random,
    }
}

fn commanding() -> Commanding {
    Commanding::new("bridge".to_owned(), Vec::new(), None, at(0))
}

fn out(commanding: &mut Commanding) -> Vec<String> {
    std::iter::from_fn(|| commanding.next_effect())
        .map(|effect| match effect {
            Effect::Store(row) => {
                let reason = row.reason.map(|it| format!(" ({it})")).unwrap_or_default();
                let result = row.result.map(|it| format!(" = {it}")).unwrap_or_default();
                let ended = row.ended.map(|it| format!(" at {}", it - START)).unwrap_or_default();
                format!("store {}{reason}{result}{ended}", row.state.as_str())
            }
            Effect::Publish { claims, expiry } => format!("publish {} for {expiry:?}", claims.cmd.word()),
            Effect::Tell(news) => format!("tell {}", news.state.as_str()),
        })
        .collect()
}

fn outcome(commanding: &mut Commanding, agent: &str, words: &str, now: Now) {
    let (word, reason) = words.split_once(' ').map_or((words, None), |(word, reason)| (word, Some(reason)));
    let result = (word == "succeeded").then(|| ciborium::Value::from(vec![ciborium::Value::from(1)]));
    let state = word.to_owned().into();
    let outcome = Outcome { jti: A.into(), at: 7, state, reason: reason.map(Into::into), result };
    commanding.handle_outcome(&agent.parse().unwrap(), outcome, now);
}

/// Runs a script of `(line, what comes out)`; a line is a time and what happens then.
#[track_caller]
fn check(script: &[(&str, &[&str])]) {
    let mut commanding = commanding();
    for (line, expected) in script {
        let (millis, what) = line.split_once(' ').unwrap();
        let now = at(millis.parse().unwrap());
        match what.split_once(' ').unwrap_or((what, "")) {
            ("ask", _) => assert_eq!(&*commanding.issue(ask(10), now).unwrap(), A),
            ("stored", _) => commanding.handle_stored(A, now),
            ("unsent", reason) => commanding.handle_unsent(A, reason, now),
            ("time", _) => commanding.handle_timeout(now),
            (agent, words) => outcome(&mut commanding, agent, words, now),
        }
        assert_eq!(out(&mut commanding), *expected, "after `{line}`");
    }
}

// E6
#[test]
fn a_command_is_stored_before_it_is_sent_and_sent_once() {
    check(&[
        ("0 ask", &["store issued"]),
        ("20 stored", &["publish stop for 59.98s"]),
        ("30 stored", &[]),
        ("40 pi accepted", &["store accepted", "tell accepted"]),
        ("50 pi progress", &["store progress", "tell progress"]),
        ("60 pi pulling", &["tell progress"]),
        ("70 pi succeeded", &["store succeeded = [1] at 70", "tell succeeded"]),
        ("80 stored", &[]),
    ]);
}

// E6
#[test]
fn what_has_ended_never_changes() {
    for end in ["succeeded", "failed", "refused"] {
        let mut commanding = commanding();
        commanding.issue(ask(10), at(0)).unwrap();
        commanding.handle_stored(A, at(0));
        outcome(&mut commanding, "pi", end, at(5));
        assert_eq!(out(&mut commanding).last().unwrap(), &format!("tell {end}"));
        for late in ["accepted", "progress", "succeeded", "failed gone", "refused"] {
            outcome(&mut commanding, "pi", late, at(6));
        }
        commanding.handle_timeout(at(10_000_000));
        commanding.handle_unsent(A, "late", at(7));
        assert_eq!((out(&mut commanding), commanding.poll_timeout()), (vec![], None));
    }
    // What is late says nothing new either.
    check(&[
        ("0 ask", &["store issued"]),
        ("1 pi progress", &["store progress", "tell progress"]),
        ("2 pi accepted", &[]),
        ("3 pi failed no such container", &["store failed (no such container) at 3", "tell failed"]),
    ]);
}

// E6
#[test]
fn nobody_speaks_for_another_agent() {
    check(&[
        ("0 ask", &["store issued"]),
        ("1 attic succeeded", &[]),
        ("2 pi refused not allowed", &["store refused (not allowed) at 2", "tell refused"]),
    ]);
}

// E6
#[test]
fn without_an_outcome_it_ends_as_unknown_a_minute_after_its_time() {
    let why = "the agent has taken it, and may be at it still, or away";
    let unknown = &*format!("store unknown (no outcome came: {why}) at 120000");
    check(&[
        ("0 ask", &["store issued"]),
        ("0 stored", &["publish stop for 60s"]),
        ("1 pi accepted", &["store accepted", "tell accepted"]),
        ("119999 time", &[]),
        ("120000 time", &[unknown, "tell unknown"]),
    ]);
    check(&[
        ("0 ask", &["store issued"]),
        ("0 stored", &["publish stop for 60s"]),
        ("120000 time", &["store unknown (no outcome came: the agent may be away) at 120000", "tell unknown"]),
    ]);
}

// E5
#[test]
fn a_last_word_that_comes_late_is_stored_in_the_place_of_unknown_and_told_to_nobody() {
    let asked: [(&str, &[&str]); 2] = [("0 ask", &["store issued"]), ("0 stored", &["publish stop for 60s"])];
    let unknown: (&str, &[&str]) =
        ("120000 time", &["store unknown (no outcome came: the agent may be away) at 120000", "tell unknown"]);
    let late: [(&str, &[&str]); 6] = [
        ("120001 attic succeeded", &[]),
        ("120002 pi accepted", &[]),
        ("120003 pi progress", &[]),
        ("300000 pi succeeded", &["store succeeded = [1] at 300000"]),
        ("300001 pi failed gone", &[]),
        ("999999 time", &[]),
    ];
    check(&[&asked[..], &[unknown], &late].concat());
    // The last ones are remembered.
    let mut commanding = commanding();
    let named: Vec<_> = (0..=GIVEN_UP).map(|number| commanding.issue(ask(number as u64), at(0)).unwrap()).collect();
    commanding.handle_timeout(at(120_000));
    out(&mut commanding);
    for (jti, expected) in [(&named[0], 0), (&named[1], 1), (&named[GIVEN_UP], 1)] {
        let outcome = Outcome { jti: jti.clone(), at: 7, state: Progress::Failed, reason: None, result: None };
        commanding.handle_outcome(&"pi".parse().unwrap(), outcome, at(120_001));
        assert_eq!(out(&mut commanding).len(), expected, "{jti}");
    }
    assert_eq!(commanding.given_up.len(), GIVEN_UP - 2);
}

// DM4, DM10
#[test]
fn what_says_how_long_it_may_take_is_waited_for_that_long() {
    let update = |patience| Command::Update { container: "web".into(), image: None, dry_run: false, patience };
    for (command, before, after) in [
        (Command::Restart { container: "web".into(), timeout: Some(300) }, 394_999, 395_000),
        (update(Some(3600)), 3_904_999, 3_905_000),
    ] {
        let mut commanding = commanding();
        commanding.issue(Ask { command: command.clone(), ..ask(10) }, at(0)).unwrap();
        commanding.handle_stored(A, at(0));
        outcome(&mut commanding, "pi", "accepted", at(5_000));
        commanding.handle_timeout(at(before));
        assert!(commanding.get(A).is_some(), "{command:?}");
        commanding.handle_timeout(at(after));
        assert!(commanding.get(A).is_none(), "{command:?}");
    }
}

// DM5, DM12
#[test]
fn long_work_is_waited_for_as_long_as_there_are_signs_of_life() {
    let pull = Ask { command: Command::Pull { image: "web:2".into() }, ..ask(10) };
    let due = |commanding: &Commanding| commanding.poll_timeout().map(|due| due.as_secs());
    let mut commanding = commanding();
    commanding.issue(pull.clone(), at(0)).unwrap();
    commanding.handle_stored(A, at(0));
    // Nobody has taken it yet.
    commanding.handle_sign_of_life(A, at(1_000));
    assert_eq!(due(&commanding), Some(120));
    outcome(&mut commanding, "pi", "accepted", at(5_000));
    assert_eq!(due(&commanding), Some(905));
    outcome(&mut commanding, "pi", "progress", at(100_000));
    assert_eq!(due(&commanding), Some(1000));
    commanding.handle_sign_of_life(A, at(200_000));
    outcome(&mut commanding, "pi", "progress", at(150_000));
    assert_eq!(due(&commanding), Some(1100));
    out(&mut commanding);
    commanding.handle_timeout(at(1_099_999));
    assert_eq!((out(&mut commanding).len(), commanding.get(A).is_some()), (0, true));
    commanding.handle_timeout(at(1_100_000));
    assert_eq!(out(&mut commanding).last().unwrap(), "tell unknown");
    assert_eq!((due(&commanding), commanding.get(A)), (None, None));

    // After a restart it is waited for again, once it was taken.
    for (state, expected) in [(State::Issued, 120), (State::Accepted, patience::LONG.as_secs())] {
        let (issued, expires) = (START, START + 60_000);
        let row = CommandRow { what: pull.command.clone(), state, issued, expires, ..CommandRow::example(A) };
        let restarted = Commanding::new(String::new(), vec![row], None, at(0));
        assert_eq!(due(&restarted), Some(expected), "{state:?}");
    }
}

// E6
#[test]
fn what_was_certainly_not_sent_has_failed() {
    check(&[
        ("0 ask", &["store issued"]),
        (
            "60000 stored",
            &[
                "store failed (bridge-trouble: it could not be stored in time, and was not sent) at 60000",
                "tell failed",
            ],
        ),
    ]);
    check(&[
        ("0 ask", &["store issued"]),
        ("0 stored", &["publish stop for 60s"]),
        ("9 unsent nobody listens", &["store failed (nobody listens) at 9", "tell failed"]),
    ]);
}

// E6
#[test]
fn the_claims_say_who_asks_whom_for_what_and_until_when() {
    let mut commanding = commanding();
    let jti = commanding.issue(Ask { valid: Duration::from_millis(90_900), ..ask(10) }, at(0)).unwrap();
    commanding.handle_stored(&jti, at(0));
    commanding.next_effect();
    let Some(Effect::Publish { claims, .. }) = commanding.next_effect() else { panic!("nothing is published") };
    let Claims { iss, aud, sub, iat, exp, jti, cmd } = *claims;
    assert_eq!((&*iss, aud.as_str(), &*sub, &*jti), ("bridge", "pi", "uid:1000", A));
    assert_eq!((iat, exp, cmd), (1_795_228_544, 1_795_228_634, ask(10).command));
}

// E6
#[test]
fn later_names_are_greater_whatever_the_clock_does() {
    let back = Now { wall: 5, ..at(9) };
    let mut commanding = commanding();
    let first = commanding.issue(ask(u64::MAX), at(0)).unwrap();
    let same = commanding.issue(ask(0), at(0)).unwrap();
    let before = commanding.issue(ask(0), back).unwrap();
    assert!(first < same && same < before, "{first} {same} {before}");
    let mut again = Commanding::new(String::new(), Vec::new(), Some(&before), back);
    let next = again.issue(ask(0), back).unwrap();
    assert!(before < next && next.len() == 30, "{before} {next}");
}

// E6
#[test]
fn what_was_under_way_before_a_restart_is_awaited_and_not_sent_again() {
    let mut old = commanding();
    old.issue(ask(10), at(0)).unwrap();
    let Some(Effect::Store(row)) = old.next_effect() else { panic!("nothing is stored") };
    let start = Now { mono: Duration::ZERO, wall: START + 10_000 };
    let mut commanding = Commanding::new("bridge".to_owned(), vec![*row.clone()], Some(A), start);
    commanding.handle_stored(A, start);
    assert_eq!(out(&mut commanding), [""; 0]);
    // The second is not over when the claims are.
    assert_eq!(commanding.poll_timeout(), Some(Duration::from_millis(109_750)));
    outcome(&mut commanding, "pi", "succeeded", start);
    assert_eq!(out(&mut commanding), ["store succeeded = [1] at 10000", "tell succeeded"]);
    // A clock that was wrong makes nothing wait for ever, or end before it could.
    for (wall, due) in [(0, 360_000), (START * 2, 60_000)] {
        let start = Now { mono: Duration::ZERO, wall };
        let commanding = Commanding::new(String::new(), vec![*row.clone()], None, start);
        assert_eq!(commanding.poll_timeout(), Some(Duration::from_millis(due)));
    }
}

#[test]
fn what_cannot_be_a_command_is_refused_and_leaves_nothing() {
    let mut commanding = commanding();
    let long = "x".repeat(3000);
    for (ask, error) in [
        (Ask { valid: Duration::from_millis(999), ..ask(1) }, AskError::Valid),
        (Ask { valid: VALID_MOST + Duration::from_secs(1), ..ask(1) }, AskError::Valid),
        (Ask { command: Command::Unknown, ..ask(1) }, AskError::Unknown),
        (Ask { command: Command::Start { container: "".into() }, ..ask(1) }, AskError::Command),
        (Ask { command: Command::Start { container: (&*long).into() }, ..ask(1) }, AskError::Command),
        (Ask { who: "".into(), ..ask(1) }, AskError::Who),
        (Ask { who: (&*long).into(), ..ask(1) }, AskError::Who),
    ] {
        assert_eq!(commanding.issue(ask, at(0)), Err(error));
    }
    assert_eq!((out(&mut commanding), commanding.poll_timeout()), (vec![], None));
}

// E13
#[test]
fn no_more_are_under_way_than_the_bound_and_places_become_free() {
    let mut commanding = commanding();
    for number in 0..MOST {
        commanding.issue(ask(number as u64), at(0)).unwrap();
    }
    assert_eq!(commanding.issue(ask(0), at(1)), Err(AskError::Busy));
    commanding.handle_timeout(at(120_000));
    assert_eq!(out(&mut commanding).len(), 3 * MOST);
    commanding.issue(ask(0), at(120_000)).unwrap();
}

#[test]
fn an_endless_reason_is_cut_and_a_result_without_json_is_no_failure() {
    let mut commanding = commanding();
    commanding.issue(ask(10), at(0)).unwrap();
    commanding.next_effect();
    let map = ciborium::Value::Map(vec![(ciborium::Value::Array(Vec::new()), ciborium::Value::Null)]);
    let reason = Some("é".repeat(5000).into());
    let outcome = Outcome { jti: A.into(), at: 7, state: "failed".to_owned().into(), reason, result: Some(map) };
    commanding.handle_outcome(&"pi".parse().unwrap(), outcome, at(1));
    let Some(Effect::Store(row)) = commanding.next_effect() else { panic!("nothing is stored") };
    assert_eq!(row.reason.unwrap().chars().count(), REASON);
    assert_eq!(&*row.result.unwrap(), r#""a result that has no form as JSON""#);
}
