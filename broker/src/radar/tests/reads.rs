use super::*;

#[tokio::test]
async fn agents_are_a_table_or_the_bridges_own_document() {
    let server = Server::start([("GET /agents", agents())]).await;
    let ran_ = ran(&server, "agents").await;
    assert_eq!(ran_.exit, 0, "{ran_:?}");
    assert!(ran_.out.starts_with("AGENT  NAME     STATE "), "{}", ran_.out);
    assert!(ran_.out.contains("\nattic  Attic    offline (lost)  "), "{}", ran_.out);
    let json = ran(&server, "agents --json --as Ann").await;
    let document: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((document["agents"][1]["id"].as_str(), json.out.lines().count()), (Some("pi"), 1));
    assert_eq!(server.name().as_deref(), Some("Ann"));
}

#[tokio::test]
async fn containers_of_all_pages_are_shown() {
    let page = |name: &str, state: &str, next: Option<&str>| {
        let container = json!({"agent": "pi", "online": true, "heard": 1, "name": name, "image": "nginx", "tag": "1", "state": state});
        let mut page = json!({"containers": [container]});
        if let Some(next) = next {
            page["next"] = next.into();
        }
        Reply::Json(200, page)
    };
    let script = || {
        [
            ("GET /agents", agents()),
            ("GET /containers", page("web", "running", Some("c/1"))),
            ("GET /containers", page("job", "exited", Some("c/2"))),
            ("GET /containers", page("db", "running", None)),
        ]
    };
    let server = Server::start(script()).await;
    let ran_ = ran(&server, "ps --label app=web --label x").await;
    assert_eq!(ran_.exit, 0, "{ran_:?}");
    let names: Vec<_> = ran_.out.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(names, ["db", "web"], "{}", ran_.out);
    assert_eq!(
        server.seen(),
        [
            "GET /agents",
            "GET /containers?limit=1000&label=app%3Dweb&label=x",
            "GET /containers?limit=1000&after=c%2F1&label=app%3Dweb&label=x",
            "GET /containers?limit=1000&after=c%2F2&label=app%3Dweb&label=x",
        ]
    );
    for (line, count) in [("ps -a", 3), ("ps pi -a", 3), ("ps --state exited", 1)] {
        let server = Server::start(script()).await;
        let json = ran(&server, &format!("--json {line}")).await;
        let document: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(document["containers"].as_array().unwrap().len(), count, "{line}");
    }
}

// PS3
#[tokio::test]
async fn an_agent_that_is_not_known_is_not_found() {
    let server = Server::start([("GET /agents", agents())]).await;
    for line in ["ps cellar", "stats cellar", "update --all --yes --agent cellar"] {
        let ran = ran(&server, line).await;
        assert_eq!(ran.exit, 3, "{line}: {ran:?}");
        assert!(ran.err.contains("no agent cellar is known"), "{ran:?}");
    }
}

// DM5, DM16
#[tokio::test]
async fn what_an_agent_answers_is_shown() {
    let server = Server::start([
        ("GET /agents/pi/containers/web/top", Reply::Json(200, json!({"titles": ["PID"], "processes": [["1"]]}))),
        (
            "GET /agents/pi/containers/web/inspect",
            Reply::Json(200, json!({"command": "1-a", "result": {"Id": "x\u{9b}"}})),
        ),
        (
            "GET /agents/pi/images",
            Reply::Json(200, json!({"images": [{"id": "a", "tags": ["n:1"]}], "truncated": true})),
        ),
        ("GET /agents/pi/networks", Reply::Json(200, json!({"networks": []}))),
        ("GET /agents/pi/volumes", Reply::Problem(503, "agent-away", "pi is not there")),
    ])
    .await;
    for (line, exit, out, err) in [
        ("top pi/web", 0, "PID\n1\n", ""),
        ("inspect pi/web", 0, "{\n  \"Id\": \"x\\u009b\"\n}\n", ""),
        ("inspect --json pi/web", 0, "{\"Id\":\"x\\u009b\"}\n", ""),
        (
            "images pi",
            0,
            "IMAGE  ID  SIZE  CREATED  IN USE\nn:1    a   ?     ?        ?\n",
            "there are more than an agent tells",
        ),
        ("networks pi", 0, "NETWORK  ID  DRIVER  SCOPE  INTERNAL  CREATED\n", ""),
        ("volumes pi", 1, "", "agent-away: pi is not there (`radar agents` shows"),
    ] {
        let ran = ran(&server, line).await;
        assert_eq!((ran.exit, ran.out.as_str()), (exit, out), "{line}: {ran:?}");
        assert!(ran.err.contains(err) && ran.err.is_empty() == err.is_empty(), "{line}: {ran:?}");
    }
}

// E6
#[tokio::test]
async fn the_audit_is_the_last_so_many_with_the_newest_last() {
    let commands = |from: usize, to: usize| {
        let command = |number: usize| {
            json!({"command": format!("{number:04}"), "agent": "pi", "who": "api:ops", "what": {"do": "start", "container": "web"},
                   "issued": number, "state": "succeeded"})
        };
        Reply::Json(200, json!({"commands": (to..from).rev().map(command).collect::<Vec<_>>()}))
    };
    let server = Server::start([("GET /commands", commands(1500, 500)), ("GET /commands", commands(500, 300))]).await;
    let ran_ = ran(&server, "audit --agent pi -n 1200").await;
    let lines: Vec<_> = ran_.out.lines().collect();
    assert_eq!((ran_.exit, lines.len()), (0, 1200), "{ran_:?}");
    assert!(lines[1199].contains("  1499  api:ops  pi  start web  succeeded"), "{}", lines[1199]);
    assert_eq!(server.seen(), ["GET /commands?agent=pi&limit=1000", "GET /commands?agent=pi&limit=200&before=0500"]);
    let server = Server::start([("GET /commands", commands(0, 0))]).await;
    assert_eq!(ran(&server, "audit").await.out, "No command was given.\n");
}

#[tokio::test]
async fn a_stop_ends_what_waits() {
    let server = Server::start([("GET /agents", Reply::Events(String::new(), Then::Hold))]).await;
    let ran = ran_on(&server, "agents", PERSON, server.until_asked(1)).await;
    assert_eq!(ran.exit, 1, "{ran:?}");
    server.until_left().await;
}
