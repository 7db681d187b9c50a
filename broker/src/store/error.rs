//! What can go wrong with the database, by what is to be done about it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

/// The database cannot be opened. Nothing in it was changed or deleted.
#[derive(Debug, Error)]
pub enum OpenError {
    /// There is none, and it is not made by looking.
    #[error("there is no database {}; the bridge makes it when it runs (DATA_DIR)", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It cannot be made or reached.
    #[error("cannot open the database {}; see that its directory can be written (DATA_DIR)", path.display())]
    Access {
        /// The database or its directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A later version of this program has made it.
    #[error(
        "the database {} has version {found}, this program knows {known}; run the newer program, or use the backup \
         from before the upgrade",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The highest that is known.
        known: i64,
    },
    /// It belongs to somebody else.
    #[error("{} is a database of another program; name another directory (DATA_DIR)", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// It is damaged.
    #[error(
        "the database {} is damaged; move it away together with the files -wal and -shm beside it, and put a backup \
         in its place or start with a new one",
        path.display()
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// Anything else.
    #[error("cannot open the database {}", path.display())]
    Failed {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
}

/// Nothing of the batch is stored. It can be tried again as it is.
#[derive(Debug, Error)]
pub enum CommitError {
    /// The disk is full.
    #[error("the disk is full, so that {} cannot grow; make room on it", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// The disk fails, or cannot be written.
    #[error("cannot write {}; see to the disk and the file's permissions", path.display())]
    Access {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// It is damaged.
    #[error(
        "the database {} is damaged; stop the bridge, move it away together with the files -wal and -shm beside it, \
         and put a backup in its place or start with a new one",
        path.display()
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// Anything else.
    #[error("cannot store in {}", path.display())]
    Failed {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// The store's thread has ended.
    #[error("the store has stopped")]
    Stopped,
}

/// The database cannot be read.
#[derive(Debug, Error)]
#[error("cannot read the database {}", path.display())]
pub struct ReadError {
    /// The database.
    pub path: PathBuf,
    /// What SQLite says.
    #[source]
    pub source: rusqlite::Error,
}

impl OpenError {
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { path, source },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::Access { path, source: io::Error::other(source) }
            }
            _ => Self::Failed { path, source },
        }
    }
}

impl CommitError {
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { path, source },
            Some(
                ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied,
            ) => Self::Access { path, source },
            _ => Self::Failed { path, source },
        }
    }
}
