use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::health::{Agents, Broker, Store, Upstream, Word};
use radar_link::tasks::Owned;

const SHORT: Duration = Duration::from_millis(50);

fn healthy() -> Health {
    Health {
        status: Word::Ok,
        broker: Broker { connected: true, reason: None },
        store: Store { ok: true, reason: None },
        upstream: Upstream { state: "none".to_owned(), reason: None },
        agents: Agents { known: 2, online: 1 },
        version: "0",
    }
}

struct Served {
    address: SocketAddr,
    questions: mpsc::Receiver<Question>,
    stop: CancellationToken,
    server: Owned<anyhow::Result<()>>,
}

async fn served(limits: Limits) -> Served {
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shell, questions) = mpsc::channel(QUEUE);
    let stop = CancellationToken::new();
    let server = Owned::spawn(serve(listener, shell, limits, stop.clone()));
    Served { address, questions, stop, server }
}

async fn request(address: SocketAddr, line: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{line} HTTP/1.1\r\nHost: bridge\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn health_is_200_while_the_bridge_works_and_503_when_not() {
    let mut served = served(Limits::default()).await;
    let away = Broker { connected: false, reason: Some("no route".to_owned()) };
    let full = Store { ok: false, reason: Some("disk full".to_owned()) };
    let trouble = Upstream { state: "unreachable".to_owned(), reason: None };
    for (health, status, part) in [
        (healthy(), 200, r#""connected":true"#),
        (Health { status: Word::Degraded, upstream: trouble, ..healthy() }, 200, r#""status":"degraded""#),
        (Health { status: Word::Degraded, broker: away, ..healthy() }, 503, r#""reason":"no route""#),
        (Health { status: Word::Degraded, store: full, ..healthy() }, 503, r#""reason":"disk full""#),
    ] {
        let answered = async {
            let Some(Question::Health(reply)) = served.questions.recv().await else { panic!("no question") };
            reply.send(health).unwrap();
        };
        let (answer, ()) = tokio::join!(request(served.address, "GET /health"), answered);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("application/json") && answer.contains(part), "{answer}");
    }
}

#[tokio::test]
async fn metrics_are_text() {
    let mut served = served(Limits::default()).await;
    let answered = async {
        let Some(Question::Metrics(reply)) = served.questions.recv().await else { panic!("no question") };
        reply.send("radar_agents 7\n# EOF\n".to_owned()).unwrap();
    };
    let (answer, ()) = tokio::join!(request(served.address, "GET /metrics"), answered);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("openmetrics-text"), "{answer}");
    assert!(answer.ends_with("radar_agents 7\n# EOF\n"), "{answer}");
}

#[tokio::test]
async fn everything_else_is_an_error_in_json() {
    let served = served(Limits::default()).await;
    for (line, status) in [("GET /", 404), ("GET /metrics/x", 404), ("POST /health", 405), ("DELETE /metrics", 405)] {
        let answer = request(served.address, line).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("application/json") && answer.contains(r#"{"error":"#), "{answer}");
    }
}

#[tokio::test]
async fn a_shell_that_does_not_answer_is_503() {
    let served = served(Limits { patience: SHORT, ..Limits::default() }).await;
    let answer = request(served.address, "GET /health").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("in time"), "{answer}");
}

#[tokio::test]
async fn silent_connections_neither_block_others_for_ever_nor_the_stop() {
    let mut served = served(Limits { life: SHORT, grace: SHORT, ..Limits::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..bounded::CONNECTIONS {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    let answer = request(served.address, "GET /").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    silent.push(TcpStream::connect(served.address).await.unwrap());
    served.stop.cancel();
    served.server.value().await.unwrap();
}

// DM19
#[tokio::test]
async fn an_address_that_is_taken_is_named_with_its_setting() {
    let first = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = listen(first.local_addr().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("BRIDGE_LISTEN"), "{error}");
}
