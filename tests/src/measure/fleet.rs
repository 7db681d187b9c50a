//! The bridge with a fleet of simulated agents: its memory, what it stores in a second, and how soon it
//! knows all of them after a restart. Broker, bridge and fleet share the processors of this host.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use radar_link::time::Clock;
use radar_wire::topic::Prefix;

use super::metrics::Metrics;
use super::plan::Plan;
use super::programs::{Bridge, Programs};
use super::report::{Figure, Goal, Report};
use super::sample::{bytes, mebibytes};
use super::usage::Cpu;
use crate::broker::{Broker, Options, Persistence};
use crate::fleet::{self, Fleet};
use crate::port;
use crate::process::{Launch, ProcStat, Process, directory};
use crate::wait::until;

const ALL_ONLINE: Duration = Duration::from_secs(120);
const SETTLE: Duration = Duration::from_secs(2);
const SNAPSHOTS: Duration = Duration::from_secs(30);
/// As the quick start sets it up.
const AUTOSAVE: &str = "autosave_interval 60\nmax_packet_size 2097152\n";

struct Yard {
    broker: Broker,
    fleet: Fleet,
    bridge: Bridge,
    port: u16,
    agents: u32,
}

pub(super) async fn measure(plan: &Plan, programs: &Programs, report: &mut Report) -> Result<()> {
    let options = Options {
        persistence: Persistence::Default,
        max_inflight: Some(1000),
        more: AUTOSAVE.to_owned(),
        ..Options::default()
    };
    let broker = Broker::open(&options).await?;
    let fleet = Fleet::start(fleet::Options {
        agents: plan.agents,
        containers: plan.simulated_containers,
        rate: 0,
        prefix: Prefix::default(),
        port: broker.port(),
        snapshot_interval: SNAPSHOTS,
    })?;
    let port = port::free()?;
    let bridge = programs.bridge(&[("MQTT_URL", broker.url()), ("BRIDGE_LISTEN", format!("127.0.0.1:{port}"))])?;
    let yard = Yard { broker, fleet, bridge, port, agents: plan.agents };
    yard.fleet.wait_online(plan.agents, ALL_ONLINE).await?;
    let from_nothing = yard.start_bridge().await?;
    tokio::time::sleep(SETTLE).await;
    let memory = yard.memory()?;
    let stored = yard.store(plan).await;
    report.add(memory.figure(plan, &yard.memory()?));
    yard.restart(plan, from_nothing, report).await?;
    let drained = yard.drain(plan).await?;
    report.add(stored?.figure(plan, drained));
    Ok(())
}

/// Memory of the bridge and of the broker.
struct Memory {
    bridge: u64,
    broker: u64,
}

impl Memory {
    fn figure(&self, plan: &Plan, loaded: &Self) -> Figure {
        Figure {
            name: format!("bridge: memory with {} agents online", plan.agents),
            unit: "MB",
            goal: Goal::AtMost(300.0),
            measured: bytes(self.bridge) / 1e6,
            baseline: Some(bytes(self.broker) / 1e6),
            how: format!(
                "Resident, {} containers each, all online; {:.0} MB after the load of the next line. Baseline: mosquitto, \
                 which holds the same agents' connections and retained messages.",
                plan.simulated_containers,
                bytes(loaded.bridge) / 1e6
            ),
        }
    }
}

/// What the bridge has made of the load.
struct Stored {
    offered: f64,
    per_second: f64,
    /// Seconds until the rest was stored.
    rest: f64,
    /// Processors in use by bridge, broker and simulation.
    shares: [f64; 3],
}

impl Stored {
    fn figure(&self, plan: &Plan, drained: f64) -> Figure {
        let [bridge, broker, simulation] = self.shares;
        Figure {
            name: format!("bridge: events stored per second, {} s", plan.stored.as_secs()),
            unit: "/s",
            goal: Goal::AtLeast(10_000.0),
            measured: self.per_second,
            baseline: Some(drained),
            how: format!(
                "Of {:.0}/s that the {} agents offered; the rest was stored {:.1} s after the end. Processors used: \
                 bridge {bridge:.2}, mosquitto {broker:.2}, simulation {simulation:.2}. Baseline: what mosquitto_sub took \
                 of the same load in the bridge's place.",
                self.offered, plan.agents, self.rest
            ),
        }
    }
}

impl Yard {
    fn memory(&self) -> Result<Memory> {
        let broker = self.broker.pid().context("the broker runs")?;
        Ok(Memory { bridge: ProcStat::read(self.bridge.pid()?)?.rss, broker: ProcStat::read(broker)?.rss })
    }

    /// Starts the bridge and returns the seconds until it shows all agents online.
    async fn start_bridge(&self) -> Result<f64> {
        let clock = Clock::start();
        self.bridge.start()?;
        let knows_all = until("the bridge to know all agents", ALL_ONLINE, async || {
            if let Err(ended) = self.bridge.check_running() {
                return Ok(Err(ended));
            }
            let metrics = Metrics::read(self.port).await?;
            let known = (metrics.value("radar_broker_connected")?, metrics.value("radar_agents_online")?);
            if known == (1.0, f64::from(self.agents)) { Ok(Ok(())) } else { bail!("(connected, online) is {known:?}") }
        });
        knows_all.await??;
        Ok(clock.now().mono.as_secs_f64())
    }

    /// Events per second that a plain subscriber takes of the load. It takes the session of the bridge, for
    /// which the broker would otherwise keep them all.
    async fn drain(&self, plan: &Plan) -> Result<f64> {
        let directory = directory("measure")?;
        let output = directory.join("messages");
        // One short line for each message, so that the size of the file counts them.
        self.bridge.terminate().await?;
        let launch = Launch::new("mosquitto_sub", &output)
            .args(["-h", "127.0.0.1", "-p", &self.broker.port().to_string()])
            .args(["-i", "radar-bridge-radar", "-q", "1", "-t", "radar/v1/+/event", "-F", "x"])
            .owns(&directory);
        let subscriber = Process::start(&launch).context("mosquitto_sub, of mosquitto-clients")?;
        let taken = || fs::metadata(&output).map(|file| file.len() / 2).context("the output of mosquitto_sub");
        self.fleet.set_rate(plan.rate);
        until(
            "mosquitto_sub to take events",
            ALL_ONLINE,
            async || {
                if taken()? > 0 { anyhow::Ok(()) } else { bail!("none") }
            },
        )
        .await?;
        tokio::time::sleep(SETTLE).await;
        let (clock, before) = (Clock::start(), taken()?);
        tokio::time::sleep(plan.drained).await;
        let drained = bytes(taken()? - before) / clock.now().mono.as_secs_f64();
        self.fleet.set_rate(0);
        self.fleet.wait_acknowledged(ALL_ONLINE).await?;
        subscriber.terminate();
        subscriber.wait_exit(ALL_ONLINE).await?;
        tracing::info!("mosquitto_sub took {drained:.0} events per second");
        Ok(drained)
    }

    /// Events per second that the bridge stores of the same load.
    async fn store(&self, plan: &Plan) -> Result<Stored> {
        let stored = async || Metrics::read(self.port).await?.value("radar_events_stored_total");
        let pids = [self.bridge.pid()?, self.broker.pid().context("the broker runs")?, std::process::id()];
        let at_rest = stored().await?;
        let happened = self.fleet.counts().happened;
        self.fleet.set_rate(plan.rate);
        tokio::time::sleep(SETTLE).await;
        let cpu = [Cpu::watch(pids[0])?, Cpu::watch(pids[1])?, Cpu::watch(pids[2])?];
        let (clock, offered, before) = (Clock::start(), self.fleet.counts().happened, stored().await?);
        tokio::time::sleep(plan.stored).await;
        let (after, seconds) = (stored().await?, clock.now().mono.as_secs_f64());
        let offered = bytes(self.fleet.counts().happened - offered) / seconds;
        self.fleet.set_rate(0);
        let share = |cpu: &Cpu| anyhow::Ok(cpu.used()?.as_secs_f64() / seconds);
        let shares = [share(&cpu[0])?, share(&cpu[1])?, share(&cpu[2])?];
        let rest = Clock::start();
        let all = bytes(self.fleet.counts().happened - happened);
        until("everything to be stored", ALL_ONLINE, async || {
            let behind = at_rest + all - stored().await?;
            if behind <= 0.0 { anyhow::Ok(()) } else { bail!("{behind} events are not stored") }
        })
        .await?;
        let rest = rest.now().mono.as_secs_f64();
        Ok(Stored { offered, per_second: (after - before) / seconds, rest, shares })
    }

    async fn restart(&self, plan: &Plan, from_nothing: f64, report: &mut Report) -> Result<()> {
        self.bridge.terminate().await?;
        let again = self.start_bridge().await?;
        report.add(Figure {
            name: format!("bridge: restart until it knows {} agents", plan.agents),
            unit: "s",
            goal: Goal::AtMost(10.0),
            measured: again,
            baseline: Some(from_nothing),
            how: format!(
                "From the start of the process until its metrics show all online and the broker connected; {:.0} MiB \
                 then. Baseline: the same with an empty data directory.",
                mebibytes(self.memory()?.bridge)
            ),
        });
        Ok(())
    }
}
