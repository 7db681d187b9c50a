//! What goes wrong, in the form of RFC 9457, and which status an end of a command is.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::commanding::{AskError, Refusal, State};

/// Seconds after which it may be tried again.
const AGAIN: u32 = 5;

/// Why a request is not answered as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: u16,
    code: Box<str>,
    detail: String,
    command: Option<Box<str>>,
}

impl Problem {
    pub(super) fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Self { status, code: code.into(), detail: detail.into(), command: None }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, "bad-request", detail)
    }

    pub(super) fn trouble(detail: &str) -> Self {
        Self::new(503, "bridge-trouble", detail)
    }

    pub(super) fn unknown_agent(agent: &str) -> Self {
        Self::new(404, "unknown-agent", format!("no agent {agent} is known"))
    }

    pub(super) fn too_many_streams() -> Self {
        Self::new(503, "too-many-streams", "as many streams as there may be are open; close one, or try again")
    }

    /// Of a command with this name.
    pub(super) fn of(self, command: &str) -> Self {
        Self { command: Some(command.into()), ..self }
    }

    /// Why there is no command.
    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::UnknownAgent(_) => (404, "unknown-agent"),
            Refusal::TakesNone(_) => (409, "agent-takes-no-commands"),
            Refusal::Broker(_) | Refusal::Store(_) | Refusal::Key(_) => (503, "bridge-trouble"),
            Refusal::Ask(AskError::Busy) => (429, "busy"),
            Refusal::Ask(_) => (400, "bad-request"),
        };
        Self::new(status, code, refusal.to_string())
    }

    /// What a command's end other than success is.
    pub(super) fn of_end(state: State, reason: Option<&str>, command: &str) -> Self {
        let (code, detail) = match (state, reason.and_then(word)) {
            (State::Unknown, _) => ("no-outcome", reason.unwrap_or("nobody knows how it has ended")),
            (_, Some((code, detail))) => (code, detail),
            (_, None) => ("failed", reason.unwrap_or("the agent does not say why")),
        };
        Self::new(status(code), code, detail).of(command)
    }
}

/// The word before the colon, and what comes after it.
fn word(reason: &str) -> Option<(&str, &str)> {
    let (word, detail) = reason.split_once(':').unwrap_or((reason, reason));
    let is_word = (1..=32).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    is_word.then(|| (word, detail.trim()))
}

/// The status of a reason's word.
fn status(code: &str) -> u16 {
    match code {
        "not-found" => 404,
        "conflict" | "ambiguous" => 409,
        "policy" | "protected" | "denied" | "unavailable" | "built-in" => 403,
        "busy" => 429,
        "unknown-command" => 501,
        "timed-out" | "no-outcome" => 504,
        "agent-away" | "bridge-trouble" => 503,
        _ => 502,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        if let Some(command) = self.command {
            body["command"] = json!(command);
        }
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if &*self.code == "busy" || &*self.code == "too-many-streams" {
            headers.insert(RETRY_AFTER, AGAIN.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PS3
    #[test]
    fn every_end_has_its_status_and_its_word() {
        for (state, reason, status, code) in [
            (State::Failed, Some("not-found: no container is called web"), 404, "not-found"),
            (State::Refused, Some("not-found: no container is called web"), 404, "not-found"),
            (State::Failed, Some("conflict: the name is taken"), 409, "conflict"),
            (State::Refused, Some("ambiguous: several"), 409, "ambiguous"),
            (State::Refused, Some("policy: not allowed"), 403, "policy"),
            (State::Refused, Some("protected: not this one"), 403, "protected"),
            (State::Refused, Some("unavailable: denied"), 403, "unavailable"),
            (State::Failed, Some("denied: the proxy says no"), 403, "denied"),
            (State::Refused, Some("built-in: the engine needs it"), 403, "built-in"),
            (State::Refused, Some("busy: too many"), 429, "busy"),
            (State::Refused, Some("unknown-command: x"), 501, "unknown-command"),
            (State::Failed, Some("timed-out: x"), 504, "timed-out"),
            (State::Unknown, Some("no outcome came: x"), 504, "no-outcome"),
            (State::Unknown, None, 504, "no-outcome"),
            (State::Refused, Some("clock: x"), 502, "clock"),
            (State::Refused, Some("expired: x"), 502, "expired"),
            (State::Refused, Some("validity: x"), 502, "validity"),
            (State::Refused, Some("storage: x"), 502, "storage"),
            (State::Failed, Some("interrupted"), 502, "interrupted"),
            (State::Failed, Some("engine: x"), 502, "engine"),
            (State::Failed, Some("Something Else: x"), 502, "failed"),
            (State::Failed, None, 502, "failed"),
            (State::Failed, Some("agent-away: nobody listens"), 503, "agent-away"),
            (State::Failed, Some("bridge-trouble: no way"), 503, "bridge-trouble"),
        ] {
            let problem = Problem::of_end(state, reason, "1-a");
            assert_eq!((problem.status, &*problem.code), (status, code), "{reason:?}");
            assert_eq!(problem.command.as_deref(), Some("1-a"));
        }
        assert_eq!(Problem::of_end(State::Failed, Some("conflict: a: b"), "1-a").detail, "a: b");
    }

    // PS3
    #[test]
    fn what_does_not_become_a_command_has_its_status_too() {
        let pi = || "pi".parse().unwrap();
        for (refusal, status, code) in [
            (Refusal::UnknownAgent(pi()), 404, "unknown-agent"),
            (Refusal::TakesNone(pi()), 409, "agent-takes-no-commands"),
            (Refusal::Broker(String::new()), 503, "bridge-trouble"),
            (Refusal::Store(String::new()), 503, "bridge-trouble"),
            (Refusal::Key(String::new()), 503, "bridge-trouble"),
            (Refusal::Ask(AskError::Busy), 429, "busy"),
            (Refusal::Ask(AskError::Valid), 400, "bad-request"),
        ] {
            let problem = Problem::of_refusal(&refusal);
            assert_eq!((problem.status, &*problem.code), (status, code), "{refusal}");
        }
    }
}
