//! Who guards the engine's socket lets through what it likes; what it denies is told, and never more than that is lost.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::{Engine, Spec};
use radar_tests::gate::{Asked, Gate};
use radar_tests::wait::until;
use serde_json::{Value, json};

use super::{DONE, REFUSED, Stage, obedient};
use crate::world::scene::Scene;
use crate::world::site::Site;
use crate::world::{self, DEADLINE};

/// What observing asks for, without the version and what is behind the question mark, ids replaced.
const NEEDED: [&str; 6] = ["/containers/*/json", "/containers/json", "/events", "/images/*/json", "/info", "/version"];

fn question(asked: &Asked) -> String {
    let path = asked.path.split('?').next().unwrap_or_default();
    let parts: Vec<_> = path.split('/').collect();
    match parts[..] {
        ["", kind, _, "json"] => format!("/{kind}/*/json"),
        _ => path.to_owned(),
    }
}

// E10, E7, E1
#[tokio::test]
async fn observing_needs_no_right_to_post_and_misses_nothing() -> Result<()> {
    let engine = Engine::start().await?;
    let broker = Broker::open(&Options::default()).await?;
    // A stream that is silent for so long is closed by the gate.
    let gate =
        Gate::start(&engine, &[], |text| text.replace("client 1h", "client 6s").replace("server 1h", "server 6s"));
    let gate = gate.await?;
    let mut site = Site::new(&engine, &broker.url(), &broker.url()).await?;
    site.agent.set("DOCKER_HOST", &gate.host());
    let scene = Scene::set(&engine, "gated", 2).await?;
    site.start().await?;
    site.bridge.wait_agent("pi", "the containers", |line| line["containers"]["total"] == 2).await?;
    scene.burst(60).await?;
    until("the gate to close a silent stream", DEADLINE, async || {
        let asked = gate.asked();
        if asked.iter().any(|one| one.path.contains("filters=")) { Ok(()) } else { Err(format!("{asked:?}")) }
    })
    .await?;
    scene.burst(60).await?;
    site.wait_whole(&scene).await?;
    let line = site.bridge.agent_line("pi").await?;
    assert_eq!(line["engine"]["unavailable"], Value::Null, "{line}");
    site.agent.stop().await?;

    let asked = gate.asked();
    let odd: Vec<_> = asked.iter().filter(|one| one.method != "GET" || one.status == 403).collect();
    ensure!(odd.is_empty(), "{odd:?}");
    let questions: BTreeSet<String> = asked.iter().map(question).collect();
    ensure!(questions.iter().map(String::as_str).eq(NEEDED), "{questions:?}");
    ensure!(!site.agent.log().contains("denies"), "{}", site.agent.log());
    Ok(())
}

// E10, E7
#[tokio::test]
async fn what_is_denied_is_told_and_a_command_for_it_is_refused_at_once() -> Result<()> {
    let stage = Stage::shared().await?;
    let gate = Gate::start(&stage.engine, &[], |text| text).await?;
    let mut agent = obedient("gated", &stage.engine, &stage.broker, &stage.bridge).await?;
    agent.set("DOCKER_HOST", &gate.host());
    agent.start().await?;
    stage.online("gated").await?;
    let name = stage.container("behind", Spec::default()).await?;
    stage.known("gated", &name).await?;
    let at = format!("gated/{name}");
    let unavailable = async || {
        let told = stage.radar.json(&["agents"]).await?;
        let mut all = told["agents"].as_array().into_iter().flatten();
        let agent = all.find(|agent| agent["id"] == "gated").context("the agent")?;
        anyhow::Ok(agent["engine"]["unavailable"].clone())
    };
    let denied = unavailable().await?;
    let all = ["create-network", "create-volume", "kill", "logs", "pause", "pull", "remove", "remove-image"];
    let more = ["remove-network", "remove-volume", "rename", "restart", "start", "stop", "unpause", "update"];
    assert_eq!(denied, json!([all, more].concat()));
    let table = stage.radar.done(&["agents"]).await?;
    assert!(table.contains("gated: who guards its engine's socket denies create-network, "), "{table}");
    let line = stage.bridge.agent_line("gated").await?;
    assert_eq!(line["engine"]["unavailable"], denied, "{line}");
    for words in [&["stop", &at][..], &["logs", &at], &["update", &at]] {
        let told = stage.radar.say(words).await?;
        ensure!(told.code == REFUSED && told.err.contains("unavailable: who guards the engine's socket"), "{told:?}");
    }
    for words in [&["inspect", &at][..], &["top", &at], &["images", "gated"], &["stats", "gated", "--no-stream"]] {
        let told = stage.radar.say(words).await?;
        assert_eq!(told.code, DONE, "{words:?}: {told:?}");
    }
    // What cannot be found out without doing it is denied when it is done.
    let pruned = stage.radar.say(&["prune", "gated", "networks"]).await?;
    ensure!(pruned.err.contains("denied"), "{pruned:?}");
    assert_eq!(agent.log().matches("who guards the engine's socket denies create-network").count(), 1);

    gate.restart(&[("GATE_OPERATE", "1"), ("GATE_LOGS", "1")]).await?;
    until("more to be allowed", DEADLINE, async || {
        let denied = unavailable().await?;
        let starts = denied.as_array().is_some_and(|all| all.contains(&json!("start")));
        if starts { Err(anyhow::anyhow!("{denied}")) } else { Ok(()) }
    })
    .await?;
    stage.radar.done(&["stop", &at, "--timeout", "1"]).await?;
    assert_eq!(stage.state(&name).await?, "exited");
    stage.radar.done(&["logs", &at]).await?;
    let told = stage.radar.say(&["rm", &at]).await?;
    ensure!(told.code == REFUSED && told.err.contains("unavailable"), "{told:?}");
    agent.stop().await
}

// E10, E4
#[tokio::test]
async fn what_observing_lacks_is_told_and_the_rest_goes_on() -> Result<()> {
    let engine = Engine::start().await?;
    let broker = Broker::open(&Options::default()).await?;
    let gate = |paths: &'static str| {
        Gate::start(&engine, &[], move |text| {
            text.replace(
                "    http-request allow if METH_GET observe\n",
                &format!("{paths}    http-request allow if METH_GET observe\n"),
            )
        })
    };
    let blind = gate("    http-request deny if { path_end /events /info } || { path_beg /images/ }\n").await?;
    let closed = gate("    http-request deny if { path_end /containers/json }\n").await?;
    let bridge = world::bridge(&broker.url())?;
    bridge.start().await?;
    let agents = [("blind", &blind), ("closed", &closed)].map(|(id, gate)| {
        let mut agent = world::agent(id, &gate.host(), &broker.url())?;
        agent.set("AGENT_RECONCILE_INTERVAL", "5s");
        anyhow::Ok(agent)
    });
    let [seeing, shut] = agents;
    let (seeing, shut) = (seeing?, shut?);
    engine.run("web", Spec::default()).await?;
    seeing.start().await?;
    shut.start().await?;
    let told = |line: &Value| line["containers"]["complete"] == true && line["containers"]["running"] == 1;
    let line = bridge.wait_agent("blind", "the container", told).await?;
    assert_eq!(line["engine"]["unavailable"], json!(["events", "host-facts", "image-names"]), "{line}");
    engine.stop("web").await?;
    bridge.wait_agent("blind", "its end", |line| line["containers"]["running"] == 0).await?;
    let log = seeing.log();
    assert_eq!(log.matches("denies events, host-facts, image-names").count(), 1, "{log}");
    assert!(!log.contains("does not answer"), "{log}");

    // Without the list there is nothing to observe, and that is not an empty list.
    shut.wait_log("allow GET /containers/json").await?;
    let line =
        bridge.wait_agent("closed", "an engine that tells nothing", |line| line["engine"]["answers"] == false).await?;
    assert!(!line["containers"]["complete"].as_bool().unwrap_or_default(), "{line}");
    seeing.stop().await?;
    shut.stop().await
}
