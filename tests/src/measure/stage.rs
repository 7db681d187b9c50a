//! What the parts with a real engine share: the engine with its containers, and a broker.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use radar_wire::codec::decode;
use radar_wire::snapshot::Snapshot;

use super::plan::Plan;
use super::programs::Programs;
use crate::broker::{Broker, Options, Seen, Tap};
use crate::engine::{Container, Engine, Spec};
use crate::process::Process;

/// Containers that the engine starts or makes at the same time.
const AT_ONCE: usize = 4;

pub(super) const DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct Stage<'a> {
    pub(super) engine: Engine,
    pub(super) broker: Broker,
    pub(super) containers: Vec<Container>,
    pub(super) programs: &'a Programs,
}

/// How an agent reaches the broker.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Tls,
    Plain(u16),
}

impl<'a> Stage<'a> {
    pub(super) async fn set(plan: &Plan, programs: &'a Programs) -> Result<Self> {
        let broker = Broker::open(&Options { tls: true, max_inflight: Some(1000), ..Options::default() }).await?;
        let engine = Engine::start().await?;
        let start = |_| async { engine.run(&engine.unique("idle"), Spec::default()).await };
        let containers = stream::iter(0..plan.containers).map(start).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(Self { engine, broker, containers, programs })
    }

    /// Adds containers that were never started.
    pub(super) async fn add_created(&self, count: usize) -> Result<()> {
        let create = |_| async { self.engine.create(&self.engine.unique("created"), Spec::default()).await };
        stream::iter(0..count).map(create).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await.map(drop)
    }

    /// Starts an agent on the engine.
    pub(super) fn agent(&self, id: &str, way: Way, more: &[(&str, String)]) -> Result<Process> {
        let mut settings = vec![("AGENT_ID", id.to_owned()), ("DOCKER_HOST", self.engine.host())];
        match way {
            Way::Plain(port) => settings.push(("MQTT_URL", format!("mqtt://127.0.0.1:{port}"))),
            Way::Tls => {
                let certificates = self.broker.certificates().context("the broker has certificates")?;
                settings.push(("MQTT_URL", self.broker.tls_url().context("the broker speaks TLS")?));
                settings.push(("MQTT_CA_FILE", certificates.ca().display().to_string()));
            }
        }
        settings.extend_from_slice(more);
        self.programs.agent(&settings)
    }
}

/// Waits for a snapshot of an agent that lists so many containers.
pub(super) async fn wait_snapshot(tap: &Tap, agent: &Process, id: &str, containers: usize) -> Result<Seen> {
    let topic = format!("radar/v1/{id}/snapshot");
    let wanted = |seen: &Seen| {
        seen.topic == topic
            && decode::<Snapshot>(seen.content_type.as_deref(), &seen.payload)
                .is_ok_and(|snapshot| snapshot.complete && snapshot.containers.len() == containers)
    };
    let waited = tap.wait_for("an agent's first complete snapshot", DEADLINE, wanted).await;
    waited.with_context(|| format!("the agent's log ends with:\n{}", agent.tail()))
}
