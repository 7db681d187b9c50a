//! All agents, each on a line.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Unreadable, entries};
use crate::text::{columns, plain};
use crate::when;

/// An agent, as far as it is looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::radar) struct Agent {
    pub id: String,
    pub name: Option<String>,
    pub online: bool,
    pub reason: Option<String>,
    /// Milliseconds since 1970; 0 for never.
    pub heard: i64,
    pub version: Option<String>,
    pub engine: Option<Engine>,
    pub complete: bool,
    pub containers: Option<Counts>,
    pub commands: bool,
    pub allows: Vec<String>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::radar) struct Engine {
    kind: String,
    version: String,
    answers: bool,
    unavailable: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::radar) struct Counts {
    running: u64,
    stopped: u64,
}

impl Agent {
    /// Whether what is known of its containers is how they are.
    pub(in crate::radar) fn is_fresh(&self) -> bool {
        self.online && self.complete && self.engine.as_ref().is_none_or(|engine| engine.answers)
    }

    /// Its id, marked when what is known of it may have changed.
    pub(in crate::radar) fn marked(&self) -> String {
        let id = plain(&self.id);
        match (self.online, self.is_fresh()) {
            (false, _) => format!("{id} (offline)"),
            (true, false) => format!("{id} (last known)"),
            (true, true) => id,
        }
    }

    /// When it was last heard.
    pub(in crate::radar) fn heard(&self, now: i64) -> String {
        if self.heard > 0 { when::ago(self.heard, now) } else { "never".to_owned() }
    }
}

/// The agents of a document, by id.
pub(in crate::radar) fn agents(document: &Value) -> Result<BTreeMap<String, Agent>, Unreadable> {
    Ok(entries::<Agent>(document, "agents")?.into_iter().map(|agent| (agent.id.clone(), agent)).collect())
}

/// The table, and their warnings below it.
pub(in crate::radar) fn table(document: &Value, now: i64) -> Result<String, Unreadable> {
    let agents = agents(document)?;
    if agents.is_empty() {
        return Ok("No agent has been heard of yet.\n".to_owned());
    }
    let rows: Vec<_> = agents.values().map(|agent| row(agent, now)).collect();
    let head = ["AGENT", "NAME", "STATE", "LAST HEARD", "CONTAINERS", "ENGINE", "VERSION", "ALLOWS"];
    let mut text = columns(head, &rows);
    let mut before = "\n";
    for agent in agents.values() {
        if let Some(engine) = agent.engine.as_ref().filter(|engine| !engine.unavailable.is_empty()) {
            let denied = plain(&engine.unavailable.join(", "));
            text.push_str(&format!("{before}{}: who guards its engine's socket denies {denied}\n", plain(&agent.id)));
            before = "";
        }
        for warning in &agent.warnings {
            text.push_str(&format!("{before}{}: {}\n", plain(&agent.id), plain(warning)));
            before = "";
        }
    }
    Ok(text)
}

fn row(agent: &Agent, now: i64) -> [String; 8] {
    let state = match (agent.online, agent.reason.as_deref()) {
        (true, _) => "online".to_owned(),
        (false, Some(reason)) if !reason.is_empty() => format!("offline ({})", plain(reason)),
        (false, _) => "offline".to_owned(),
    };
    let containers = agent.containers.as_ref().map_or_else(
        || "?".to_owned(),
        |Counts { running, stopped }| {
            let known = if agent.is_fresh() { "" } else { ", last known" };
            format!("{running} running, {stopped} stopped{known}")
        },
    );
    let engine = agent.engine.as_ref().map_or_else(
        || "?".to_owned(),
        |engine| {
            let unreachable = if engine.answers { "" } else { ", unreachable" };
            plain(format!("{} {}", engine.kind, engine.version).trim()) + unreachable
        },
    );
    let allows = if agent.commands { plain(&agent.allows.join(",")) } else { "takes no commands".to_owned() };
    [
        plain(&agent.id),
        agent.name.as_deref().map(plain).unwrap_or_default(),
        state,
        agent.heard(now),
        containers,
        engine,
        agent.version.as_deref().map_or_else(|| "?".to_owned(), plain),
        allows,
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_agent_is_a_line_and_its_warnings_come_below() {
        let document = json!({"agents": [
            {"id": "pi", "name": "Kitchen", "online": true, "reason": "start", "heard": 58_000, "version": "0.1.0",
             "engine": {"kind": "docker", "version": "27.1", "answers": true, "unavailable": ["events", "start"]},
             "complete": true,
             "containers": {"running": 2, "stopped": 1}, "commands": true, "allows": ["observe", "operate"], "warnings": []},
            {"id": "attic", "online": false, "reason": "lost", "heard": 1000, "engine": {"kind": "podman", "answers": false},
             "containers": {"running": 1, "stopped": 0}, "commands": false, "warnings": ["the clock is wrong"]},
        ]});
        assert_eq!(
            table(&document, 61_000).unwrap(),
            "AGENT  NAME     STATE           LAST HEARD  CONTAINERS                        ENGINE               VERSION  ALLOWS\n\
             attic           offline (lost)  1 min ago   1 running, 0 stopped, last known  podman, unreachable  ?        takes no commands\n\
             pi     Kitchen  online          3 s ago     2 running, 1 stopped              docker 27.1          0.1.0    observe,operate\n\
             \nattic: the clock is wrong\n\
             pi: who guards its engine's socket denies events, start\n"
        );
        assert_eq!(table(&json!({"agents": []}), 0).unwrap(), "No agent has been heard of yet.\n");
    }

    // E13
    #[test]
    fn no_name_can_drive_the_terminal() {
        let hostile = "a\u{1b}[2Jb\n\u{9b}";
        let document = json!({"agents": [
            {"id": hostile, "name": hostile, "reason": hostile, "version": hostile, "commands": true, "allows": [hostile],
             "engine": {"kind": hostile, "version": hostile}, "warnings": [hostile]},
        ]});
        let text = table(&document, 0).unwrap();
        assert_eq!(text.matches(|c: char| c.is_control() && c != '\n').count(), 0, "{text:?}");
        assert_eq!(text.matches('\n').count(), 4, "{text:?}");
    }
}
