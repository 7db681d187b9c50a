//! Simulated agents that speak the real contract: each has an MQTT connection and a last will of its own,
//! is born, publishes snapshots and numbered events, and answers when the bridge asks again. What an agent
//! does is decided by a pure core (`agent`); the connections only carry it. There is no engine and no
//! host behind them, and nothing here measures anything.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use radar_wire::topic::Prefix;
use tokio::sync::watch;

mod agent;
mod connection;
mod containers;
mod owner;

/// How long all goodbyes together may take.
const GOODBYES: Duration = Duration::from_secs(20);

/// What fleet is to be simulated.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many agents, each with a connection of its own.
    pub agents: u32,
    /// How many containers each of them has.
    pub containers: u16,
    /// Events per second of all agents together, once all of them are online.
    pub rate: u32,
    /// What all topics start with.
    pub prefix: Prefix,
    /// The broker's port on loopback.
    pub port: u16,
    /// The shortest time between two snapshots of an agent on which something changes.
    pub snapshot_interval: Duration,
}

/// What a fleet has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Agents that are connected and whose birth and first snapshot the broker has acknowledged.
    pub online: u32,
    /// Connections beyond the first of each agent.
    pub reconnects: u64,
    /// Events that happened, whether published or not.
    pub happened: u64,
    /// Events handed to a connection, with those that an outage made necessary again.
    pub published: u64,
    /// Events that the broker has acknowledged, in their first transmission.
    pub acknowledged: u64,
    /// Snapshots handed to a connection.
    pub snapshots: u64,
    /// Events published again because the bridge asked for them.
    pub resent: u64,
    /// Gaps published, for what an agent no longer had.
    pub gaps: u64,
}

/// What a running fleet is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Orders {
    rate: u32,
    stop: bool,
}

/// A running fleet. Dropping it tears every connection down, so that all last wills fire.
#[derive(Debug)]
pub struct Fleet {
    orders: watch::Sender<Orders>,
    counts: watch::Receiver<Counts>,
}

impl Fleet {
    /// Starts the agents on a thread of their own and returns at once.
    pub fn start(options: Options) -> Result<Self> {
        if options.agents == 0 || options.containers == 0 {
            bail!("a fleet has at least one agent with at least one container");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("the fleet's runtime")?;
        let (orders, told) = watch::channel(Orders { rate: options.rate, stop: false });
        let (report, counts) = watch::channel(Counts::default());
        let run = move || runtime.block_on(owner::run(&options, told, &report));
        // The thread ends when `orders` is dropped.
        std::thread::Builder::new().name("fleet".to_owned()).spawn(run).context("the fleet's thread")?;
        Ok(Self { orders, counts })
    }

    /// What was done so far; up to date within some milliseconds.
    pub fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Changes the events per second.
    pub fn set_rate(&self, rate: u32) {
        self.orders.send_modify(|orders| orders.rate = rate);
    }

    /// Waits until so many agents are online.
    pub async fn wait_online(&self, agents: u32, deadline: Duration) -> Result<()> {
        self.wait("agents online", deadline, |counts| counts.online >= agents).await
    }

    /// Waits until the broker has acknowledged every event that happened.
    pub async fn wait_acknowledged(&self, deadline: Duration) -> Result<()> {
        self.wait("all events acknowledged", deadline, |counts| counts.acknowledged >= counts.happened).await
    }

    /// Lets every agent say `offline` and goodbye, and returns what was done in all.
    pub async fn stop(self) -> Result<Counts> {
        self.orders.send_modify(|orders| orders.stop = true);
        let mut counts = self.counts.clone();
        let ending = async { while counts.changed().await.is_ok() {} };
        tokio::time::timeout(GOODBYES, ending).await.context("the agents did not end in time")?;
        Ok(self.counts())
    }

    async fn wait(&self, what: &str, deadline: Duration, reached: impl Fn(&Counts) -> bool) -> Result<()> {
        let mut counts = self.counts.clone();
        match tokio::time::timeout(deadline, counts.wait_for(|counts| reached(counts))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => bail!("the fleet ended"),
            Err(_) => bail!("waited {deadline:?} for {what}; {:?}", self.counts()),
        }
    }
}
