//! A request as its handler gets it: everything that it says is known to the table, and has the form that stands there.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Query, RawPathParams, Request};
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use futures_util::StreamExt as _;
use radar_link::settings::Span;
use radar_wire::command::{Command, Program, Prunable};
use radar_wire::topic::AgentId;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::auth::Caller;
use super::problem::Problem;
use super::route::{Field, Form, Route};
use crate::commanding::{Order, VALID};

/// The largest body.
const BODY: usize = 16 * 1024;
/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Characters of the name in `Radar-As`.
const NAME: usize = 64;

/// A request.
#[derive(Debug)]
pub(super) struct Call {
    who: Box<str>,
    parts: Vec<(String, String)>,
    query: Vec<(String, String)>,
    body: Map<String, Value>,
    /// The answer is to be a stream of events.
    pub(super) events: bool,
    /// Where a reader that comes back goes on.
    pub(super) last_event: Option<i64>,
}

impl Call {
    pub(super) async fn read(route: &Route, request: Request) -> Result<Self, Problem> {
        let (mut head, body) = request.into_parts();
        let caller = head.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Problem::new(401, "unauthorized", "show a valid key"))?;
        if caller.scope < route.scope {
            let detail = format!("the key's scope is {}, and this needs {}", caller.scope, route.scope);
            return Err(Problem::new(403, "forbidden", detail));
        }
        let parts = RawPathParams::from_request_parts(&mut head, &()).await;
        let parts = parts.map_err(|error| Problem::bad_request(error.to_string()))?;
        let parts = parts.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let query = Query::<Vec<(String, String)>>::try_from_uri(&head.uri);
        let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
        check_query(route.query, &query)?;
        let body = object(&read(body).await?)?;
        check_body(route.body, &body)?;
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let last_event = header("last-event-id").and_then(|id| id.parse().ok());
        let events = header(ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/event-stream"));
        Ok(Self { who: who(&caller.name, &head.headers)?, parts, query, body, events, last_event })
    }

    /// A part of the path.
    pub(super) fn part(&self, name: &str) -> Box<str> {
        let part = self.parts.iter().find(|(part, _)| part == name);
        part.map(|(_, value)| value.as_str()).unwrap_or_default().into()
    }

    /// The agent of the path. What cannot be one is not known.
    pub(super) fn agent(&self) -> Result<AgentId, Problem> {
        let agent = self.part("agent");
        agent.parse().map_err(|_| Problem::unknown_agent(&agent.chars().take(80).collect::<String>()))
    }

    /// The agent of the query.
    pub(super) fn of_agent(&self) -> Result<Option<AgentId>, Problem> {
        self.text("agent").map(|agent| agent.parse().map_err(|_| Problem::unknown_agent(&agent))).transpose()
    }

    /// A text, of the query or the body.
    pub(super) fn text(&self, name: &str) -> Option<Box<str>> {
        let said = self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        said.or_else(|| self.body.get(name)?.as_str()).map(Into::into)
    }

    /// All texts of the query of this name.
    pub(super) fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A text that must be there.
    pub(super) fn needed(&self, name: &str) -> Result<Box<str>, Problem> {
        self.text(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Problem::bad_request(format!("`{name}` is missing")))
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let said = self.query.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.parse().ok());
        said.or_else(|| self.body.get(name)?.as_u64())
    }

    /// A number of 32 bits.
    pub(super) fn small(&self, name: &str) -> Result<Option<u32>, Problem> {
        let small = self.number(name).map(u32::try_from).transpose();
        small.map_err(|_| Problem::bad_request(format!("`{name}` is too large")))
    }

    /// How many at most.
    pub(super) fn limit(&self, usual: u32) -> Result<u32, Problem> {
        match self.number("limit") {
            None => Ok(usual),
            Some(limit @ 1..=1000) => Ok(u32::try_from(limit).unwrap_or(usual)),
            Some(_) => Err(Problem::bad_request("`limit` is 1 to 1000")),
        }
    }

    /// A word for yes or no.
    pub(super) fn flag(&self, name: &str, usual: bool) -> bool {
        match self.query.iter().find(|(key, _)| key == name) {
            Some((_, value)) => value != "false",
            None => self.body.get(name).and_then(Value::as_bool).unwrap_or(usual),
        }
    }

    /// A time: milliseconds since 1970 UTC, or a duration before now.
    pub(super) fn moment(&self, name: &str, now: i64) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if let Ok(at) = text.parse() {
            return Ok(Some(at));
        }
        match text.parse::<Span>() {
            Ok(Span(back)) => Ok(Some(now.saturating_sub(i64::try_from(back.as_millis()).unwrap_or(i64::MAX)))),
            Err(_) => {
                let detail = format!("`{name}` is milliseconds since 1970, or a duration back such as 10m");
                Err(Problem::bad_request(detail))
            }
        }
    }

    /// The program of a self-update.
    pub(super) fn object(&self, name: &str) -> Result<Option<Program>, Problem> {
        let program = self.body.get(name).map(Program::deserialize).transpose();
        program.map_err(|error| Problem::bad_request(format!("`{name}`: {error}")))
    }

    /// The removal of what nothing uses.
    pub(super) fn prune(&self, what: Prunable) -> Command {
        Command::Prune { what, all: self.flag("all", false) }
    }

    /// The command, asked of the path's agent for who calls.
    pub(super) fn order(&self, command: Command) -> Result<Order, Problem> {
        let valid = self.number("valid").map_or(VALID, Duration::from_secs);
        Ok(Order { agent: self.agent()?, who: self.who.clone(), command, valid })
    }
}

/// Who it is for the audit: the key's name, and whom its holder speaks for.
fn who(name: &str, headers: &HeaderMap) -> Result<Box<str>, Problem> {
    let Some(user) = headers.get("radar-as") else { return Ok(format!("api:{name}").into()) };
    let user = std::str::from_utf8(user.as_bytes()).ok().map(str::trim);
    let fits = |user: &&str| (1..=NAME).contains(&user.chars().count()) && !user.contains(char::is_control);
    let user = user.filter(fits).ok_or_else(|| {
        Problem::bad_request(format!("Radar-As has 1 to {NAME} characters, none of them a control character"))
    })?;
    Ok(format!("api:{name} as {user}").into())
}

async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let mut frames = body.into_data_stream();
    let reading = async {
        let mut bytes = Vec::new();
        while let Some(frame) = frames.next().await {
            let frame = frame.map_err(|error| Problem::bad_request(format!("the body breaks off: {error}")))?;
            if bytes.len() + frame.len() > BODY {
                return Err(Problem::new(413, "too-large", format!("a body has {BODY} bytes at most")));
            }
            bytes.extend_from_slice(&frame);
        }
        Ok(bytes)
    };
    let read = tokio::time::timeout(PATIENCE, reading).await;
    read.unwrap_or_else(|_| Err(Problem::bad_request("the body does not come in time")))
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    serde_json::from_slice(bytes).map_err(|error| Problem::bad_request(format!("the body is no JSON object: {error}")))
}

fn check_query(fields: &[Field], query: &[(String, String)]) -> Result<(), Problem> {
    for (at, (name, value)) in query.iter().enumerate() {
        let field = known(fields, name, "the query")?;
        if name != "label" && query[..at].iter().any(|(before, _)| before == name) {
            return Err(Problem::bad_request(format!("`{name}` is said twice")));
        }
        let fits = match field.form {
            Form::Text => true,
            Form::Number => value.parse::<u64>().is_ok(),
            Form::Flag => ["", "true", "false"].contains(&value.as_str()),
            Form::Object => false,
        };
        expect(fits, field)?;
    }
    Ok(())
}

fn check_body(fields: &[Field], body: &Map<String, Value>) -> Result<(), Problem> {
    for (name, value) in body {
        let field = known(fields, name, "the body")?;
        let fits = match field.form {
            Form::Text => value.is_string(),
            Form::Number => value.is_u64(),
            Form::Flag => value.is_boolean(),
            Form::Object => value.is_object(),
        };
        expect(fits || value.is_null(), field)?;
    }
    Ok(())
}

fn known<'a>(fields: &'a [Field], name: &str, place: &str) -> Result<&'a Field, Problem> {
    let shown = || name.chars().take(80).collect::<String>();
    fields.iter().find(|field| field.name == name).ok_or_else(|| {
        let all = fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ");
        let all = if all.is_empty() { "nothing".to_owned() } else { all };
        Problem::bad_request(format!("`{}` is not known; {place} may hold: {all}", shown()))
    })
}

fn expect(fits: bool, field: &Field) -> Result<(), Problem> {
    let form = match field.form {
        Form::Text => "a text",
        Form::Number => "a whole number",
        Form::Flag => "true or false",
        Form::Object => "an object",
    };
    if fits { Ok(()) } else { Err(Problem::bad_request(format!("`{}` must be {form}", field.name))) }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::json;

    use super::*;

    const FIELDS: &[Field] = &[
        Field { name: "label", form: Form::Text, summary: "" },
        Field { name: "limit", form: Form::Number, summary: "" },
        Field { name: "force", form: Form::Flag, summary: "" },
        Field { name: "program", form: Form::Object, summary: "" },
    ];

    fn pairs(text: &str) -> Vec<(String, String)> {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn call(query: &str) -> Call {
        let (parts, query) = (pairs("agent=pi"), pairs(query));
        Call { who: "api:Ann".into(), parts, query, body: Map::new(), events: false, last_event: None }
    }

    // PS1
    #[test]
    fn what_is_unknown_or_of_another_form_is_refused_by_name() {
        for (query, wrong) in [
            ("", None),
            ("label=a&label=b&limit=3&force=true", None),
            ("force=", None),
            ("limit=-3", Some("limit")),
            ("limit=1&limit=2", Some("limit")),
            ("force=yes", Some("force")),
            ("program={}", Some("program")),
            ("colour=red", Some("colour")),
        ] {
            let refused = check_query(FIELDS, &pairs(query)).err();
            assert_eq!(refused.is_some(), wrong.is_some(), "{query}");
            assert!(wrong.is_none_or(|name| format!("{refused:?}").contains(&format!("`{name}`"))), "{refused:?}");
        }
        for (body, wrong) in [
            (json!({ "label": "a", "limit": 3, "force": true, "program": {} }), None),
            (json!({ "label": null }), None),
            (json!({ "label": 3 }), Some("label")),
            (json!({ "limit": -3 }), Some("limit")),
            (json!({ "limit": "3" }), Some("limit")),
            (json!({ "force": "true" }), Some("force")),
            (json!({ "program": [] }), Some("program")),
            (json!({ "colour": "red" }), Some("colour")),
        ] {
            let refused = check_body(FIELDS, body.as_object().unwrap()).err();
            assert_eq!(refused.is_some(), wrong.is_some(), "{body}");
            assert!(wrong.is_none_or(|name| format!("{refused:?}").contains(&format!("`{name}`"))), "{refused:?}");
        }
        assert_eq!(object(b" \n").unwrap().len(), 0);
        assert!(object(b"[]").is_err() && object(b"{").is_err());
    }

    #[test]
    fn times_are_milliseconds_or_durations_back() {
        for (query, expected) in [
            ("", Ok(None)),
            ("since=1795228544250", Ok(Some(1_795_228_544_250))),
            ("since=10m", Ok(Some(400_000))),
            ("since=yesterday", Err(())),
        ] {
            assert_eq!(call(query).moment("since", 1_000_000).map_err(drop), expected, "{query}");
        }
    }

    // E5
    #[test]
    fn who_asks_is_the_keys_name_and_whom_it_speaks_for() {
        let with = |user: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("radar-as", HeaderValue::from_bytes(user).unwrap());
            who("Ann", &headers).map_err(drop)
        };
        assert_eq!(who("Ann", &HeaderMap::new()), Ok("api:Ann".into()));
        assert_eq!(with("Jörg".as_bytes()), Ok("api:Ann as Jörg".into()));
        for wrong in [&b""[..], &[0xff], "x".repeat(65).as_bytes()] {
            assert_eq!(with(wrong), Err(()), "{wrong:?}");
        }
    }
}
