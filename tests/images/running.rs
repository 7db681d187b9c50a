//! How the images are run: as tightly as the README says.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bollard::models::{ContainerInspectResponse, HealthConfig, HealthStatusEnum, HostConfig};
use radar_tests::broker::Broker;
use radar_tests::engine::{Engine, Spec};
use radar_tests::wait::until;
use radar_wire::codec;
use radar_wire::status::{Presence, Status};

/// How long anything may take that takes a second on an idle machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// Nobody's rights, nothing to write to but the volume.
pub(crate) fn tight(image: &str, environment: &[String], change: impl FnOnce(&mut HostConfig)) -> Spec {
    let mut host = HostConfig {
        network_mode: Some("host".to_owned()),
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        ..HostConfig::default()
    };
    change(&mut host);
    let environment = environment.to_vec();
    Spec::default().adjust(|body| {
        body.image = Some(image.to_owned());
        body.cmd = None;
        body.stop_signal = None;
        body.env = Some(environment);
        // The image's question, asked more often.
        body.healthcheck =
            Some(HealthConfig { interval: Some(1_000_000_000), retries: Some(1), ..HealthConfig::default() });
        body.host_config = Some(host);
    })
}

/// The engine's socket where the agent looks for one, and the group that may open it.
pub(crate) fn with_socket(engine: &Engine, host: &mut HostConfig) {
    host.binds = Some(vec![format!("{}:/var/run/docker.sock", engine.socket().display())]);
    host.group_add = group(engine).ok().map(|group| vec![group]);
}

/// The group of the engine's socket.
pub(crate) fn group(engine: &Engine) -> Result<String> {
    Ok(std::fs::metadata(engine.socket()).context("the engine's socket")?.gid().to_string())
}

/// By name, since an image without a system has to find names too.
pub(crate) fn named(broker: &Broker) -> String {
    format!("MQTT_URL=mqtt://localhost:{}", broker.port())
}

/// Waits until the engine has asked the image's question, and got this answer.
pub(crate) async fn health(engine: &Engine, name: &str, wanted: HealthStatusEnum) -> Result<ContainerInspectResponse> {
    until(&format!("{name} to be {wanted}"), DEADLINE, async || {
        let found = engine.inspect(name).await?;
        let state = found.state.clone().unwrap_or_default();
        match state.health {
            Some(health) if health.status == Some(wanted) => Ok(found),
            other => Err(anyhow!("{:?} {:?}: {other:?}", state.status, state.error)),
        }
    })
    .await
}

/// Waits for this presence at the broker.
pub(crate) async fn status(broker: &Broker, agent: &str, wanted: Presence) -> Result<Status> {
    let topic = format!("radar/v1/{agent}/status");
    until(&format!("{agent} to be {wanted:?}"), DEADLINE, async || {
        let seen = broker.retained(&topic).await?.context("no status")?;
        let status: Status = codec::decode(seen.content_type.as_deref(), &seen.payload)?;
        if status.state == wanted { Ok(status) } else { Err(anyhow!("{status:?}")) }
    })
    .await
}

/// Stops a container; its exit code.
pub(crate) async fn stop(engine: &Engine, name: &str) -> Result<Option<i64>> {
    engine.stop(name).await?;
    Ok(engine.inspect(name).await?.state.and_then(|state| state.exit_code))
}
