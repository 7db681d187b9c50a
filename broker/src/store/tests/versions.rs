//! Databases of earlier versions, and of later ones.

use super::super::rows::CommandRow;
use super::*;
use crate::commanding::State;

/// A database of every version that was, with the same in it as far as that version knew it. A new migration comes with
/// the file of its version.
const VERSIONS: [&str; 2] = [include_str!("version1.sql"), include_str!("version2.sql")];

/// A room with the database of a version.
fn room_of(version: usize) -> Room {
    let room = Room::new();
    fs::create_dir(room.path().parent().unwrap()).unwrap();
    Connection::open(room.path()).unwrap().execute_batch(VERSIONS[version - 1]).unwrap();
    room
}

fn version(connection: &Connection) -> i64 {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// Every word of how a database is made, without how it is written down.
fn made_of(connection: &Connection) -> Vec<String> {
    let mut query = connection.prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").unwrap();
    let texts = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    texts.map(|text| text.unwrap().split_whitespace().collect::<String>()).collect()
}

/// All that was in it still is.
fn check_all_of(version: usize, connection: &Connection) {
    let restored = restore::restore(connection).unwrap();
    assert_eq!(restored.origin, "0123456789abcdef");
    let [pi] = &*restored.agents else { panic!("{restored:?}") };
    assert_eq!(pi.row, row("pi"));
    let snapshot =
        SnapshotRow { epoch: 7, sequence: 1, at: 9, content_type: ContentType::Cbor, bytes: [0xa0].as_slice().into() };
    assert_eq!(pi.snapshot, Some(snapshot));
    assert_eq!(pi.tail, [plain(7, 2, "die", Some(60))]);
    assert_eq!(restored.upstreams, [account("pi")]);
    let commands = if version >= 2 { vec![CommandRow::example("1-a")] } else { Vec::new() };
    assert_eq!(restored.commands, commands);
    assert_eq!(restored.last_command.as_deref(), (version >= 2).then_some("2-b"));
}

// E13
#[test]
fn a_database_of_every_version_is_brought_forward_with_all_that_is_in_it() {
    assert_eq!(VERSIONS.len(), schema::MIGRATIONS.len(), "a version has no file with its database");
    let new = Room::new();
    let new = made_of(&schema::open(&new.path(), schema::MIGRATIONS).unwrap());
    for old in 1..=VERSIONS.len() {
        let room = room_of(old);
        let connection = schema::open(&room.path(), schema::MIGRATIONS).unwrap();
        assert_eq!(version(&connection), 2, "from {old}");
        assert_eq!(made_of(&connection), new, "from {old}");
        check_all_of(old, &connection);
        drop(connection);
        assert_eq!(room.history("pi"), ["start 7/1", "die 7/2"], "from {old}");
        let mut told = Vec::new();
        let each = |row| {
            told.push(row);
            ControlFlow::Continue(())
        };
        room.reader().commands(None, None, each).unwrap();
        let (reason, result) = (Some("why".into()), Some("[1]".into()));
        let (state, ended) = (State::Succeeded, Some(1_795_228_545_000));
        let both =
            [CommandRow::example("1-a"), CommandRow { state, reason, result, ended, ..CommandRow::example("2-b") }];
        assert_eq!(told, if old >= 2 { both.to_vec() } else { Vec::new() }, "from {old}");
    }
}

// E13
#[tokio::test]
async fn what_was_brought_forward_is_written_on_as_before() {
    for old in 1..=VERSIONS.len() {
        let room = room_of(old);
        let (store, _) = room.open();
        // What is there already by number and by time, and what is new.
        let again = vec![write("pi", plain(7, 2, "die", Some(60))), write("pi", plain(8, 1, "die", Some(60)))];
        assert_eq!(commit(&store, again).await, Committed { stored: 0, duplicates: 2 }, "from {old}");
        assert_eq!(commit(&store, vec![write("pi", plain(8, 2, "start", Some(70)))]).await.stored, 1, "from {old}");
        let command = Write::Command(Box::new(CommandRow::example("3-c")));
        commit(&store, vec![command]).await;
        store.close().await;
        let (_store, restored) = room.open();
        assert_eq!(restored.last_command.as_deref(), Some("3-c"));
        assert_eq!(room.history("pi").len(), 3);
    }
}

// E13
#[test]
fn a_later_version_is_left_alone() {
    let room = room_of(1);
    let colour = "ALTER TABLE agents ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'";
    let connection = schema::open(&room.path(), &[schema::MIGRATIONS, &[colour]].concat()).unwrap();
    assert_eq!(version(&connection), 3);
    check_all_of(1, &connection);
    drop(connection);
    let before = fs::read(room.path()).unwrap();
    let error = Store::open(&room.path(), Keep::default()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 3, known: 2, .. }), "{error}");
    assert!(Reader::open(&room.path()).is_err());
    assert_eq!(fs::read(room.path()).unwrap(), before);
}

// E13, E1
#[test]
fn a_migration_that_is_cut_off_never_was() {
    // It moves a lot, and fails at its end.
    let many = "CREATE TABLE half AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000)
                SELECT x, hex(randomblob(40)) AS y FROM n; DELETE FROM events;";
    for old in 1..=VERSIONS.len() {
        let room = room_of(old);
        let failing = format!("{many} UPDATE nothing SET x = 1");
        assert!(schema::open(&room.path(), &[schema::MIGRATIONS, &[&failing]].concat()).is_err());
        assert_eq!(version(&Connection::open(room.path()).unwrap()), i64::try_from(old).unwrap());
        // Killed in its middle: what is on the disk by then, and nothing more.
        let mut connection = Connection::open(room.path()).unwrap();
        connection.execute_batch("PRAGMA journal_mode = wal; PRAGMA cache_size = 10").unwrap();
        let transaction = connection.transaction().unwrap();
        schema::MIGRATIONS[old..].iter().for_each(|step| transaction.execute_batch(step).unwrap());
        transaction.execute_batch(many).unwrap();
        transaction.pragma_update(None, "user_version", 3).unwrap();
        let killed = Room::new();
        fs::create_dir(killed.path().parent().unwrap()).unwrap();
        for end in ["", "-wal"] {
            let from = format!("{}{end}", room.path().display());
            let size = fs::copy(from, format!("{}{end}", killed.path().display())).unwrap();
            assert!(size > 100_000 || end.is_empty(), "{size}");
        }
        drop(transaction);
        let connection = schema::open(&killed.path(), schema::MIGRATIONS).unwrap();
        assert_eq!(version(&connection), 2, "from {old}");
        check_all_of(old, &connection);
        assert!(!made_of(&connection).iter().any(|text| text.contains("half")), "from {old}");
    }
}
