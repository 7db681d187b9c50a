//! The bridge with a fleet of simulated agents: its memory, what it stores in a second, and how soon it
//! knows all of them after a restart. Broker, bridge and fleet share the processors of this host.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use radar_link::time::Clock;
use radar_wire::topic::Prefix;

use super::metrics::Metrics;
use super::plan::Plan;
use super::programs::{Bridge, Programs};
use super::report::{Figure, Goal, Report};
use super::sample::bytes;
use super::usage::{Cpu, busy};
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
    let from_nothing = yard.first_start().await?;
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
    /// Processors in use by bridge, broker, simulation, and whatever else runs on this host.
    shares: [f64; 4],
}

impl Stored {
    fn figure(&self, plan: &Plan, drained: f64) -> Figure {
        let [bridge, broker, simulation, others] = self.shares;
        Figure {
            name: format!("bridge: events stored per second, {} s", plan.stored.as_secs()),
            unit: "/s",
            goal: Goal::AtLeast(10_000.0),
            measured: self.per_second,
            baseline: Some(drained),
            how: format!(
                "Of {:.0}/s that the {} agents offered; the rest was stored {:.1} s after the end. Processors used: \
                 bridge {bridge:.2}, mosquitto {broker:.2}, simulation {simulation:.2}, others {others:.2}. Baseline: what mosquitto_sub took \
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

    /// Starts the bridge with nothing, and returns the seconds until it has stored what every agent runs.
    async fn first_start(&self) -> Result<f64> {
        let clock = Clock::start();
        self.bridge.start()?;
        self.wait_known(0.0).await?;
        until("the containers of all agents", ALL_ONLINE, async || {
            let listed = self.bridge.agents().await?;
            let known = listed.lines().filter(|line| line.contains("\"containers\":{")).count();
            if known == self.agents as usize { Ok(()) } else { bail!("those of {known} agents are known") }
        })
        .await?;
        Ok(clock.now().mono.as_secs_f64())
    }

    /// Waits until the bridge shows all agents online and has stored so many events since its start.
    async fn wait_known(&self, events: f64) -> Result<()> {
        let known = until("the bridge to know all agents", ALL_ONLINE, async || {
            if let Err(ended) = self.bridge.check_running() {
                return Ok(Err(ended));
            }
            let metrics = Metrics::read(self.port).await?;
            let connected = metrics.value("radar_broker_connected")? > 0.0;
            let online = metrics.value("radar_agents_online")?;
            let stored = metrics.value("radar_events_stored_total")?;
            if connected && online == f64::from(self.agents) && stored >= events {
                Ok(Ok(()))
            } else {
                bail!("connected: {connected}, {online} online, {stored} events stored")
            }
        });
        known.await?
    }

    /// Events per second that a plain subscriber takes of the load. It takes the session of the bridge, for
    /// which the broker would otherwise keep them all.
    async fn drain(&self, plan: &Plan) -> Result<f64> {
        self.bridge.terminate().await?;
        let subscriber = self.subscriber(&["-i", "radar-bridge-radar", "-t", "radar/v1/+/event"])?;
        self.fleet.set_rate(plan.rate);
        until("mosquitto_sub to take events", ALL_ONLINE, async || {
            if subscriber.taken()? > 0 { anyhow::Ok(()) } else { bail!("none") }
        })
        .await?;
        tokio::time::sleep(SETTLE).await;
        let (clock, before) = (Clock::start(), subscriber.taken()?);
        tokio::time::sleep(plan.drained).await;
        let drained = bytes(subscriber.taken()? - before) / clock.now().mono.as_secs_f64();
        self.fleet.set_rate(0);
        self.fleet.wait_acknowledged(ALL_ONLINE).await?;
        subscriber.end().await?;
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
        let busy_before = busy()?;
        let (clock, offered, before) = (Clock::start(), self.fleet.counts().happened, stored().await?);
        tokio::time::sleep(plan.stored).await;
        let (after, seconds) = (stored().await?, clock.now().mono.as_secs_f64());
        let offered = bytes(self.fleet.counts().happened - offered) / seconds;
        self.fleet.set_rate(0);
        let share = |cpu: &Cpu| anyhow::Ok(cpu.used()?.as_secs_f64() / seconds);
        let [bridge, broker, simulation] = [share(&cpu[0])?, share(&cpu[1])?, share(&cpu[2])?];
        let all = (busy()? - busy_before).as_secs_f64() / seconds;
        let shares = [bridge, broker, simulation, (all - bridge - broker - simulation).max(0.0)];
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

    /// Starts the bridge again, after something has happened at every agent while it was away.
    async fn restart(&self, plan: &Plan, from_nothing: f64, report: &mut Report) -> Result<()> {
        let retained = self.retained().await?;
        self.bridge.terminate().await?;
        let before = self.fleet.counts().happened;
        self.fleet.set_rate(self.agents);
        until("an event of every agent", ALL_ONLINE, async || {
            let happened = self.fleet.counts().happened - before;
            if happened >= u64::from(self.agents) { Ok(()) } else { Err(happened) }
        })
        .await?;
        self.fleet.set_rate(0);
        self.fleet.wait_acknowledged(ALL_ONLINE).await?;
        let happened = bytes(self.fleet.counts().happened - before);
        let clock = Clock::start();
        self.bridge.start()?;
        self.wait_known(happened).await?;
        report.add(Figure {
            name: format!("bridge: restart until it knows {} agents", plan.agents),
            unit: "s",
            goal: Goal::AtMost(10.0),
            measured: clock.now().mono.as_secs_f64(),
            baseline: Some(retained),
            how: format!(
                "From the start of the process until all are online and it has stored an event of each that happened \
                 while it was away; {:.0} MB then. With an empty data directory it has all snapshots after \
                 {from_nothing:.1} s. Baseline: mosquitto_sub with the retained messages of all agents.",
                bytes(self.memory()?.bridge) / 1e6
            ),
        });
        Ok(())
    }

    /// Seconds until a plain subscriber has the retained messages of all agents.
    async fn retained(&self) -> Result<f64> {
        let clock = Clock::start();
        let subscriber = self.subscriber(&["-t", "radar/v1/+/status", "-t", "radar/v1/+/snapshot"])?;
        until("mosquitto_sub to have the retained messages", ALL_ONLINE, async || {
            let taken = subscriber.taken()?;
            if taken >= 2 * u64::from(self.agents) { Ok(()) } else { bail!("{taken} came") }
        })
        .await?;
        let taken = clock.now().mono.as_secs_f64();
        subscriber.end().await?;
        Ok(taken)
    }

    fn subscriber(&self, arguments: &[&str]) -> Result<Subscriber> {
        let directory = directory("measure")?;
        let output = directory.join("messages");
        // One short line for each message, so that the size of the file counts them.
        let launch = Launch::new("mosquitto_sub", &output)
            .args(["-h", "127.0.0.1", "-p", &self.broker.port().to_string(), "-q", "1", "-F", "x"])
            .args(arguments.iter().copied())
            .owns(&directory);
        let process = Process::start(&launch).context("mosquitto_sub, of mosquitto-clients")?;
        Ok(Subscriber { process, output })
    }
}

/// A plain subscriber that counts what it gets.
struct Subscriber {
    process: Process,
    output: PathBuf,
}

impl Subscriber {
    fn taken(&self) -> Result<u64> {
        fs::metadata(&self.output).map(|file| file.len() / 2).context("the output of mosquitto_sub")
    }

    async fn end(self) -> Result<()> {
        self.process.terminate();
        self.process.wait_exit(ALL_ONLINE).await.map(drop)
    }
}
