//! The server is away, restarts, answers wrongly, or has deleted an agent. The bridge tries with patience, one
//! request at a time, and never leaves the server's database wedged.

use std::time::Duration;

use anyhow::{Result, ensure};
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::{Engine, Spec};
use radar_tests::server::{Fault, Recorded, Server};
use radar_tests::wait::until;
use serde_json::Value;

use crate::world::scene::Scene;
use crate::world::{self, DEADLINE, Program};

const HEARTBEAT: &str = "/api/agent/heartbeat";
const ENROLL: &str = "/api/agent-auth/enroll";
const TOKEN: &str = "/api/agent-auth/token";

struct Stage {
    engine: Engine,
    broker: Broker,
    server: Server,
    bridge: Program,
    agent: Program,
    upstream: String,
}

impl Stage {
    /// Both programs, and a container of the host at the server. It asks for beats every half hour, so that what
    /// comes earlier comes because something changed.
    async fn set(server: Server) -> Result<Self> {
        Self::set_on(Engine::shared().await?, server).await
    }

    async fn set_on(engine: Engine, server: Server) -> Result<Self> {
        let broker = Broker::open(&Options::default()).await?;
        server.set_interval(1800.0);
        let (upstream, token) = server.create_agent("kitchen");
        let bridge = world::relaying_bridge(&broker.url(), &server.url())?;
        let mut agent = world::agent(&upstream, &engine.host(), &broker.url())?;
        agent.set("AGENT_ENROLL_TOKEN", &token);
        bridge.start().await?;
        agent.start().await?;
        let stage = Self { engine, broker, server, bridge, agent, upstream };
        stage.change_arrives("first").await?;
        Ok(stage)
    }

    /// Something happens on the host; the name of the new container.
    async fn change(&self, purpose: &str) -> Result<String> {
        let name = self.engine.unique(purpose);
        self.engine.run(&name, Spec::default()).await?;
        Ok(name)
    }

    async fn wait_at_server(&self, name: &str) -> Result<()> {
        until(&format!("{name} at the server"), DEADLINE, async || {
            let view = self.server.view(&self.upstream).ok_or_else(|| "no such agent".to_owned())?;
            let there = view.status == "online" && view.running.iter().any(|container| container.name == name);
            if there { Ok(()) } else { Err(format!("{} {:?}", view.status, view.names())) }
        })
        .await
    }

    async fn change_arrives(&self, purpose: &str) -> Result<()> {
        let name = self.change(purpose).await?;
        self.wait_at_server(&name).await
    }

    /// Waits until `/health` of the bridge calls the server this.
    async fn wait_health(&self, state: &str) -> Result<()> {
        until(&format!("the server {state} in /health"), DEADLINE, async || {
            let (_, body) = self.bridge.get("/health").await?;
            let health: Value = serde_json::from_str(&body)?;
            if health["upstream"]["state"] == state { Ok(()) } else { Err(anyhow::anyhow!("{body}")) }
        })
        .await
    }

    /// The calls since then.
    fn since(&self, then: Duration) -> Vec<Recorded> {
        self.server.requests().into_iter().filter(|call| call.at >= then).collect()
    }

    fn check_unharmed(&self) {
        assert_eq!((self.server.wedged(), self.server.killed()), (None, None));
        assert_eq!(self.server.high_water(), 1, "requests at once");
        assert_eq!(self.server.calls(ENROLL).len(), 1, "enrollments");
    }
}

/// How many attempts fit into this time when the wait begins with a second and doubles; one more for what was
/// under way.
fn most_attempts(time: Duration) -> usize {
    let seconds = time.as_secs() + 1;
    usize::try_from(seconds.ilog2()).unwrap_or_default() + 2
}

/// Calls meet the fault, and after it everything is as it should be.
async fn outlives(fault: Fault, state: &str) -> Result<()> {
    let stage = Stage::set(Server::start().await?).await?;
    let begun = stage.server.now();
    stage.server.fault("/api", fault);
    let name = stage.change("meanwhile").await?;
    stage.wait_health(state).await?;
    until("three attempts", DEADLINE, async || {
        let calls = stage.since(begun).len();
        if calls >= 3 { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    let calls = stage.since(begun);
    let most = most_attempts(stage.server.now() - begun);
    ensure!(calls.len() <= most, "{} calls where {most} are patient: {calls:?}", calls.len());
    stage.server.mend();
    stage.wait_at_server(&name).await?;
    stage.wait_health("ok").await?;
    stage.change_arrives("after").await?;
    stage.check_unharmed();
    // It works, it is in trouble, it works again: each is said once.
    let log = stage.bridge.log();
    assert_eq!(log.matches("server: ").count(), 3, "{log}");
    Ok(())
}

// RR12
#[tokio::test]
async fn errors_are_outlived() -> Result<()> {
    outlives(Fault::Status(500), "failing").await
}

// RR12
#[tokio::test]
async fn pages_instead_of_answers_are_outlived() -> Result<()> {
    outlives(Fault::Page, "not a server").await
}

// RR12
#[tokio::test]
async fn refusals_that_make_no_sense_are_outlived() -> Result<()> {
    outlives(Fault::Unauthorized, "denying").await
}

// RR12, RR5
#[tokio::test]
async fn silence_is_outlived() -> Result<()> {
    let stage = Stage::set(Server::start().await?).await?;
    let begun = stage.server.now();
    stage.server.fault("/api", Fault::Silence);
    let name = stage.change("meanwhile").await?;
    stage.wait_health("unreachable").await?;
    let calls = stage.since(begun);
    assert_eq!(calls.len(), 1, "one that waits, and no other beside it: {calls:?}");
    stage.server.restart().await?;
    stage.server.mend();
    stage.wait_at_server(&name).await?;
    stage.check_unharmed();
    Ok(())
}

// RR5, RR12
#[tokio::test]
async fn a_slow_server_is_asked_one_thing_at_a_time() -> Result<()> {
    let stage = Stage::set(Server::start().await?).await?;
    stage.server.fault("/api", Fault::Slow(Duration::from_secs(2)));
    let mut last = String::new();
    for _ in 0..5 {
        last = stage.change("slow").await?;
    }
    stage.wait_at_server(&last).await?;
    stage.server.mend();
    stage.change_arrives("after").await?;
    stage.check_unharmed();
    Ok(())
}

// RR2, RR10
#[tokio::test]
async fn away_for_longer_than_a_token_lives() -> Result<()> {
    let server = Server::start().await?;
    server.set_token_lifetime(Duration::from_secs(2));
    let stage = Stage::set(server).await?;
    stage.server.stop().await?;
    let stopped = stage.server.now();
    let name = stage.change("meanwhile").await?;
    stage.wait_health("unreachable").await?;
    until("the end of every token", DEADLINE, async || {
        let away = stage.server.now() - stopped;
        if away > Duration::from_secs(3) { Ok(()) } else { Err(format!("{away:?}")) }
    })
    .await?;
    stage.server.go().await?;
    stage.wait_at_server(&name).await?;
    stage.change_arrives("after").await?;
    let tokens = stage.server.calls(TOKEN).into_iter().filter(|call| call.at > stopped && call.status == 200);
    ensure!(tokens.count() >= 2, "each beat had a token that was good");
    stage.check_unharmed();
    Ok(())
}

// RR2, RR12
#[tokio::test]
async fn a_token_that_a_restart_has_voided_is_renewed() -> Result<()> {
    let stage = Stage::set(Server::start().await?).await?;
    let begun = stage.server.now();
    // The beat that waits has its token from before the restart.
    stage.server.fault(HEARTBEAT, Fault::Silence);
    let name = stage.change("meanwhile").await?;
    until("a beat under way", DEADLINE, async || {
        let beats = stage.since(begun).into_iter().filter(|call| call.path == HEARTBEAT).count();
        if beats > 0 { Ok(()) } else { Err("none") }
    })
    .await?;
    stage.server.restart().await?;
    stage.server.mend();
    stage.wait_at_server(&name).await?;
    let after: Vec<_> = stage.since(begun).iter().map(|call| (call.path.clone(), call.status)).collect();
    let refused = after.iter().position(|(path, status)| path == HEARTBEAT && *status == 401);
    let refused = refused.unwrap_or_else(|| panic!("no beat with the voided token: {after:?}"));
    assert_eq!(after[refused + 1], (TOKEN.to_owned(), 200), "{after:?}");
    assert_eq!(after[refused + 2], (HEARTBEAT.to_owned(), 200), "{after:?}");
    stage.check_unharmed();
    Ok(())
}

// RR6, RR5
#[tokio::test]
async fn deleted_at_the_server_it_is_let_go() -> Result<()> {
    // Nobody else makes changes here: what is deleted between a token and its beat would break the server.
    let stage = Stage::set_on(Engine::start().await?, Server::start().await?).await?;
    let (other, token) = stage.server.create_agent("garage");
    let mut second = world::agent(&other, &stage.engine.host(), &stage.broker.url())?;
    second.set("AGENT_ENROLL_TOKEN", &token);
    second.start().await?;
    let at_server = async |name: &str| {
        until("the other agent's change", DEADLINE, async || {
            let names = stage.server.view(&other).map(|view| view.names().join(" ")).unwrap_or_default();
            if names.contains(name) { Ok(()) } else { Err(names) }
        })
        .await
    };
    let both = stage.change("both").await?;
    at_server(&both).await?;
    stage.wait_at_server(&both).await?;

    stage.server.delete_agent(&stage.upstream);
    let deleted = stage.server.now();
    at_server(&stage.change("after").await?).await?;
    let upstream = &stage.upstream;
    let told = |line: &Value| line["upstream"]["state"] == "deleted";
    stage.bridge.wait_agent(upstream, "its deletion", told).await?;
    let asked = |path: &str| {
        let of_it = |call: &Recorded| call.body["agentId"] == **upstream && call.at > deleted;
        stage.server.calls(path).iter().filter(|call| of_it(call)).count()
    };
    assert_eq!(asked(TOKEN), 1);
    // What happens to it later, and another life of the bridge, is nothing to the server.
    stage.bridge.stop().await?;
    stage.bridge.start().await?;
    at_server(&stage.change("later").await?).await?;
    at_server(&stage.change("still").await?).await?;
    assert_eq!((asked(TOKEN), asked(HEARTBEAT), asked(ENROLL)), (1, 0, 0));
    let said = format!("{upstream}: deleted at the server");
    let log = stage.bridge.log();
    assert_eq!(log.matches(&said).count(), 2, "once in each life of the bridge: {log}");
    assert_eq!((stage.server.wedged(), stage.server.high_water()), (None, 1));
    Ok(())
}

// RR12, DM1
#[tokio::test]
async fn a_wrong_enrollment_token_is_shown_and_not_tried_again() -> Result<()> {
    let engine = Engine::shared().await?;
    let broker = Broker::open(&Options::default()).await?;
    let server = Server::start().await?;
    let (upstream, token) = server.create_agent("kitchen");
    let bridge = world::relaying_bridge(&broker.url(), &server.url())?;
    let mut agent = world::agent(&upstream, &engine.host(), &broker.url())?;
    agent.set("AGENT_ENROLL_TOKEN", "not-the-token");
    bridge.start().await?;
    agent.start().await?;
    let refused = |line: &Value| {
        line["upstream"]["state"] == "token-refused" && line["upstream"]["note"] == "Invalid enrollment token"
    };
    bridge.wait_agent(&upstream, "the reason", refused).await?;
    // Neither what happens nor the same token again is a reason to ask again.
    let scene = Scene::set(&engine, "refused", 1).await?;
    scene.burst(20).await?;
    bridge.stop().await?;
    agent.stop().await?;
    bridge.start().await?;
    agent.start().await?;
    bridge.wait_agent(&upstream, "the agent back", |line| line["state"] == "online" && refused(line)).await?;
    scene.burst(20).await?;
    world::history::wait_complete(&bridge, &upstream, &scene.seen()).await?;
    assert_eq!(server.calls(ENROLL).len(), 1);
    // The right one is.
    agent.stop().await?;
    agent.set("AGENT_ENROLL_TOKEN", &token);
    agent.start().await?;
    until("the agent at the server", DEADLINE, async || {
        let status = server.view(&upstream).map(|view| view.status).unwrap_or_default();
        if status == "online" { Ok(()) } else { Err(status) }
    })
    .await?;
    assert_eq!(server.calls(ENROLL).len(), 2);
    Ok(())
}

// RR12
#[tokio::test]
async fn a_server_under_a_path_is_reached() -> Result<()> {
    let stage = Stage::set(Server::start_under("/tools/radar").await?).await?;
    stage.change_arrives("second").await?;
    let strays: Vec<_> = stage.server.requests().into_iter().filter(|call| call.status == 404).collect();
    assert_eq!(strays, []);
    stage.check_unharmed();
    Ok(())
}

// RR8
#[tokio::test]
async fn a_killed_agent_is_offline_at_the_server_within_5_s_of_its_will() -> Result<()> {
    let stage = Stage::set(Server::start().await?).await?;
    let before = stage.server.view(&stage.upstream).map(|view| view.running.len());
    let topic = format!("radar/v1/{}/status", stage.upstream);
    let tap = stage.broker.tap(&[&topic]).await?;
    stage.agent.kill9().await?;
    tap.wait_for("its will", DEADLINE, |seen| {
        let status: Result<radar_wire::status::Status, _> = radar_wire::codec::decode(None, &seen.payload);
        status.is_ok_and(|status| status.reason == radar_wire::status::Reason::Lost)
    })
    .await?;
    until("offline at the server", Duration::from_secs(5), async || {
        let view = stage.server.view(&stage.upstream);
        if view.as_ref().is_some_and(|view| view.status == "offline") { Ok(()) } else { Err(format!("{view:?}")) }
    })
    .await?;
    let kept = stage.server.view(&stage.upstream).map(|view| view.running.len());
    ensure!(kept >= before && kept > Some(0), "{kept:?} of {before:?} containers");
    stage.agent.start().await?;
    stage.change_arrives("back").await?;
    stage.check_unharmed();
    Ok(())
}

// RR10
#[tokio::test]
async fn a_crash_loop_does_not_flood_it() -> Result<()> {
    let stage = Stage::set(Server::start().await?).await?;
    let scene = Scene::set(&stage.engine, "loop", 2).await?;
    let begun = stage.server.now();
    for _ in 0..5 {
        scene.burst(200).await?;
    }
    stage.change_arrives("last").await?;
    let beats = stage.since(begun).iter().filter(|call| call.path == HEARTBEAT).count();
    let took = (stage.server.now() - begun).as_secs();
    ensure!(beats as u64 <= took / 5 + 2, "{beats} beats in {took} s");
    stage.check_unharmed();
    Ok(())
}
