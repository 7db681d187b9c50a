//! What it costs an agent to follow the log of a container that writes as fast as it can, and how much comes through.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use radar_link::jws::{SigningKey, sign};
use radar_link::time::Clock;
use radar_wire::codec::decode;
use radar_wire::command::{Claims, Command, LogChunk};

use super::plan::Plan;
use super::report::{Figure, Goal, Report};
use super::sample::{bytes, mebibytes};
use super::stage::{DEADLINE, Stage, Way, wait_snapshot};
use crate::broker::Seen;
use crate::clock::wall_nanos;
use crate::engine::{Engine, Spec};
use crate::process::ProcStat;

const AGENT: &str = "logged";

/// Between two looks at the agent's memory.
const LOOK: Duration = Duration::from_millis(100);

/// How long a plain reader takes the same log.
const RAW: Duration = Duration::from_secs(1);

pub(super) async fn measure(plan: &Plan, stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    tracing::info!("{} s of a noisy log", plan.noisy.as_secs());
    let line = "a line as programs write them when they are asked to tell everything, with a time and some words";
    let noisy = stage.engine.run(&stage.engine.unique("noisy"), Spec::shell(&format!("yes '{line}'"))).await?;
    let measured = follow(plan, stage, report, &noisy.name).await;
    stage.engine.remove(&noisy.name).await?;
    measured
}

async fn follow(plan: &Plan, stage: &Stage<'_>, report: &mut Report, noisy: &str) -> Result<()> {
    let snapshots = stage.broker.tap(&["radar/v1/logged/snapshot"]).await?;
    let chunks = stage.broker.tap(&["radar/v1/logged/log/+"]).await?;
    let key = SigningKey::generate()?;
    let settings = [("AGENT_COMMAND_KEY", key.public().to_string()), ("AGENT_ALLOW", "logs".to_owned())];
    let agent = stage.agent(AGENT, Way::Tls, &settings)?;
    wait_snapshot(&snapshots, &agent, AGENT, stage.engine.ids().await?.len()).await?;
    let raw = read_raw(&stage.engine, noisy).await?;
    let before = ProcStat::read(agent.pid())?;

    let cmd = Command::Logs {
        container: noisy.into(),
        tail: Some(0),
        since: None,
        until: None,
        timestamps: false,
        follow: true,
        limit: None,
    };
    let iat = wall_nanos() / 1_000_000_000;
    let (iss, sub, jti) = ("measure".to_owned(), "measure".to_owned(), "01-1".to_owned());
    let claims = Claims { iss, aud: AGENT.parse()?, sub, iat, exp: iat + 60, jti, cmd };
    stage.broker.publish_raw("radar/v1/logged/command", sign(&key, &claims)?, false).await?;
    chunks.wait_count(1, DEADLINE).await.with_context(|| agent.tail())?;
    let clock = Clock::start();
    let (mut resident, mut anonymous) = (before.rss, before.anonymous);
    while clock.now().mono < plan.noisy {
        tokio::time::sleep(LOOK).await;
        let now = ProcStat::read(agent.pid())?;
        (resident, anonymous) = (resident.max(now.rss), anonymous.max(now.anonymous));
    }
    let took = clock.now().mono.as_secs_f64();
    let through = text(&chunks.seen())?;

    for (name, before, most) in [("resident", before.rss, resident), ("anonymous", before.anonymous, anonymous)] {
        report.add(Figure {
            name: format!("log: {name} memory of the agent, added"),
            unit: "MiB",
            goal: Goal::AtMost(4.0),
            measured: mebibytes(most - before),
            baseline: Some(mebibytes(before)),
            how: format!(
                "The most of {took:.0} s in which one container writes as fast as it can, looked at ten times a second; \
                 with TLS. Baseline: the same agent before it followed anything."
            ),
        });
    }
    report.add(Figure {
        name: "log: text that comes through".to_owned(),
        unit: "MiB/s",
        goal: Goal::AtLeast(1.0),
        measured: mebibytes(through) / took,
        baseline: Some(raw),
        how: format!(
            "Over the same {took:.0} s, at a subscriber of the broker: 4 MiB at once, then no more than 1 MiB/s. Baseline: \
             what a plain reader at the engine's socket takes of the same log."
        ),
    });
    Ok(())
}

/// The bytes of text in chunks that must be whole.
fn text(seen: &[Seen]) -> Result<u64> {
    let mut size = 0;
    for (number, seen) in (0..).zip(seen) {
        let chunk: LogChunk = decode(seen.content_type.as_deref(), &seen.payload)?;
        ensure!(chunk.number == number && chunk.end.is_none(), "chunk {number} is {} {:?}", chunk.number, chunk.end);
        size += chunk.pieces.iter().map(|piece| piece.text.len() as u64).sum::<u64>();
    }
    Ok(size)
}

/// MiB in a second.
async fn read_raw(engine: &Engine, container: &str) -> Result<f64> {
    let options = LogsOptionsBuilder::new().stdout(true).follow(true).tail("0").build();
    let client = engine.client()?;
    let mut log = std::pin::pin!(client.logs(container, Some(options)));
    let (clock, mut size) = (Clock::start(), 0);
    let reading = async {
        while let Some(output) = log.next().await {
            size += output?.as_ref().len() as u64;
        }
        anyhow::Ok(())
    };
    if let Ok(ended) = tokio::time::timeout(RAW, reading).await {
        ended?;
    }
    Ok(bytes(size) / 1024.0 / 1024.0 / clock.now().mono.as_secs_f64())
}
