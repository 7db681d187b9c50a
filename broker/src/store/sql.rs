//! Columns as the types of the contract, and back.

use radar_link::secret::Secret;
use radar_wire::codec::ContentType;
use radar_wire::command::Command;
use radar_wire::container::ContainerId;
use radar_wire::event::Event;
use radar_wire::topic::AgentId;
use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};

use super::rows::{AgentRow, CommandRow, SnapshotRow, UpstreamRow};
use crate::commanding::State;
use crate::relay::{Enrollment, Standing, Told};

/// The columns of [`agent_row`], in order.
pub(super) const AGENT: &str = "id, heard, online, reason, session, status, tracking, lost, unknown_gaps, missing, \
                                containers, running, engine, complete, conflict, key";
/// The columns of [`event`], in order.
pub(super) const EVENT: &str = "epoch, seq, first, at, time, action, container, name, fields, arrival";
/// The columns of [`snapshot`], in order.
pub(super) const SNAPSHOT: &str = "epoch, seq, at, content_type, bytes, agent";
/// The columns of [`upstream`], in order.
pub(super) const UPSTREAM: &str = "agent, server, upstream, standing, token, secret, note, told_offline, told_empty";

/// The columns of [`command`], in order.
pub(super) const COMMAND: &str = "jti, agent, who, what, issued, expires, state, reason, result, ended";

/// SQLite's integers have a sign; nothing that is counted here comes near the end.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that was stored by [`integer`].
pub(super) fn number(row: &Row<'_>, column: usize) -> Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// A value that has no stored form.
pub(super) fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::ToSqlConversionFailure(Box::new(error))
}

/// An agent's name.
pub(super) fn agent(row: &Row<'_>, column: usize) -> Result<AgentId> {
    row.get::<_, String>(column)?.parse().map_err(|error| unreadable(column, Type::Text, error))
}

/// An agent's row.
pub(super) fn agent_row(row: &Row<'_>) -> Result<AgentRow> {
    let containers: (Option<u32>, Option<u32>) = (row.get(10)?, row.get(11)?);
    Ok(AgentRow {
        agent: agent(row, 0)?,
        heard: row.get(1)?,
        online: row.get(2)?,
        reason: row.get(3)?,
        session: number(row, 4)?,
        status: row.get::<_, Option<Vec<u8>>>(5)?.map(Into::into),
        tracking: row.get(6)?,
        lost: number(row, 7)?,
        unknown_gaps: number(row, 8)?,
        missing: number(row, 9)?,
        containers: containers.0.zip(containers.1),
        engine: row.get(12)?,
        complete: row.get(13)?,
        conflict: row.get(14)?,
    })
}

/// A snapshot.
pub(super) fn snapshot(row: &Row<'_>) -> Result<SnapshotRow> {
    let word: String = row.get(3)?;
    let content_type = [ContentType::Cbor, ContentType::CborZlib].into_iter().find(|known| known.as_str() == word);
    Ok(SnapshotRow {
        epoch: number(row, 0)?,
        sequence: number(row, 1)?,
        at: row.get(2)?,
        content_type: content_type.unwrap_or(ContentType::Cbor),
        bytes: row.get::<_, Vec<u8>>(4)?.into(),
    })
}

/// An event.
pub(super) fn event(row: &Row<'_>) -> Result<Event> {
    let container: Option<[u8; 32]> = row.get(6)?;
    let fields = row.get_ref(8)?.as_blob_or_null().map_err(|error| unreadable(8, Type::Blob, error))?;
    let set = fields.map(ciborium::from_reader).transpose().map_err(|error| unreadable(8, Type::Blob, error))?;
    Ok(Event {
        epoch: number(row, 0)?,
        sequence: number(row, 1)?,
        first: row.get::<_, Option<i64>>(2)?.and_then(|first| u64::try_from(first).ok()),
        at: row.get(3)?,
        time: row.get(4)?,
        action: row.get::<_, String>(5)?.into(),
        id: container.map(ContainerId::new),
        name: row.get(7)?,
        set: set.unwrap_or_default(),
    })
}

/// An account at a server.
pub(super) fn upstream(row: &Row<'_>) -> Result<UpstreamRow> {
    let standing: String = row.get(3)?;
    let secret = |column| Ok::<_, Error>(row.get::<_, Option<String>>(column)?.map(Secret::new));
    let enrollment = Enrollment {
        upstream: row.get::<_, String>(2)?.parse().map_err(|error| unreadable(2, Type::Text, error))?,
        // A word of a later version: only a new credential can go on from it.
        standing: Standing::from_word(&standing).unwrap_or(Standing::SecretRefused),
        token: secret(4)?,
        secret: secret(5)?,
        note: row.get(6)?,
        told: Told { offline: row.get(7)?, empty: row.get(8)? },
    };
    Ok(UpstreamRow { agent: agent(row, 0)?, server: row.get::<_, String>(1)?.into(), enrollment })
}

/// A command.
pub(super) fn command(row: &Row<'_>) -> Result<CommandRow> {
    Ok(CommandRow {
        jti: row.get(0)?,
        agent: agent(row, 1)?,
        who: row.get(2)?,
        // One of a later version whose fields are others is still to be told as one.
        what: serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or(Command::Unknown),
        issued: row.get(4)?,
        expires: row.get(5)?,
        state: State::from_word(&row.get::<_, String>(6)?),
        reason: row.get(7)?,
        result: row.get(8)?,
        ended: row.get(9)?,
    })
}

fn unreadable(column: usize, kind: Type, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(column, kind, Box::new(error))
}
