//! The double's interface: what each path answers, in the server's words.

use std::future::pending;
use std::io::Read as _;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Fault, Recorded, Shared, heartbeat};

/// The server's limit for a body after decompression.
const LIMIT: usize = 102_400;
/// What is read of a body at all.
const MOST: usize = 16 << 20;
const PAGE: &str = "<!doctype html>\n<html><head><title>Registry Radar</title></head><body></body></html>";

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: u16,
    json: bool,
    body: String,
}

impl Reply {
    pub(super) fn json(status: u16, value: Value) -> Self {
        Self { status, json: true, body: value.to_string() }
    }

    fn html(status: u16, body: impl Into<String>) -> Self {
        Self { status, json: false, body: body.into() }
    }

    fn into_response(self) -> Response {
        let kind = if self.json { "application/json; charset=utf-8" } else { "text/html; charset=utf-8" };
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(CONTENT_TYPE, kind)], self.body).into_response()
    }
}

pub(super) fn refuse(status: u16, error: &str) -> Reply {
    Reply::json(status, json!({ "error": error }))
}

/// Answers one call. The server works on it to its end, also when the caller has gone.
#[expect(clippy::disallowed_methods, reason = "whoever stops waiting does not stop the server's work")]
pub(super) async fn answer(shared: Shared, stop: CancellationToken, request: Request) -> Response {
    match tokio::spawn(work(shared, stop, request)).await {
        Ok(reply) => reply.into_response(),
        Err(_) => pending().await,
    }
}

async fn work(shared: Shared, stop: CancellationToken, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    let body = read(&parts.headers, body).await;
    let whole = parts.uri.path().to_owned();
    let now = shared.clock.now();
    let (call, path, fault, subject) = {
        let mut state = shared.lock();
        let path = whole.strip_prefix(&state.prefix).map(str::to_owned);
        let subject = bearer(&parts.headers).and_then(|token| state.tokens.subject(token, now.mono)).map(str::to_owned);
        let text = || Value::String(String::from_utf8_lossy(&body.bytes).into_owned());
        let call = Recorded {
            at: now.mono,
            method: parts.method.to_string(),
            path: path.clone().unwrap_or_else(|| whole.clone()),
            subject: subject.clone(),
            body: if body.bytes.is_empty() { Value::Null } else { body.value.clone().unwrap_or_else(text) },
            bytes: body.bytes.len(),
            status: 0,
        };
        let fault = path.as_deref().and_then(|path| state.fault_at(path));
        (state.begin_call(call), path, fault, subject)
    };
    let reply = match path {
        None => Reply::html(404, "<html><body>404 Not Found</body></html>"),
        Some(path) => {
            let caller = Caller { method: parts.method, path, has_header: bearer(&parts.headers).is_some(), subject };
            faulty(&shared, &stop, fault, &caller, &body).await
        }
    };
    shared.lock().end_call(call, reply.status);
    reply
}

/// Who calls, and what.
struct Caller {
    method: Method,
    path: String,
    has_header: bool,
    subject: Option<String>,
}

async fn faulty(
    shared: &Shared,
    stop: &CancellationToken,
    fault: Option<Fault>,
    caller: &Caller,
    body: &Read,
) -> Reply {
    match fault {
        Some(Fault::Status(status)) => return refuse(status, "the test has asked for this"),
        Some(Fault::Page) => return Reply::html(200, PAGE),
        Some(Fault::Silence) => return pending().await,
        Some(Fault::Unauthorized) => return refuse(401, "Invalid or expired token"),
        Some(Fault::TooLarge) => return too_large(),
        Some(Fault::Slow(wait)) => tokio::time::sleep(wait).await,
        None => {}
    }
    if body.bytes.len() > LIMIT {
        return too_large();
    }
    if body.malformed {
        return Reply::html(400, "<pre>SyntaxError: Unexpected token in JSON at position 0</pre>");
    }
    route(shared, stop, caller, body.value.as_ref().unwrap_or(&Value::Null)).await
}

fn too_large() -> Reply {
    Reply::html(413, "<pre>PayloadTooLargeError: request entity too large</pre>")
}

async fn route(shared: &Shared, stop: &CancellationToken, caller: &Caller, body: &Value) -> Reply {
    let Caller { method, path, .. } = caller;
    let signed_in = || caller.subject.as_deref().ok_or_else(|| unauthorized(caller));
    match (method.as_str(), path.as_str()) {
        ("GET", "/api/agent/health") => Reply::json(
            200,
            json!({ "status": "ok", "timestamp": shared.clock.now().wall, "service": "registry-radar-server" }),
        ),
        ("POST", "/api/agent-auth/enroll") => enroll(shared, stop, body).await,
        ("POST", "/api/agent-auth/token") => token(shared, body),
        ("POST", "/api/agent/heartbeat") => match signed_in() {
            Ok(agent) => heartbeat::take(shared, agent, body).await,
            Err(reply) => reply,
        },
        ("POST", "/api/auth/login") => login(shared, body),
        ("GET" | "POST" | "PUT" | "DELETE", path) if path == "/api/agents" || path.starts_with("/api/agents/") => {
            match signed_in() {
                Ok(_) => admin(shared, caller, body),
                Err(reply) => reply,
            }
        }
        ("GET", _) => Reply::html(200, PAGE),
        (method, path) => Reply::html(404, format!("<pre>Cannot {method} {path}</pre>")),
    }
}

fn unauthorized(caller: &Caller) -> Reply {
    let missing = "Missing or invalid authorization header";
    refuse(401, if caller.has_header { "Invalid or expired token" } else { missing })
}

/// Whether JavaScript takes it for false, as the server's checks do.
fn falsy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(_) => false,
    }
}

async fn enroll(shared: &Shared, stop: &CancellationToken, body: &Value) -> Reply {
    let (id, given) = (body.get("agentId"), body.get("enrollToken"));
    if falsy(id) || falsy(given) {
        return refuse(400, "Missing agentId or enrollToken");
    }
    let now = shared.clock.now();
    {
        let mut state = shared.lock();
        let id = id.and_then(Value::as_str).unwrap_or_default();
        let Some(expected) = state.agents.get(id).and_then(|row| row.enroll.clone()) else {
            return refuse(400, "Not enrolled or already used");
        };
        if let Some(given) = given.and_then(Value::as_str) {
            if given != expected {
                return refuse(401, "Invalid enrollment token");
            }
            let secret = state.random_hex(32);
            let once = state.one_time_tokens;
            if let Some(row) = state.agents.get_mut(id) {
                row.refresh = Some(secret.clone());
                "offline".clone_into(&mut row.status);
                if once {
                    row.enroll = None;
                }
            }
            let lifetime = state.token_lifetime;
            let access = state.issue(id, "agent", lifetime, now);
            return tokens(access, Some(secret), lifetime);
        }
        // bcrypt throws at what is no text, and nobody catches it.
        state.killed = Some("an enrollment token that is no text".to_owned());
    }
    stop.cancel();
    pending().await
}

fn token(shared: &Shared, body: &Value) -> Reply {
    let (id, given) = (body.get("agentId"), body.get("refreshSecret"));
    if falsy(id) || falsy(given) {
        return refuse(400, "Missing agentId or refreshSecret");
    }
    let now = shared.clock.now();
    let mut state = shared.lock();
    let id = id.and_then(Value::as_str).unwrap_or_default();
    let Some(expected) = state.agents.get(id).and_then(|row| row.refresh.as_deref()) else {
        return refuse(401, "No refresh secret on file");
    };
    if given.and_then(Value::as_str) != Some(expected) {
        return refuse(401, "Invalid refresh secret");
    }
    let lifetime = state.token_lifetime;
    let access = state.issue(id, "agent", lifetime, now);
    tokens(access, None, lifetime)
}

fn tokens(access: String, refresh: Option<String>, lifetime: Duration) -> Reply {
    let mut answer = json!({ "accessToken": access, "tokenType": "Bearer", "expiresInSeconds": lifetime.as_secs() });
    if let Some(refresh) = refresh {
        answer["refreshSecret"] = refresh.into();
    }
    Reply::json(200, answer)
}

fn login(shared: &Shared, body: &Value) -> Reply {
    let (name, password) = (body.get("username"), body.get("password"));
    if falsy(name) || falsy(password) {
        return refuse(400, "Username and password are required");
    }
    let now = shared.clock.now();
    let mut state = shared.lock();
    let (known, secret, first_login) = state.user.clone();
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    if (text(name), text(password)) != (known.clone(), secret) {
        return refuse(401, "Invalid credentials");
    }
    let web = state.issue(&known, "web", Duration::from_secs(86_400), now);
    let user = json!({ "username": known, "firstLogin": first_login });
    Reply::json(200, json!({ "accessToken": web, "tokenType": "Bearer", "expiresIn": 86_400, "user": user }))
}

/// What the page does with agents. An agent's token opens it as well as a user's.
fn admin(shared: &Shared, caller: &Caller, body: &Value) -> Reply {
    let mut state = shared.lock();
    match (caller.method.as_str(), caller.path.trim_start_matches("/api/agents").trim_start_matches('/')) {
        ("GET", "") => {
            let listed = state.views().map(|view| {
                let containers = |list: &[super::ContainerView]| -> Vec<Value> {
                    let row = |c: &super::ContainerView| json!({ "id": c.id, "name": c.name, "image": c.image, "tag": c.tag, "status": c.status });
                    list.iter().map(row).collect()
                };
                let mut agent = json!({
                    "id": view.id, "name": view.name, "tags": view.tags, "host": view.name, "status": view.status,
                    "createdAt": "2024-11-21T02:22:10.007Z",
                    "containers": { "running": containers(&view.running), "stopped": containers(&view.stopped) },
                });
                if let Some(seen) = view.last_seen {
                    agent["lastSeenAt"] = format!("{}", seen.as_millis()).into();
                }
                agent
            });
            Reply::json(200, listed.collect())
        }
        ("POST", "") => {
            let Some(name) = body.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
                return refuse(400, "Missing name");
            };
            let tags = body.get("tags").and_then(Value::as_array).into_iter().flatten();
            let tags = tags.filter_map(Value::as_str).map(str::to_owned).collect();
            let (id, token) = state.create_agent(name, tags);
            Reply::json(201, json!({ "agentId": id, "enrollToken": token, "composeYaml": "services:\n" }))
        }
        ("GET", "config") => Reply::json(200, json!({ "heartbeatIntervalSeconds": state.interval })),
        ("PUT", "config") => match body.get("heartbeatIntervalSeconds").and_then(Value::as_f64) {
            Some(seconds) if (30.0..=1800.0).contains(&seconds) => {
                state.interval = seconds;
                Reply::json(200, json!({ "message": "Agent configuration updated successfully" }))
            }
            _ => refuse(
                400,
                "Heartbeat interval must be a number between 30 and 1800 seconds (30 seconds to 30 minutes)",
            ),
        },
        ("DELETE", id) if !id.is_empty() => {
            state.agents.remove(id);
            Reply::json(200, json!({ "message": "Agent deleted successfully" }))
        }
        ("GET", _) => Reply::html(200, PAGE),
        (method, _) => Reply::html(404, format!("<pre>Cannot {method} {}</pre>", caller.path)),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// A body after decompression.
struct Read {
    bytes: Vec<u8>,
    /// The body as JSON, where it is said to be JSON and is.
    value: Option<Value>,
    malformed: bool,
}

async fn read(headers: &HeaderMap, body: Body) -> Read {
    let mut bytes = to_bytes(body, MOST).await.map(|bytes| bytes.to_vec()).unwrap_or_default();
    let says = |name, word: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with(word))
    };
    if says(CONTENT_ENCODING, "gzip") {
        let mut plain = Vec::new();
        let most = u64::try_from(MOST).unwrap_or(u64::MAX);
        // What does not unpack is no JSON either.
        let _ = GzDecoder::new(&*bytes).take(most).read_to_end(&mut plain);
        bytes = plain;
    }
    if bytes.is_empty() || !says(CONTENT_TYPE, "application/json") {
        return Read { bytes, value: None, malformed: false };
    }
    // Only a list or an object is taken for JSON.
    let value = serde_json::from_slice(&bytes).ok().filter(|value: &Value| value.is_object() || value.is_array());
    Read { malformed: value.is_none(), bytes, value }
}
