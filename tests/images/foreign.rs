//! Other processors: what was compiled for them runs under emulation, beside a real broker and a real engine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::{Engine, Spec};
use radar_tests::process::{self, Launch, Process};
use radar_tests::wait::until;
use radar_tests::{port, programs};
use radar_wire::codec;
use radar_wire::snapshot::Snapshot;
use radar_wire::status::Presence;
use serde_json::Value;

use crate::running::{DEADLINE, named, status};
use crate::workshop::{ARM64_AGENT, ARM64_BRIDGE, ARMV7_AGENT, ARMV7_BRIDGE, COMMIT, Kind, docker, image};

// BD1
#[tokio::test]
async fn what_is_built_for_arm64_runs() -> Result<()> {
    runs(ARM64_AGENT, ARM64_BRIDGE, "arm64", "qemu-aarch64-static").await
}

// BD1
#[tokio::test]
#[ignore = "as long as arm64 again, and Debian gives the parts not always: cargo test -p radar-tests --test images -- --ignored"]
async fn what_is_built_for_armv7_runs() -> Result<()> {
    runs(ARMV7_AGENT, ARMV7_BRIDGE, "arm", "qemu-arm-static").await
}

async fn runs(agent: Kind, bridge: Kind, architecture: &str, emulator: &str) -> Result<()> {
    let Some((engine, agent_image)) = image(agent).await? else { return Ok(()) };
    let Some((_, bridge_image)) = image(bridge).await? else { return Ok(()) };
    let directory = process::directory("foreign")?;
    for (image, program) in [(&agent_image, "radar-agent"), (&bridge_image, "radar-bridge"), (&bridge_image, "radar")] {
        let found = engine.client()?.inspect_image(image).await?;
        assert_eq!(found.architecture.as_deref(), Some(architecture));
        let file = taken(&engine, image, program, &directory).await?;
        let said = programs::by_hand(emulator).arg(&file).arg("--version").output().await?;
        let version = format!("{program} {} ({COMMIT})\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8_lossy(&said.stdout), version, "{}", String::from_utf8_lossy(&said.stderr));
    }

    let broker = Broker::open(&Options::default()).await?;
    let container = engine.run(&engine.unique("seen"), Spec::default()).await?;
    let variables = |data: &str| {
        vec![
            ("DATA_DIR".to_owned(), directory.join(data).display().to_string()),
            ("MQTT_URL".to_owned(), named(&broker).replace("MQTT_URL=", "")),
        ]
    };
    let start = |program: &str, variables: &[(String, String)]| {
        let launch = Launch::new(emulator, directory.join("log")).args([directory.join(program)]);
        Process::start(&variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value)))
    };
    let mut of_bridge = variables("bridge");
    of_bridge.push(("BRIDGE_LISTEN".to_owned(), format!("127.0.0.1:{}", port::free()?)));
    of_bridge.push(("BRIDGE_API_LISTEN".to_owned(), "off".to_owned()));
    let bridge = start("radar-bridge", &of_bridge)?;
    let name = engine.unique("foreign");
    let mut of_agent = variables("agent");
    of_agent.push(("DOCKER_HOST".to_owned(), engine.host()));
    of_agent.push(("AGENT_ID".to_owned(), name.clone()));
    let agent = start("radar-agent", &of_agent)?;

    let online = status(&broker, &name, Presence::Online).await.with_context(|| agent.tail())?;
    assert_eq!(&*online.agent.arch, if architecture == "arm" { "arm" } else { "aarch64" });
    until("the first snapshot", DEADLINE, async || {
        let seen = broker.retained(&format!("radar/v1/{name}/snapshot")).await?.context("no snapshot")?;
        let told: Snapshot = codec::decode(seen.content_type.as_deref(), &seen.payload)?;
        let there = told.complete && told.containers.iter().any(|one| *one.name == *container.name);
        if there { Ok(()) } else { Err(anyhow!("{told:?}")) }
    })
    .await?;
    let ask = async |program: &str, word: &[&str], variables: &[(String, String)]| {
        let mut command = programs::by_hand(emulator);
        command.arg(directory.join(program)).args(word).envs(variables.iter().cloned());
        let output = command.output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{program}: {said}{}", String::from_utf8_lossy(&output.stderr));
        Ok(said)
    };
    until("the bridge to list it", DEADLINE, async || {
        let lines = ask("radar-bridge", &["agents", "--json"], &of_bridge).await?;
        let mut known = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if known.any(|line| line["id"] == *name && line["state"] == "online") { Ok(()) } else { Err(anyhow!(lines)) }
    })
    .await
    .with_context(|| bridge.tail())?;
    ask("radar-bridge", &["health"], &of_bridge).await?;
    ask("radar-agent", &["health"], &of_agent).await?;
    agent.terminate();
    assert_eq!(agent.wait_exit(DEADLINE).await?, 0);
    status(&broker, &name, Presence::Offline).await?;
    bridge.terminate();
    assert_eq!(bridge.wait_exit(DEADLINE).await?, 0);
    engine.remove(&container.id).await?;
    std::fs::remove_dir_all(&directory).context("the programs' directory")
}

/// A program out of an image.
async fn taken(engine: &Engine, image: &str, program: &str, to: &Path) -> Result<PathBuf> {
    let (host, name) = (engine.host(), engine.unique("taken"));
    docker(&host, &["create", "--network", "none", "--name", &name, image]).await?;
    let file = to.join(program);
    docker(&host, &["cp", &format!("{name}:/{program}"), &file.display().to_string()]).await?;
    engine.remove(&name).await?;
    Ok(file)
}
