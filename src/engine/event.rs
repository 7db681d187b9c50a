//! The engine's events: which are asked for, and how their words become the contract's.

use std::collections::HashMap;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use radar_wire::event::Action;

use super::moment;
use super::notice::EngineEvent;

/// What is asked for. Docker matches these as prefixes, so `health_status` brings its outcomes
/// along and `exec_die` stays out. The last two are Podman's words for `die` and `destroy`.
const KEPT: [&str; 15] = [
    "create",
    "start",
    "restart",
    "kill",
    "die",
    "oom",
    "stop",
    "pause",
    "unpause",
    "rename",
    "update",
    "health_status",
    "destroy",
    "died",
    "remove",
];

/// Asks for the kept events from a time on, for ever.
pub(super) fn kept(since: Option<i64>) -> EventsOptions {
    let filters = [("type", vec!["container"]), ("event", KEPT.to_vec())];
    let owned = |(name, values): (&str, Vec<&str>)| (name.to_owned(), values.into_iter().map(str::to_owned).collect());
    EventsOptions {
        since: since.map(moment::since),
        until: None,
        filters: Some(filters.into_iter().map(owned).collect::<HashMap<_, Vec<_>>>()),
    }
}

/// Asks for everything that the engine still has up to a time.
pub(super) fn held(until: i64) -> EventsOptions {
    EventsOptions { since: Some("1".to_owned()), until: Some(moment::since(until)), filters: None }
}

/// The engine's time of an event in nanoseconds.
pub(super) fn time(message: &EventMessage) -> Option<i64> {
    message.time_nano.or_else(|| message.time?.checked_mul(1_000_000_000))
}

/// An event in the contract's words; `None` for one that is noise or names no container.
pub(super) fn read(message: EventMessage) -> Option<EngineEvent> {
    let time = time(&message)?;
    let word = message.action?;
    let actor = message.actor?;
    let id = actor.id?.parse().ok()?;
    let attributes = actor.attributes.unwrap_or_default();
    let (word, outcome) = match word.split_once(':') {
        Some((word, outcome)) => (word.to_owned(), Some(outcome.trim().to_owned())),
        None => (word, None),
    };
    let action = match word.as_str() {
        "died" => Action::Die,
        "remove" => Action::Destroy,
        word if KEPT.contains(&word) => Action::from(word),
        _ => return None,
    };
    let attribute = |name: &str| attributes.get(name).filter(|value| !value.is_empty());
    let exit_code = match action {
        Action::Die => attribute("exitCode").or_else(|| attribute("containerExitCode")).and_then(|c| c.parse().ok()),
        _ => None,
    };
    let health = match action {
        Action::HealthStatus => outcome.filter(|word| !word.is_empty()).map(Into::into),
        _ => None,
    };
    let name = attribute("name").map(|name| name.trim_start_matches('/').into());
    Some(EngineEvent { time, action, id, name, exit_code, health })
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;

    fn message(action: &str, attributes: &[(&str, &str)]) -> EventMessage {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        EventMessage {
            action: Some(action.to_owned()),
            actor: Some(EventActor { id: Some("a".repeat(64)), attributes: Some(attributes) }),
            time: Some(7),
            time_nano: Some(7_000_000_123),
            ..EventMessage::default()
        }
    }

    fn words(action: &str, attributes: &[(&str, &str)]) -> String {
        let Some(event) = read(message(action, attributes)) else {
            return "noise".to_owned();
        };
        let name = event.name.as_deref().unwrap_or("-");
        let health = event.health.as_ref().map_or("-", |health| health.as_str());
        let code = event.exit_code.map_or("-".to_owned(), |code| code.to_string());
        format!("{} {} {name} {code} {health}", event.time, event.action.as_str())
    }

    // DM7
    #[test]
    fn both_engines_words_become_dockers() {
        let table = [
            ("start", vec![("name", "web")], "7000000123 start web - -"),
            ("die", vec![("name", "web"), ("exitCode", "137")], "7000000123 die web 137 -"),
            ("died", vec![("name", "web"), ("containerExitCode", "1")], "7000000123 die web 1 -"),
            ("remove", vec![("name", "web")], "7000000123 destroy web - -"),
            ("health_status: unhealthy", vec![("name", "web")], "7000000123 health_status web - unhealthy"),
            ("health_status", vec![], "7000000123 health_status - - -"),
            // Podman 4.3, recorded: the same exit code under two names; what is about its own work; and checks of health.
            (
                "die",
                vec![("containerExitCode", "137"), ("exitCode", "137"), ("name", "web")],
                "7000000123 die web 137 -",
            ),
            ("start", vec![("containerExitCode", "0"), ("name", "web"), ("podId", "")], "7000000123 start web - -"),
            ("init", vec![("name", "web")], "noise"),
            ("cleanup", vec![("name", "web")], "noise"),
            ("exec_died", vec![("containerExitCode", "1"), ("name", "web")], "noise"),
            ("rename", vec![("name", "new"), ("oldName", "/old")], "7000000123 rename new - -"),
            ("exec_start: sh", vec![("name", "web")], "noise"),
            ("exec_die", vec![("name", "web")], "noise"),
            ("top", vec![], "noise"),
            ("attach", vec![], "noise"),
        ];
        for (action, attributes, expect) in table {
            assert_eq!(words(action, &attributes), expect, "{action}");
        }
    }

    #[test]
    fn what_names_no_container_or_time_is_nothing() {
        let mut nameless = message("start", &[]);
        nameless.actor = Some(EventActor { id: Some("web".to_owned()), attributes: None });
        assert_eq!(read(nameless), None);
        let mut timeless = message("start", &[]);
        (timeless.time, timeless.time_nano) = (None, None);
        assert_eq!(read(timeless), None);
        let mut coarse = message("start", &[]);
        coarse.time_nano = None;
        assert_eq!(read(coarse).map(|event| event.time), Some(7_000_000_000));
    }
}
