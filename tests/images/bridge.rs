//! The bridge's image. That of arm64 is built for the tests anyway, so it is the one that runs, by an emulator that is
//! put into the container; that of amd64 does so as it is.

use anyhow::{Context, Result, anyhow, ensure};
use bollard::models::HealthStatusEnum;
use radar_tests::broker::{Broker, Options};
use radar_tests::port;
use radar_tests::wait::until;
use radar_wire::status::Presence;
use serde_json::Value;

use crate::running::{DEADLINE, health, named, status, stop, tight, with_socket};
use crate::workshop::{AGENT, ARM64_BRIDGE, BRIDGE, COMMIT, Kind, docker, image};

const PROGRAM: &str = "/radar-bridge";

// BD1
#[tokio::test]
async fn it_stores_on_its_volume_and_tells_its_health() -> Result<()> {
    works(ARM64_BRIDGE, Some("/usr/bin/qemu-aarch64-static")).await
}

// BD1
#[tokio::test]
#[ignore = "two more minutes of compiling: cargo test -p radar-tests --test images -- --ignored"]
async fn that_of_amd64_does_so_as_it_is_released() -> Result<()> {
    works(BRIDGE, None).await
}

async fn works(bridge: Kind, emulator: Option<&str>) -> Result<()> {
    let Some((engine, agent_image)) = image(AGENT).await? else { return Ok(()) };
    let Some((_, bridge_image)) = image(bridge).await? else { return Ok(()) };
    let config = engine.client()?.inspect_image(&bridge_image).await?.config.context("a configuration")?;
    assert_eq!(config.user.as_deref(), Some("65532:65532"));
    assert_eq!(config.entrypoint, Some(vec![PROGRAM.to_owned()]));
    assert_eq!(config.volumes, Some(vec!["/var/lib/radar-bridge".to_owned()]));
    let question = config.healthcheck.and_then(|check| check.test).unwrap_or_default();
    assert_eq!(question, ["CMD", PROGRAM, "health"]);
    let labels = config.labels.unwrap_or_default();
    assert_eq!(labels.get("org.opencontainers.image.title").map(String::as_str), Some("radar-bridge"));
    assert_eq!(labels.get("org.opencontainers.image.revision").map(String::as_str), Some(COMMIT));

    let broker = Broker::open(&Options::default()).await?;
    let (name, agent, port) = (engine.unique("bridge"), engine.unique("agent"), port::free()?);
    let environment = [named(&broker), format!("BRIDGE_LISTEN=0.0.0.0:{port}"), "BRIDGE_API_LISTEN=off".to_owned()];
    let spec = tight(&bridge_image, &environment, |host| {
        host.binds = emulator.map(|file| vec![format!("{file}:/emulator:ro")]);
    });
    let spec = spec.adjust(|body| {
        if emulator.is_some() {
            body.entrypoint = Some(vec!["/emulator".to_owned(), PROGRAM.to_owned()]);
            let question = ["CMD", "/emulator", PROGRAM, "health"].map(str::to_owned).to_vec();
            body.healthcheck.as_mut().into_iter().for_each(|check| check.test = Some(question.clone()));
        }
    });
    engine.run(&name, spec).await?;
    let found = health(&engine, &name, HealthStatusEnum::HEALTHY).await?;
    let pid = found.state.and_then(|state| state.pid).context("it runs")?;
    let process = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    assert!(process.contains("Uid:\t65532\t65532\t65532\t65532\n"), "{process}");
    radar_link::mqtt::tls::install_provider();
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/health")).await?;
    ensure!(answer.status() == 200, "{}", answer.text().await?);

    let environment = [named(&broker), format!("AGENT_ID={agent}")];
    engine.run(&agent, tight(&agent_image, &environment, |host| with_socket(&engine, host))).await?;
    status(&broker, &agent, Presence::Online).await?;
    let host = engine.host();
    let ask = async |program: &str, arguments: &[&str]| {
        let words = emulator.map(|_| "/emulator").into_iter().chain([program]).chain(arguments.iter().copied());
        docker(&host, &["exec", &name].into_iter().chain(words).collect::<Vec<_>>()).await
    };
    until("the bridge to know the agent", DEADLINE, async || {
        let lines = ask(PROGRAM, &["agents", "--json"]).await?;
        let mut known = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let known = known.any(|line| line["id"] == *agent && line["state"] == "online");
        if known { Ok(()) } else { Err(anyhow!(lines)) }
    })
    .await?;
    for program in ["radar-bridge", "radar"] {
        let said = ask(&format!("/{program}"), &["--version"]).await?;
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
