use serde_json::json;

use super::super::ending::News;
use super::super::failure::Problem;
use super::*;

/// Plays a rollout: `fates` says how each container ends; the result is what was asked for, wave by wave, with those that
/// went on beside each other in one bracket.
fn play(rollout: &mut Rollout, fates: &[(&str, &[Ended])]) -> String {
    let mut script: BTreeMap<&str, Vec<Ended>> = fates.iter().map(|(name, all)| (*name, all.to_vec())).collect();
    let (mut said, mut running) = (String::new(), Vec::new());
    loop {
        while let Some(effect) = rollout.next_effect() {
            match effect {
                Effect::Wave(number) => said.push_str(&format!("{number}:")),
                Effect::Begin(index) => running.push(index),
            }
        }
        if running.is_empty() {
            return said;
        }
        let names: Vec<_> = running.iter().map(|index| rollout.items()[*index].target.container.clone()).collect();
        said.push_str(&format!("[{}]", names.join(" ")));
        // They end in the other order.
        for index in std::mem::take(&mut running).into_iter().rev() {
            let name = rollout.items()[index].target.container.clone();
            let left = script.get_mut(name.as_str()).filter(|left| !left.is_empty());
            let ended = left.map_or(Ended::So(Fate::Updated), |left| left.remove(0));
            rollout.handle_ended(index, ended);
        }
    }
}

fn rollout(names: &str, size: usize, stop_on_failure: bool) -> Rollout {
    let targets = names.split_whitespace().map(|name| format!("pi/{name}").parse().unwrap()).collect();
    Rollout::new(targets, Vec::new(), NonZeroUsize::new(size).unwrap(), stop_on_failure)
}

fn so(fate: Fate) -> [Ended; 1] {
    [Ended::So(fate)]
}

fn failed() -> [Ended; 1] {
    so(Fate::Failed("engine: no space".to_owned(), Exit::Failed))
}

// DM9
#[test]
fn those_of_one_wave_go_beside_each_other_and_the_next_begins_when_all_have_ended() {
    for (size, expect) in
        [(1, "1:[a]2:[b]3:[c]4:[d]5:[e]"), (2, "1:[a b]2:[c d]3:[e]"), (5, "1:[a b c d e]"), (9, "1:[a b c d e]")]
    {
        let mut rollout = rollout("a b c d e", size, false);
        assert_eq!(play(&mut rollout, &[]), expect, "waves of {size}");
        assert_eq!(rollout.summary(), "5 containers: 5 updated");
        assert_eq!(rollout.exit(false), Exit::Done);
    }
    assert_eq!(play(&mut rollout("", 1, true), &[]), "");
}

// DM10
#[test]
fn a_failure_stops_what_has_not_begun_only_when_that_is_asked_for() {
    for (stop, fates, expect, summary, exit) in [
        (false, failed(), "1:[a b]2:[c d]3:[e]", "5 containers: 4 updated, 1 failed", Exit::Failed),
        (true, failed(), "1:[a b]2:[c d]", "5 containers: 3 updated, 1 failed, 1 not begun", Exit::Failed),
        (
            true,
            so(Fate::RolledBack("rolled-back: unhealthy".to_owned())),
            "1:[a b]2:[c d]",
            "5 containers: 3 updated, 1 rolled back, 1 not begun",
            Exit::Failed,
        ),
        (
            true,
            so(Fate::Unknown("no outcome came".to_owned())),
            "1:[a b]2:[c d]",
            "5 containers: 3 updated, 1 unknown, 1 not begun",
            Exit::Failed,
        ),
        (true, so(Fate::Unchanged), "1:[a b]2:[c d]3:[e]", "5 containers: 4 updated, 1 unchanged", Exit::Done),
        (
            true,
            so(Fate::LeftOut("protected: it is the agent's own".to_owned())),
            "1:[a b]2:[c d]3:[e]",
            "5 containers: 4 updated, 1 left out",
            Exit::Done,
        ),
    ] {
        let mut rollout = rollout("a b c d e", 2, stop);
        assert_eq!(play(&mut rollout, &[("c", &fates)]), expect, "{fates:?}");
        assert_eq!(rollout.summary(), summary);
        assert_eq!(rollout.exit(false), exit, "{fates:?}");
    }
}

// DM11
#[test]
fn one_that_is_busy_has_a_second_turn_after_the_others_of_its_wave() {
    let busy = || Ended::Busy("busy: it is being updated".to_owned());
    let mut one = rollout("a b c d", 3, true);
    assert_eq!(play(&mut one, &[("a", &[busy()]), ("c", &[busy()])]), "1:[a b c][a][c]2:[d]");
    assert_eq!(one.exit(false), Exit::Done);

    let mut other = rollout("a b c", 2, true);
    assert_eq!(play(&mut other, &[("b", &[busy(), busy()])]), "1:[a b][b]");
    assert_eq!(other.summary(), "3 containers: 1 updated, 1 failed, 1 not begun");
    assert_eq!(other.items()[1].fate.why(), "busy: it is being updated");
}

#[test]
fn nothing_more_begins_once_nobody_waits() {
    let mut rollout = rollout("a b c", 2, false);
    assert_eq!(rollout.next_effect(), Some(Effect::Wave(1)));
    assert_eq!(rollout.next_effect(), Some(Effect::Begin(0)));
    rollout.handle_stop();
    assert_eq!(rollout.next_effect(), None);
    assert_eq!(rollout.summary(), "3 containers: 1 under way, 2 not begun");
    assert_eq!(rollout.exit(false), Exit::Unknown);
    rollout.handle_ended(0, Ended::So(Fate::Updated));
    assert_eq!(rollout.exit(false), Exit::Failed);
    rollout.handle_ended(99, Ended::So(Fate::Updated));
}

#[test]
fn those_without_a_turn_are_told_and_count() {
    let targets = vec!["pi/a".parse().unwrap()];
    let offline = ("attic/b".parse().unwrap(), Fate::NotBegun(Some("its agent is offline".to_owned())));
    let closed = ("shed/c".parse().unwrap(), Fate::LeftOut("its host allows no updates".to_owned()));
    let mut rollout = Rollout::new(targets, vec![offline, closed.clone()], NonZeroUsize::MIN, false);
    assert_eq!((rollout.waves().count(), rollout.without().len()), (1, 2));
    assert_eq!(play(&mut rollout, &[]), "1:[a]");
    assert_eq!(rollout.summary(), "3 containers: 1 updated, 1 left out, 1 not begun");
    assert_eq!(rollout.exit(false), Exit::Failed);

    let mut rollout = Rollout::new(vec!["pi/a".parse().unwrap()], vec![closed.clone()], NonZeroUsize::MIN, false);
    play(&mut rollout, &[]);
    assert_eq!(rollout.exit(false), Exit::Done);
    // Of nothing but these nothing is done.
    assert_eq!(Rollout::new(Vec::new(), vec![closed], NonZeroUsize::MIN, false).exit(false), Exit::Refused);
}

#[test]
fn of_those_that_were_named_the_exit_code_says_more() {
    let missing = so(Fate::Failed("not-found: x".to_owned(), Exit::NotFound));
    let refused = so(Fate::Failed("policy: x".to_owned(), Exit::Refused));
    for (fates, named, expect) in [
        (vec![("a", &missing[..])], true, Exit::NotFound),
        (vec![("a", &missing[..])], false, Exit::Failed),
        (vec![("a", &missing[..]), ("b", &refused[..])], true, Exit::Failed),
        (vec![], true, Exit::Done),
    ] {
        let mut rollout = rollout("a b", 1, false);
        play(&mut rollout, &fates);
        assert_eq!(rollout.exit(named), expect, "{fates:?}");
    }
    // Those that never began do not hide why.
    let mut rollout = rollout("a b", 1, true);
    play(&mut rollout, &[("a", &missing[..])]);
    assert_eq!(rollout.exit(true), Exit::NotFound);
}

// DM10
#[test]
fn an_outcome_is_a_fate() {
    let ended = |state: &str, reason: &str, dry_run: bool| {
        let result = Some(json!({"steps": ["pull nginx:1", "stop web"]}));
        let news = News { state: state.to_owned(), reason: Some(reason.to_owned()), result };
        Ended::of(Ok(news.ending().unwrap()), dry_run)
    };
    let steps = vec!["pull nginx:1".to_owned(), "stop web".to_owned()];
    for (state, reason, dry_run, expect) in [
        ("succeeded", "", false, Ended::So(Fate::Updated)),
        ("succeeded", "", true, Ended::So(Fate::Planned(steps))),
        ("succeeded", "unchanged: the same image", true, Ended::So(Fate::Unchanged)),
        ("failed", "rolled-back: unhealthy", false, Ended::So(Fate::RolledBack("rolled-back: unhealthy".to_owned()))),
        (
            "failed",
            "rollback-incomplete: x",
            false,
            Ended::So(Fate::Failed("rollback-incomplete: x".to_owned(), Exit::Failed)),
        ),
        ("failed", "interrupted: x", false, Ended::So(Fate::Unknown("interrupted: x".to_owned()))),
        ("refused", "busy: x", false, Ended::Busy("busy: x".to_owned())),
        ("refused", "protected: x", false, Ended::So(Fate::LeftOut("protected: x".to_owned()))),
        ("refused", "policy: x", false, Ended::So(Fate::Failed("policy: x".to_owned(), Exit::Refused))),
        ("unknown", "no outcome came", false, Ended::So(Fate::Unknown("no outcome came".to_owned()))),
    ] {
        assert_eq!(ended(state, reason, dry_run), expect, "{state} {reason}");
    }
    let problem = |code: &str| {
        let (code, detail) = (code.to_owned(), String::new());
        Ended::of(Err(Failure::Problem(Problem { status: 400, code, detail, command: None })), false)
    };
    assert_eq!(problem("busy"), Ended::Busy("busy".to_owned()));
    assert_eq!(problem("protected"), Ended::So(Fate::LeftOut("protected".to_owned())));
    assert_eq!(problem("bad-request"), Ended::So(Fate::Failed("bad-request".to_owned(), Exit::Refused)));
    let open = Ended::of(Err(Failure::Open("gone".to_owned())), false);
    assert_eq!(open, Ended::So(Fate::Unknown("gone".to_owned())));
}
