//! Containers, each on a line; and which of them are meant.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::agents::Agent;
use super::{Unreadable, part};
use crate::text::{columns, plain};
use crate::when;

/// A container, as far as it is looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::radar) struct Container {
    pub agent: String,
    pub id: String,
    pub name: String,
    image: String,
    tag: Option<String>,
    state: String,
    health: Option<String>,
    exit_code: Option<i64>,
    created: Option<i64>,
    started: Option<i64>,
    finished: Option<i64>,
    ports: Vec<Port>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Port {
    private: u16,
    public: Option<u16>,
    ip: Option<String>,
    protocol: String,
}

impl Container {
    /// Reads one.
    pub(in crate::radar) fn of(value: &Value) -> Result<Self, Unreadable> {
        part(value)
    }

    /// Whether it has a process.
    fn runs(&self) -> bool {
        matches!(self.state.as_str(), "running" | "paused" | "restarting" | "removing")
    }
}

/// Which containers are shown.
#[derive(Debug, Clone, Default)]
pub(in crate::radar) struct Wanted {
    /// Also those that do not run.
    pub all: bool,
    /// Only those in these states; then it does not matter whether they run.
    pub states: Vec<String>,
}

impl Wanted {
    /// Whether this one is.
    pub(in crate::radar) fn has(&self, value: &Value) -> Result<bool, Unreadable> {
        let container = Container::of(value)?;
        let runs = self.all || container.runs();
        Ok(if self.states.is_empty() { runs } else { self.states.contains(&container.state) })
    }
}

/// The table; `agents` say how fresh it is.
pub(in crate::radar) fn table(
    containers: &[Value],
    agents: &BTreeMap<String, Agent>,
    now: i64,
) -> Result<String, Unreadable> {
    let mut containers = containers.iter().map(Container::of).collect::<Result<Vec<_>, _>>()?;
    containers.sort_unstable_by(|one, other| (&one.agent, &one.name).cmp(&(&other.agent, &other.name)));
    let rows: Vec<_> = containers
        .iter()
        .map(|container| {
            let agent = agents.get(&container.agent);
            [
                agent.map_or_else(|| plain(&container.agent), Agent::marked),
                plain(&container.name),
                image(container),
                state(container),
                since(container, now),
                agent.map_or_else(|| "?".to_owned(), |agent| agent.heard(now)),
                ports(&container.ports),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok("No container fits; with -a also those are shown that do not run.\n".to_owned());
    }
    Ok(columns(["AGENT", "CONTAINER", "IMAGE", "STATE", "SINCE", "LAST HEARD", "PORTS"], &rows))
}

fn image(container: &Container) -> String {
    match container.tag.as_deref() {
        Some(tag) if !tag.is_empty() => plain(&format!("{}:{tag}", container.image)),
        _ => plain(&container.image),
    }
}

fn state(container: &Container) -> String {
    let state = plain(&container.state);
    match (&container.health, container.exit_code) {
        (Some(health), _) if container.runs() => format!("{state}, {}", plain(health)),
        (_, Some(code)) if !container.runs() => format!("{state} with {code}"),
        _ => state,
    }
}

fn since(container: &Container, now: i64) -> String {
    let then = match container.state.as_str() {
        "created" => container.created,
        _ if container.runs() => container.started,
        _ => container.finished,
    };
    then.map_or_else(|| "?".to_owned(), |then| when::ago(then, now))
}

fn ports(ports: &[Port]) -> String {
    let port = |port: &Port| {
        let inside = format!("{}/{}", port.private, port.protocol);
        let Some(public) = port.public else { return inside };
        match port.ip.as_deref() {
            None | Some("" | "0.0.0.0" | "::") => format!("{public}->{inside}"),
            Some(ip) => format!("{ip}:{public}->{inside}"),
        }
    };
    let mut ports: Vec<_> = ports.iter().map(port).collect();
    // The same port of both families of addresses.
    ports.dedup();
    plain(&ports.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::agents::agents;
    use super::*;

    fn fleet() -> BTreeMap<String, Agent> {
        agents(&json!({"agents": [
            {"id": "pi", "online": true, "complete": true, "heard": 99_000},
            {"id": "attic", "online": false, "complete": true, "heard": 40_000},
            {"id": "shed", "online": true, "complete": true, "heard": 99_000, "engine": {"answers": false}},
        ]}))
        .unwrap()
    }

    #[test]
    fn a_container_is_a_line_and_stale_ones_are_marked() {
        let containers = [
            json!({"agent": "shed", "name": "db", "image": "redis", "tag": "7", "state": "running", "started": 90_000}),
            json!({"agent": "pi", "name": "web", "image": "nginx", "tag": "1.25", "state": "running", "health": "healthy",
                   "exit_code": null, "started": 40_000, "ports": [
                       {"private": 80, "public": 8080, "ip": "0.0.0.0", "protocol": "tcp"},
                       {"private": 80, "public": 8080, "ip": "::", "protocol": "tcp"},
                       {"private": 443, "protocol": "tcp"}]}),
            json!({"agent": "pi", "name": "job", "image": "busybox", "tag": "", "state": "exited", "exit_code": 137,
                   "health": "unhealthy", "finished": 98_000}),
            json!({"agent": "attic", "name": "new", "image": "a", "state": "created", "created": 1}),
            json!({"agent": "attic", "name": "odd", "image": "a", "state": "running", "ports": [
                       {"private": 53, "public": 53, "ip": "10.0.0.1", "protocol": "udp"}]}),
        ];
        assert_eq!(
            table(&containers, &fleet(), 100_000).unwrap(),
            "AGENT              CONTAINER  IMAGE       STATE             SINCE      LAST HEARD  PORTS\n\
             attic (offline)    new        a           created           1 min ago  1 min ago\n\
             attic (offline)    odd        a           running           ?          1 min ago   10.0.0.1:53->53/udp\n\
             pi                 job        busybox     exited with 137   2 s ago    1 s ago\n\
             pi                 web        nginx:1.25  running, healthy  1 min ago  1 s ago     8080->80/tcp, 443/tcp\n\
             shed (last known)  db         redis:7     running           10 s ago   1 s ago\n"
        );
        assert!(table(&[], &fleet(), 0).unwrap().starts_with("No container fits"));
    }

    #[test]
    fn running_ones_are_shown_unless_others_are_asked_for() {
        let wanted = |all: bool, states: &[&str], state: &str| {
            let states = states.iter().map(|state| (*state).to_owned()).collect();
            Wanted { all, states }.has(&json!({"state": state})).unwrap()
        };
        for (all, states, state, expect) in [
            (false, &[][..], "running", true),
            (false, &[], "paused", true),
            (false, &[], "exited", false),
            (true, &[], "exited", true),
            (false, &["exited", "dead"], "exited", true),
            (true, &["exited"], "running", false),
        ] {
            assert_eq!(wanted(all, states, state), expect, "{all} {states:?} {state}");
        }
    }

    // E13
    #[test]
    fn no_name_can_drive_the_terminal() {
        let hostile = "a\u{1b}[2Jb\n\u{9b}";
        let container = json!({"agent": hostile, "name": hostile, "image": hostile, "tag": hostile, "state": hostile,
            "health": hostile, "exit_code": 1, "ports": [{"private": 1, "public": 1, "ip": hostile, "protocol": hostile}]});
        let text = table(&[container], &fleet(), 0).unwrap();
        assert_eq!(text.matches(|c: char| c.is_control() && c != '\n').count(), 0, "{text:?}");
        assert_eq!(text.matches('\n').count(), 2, "{text:?}");
    }
}
