use super::*;

/// A fleet whose containers a to d are on `pi`, e on `attic`, which is away, and f on `shed`, which allows no updates.
fn fleet(ends: &[(&'static str, &'static str, &'static str)]) -> Vec<(String, Reply)> {
    let container =
        |agent: &str, name: &str| json!({"agent": agent, "name": name, "image": "nginx", "state": "running"});
    let containers = json!({"containers": [container("attic", "e"), container("pi", "b"), container("pi", "a"), container("pi", "d"),
            container("pi", "c"), container("shed", "f")]});
    let mut script =
        vec![("GET /agents".to_owned(), agents()), ("GET /containers".to_owned(), Reply::Json(200, containers))];
    for name in ["a", "b", "c", "d"] {
        let (state, reason) =
            ends.iter().find(|(it, ..)| *it == name).map_or(("succeeded", ""), |(_, state, reason)| (*state, *reason));
        let issued = Reply::Json(202, json!({"command": format!("1-{name}")}));
        script.push((format!("POST /agents/pi/containers/{name}/update"), issued));
        let step =
            json!({"command": "x", "at": 1, "state": "progress", "result": {"step": 1, "of": 2, "what": "pull nginx"}});
        let end = json!({"command": "x", "at": 2, "state": state, "reason": reason, "result": {"steps": ["pull nginx", "stop it"]}});
        let events = event("outcome", &step) + &event("outcome", &end);
        script.push((format!("GET /commands/1-{name}/outcomes"), Reply::Events(events, Then::End)));
    }
    script
}

async fn serve(script: &[(String, Reply)]) -> Server {
    Server::start(script.iter().map(|(path, reply)| (path.as_str(), reply.clone()))).await
}

fn asked(server: &Server) -> Vec<String> {
    let posts = server.seen().into_iter().filter(|line| line.starts_with("POST"));
    let mut names: Vec<_> = posts.filter_map(|line| line.split('/').nth(4).map(str::to_owned)).collect();
    names.sort_unstable();
    names
}

// DM9
#[tokio::test]
async fn one_container_tells_its_steps_and_its_end() {
    for (end, exit, out, err) in [
        (("succeeded", ""), 0, "pi/a: updated\n", ""),
        (("succeeded", "unchanged: the same image"), 0, "pi/a: unchanged\n", ""),
        (("failed", "rolled-back: unhealthy"), 1, "", "radar: pi/a: rolled back: rolled-back: unhealthy\n"),
        (("refused", "policy: update"), 2, "", "radar: pi/a: failed: policy: update\n"),
        (("refused", "not-found: a"), 3, "", "radar: pi/a: failed: not-found: a\n"),
        (("unknown", "no outcome came"), 4, "", "radar: pi/a: unknown: no outcome came\n"),
    ] {
        let server = serve(&fleet(&[("a", end.0, end.1)])).await;
        let ran = ran(&server, "update pi/a").await;
        assert_eq!((ran.exit, ran.out.as_str()), (exit, out), "{end:?}: {ran:?}");
        assert_eq!(ran.err, format!("radar: pi/a: 1/2 pull nginx\n{err}"), "{end:?}");
    }
}

// DM9, DM10
#[tokio::test]
async fn a_fleet_is_updated_in_waves_until_one_fails() {
    let failing = fleet(&[("b", "failed", "rolled-back: unhealthy")]);
    let server = serve(&failing).await;
    let ran_ = ran(&server, "update --all --label app=web --in-waves-of 2 --stop-on-failure --yes").await;
    assert_eq!(ran_.exit, 1, "{ran_:?}");
    assert_eq!(asked(&server), ["a", "b"]);
    let rest = ran_.out.split_once("left out: shed/f: its host allows no updates\n").unwrap();
    assert_eq!(rest.0, "wave 1: pi/a, pi/b\nwave 2: pi/c, pi/d\nnot begun: attic/e: its agent is offline\n");
    assert_eq!(
        rest.1,
        "wave 1 of 2\npi/a: updated\n\n\
         CONTAINER  RESULT       WHY\n\
         pi/a       updated\n\
         pi/b       rolled back  rolled-back: unhealthy\n\
         pi/c       not begun\n\
         pi/d       not begun\n\
         attic/e    not begun    its agent is offline\n\
         shed/f     left out     its host allows no updates\n\
         6 containers: 1 updated, 1 left out, 1 rolled back, 3 not begun\n"
    );
    assert!(server.seen()[1].ends_with("label=app%3Dweb"), "{:?}", server.seen());

    let server = serve(&failing).await;
    let ran_ = ran(&server, "update --all --in-waves-of 2 --yes --json").await;
    assert_eq!((ran_.exit, asked(&server).len()), (1, 4), "{ran_:?}");
    let lines: Vec<serde_json::Value> = ran_.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines.last().unwrap(),
        &json!({"summary": {"updated": 3, "rolled_back": 1, "not_begun": 1, "left_out": 1}})
    );
    let ended: Vec<_> = lines.iter().filter(|line| line["state"] == "updated").map(|line| &line["command"]).collect();
    assert_eq!(ended.len(), 3, "{ran_:?}");

    let server = serve(&fleet(&[])).await;
    let ran_ = ran(&server, "update pi/a pi/b --in-waves-of 2").await;
    assert_eq!((ran_.exit, asked(&server).len()), (0, 2), "{ran_:?}");
    assert!(ran_.out.ends_with("2 containers: 2 updated\n"), "{ran_:?}");
}

#[tokio::test]
async fn an_update_of_all_asks_first() {
    let server = serve(&fleet(&[])).await;
    let nobody = ran(&server, "update --all").await;
    assert_eq!((nobody.exit, server.seen().len()), (2, 0), "{nobody:?}");
    assert!(nobody.err.contains("add --yes"), "{nobody:?}");

    // `y` is typed.
    let agreed = ran_on(&server, "update --all --in-waves-of 3", PERSON, std::future::pending()).await;
    assert!(agreed.err.starts_with("Update 4 containers in 2 waves? [y/N] "), "{agreed:?}");
    assert_eq!(asked(&server), ["a", "b", "c", "d"]);
    // One host is away.
    assert_eq!(agreed.exit, 1, "{agreed:?}");
}

// DM9
#[tokio::test]
async fn a_dry_run_shows_every_step_and_asks_nobody() {
    let server = serve(&fleet(&[("c", "refused", "protected: it is the agent's own")])).await;
    let ran = ran(&server, "update --all --agent pi --dry-run").await;
    assert!(ran.out.contains("pi/a:\n  1. pull nginx\n  2. stop it\n"), "{ran:?}");
    assert!(ran.out.contains("pi/c: left out: protected: it is the agent's own\n"), "{ran:?}");
    assert!(ran.out.ends_with("6 containers: 3 planned, 2 left out, 1 not begun\n"), "{ran:?}");
    assert!(server.seen().iter().filter(|line| line.starts_with("POST")).all(|line| line.contains("\"dry_run\":true")));
}

#[tokio::test]
async fn a_stop_begins_no_more_and_says_what_goes_on() {
    let mut script = fleet(&[]);
    script.retain(|(path, _)| path != "GET /commands/1-b/outcomes");
    script.push(("GET /commands/1-b/outcomes".to_owned(), Reply::Events(String::new(), Then::Hold)));
    let server = serve(&script).await;
    // agents, containers, a: two, b: two.
    let ran = ran_on(&server, "update --all --yes", PERSON, server.until_asked(6)).await;
    assert_eq!((ran.exit, asked(&server)), (4, vec!["a".to_owned(), "b".to_owned()]), "{ran:?}");
    assert!(ran.out.ends_with("6 containers: 1 updated, 1 left out, 1 under way, 3 not begun\n"), "{ran:?}");
    assert!(ran.err.contains("goes on at the agents"), "{ran:?}");
    server.until_left().await;
}
