//! The only HTTP client: performs one call that the relay asked for and says how it ended. It decides nothing,
//! keeps nothing but its connections, follows no redirect and tries nothing twice.

mod answer;

use std::error::Error;
use std::time::Duration;

use radar_link::secret::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Client, Method, Response, Url};
use serde_json::json;

use crate::relay::{Call, Failure, Outcome};

const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(30);
/// The server closes idle connections after 5 s; one that it closes in the moment of use is a failed call.
const IDLE: Duration = Duration::from_secs(3);

/// An answer is read up to this size.
const ANSWER: usize = 1 << 20;
/// The list of agents holds all their containers.
const AGENTS: usize = 64 << 20;

/// The server's address is of no use.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No address, or another scheme.
    #[error("SERVER_URL is not an address such as https://radar.example.org or http://10.0.0.5:3001/radar")]
    Address,
    /// It holds what would end up in logs, or what a path cannot be added to.
    #[error(
        "SERVER_URL must hold no user, no password, no `?` and no `#`; for the login set SERVER_USERNAME and SERVER_PASSWORD"
    )]
    Extra,
    /// TLS could not be set up.
    #[error(
        "cannot set up TLS for SERVER_URL: are the system's root certificates installed (package ca-certificates)?"
    )]
    Client(#[source] reqwest::Error),
}

/// The client of one server.
#[derive(Debug, Clone)]
pub struct Upstream {
    client: Client,
    base: Url,
    total: Duration,
}

impl Upstream {
    /// A client of the server at `server_url`, with or without a path prefix and a slash at its end.
    ///
    /// # Errors
    /// When nothing can be asked there; see [`UpstreamError`].
    pub fn new(server_url: &str) -> Result<Self, UpstreamError> {
        let mut base = Url::parse(server_url.trim()).map_err(|_| UpstreamError::Address)?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(UpstreamError::Address);
        }
        let extra = !base.username().is_empty() || base.password().is_some();
        if extra || base.query().is_some() || base.fragment().is_some() {
            return Err(UpstreamError::Extra);
        }
        let path = format!("{}/", base.path().trim_end_matches('/'));
        base.set_path(&path);
        // An error says that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy();
        if base.scheme() == "http" {
            // Without TLS no root certificate is needed.
            client = client.tls_certs_only([]);
        }
        Ok(Self { client: client.build().map_err(UpstreamError::Client)?, base, total: TOTAL })
    }

    /// The same with another limit for a whole call, for tests.
    #[must_use]
    pub fn with_limit(self, total: Duration) -> Self {
        Self { total, ..self }
    }

    /// Performs a call. It ends within 30 s, whatever the server does.
    pub async fn perform(&self, call: Call) -> Outcome {
        let (method, path, bearer, body) = match &call {
            Call::Enroll { upstream, token } => {
                let body = json!({ "agentId": upstream.as_str(), "enrollToken": token.expose() });
                (Method::POST, "api/agent-auth/enroll".to_owned(), None, Some(body.to_string()))
            }
            Call::Token { upstream, secret } => {
                let body = json!({ "agentId": upstream.as_str(), "refreshSecret": secret.expose() });
                (Method::POST, "api/agent-auth/token".to_owned(), None, Some(body.to_string()))
            }
            Call::Beat { access, body } => {
                (Method::POST, "api/agent/heartbeat".to_owned(), Some(access), Some(body.clone()))
            }
            Call::Login { username, password } => {
                let body = json!({ "username": username, "password": password.expose() });
                (Method::POST, "api/auth/login".to_owned(), None, Some(body.to_string()))
            }
            Call::Agents { web } => (Method::GET, "api/agents".to_owned(), Some(web), None),
            Call::Create { web, name, tag } => {
                let body = json!({ "name": name, "tags": [tag] });
                (Method::POST, "api/agents".to_owned(), Some(web), Some(body.to_string()))
            }
            Call::Delete { web, upstream } => (Method::DELETE, format!("api/agents/{upstream}"), Some(web), None),
        };
        match tokio::time::timeout(self.total, self.ask(&call, method, &path, bearer, body)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Failed(Failure::Unanswered(format!("no answer within {} s", self.total.as_secs_f32()))),
        }
    }

    async fn ask(
        &self,
        call: &Call,
        method: Method,
        path: &str,
        bearer: Option<&Secret>,
        body: Option<String>,
    ) -> Outcome {
        let Ok(url) = self.base.join(path) else { return unreachable("the address cannot be built".to_owned()) };
        let mut request = self.client.request(method, url);
        if let Some(bearer) = bearer {
            let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", bearer.expose())) else {
                return unreachable("the server's own token cannot be sent".to_owned());
            };
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return lost(error),
        };
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (kind, location) = (header(CONTENT_TYPE), header(LOCATION));
        let most = if matches!(call, Call::Agents { .. }) { AGENTS } else { ANSWER };
        match read(response, most).await {
            Ok(Some(bytes)) => answer::classify(call, status, kind.as_deref(), location.as_deref(), &bytes),
            Ok(None) => Outcome::Failed(Failure::Foreign { status, text: format!("more than {most} bytes") }),
            Err(error) => lost(error),
        }
    }
}

/// The body, or `None` when it is larger than `most`.
async fn read(mut response: Response, most: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

fn unreachable(text: String) -> Outcome {
    Outcome::Failed(Failure::Unreachable(text))
}

/// The last cause says what happened; those before it say that something did.
fn lost(error: reqwest::Error) -> Outcome {
    let (late, error) = (error.is_timeout() && !error.is_connect(), error.without_url());
    let mut cause: &dyn Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    Outcome::Failed(if late { Failure::Unanswered(text) } else { Failure::Unreachable(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    // RR12
    #[test]
    fn a_path_prefix_stays_with_and_without_a_slash() {
        for (given, expect) in [
            ("http://10.0.0.5:3001", "http://10.0.0.5:3001/api/agents"),
            ("http://10.0.0.5:3001/", "http://10.0.0.5:3001/api/agents"),
            ("https://example.org/radar", "https://example.org/radar/api/agents"),
            ("https://example.org/radar/", "https://example.org/radar/api/agents"),
            (" https://example.org/a/b// ", "https://example.org/a/b/api/agents"),
        ] {
            let upstream = Upstream::new(given).unwrap();
            assert_eq!(upstream.base.join("api/agents").unwrap().as_str(), expect);
        }
    }

    // DM19
    #[test]
    fn an_address_of_no_use_is_refused_without_being_shown() {
        for text in ["", "radar.example.org", "ftp://example.org", "http://", "mqtt://example.org"] {
            assert!(matches!(Upstream::new(text), Err(UpstreamError::Address)), "{text}");
        }
        for text in ["http://u:hunter2@example.org", "http://u@example.org", "http://h/?x", "http://h/#x"] {
            let error = Upstream::new(text).unwrap_err();
            assert!(matches!(error, UpstreamError::Extra), "{text}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
