//! Simulates a fleet of agents against a broker on loopback, for a bounded time.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use radar_link::logging::{self, Format};
use radar_tests::fleet::{Fleet, Options};
use radar_tests::limits;
use radar_wire::topic::Prefix;

/// Simulated agents that speak the real contract, each over a connection of its own.
#[derive(Debug, Parser)]
#[command(name = "fleet", version)]
struct Arguments {
    /// How many agents.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    agents: u32,
    /// Containers of each.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    containers: u16,
    /// Events per second of all agents together, once all are online.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    rate: u32,
    /// How long they go on once all are online.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// The broker, on this host.
    #[arg(long, default_value = "mqtt://127.0.0.1:1883")]
    url: String,
    /// What all topics start with.
    #[arg(long, default_value = Prefix::DEFAULT)]
    prefix: Prefix,
    /// The shortest time between two snapshots of an agent, in seconds.
    #[arg(long, default_value_t = 30)]
    snapshot_interval: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    limits::ensure_open_files(u64::from(arguments.agents) + 64)?;
    logging::start(Format::Text, "info", true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime")?.block_on(run(&arguments))
}

#[expect(clippy::print_stdout, reason = "the counts are what this program is run for")]
async fn run(arguments: &Arguments) -> Result<()> {
    let fleet = Fleet::start(Options {
        agents: arguments.agents,
        containers: arguments.containers,
        rate: arguments.rate,
        prefix: arguments.prefix.clone(),
        port: port(&arguments.url)?,
        snapshot_interval: Duration::from_secs(arguments.snapshot_interval),
    })?;
    fleet.wait_online(arguments.agents, Duration::from_secs(300)).await?;
    tracing::info!("{} agents online", arguments.agents);
    for second in 1..=arguments.seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if second % 10 == 0 {
            tracing::info!("{:?}", fleet.counts());
        }
    }
    fleet.set_rate(0);
    if let Err(error) = fleet.wait_acknowledged(Duration::from_secs(30)).await {
        tracing::warn!("not everything arrived at the broker: {error:#}");
    }
    let counts = fleet.stop().await?;
    for (what, count) in [
        ("happened", counts.happened),
        ("published", counts.published),
        ("acknowledged", counts.acknowledged),
        ("resent", counts.resent),
        ("gaps", counts.gaps),
        ("snapshots", counts.snapshots),
        ("reconnects", counts.reconnects),
    ] {
        println!("{what:<14}{count:>12}");
    }
    Ok(())
}

fn port(url: &str) -> Result<u16> {
    let address = url.strip_prefix("mqtt://").context("the broker's address starts with mqtt://")?;
    let (host, port) = address.trim_end_matches('/').split_once(':').unwrap_or((address, "1883"));
    if !matches!(host, "127.0.0.1" | "localhost") {
        bail!("`{host}` is not this host: a simulated fleet only ever loads a broker on 127.0.0.1");
    }
    port.parse().with_context(|| format!("`{port}` is not a port"))
}
