//! What is kept of what commands have found: on the disk, and in memory while the broker is away.

use ciborium::Value;
use radar_wire::command::Prunable;

use super::*;

/// The most that a list may be.
const LARGE: usize = 192 * 1024;

fn found(bytes: usize) -> Result<Done, ActError> {
    Ok(Done { needed: true, result: Some(Value::from("x".repeat(bytes))) })
}

fn prune() -> Command {
    Command::Prune { what: Prunable::Images, all: true }
}

impl Desk {
    /// Has this done, which finds so much, and tells nobody yet.
    fn find(&mut self, command: Command, bytes: usize) {
        let claims = self.claims(command);
        self.send(&claims);
        let ticket = self.acts.last().unwrap().0;
        self.done(ticket, found(bytes));
    }

    /// The agent ends, and starts again with what is on the disk.
    fn crashed(self) -> Self {
        let Self { key, commands, journal, .. } = self;
        Self::with(key, commands.rules, read(&journal))
    }
}

fn with_results(desk: &Desk) -> usize {
    desk.commands.outcomes.iter().filter(|outcome| outcome.result.is_some()).count()
}

// E5, E13
#[test]
fn however_much_is_found_the_journal_stays_small() {
    for told in [true, false] {
        let mut desk = Desk::new("all");
        for number in 0..200 {
            let command = if number % 2 == 0 { Command::Images } else { prune() };
            desk.find(command, LARGE);
            if told {
                desk.told();
                desk.settle();
            }
            assert!(desk.journal.len() < 256 * (number + 2), "{} of {number}, {told}", desk.journal.len());
        }
        // What is small is kept, until there is too much of it.
        for number in 0..200 {
            desk.find(prune(), 1000);
            if told {
                desk.told();
                desk.settle();
            }
            let most = 256 * (number + 202) + if told { 0 } else { 64 * 1024 };
            assert!(desk.journal.len() < most, "{} of {number}, {told}", desk.journal.len());
        }
        let kept = read(&desk.journal);
        let kept = kept.entries().filter(|(_, entry)| entry.outcome.as_ref().is_some_and(|one| one.result.is_some()));
        assert_eq!(kept.count(), if told { 0 } else { 65 });
    }
}

// E5, E13
#[test]
fn what_waits_for_the_broker_is_bounded_and_each_command_still_ends_truly() {
    let mut desk = Desk::new("all");
    for _ in 0..12 {
        desk.find(Command::Images, LARGE);
    }
    desk.find(prune(), LARGE);
    desk.find(prune(), 1000);
    assert_eq!(with_results(&desk), 10 + 1, "ten lists, and what is small");
    let told = desk.told();
    let ends: Vec<&str> = told.iter().filter(|one| !one.ends_with("accepted")).map(|one| &one[3..]).collect();
    let list = |number: usize| if number <= 10 { "succeeded" } else { "failed interrupted" };
    let mut expected: Vec<String> = (1..=12).map(|number| format!("{number} {}", list(number))).collect();
    expected.extend(["13 succeeded not-kept".to_owned(), "14 succeeded".to_owned()]);
    assert_eq!(ends, expected);
    // There is room again.
    desk.find(Command::Images, LARGE);
    assert_eq!(with_results(&desk), 1);
}

// E5
#[test]
fn after_a_crash_what_only_read_is_to_be_asked_again_and_what_was_done_was_done() {
    let mut desk = Desk::new("all");
    desk.find(Command::Images, 100);
    desk.find(prune(), 100);
    desk.find(prune(), LARGE);
    let mut after = desk.crashed();
    assert_eq!(with_results(&after), 1);
    assert_eq!(after.told(), ["01-1 failed interrupted", "01-2 succeeded", "01-3 succeeded not-kept"]);
    after.settle();
    assert!(after.crashed().told().is_empty());
}

// E5
#[test]
fn what_comes_again_after_it_was_told_is_told_without_what_it_found() {
    let mut desk = Desk::new("all");
    let claims = desk.claims(Command::Images);
    desk.send(&claims);
    // Nothing is known of its end yet.
    desk.send(&claims);
    desk.done(1, found(100));
    desk.send(&claims);
    assert_eq!(desk.told(), ["01-1 accepted", "01-1 succeeded"]);
    desk.send(&claims);
    assert_eq!((with_results(&desk), desk.told()), (0, vec!["01-1 succeeded not-kept".to_owned()]));
    assert_eq!(desk.acts.len(), 1);
}

// E5
#[test]
fn a_journal_of_an_earlier_version_is_read() {
    let outcome = |jti: &str| Outcome {
        jti: jti.into(),
        at: NOW,
        state: Progress::Succeeded,
        reason: None,
        result: Some(Value::from("x".repeat(LARGE))),
    };
    let entry = |jti: &str| {
        let outcome = Value::serialized(&outcome(jti)).unwrap();
        let fields = [("until", Value::from(NOW / 1000)), ("outcome", outcome), ("told", false.into())];
        (Value::from(jti), Value::Map(fields.map(|(name, value)| (name.into(), value)).into()))
    };
    let entries = Value::Map(vec![entry("01-1"), entry("01-2")]);
    let journal = Value::Map(vec![("entries".into(), entries), ("latest".into(), (NOW / 1000).into())]);
    let mut bytes = Vec::new();
    ciborium::into_writer(&journal, &mut bytes).unwrap();
    let mut desk = Desk { journal: bytes, ..Desk::new("all") }.crashed();
    desk.settle();
    assert!(desk.journal.len() < 1000, "it shrinks at once");
    assert_eq!((with_results(&desk), desk.told()), (2, vec!["01-1 succeeded".to_owned(), "01-2 succeeded".to_owned()]));
}
