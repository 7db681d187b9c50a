//! The containers, as the fleet last knew them; each with when its agent was last heard.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use radar_wire::container::{ContainerId, Record};
use radar_wire::topic::AgentId;
use serde::Serialize;
use serde_json::json;

use super::call::Call;
use super::problem::Problem;
use super::{Api, Question};

/// The beginning of an id is at least this long: a short text is meant as a name, as agents read it.
const SHORTEST_ID: usize = 6;

/// An agent with its containers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Host {
    /// The agent.
    pub agent: AgentId,
    /// Whether it is there.
    pub online: bool,
    /// When it was last heard.
    pub heard: i64,
    /// Whether these are all its containers.
    pub complete: bool,
    /// Them, by id.
    pub records: Vec<Record>,
}

/// A container, and whose it is.
#[derive(Debug, Serialize)]
struct Container<'a> {
    agent: &'a AgentId,
    online: bool,
    heard: i64,
    #[serde(flatten)]
    record: &'a Record,
}

impl Host {
    fn of<'a>(&'a self, record: &'a Record) -> Container<'a> {
        Container { agent: &self.agent, online: self.online, heard: self.heard, record }
    }
}

pub(super) async fn of_agent(api: Api, call: Call) -> Result<Response, Problem> {
    let Host { agent, online, heard, complete, records } = host(&api, call.agent()?).await?;
    let body = json!({ "agent": agent, "online": online, "complete": complete, "heard": heard, "containers": records });
    Ok(Json(body).into_response())
}

pub(super) async fn one(api: Api, call: Call) -> Result<Response, Problem> {
    let host = host(&api, call.agent()?).await?;
    let record = find(&host.records, &call.part("container"))?;
    Ok(Json(record).into_response())
}

pub(super) async fn all(api: Api, call: Call) -> Result<Response, Problem> {
    let limit = usize::try_from(call.limit(500)?).unwrap_or(usize::MAX);
    let filter = Filter { labels: call.texts("label").collect(), state: call.text("state") };
    let only = call.of_agent()?;
    let mut after = call.text("after").map(|cursor| Cursor::parse(&cursor)).transpose()?;
    let mut from = only.clone().or_else(|| after.as_ref().map(|cursor| cursor.agent.clone()));
    let mut found = Vec::new();
    loop {
        let hosts = match &only {
            Some(agent) => vec![host(&api, agent.clone()).await?],
            None => api.ask(|reply| Question::Hosts(from.take(), reply)).await?,
        };
        for host in &hosts {
            for record in host.records.iter().filter(|record| filter.takes(record)) {
                let cursor = Cursor { agent: host.agent.clone(), container: record.id };
                if after.as_ref().is_some_and(|after| cursor <= *after) {
                    continue;
                }
                if found.len() == limit {
                    let next = after.map(|after| after.to_text());
                    return Ok(Json(json!({ "containers": found, "next": next })).into_response());
                }
                let container = serde_json::to_value(host.of(record));
                found.push(container.map_err(|error| Problem::trouble(&error.to_string()))?);
                after = Some(cursor);
            }
        }
        // From the last one on, which is told again and brings nothing new.
        let last = hosts.last().map(|host| host.agent.clone());
        if only.is_some() || hosts.len() < 2 {
            return Ok(Json(json!({ "containers": found })).into_response());
        }
        after = after.max(last.clone().map(|agent| Cursor { agent, container: ContainerId::new([0xff; 32]) }));
        from = last;
    }
}

async fn host(api: &Api, agent: AgentId) -> Result<Host, Problem> {
    let host = api.ask(|reply| Question::Host(agent.clone(), reply)).await?;
    host.ok_or_else(|| Problem::unknown_agent(agent.as_str()))
}

/// The last container that was told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cursor {
    agent: AgentId,
    container: ContainerId,
}

impl Cursor {
    fn parse(text: &str) -> Result<Self, Problem> {
        let parsed = text.split_once('.').and_then(|(agent, container)| {
            Some(Self { agent: agent.parse().ok()?, container: container.parse().ok()? })
        });
        parsed.ok_or_else(|| Problem::bad_request("`after` is the `next` of an answer"))
    }

    fn to_text(&self) -> String {
        format!("{}.{}", self.agent, self.container)
    }
}

/// Which containers are wanted.
struct Filter<'a> {
    labels: Vec<&'a str>,
    state: Option<Box<str>>,
}

impl Filter<'_> {
    fn takes(&self, record: &Record) -> bool {
        let label = |wanted: &&str| match wanted.split_once('=') {
            Some((key, value)) => record.labels.get(key).is_some_and(|label| &**label == value),
            None => record.labels.contains_key(*wanted),
        };
        self.labels.iter().all(label) && self.state.as_deref().is_none_or(|state| record.state.as_str() == state)
    }
}

/// The container of this name, of this id, or whose id begins so.
fn find<'a>(records: &'a [Record], named: &str) -> Result<&'a Record, Problem> {
    if let Some(record) = records.iter().find(|record| &*record.name == named) {
        return Ok(record);
    }
    let begins = named.len() >= SHORTEST_ID && named.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = named.to_ascii_lowercase();
    let mut found = records.iter().filter(|record| begins && record.id.to_string().starts_with(&id));
    match (found.next(), found.next()) {
        (Some(record), None) => Ok(record),
        (Some(_), Some(_)) => Err(Problem::new(409, "ambiguous", format!("several ids begin with {named}"))),
        (None, _) => Err(Problem::new(404, "not-found", "no container is called so, as far as is known")),
    }
}

#[cfg(test)]
mod tests {
    use radar_wire::container::State;

    use super::*;

    fn record(first: u8, name: &str, labels: &[(&str, &str)]) -> Record {
        let mut bytes = [0xab; 32];
        bytes[3] = first;
        Record {
            id: ContainerId::new(bytes),
            name: name.into(),
            image: "web".into(),
            tag: "1".into(),
            digest: None,
            image_id: None,
            state: State::Running,
            health: None,
            exit_code: None,
            created: None,
            started: None,
            finished: None,
            restarts: 0,
            restart_policy: None,
            ports: Vec::new(),
            networks: Vec::new(),
            mounts: Vec::new(),
            project: None,
            service: None,
            labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        }
    }

    // PS1
    #[test]
    fn a_container_is_found_as_agents_find_it() {
        let records = [record(1, "web", &[]), record(2, "abab", &[])];
        for (named, expected) in [
            ("web", Ok("web")),
            ("abab", Ok("abab")),
            ("ababab01", Ok("web")),
            ("ABABAB02", Ok("abab")),
            ("ababab", Err("ambiguous")),
            ("ababa", Err("not-found")),
            ("", Err("not-found")),
            ("we", Err("not-found")),
        ] {
            let found = find(&records, named).map(|record| &*record.name);
            match expected {
                Ok(name) => assert_eq!(found, Ok(name), "{named}"),
                Err(code) => assert!(format!("{found:?}").contains(code), "{named}: {found:?}"),
            }
        }
    }

    // PS1
    #[test]
    fn labels_and_states_narrow_the_list() {
        let record = record(1, "web", &[("app", "web"), ("radar.group", "")]);
        for (labels, state, expected) in [
            (&[][..], None, true),
            (&["app"], Some("running"), true),
            (&["app=web", "radar.group="], None, true),
            (&["app=db"], None, false),
            (&["app", "none"], None, false),
            (&[], Some("exited"), false),
        ] {
            let filter = Filter { labels: labels.to_vec(), state: state.map(Into::into) };
            assert_eq!(filter.takes(&record), expected, "{labels:?} {state:?}");
        }
    }

    #[test]
    fn a_cursor_is_read_as_it_was_told() {
        let cursor = Cursor { agent: "pi".parse().unwrap(), container: record(1, "web", &[]).id };
        assert_eq!(Cursor::parse(&cursor.to_text()), Ok(cursor));
        for bad in ["", "pi", "pi.", "pi.abc", ".abc"] {
            assert!(Cursor::parse(bad).is_err(), "{bad}");
        }
    }
}
