//! Samples and pulls, from the built agent over a real broker: asked for by somebody with a key, told to who listens.

use anyhow::{Context, Result, ensure};
use bollard::query_parameters::RemoveImageOptions;
use radar_link::jws::{SigningKey, sign};
use radar_tests::broker::{Broker, Options, Tap};
use radar_tests::clock::wall_nanos;
use radar_tests::engine::{Engine, Spec};
use radar_tests::registry::{PASSWORD, Registry, USER};
use radar_tests::wait::until;
use radar_wire::codec;
use radar_wire::command::{Claims, Command, Outcome, Progress};
use radar_wire::container::ContainerId;
use radar_wire::stats::Stats;
use radar_wire::status::Status;

use crate::world::{self, DEADLINE, Program};

struct Stage {
    engine: Engine,
    broker: Broker,
    agent: Program,
    tap: Tap,
    key: SigningKey,
}

impl Stage {
    /// An agent whose samples and outcomes somebody hears, with these settings.
    async fn set(settings: &[(&str, &str)]) -> Result<Self> {
        let engine = Engine::shared().await?;
        let broker = Broker::open(&Options::default()).await?;
        let tap = broker.tap(&["radar/v1/pi/outcome", "radar/v1/pi/stats", "radar/v1/pi/event"]).await?;
        let key = SigningKey::generate()?;
        let mut agent = world::agent("pi", &engine.host(), &broker.url())?;
        agent.set("AGENT_COMMAND_KEY", &key.public().to_string());
        agent.set("AGENT_ALLOW", "observe,pull");
        settings.iter().for_each(|(variable, value)| agent.set(variable, value));
        agent.start().await?;
        let stage = Self { engine, broker, agent, tap, key };
        until("the agent", DEADLINE, async || {
            let seen = stage.broker.retained("radar/v1/pi/snapshot").await?.context("no snapshot")?;
            let snapshot: radar_wire::snapshot::Snapshot = codec::decode(seen.content_type.as_deref(), &seen.payload)?;
            ensure!(snapshot.complete, "not complete");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        Ok(stage)
    }

    async fn ask(&self, jti: &str, cmd: Command) -> Result<()> {
        let iat = wall_nanos() / 1_000_000_000;
        let (iss, sub) = ("home".to_owned(), "me".to_owned());
        let claims = Claims { iss, aud: "pi".parse()?, sub, iat, exp: iat + 60, jti: jti.to_owned(), cmd };
        self.broker.publish_raw("radar/v1/pi/command", sign(&self.key, &claims)?, false).await
    }

    fn outcomes(&self, jti: &str) -> Vec<Outcome> {
        let all = self.tap.seen().into_iter().filter(|seen| seen.topic.ends_with("/outcome"));
        let read = all.filter_map(|seen| codec::decode::<Outcome>(seen.content_type.as_deref(), &seen.payload).ok());
        read.filter(|outcome| &*outcome.jti == jti).collect()
    }

    /// The outcomes of a command that has ended.
    async fn ended(&self, jti: &str) -> Result<Vec<Outcome>> {
        until("the end", DEADLINE, async || {
            let outcomes = self.outcomes(jti);
            let is_end = |outcome: &Outcome| !matches!(outcome.state, Progress::Accepted | Progress::Progress);
            if outcomes.last().is_some_and(is_end) { Ok(outcomes) } else { Err(format!("{outcomes:?}")) }
        })
        .await
    }

    fn samples(&self) -> Result<Vec<Stats>> {
        let all = self.tap.seen().into_iter().filter(|seen| seen.topic.ends_with("/stats"));
        all.map(|seen| {
            ensure!(!seen.retain, "samples are not kept");
            Ok(codec::decode(seen.content_type.as_deref(), &seen.payload)?)
        })
        .collect()
    }

    async fn samples_of(&self, id: ContainerId, count: usize) -> Result<Vec<Stats>> {
        until("samples", DEADLINE, async || {
            let all = self.samples()?;
            let with: Vec<_> =
                all.into_iter().filter(|stats| stats.containers.iter().any(|one| one.id == id)).collect();
            ensure!(with.len() >= count, "{} samples", with.len());
            Ok(with)
        })
        .await
    }
}

fn field(outcome: &Outcome, name: &str) -> Option<serde_json::Value> {
    serde_json::to_value(outcome.result.as_ref()?).ok()?.get(name).cloned()
}

// DM8
#[tokio::test]
async fn samples_come_while_they_are_asked_for() -> Result<()> {
    let stage = Stage::set(&[]).await?;
    let name = stage.engine.unique("sampled");
    let id: ContainerId = stage.engine.run(&name, Spec::default()).await?.id.parse()?;
    assert_eq!(stage.samples()?.len(), 0, "nobody wants them");
    stage.ask("01-1", Command::Stats { seconds: 300, interval: Some(1) }).await?;
    let outcomes = stage.ended("01-1").await?;
    let end = outcomes.last().context("an outcome")?;
    assert_eq!((end.state.clone(), field(end, "interval")), (Progress::Succeeded, Some(1.into())), "{end:?}");

    let samples = stage.samples_of(id, 3).await?;
    for two in samples.windows(2) {
        assert!(two[1].at - two[0].at >= 900, "{samples:?}");
        assert!(two[0].host.cpu < two[1].host.cpu && two[1].host.memory.is_some(), "{samples:?}");
    }
    stage.ask("01-2", Command::Cancel { jti: "01-1".into() }).await?;
    assert_eq!(stage.ended("01-2").await?.last().map(|end| end.state.clone()), Some(Progress::Succeeded));
    stage.ask("01-3", Command::Stats { seconds: 1, interval: Some(1) }).await?;
    let outcomes = stage.ended("01-3").await?;
    let until_wall = outcomes.last().and_then(|end| field(end, "until")?.as_i64()).context("an end")?;
    // The time is over, and nothing comes any more: what the next one would have been is past.
    until("the end of the time", DEADLINE, async || {
        let late = (wall_nanos() / 1_000_000 - until_wall - 1500).max(-1);
        if late >= 0 { Ok(()) } else { Err("not yet") }
    })
    .await?;
    assert!(stage.samples()?.iter().all(|stats| stats.at <= until_wall + 200), "{until_wall}");
    stage.ask("01-4", Command::Stats { seconds: 301, interval: None }).await?;
    let refused = stage.ended("01-4").await?;
    assert_eq!(refused.last().map(|outcome| outcome.state.clone()), Some(Progress::Refused));
    stage.engine.remove(&name).await
}

// DM8
#[tokio::test]
async fn samples_come_by_themselves_where_the_operator_wants_them() -> Result<()> {
    let stage = Stage::set(&[("AGENT_STATS_INTERVAL", "5s"), ("AGENT_COMMAND_KEY", "")]).await?;
    let (plain, shy) = (stage.engine.unique("plain"), stage.engine.unique("shy"));
    let id: ContainerId = stage.engine.run(&plain, Spec::default()).await?.id.parse()?;
    let hidden = Spec::default().label("radar.deny", "stats");
    let hidden: ContainerId = stage.engine.run(&shy, hidden).await?.id.parse()?;
    let samples = stage.samples_of(id, 2).await?;
    assert!(samples.iter().all(|stats| stats.containers.iter().all(|one| one.id != hidden)), "{samples:?}");
    stage.engine.remove(&plain).await?;
    stage.engine.remove(&shy).await
}

// DM12
#[tokio::test]
async fn an_image_is_pulled_with_credentials_that_nobody_else_sees() -> Result<()> {
    let room = tempfile::tempdir()?;
    let config = room.path().join("config.json");
    let stage =
        Stage::set(&[("AGENT_REGISTRY_CONFIG", &config.display().to_string()), ("AGENT_LOG_LEVEL", "debug")]).await?;
    let registry = Registry::with_password().await?;
    let image = registry.push(&stage.engine, &stage.engine.own_image("app").await?, "app:latest").await?;
    stage.engine.client()?.remove_image(&image, None::<RemoveImageOptions>, None).await?;
    let name = image.trim_end_matches(":latest");
    let auths = serde_json::json!({ "auths": { registry.host(): { "username": USER, "password": PASSWORD } } });
    std::fs::write(&config, auths.to_string())?;

    stage.ask("01-1", Command::Pull { image: name.into() }).await?;
    let outcomes = stage.ended("01-1").await?;
    let end = outcomes.last().context("an outcome")?;
    assert_eq!(end.state, Progress::Succeeded, "{end:?}");
    let told = stage.engine.client()?.inspect_image(&image).await?;
    assert_eq!(field(end, "image").and_then(|id| id.as_str().map(str::to_owned)), told.id);
    assert!(field(end, "digest").is_some_and(|digest| digest.to_string().contains("sha256:")), "{end:?}");
    for outcome in outcomes.iter().filter(|outcome| outcome.state == Progress::Progress) {
        assert!(field(outcome, "layers").is_some(), "{outcome:?}");
    }

    stage.ask("01-2", Command::Pull { image: name.into() }).await?;
    let again = stage.ended("01-2").await?;
    let reason = again.last().and_then(|outcome| outcome.reason.as_deref()).unwrap_or_default();
    assert!(reason.starts_with("unchanged"), "{again:?}");
    std::fs::write(&config, "{}")?;
    stage.ask("01-3", Command::Pull { image: format!("{name}:2").into() }).await?;
    let denied = stage.ended("01-3").await?;
    let reason = denied.last().and_then(|outcome| outcome.reason.as_deref()).unwrap_or_default();
    assert!(reason.starts_with("denied: "), "{denied:?}");

    let contains = |bytes: &[u8]| bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
    assert!(!contains(stage.agent.log().as_bytes()), "{}", stage.agent.log());
    assert!(stage.tap.seen().iter().all(|seen| !contains(&seen.payload)));
    for entry in std::fs::read_dir(stage.agent.data())? {
        let path = entry?.path();
        assert!(!path.is_file() || !contains(&std::fs::read(&path)?), "{}", path.display());
    }
    let seen = stage.broker.retained("radar/v1/pi/status").await?.context("its status")?;
    let status: Status = codec::decode(seen.content_type.as_deref(), &seen.payload)?;
    assert!(status.allows.contains(&"pull".into()));
    stage.engine.client()?.remove_image(&image, None::<RemoveImageOptions>, None).await?;
    Ok(())
}
