//! The program's way to the bridge: asks what it is given, once, and says how it was answered. It decides nothing,
//! follows no redirect (a key goes to one address), and reads no more than fits.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, Url};
use serde_json::Value;
use tokio::time::timeout;

use super::access::Access;
use super::failure::{Failure, Problem};
use super::order::{Order, Verb};
use super::sse::{Event, Reader};

const CONNECT: Duration = Duration::from_secs(5);
/// How long a read may take, beginning and all.
const READ: Duration = Duration::from_secs(60);
/// What a command waits for beyond its validity: the bridge gives up after a minute more.
const OUTCOME: Duration = Duration::from_secs(120);
/// The bridge says something in a stream at least every 15 s.
const SILENCE: Duration = Duration::from_secs(60);

/// The most bytes of an answer: ten thousand containers are some ten.
const LARGEST: usize = 64 << 20;
/// The most bytes of a problem.
const PROBLEM: usize = 1 << 20;

/// The way to one bridge.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
}

/// What the bridge has answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub status: u16,
    /// The command that it was made.
    pub command: Option<String>,
    pub body: Value,
}

impl Client {
    /// A client for this address and key.
    pub(super) fn new(access: &Access) -> Result<Self, Failure> {
        let unusable = |what: &str| Failure::Usage(format!("{what} cannot be sent in a request"));
        let mut headers = HeaderMap::new();
        let mut key =
            HeaderValue::from_str(&format!("Bearer {}", access.key.expose())).map_err(|_| unusable("the key"))?;
        key.set_sensitive(true);
        headers.insert(AUTHORIZATION, key);
        if let Some(name) = &access.name {
            let name = HeaderValue::from_bytes(name.as_bytes()).map_err(|_| unusable("--as (RADAR_AS)"))?;
            headers.insert(HeaderName::from_static("radar-as"), name);
        }
        // An error says that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy();
        if access.url.scheme() == "http" {
            // Without TLS no root certificate is needed.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|_| {
            Failure::Usage(
                "cannot set up TLS: are the system's root certificates installed (package ca-certificates)?".to_owned(),
            )
        })?;
        Ok(Self { http, base: access.url.clone() })
    }

    /// Asks for something to read.
    pub(super) async fn read(&self, order: &Order) -> Result<Value, Failure> {
        Ok(self.ask(order, READ).await?.body)
    }

    /// Has something done, and waits for how it ends when the order says so; `valid` is how long the command is worth something.
    pub(super) async fn act(&self, order: &Order, valid: Duration) -> Result<Answer, Failure> {
        let answer = self.ask(order, valid + OUTCOME).await;
        answer.map_err(Failure::of_an_act)
    }

    async fn ask(&self, order: &Order, patience: Duration) -> Result<Answer, Failure> {
        let asking = async {
            let response = self.send(order, "application/json").await?;
            let status = response.status().as_u16();
            let command = response.headers().get("radar-command").and_then(|it| it.to_str().ok()).map(str::to_owned);
            let bytes = whole(response, LARGEST).await?;
            if status == 304 {
                return Ok(Answer { status, command, body: Value::Null });
            }
            let body: Value = serde_json::from_slice(&bytes).map_err(|_| self.foreign(status))?;
            let named = body.get("command").and_then(Value::as_str).map(str::to_owned);
            Ok(Answer { status, command: command.or(named), body })
        };
        let late = |_| Failure::Lost(format!("no answer within {} s", patience.as_secs()));
        timeout(patience, asking).await.map_err(late)?
    }

    /// Asks for a stream of events.
    pub(super) async fn listen(&self, order: &Order) -> Result<Listening, Failure> {
        let late = |_| Failure::Lost(format!("no answer within {} s", SILENCE.as_secs()));
        let response = timeout(SILENCE, self.send(order, "text/event-stream")).await.map_err(late)??;
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(self.foreign(response.status().as_u16()));
        }
        Ok(Listening { response, reader: Reader::default() })
    }

    async fn send(&self, order: &Order, accept: &'static str) -> Result<Response, Failure> {
        let url = self.url(order)?;
        let method = match order.verb {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Delete => Method::DELETE,
        };
        let mut request = self.http.request(method, url).header(ACCEPT, accept);
        if let Some(body) = &order.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.lost(error))?;
        let status = response.status().as_u16();
        if matches!(status, 200..=299 | 304) {
            return Ok(response);
        }
        let problem = whole(response, PROBLEM).await.ok().and_then(|bytes| Problem::read(status, &bytes));
        Err(problem.map_or_else(|| self.foreign(status), Failure::Problem))
    }

    fn url(&self, order: &Order) -> Result<Url, Failure> {
        let unusable = || Failure::Usage("an empty name, `.` and `..` name nothing".to_owned());
        let parts = order.path().ok_or_else(unusable)?;
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| unusable())?.pop_if_empty().extend(parts);
        if !order.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&order.query);
        }
        Ok(url)
    }

    fn foreign(&self, status: u16) -> Failure {
        Failure::Foreign { url: self.base.to_string(), status }
    }

    fn lost(&self, error: reqwest::Error) -> Failure {
        let is_connect = error.is_connect();
        let why = cause(error);
        if is_connect { Failure::Unreachable { url: self.base.to_string(), why } } else { Failure::Lost(why) }
    }
}

/// A stream of events.
#[derive(Debug)]
pub(super) struct Listening {
    response: Response,
    reader: Reader,
}

impl Listening {
    /// The next event; `None` at the stream's own end. Not cancel-safe in the middle of bytes, but no event is lost:
    /// what has come is kept.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(event) = self.reader.next() {
                return Ok(Some(event));
            }
            let late = |_| Failure::Lost(format!("nothing was heard for {} s", SILENCE.as_secs()));
            let bytes = timeout(SILENCE, self.response.chunk()).await.map_err(late)?;
            match bytes.map_err(|error| Failure::Lost(cause(error)))? {
                None => return Ok(None),
                Some(bytes) => self.reader.feed(&bytes).map_err(|error| Failure::Lost(error.to_string()))?,
            }
        }
    }
}

async fn whole(mut response: Response, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Failure::Lost(cause(error)))? {
        if bytes.len() + chunk.len() > most {
            return Err(Failure::Lost(format!("the answer is longer than {most} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The last cause says what happened; those before it say that something did.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
