//! What the HTTP API reads: the newest first, and never more than was asked for.

use radar_wire::topic::AgentId;
use rusqlite::{OptionalExtension as _, params};

use super::super::error::ReadError;
use super::super::rows::CommandRow;
use super::super::sql;
use super::{Arrival, Reader, StoredEvent, stored};

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this agent only.
    pub agent: Option<AgentId>,
    /// Of the container of this name, or whose id begins so.
    pub container: Option<Box<str>>,
    /// By the engine's time, in milliseconds since 1970 UTC.
    pub since: Option<i64>,
    /// Only what arrived later.
    pub after: Option<Arrival>,
}

/// A day: as far as the clock of a host may be ahead of ours.
const AHEAD: i64 = 86_400_000_000;

impl Reader {
    /// The newest of the events that are wanted, in the order of their arrival. With [`Wanted::after`] the oldest of
    /// them, so that one can go on with the last.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn newest_events(&self, wanted: &Wanted, limit: u32) -> Result<Vec<(AgentId, StoredEvent)>, ReadError> {
        let order = if wanted.after.is_some() { "ASC" } else { "DESC" };
        // Without this choice no index would be used where one helps.
        let of = if wanted.agent.is_some() { "agent = (SELECT key FROM agents WHERE id = ?3)" } else { "?3 IS NULL" };
        let select = format!(
            "SELECT {}, (SELECT id FROM agents WHERE key = agent) FROM events
             WHERE arrival > ?1 AND coalesce(time, at * 1000000) >= ?2 AND {of} AND (?4 IS NULL OR name = ?4 OR lower(hex(container)) GLOB ?5)
             ORDER BY arrival {order} LIMIT ?6",
            sql::EVENT
        );
        // What has happened later has arrived later.
        let arrived = wanted.since.map_or(i64::MIN, |since| since.saturating_mul(1000).saturating_sub(AHEAD));
        let arrived = wanted.after.map_or(arrived, |after| after.0.max(arrived));
        let since = wanted.since.map_or(i64::MIN, |since| since.saturating_mul(1_000_000));
        let named = wanted.container.as_deref();
        let begins = named.filter(|named| named.len() >= 6 && named.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let begins = begins.map(|begins| format!("{}*", begins.to_ascii_lowercase()));
        let agent = wanted.agent.as_ref().map(AgentId::as_str);
        let mut found = self.read(|connection| {
            let mut events = connection.prepare(&select)?;
            let rows = events.query_map(params![arrived, since, agent, named, begins, limit], |row| {
                Ok((sql::agent(row, 10)?, stored(row)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        if wanted.after.is_none() {
            found.reverse();
        }
        Ok(found)
    }

    /// Commands, the newest first: of an agent or of all, before the one of this name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn newest_commands(
        &self,
        agent: Option<&AgentId>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<CommandRow>, ReadError> {
        self.read(|connection| {
            let mut commands = connection.prepare(&format!(
                "SELECT {} FROM commands WHERE agent = coalesce(?1, agent) AND (?2 IS NULL OR jti < ?2)
                 ORDER BY jti DESC LIMIT ?3",
                sql::COMMAND
            ))?;
            commands.query_map(params![agent.map(AgentId::as_str), before, limit], sql::command)?.collect()
        })
    }

    /// A command; none when there is none of this name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn command(&self, jti: &str) -> Result<Option<CommandRow>, ReadError> {
        self.read(|connection| {
            let mut commands = connection.prepare(&format!("SELECT {} FROM commands WHERE jti = ?1", sql::COMMAND))?;
            commands.query_row([jti], sql::command).optional()
        })
    }
}
