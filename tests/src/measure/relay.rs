//! Agents, bridge and server together: how fast an event of the engine is at the server, and what ten
//! outages cost.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use radar_wire::codec::decode;
use radar_wire::event::Event;

use super::history::Difference;
use super::metrics::Metrics;
use super::naive::Naive;
use super::plan::Plan;
use super::programs::Bridge;
use super::report::{Figure, Goal, Report};
use super::sample::{Sample, count, milliseconds_between};
use super::stage::{DEADLINE, Stage, Way};
use crate::broker::Tap;
use crate::clock::wall_nanos;
use crate::observer::{EngineEvent, Observer};
use crate::port;
use crate::process::Process;
use crate::proxy::{Proxy, Target};
use crate::server::Server;
use crate::wait::until;

/// An agent has at most one early heartbeat in five seconds.
const BETWEEN_BEATS: Duration = Duration::from_secs(6);
/// How long the link is cut in an outage.
const CUT: Duration = Duration::from_millis(300);
/// After the last outage all agents must be back and everything must be stored.
const RECOVERY: Duration = Duration::from_secs(60);

struct Host {
    id: String,
    proxy: Proxy,
    agent: Process,
}

struct Relay<'a> {
    stage: &'a Stage<'a>,
    server: Server,
    bridge: Bridge,
    hosts: Vec<Host>,
    observer: Observer,
}

pub(super) async fn measure(plan: &Plan, stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    tracing::info!("{} agents of the engine, a bridge and a server", plan.relayed);
    let relay = Relay::start(plan, stage).await?;
    let measured = relay.beats(plan, report).await;
    report.check("event → the server", measured);
    relay.outages(plan, report).await
}

impl<'a> Relay<'a> {
    async fn start(plan: &Plan, stage: &'a Stage<'a>) -> Result<Self> {
        let server = Server::start().await?;
        // Regular heartbeats stay out of the way of those that an event causes.
        server.set_interval(1800.0);
        let http = port::free()?;
        let bridge = stage.programs.bridge(&[
            ("MQTT_URL", stage.broker.url()),
            ("BRIDGE_LISTEN", format!("127.0.0.1:{http}")),
            ("SERVER_URL", server.url()),
        ])?;
        bridge.start()?;
        // A token that nobody takes is offered again a minute later.
        until("the bridge at the broker", DEADLINE, async || {
            let connected = Metrics::read(http).await?.value("radar_broker_connected")?;
            if connected > 0.0 { Ok(()) } else { bail!("it is not connected") }
        })
        .await?;
        let mut hosts = Vec::new();
        for number in 0..plan.relayed {
            let proxy = Proxy::start(Target::Port(stage.broker.port())).await?;
            let (id, token) = server.create_agent(&format!("host {number}"));
            let agent = stage.agent(&id, Way::Plain(proxy.port()), &[("AGENT_ENROLL_TOKEN", token)])?;
            hosts.push(Host { id, proxy, agent });
        }
        let relay = Self { stage, server, bridge, hosts, observer: Observer::start(&stage.engine) };
        relay.wait_all_online().await?;
        Ok(relay)
    }

    async fn wait_all_online(&self) -> Result<()> {
        let expect = self.stage.engine.ids().await?.len();
        let waited = until("all agents at the server", DEADLINE, async || {
            for Host { id, agent, .. } in &self.hosts {
                if let Err(ended) = agent.check_running().and_then(|()| self.bridge.check_running()) {
                    return Ok(Err(ended));
                }
                let view = self.server.view(id).context("the server does not know it")?;
                let known = view.running.len() + view.stopped.len();
                if (&*view.status, known) != ("online", expect) {
                    bail!("{id} is {} with {known} of {expect} containers", view.status);
                }
            }
            Ok(Ok(()))
        });
        waited.await.with_context(|| format!("the bridge's log ends with:\n{}", self.bridge.tail()))?
    }

    /// The way of an event to the server, each agent on its own.
    async fn beats(&self, plan: &Plan, report: &mut Report) -> Result<()> {
        let container = self.stage.containers.first().context("a container runs")?;
        let tap = self.stage.broker.tap(&["radar/v1/+/event"]).await?;
        let (mut server, mut broker) = (Vec::new(), Vec::new());
        for round in 0..plan.beats {
            tokio::time::sleep(BETWEEN_BEATS).await;
            let (action, status) = if round % 2 == 0 { ("pause", "paused") } else { ("unpause", "running") };
            let before = wall_nanos();
            match action {
                "pause" => self.stage.engine.pause(&container.id).await?,
                _ => self.stage.engine.unpause(&container.id).await?,
            }
            let is_it = |event: &EngineEvent| event.time_nano >= before && event.action == action;
            let event = self.observer.wait_for("the event", DEADLINE, is_it).await?;
            let arrivals =
                stream::iter(&self.hosts).map(async |host| self.arrival(host, &container.name, status).await);
            let arrivals: Vec<i64> = arrivals.buffer_unordered(self.hosts.len().max(1)).try_collect().await?;
            server.extend(arrivals.into_iter().map(|at| milliseconds_between(event.time_nano, at)));
            broker.extend(told(&tap, event.time_nano).map(|at| milliseconds_between(event.time_nano, at)));
        }
        if plan.beats % 2 == 1 {
            self.stage.engine.unpause(&container.id).await?;
        }
        let (server, broker): (Sample, Sample) = (server.into_iter().collect(), broker.into_iter().collect());
        report.add(Figure {
            name: "event → the server has it: median".to_owned(),
            unit: "ms",
            goal: Goal::AtMost(1300.0),
            measured: server.median(),
            baseline: Some(broker.median()),
            how: format!(
                "{} agents of one engine, {} events, {} ways in all; slowest {:.0} ms. Heartbeats wait 1 s for more to \
                 say. Baseline: the same events at a subscriber of the broker.",
                self.hosts.len(),
                plan.beats,
                server.len(),
                server.quantile(1.0)
            ),
        });
        Ok(())
    }

    /// When the server shows a container of one agent in this state.
    async fn arrival(&self, host: &Host, container: &str, status: &str) -> Result<i64> {
        until("the change at the server", DEADLINE, async || {
            let view = self.server.view(&host.id).context("the server does not know it")?;
            let mut all = view.running.iter().chain(&view.stopped);
            match all.find(|shown| shown.name == container) {
                Some(shown) if shown.status == status => Ok(wall_nanos()),
                other => bail!("{other:?}"),
            }
        })
        .await
    }

    /// Cuts the link of one agent after the other in full flow, and that of the naive client each time.
    async fn outages(&self, plan: &Plan, report: &mut Report) -> Result<()> {
        tracing::info!("{} outages", plan.outages);
        let before = self.observer.events().len();
        let naive_link = Proxy::start(Target::Port(self.stage.broker.port())).await?;
        let mut naive = Naive::start(&self.stage.broker, naive_link.port()).await?;
        let some = &self.stage.containers[..self.stage.containers.len().min(5)];
        for outage in 0..plan.outages {
            let links = [&self.hosts[outage % self.hosts.len()].proxy, &naive_link];
            let cutting = async {
                tokio::time::sleep(CUT / 3).await;
                links.iter().for_each(|link| link.cut());
                tokio::time::sleep(CUT).await;
                links.iter().for_each(|link| link.resume());
            };
            let events = plan.events_per_outage;
            let burst = self.stage.engine.burst(some, events);
            let (burst, published, ()) = tokio::join!(burst, naive.publish(events), cutting);
            burst?;
            published?;
        }
        // Its library connects again and sends what it still has.
        tokio::time::sleep(BETWEEN_BEATS).await;
        self.report_outages(plan, before, &naive, report).await
    }

    async fn report_outages(&self, plan: &Plan, before: usize, naive: &Naive, report: &mut Report) -> Result<()> {
        let events = &self.observer.events()[before..];
        let recovered = until("every event in the history", RECOVERY, async || {
            let difference = self.difference(events).await?;
            if difference.lost == 0 { Ok(()) } else { bail!("{difference:?}") }
        });
        // Whatever is still missing after that counts as lost.
        let late = recovered.await.err();
        let difference = self.difference(events).await?;
        let expected = events.len() * self.hosts.len();
        let late = late.map(|error| format!(" {error:#}.")).unwrap_or_default();
        report.add(Figure {
            name: format!("events lost in {} outages", plan.outages),
            unit: "",
            goal: Goal::AtMost(0.0),
            measured: count(difference.lost),
            baseline: Some(count(naive.lost())),
            how: format!(
                "{} events of the engine, seen by {} agents whose links were cut in turn: {expected} in the bridge's \
                 history, {} of them twice, {} out of order.{late} Baseline: a naive rumqttc client in the same outages \
                 lost these of {}.",
                events.len(),
                self.hosts.len(),
                difference.twice,
                difference.misplaced,
                naive.published()
            ),
        });
        Ok(())
    }

    async fn difference(&self, events: &[EngineEvent]) -> Result<Difference> {
        let mut all = Difference::default();
        for host in &self.hosts {
            let one = Difference::between(&self.bridge.events(&host.id).await?, events)?;
            all.lost += one.lost;
            all.twice += one.twice;
            all.misplaced += one.misplaced;
        }
        Ok(all)
    }
}

/// When the subscriber had an event of this time, from each agent.
fn told(tap: &Tap, time: i64) -> impl Iterator<Item = i64> {
    tap.seen().into_iter().filter_map(move |seen| {
        let event = decode::<Event>(seen.content_type.as_deref(), &seen.payload).ok()?;
        (event.time == Some(time)).then_some(seen.at)
    })
}
