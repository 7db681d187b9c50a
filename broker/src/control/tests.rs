use serde_json::json;

use super::*;
use crate::commanding::State;

struct Served {
    room: tempfile::TempDir,
    asked: mpsc::Receiver<Question>,
    stop: CancellationToken,
    server: Owned<anyhow::Result<()>>,
}

fn served() -> Served {
    let room = tempfile::tempdir().unwrap();
    // What an earlier life left is no hindrance.
    fs::write(socket(room.path()), "").unwrap();
    fs::write(room.path().join(".control.new"), "").unwrap();
    let listener = Listener::open(room.path()).unwrap();
    let (shell, asked) = mpsc::channel(QUEUE);
    let stop = CancellationToken::new();
    let server = Owned::spawn(serve(listener, shell, stop.clone()));
    Served { room, asked, stop, server }
}

async fn connected(served: &Served, line: &str) -> BufReader<UnixStream> {
    let mut stream = UnixStream::connect(socket(served.room.path())).await.unwrap();
    stream.write_all(line.as_bytes()).await.unwrap();
    BufReader::new(stream)
}

async fn line(stream: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    timeout(Duration::from_secs(10), stream.read_line(&mut line)).await.unwrap().unwrap();
    line
}

fn request() -> String {
    format!("{}\n", json!({ "agent": "pi", "cmd": { "do": "stop", "container": "web" }, "valid": 60, "as": "Ann" }))
}

fn news(state: State) -> News {
    News { jti: "1-a".into(), at: 7, state, reason: None, result: Some(json!([1])) }
}

// E6
#[tokio::test]
async fn who_asks_is_told_until_it_has_ended() {
    let mut served = served();
    let mut stream = connected(&served, &request()).await;
    let asked = served.asked.recv().await.unwrap();
    let uid = stream.get_ref().peer_cred().unwrap().uid();
    let Question::Command(Asked { order, answer, news: told }) = asked else { panic!("{asked:?}") };
    assert_eq!(&*order.who, format!("uid:{uid} as Ann"));
    assert_eq!((order.agent.as_str(), order.command.word(), order.valid.as_secs()), ("pi", "stop", 60));
    answer.send(Ok("1-a".into())).unwrap();
    assert_eq!(line(&mut stream).await, "{\"jti\":\"1-a\"}\n");
    told.send(news(State::Accepted)).await.unwrap();
    told.send(news(State::Succeeded)).await.unwrap();
    drop(told);
    assert_eq!(line(&mut stream).await, "{\"jti\":\"1-a\",\"at\":7,\"state\":\"accepted\",\"result\":[1]}\n");
    let last = line(&mut stream).await;
    assert_eq!(serde_json::from_str::<Reply>(&last).unwrap(), Reply::News(news(State::Succeeded)));
    assert_eq!(line(&mut stream).await, "");
}

// E3
#[tokio::test]
async fn who_has_an_agent_forgotten_is_told_whether_it_is() {
    let mut served = served();
    for (said, expected) in [
        (Some(Ok(())), "{\"forgotten\":\"pi\"}\n"),
        (Some(Err("no".to_owned())), "{\"error\":\"no\"}\n"),
        (None, "{\"error\":\"the bridge is stopping\"}\n"),
    ] {
        let mut stream = connected(&served, "{\"forget\":\"pi\"}\n").await;
        let asked = served.asked.recv().await.unwrap();
        let Question::Forget { agent, who, answer } = asked else { panic!("{asked:?}") };
        let uid = stream.get_ref().peer_cred().unwrap().uid();
        assert_eq!((agent.as_str(), &*who), ("pi", &*format!("uid:{uid}")));
        match said {
            Some(said) => answer.send(said).unwrap(),
            None => drop(answer),
        }
        assert_eq!((line(&mut stream).await, line(&mut stream).await), (expected.to_owned(), String::new()));
    }
}

// E6
#[tokio::test]
async fn nobody_else_can_ask_and_the_socket_goes_with_the_bridge() {
    let mut served = served();
    let mode = fs::metadata(socket(served.room.path())).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode, fs::read_dir(served.room.path()).unwrap().count()), (0o600, 1));
    let mut waiting = connected(&served, &request()).await;
    let _asked = served.asked.recv().await.unwrap();
    served.stop.cancel();
    served.server.value().await.unwrap();
    assert_eq!(line(&mut waiting).await, "");
    assert!(!socket(served.room.path()).exists());
}

// E13
#[tokio::test]
async fn what_is_no_request_is_refused_and_the_next_is_taken() {
    let mut served = served();
    let endless = format!("{{\"agent\":\"{}", "x".repeat(100_000));
    for bad in ["\n", "{}\n", "{\"agent\":\"a/b\"}\n", "{\"forget\":\"a/b\"}\n", &endless] {
        let mut stream = UnixStream::connect(socket(served.room.path())).await.unwrap();
        // Who sends too much is not read to the end.
        let _ = stream.write_all(bad.as_bytes()).await;
        let mut stream = BufReader::new(stream);
        let answer = line(&mut stream).await;
        assert!(answer.starts_with("{\"error\":\"this is not a request: "), "{answer}");
    }
    let _stream = connected(&served, &request()).await;
    assert!(served.asked.recv().await.is_some());
}

// E13
#[tokio::test]
async fn who_goes_away_gives_its_place_to_another() {
    let mut served = served();
    for _ in 0..3 {
        let mut streams = Vec::new();
        let mut asked = Vec::new();
        for _ in 0..CONNECTIONS {
            streams.push(connected(&served, &request()).await);
            asked.push(timeout(Duration::from_secs(10), served.asked.recv()).await.unwrap());
        }
    }
}
