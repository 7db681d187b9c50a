//! A bridge that answers by a script, over real HTTP. What the script lacks is answered as the bridge answers a path that
//! it does not have, and every request is kept.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::Stream;
use radar_link::tasks::Owned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(super) const KEY: &str = "radar_0123abcd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-";

/// One answer.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Json(u16, Value),
    Problem(u16, &'static str, &'static str),
    /// It was so already.
    Unchanged(&'static str),
    /// Not of the bridge.
    Html(u16),
    /// Events, and what comes after them.
    Events(String, Then),
    /// The connection ends without an answer.
    Cut,
}

/// How a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    End,
    Cut,
    Hold,
}

/// A request, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// `POST /api/v1/… {"body":1}`
    pub line: String,
    pub name: Option<String>,
}

pub(super) struct Server {
    pub address: SocketAddr,
    desk: Desk,
    _task: Owned<()>,
}

#[derive(Clone)]
struct Desk {
    script: Arc<Mutex<BTreeMap<String, Vec<Reply>>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// A stream that is held was dropped.
    left: CancellationToken,
}

impl Server {
    /// Serves; each path with its method has its answers in order, the last one again and again.
    pub(super) async fn start(script: impl IntoIterator<Item = (&str, Reply)>) -> Self {
        let mut answers: BTreeMap<String, Vec<Reply>> = BTreeMap::new();
        for (path, reply) in script {
            answers.entry(path.replace(" /", " /api/v1/")).or_default().push(reply);
        }
        let desk = Desk { script: Arc::new(Mutex::new(answers)), seen: Arc::default(), left: CancellationToken::new() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(desk.clone());
        let task = Owned::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, desk, _task: task }
    }

    /// What was asked, in order.
    pub(super) fn seen(&self) -> Vec<String> {
        self.desk.seen.lock().unwrap().iter().map(|seen| seen.line.clone()).collect()
    }

    /// In whose name the last was asked.
    pub(super) fn name(&self) -> Option<String> {
        self.desk.seen.lock().unwrap().last().and_then(|seen| seen.name.clone())
    }

    /// Waits until this many requests have come.
    pub(super) async fn until_asked(&self, count: usize) {
        let asked = async {
            while self.desk.seen.lock().unwrap().len() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), asked).await.expect("it was asked");
    }

    /// Waits until a stream that was held has been left.
    pub(super) async fn until_left(&self) {
        let left = self.desk.left.cancelled();
        tokio::time::timeout(std::time::Duration::from_secs(10), left).await.expect("the stream was left");
    }
}

async fn answer(State(desk): State<Desk>, request: Request) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let header = |name: &str| parts.headers.get(name).map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
    let key = format!("{} {}", parts.method, parts.uri.path());
    let mut line = format!("{} {}", parts.method, parts.uri).replace("/api/v1", "");
    if !body.is_empty() {
        line.push_str(&format!(" {}", String::from_utf8_lossy(&body)));
    }
    desk.seen.lock().unwrap().push(Seen { line, name: header("radar-as") });
    if header("authorization").as_deref() != Some(&format!("Bearer {KEY}")) {
        return Ok(problem(401, "unauthorized", "no valid key"));
    }
    let reply = {
        let mut script = desk.script.lock().unwrap();
        match script.get_mut(&key) {
            Some(replies) if replies.len() > 1 => replies.remove(0),
            Some(replies) => replies[0].clone(),
            None => Reply::Problem(404, "unknown-path", "there is no such path"),
        }
    };
    Ok(match reply {
        Reply::Json(status, value) => respond(status, "application/json", Body::from(value.to_string())),
        Reply::Problem(status, code, detail) => problem(status, code, detail),
        Reply::Html(status) => respond(status, "text/html", Body::from("<html>")),
        Reply::Unchanged(jti) => {
            Response::builder().status(304).header("radar-command", jti).body(Body::empty()).unwrap()
        }
        Reply::Events(text, then) => {
            let stream = Script { text: Some(text), then, waited: false, left: desk.left.clone() };
            respond(200, "text/event-stream", Body::from_stream(stream))
        }
        Reply::Cut => {
            let stream = Script { text: None, then: Then::Cut, waited: false, left: desk.left.clone() };
            respond(200, "application/json", Body::from_stream(stream))
        }
    })
}

fn problem(status: u16, code: &str, detail: &str) -> Response {
    let body = json!({"type": "about:blank", "title": "x", "status": status, "detail": detail, "code": code});
    respond(status, "application/problem+json", Body::from(body.to_string()))
}

fn respond(status: u16, kind: &str, body: Body) -> Response {
    Response::builder().status(status).header("content-type", kind).body(body).unwrap()
}

/// An event of a stream.
pub(super) fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

struct Script {
    text: Option<String>,
    then: Then,
    waited: bool,
    left: CancellationToken,
}

impl Stream for Script {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match (self.text.take(), self.then) {
            (Some(text), _) => Poll::Ready(Some(Ok(text.into()))),
            (None, Then::End) => Poll::Ready(None),
            // What came before is on its way once the server waits.
            (None, Then::Cut) if !self.waited => {
                self.waited = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            (None, Then::Cut) => Poll::Ready(Some(Err(io::Error::other("cut")))),
            // Nobody wakes it: it ends when it is dropped.
            (None, Then::Hold) => Poll::Pending,
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if self.then == Then::Hold {
            self.left.cancel();
        }
    }
}
