use std::sync::Arc;

use super::*;
use crate::store::rows::Write as Row;
use crate::store::{Keep, Store};

fn row() -> CommandRow {
    CommandRow {
        state: State::Failed,
        reason: Some("no such container".into()),
        result: Some("[1]".into()),
        ended: Some(1_795_228_545_000),
        ..CommandRow::example("1-a")
    }
}

async fn printed(rows: Vec<CommandRow>, agent: Option<&str>, json: bool) -> String {
    let room = tempfile::tempdir().unwrap();
    let database = room.path().join("bridge.db");
    let (store, _) = Store::open(&database, Keep::default()).unwrap();
    let rows: Arc<[Row]> = rows.into_iter().map(|row| Row::Command(Box::new(row))).collect();
    store.commit(rows).await.unwrap();
    let mut out = Vec::new();
    let agent = agent.map(|agent| agent.parse().unwrap());
    show(&database, agent.as_ref(), None, json, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

// E6
#[tokio::test]
async fn people_read_when_who_where_what_and_how_it_ended() {
    let later = CommandRow {
        jti: "2-b".into(),
        issued: row().issued + 1000,
        who: "uid:0 as Ann".into(),
        what: Command::Remove { container: "db".into(), force: true, volumes: false },
        ..CommandRow::example("2-b")
    };
    assert_eq!(
        printed(vec![later, row()], Some("pi"), false).await,
        "2026-11-21T02:35:44.250Z  uid:1000  pi  stop web timeout 5  failed: no such container\n\
         2026-11-21T02:35:45.250Z  uid:0 as Ann  pi  remove db force  issued\n"
    );
    assert_eq!(printed(vec![row()], Some("attic"), false).await, "No command was given.\n");
    assert_eq!(printed(Vec::new(), None, true).await, "");
}

// E6
#[tokio::test]
async fn json_has_these_names_in_this_order() {
    assert_eq!(
        printed(vec![row()], None, true).await,
        "{\"jti\":\"1-a\",\"agent\":\"pi\",\"who\":\"uid:1000\",\
         \"what\":{\"do\":\"stop\",\"container\":\"web\",\"timeout\":5},\"issued\":1795228544250,\
         \"expires\":1795228604000,\"state\":\"failed\",\"reason\":\"no such container\",\"result\":[1],\
         \"ended\":1795228545000}\n"
    );
}

// E13
#[tokio::test]
async fn no_name_can_drive_the_terminal() {
    let hostile = "a\u{1b}[2Jb\n\u{9b}\u{202e}";
    let row = CommandRow {
        who: hostile.into(),
        what: Command::Rename { container: hostile.into(), to: hostile.into() },
        reason: Some(hostile.into()),
        ..row()
    };
    let text = printed(vec![row], None, false).await;
    assert_eq!(text.matches("a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}").count(), 4, "{text:?}");
    assert_eq!(text.matches('\n').count(), 1, "{text:?}");
}
