use radar_link::secret::Secret;
use tempfile::TempDir;

use super::*;
use crate::commanding::State;
use crate::relay::{Credential, Enrollment};
use crate::store::Keep;
use crate::store::rows::AgentRow;

const fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn commits() -> (TempDir, Commits) {
    let room = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&room.path().join("bridge.db"), Keep::default()).unwrap();
    (room, Commits::new(store))
}

fn agent() -> Vec<Write> {
    vec![Write::Agent(Box::new(AgentRow::example()))]
}

fn account(token: &str) -> UpstreamRow {
    UpstreamRow {
        agent: "pi".parse().unwrap(),
        server: "http://server".into(),
        enrollment: Enrollment::granted("u-1".parse().unwrap(), Credential::Token(Secret::new(token))),
    }
}

async fn ended(commits: &mut Commits, now: Duration) -> Durable {
    let result = commits.ended().await;
    commits.handle_ended(result, now).unwrap().unwrap()
}

fn full() -> Result<Committed, CommitError> {
    Err(CommitError::Full { path: "/data/bridge.db".into() })
}

// E1, RR3
#[tokio::test]
async fn what_was_collected_is_durable_when_its_transaction_has_ended_and_not_before() {
    let (_room, mut commits) = commits();
    commits.account(account("a"));
    assert!(commits.start(agent(), at(0)).is_none());
    assert!(commits.is_busy());
    let durable = ended(&mut commits, at(7)).await;
    assert_eq!(durable.accounts, ["pi".parse().unwrap()]);
    assert_eq!(durable.committed.unwrap().1, at(7));
    assert!(!commits.is_busy());
}

#[tokio::test]
async fn where_nothing_is_to_be_written_nothing_is_waited_for() {
    let (_room, mut commits) = commits();
    assert!(commits.start(Vec::new(), at(0)).is_none());
    assert!(!commits.is_busy());
}

// RR3
#[tokio::test]
async fn an_account_that_changed_meanwhile_is_not_durable_yet() {
    let (_room, mut commits) = commits();
    commits.account(account("a"));
    commits.start(agent(), at(0));
    commits.account(account("b"));
    assert!(ended(&mut commits, at(0)).await.accounts.is_empty());
    commits.start(Vec::new(), at(0));
    assert_eq!(ended(&mut commits, at(0)).await.accounts.len(), 1);
}

// E1
#[tokio::test]
async fn a_transaction_that_fails_is_tried_again_whole_and_its_failure_said_once() {
    let (_room, mut commits) = commits();
    commits.account(account("a"));
    commits.start(agent(), at(0));
    let text = commits.handle_ended(full(), at(0)).unwrap_err();
    assert!(text.contains("disk is full"), "{text}");
    assert_eq!(commits.failing(), Some(&*text));
    assert!(commits.is_busy());

    let again = commits.poll_timeout().unwrap();
    assert!(again > at(0) && again <= MOST);
    commits.handle_timeout(again - at(1));
    assert_eq!(commits.poll_timeout(), Some(again));
    commits.handle_timeout(again);
    assert_eq!(commits.poll_timeout(), None);
    assert!(commits.handle_ended(full(), again).unwrap().is_none());

    commits.handle_timeout(commits.poll_timeout().unwrap());
    let durable = ended(&mut commits, at(90_000)).await;
    assert_eq!(durable.accounts.len(), 1);
    assert_eq!(commits.failing(), None);
}

// E3
#[tokio::test]
async fn the_account_of_an_agent_that_was_purged_is_not_stored() {
    let (_room, mut commits) = commits();
    commits.account(account("a"));
    commits.forget(&"pi".parse().unwrap());
    assert!(commits.start(Vec::new(), at(0)).is_none());
    assert!(!commits.is_busy());
}

// E6
#[tokio::test]
async fn a_command_is_durable_by_its_name_and_its_last_form_is_stored() {
    let (_room, mut commits) = commits();
    commits.command(CommandRow::example("1-a"));
    commits.command(CommandRow { state: State::Accepted, ..CommandRow::example("1-a") });
    assert!(commits.start(Vec::new(), at(0)).is_none());
    assert_eq!(ended(&mut commits, at(0)).await.commands, ["1-a".into()]);
}
