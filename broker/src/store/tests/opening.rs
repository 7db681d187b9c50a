//! Files that are there already, files that cannot grow.

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

// RR3
#[tokio::test]
async fn nobody_else_can_read_it() {
    let room = Room::new();
    let (store, _) = room.open();
    commit(&store, vec![agent("pi")]).await;
    assert_eq!(mode(room.path().parent().unwrap()), 0o700);
    let files: Vec<_> = fs::read_dir(room.path().parent().unwrap()).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    store.close().await;
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let _store = room.open();
    assert_eq!(mode(&room.path()), 0o600);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let room = Room::new();
    fs::create_dir(room.path().parent().unwrap()).unwrap();
    Connection::open(room.path()).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    assert!(matches!(Store::open(&room.path(), Keep::default()), Err(OpenError::Foreign { .. })));

    fs::write(room.path(), "no database at all, but long enough that nobody takes it for an empty one".repeat(99))
        .unwrap();
    let before = fs::read(room.path()).unwrap();
    let error = Store::open(&room.path(), Keep::default()).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains(&room.path().display().to_string()), "{error}");
    assert_eq!(fs::read(room.path()).unwrap(), before);

    let nowhere = Room::new();
    assert!(matches!(Reader::open(&nowhere.path()), Err(OpenError::Missing { .. })));
    assert!(!nowhere.path().exists());
    let under_a_file = room.path().join("bridge.db");
    assert!(matches!(Store::open(&under_a_file, Keep::default()), Err(OpenError::Access { .. })));
}

/// A small file system in memory, where this may be mounted.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(&path);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn many(from: u64) -> Arc<[Write]> {
    (from..from + 2000).map(|number| write("pi", plain(7, number, "die", None))).collect()
}

// E1
#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_stored_and_takes_the_same_batch_later() {
    let room = Room::new();
    let Some(_disk) = Small::mount(room.path().parent().unwrap().to_owned()) else { return };
    let ballast = room.path().with_file_name("ballast");
    let (store, _) = room.open();
    commit(&store, vec![agent("pi"), write("pi", plain(7, 1, "start", None))]).await;
    fs::write(&ballast, vec![0; 5_000_000]).unwrap_err();
    let batch = many(2);
    for _ in 0..3 {
        let error = store.commit(batch.clone()).await.unwrap_err();
        assert!(matches!(error, CommitError::Full { .. } | CommitError::Access { .. }), "{error:?}");
        assert!(error.to_string().contains("bridge.db"), "{error}");
        assert_eq!(room.history("pi"), ["start 7/1"]);
    }
    fs::remove_file(ballast).unwrap();
    assert_eq!(store.commit(batch).await.unwrap().stored, 2000);
    assert_eq!(room.history("pi").len(), 2001);
}

// E1
#[test]
fn a_database_that_cannot_grow_says_so_and_takes_the_same_batch_later() {
    let room = Room::new();
    let connection = schema::open(&room.path(), schema::MIGRATIONS).unwrap();
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let mut owner = Owner { connection, memory: None, path: room.path(), keep: Keep::default() };
    owner.with(|connection, memory, _| batch::commit(connection, memory, &[agent("pi")])).unwrap();
    let limit = |owner: &Owner, pages: i64| {
        owner.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    limit(&owner, pages + 5);
    let batch = many(1);
    for _ in 0..2 {
        let error = owner.with(|connection, memory, _| batch::commit(connection, memory, &batch)).unwrap_err();
        assert!(matches!(&error, CommitError::Full { path } if *path == room.path()), "{error:?}");
        assert_eq!(room.history("pi").len(), 0);
    }
    limit(&owner, 1_000_000);
    let committed = owner.with(|connection, memory, _| batch::commit(connection, memory, &batch)).unwrap();
    assert_eq!((committed.stored, room.history("pi").len()), (2000, 2000));
}
