use super::*;

fn done(jti: &str) -> Reply {
    Reply::Json(200, json!({"command": jti, "state": "succeeded", "result": null}))
}

fn accepted(jti: &str) -> Reply {
    Reply::Json(202, json!({"command": jti}))
}

fn outcome(state: &str, reason: Option<&str>, result: serde_json::Value) -> String {
    event("outcome", &json!({"command": "1-a", "at": 1, "state": state, "reason": reason, "result": result}))
}

// DM4, DM12, DM13, DM16
#[tokio::test]
async fn each_act_is_the_request_of_the_contract() {
    let digest = "a".repeat(64);
    let own = format!("self-update pi --program https://h/a --sha256 {digest} --signature abc");
    let own_body = format!(
        "POST /agents/pi/self-update?wait=false {{\"program\":{{\"sha256\":\"{digest}\",\"signature\":\"abc\",\"url\":\"https://h/a\"}}}}"
    );
    for (line, expect) in [
        ("start pi/web", "POST /agents/pi/containers/web/start?wait=true {}"),
        ("start pi/web --no-wait", "POST /agents/pi/containers/web/start?wait=false {}"),
        ("stop pi/web -t 5 --valid 2m", r#"POST /agents/pi/containers/web/stop?wait=true {"timeout":5,"valid":120}"#),
        ("restart pi/web", "POST /agents/pi/containers/web/restart?wait=true {}"),
        ("kill pi/web -s HUP", r#"POST /agents/pi/containers/web/kill?wait=true {"signal":"HUP"}"#),
        ("pause pi/web", "POST /agents/pi/containers/web/pause?wait=true {}"),
        ("unpause pi/web", "POST /agents/pi/containers/web/unpause?wait=true {}"),
        ("rename pi/web www", r#"POST /agents/pi/containers/web/rename?wait=true {"to":"www"}"#),
        ("rm pi/web -f -v", r#"POST /agents/pi/containers/web/remove?wait=true {"force":true,"volumes":true}"#),
        ("pull pi nginx:1", r#"POST /agents/pi/images/pull?wait=false {"image":"nginx:1"}"#),
        ("prune pi images --all", r#"POST /agents/pi/images/prune?wait=false {"all":true}"#),
        ("prune pi volumes", "POST /agents/pi/volumes/prune?wait=false {}"),
        ("image rm pi a/b:1 -f", "DELETE /agents/pi/images/a%2Fb:1?force=true&wait=true"),
        (
            "network create pi front -d bridge --internal",
            r#"POST /agents/pi/networks?wait=true {"driver":"bridge","internal":true,"network":"front"}"#,
        ),
        ("network rm pi front", "DELETE /agents/pi/networks/front?wait=true"),
        ("volume create pi data", r#"POST /agents/pi/volumes?wait=true {"volume":"data"}"#),
        ("volume rm pi data", "DELETE /agents/pi/volumes/data?wait=true"),
        (
            "self-update pi --image a:2 --patience 90",
            r#"POST /agents/pi/self-update?wait=false {"image":"a:2","patience":90}"#,
        ),
        (&own, &own_body),
        (
            "update pi/web --image a:2 --patience 9 --valid 1m --no-wait",
            r#"POST /agents/pi/containers/web/update?wait=false {"image":"a:2","patience":9,"valid":60}"#,
        ),
        ("update pi/web --dry-run", r#"POST /agents/pi/containers/web/update?wait=false {"dry_run":true}"#),
    ] {
        let server = Server::start([]).await;
        let ran = ran(&server, line).await;
        assert_eq!(server.seen(), [expect], "{line}: {ran:?}");
        assert_eq!(ran.exit, 2, "{line}: {ran:?}");
    }
}

#[tokio::test]
async fn a_name_that_would_be_another_path_is_not_sent() {
    let server = Server::start([]).await;
    for line in ["image rm pi ..", "volume rm pi .", "command .."] {
        let ran = ran(&server, line).await;
        assert_eq!((ran.exit, server.seen().len()), (2, 0), "{line}: {ran:?}");
    }
}

// PS3
#[tokio::test]
async fn the_bridges_answer_is_told_and_is_the_exit_code() {
    for (reply, exit, out, err) in [
        (done("1-a"), 0, "pi/web: done\n", ""),
        (Reply::Unchanged("1-a"), 0, "pi/web: unchanged, it was so already\n", ""),
        (
            Reply::Problem(404, "not-found", "not-found: no container is called web"),
            3,
            "",
            "radar: pi/web: not-found: no container is called web\n",
        ),
        (Reply::Problem(409, "conflict", "conflict: it runs"), 1, "", "radar: pi/web: conflict: it runs\n"),
        (
            Reply::Problem(403, "policy", "policy: start is not in AGENT_ALLOW"),
            2,
            "",
            "radar: pi/web: policy: start is not in AGENT_ALLOW\n",
        ),
        (Reply::Problem(403, "forbidden", ""), 6, "", "radar: pi/web: forbidden (this key may not do this"),
        (Reply::Problem(429, "busy", "busy: too many"), 2, "", "radar: pi/web: busy: too many\n"),
        (Reply::Problem(504, "no-outcome", "no outcome came"), 4, "", "radar: pi/web: no-outcome: no outcome came\n"),
        (Reply::Problem(502, "engine", "engine: gone"), 1, "", "radar: pi/web: engine: gone\n"),
        (Reply::Cut, 4, "", "whether it is done, `radar audit` shows"),
    ] {
        let server = Server::start([("POST /agents/pi/containers/web/start", reply)]).await;
        let ran = ran(&server, "start pi/web").await;
        assert_eq!((ran.exit, ran.out.as_str()), (exit, out), "{ran:?}");
        assert!(ran.err.contains(err) && ran.err.is_empty() == err.is_empty(), "{ran:?}");
    }
}

// DM4
#[tokio::test]
async fn several_are_told_in_their_order_and_each_failure_counts() {
    let server = Server::start([
        ("POST /agents/pi/containers/a/stop", done("1-a")),
        ("POST /agents/pi/containers/b/stop", Reply::Problem(404, "not-found", "not-found: b")),
        ("POST /agents/attic/containers/c/stop", Reply::Unchanged("1-c")),
        ("POST /agents/attic/containers/d/stop", Reply::Problem(403, "policy", "policy: d")),
    ])
    .await;
    let both = ran(&server, "stop pi/a pi/b attic/c attic/d").await;
    assert_eq!((both.exit, both.out.as_str()), (1, "pi/a: done\nattic/c: unchanged, it was so already\n"), "{both:?}");
    assert_eq!(both.err, "radar: pi/b: not-found: b\nradar: attic/d: policy: d\n");
    assert_eq!(ran(&server, "stop pi/a pi/b").await.exit, 3);

    let json = ran(&server, "--json stop pi/a pi/b attic/c").await;
    let lines: Vec<serde_json::Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let states: Vec<_> =
        lines.iter().map(|line| (line["target"].as_str(), line["state"].as_str(), line["command"].as_str())).collect();
    assert_eq!(
        states,
        [
            (Some("pi/a"), Some("succeeded"), Some("1-a")),
            (Some("pi/b"), Some("failed"), None),
            (Some("attic/c"), Some("unchanged"), Some("1-c")),
        ]
    );
    assert_eq!((lines[1]["code"].as_str(), json.err.as_str()), (Some("not-found"), ""));
}

#[tokio::test]
async fn who_does_not_wait_is_told_the_command() {
    let server = Server::start([("POST /agents/pi/containers/web/stop", accepted("1-a"))]).await;
    let ran_ = ran(&server, "stop pi/web --no-wait").await;
    assert_eq!((ran_.exit, ran_.out.as_str()), (0, "pi/web: command 1-a\n"), "{ran_:?}");
    let json = ran(&server, "stop pi/web --no-wait --json").await;
    assert_eq!(json.out, "{\"command\":\"1-a\",\"state\":\"issued\",\"target\":\"pi/web\"}\n");
}

// DM12
#[tokio::test]
async fn a_pull_tells_its_layers_over_a_bridge_that_starts_again() {
    let layers = |done: u64| outcome("progress", None, json!({"layers": 3, "done": done, "current": done, "total": 3}));
    let first = outcome("accepted", None, json!(null)) + &layers(1) + &layers(1);
    let last = layers(1)
        + &layers(2)
        + &outcome("succeeded", None, json!({"image": "sha256:0123456789abcdef", "changed": true}));
    let script = || {
        [
            ("POST /agents/pi/images/pull", accepted("1-a")),
            ("GET /commands/1-a/outcomes", Reply::Events(first.clone(), Then::Cut)),
            ("GET /commands/1-a/outcomes", Reply::Events(last.clone(), Then::End)),
        ]
    };
    let ran_ = ran(&Server::start(script()).await, "pull pi nginx:1").await;
    assert_eq!((ran_.exit, ran_.out.as_str()), (0, "pi: nginx:1: done, image 0123456789ab\n"), "{ran_:?}");
    assert_eq!(ran_.err, "radar: pi: nginx:1: 1 of 3 layers\nradar: pi: nginx:1: 2 of 3 layers\n");

    let json = ran(&Server::start(script()).await, "pull pi nginx:1 --json").await;
    let lines: Vec<serde_json::Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let states: Vec<_> = lines.iter().filter_map(|line| line["state"].as_str()).collect();
    assert_eq!(states, ["accepted", "progress", "progress", "succeeded"], "{json:?}");
}

// PS3
#[tokio::test]
async fn where_too_many_follow_it_asks_now_and_then() {
    let server = Server::start([
        ("POST /agents/pi/images/prune", accepted("1-a")),
        ("GET /commands/1-a/outcomes", Reply::Problem(503, "too-many-streams", "32 follow")),
        ("GET /commands/1-a", Reply::Json(200, json!({"command": "1-a", "state": "accepted"}))),
        (
            "GET /commands/1-a",
            Reply::Json(200, json!({"command": "1-a", "state": "succeeded", "result": {"removed": ["a"], "freed": 5}})),
        ),
    ])
    .await;
    let ran = ran(&server, "prune pi images").await;
    assert_eq!((ran.exit, ran.out.as_str()), (0, "pi: images: done, removed a, freed 5 B\n"), "{ran:?}");
}

#[tokio::test]
async fn a_stop_leaves_what_is_under_way_and_says_so() {
    let server = Server::start([
        ("POST /agents/pi/images/pull", accepted("1-a")),
        ("GET /commands/1-a/outcomes", Reply::Events(outcome("accepted", None, json!(null)), Then::Hold)),
    ])
    .await;
    let ran = ran_on(&server, "pull pi nginx:1", PERSON, server.until_asked(2)).await;
    assert_eq!(ran.exit, 4, "{ran:?}");
    assert!(ran.err.contains("goes on at the agents: `radar audit` shows it"), "{ran:?}");
    server.until_left().await;
}

// E6
#[tokio::test]
async fn a_command_is_shown_until_it_has_ended() {
    let row = |state: &str, reason: Option<&str>| {
        Reply::Json(
            200,
            json!({"command": "1-a", "agent": "pi", "who": "api:ops", "what": {"do": "pull", "image": "nginx:1"}, "issued": 0,
                   "state": state, "reason": reason, "result": null}),
        )
    };
    let line = "1970-01-01T00:00:00.000Z  1-a  api:ops  pi  pull image nginx:1  ";
    let stream = outcome("progress", None, json!({"layers": 3, "done": 1}))
        + &outcome("failed", Some("not-found: nginx:1"), json!(null));
    let server = Server::start([
        ("GET /commands/1-a", row("accepted", None)),
        ("GET /commands/1-a/outcomes", Reply::Events(stream, Then::End)),
        ("GET /commands/2-b", row("refused", Some("policy: pull"))),
        ("GET /commands/3-c", Reply::Problem(404, "not-found", "no command 3-c")),
    ])
    .await;
    for (arguments, exit, out) in [
        ("command 1-a", 3, format!("{line}accepted\nprogress  1 of 3 layers\nfailed: not-found: nginx:1\n")),
        ("command 1-a --no-wait", 0, format!("{line}accepted\n")),
        ("command 2-b", 2, format!("{line}refused: policy: pull\n")),
        ("command 3-c", 3, String::new()),
    ] {
        let ran = ran(&server, arguments).await;
        assert_eq!((ran.exit, ran.out), (exit, out), "{arguments}: {}", ran.err);
    }
}
