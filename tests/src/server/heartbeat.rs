//! A heartbeat and what it does to the one connection on which all transactions run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::routes::{Reply, refuse};
use super::state::State;
use super::{ContainerView, Shared};

/// Takes a heartbeat of the agent that a good token names.
pub(super) async fn take(shared: &Shared, agent: &str, body: &Value) -> Reply {
    let Some(containers) = body.get("containers").and_then(Value::as_array) else {
        return refuse(400, "Containers must be an array");
    };
    let status = body.get("status").and_then(Value::as_str).unwrap_or("online");
    let cost = {
        let now = shared.clock.now().mono;
        let mut state = shared.lock();
        // Outside of the transaction, and of no effect for an agent that was deleted.
        if let Some(row) = state.agents.get_mut(agent) {
            status.clone_into(&mut row.status);
            row.last_seen = Some(now);
        }
        if state.in_transaction || state.wedged.is_some() {
            // cannot start a transaction within a transaction
            return broken();
        }
        state.in_transaction = true;
        let count = u32::try_from(containers.len()).unwrap_or(u32::MAX);
        state.beat_cost.0 + state.beat_cost.1.saturating_mul(count)
    };
    tokio::time::sleep(cost).await;
    let mut state = shared.lock();
    state.in_transaction = false;
    let Some(rows) = containers.iter().map(row).collect::<Option<BTreeMap<_, _>>>() else {
        state.wedge("a container without id, name, image or status");
        return broken();
    };
    replace(&mut state, agent, rows)
}

fn replace(state: &mut State, agent: &str, rows: BTreeMap<String, ContainerView>) -> Reply {
    let count = rows.len();
    match state.agents.get_mut(agent) {
        Some(row) => row.containers = rows,
        None if count > 0 => {
            state.wedge("containers of an agent that was deleted");
            return broken();
        }
        None => {}
    }
    Reply::json(
        200,
        json!({
            "success": true,
            "message": "Heartbeat received",
            "containersReceived": count,
            "heartbeatIntervalSeconds": state.interval,
        }),
    )
}

fn row(container: &Value) -> Option<(String, ContainerView)> {
    let text = |field| container.get(field)?.as_str().map(str::to_owned);
    let filled = |field| text(field).filter(|text| !text.is_empty());
    let view = ContainerView {
        id: filled("id")?,
        name: filled("name")?,
        image: filled("image")?,
        tag: text("tag").unwrap_or_else(|| "latest".to_owned()),
        status: filled("status")?,
        created: text("created"),
    };
    Some((view.id.clone(), view))
}

fn broken() -> Reply {
    refuse(500, "Failed to process heartbeat")
}
