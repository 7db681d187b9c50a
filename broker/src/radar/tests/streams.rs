use super::*;

const LOGS: &str = "GET /agents/pi/containers/web/logs";

fn piece(stream: &str, text: &str) -> String {
    event("log", &json!({"stream": stream, "text": text}))
}

fn end(reason: &str) -> String {
    event("end", &json!({"reason": reason, "state": "succeeded"}))
}

// DM5, PS4
#[tokio::test]
async fn each_stream_of_a_log_goes_to_its_own() {
    let log = piece("stdout", "one\r\n\u{1b}[2J")
        + ":\n\n"
        + &piece("stderr", "oh\u{7}\n")
        + &piece("stdout", "\u{1b}[3")
        + &piece("stdout", "1mtwo\n")
        + &end("end");
    let server = Server::start([(LOGS, Reply::Events(log, Then::End))]).await;
    let raw = ran(&server, "logs pi/web").await;
    assert_eq!((raw.exit, raw.out.as_str(), raw.err.as_str()), (0, "one\r\n\u{1b}[2J\u{1b}[31mtwo\n", "oh\u{7}\n"));

    let person = ran_on(&server, "logs pi/web", PERSON, std::future::pending()).await;
    assert_eq!((person.exit, person.out.as_str()), (0, "one\n^[[2J\u{1b}[31mtwo\n\u{1b}[0m"));
    // Standard error is no terminal here.
    assert_eq!(person.err, "oh\u{7}\n");
    let obeyed = ran_on(&server, "logs --raw pi/web", PERSON, std::future::pending()).await;
    assert_eq!(obeyed.out, raw.out);

    let json = ran(&server, "logs --json pi/web").await;
    assert_eq!(json.out.lines().next(), Some(r#"{"stream":"stdout","text":"one\r\n\u001b[2J"}"#));
    assert_eq!((json.out.lines().count(), json.err.as_str()), (4, ""));
}

// DM5
#[tokio::test]
async fn what_is_asked_of_a_log_is_in_the_request() {
    let server = Server::start([(LOGS, Reply::Events(end("end"), Then::End))]).await;
    let ran = ran(&server, "logs -f -n 10 --since 2h --until 1970-01-02 -t --stderr pi/web").await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(
        server.seen(),
        [
            "GET /agents/pi/containers/web/logs?tail=10&since=7200s&until=86400000&timestamps=true&follow=true&stream=stderr"
        ]
    );
}

// DM5
#[tokio::test]
async fn a_log_that_is_cut_says_so() {
    for (reply, exit, err) in [
        (Reply::Events(piece("stdout", "x\n") + &end("firehose"), Then::End), 1, "the log was cut: firehose"),
        (Reply::Events(piece("stdout", "x\n"), Then::End), 1, "the log was cut"),
        (Reply::Events(piece("stdout", "x\n"), Then::Cut), 1, "the log was cut"),
        (
            Reply::Events(piece("stdout", "x\n") + &event("notice", &json!({"lost": 3})) + &end("end"), Then::End),
            0,
            "3 parts of the log were lost",
        ),
    ] {
        let server = Server::start([(LOGS, reply)]).await;
        let ran = ran(&server, "logs pi/web").await;
        assert_eq!((ran.exit, ran.out.as_str()), (exit, "x\n"), "{ran:?}");
        assert!(ran.err.contains(err), "{ran:?}");
    }
    let server = Server::start([(LOGS, Reply::Problem(404, "not-found", "not-found: web"))]).await;
    assert_eq!(ran(&server, "logs pi/web").await.exit, 3);
}

// PS4
#[tokio::test]
async fn a_follower_that_leaves_closes_the_stream() {
    let server = Server::start([(LOGS, Reply::Events(piece("stdout", "x\n"), Then::Hold))]).await;
    let ran = ran_on(&server, "logs -f pi/web", PERSON, async {
        server.until_asked(1).await;
        tokio::task::yield_now().await;
    })
    .await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    server.until_left().await;
}

fn sample(at: i64, percent: f64) -> serde_json::Value {
    json!({"at": at, "host": {"cpu_percent": percent}, "containers": [{"id": "ab", "name": "web", "use": {"pids": 3}}]})
}

// DM8
#[tokio::test]
async fn samples_are_lines_for_a_script_and_a_table_for_a_person() {
    let stream = event("sample", &sample(1000, 1.0)) + &event("sample", &sample(2000, 2.0));
    let server = Server::start([
        ("GET /agents", agents()),
        ("GET /agents/pi/stats", Reply::Events(stream, Then::End)),
        ("GET /agents/shed/stats", Reply::Problem(403, "policy", "policy: stats")),
    ])
    .await;
    let lines = ran(&server, "stats --interval 5").await;
    assert_eq!(lines.exit, 1, "{lines:?}");
    assert_eq!(lines.out.lines().count(), 4, "{lines:?}");
    assert!(lines.out.starts_with("1970-01-01T00:00:01.000Z  pi  (host)  1.0  "), "{}", lines.out);
    assert!(
        lines.err.contains("shed: policy: stats") && lines.err.contains("pi: the bridge ended it"),
        "{}",
        lines.err
    );
    let mut seen = server.seen();
    seen.sort_unstable();
    assert_eq!(
        seen,
        ["GET /agents", "GET /agents/pi/stats?follow=true&interval=5", "GET /agents/shed/stats?follow=true&interval=5"]
    );
    let table = ran_on(&server, "stats pi/web", PERSON, std::future::pending()).await;
    let last = table.out.rsplit("\u{1b}[H").next().unwrap();
    assert!(last.starts_with("AGENT  CONTAINER  CPU %"), "{last:?}");
    assert!(
        last.contains("\npi     web        -") && !last.contains("(host)") && last.ends_with("\u{1b}[J"),
        "{last:?}"
    );
    let json = ran(&server, "stats pi --json").await;
    let first: serde_json::Value = serde_json::from_str(json.out.lines().next().unwrap()).unwrap();
    assert_eq!((first["agent"].as_str(), first["at"].as_i64()), (Some("pi"), Some(1000)));
}

// DM8
#[tokio::test]
async fn one_sample_of_each_agent_is_a_table() {
    let server = Server::start([
        ("GET /agents", agents()),
        ("GET /agents/pi/stats", Reply::Json(200, sample(1000, 1.0))),
        ("GET /agents/shed/stats", Reply::Problem(403, "policy", "policy: stats")),
    ])
    .await;
    let all = ran(&server, "stats --no-stream").await;
    assert_eq!((all.exit, all.out.lines().count()), (2, 3), "{all:?}");
    assert!(all.err.contains("shed: policy: stats"), "{all:?}");
    assert_eq!(ran(&server, "stats pi/web --no-stream").await.exit, 0);
    let missing = ran(&server, "stats pi/db --no-stream").await;
    assert_eq!(missing.exit, 3, "{missing:?}");
}

fn happened(sequence: u64) -> serde_json::Value {
    json!({"agent": "pi", "epoch": 1, "sequence": sequence, "at": 0, "action": "start", "name": "web", "set": {"state": "running"}})
}

#[tokio::test]
async fn events_go_on_without_a_hole_and_without_one_twice() {
    let history = Reply::Json(200, json!({"events": [happened(1), happened(2)]}));
    let stream = event("event", &happened(2)) + ":\n\n" + &event("event", &happened(3));
    let followed =
        Server::start([("GET /events", Reply::Events(stream, Then::Cut)), ("GET /events", history.clone())]).await;
    let ran_ = ran(&followed, "events -f --agent pi --container web --since 2h --json").await;
    let sequences: Vec<_> = ran_
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!((ran_.exit, sequences), (5, vec![1, 2, 3]), "{}", ran_.err);
    assert_eq!(
        followed.seen(),
        ["GET /events?agent=pi&container=web&follow=true", "GET /events?agent=pi&container=web&since=7200s&limit=10"]
    );
    let listed = Server::start([("GET /events", history)]).await;
    let ran_ = ran(&listed, "events -n 2").await;
    assert_eq!(ran_.out.lines().next(), Some("1970-01-01T00:00:00.000Z  pi  start          web  running"));
    assert_eq!((ran_.exit, listed.seen()), (0, vec!["GET /events?limit=2".to_owned()]));
}

#[tokio::test]
async fn who_has_seen_enough_events_is_done() {
    let server = Server::start([
        ("GET /events", Reply::Events(String::new(), Then::Hold)),
        ("GET /events", Reply::Json(200, json!({"events": []}))),
    ])
    .await;
    let ran = ran_on(&server, "events -f", PERSON, server.until_asked(2)).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    server.until_left().await;
}
