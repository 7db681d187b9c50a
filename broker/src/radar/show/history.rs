//! What happened, and what was asked for, each on a line.

use radar_link::time::utc;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Unreadable, part};
use crate::sentence::{asked, changes};
use crate::text::plain;

/// An event, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    agent: Option<String>,
    epoch: u64,
    sequence: u64,
    at: i64,
    engine_time: Option<i64>,
    action: String,
    container: Option<String>,
    name: Option<String>,
    count: Option<u64>,
    first: Option<u64>,
    set: Map<String, Value>,
}

/// What names an event for ever.
pub(in crate::radar) type EventId = (Option<String>, u64, u64);

/// The name of an event.
pub(in crate::radar) fn id(event: &Value) -> Result<EventId, Unreadable> {
    let event: Event = part(event)?;
    Ok((event.agent, event.epoch, event.sequence))
}

/// An event as a line.
pub(in crate::radar) fn event(event: &Value) -> Result<String, Unreadable> {
    let event: Event = part(event)?;
    // The engine's own time is when it happened; without it there is only when it was seen.
    let time = event.engine_time.map_or(event.at, |nanos| nanos.div_euclid(1_000_000));
    let agent = event.agent.as_deref().map(|agent| format!("{}  ", plain(agent))).unwrap_or_default();
    let start = format!("{}  {agent}{:13}  ", utc::text(time), plain(&event.action));
    if event.action == "gap" {
        let what = match (event.count, event.first) {
            (Some(1), _) => format!("1 event lost (number {})", event.sequence),
            (Some(count), Some(first)) => format!("{count} events lost (numbers {first} to {})", event.sequence),
            _ => "events lost; how many is not known".to_owned(),
        };
        return Ok(start + &what);
    }
    let who = match (event.name.as_deref(), event.container.as_deref()) {
        (Some(name), _) => plain(name),
        (None, Some(id)) => plain(id.get(..12).unwrap_or(id)),
        (None, None) => "-".to_owned(),
    };
    let changes = changes(event.set);
    let gap = if changes.is_empty() { "" } else { "  " };
    Ok(format!("{start}{who}{gap}{changes}"))
}

/// A command, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Command {
    command: String,
    agent: String,
    who: String,
    what: Value,
    issued: i64,
    state: String,
    reason: Option<String>,
}

/// A command as a line.
pub(in crate::radar) fn command(command: &Value) -> Result<String, Unreadable> {
    let row: Command = part(command)?;
    let reason = row.reason.as_deref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
    let (who, agent, jti, state) = (plain(&row.who), plain(&row.agent), plain(&row.command), plain(&row.state));
    Ok(format!("{}  {jti}  {who}  {agent}  {}  {state}{reason}", utc::text(row.issued), asked(&row.what)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_says_when_where_what_who_and_what_changed() {
        let base = json!({"agent": "pi", "epoch": 5, "sequence": 9, "at": 1_795_228_544_500_i64,
            "engine_time": 1_795_228_544_250_999_999_i64, "action": "die", "container": "ab".repeat(32), "name": "web", "set": {}});
        let with = |fields: Value| {
            let mut event = base.clone();
            event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            event
        };
        for (event_, expect) in [
            (base.clone(), "2026-11-21T02:35:44.250Z  pi  die            web"),
            (with(json!({"agent": null, "engine_time": null})), "2026-11-21T02:35:44.500Z  die            web"),
            (with(json!({"name": null})), "2026-11-21T02:35:44.250Z  pi  die            abababababab"),
            (with(json!({"name": null, "container": null})), "2026-11-21T02:35:44.250Z  pi  die            -"),
            (
                with(json!({"set": {"state": "exited", "exit_code": 137}})),
                "2026-11-21T02:35:44.250Z  pi  die            web  exited, exit code 137",
            ),
            (
                with(json!({"action": "gap", "count": 7, "first": 3})),
                "2026-11-21T02:35:44.250Z  pi  gap            7 events lost (numbers 3 to 9)",
            ),
            (
                with(json!({"action": "gap", "count": null, "first": null})),
                "2026-11-21T02:35:44.250Z  pi  gap            events lost; how many is not known",
            ),
            (with(json!({"name": "a\u{1b}b\n"})), "2026-11-21T02:35:44.250Z  pi  die            a\u{fffd}b\u{fffd}"),
        ] {
            assert_eq!(event(&event_).unwrap(), expect);
        }
        assert_eq!(id(&base).unwrap(), (Some("pi".to_owned()), 5, 9));
    }

    // E6
    #[test]
    fn a_command_says_when_who_where_what_and_how_it_ended() {
        let row = json!({"command": "1-a", "agent": "pi", "who": "api:ops as Ann", "issued": 1_795_228_544_250_i64,
            "what": {"do": "stop", "container": "web\u{1b}", "timeout": 5, "force": false}, "state": "failed",
            "reason": "not-found: no container is called web", "result": null});
        assert_eq!(
            command(&row).unwrap(),
            "2026-11-21T02:35:44.250Z  1-a  api:ops as Ann  pi  stop web\u{fffd} timeout 5  failed: not-found: no container is called web"
        );
        assert_eq!(command(&json!({})).unwrap(), "1970-01-01T00:00:00.000Z          ");
    }
}
