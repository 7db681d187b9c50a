//! The database as the command line and the HTTP API read it, beside a bridge that runs or does not.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use radar_wire::event::Event;
use radar_wire::topic::AgentId;
use rusqlite::{Connection, params};

use super::error::{OpenError, ReadError};
use super::rows::{AgentRow, CommandRow};
use super::{schema, sql};

mod listing;

pub use listing::Wanted;

/// Events that are read at a time when their arrival is followed.
const PAGE: i64 = 1000;

/// A connection that only reads.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    version: Option<i64>,
}

/// The place of an event in the order in which the bridge stored them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival(i64);

impl Arrival {
    /// A number for it, for who comes back to it.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }

    /// The place of a number.
    #[must_use]
    pub fn of(number: i64) -> Self {
        Self(number)
    }
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// When it arrived.
    pub arrival: Arrival,
    /// The event; a gap has the first of its numbers where its size is known.
    pub event: Event,
}

/// How far an agent's account at a server has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamState {
    /// The agent.
    pub agent: AgentId,
    /// The server's URL.
    pub server: String,
    /// The server's id of it.
    pub upstream: String,
    /// The word of its standing.
    pub standing: String,
    /// The server's words for a standing that is an end; empty otherwise.
    pub note: String,
    /// The last that the server was told is that the agent is gone.
    pub told_offline: bool,
}

impl Reader {
    /// Opens the database, which must be there.
    ///
    /// # Errors
    /// It is missing, damaged, of another program or of a later version.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { connection: schema::open_to_read(path)?, path: path.to_owned(), version: None })
    }

    /// All agents, by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn agents(&self) -> Result<Vec<AgentRow>, ReadError> {
        self.read(|connection| {
            let mut agents = connection.prepare(&format!("SELECT {} FROM agents ORDER BY id", sql::AGENT))?;
            agents.query_map([], sql::agent_row)?.collect()
        })
    }

    /// The accounts at servers, without their secrets.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn upstreams(&self) -> Result<Vec<UpstreamState>, ReadError> {
        self.read(|connection| {
            let mut rows = connection
                .prepare("SELECT agent, server, upstream, standing, note, told_offline FROM upstream ORDER BY 1, 2")?;
            let rows = rows.query_map([], |row| {
                Ok(UpstreamState {
                    agent: sql::agent(row, 0)?,
                    server: row.get(1)?,
                    upstream: row.get(2)?,
                    standing: row.get(3)?,
                    note: row.get(4)?,
                    told_offline: row.get(5)?,
                })
            })?;
            rows.collect()
        })
    }

    /// An agent's events since a time (milliseconds since 1970 UTC) in the engine's order: by its time, or where it
    /// told none by the agent's; then by the epochs as they came; then by number. Ends early when `each` breaks.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn events(
        &self,
        agent: &AgentId,
        since: Option<i64>,
        mut each: impl FnMut(StoredEvent) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.read(|connection| {
            let mut events = connection.prepare(&format!(
                "SELECT {} FROM events
                 WHERE agent = (SELECT key FROM agents WHERE id = ?1) AND coalesce(time, at * 1000000) >= ?2
                 ORDER BY coalesce(time, at * 1000000), min(arrival) OVER (PARTITION BY epoch), seq",
                sql::EVENT
            ))?;
            let since = since.map_or(i64::MIN, |since| since.saturating_mul(1_000_000));
            let mut rows = events.query(params![agent.as_str(), since])?;
            while let Some(row) = rows.next()? {
                if each(stored(row)?).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// What arrived of an agent after a place, in the order of its arrival: at most 1,000 events, so ask again with
    /// the last one until there are none.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn arrivals(&self, agent: &AgentId, after: Arrival) -> Result<Vec<StoredEvent>, ReadError> {
        self.read(|connection| {
            let mut events = connection.prepare(&format!(
                "SELECT {} FROM events NOT INDEXED
                 WHERE arrival > ?2 AND agent = (SELECT key FROM agents WHERE id = ?1) ORDER BY arrival LIMIT ?3",
                sql::EVENT
            ))?;
            events.query_map(params![agent.as_str(), after.0, PAGE], stored)?.collect()
        })
    }

    /// The commands that were given to an agent, or to all, since a time (milliseconds since 1970 UTC), as they were
    /// given. Ends early when `each` breaks.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn commands(
        &self,
        agent: Option<&AgentId>,
        since: Option<i64>,
        mut each: impl FnMut(CommandRow) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.read(|connection| {
            // The bridge that brings the database to this version may not have run yet.
            if !connection.table_exists(None, "commands")? {
                return Ok(());
            }
            let mut commands = connection.prepare(&format!(
                "SELECT {} FROM commands WHERE agent = coalesce(?1, agent) AND issued >= ?2 ORDER BY issued, jti",
                sql::COMMAND
            ))?;
            let mut rows = commands.query(params![agent.map(AgentId::as_str), since.unwrap_or(i64::MIN)])?;
            while let Some(row) = rows.next()? {
                if each(sql::command(row)?).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The place of the last event of all agents.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn last_arrival(&self) -> Result<Arrival, ReadError> {
        let last = "SELECT coalesce(max(arrival), 0) FROM events";
        self.read(|connection| connection.query_row(last, [], |row| Ok(Arrival(row.get(0)?))))
    }

    /// Whether anything was stored since the last call; true at the first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn changed(&mut self) -> Result<bool, ReadError> {
        let version = self.read(|connection| connection.pragma_query_value(None, "data_version", |row| row.get(0)))?;
        let version = Some(version);
        Ok(std::mem::replace(&mut self.version, version) != version)
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, ReadError> {
        read(&self.connection).map_err(|source| ReadError { path: self.path.clone(), source })
    }
}

fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent { arrival: Arrival(row.get(9)?), event: sql::event(row)? })
}
