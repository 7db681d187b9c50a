//! The bridge's image.

use anyhow::{Context, Result, anyhow, ensure};
use bollard::models::HealthStatusEnum;
use radar_tests::broker::{Broker, Options};
use radar_tests::port;
use radar_tests::wait::until;
use radar_wire::status::Presence;
use serde_json::Value;

use crate::running::{DEADLINE, health, named, status, stop, tight, with_socket};
use crate::workshop::{AGENT, BRIDGE, COMMIT, docker, image};

// BD1
#[tokio::test]
async fn it_stores_on_its_volume_and_tells_its_health() -> Result<()> {
    let Some((engine, agent_image)) = image(AGENT).await? else { return Ok(()) };
    let Some((_, bridge_image)) = image(BRIDGE).await? else { return Ok(()) };
    let broker = Broker::open(&Options::default()).await?;
    let (name, agent, port) = (engine.unique("bridge"), engine.unique("agent"), port::free()?);
    let environment = [named(&broker), format!("BRIDGE_LISTEN=0.0.0.0:{port}"), "BRIDGE_API_LISTEN=off".to_owned()];
    engine.run(&name, tight(&bridge_image, &environment, |_| {})).await?;
    let found = health(&engine, &name, HealthStatusEnum::HEALTHY).await?;
    let pid = found.state.and_then(|state| state.pid).context("it runs")?;
    let process = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    assert!(process.contains("Uid:\t65532\t65532\t65532\t65532\n"), "{process}");
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/health")).await?;
    ensure!(answer.status() == 200, "{}", answer.text().await?);

    let environment = [named(&broker), format!("AGENT_ID={agent}")];
    engine.run(&agent, tight(&agent_image, &environment, |host| with_socket(&engine, host))).await?;
    status(&broker, &agent, Presence::Online).await?;
    let host = engine.host();
    until("the bridge to know the agent", DEADLINE, async || {
        let lines = docker(&host, &["exec", &name, "radar-bridge", "agents", "--json"]).await?;
        let mut known = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let known = known.any(|line| line["id"] == *agent && line["state"] == "online");
        if known { Ok(()) } else { Err(anyhow!(lines)) }
    })
    .await?;
    for program in ["radar-bridge", "radar"] {
        let said = docker(&host, &["exec", &name, program, "--version"]).await?;
        assert_eq!(said, format!("{program} {} ({COMMIT})\n", env!("CARGO_PKG_VERSION")));
    }

    broker.kill9().await?;
    health(&engine, &name, HealthStatusEnum::UNHEALTHY).await?;
    broker.start().await?;
    health(&engine, &name, HealthStatusEnum::HEALTHY).await?;
    assert_eq!(stop(&engine, &name).await?, Some(0));
    engine.remove(&name).await?;
    engine.remove(&agent).await
}
