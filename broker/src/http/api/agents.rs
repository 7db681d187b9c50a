//! The agents, as the fleet knows them.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use radar_wire::status::{Presence, Status};
use radar_wire::topic::AgentId;
use serde::Serialize;
use serde_json::json;

use super::call::Call;
use super::problem::Problem;
use super::{Api, Question};
use crate::commanding::takes_commands;
use crate::fleet::AgentView;

/// What is told of an agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Agent {
    pub(super) id: AgentId,
    name: Option<Box<str>>,
    online: bool,
    reason: Box<str>,
    /// Since when it is as it is, where that was told: a last will was written long before.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
    heard: i64,
    version: Option<Box<str>>,
    arch: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<Engine>,
    complete: bool,
    containers: Containers,
    commands: bool,
    allows: Vec<Box<str>>,
    warnings: Vec<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Engine {
    kind: Box<str>,
    version: Box<str>,
    answers: bool,
    /// What who guards its socket denies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Containers {
    running: u32,
    stopped: u32,
}

impl Agent {
    /// The agent, by what it said last.
    pub(crate) fn of(view: AgentView, status: Option<Status>) -> Self {
        let counts = view.containers.unwrap_or_default();
        let conflict = view
            .conflict
            .as_ref()
            .map(|conflict| format!("two machines use this id in turns: {}", conflict.machines.join(" ")).into());
        let online = view.online();
        let mut agent = Self {
            id: view.id,
            name: None,
            online,
            reason: view.reason,
            since: None,
            heard: view.last_heard,
            version: None,
            arch: None,
            engine: None,
            complete: view.complete,
            containers: Containers { running: counts.running, stopped: counts.total.saturating_sub(counts.running) },
            commands: false,
            allows: Vec::new(),
            warnings: conflict.into_iter().collect(),
        };
        if let Some(status) = status {
            agent.commands = takes_commands(&status);
            let told = &*agent.reason == status.reason.as_str() && &*agent.reason != "lost";
            agent.since = (told && online == (status.state == Presence::Online)).then_some(status.at);
            let facts = status.agent;
            (agent.name, agent.version, agent.arch) = (Some(facts.name), Some(facts.version), Some(facts.arch));
            agent.engine = status.engine.map(|engine| {
                let answers = view.engine_answers.unwrap_or(engine.answers);
                Engine { kind: engine.kind, version: engine.version, answers, unavailable: engine.unavailable }
            });
            agent.allows = status.allows;
            agent.warnings.extend(status.warnings);
        }
        agent
    }
}

pub(super) async fn all(api: Api) -> Result<Response, Problem> {
    let mut agents: Vec<Agent> = Vec::new();
    loop {
        let after = agents.last().map(|agent| agent.id.clone());
        let some = api.ask(|reply| Question::Agents(after, reply)).await?;
        if some.is_empty() {
            return Ok(Json(json!({ "agents": agents })).into_response());
        }
        agents.extend(some);
    }
}

pub(super) async fn one(api: Api, call: Call) -> Result<Response, Problem> {
    let id = call.agent()?;
    let agent = api.ask(|reply| Question::Agent(id.clone(), reply)).await?;
    Ok(Json(agent.ok_or_else(|| Problem::unknown_agent(id.as_str()))?).into_response())
}
