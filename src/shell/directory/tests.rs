use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::agent::outbox::{Entry, Standing};

fn snapshot() -> Snapshot {
    let containers = vec![];
    Snapshot { epoch: 7, sequence: 3, time: Some(9), at: 1, complete: true, engine: None, host: None, containers }
}

fn bytes(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    entries.iter().for_each(|entry| spool::write(entry, &mut bytes));
    bytes
}

// DM19
#[test]
fn one_agent_at_a_time_has_a_directory() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a/b");
    let first = open(Some(&path)).unwrap().unwrap();
    let second = open(Some(&path)).unwrap_err().to_string();
    assert!(second.contains("is in use by another radar-agent") && second.contains("a/b"), "{second}");
    drop(first);
    open(Some(&path)).unwrap().unwrap();
}

// DM19
#[test]
fn a_directory_that_cannot_be_is_refused_by_its_setting() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = open(Some(&file.path().join("data"))).unwrap_err().to_string();
    assert!(error.starts_with("DATA_DIR ") && error.contains("make it writable"), "{error}");
}

// E1
#[test]
fn the_mark_of_a_clean_stop_holds_for_one_start() {
    let parent = tempfile::tempdir().unwrap();
    let directory = open(Some(parent.path())).unwrap().unwrap();
    let (ring, waiting) =
        (Entry { standing: Standing::Acknowledged, ..Entry::gap(7, 1, 2, 5) }, Entry::gap(7, 3, 3, 5));
    directory.finish(bytes(&[ring.clone(), waiting.clone()]), Some(&snapshot())).unwrap();
    let kept = directory.take();
    assert_eq!(kept.spool.entries, [ring, waiting]);
    assert_eq!(kept.stopped, Some(snapshot()));
    assert_eq!(directory.take().stopped, None);
}

// E1
#[test]
fn the_outbox_file_is_appended_replaced_and_removed() {
    let parent = tempfile::tempdir().unwrap();
    let directory = open(Some(parent.path())).unwrap().unwrap();
    let entries: Vec<Entry> = (1..=3).map(|number| Entry::gap(7, number, number, 5)).collect();
    directory.write(&Write::Append(bytes(&entries[..1]))).unwrap();
    directory.write(&Write::Append(bytes(&entries[1..2]))).unwrap();
    assert_eq!(directory.take().spool.entries, entries[..2]);
    let mode = fs::metadata(parent.path().join("outbox")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    directory.write(&Write::Replace(bytes(&entries[2..]))).unwrap();
    assert_eq!(directory.take().spool.entries, entries[2..]);
    directory.write(&Write::Remove).unwrap();
    directory.write(&Write::Remove).unwrap();
    assert_eq!(directory.take().spool, spool::Spool::default());
}

// E1
#[test]
fn files_that_are_not_whole_do_not_stop_the_agent() {
    let parent = tempfile::tempdir().unwrap();
    let directory = open(Some(parent.path())).unwrap().unwrap();
    directory.write_cursor(Cursor { epoch: 7, time: Some(9), read: None }).unwrap();
    assert_eq!(directory.take().cursor, Some(Cursor { epoch: 7, time: Some(9), read: None }));
    for name in ["outbox", "stopped", "cursor"] {
        fs::write(parent.path().join(name), [0; 100]).unwrap();
    }
    let kept = directory.take();
    assert_eq!((kept.spool.dropped, kept.stopped, kept.cursor), (100, None, None));
}

// DM10
#[test]
fn the_journal_of_updates_is_for_nobody_else_and_goes_when_nothing_is_under_way() {
    let parent = tempfile::tempdir().unwrap();
    let directory = open(Some(parent.path())).unwrap().unwrap();
    let file = parent.path().join("updates");
    directory.write_updates(b"not whole").unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(directory.take().updates, Updates::default());
    for _ in 0..2 {
        directory.write_updates(b"").unwrap();
        assert!(!file.exists());
    }
    assert_eq!(directory.take().updates, Updates::default());
}
