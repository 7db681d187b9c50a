//! Commands and how they went.

use radar_wire::command::Command as Order;

use super::super::rows::CommandRow;
use super::*;
use crate::commanding::State;

const DAY: i64 = 86_400_000;

fn under_way(jti: &str) -> CommandRow {
    CommandRow::example(jti)
}

fn ended(jti: &str, state: State) -> CommandRow {
    let (reason, result) = (Some("why".into()), Some("[1]".into()));
    CommandRow { state, reason, result, ended: Some(1_795_228_545_000), ..under_way(jti) }
}

fn write(row: CommandRow) -> Write {
    Write::Command(Box::new(row))
}

fn read(room: &Room, agent: Option<&str>, since: Option<i64>) -> Vec<CommandRow> {
    let mut rows = Vec::new();
    let agent = agent.map(agent_id);
    let each = |row| {
        rows.push(row);
        ControlFlow::Continue(())
    };
    room.reader().commands(agent.as_ref(), since, each).unwrap();
    rows
}

// E6
#[tokio::test]
async fn those_under_way_are_there_after_a_restart_and_the_last_name_too() {
    let room = Room::new();
    let (store, empty) = room.open();
    assert_eq!((empty.commands, empty.last_command), (Vec::new(), None));
    let accepted = CommandRow { state: State::Accepted, ..under_way("2-b") };
    let rows = [under_way("1-a"), under_way("2-b"), under_way("3-c")];
    commit(&store, rows.clone().map(write).into()).await;
    commit(&store, vec![write(accepted.clone()), write(ended("3-c", State::Succeeded))]).await;
    store.close().await;
    let (_store, restored) = room.open();
    assert_eq!(restored.commands, [rows[0].clone(), accepted.clone()]);
    assert_eq!(restored.last_command.as_deref(), Some("3-c"));
    assert_eq!(read(&room, None, None), [rows[0].clone(), accepted, ended("3-c", State::Succeeded)]);
}

// E6
#[tokio::test]
async fn one_that_has_ended_never_changes() {
    let room = Room::new();
    let (store, _) = room.open();
    commit(&store, vec![write(under_way("1-a")), write(ended("1-a", State::Succeeded))]).await;
    let late = CommandRow { state: State::Accepted, ..under_way("1-a") };
    commit(&store, vec![write(late), write(ended("1-a", State::Unknown))]).await;
    assert_eq!(read(&room, None, None), [ended("1-a", State::Succeeded)]);
}

// E5
#[tokio::test]
async fn one_that_nobody_knew_the_end_of_changes_once_to_its_end() {
    let room = Room::new();
    let (store, _) = room.open();
    commit(&store, vec![write(under_way("1-a")), write(ended("1-a", State::Unknown))]).await;
    commit(&store, vec![write(CommandRow { state: State::Accepted, ..under_way("1-a") })]).await;
    assert_eq!(read(&room, None, None), [ended("1-a", State::Unknown)]);
    for state in [State::Failed, State::Succeeded] {
        commit(&store, vec![write(ended("1-a", state))]).await;
        assert_eq!(read(&room, None, None), [ended("1-a", State::Failed)]);
    }
}

// E6
#[tokio::test]
async fn they_are_read_by_agent_and_time_as_they_were_given() {
    let room = Room::new();
    let (store, _) = room.open();
    let of = |jti: &str, agent: &str, issued| CommandRow { agent: agent_id(agent), issued, ..under_way(jti) };
    let rows = [of("3-c", "pi", 30), of("1-a", "pi", 10), of("2-b", "attic", 20)];
    commit(&store, rows.map(write).into()).await;
    let names = |agent, since| read(&room, agent, since).into_iter().map(|row| row.jti).collect::<Vec<_>>().join(" ");
    assert_eq!(names(None, None), "1-a 2-b 3-c");
    assert_eq!(names(Some("pi"), None), "1-a 3-c");
    assert_eq!(names(None, Some(20)), "2-b 3-c");
    assert_eq!(names(Some("nobody"), None), "");
}

// E5
#[tokio::test]
async fn the_newest_are_told_first_and_one_by_its_name() {
    let room = Room::new();
    let (store, _) = room.open();
    let of = |jti: &str, agent: &str| CommandRow { agent: agent_id(agent), ..under_way(jti) };
    commit(&store, [of("1-a", "pi"), of("2-b", "attic"), of("3-c", "pi")].map(write).into()).await;
    let reader = room.reader();
    let names = |agent: Option<&str>, before, limit| {
        let rows = reader.newest_commands(agent.map(agent_id).as_ref(), before, limit).unwrap();
        rows.into_iter().map(|row| row.jti).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(None, None, 2), "3-c 2-b");
    assert_eq!(names(None, Some("2-b"), 9), "1-a");
    assert_eq!(names(Some("pi"), None, 9), "3-c 1-a");
    assert_eq!(reader.command("2-b").unwrap(), Some(of("2-b", "attic")));
    assert_eq!(reader.command("2").unwrap(), None);
}

// E6
#[tokio::test]
async fn they_outlive_their_agent_and_go_when_they_are_too_old() {
    let room = Room::new();
    let keep = Keep { days: 2, ..Keep::default() };
    let (store, _) = Store::open(&room.path(), keep).unwrap();
    let at = |number: i64, issued| write(CommandRow { issued, ..ended(&format!("{number:05}-a"), State::Failed) });
    let old: Vec<_> = (0..4500).map(|number| at(number, 0)).collect();
    commit(&store, old).await;
    commit(&store, vec![agent("pi"), at(5000, DAY), Write::Purge(agent_id("pi"))]).await;
    assert!(!store.tidy(2 * DAY).await.unwrap().more);
    assert_eq!(read(&room, Some("pi"), None).len(), 4501);
    let mut slices = 1;
    while store.tidy(2 * DAY + 5).await.unwrap().more {
        slices += 1;
    }
    assert_eq!((slices, read(&room, Some("pi"), None).len()), (3, 1));
}

// E6
#[tokio::test]
async fn a_word_of_a_later_version_does_not_keep_the_bridge_from_starting() {
    let room = Room::new();
    let (store, _) = room.open();
    commit(&store, vec![write(under_way("1-a"))]).await;
    store.close().await;
    let later = r#"UPDATE commands SET what = '{"do":"start","container":7}', state = 'dreaming'"#;
    Connection::open(room.path()).unwrap().execute_batch(later).unwrap();
    let (_store, restored) = room.open();
    assert_eq!((&restored.commands[0].what, restored.commands[0].state), (&Order::Unknown, State::Unknown));
}

#[tokio::test]
async fn a_database_that_was_not_brought_forward_yet_has_none() {
    let room = Room::new();
    fs::create_dir(room.path().parent().unwrap()).unwrap();
    let old = Connection::open(room.path()).unwrap();
    old.execute_batch(include_str!("version1.sql")).unwrap();
    assert_eq!(read(&room, None, None), []);
}
