//! What survives a restart: agents, their history, the accounts at the server. The only room with SQL. One thread owns
//! the connection that writes; whoever holds a [`Store`] hands it batches, each of which is stored as a whole or not
//! at all. It decides nothing but what a duplicate is: a number, or a container's action at an engine time, that it
//! has. For those who only look there is the [`Reader`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use batch::Memory;
use rows::{Restored, Write};

mod batch;
mod error;
mod reader;
mod restore;
mod retention;
pub mod rows;
mod schema;
mod sql;

pub use error::{CommitError, OpenError, ReadError};
pub use reader::{Arrival, Reader, StoredEvent, UpstreamState, Wanted};

/// Commands that wait for the thread; who finds the queue full waits, and so takes no new messages.
const QUEUE: usize = 4;

/// How much history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Days since an event arrived.
    pub days: u32,
    /// Events of one agent.
    pub events_per_agent: u64,
    /// Events of all agents.
    pub events: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { days: 90, events_per_agent: 100_000, events: 10_000_000 }
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Events and gaps that are new.
    pub stored: u64,
    /// Events that were there.
    pub duplicates: u64,
}

/// What a slice of tidying did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Events that are gone.
    pub deleted: u64,
    /// Whether there is more to do at once.
    pub more: bool,
}

/// The way to the thread that writes. The thread ends when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
enum Command {
    Commit(Arc<[Write]>, oneshot::Sender<Result<Committed, CommitError>>),
    Tidy(i64, oneshot::Sender<Result<Tidied, CommitError>>),
    Close(oneshot::Sender<()>),
}

impl Store {
    /// Opens the database, makes it if there is none (mode 0600, its directory 0700), brings it to this program's
    /// version and reads back what is in it. Blocks; for the start.
    ///
    /// # Errors
    /// It cannot be made or read, is damaged, of another program or of a later version.
    pub fn open(path: &Path, keep: Keep) -> Result<(Self, Restored), OpenError> {
        let connection = schema::open(path, schema::MIGRATIONS)?;
        let restored = restore::restore(&connection).map_err(|source| OpenError::of(path, source))?;
        let (commands, inbox) = mpsc::channel(QUEUE);
        let owner = Owner { connection, memory: None, path: path.to_owned(), keep };
        let thread = std::thread::Builder::new().name("store".to_owned());
        thread.spawn(move || owner.run(inbox)).map_err(|source| OpenError::Access { path: path.to_owned(), source })?;
        Ok((Self { commands }, restored))
    }

    /// Stores a batch; when this returns it survives a loss of power.
    ///
    /// # Errors
    /// Nothing of it is stored; the same batch can be tried again.
    pub async fn commit(&self, writes: Arc<[Write]>) -> Result<Committed, CommitError> {
        self.ask(|answer| Command::Commit(writes, answer)).await?
    }

    /// Deletes a slice of what is too old or too much; to be called every few seconds, and again at once when there is
    /// more. `wall` is milliseconds since 1970 UTC.
    ///
    /// # Errors
    /// Nothing was deleted.
    pub async fn tidy(&self, wall: i64) -> Result<Tidied, CommitError> {
        self.ask(|answer| Command::Tidy(wall, answer)).await?
    }

    /// Closes the database, once what was handed in before is stored; the file is then whole without the files beside
    /// it.
    pub async fn close(self) {
        // A thread that has ended has nothing open.
        let _ = self.ask(Command::Close).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, CommitError> {
        let (sender, answer) = oneshot::channel();
        self.commands.send(command(sender)).await.map_err(|_| CommitError::Stopped)?;
        answer.await.map_err(|_| CommitError::Stopped)
    }
}

/// What the thread owns.
struct Owner {
    connection: Connection,
    memory: Option<Memory>,
    path: PathBuf,
    keep: Keep,
}

impl Owner {
    fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        while let Some(command) = inbox.blocking_recv() {
            // Whoever does not wait for the answer any more does not need it.
            match command {
                Command::Commit(writes, answer) => {
                    let _ = answer.send(self.with(|connection, memory, _| batch::commit(connection, memory, &writes)));
                }
                Command::Tidy(wall, answer) => {
                    let tidy =
                        |connection: &mut _, memory: &mut _, keep| retention::tidy(connection, memory, keep, wall);
                    let _ = answer.send(self.with(tidy));
                }
                Command::Close(answer) => {
                    // Closing the last connection takes the files beside the database into it.
                    let _ = self.connection.close();
                    let _ = answer.send(());
                    return;
                }
            }
        }
    }

    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Connection, &mut Memory, Keep) -> rusqlite::Result<T>,
    ) -> Result<T, CommitError> {
        let run = || {
            let mut memory = match self.memory.take() {
                Some(memory) => memory,
                None => Memory::read(&self.connection)?,
            };
            let done = work(&mut self.connection, &mut memory, self.keep)?;
            // Only what was committed is remembered.
            self.memory = Some(memory);
            Ok(done)
        };
        run().map_err(|source| CommitError::of(&self.path, source))
    }
}

#[cfg(test)]
mod tests;
