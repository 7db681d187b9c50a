//! The agent's image.

use anyhow::{Context, Result, anyhow, ensure};
use bollard::models::HealthStatusEnum;
use radar_tests::broker::{Broker, Options};
use radar_tests::wait::until;
use radar_wire::codec;
use radar_wire::snapshot::Snapshot;
use radar_wire::status::{Presence, Reason};

use crate::running::{DEADLINE, group, health, named, status, stop, tight, with_socket};
use crate::workshop::{AGENT, COMMIT, docker, image, log};

/// What an image may weigh.
const SIZE: i64 = 6_000_000;

// BD1
#[tokio::test]
async fn the_image_is_small_and_says_what_it_is() -> Result<()> {
    let Some((engine, image)) = image(AGENT).await? else { return Ok(()) };
    let found = engine.client()?.inspect_image(&image).await?;
    let size = found.size.context("a size")?;
    ensure!(size < SIZE, "{size} bytes");
    assert_eq!(found.architecture.as_deref(), Some("amd64"));
    let config = found.config.context("a configuration")?;
    assert_eq!(config.user.as_deref(), Some("65532:65532"));
    assert_eq!(config.entrypoint, Some(vec!["/radar-agent".to_owned()]));
    assert_eq!(config.volumes, Some(vec!["/var/lib/radar-agent".to_owned()]));
    let test = config.healthcheck.and_then(|check| check.test).unwrap_or_default();
    assert_eq!(test, ["CMD", "/radar-agent", "health"]);
    let labels = config.labels.unwrap_or_default();
    let label = |name: &str| labels.get(&format!("org.opencontainers.image.{name}")).map(String::as_str);
    assert_eq!(label("title"), Some("radar-agent"));
    assert_eq!(label("version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(label("revision"), Some(COMMIT));
    assert_eq!(label("licenses"), Some("MIT"));
    assert_eq!(label("source"), Some("https://radar.example/edge"));
    assert!(label("description").is_some_and(|text| !text.is_empty()));
    let said =
        docker(&engine.host(), &["run", "--rm", "--network", "none", "--read-only", &image, "--version"]).await?;
    assert_eq!(said, format!("radar-agent {} ({COMMIT})\n", env!("CARGO_PKG_VERSION")));
    Ok(())
}

// BD1
#[tokio::test]
async fn it_works_as_nobody_on_a_root_that_cannot_be_written() -> Result<()> {
    let Some((engine, image)) = image(AGENT).await? else { return Ok(()) };
    let broker = Broker::open(&Options::default()).await?;
    let name = engine.unique("agent");
    let environment = [named(&broker), format!("AGENT_ID={name}")];
    engine.run(&name, tight(&image, &environment, |host| with_socket(&engine, host))).await?;
    let online = status(&broker, &name, Presence::Online).await?;
    assert_eq!(online.agent.commit.as_deref(), Some(COMMIT));
    until("the first snapshot", DEADLINE, async || {
        let seen = broker.retained(&format!("radar/v1/{name}/snapshot")).await?.context("no snapshot")?;
        let told: Snapshot = codec::decode(seen.content_type.as_deref(), &seen.payload)?;
        let own = told.complete && told.containers.iter().any(|container| *container.name == *name);
        if own { Ok(()) } else { Err(anyhow!("{told:?}")) }
    })
    .await?;
    let found = health(&engine, &name, HealthStatusEnum::HEALTHY).await?;
    let pid = found.state.and_then(|state| state.pid).context("it runs")?;
    let process = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    assert!(process.contains("Uid:\t65532\t65532\t65532\t65532\n"), "{process}");
    assert!(process.contains("CapEff:\t0000000000000000\n") && process.contains("NoNewPrivs:\t1\n"), "{process}");

    assert_eq!(stop(&engine, &name).await?, Some(0));
    let offline = status(&broker, &name, Presence::Offline).await?;
    assert_eq!(offline.reason, Reason::Stop);
    // Its id and its cursor are on the volume, so it is the same one again.
    engine.start_container(&name).await?;
    let again = status(&broker, &name, Presence::Online).await?;
    assert!(again.session > online.session);
    let log = log(&engine.host(), &name).await?;
    ensure!(!log.is_empty() && !log.contains("memory only") && !log.contains("DATA_DIR"), "{log}");
    engine.remove(&name).await
}

// BD1
#[tokio::test]
async fn without_the_group_of_the_socket_it_says_which_one_to_add() -> Result<()> {
    let Some((engine, image)) = image(AGENT).await? else { return Ok(()) };
    let broker = Broker::open(&Options::default()).await?;
    let name = engine.unique("agent");
    let environment = [named(&broker), format!("AGENT_ID={name}")];
    let spec = tight(&image, &environment, |host| {
        with_socket(&engine, host);
        host.group_add = None;
    });
    engine.run(&name, spec).await?;
    status(&broker, &name, Presence::Online).await?;
    let sentence = format!("in Compose `group_add: [\"{}\"]`", group(&engine)?);
    let host = engine.host();
    until("the agent to say which group", DEADLINE, async || {
        let log = log(&host, &name).await?;
        if log.contains(&sentence) { Ok(()) } else { Err(anyhow!(log)) }
    })
    .await?;
    engine.remove(&name).await
}
