use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;

use super::*;

mod acts;
mod reads;
mod server;
mod streams;
mod updates;

use server::{KEY, Reply, Server, Then, event};

/// How a run went.
#[derive(Debug)]
struct Ran {
    exit: u8,
    out: String,
    err: String,
}

const NOBODY: Terminals = Terminals { input: false, out: false, err: false };
const PERSON: Terminals = Terminals { input: true, out: true, err: false };

/// Runs `radar` with these arguments against the server, as from a script.
async fn ran(server: &Server, line: &str) -> Ran {
    ran_on(server, line, NOBODY, std::future::pending()).await
}

/// As [`ran`], with these terminals, and stopped when `stopped` ends.
async fn ran_on(server: &Server, line: &str, terminal: Terminals, stopped: impl Future<Output = ()>) -> Ran {
    let url = format!("http://{}", server.address);
    let env = |name: &str| match name {
        "RADAR_URL" => Some(url.clone()),
        "RADAR_KEY" => Some(KEY.to_owned()),
        _ => None,
    };
    ran_with(line, env, terminal, stopped).await
}

async fn ran_with(
    line: &str,
    env: impl Fn(&str) -> Option<String>,
    terminal: Terminals,
    stopped: impl Future<Output = ()>,
) -> Ran {
    let arguments = arguments::parse(format!("radar {line}").split_whitespace().map(OsString::from)).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let json = arguments.json;
    let mut screen = Screen { out: &mut out, err: &mut err, terminal, json, typed: || Ok("y\n".to_owned()) };
    let running = run(arguments, env, &mut screen, stopped);
    let result = tokio::time::timeout(Duration::from_secs(30), running).await.expect("it ends");
    let exit = result.unwrap_or_else(|failure| {
        screen.complain(&failure);
        failure.exit()
    });
    Ran { exit: exit as u8, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

fn agents() -> Reply {
    Reply::Json(
        200,
        json!({"agents": [
            {"id": "attic", "name": "Attic", "online": false, "reason": "lost", "heard": 1000, "complete": true,
             "commands": true, "allows": ["all"], "containers": {"running": 1, "stopped": 0}},
            {"id": "pi", "name": "Kitchen", "online": true, "reason": "start", "heard": 2000, "version": "0.1.0",
             "complete": true, "commands": true, "allows": ["observe", "update"]},
            {"id": "shed", "online": true, "heard": 2000, "complete": true, "commands": true, "allows": ["observe"]},
        ]}),
    )
}

#[tokio::test]
async fn without_a_key_or_a_bridge_it_says_what_to_do() {
    let ran = ran_with("agents", |_| None, NOBODY, std::future::pending()).await;
    assert_eq!(ran.exit, 6);
    assert!(ran.err.contains("radar-bridge api-key create"), "{ran:?}");

    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let env = |name: &str| match name {
        "RADAR_URL" => Some(format!("http://{nobody}")),
        "RADAR_KEY" => Some(KEY.to_owned()),
        _ => None,
    };
    let ran = ran_with("start pi/web attic/db", env, NOBODY, std::future::pending()).await;
    assert_eq!(ran.exit, 5, "{ran:?}");
    assert!(ran.err.contains(&format!("cannot reach the bridge at http://{nobody}/")), "{ran:?}");
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");

    let other = KEY.replace("0123", "4567");
    let server = Server::start([("GET /agents", agents())]).await;
    let env = |name: &str| match name {
        "RADAR_URL" => Some(format!("http://{}", server.address)),
        "RADAR_KEY" => Some(other.clone()),
        _ => None,
    };
    let ran = ran_with("agents", env, NOBODY, std::future::pending()).await;
    assert_eq!(ran.exit, 6, "{ran:?}");
    assert!(ran.err.contains("the bridge does not know this key"), "{ran:?}");
    assert!(!format!("{ran:?}").contains("AAAA"), "{ran:?}");
}

#[tokio::test]
async fn what_is_no_bridge_is_seen() {
    let server = Server::start([("GET /agents", Reply::Html(200)), ("GET /agents", Reply::Html(404))]).await;
    for _ in 0..2 {
        let ran = ran(&server, "agents").await;
        assert_eq!(ran.exit, 5, "{ran:?}");
        assert!(ran.err.contains("does not answer as the bridge's API does"), "{ran:?}");
    }
    let ran = ran(&server, "audit").await;
    assert_eq!(ran.exit, 2, "{ran:?}");
    assert!(ran.err.contains("of another version"), "{ran:?}");
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let server = Server::start([("GET /agents", agents())]).await;
    let arguments = arguments::parse(["radar", "agents"].map(OsString::from)).unwrap();
    let url = format!("http://{}", server.address);
    let env = |name: &str| (name == "RADAR_URL").then(|| url.clone()).or_else(|| Some(KEY.to_owned()));
    let env = |name: &str| env(name).filter(|_| ["RADAR_URL", "RADAR_KEY"].contains(&name));
    let (mut out, mut err) = (Closed, Vec::new());
    let typed = || Ok(String::new());
    let mut screen = Screen { out: &mut out, err: &mut err, terminal: NOBODY, json: false, typed };
    let failure = run(arguments, env, &mut screen, std::future::pending()).await.unwrap_err();
    assert!(failure.is_closed(), "{failure:?}");
    screen.complain(&failure);
    assert_eq!(err, b"");
}

#[tokio::test]
async fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = ran_with(&format!("completions {shell}"), |_| None, NOBODY, std::future::pending()).await;
        assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
        for word in ["agents", "logs", "self-update", "in-waves-of"] {
            assert!(ran.out.contains(word), "{shell}: {word}");
        }
    }
}
