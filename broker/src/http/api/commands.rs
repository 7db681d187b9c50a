//! The commands that were given: the audit, and how one goes.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use radar_wire::command::Command as What;
use radar_wire::topic::AgentId;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::call::Call;
use super::problem::Problem;
use super::streaming::{Place, Source, Turn, beat, events, frame, turn};
use super::{Api, NEWS, Question};
use crate::commanding::{News, State};
use crate::store::rows::CommandRow;

/// A command as it is told; times in milliseconds since 1970 UTC.
#[derive(Debug, Serialize)]
struct Command {
    command: Box<str>,
    agent: AgentId,
    who: Box<str>,
    what: What,
    issued: i64,
    expires: i64,
    state: State,
    reason: Option<Box<str>>,
    result: Option<Value>,
    ended: Option<i64>,
}

impl Command {
    fn of(row: CommandRow) -> Self {
        Self {
            result: row.result.as_deref().and_then(|result| serde_json::from_str(result).ok()),
            command: row.jti,
            agent: row.agent,
            who: row.who,
            what: row.what,
            issued: row.issued,
            expires: row.expires,
            state: row.state,
            reason: row.reason,
            ended: row.ended,
        }
    }
}

pub(super) async fn all(api: Api, call: Call) -> Result<Response, Problem> {
    let (agent, limit, before) = (call.of_agent()?, call.limit(100)?, call.text("before"));
    let mut newer = api.ask(Question::Unstored).await?;
    let fits = |row: &CommandRow| {
        agent.as_ref().is_none_or(|agent| row.agent == *agent) && before.as_ref().is_none_or(|before| row.jti < *before)
    };
    newer.retain(fits);
    let rows = api.read(move |reader| reader.newest_commands(agent.as_ref(), before.as_deref(), limit)).await?;
    let commands = merge(rows, newer).into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(Json(json!({ "commands": commands.map(Command::of).collect::<Vec<_>>() })).into_response())
}

/// The commands that were read, each as far as it is known to be; the newest first.
fn merge(read: Vec<CommandRow>, newer: Vec<CommandRow>) -> Vec<CommandRow> {
    let mut merged: BTreeMap<Box<str>, CommandRow> = BTreeMap::new();
    for row in read.into_iter().chain(newer) {
        if merged.get(&row.jti).is_none_or(|known| known.state < row.state) {
            merged.insert(row.jti.clone(), row);
        }
    }
    merged.into_values().rev().collect()
}

pub(super) async fn one(api: Api, call: Call) -> Result<Response, Problem> {
    let jti = call.part("command");
    let row = match api.ask(|reply| Question::Row(jti.clone(), reply)).await? {
        Some(row) => row,
        None => stored(&api, jti).await?,
    };
    Ok(Json(Command::of(row)).into_response())
}

async fn stored(api: &Api, jti: Box<str>) -> Result<CommandRow, Problem> {
    let row = api.read(move |reader| reader.command(&jti)).await?;
    row.ok_or_else(|| Problem::new(404, "not-found", "there is no command of this name"))
}

pub(super) async fn outcomes(api: Api, call: Call) -> Result<Response, Problem> {
    let place = api.place()?;
    let jti = call.part("command");
    let (news, inbox) = mpsc::channel(NEWS);
    let row = match api.ask(|reply| Question::Watch(jti.clone(), news, reply)).await? {
        Some(row) => row,
        None => stored(&api, jti).await?,
    };
    let at = row.ended.unwrap_or_else(|| api.clock.now().wall);
    let Command { command: jti, state, reason, result, .. } = Command::of(row);
    let present = News { jti, at, state, reason, result };
    Ok(events(Outcomes { api, told: VecDeque::from([present]), inbox, over: false, _place: place }))
}

struct Outcomes {
    api: Api,
    told: VecDeque<News>,
    inbox: mpsc::Receiver<News>,
    over: bool,
    _place: Place,
}

impl Source for Outcomes {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.over {
            return None;
        }
        let news = match self.told.pop_front() {
            Some(news) => news,
            None => match turn(&self.api.stop, self.inbox.recv()).await {
                Turn::Item(news) => news?,
                Turn::Beat => return Some(Ok(beat())),
                Turn::Stop => return None,
            },
        };
        self.over = news.state.is_final();
        let News { jti, at, state, reason, result } = news;
        let outcome = json!({ "command": jti, "at": at, "state": state, "reason": reason, "result": result });
        Some(Ok(frame("outcome", None, &outcome)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // E5
    #[test]
    fn a_command_is_told_as_far_as_it_is_known_to_be() {
        let row = |jti: &str, state| CommandRow { state, ..CommandRow::example(jti) };
        let read = vec![row("2-b", State::Accepted), row("1-a", State::Succeeded)];
        let newer = vec![row("1-a", State::Accepted), row("2-b", State::Failed), row("3-c", State::Issued)];
        let merged = merge(read, newer).into_iter().map(|row| format!("{} {}", row.jti, row.state.as_str()));
        assert_eq!(merged.collect::<Vec<_>>(), ["3-c issued", "2-b failed", "1-a succeeded"]);
    }
}
