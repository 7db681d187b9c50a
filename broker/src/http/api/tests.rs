use radar_link::files::write_atomic;
use radar_link::tasks::Owned;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::api_keys::{ApiKeys, Scope};
use crate::metrics::Metrics;

/// The API with a key of each scope, beside a shell that has gone.
struct Served {
    address: SocketAddr,
    keys: Vec<(Scope, String)>,
    _room: tempfile::TempDir,
    _server: Owned<anyhow::Result<()>>,
}

async fn served() -> Served {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("api-keys.json");
    let mut all = ApiKeys::default();
    let scopes = [Scope::Read, Scope::Operate, Scope::Admin].into_iter().zip(1..);
    let keys = scopes.map(|(scope, id)| {
        let key = all.create("Ann", scope, (id, [9; 32]), 0).unwrap();
        (scope, key.expose().to_owned())
    });
    let keys = keys.collect();
    write_atomic(&path, all.to_json().as_bytes(), 0o600).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let parts = Parts {
        shell: mpsc::channel(1).0,
        left: Arc::default(),
        committed: watch::channel(()).1,
        metrics: Metrics::new(false).api(),
        database: room.path().join("bridge.db").into(),
        keys: path.into(),
    };
    let server = Owned::spawn(run(listener, parts, CancellationToken::new()));
    Served { address, keys, _room: room, _server: server }
}

impl Served {
    /// A request; the head and the body of its answer.
    async fn send(&self, key: Option<&str>, verb: &str, path: &str, body: &str) -> (String, Value) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        let length = body.len();
        let request = format!("{verb} {path} HTTP/1.1\r\nHost: x\r\n{key}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), serde_json::from_str(body).unwrap_or_default())
    }

    fn key(&self, scope: Scope) -> Option<&str> {
        self.keys.iter().find(|(of, _)| *of == scope).map(|(_, key)| key.as_str())
    }

    async fn code(&self, scope: Scope, verb: &str, path: &str) -> String {
        let (_, body) = self.send(self.key(scope), verb, path, "").await;
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A path with something in the place of every part.
fn filled(path: &str) -> String {
    let part = |part: &str| if part.starts_with('{') { "pi".to_owned() } else { part.to_owned() };
    format!("{BASE}{}", path.split('/').map(part).collect::<Vec<_>>().join("/"))
}

// PS1
#[tokio::test]
async fn nothing_is_told_without_a_key_whatever_the_path() {
    let served = served().await;
    let none = ["/", "/health", BASE, "/api/v1/nothing", "/api/v1/agents/pi/containers/web/dance"];
    let wrong = format!("radar_00000001_{}", "A".repeat(43));
    let paths = ROUTES.iter().map(|route| (route.verb.as_str().to_uppercase(), filled(route.path)));
    for (verb, path) in paths.chain(none.map(|path| ("GET".to_owned(), path.to_owned()))) {
        for key in [None, Some(""), Some(wrong.as_str())] {
            let (head, body) = served.send(key, &verb, &path, "").await;
            assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("www-authenticate: Bearer"), "{path}: {head}");
            assert!(head.contains("content-type: application/problem+json"), "{head}");
            assert_eq!((&body["code"], &body["status"]), (&"unauthorized".into(), &401.into()), "{verb} {path}");
        }
    }
}

// PS2
#[tokio::test]
async fn every_path_asks_for_its_scope() {
    let served = served().await;
    for route in ROUTES {
        let (verb, path) = (route.verb.as_str().to_uppercase(), filled(route.path));
        for (scope, _) in &served.keys {
            let refused = served.code(*scope, &verb, &path).await == "forbidden";
            assert_eq!(refused, *scope < route.scope, "{scope} {verb} {path}");
        }
        let expected = match route.path.rsplit('/').next().unwrap() {
            _ if route.verb == route::Verb::Get => Scope::Read,
            "start" | "stop" | "restart" | "kill" | "pause" | "unpause" | "update" | "pull" => Scope::Operate,
            _ => Scope::Admin,
        };
        assert_eq!(route.scope, expected, "{path}");
    }
}

// PS1
#[tokio::test]
async fn what_is_documented_is_answered_and_nothing_else() {
    let served = served().await;
    let (head, document) = served.send(served.key(Scope::Read), "GET", "/api/v1/openapi.json", "").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/json"), "{head}");
    let paths = document["paths"].as_object().unwrap();
    for (path, verbs) in paths {
        for verb in ["GET", "POST", "DELETE", "PUT", "PATCH"] {
            let code = served.code(Scope::Admin, verb, &filled(path)).await;
            let documented = verbs.get(verb.to_lowercase()).is_some();
            assert_eq!(code != "method" && code != "unknown-path", documented, "{verb} {path}: {code}");
        }
    }
    for path in ["/", "/api", BASE, "/api/v1/", "/api/v1/agents/pi/containers/web/dance", "/api/v2/agents"] {
        assert_eq!(served.code(Scope::Admin, "GET", path).await, "unknown-path", "{path}");
    }
}

// PS1
#[tokio::test]
async fn what_is_too_large_or_unknown_is_refused_before_anything_is_asked() {
    let served = served().await;
    let stop = "/api/v1/agents/pi/containers/web/stop";
    let admin = served.key(Scope::Admin);
    for (path, body, code, part) in [
        (stop, "{\"timeot\":5}", "bad-request", "`timeot`"),
        (stop, "{\"timeout\":\"5\"}", "bad-request", "`timeout`"),
        (stop, "[]", "bad-request", "no JSON object"),
        ("/api/v1/agents/pi/containers/web/stop?wiat=false", "", "bad-request", "`wiat`"),
        ("/api/v1/agents/pi/containers/web/rename", "{}", "bad-request", "`to` is missing"),
        ("/api/v1/agents/p%20i/containers/web/stop", "", "unknown-agent", "no agent p i"),
        (stop, "", "bridge-trouble", "in time"),
    ] {
        let (_, answer) = served.send(admin, "POST", path, body).await;
        assert_eq!(answer["code"], code, "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(part), "{answer}");
    }
    let large = format!("{{\"signal\":\"{}\"}}", "x".repeat(17_000));
    let (_, answer) = served.send(admin, "POST", "/api/v1/agents/pi/containers/web/kill", &large).await;
    assert_eq!((&answer["code"], &answer["status"]), (&"too-large".into(), &413.into()));
    for (path, part) in
        [("containers?limit=0", "1 to 1000"), ("events?since=x", "`since`"), ("containers?after=x", "after")]
    {
        let (_, answer) = served.send(admin, "GET", &format!("{BASE}/{path}"), "").await;
        assert!(answer["status"] == 400 && answer["detail"].as_str().unwrap().contains(part), "{answer}");
    }
}
