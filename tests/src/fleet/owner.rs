//! The owner of all simulated agents: one loop that lets things happen on their hosts at the rate that is
//! asked for, hands what came over the connections to the cores, and publishes what these want.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use radar_link::time::{Clock, Now};
use radar_wire::topic::{AgentId, Prefix};
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PublishProperties;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::agent::{Agent, Kind};
use super::connection::{Heard, Line};
use super::{Counts, Options, Orders};

/// How many agents connect at the same time: Mosquitto's listener queues about a hundred.
const TURNS: usize = 64;
/// Notes of the connections that wait for the owner; a connection whose note finds no place waits.
const NOTES: usize = 4096;
const TICK: Duration = Duration::from_millis(5);
/// In so many ticks each agent is asked once whether its snapshot is due.
const ROUND: usize = 200;
/// How long the agents may take to publish what is left and to say goodbye.
const GOODBYE: Duration = Duration::from_secs(15);

struct Seat {
    agent: Agent,
    client: Option<AsyncClient>,
    connections: u64,
    online: bool,
}

struct Owner {
    kind: Kind,
    prefix: Arc<Prefix>,
    seats: Vec<Seat>,
    counts: Counts,
    clock: Clock,
    /// When events began at this rate, and how many there were since.
    pace: (Duration, u32, u64),
    next_happening: usize,
    next_asked: usize,
}

/// Runs until it is told to stop, or until nobody is left to tell it.
pub(super) async fn run(
    options: &Options,
    mut orders: watch::Receiver<Orders>,
    report: &watch::Sender<Counts>,
) -> Result<()> {
    let prefix = Arc::new(options.prefix.clone());
    let (notes, mut heard) = mpsc::channel(NOTES);
    let (stop, stopping) = watch::channel(false);
    let turns = Arc::new(Semaphore::new(TURNS));
    let mut lines = JoinSet::new();
    let mut owner = Owner::new(options, Arc::clone(&prefix))?;
    for (index, seat) in (0..).zip(&owner.seats) {
        let line = Line { index, id: seat.agent.id().clone(), prefix: Arc::clone(&prefix), port: options.port };
        lines.spawn(line.keep(Arc::clone(&turns), notes.clone(), stopping.clone()));
    }
    drop(notes);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(NOTES);
    let mut give_up = None;
    loop {
        tokio::select! {
            count = heard.recv_many(&mut batch, NOTES) => {
                if count == 0 {
                    break;
                }
                for (index, note) in batch.drain(..) {
                    owner.hear(index, note)?;
                }
            }
            _ = ticks.tick() => {
                if give_up.is_none() {
                    let rate = orders.borrow().rate;
                    owner.let_happen(rate)?;
                } else if owner.say_goodbye()? {
                    stop.send_replace(true);
                }
                owner.look_around()?;
                report.send_if_modified(|counts| std::mem::replace(counts, owner.counts) != owner.counts);
                if give_up.is_some_and(|at| owner.clock.now().mono >= at) {
                    break;
                }
            }
            changed = orders.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                if orders.borrow().stop && give_up.is_none() {
                    give_up = Some(owner.clock.now().mono + GOODBYE);
                    owner.seats.iter_mut().for_each(|seat| seat.agent.handle_stop());
                }
            }
        }
    }
    report.send_replace(owner.counts);
    Ok(())
}

impl Owner {
    fn new(options: &Options, prefix: Arc<Prefix>) -> Result<Self> {
        let clock = Clock::start();
        let now = clock.now();
        let seat = |index: u32| {
            let id: AgentId = format!("sim-{index:05}").parse().context("the name of a simulated agent")?;
            Ok(Seat { agent: Agent::new(index, id, now), client: None, connections: 0, online: false })
        };
        Ok(Self {
            kind: Kind::new(options.containers, options.snapshot_interval),
            prefix,
            seats: (0..options.agents).map(seat).collect::<Result<_>>()?,
            counts: Counts::default(),
            clock,
            pace: (now.mono, 0, 0),
            next_happening: 0,
            next_asked: 0,
        })
    }

    fn hear(&mut self, index: u32, note: Heard) -> Result<()> {
        let index = index as usize;
        let Some(seat) = self.seats.get_mut(index) else { return Ok(()) };
        match note {
            Heard::Connected { session, client } => {
                self.counts.reconnects += u64::from(seat.connections > 0);
                seat.connections += 1;
                seat.client = Some(client);
                seat.agent.handle_connected(session);
            }
            Heard::Disconnected => {
                seat.client = None;
                seat.agent.handle_disconnected();
            }
            Heard::Acknowledged => seat.agent.handle_acknowledged(&mut self.counts),
            Heard::Asked(asked) => seat.agent.handle_question(asked),
            Heard::Status(status) => seat.agent.handle_status(&status),
        }
        self.publish(index, self.clock.now())
    }

    /// Publishes what one agent wants to publish.
    fn publish(&mut self, index: usize, now: Now) -> Result<()> {
        let seat = &mut self.seats[index];
        while let Some(client) = &seat.client {
            let Some(wanted) = seat.agent.next_publication(&self.kind, &mut self.counts, now)? else { break };
            let properties = PublishProperties {
                content_type: Some(wanted.payload.content_type.as_str().to_owned()),
                ..PublishProperties::default()
            };
            let topic = self.prefix.topic(seat.agent.id(), &wanted.channel);
            let (retain, payload) = (wanted.retain, wanted.payload.bytes);
            let given = client.try_publish_with_properties(topic, QoS::AtLeastOnce, retain, payload, properties);
            if given.is_err() {
                // The connection is over; its end follows as a note.
                seat.client = None;
                seat.agent.handle_disconnected();
            }
        }
        let online = seat.agent.online();
        match (seat.online, online) {
            (false, true) => self.counts.online += 1,
            (true, false) => self.counts.online -= 1,
            _ => {}
        }
        seat.online = online;
        Ok(())
    }

    /// Lets as many events happen as the rate asks for by now, on one host after the other.
    fn let_happen(&mut self, rate: u32) -> Result<()> {
        let now = self.clock.now();
        let all_online = self.counts.online as usize == self.seats.len();
        if self.pace.1 != rate || (self.pace.2 == 0 && !all_online) {
            self.pace = (now.mono, rate, 0);
        }
        let (since, _, happened) = self.pace;
        let due = now.mono.saturating_sub(since).as_micros() * u128::from(rate) / 1_000_000;
        let due = u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(happened);
        for _ in 0..due {
            let index = self.next_happening;
            self.next_happening = (index + 1) % self.seats.len();
            self.seats[index].agent.handle_happening(now);
            self.counts.happened += 1;
            self.publish(index, now)?;
        }
        self.pace.2 += due;
        Ok(())
    }

    /// Asks a part of the agents for what became due by time alone.
    fn look_around(&mut self) -> Result<()> {
        let now = self.clock.now();
        for _ in 0..self.seats.len().div_ceil(ROUND) {
            self.publish(self.next_asked, now)?;
            self.next_asked = (self.next_asked + 1) % self.seats.len();
        }
        Ok(())
    }

    /// Ends the connections of all agents that have said everything; whether none is left.
    fn say_goodbye(&mut self) -> Result<bool> {
        let now = self.clock.now();
        for index in 0..self.seats.len() {
            self.publish(index, now)?;
            let seat = &mut self.seats[index];
            if seat.agent.settled()
                && let Some(client) = seat.client.take()
            {
                client.try_disconnect().context("saying goodbye")?;
            }
        }
        Ok(self.seats.iter().all(|seat| seat.client.is_none()))
    }
}
