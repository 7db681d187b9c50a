//! The database file: how it is opened, what is in it, and how an older one is brought forward.
//!
//! Events lie in the order in which they arrived, so that writing them appends, and what is too old lies together;
//! `arrival` is microseconds since 1970 UTC, made unique. Of the two indexes, the one that keeps an event of an earlier
//! epoch from being stored twice begins with the time, so that it too grows at its end; only the index by number is
//! written all over.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::error::OpenError;

/// What brings a database from each version to the next; a new one goes through all of them. A released one never
/// changes.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// Tells SQLite's own tools whose file it is ("RdEg").
const APPLICATION: i64 = 0x5264_4567;

/// How long a command line that deletes may hold the bridge up, and the other way round.
const BUSY: Duration = Duration::from_secs(5);

/// Opens the database for writing; makes it, with its directory, if there is none.
pub(super) fn open(path: &Path, migrations: &[&str]) -> Result<Connection, OpenError> {
    prepare_file(path).map_err(|source| OpenError::Access { path: path.to_owned(), source })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |source| OpenError::of(path, source);
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    check(&connection, path, migrations.len())?;
    configure(&connection).map_err(failed)?;
    migrate(&mut connection, migrations).map_err(failed)?;
    Ok(connection)
}

/// Opens the database for reading; it may be written meanwhile.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |source| OpenError::of(path, source);
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    check(&connection, path, MIGRATIONS.len())?;
    Ok(connection)
}

/// The file is made here and not by SQLite, so that it is never there with other permissions; the files beside it get
/// the same.
fn prepare_file(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty() && !directory.exists())
    {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}

fn check(connection: &Connection, path: &Path, known: usize) -> Result<(), OpenError> {
    let failed = |source| OpenError::of(path, source);
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, found) = (number("application_id").map_err(failed)?, number("user_version").map_err(failed)?);
    let empty: bool =
        connection.query_row("SELECT count(*) = 0 FROM sqlite_master", [], |row| row.get(0)).map_err(failed)?;
    let known = i64::try_from(known).unwrap_or(i64::MAX);
    if application != APPLICATION && !empty {
        Err(OpenError::Foreign { path: path.to_owned() })
    } else if found > known {
        Err(OpenError::Newer { path: path.to_owned(), found, known })
    } else {
        Ok(())
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA journal_mode = wal;
         PRAGMA synchronous = full;
         PRAGMA foreign_keys = on;
         PRAGMA cache_size = -32768;
         PRAGMA wal_autocheckpoint = 8192;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    let version: usize = transaction.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))? as usize;
    if version < migrations.len() {
        for step in &migrations[version..] {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "user_version", migrations.len() as u32)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
    }
    transaction.commit()
}
