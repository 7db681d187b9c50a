//! What is looked at once: lists, and what an agent answers.

use std::collections::BTreeMap;

use radar_wire::topic::AgentId;
use serde_json::{Value, json};

use super::arguments::Ps;
use super::arguments::stores::Kind;
use super::client::Client;
use super::failure::Failure;
use super::order::Order;
use super::screen::Screen;
use super::show;
use super::show::agents::Agent;
use super::show::containers::Wanted;
use super::target::Target;
use crate::text::pretty;

/// The most that the bridge gives at a time.
const PAGE: usize = 1000;

/// All agents.
pub(super) async fn agents(client: &Client, screen: &mut Screen<'_>, now: i64) -> Result<(), Failure> {
    let document = client.read(&Order::get(["agents"])).await?;
    if screen.json { screen.json(&document) } else { screen.print(&show::agents::table(&document, now)?) }
}

/// Containers, and the agents that tell how fresh they are.
pub(super) async fn ps(client: &Client, ps: &Ps, screen: &mut Screen<'_>, now: i64) -> Result<(), Failure> {
    let agents = fleet(client).await?;
    if let Some(agent) = &ps.agent {
        known(&agents, agent)?;
    }
    let mut containers = containers(client, ps.agent.as_ref(), &ps.label).await?;
    let wanted = Wanted { all: ps.all, states: ps.state.clone() };
    let wanted = containers.iter().map(|it| wanted.has(it)).collect::<Result<Vec<_>, _>>()?;
    let mut wanted = wanted.into_iter();
    containers.retain(|_| wanted.next() == Some(true));
    if screen.json {
        return screen.json(&json!({ "containers": containers }));
    }
    screen.print(&show::containers::table(&containers, &agents, now)?)
}

/// All agents, by id.
pub(super) async fn fleet(client: &Client) -> Result<BTreeMap<String, Agent>, Failure> {
    Ok(show::agents::agents(&client.read(&Order::get(["agents"])).await?)?)
}

/// That the agent is one of them.
pub(super) fn known(agents: &BTreeMap<String, Agent>, agent: &AgentId) -> Result<(), Failure> {
    let known = agents.contains_key(agent.as_str());
    let missing = || Failure::NotFound(format!("no agent {agent} is known; `radar agents` shows those that are"));
    known.then_some(()).ok_or_else(missing)
}

/// All containers of all agents, or of one, with these labels.
pub(super) async fn containers(
    client: &Client,
    agent: Option<&AgentId>,
    labels: &[String],
) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut order =
            Order::get(["containers"]).maybe("agent", agent).asking("limit", PAGE).maybe("after", after.as_ref());
        for label in labels {
            order = order.asking("label", label);
        }
        let mut page = client.read(&order).await?;
        if let Some(Value::Array(containers)) = page.get_mut("containers").map(Value::take) {
            all.extend(containers);
        }
        let next = page.get("next").and_then(Value::as_str).map(str::to_owned);
        match next {
            Some(next) if after.as_ref() != Some(&next) => after = Some(next),
            _ => return Ok(all),
        }
    }
}

/// All that the engine knows of a container.
pub(super) async fn inspect(client: &Client, target: &Target, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let order = Order::of_agent(&target.agent, ["containers", &target.container, "inspect"]);
    let result = result(client.read(&order).await?);
    if screen.json { screen.json(&result) } else { screen.print(&(pretty(&result) + "\n")) }
}

/// The processes of a container.
pub(super) async fn top(client: &Client, target: &Target, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let order = Order::of_agent(&target.agent, ["containers", &target.container, "top"]);
    let result = result(client.read(&order).await?);
    list(&result, &show::stores::top(&result), screen)
}

/// What a host has of this kind.
pub(super) async fn store(
    client: &Client,
    agent: &AgentId,
    kind: Kind,
    screen: &mut Screen<'_>,
    now: i64,
) -> Result<(), Failure> {
    let result = result(client.read(&Order::of_agent(agent, [kind.word()])).await?);
    let text = match kind {
        Kind::Images => show::stores::images(&result, now)?,
        Kind::Networks => show::stores::networks(&result, now)?,
        Kind::Volumes | Kind::Containers => show::stores::volumes(&result, now)?,
    };
    list(&result, &text, screen)
}

fn list(result: &Value, text: &str, screen: &mut Screen<'_>) -> Result<(), Failure> {
    if screen.json {
        return screen.json(result);
    }
    screen.print(text)?;
    if show::stores::is_cut(result) {
        screen.note("there are more than an agent tells at once");
    }
    Ok(())
}

/// An answer is what was found, or a command with what it found.
fn result(mut answer: Value) -> Value {
    let is_command = answer.get("command").is_some_and(Value::is_string);
    match answer.get_mut("result") {
        Some(result) if is_command => result.take(),
        _ => answer,
    }
}

/// The audit: the last so many, the newest last.
pub(super) async fn audit(
    client: &Client,
    agent: Option<&AgentId>,
    most: usize,
    screen: &mut Screen<'_>,
) -> Result<(), Failure> {
    let mut all: Vec<Value> = Vec::new();
    let mut before: Option<String> = None;
    while all.len() < most {
        let limit = PAGE.min(most - all.len());
        let order =
            Order::get(["commands"]).maybe("agent", agent).asking("limit", limit).maybe("before", before.as_ref());
        let mut page = client.read(&order).await?;
        let Some(Value::Array(commands)) = page.get_mut("commands").map(Value::take) else { break };
        let last = commands.last().and_then(|command| command.get("command")?.as_str()).map(str::to_owned);
        let whole = commands.len() == limit;
        all.extend(commands);
        if !whole || last.is_none() || last == before {
            break;
        }
        before = last;
    }
    all.reverse();
    if screen.json {
        return screen.json(&json!({ "commands": all }));
    }
    if all.is_empty() {
        return screen.print("No command was given.\n");
    }
    for command in &all {
        screen.print(&(show::history::command(command)? + "\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_the_answer_or_in_it() {
        for (answer, expect) in [
            (json!({"images": []}), json!({"images": []})),
            (json!({"command": "1-a", "state": "succeeded", "result": {"images": []}}), json!({"images": []})),
            (json!({"result": 1}), json!({"result": 1})),
        ] {
            assert_eq!(result(answer), expect);
        }
    }
}
