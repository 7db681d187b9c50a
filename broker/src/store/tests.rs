//! On real SQLite files.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;

use radar_link::secret::Secret;
use radar_wire::codec::ContentType;
use radar_wire::container::ContainerId;
use radar_wire::event::{Action, Event};
use radar_wire::fields::Fields;
use radar_wire::topic::AgentId;
use tempfile::TempDir;

use super::rows::{AgentRow, SnapshotRow, UpstreamRow};
use super::*;
use crate::relay::{Credential, Enrollment, Standing};

mod commands;
mod keep;
mod opening;
mod reading;
mod speed;
mod together;
mod versions;

/// A directory with a database in it.
struct Room {
    room: TempDir,
}

impl Room {
    fn new() -> Self {
        Self { room: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.room.path().join("data/bridge.db")
    }

    fn open(&self) -> (Store, Restored) {
        Store::open(&self.path(), Keep::default()).unwrap()
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.path()).unwrap()
    }

    /// An agent's history in the engine's order, as text.
    fn history(&self, agent: &str) -> Vec<String> {
        let mut all = Vec::new();
        let each = |stored: StoredEvent| {
            all.push(text(&stored.event));
            ControlFlow::Continue(())
        };
        self.reader().events(&agent_id(agent), None, each).unwrap();
        all
    }
}

fn text(event: &Event) -> String {
    let Event { epoch, sequence, first, action, .. } = event;
    match first {
        Some(first) => format!("{} {epoch}/{first}..={sequence}", action.as_str()),
        None => format!("{} {epoch}/{sequence}", action.as_str()),
    }
}

fn agent_id(agent: &str) -> AgentId {
    agent.parse().unwrap()
}

fn agent(agent: &str) -> Write {
    Write::Agent(Box::new(row(agent)))
}

fn row(agent: &str) -> AgentRow {
    AgentRow {
        agent: agent_id(agent),
        heard: 17,
        online: true,
        reason: "start".into(),
        session: 4,
        status: Some(b"status".as_slice().into()),
        tracking: vec![1, 2, 3],
        lost: 5,
        unknown_gaps: 1,
        missing: 2,
        containers: Some((25, 20)),
        engine: Some(true),
        complete: true,
        conflict: Some("a b".to_owned()),
    }
}

fn plain(epoch: u64, sequence: u64, action: &str, time: Option<i64>) -> Event {
    let (id, name, set) = (Some(ContainerId::new([7; 32])), Some("web".into()), Fields::default());
    Event { epoch, sequence, first: None, at: 1000, time, action: action.into(), id, name, set }
}

fn gap(epoch: u64, first: u64, last: u64) -> Event {
    let event = plain(epoch, last, Action::Gap.as_str(), None);
    Event { first: Some(first), id: None, name: None, ..event }
}

fn write(agent: &str, event: Event) -> Write {
    Write::Event { agent: agent_id(agent), heard: 2000, event: Box::new(event) }
}

fn recovered(agent: &str, epoch: u64, sequence: u64) -> Write {
    Write::Recovered { agent: agent_id(agent), epoch, sequence }
}

fn account(agent: &str) -> UpstreamRow {
    let granted = Enrollment::granted("up-1".parse().unwrap(), Credential::Token(Secret::new("hush-token")));
    let mut enrollment = Enrollment { standing: Standing::Enrolled, secret: Some(Secret::new("hush")), ..granted };
    enrollment.told.offline = true;
    UpstreamRow { agent: agent_id(agent), server: "https://radar.example".into(), enrollment }
}

async fn commit(store: &Store, writes: Vec<Write>) -> Committed {
    store.commit(writes.into()).await.unwrap()
}

// RR3 E1
#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let room = Room::new();
    let (store, empty) = room.open();
    assert_eq!((empty.agents, empty.upstreams), (vec![], vec![]));
    let snapshot = SnapshotRow {
        epoch: 7,
        sequence: 1,
        at: 9,
        content_type: ContentType::CborZlib,
        bytes: b"snapshot".as_slice().into(),
    };
    let set = Fields::of(&crate::fleet::tests::record("web", "running"));
    let after = Event { set, ..plain(7, 2, "die", Some(60)) };
    let next = plain(8, 1, "start", Some(70));
    let writes = vec![
        agent("pi"),
        write("pi", plain(7, 1, "start", Some(50))),
        Write::Snapshot(agent_id("pi"), Box::new(snapshot.clone())),
        write("pi", after.clone()),
        write("pi", next.clone()),
        Write::Upstream(Box::new(account("pi"))),
    ];
    assert_eq!(commit(&store, writes).await, Committed { stored: 3, duplicates: 0 });
    // A row without a status keeps the one that is there.
    let changed = AgentRow { status: None, heard: 18, ..row("pi") };
    commit(&store, vec![Write::Agent(Box::new(changed))]).await;
    store.close().await;
    assert_eq!(fs::read_dir(room.path().parent().unwrap()).unwrap().count(), 1);

    let (_store, restored) = room.open();
    assert_eq!(restored.origin, empty.origin);
    assert_eq!(restored.origin.len(), 16);
    let [pi] = &*restored.agents else { panic!("{restored:?}") };
    assert_eq!(pi.row, AgentRow { heard: 18, ..row("pi") });
    assert_eq!(pi.snapshot.as_ref(), Some(&snapshot));
    assert_eq!(pi.tail, [after, next]);
    assert_eq!(restored.upstreams, [account("pi")]);
}

// E1
#[tokio::test]
async fn an_event_is_stored_once_by_its_number_and_by_its_time() {
    let room = Room::new();
    let (store, _) = room.open();
    let first = vec![agent("pi"), agent("attic"), write("pi", plain(7, 1, "start", Some(50)))];
    commit(&store, first).await;
    let again = vec![
        write("pi", plain(7, 1, "start", Some(50))),
        // The same thing, told again after a crash.
        write("pi", plain(8, 1, "start", Some(50))),
        // Not the same things.
        write("pi", plain(8, 2, "die", Some(50))),
        write("pi", plain(8, 3, "start", Some(51))),
        write("attic", plain(8, 1, "start", Some(50))),
        write("pi", plain(8, 4, "changed", None)),
        write("pi", plain(8, 5, "changed", None)),
    ];
    assert_eq!(commit(&store, again).await, Committed { stored: 5, duplicates: 2 });
    assert_eq!(room.history("pi"), ["start 7/1", "die 8/2", "start 8/3", "changed 8/4", "changed 8/5"]);
}

// E1
#[tokio::test]
async fn a_gap_shrinks_and_parts_when_its_numbers_come_after_all() {
    for (number, left) in [
        (3, vec!["gap 7/4..=6"]),
        (6, vec!["gap 7/3..=5"]),
        (4, vec!["gap 7/3..=3", "gap 7/5..=6"]),
        (2, vec!["gap 7/3..=6"]),
        (7, vec!["gap 7/3..=6"]),
    ] {
        let room = Room::new();
        let (store, _) = room.open();
        commit(&store, vec![agent("pi"), write("pi", gap(7, 3, 6)), recovered("pi", 7, number)]).await;
        assert_eq!(room.history("pi"), left, "{number}");
    }
    let room = Room::new();
    let (store, _) = room.open();
    commit(&store, vec![agent("pi"), write("pi", gap(7, 3, 3)), recovered("pi", 7, 3)]).await;
    assert_eq!(room.history("pi"), [""; 0]);
}

// E1
#[tokio::test]
async fn a_batch_is_stored_as_a_whole_or_not_at_all() {
    let room = Room::new();
    let (store, _) = room.open();
    commit(&store, vec![agent("pi")]).await;
    let mut writes = vec![write("pi", plain(7, 1, "start", Some(50))), agent("attic"), write("nobody", gap(1, 1, 1))];
    let error = store.commit(writes.clone().into()).await.unwrap_err();
    assert!(matches!(error, CommitError::Failed { .. }), "{error}");
    assert_eq!((room.history("pi"), room.reader().agents().unwrap().len()), (vec![], 1));
    // What the thread remembers is what is stored.
    writes[2] = write("attic", gap(1, 1, 1));
    assert_eq!(commit(&store, writes).await.stored, 2);
    assert_eq!((room.history("pi").len(), room.history("attic").len()), (1, 1));
}

// E1
#[tokio::test]
async fn a_transaction_that_was_under_way_at_a_crash_never_was() {
    let room = Room::new();
    let (store, _) = room.open();
    commit(&store, vec![agent("pi"), write("pi", plain(7, 1, "start", Some(50)))]).await;
    store.close().await;

    let mut connection = schema::open(&room.path(), schema::MIGRATIONS).unwrap();
    // So that what is not committed reaches the disk.
    connection.pragma_update(None, "cache_size", 10).unwrap();
    let transaction = connection.transaction().unwrap();
    for number in 2..5000 {
        let insert = "INSERT INTO events (agent, epoch, seq, at, action) VALUES (1, 7, ?1, 0, 'die')";
        transaction.execute(insert, [number]).unwrap();
    }
    // What a crash leaves behind.
    let crashed = Room::new();
    fs::create_dir(crashed.path().parent().unwrap()).unwrap();
    for end in ["", "-wal"] {
        let from = format!("{}{end}", room.path().display());
        let size = fs::copy(from, format!("{}{end}", crashed.path().display())).unwrap();
        assert!(size > 100_000 || end.is_empty(), "{size}");
    }
    let (store, restored) = crashed.open();
    assert_eq!((restored.agents.len(), crashed.history("pi")), (1, vec!["start 7/1".to_owned()]));
    assert_eq!(commit(&store, vec![write("pi", plain(7, 2, "die", None))]).await.stored, 1);
}

// E3
#[tokio::test]
async fn purged_is_everything_of_an_agent_and_of_no_other() {
    let room = Room::new();
    let (store, _) = room.open();
    for name in ["pi", "attic"] {
        let snapshot =
            SnapshotRow { epoch: 7, sequence: 1, at: 9, content_type: ContentType::Cbor, bytes: Box::default() };
        let writes = vec![
            agent(name),
            write(name, plain(7, 1, "start", Some(50))),
            Write::Snapshot(agent_id(name), Box::new(snapshot)),
            Write::Upstream(Box::new(account(name))),
        ];
        commit(&store, writes).await;
    }
    commit(&store, vec![Write::Purge(agent_id("pi")), Write::Purge(agent_id("nobody"))]).await;
    assert_eq!((room.history("pi").len(), room.history("attic").len()), (0, 1));
    // It may come back.
    commit(&store, vec![agent("pi"), write("pi", plain(7, 1, "start", Some(50)))]).await;
    let (_, restored) = room.open();
    assert_eq!(restored.upstreams, [account("attic")]);
    let snapshots: Vec<_> = restored.agents.iter().map(|agent| agent.snapshot.is_some()).collect();
    assert_eq!(snapshots, [true, false]);
}

#[tokio::test]
async fn a_store_that_was_closed_says_so() {
    let room = Room::new();
    let (store, _) = room.open();
    store.clone().close().await;
    assert!(matches!(store.commit(Arc::new([])).await, Err(CommitError::Stopped)));
}
