//! What an answer means. A status alone means nothing: unknown paths of the server answer 200 with a page.

use std::time::Duration;

use radar_link::secret::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::relay::{Access, Answer, Call, Failure, Listed, Outcome};

/// So much of the server's own words is kept.
const WORDS: usize = 200;

/// Says how a call ended.
pub(super) fn classify(call: &Call, status: u16, kind: Option<&str>, location: Option<&str>, bytes: &[u8]) -> Outcome {
    let json = kind.is_some_and(|kind| kind.trim_start().starts_with("application/json"));
    let words = || {
        let error: Option<Refusal> = json.then(|| serde_json::from_slice(bytes).ok()).flatten();
        error.map(|refusal| clean(&refusal.error))
    };
    let foreign = |text: String| Outcome::Failed(Failure::Foreign { status, text });
    match status {
        200..=299 if json => match parse(call, bytes) {
            Some(answer) => Outcome::Answer(answer),
            None => foreign("JSON without the fields of this answer".to_owned()),
        },
        300..=399 => foreign(format!("a redirect to {}", clean(location.unwrap_or("nowhere")))),
        408 | 429 | 500..=599 => {
            let text = words().unwrap_or_else(|| "no reason given".to_owned());
            Outcome::Failed(Failure::Server { status, text })
        }
        400..=499 => match words() {
            Some(error) => Outcome::Refused { status, error },
            None if matches!(status, 400 | 413 | 422) => Outcome::Failed(Failure::Rejected { status }),
            None => foreign(described(kind)),
        },
        _ => foreign(described(kind)),
    }
}

fn described(kind: Option<&str>) -> String {
    match kind {
        Some(kind) if kind.starts_with("text/html") => "an HTML page".to_owned(),
        Some(kind) => format!("an answer of type {}", clean(kind)),
        None => "an answer without a type".to_owned(),
    }
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    access_token: Secret,
    refresh_secret: Option<Secret>,
    expires_in_seconds: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Beat {
    success: bool,
    heartbeat_interval_seconds: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoggedIn {
    access_token: Secret,
    user: Option<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    #[serde(default)]
    first_login: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedAgent {
    id: String,
    tags: Option<Vec<String>>,
    last_seen_at: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    agent_id: String,
    enroll_token: Secret,
}

/// The claims that tell how long a token lives.
#[derive(Deserialize)]
struct Claims {
    iat: f64,
    exp: f64,
}

fn parse(call: &Call, bytes: &[u8]) -> Option<Answer> {
    match call {
        Call::Enroll { .. } => {
            let tokens: Tokens = read(bytes)?;
            let secret = tokens.refresh_secret.clone().filter(sendable)?;
            Some(Answer::Enrolled { access: access(tokens)?, secret })
        }
        Call::Token { .. } => Some(Answer::Token(access(read(bytes)?)?)),
        Call::Beat { .. } => {
            let beat: Beat = read(bytes)?;
            beat.success.then_some(Answer::Beat { interval: beat.heartbeat_interval_seconds })
        }
        Call::Login { .. } => {
            let LoggedIn { access_token, user } = read(bytes)?;
            // SQLite knows no booleans, so a server may say 1.
            let first = user.map(|user| user.first_login).unwrap_or_default();
            let first_login = first.as_bool().unwrap_or_else(|| first.as_f64().is_some_and(|number| number != 0.0));
            sendable(&access_token).then_some(Answer::Login { web: access_token, first_login })
        }
        Call::Agents { .. } => {
            let agents: Vec<ListedAgent> = read(bytes)?;
            let listed = |agent: ListedAgent| {
                let upstream = agent.id.parse().ok()?;
                let seen = agent.last_seen_at.is_some_and(|at| !at.is_null());
                Some(Listed { upstream, tags: agent.tags.unwrap_or_default(), seen })
            };
            Some(Answer::Agents(agents.into_iter().filter_map(listed).collect()))
        }
        Call::Create { .. } => {
            let Created { agent_id, enroll_token } = read(bytes)?;
            let token = Some(enroll_token).filter(sendable)?;
            Some(Answer::Created { upstream: agent_id.parse().ok()?, token })
        }
        Call::Delete { .. } => read::<Value>(bytes).map(|_| Answer::Deleted),
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

fn access(tokens: Tokens) -> Option<Access> {
    let token = Some(tokens.access_token).filter(sendable)?;
    let claimed = jsonwebtoken::dangerous::insecure_decode::<Claims>(token.expose()).ok();
    // The difference of two readings of the server's clock: ours may be wrong.
    let seconds = claimed.map(|token| token.claims.exp - token.claims.iat).or(tokens.expires_in_seconds);
    let lifetime = Duration::try_from_secs_f64(seconds.unwrap_or_default()).unwrap_or_default();
    Some(Access { token, lifetime })
}

/// Whether it can stand in a header.
fn sendable(secret: &Secret) -> bool {
    !secret.expose().is_empty() && secret.expose().bytes().all(|byte| byte.is_ascii_graphic())
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some("application/json; charset=utf-8");
    const HTML: Option<&str> = Some("text/html; charset=utf-8");

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    fn beat() -> Call {
        Call::Beat { access: secret("t"), body: String::new() }
    }

    fn failed(failure: Failure) -> Outcome {
        Outcome::Failed(failure)
    }

    // RR12
    #[test]
    fn an_answer_is_what_status_type_and_fields_say_together() {
        let refused = |status, error: &str| Outcome::Refused { status, error: error.to_owned() };
        let foreign = |status, text: &str| failed(Failure::Foreign { status, text: text.to_owned() });
        let server = |status, text: &str| failed(Failure::Server { status, text: text.to_owned() });
        let table: [(u16, Option<&str>, &str, Outcome); 13] = [
            (
                200,
                JSON,
                r#"{"success":true,"heartbeatIntervalSeconds":30.5}"#,
                Outcome::Answer(Answer::Beat { interval: Some(30.5) }),
            ),
            (200, JSON, r#"{"success":true}"#, Outcome::Answer(Answer::Beat { interval: None })),
            (200, JSON, r#"{"success":false}"#, foreign(200, "JSON without the fields of this answer")),
            (200, JSON, "{", foreign(200, "JSON without the fields of this answer")),
            (200, HTML, "<html>", foreign(200, "an HTML page")),
            (204, None, "", foreign(204, "an answer without a type")),
            (301, HTML, "", foreign(301, "a redirect to https://elsewhere/")),
            (400, JSON, r#"{"error":"Containers must be an array"}"#, refused(400, "Containers must be an array")),
            (400, HTML, "<pre>SyntaxError", failed(Failure::Rejected { status: 400 })),
            (401, JSON, "{\"error\":\"Invalid\\n or expired token\"}", refused(401, "Invalid or expired token")),
            (404, HTML, "<pre>Cannot POST", foreign(404, "an HTML page")),
            (413, HTML, "<pre>PayloadTooLarge", failed(Failure::Rejected { status: 413 })),
            (502, HTML, "<html>", server(502, "no reason given")),
        ];
        for (status, kind, body, expect) in table {
            let outcome = classify(&beat(), status, kind, Some("https://elsewhere/"), body.as_bytes());
            assert_eq!(outcome, expect, "{status} {body}");
        }
        let broken = r#"{"error":"Failed to process heartbeat"}"#;
        let outcome = classify(&beat(), 500, JSON, None, broken.as_bytes());
        assert_eq!(outcome, server(500, "Failed to process heartbeat"));
    }

    // RR2
    #[test]
    fn a_token_lives_as_long_as_its_claims_say() {
        // {"alg":"RS256","kid":"1"} . {"sub":"a","iat":1700000000,"exp":1700000090}
        let token =
            "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJhIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDAwOTB9.c2ln";
        for (text, lifetime) in [(token, 90), ("opaque", 900)] {
            let body = format!(r#"{{"accessToken":"{text}","tokenType":"Bearer","expiresInSeconds":900}}"#);
            let call = Call::Token { upstream: "a".parse().unwrap(), secret: secret("s") };
            let expect = Access { token: secret(text), lifetime: Duration::from_secs(lifetime) };
            assert_eq!(classify(&call, 200, JSON, None, body.as_bytes()), Outcome::Answer(Answer::Token(expect)));
        }
    }

    #[test]
    fn the_calls_of_a_user_are_read() {
        let login = Call::Login { username: "u".to_owned(), password: secret("p") };
        for (first, expect) in [("true", true), ("1", true), ("false", false), ("0", false), ("null", false)] {
            let body = format!(r#"{{"accessToken":"t","user":{{"username":"u","firstLogin":{first}}}}}"#);
            let expect = Outcome::Answer(Answer::Login { web: secret("t"), first_login: expect });
            assert_eq!(classify(&login, 200, JSON, None, body.as_bytes()), expect);
        }
        let list = Call::Agents { web: secret("t") };
        let body = r#"[{"id":"a","name":"n","tags":["x"],"lastSeenAt":"2024"},{"id":"b","name":"n"},{"id":"../c"}]"#;
        let agent = |id: &str, tags: &[&str], seen| Listed {
            upstream: id.parse().unwrap(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            seen,
        };
        let expect = Outcome::Answer(Answer::Agents(vec![agent("a", &["x"], true), agent("b", &[], false)]));
        assert_eq!(classify(&list, 200, JSON, None, body.as_bytes()), expect);
        let create = Call::Create { web: secret("t"), name: "n".to_owned(), tag: "x".to_owned() };
        let body = r#"{"agentId":"a","enrollToken":"e","composeYaml":"services:"}"#;
        let expect = Outcome::Answer(Answer::Created { upstream: "a".parse().unwrap(), token: secret("e") });
        assert_eq!(classify(&create, 201, JSON, None, body.as_bytes()), expect);
    }

    // RR13
    #[test]
    fn a_token_that_cannot_be_sent_is_no_token() {
        for text in ["", "a b", "a\\nb"] {
            let body = format!(r#"{{"accessToken":"{text}","expiresInSeconds":900}}"#);
            let call = Call::Token { upstream: "a".parse().unwrap(), secret: secret("s") };
            let outcome = classify(&call, 200, JSON, None, body.as_bytes());
            assert!(matches!(outcome, Outcome::Failed(Failure::Foreign { .. })), "{outcome:?}");
        }
    }
}
