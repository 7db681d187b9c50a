//! The data directory: found or made, locked, and the files in it read and written. It decides
//! nothing about their content.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use radar_link::files::{read_if_there, write_atomic};
use radar_wire::snapshot::Snapshot;
use serde::de::DeserializeOwned;

use crate::agent::keeping::Write;
use crate::agent::opening::{Cursor, Kept};
use crate::agent::spool;
use crate::agent::takeover::TakeOver;
use crate::agent::trial::Note;
use crate::agent::update::journal::Journal as Updates;

use super::trial;

/// Where an agent keeps its data unless told.
const DEFAULT: &str = "/var/lib/radar-agent";

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be made or written, and the operator has named it.
    #[error("DATA_DIR {}: {why}; make it writable for this user, or name another one", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// Another agent has it.
    #[error("DATA_DIR {} is in use by another radar-agent; stop it, or name another directory", .0.display())]
    InUse(PathBuf),
}

/// A data directory of our own, until it is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

/// Finds the directory that is `given`, or else the usual one. None when the usual one cannot be
/// used: then everything stays in memory.
///
/// # Errors
/// The directory is in use, or it is `given` and cannot be used.
pub fn open(given: Option<&Path>) -> Result<Option<Directory>, DirectoryError> {
    let path = given.unwrap_or(Path::new(DEFAULT));
    match lock(path) {
        Ok(lock) => Ok(Some(Directory { path: path.to_owned(), _lock: lock })),
        Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse(path.to_owned())),
        Err(TryLockError::Error(why)) if given.is_some() => {
            Err(DirectoryError::Unusable { path: path.to_owned(), why })
        }
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// The path of the directory, for a program that asks the agent that runs there.
#[must_use]
pub fn path(given: Option<&Path>) -> &Path {
    given.unwrap_or(Path::new(DEFAULT))
}

fn lock(path: &Path) -> Result<File, TryLockError> {
    fs::create_dir_all(path).map_err(TryLockError::Error)?;
    let mut options = OpenOptions::new();
    let file = options.create(true).write(true).truncate(false).open(path.join("lock")).map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

impl Directory {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what an earlier life left, and removes the mark of its clean stop, which holds for
    /// one start only. What cannot be read counts as not there, and is told.
    #[must_use]
    pub fn take(&self) -> Kept {
        let spool = self.read("outbox").map(|bytes| spool::read(&bytes)).unwrap_or_default();
        let stopped = self.decode("stopped");
        let unmarked = match fs::remove_file(self.file("stopped")) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let commands = self.decode("commands").unwrap_or_default();
        let updates = self.read("updates").map(|bytes| Updates::read(&bytes));
        let updates = updates.unwrap_or_else(|| Ok(Updates::default())).unwrap_or_else(|error| {
            tracing::error!("{} is not whole, and updates may be half done: {error}", self.file("updates").display());
            Updates::default()
        });
        let (stopped, cursor) = (stopped.filter(|_| unmarked), self.decode("cursor"));
        Kept { spool, stopped, cursor, commands, updates, settled: None }
    }

    /// Writes the outbox file.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, write: &Write) -> io::Result<()> {
        let file = self.file("outbox");
        match write {
            Write::Append(bytes) => {
                let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
                file.write_all(bytes)?;
                file.sync_data()
            }
            Write::Replace(bytes) => write_atomic(&file, bytes, 0o600),
            Write::Remove => remove_if_there(&file),
        }
    }

    /// Writes the journal of commands.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_commands(&self, bytes: &[u8]) -> io::Result<()> {
        write_atomic(&self.file("commands"), bytes, 0o600)
    }

    /// The note of a trial.
    #[must_use]
    pub fn note(&self) -> Option<Note> {
        self.decode("self-update")
    }

    /// Writes the note of a trial.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_note(&self, bytes: &[u8]) -> io::Result<()> {
        write_atomic(&trial::note_file(&self.path), bytes, 0o600)
    }

    /// Writes the note for a helper.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_take_over(&self, bytes: &[u8]) -> io::Result<()> {
        write_atomic(&TakeOver::file(&self.path), bytes, 0o600)
    }

    /// Removes what a self-update has left.
    pub fn forget_note(&self) {
        // What cannot be removed is settled once more, and not told twice.
        let _ = fs::remove_file(trial::note_file(&self.path));
        let _ = fs::remove_file(trial::log_file(&self.path));
        let _ = fs::remove_file(TakeOver::file(&self.path));
    }

    /// Writes the journal of updates, or removes it when it is empty.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_updates(&self, bytes: &[u8]) -> io::Result<()> {
        match bytes {
            [] => remove_if_there(&self.file("updates")),
            bytes => write_atomic(&self.file("updates"), bytes, 0o600),
        }
    }

    /// Writes the cursor file.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_cursor(&self, cursor: Cursor) -> io::Result<()> {
        write_atomic(&self.file("cursor"), &encoded(&cursor)?, 0o600)
    }

    /// Writes what a clean stop leaves, the mark last.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(&self, outbox: Vec<u8>, stopped: Option<&Snapshot>) -> io::Result<()> {
        self.write(&if outbox.is_empty() { Write::Remove } else { Write::Replace(outbox) })?;
        match stopped {
            Some(stopped) => write_atomic(&self.file("stopped"), &encoded(stopped)?, 0o600),
            None => Ok(()),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        read_if_there(&self.file(name)).unwrap_or_else(|error| {
            tracing::warn!("{error}; it counts as empty");
            None
        })
    }

    fn decode<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = self.read(name)?;
        let read = ciborium::de::from_reader_with_recursion_limit(bytes.as_slice(), 16);
        read.inspect_err(|error| tracing::warn!("{} is not whole and is ignored: {error}", self.file(name).display()))
            .ok()
    }
}

fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn encoded<T: serde::Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
