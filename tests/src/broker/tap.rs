use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAckReason, Publish, PublishProperties, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::accounts;
use crate::clock::wall_nanos;

const LARGEST_PACKET: u32 = 256 * 1024 * 1024;
const DEADLINE: Duration = Duration::from_secs(10);

/// A message as a subscriber saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where it was published.
    pub topic: String,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Whether it came from the broker's memory instead of from a publisher just now.
    pub retain: bool,
    /// The content type that its publisher named.
    pub content_type: Option<String>,
    /// When it arrived, in nanoseconds since 1970 UTC.
    pub at: i64,
}

/// A plain subscriber that records what it gets, and connects again when the broker was away.
#[derive(Debug)]
pub struct Tap {
    seen: watch::Receiver<Vec<Seen>>,
    _following: JoinSet<()>,
}

impl Tap {
    /// Subscribes (QoS 1) and returns when the broker has said yes.
    pub(super) async fn open(port: u16, filters: &[&str]) -> Result<Self> {
        let (sender, seen) = watch::channel(Vec::new());
        let (ready, mut subscribed) = watch::channel(false);
        let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        let mut following = JoinSet::new();
        following.spawn(async move {
            loop {
                let lost = follow(port, &filters, &sender, &ready).await;
                tracing::debug!("tap disconnected: {lost:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let ready = tokio::time::timeout(DEADLINE, subscribed.wait_for(|ready| *ready)).await;
        ready.context("the broker did not answer the subscription")?.context("the tap ended")?;
        Ok(Self { seen, _following: following })
    }

    /// Everything seen so far, in order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// How many messages were seen so far.
    pub fn count(&self) -> usize {
        self.seen.borrow().len()
    }

    /// Waits for a message, past or future, that `wanted` accepts, and returns the first.
    pub async fn wait_for(&self, what: &str, deadline: Duration, wanted: impl Fn(&Seen) -> bool) -> Result<Seen> {
        let mut seen = self.seen.clone();
        let waiting = seen.wait_for(|seen| seen.iter().any(&wanted));
        match tokio::time::timeout(deadline, waiting).await {
            Ok(Ok(seen)) => seen.iter().find(|seen| wanted(seen)).cloned().context("it was just there"),
            Ok(Err(_)) => bail!("the tap ended"),
            Err(_) => bail!("waited {deadline:?} for {what}; seen: {}", summary(&self.seen.borrow())),
        }
    }

    /// Waits until at least `count` messages were seen.
    pub async fn wait_count(&self, count: usize, deadline: Duration) -> Result<()> {
        let mut seen = self.seen.clone();
        let waiting = seen.wait_for(|seen| seen.len() >= count);
        if tokio::time::timeout(deadline, waiting).await.is_err() {
            bail!("waited {deadline:?} for {count} messages; seen: {}", summary(&self.seen.borrow()));
        }
        Ok(())
    }
}

fn summary(seen: &[Seen]) -> String {
    let last: Vec<_> = seen.iter().rev().take(5).map(|seen| (&seen.topic, seen.payload.len())).collect();
    format!("{} messages, the last (topic, bytes): {last:?}", seen.len())
}

async fn follow(
    port: u16,
    filters: &[String],
    sender: &watch::Sender<Vec<Seen>>,
    ready: &watch::Sender<bool>,
) -> Result<()> {
    let (client, mut events) = connect(port);
    loop {
        match next(&mut events).await? {
            Packet::ConnAck(_) => {
                for filter in filters {
                    client.try_subscribe(filter, QoS::AtLeastOnce).context("subscribing")?;
                }
            }
            Packet::SubAck(_) => {
                ready.send_replace(true);
            }
            Packet::Publish(publish) => sender.send_modify(|seen| seen.push(record(publish))),
            _ => {}
        }
    }
}

/// Publishes one message (QoS 1) and waits for the broker's acknowledgement.
pub(super) async fn publish(
    port: u16,
    topic: &str,
    payload: Vec<u8>,
    retain: bool,
    content_type: Option<&str>,
) -> Result<()> {
    let (client, mut events) = connect(port);
    let properties =
        PublishProperties { content_type: content_type.map(str::to_owned), ..PublishProperties::default() };
    let publishing = async {
        client
            .try_publish_with_properties(topic, QoS::AtLeastOnce, retain, payload, properties)
            .with_context(|| format!("publishing on {topic}"))?;
        loop {
            match next(&mut events).await? {
                Packet::PubAck(ack) => match ack.reason {
                    PubAckReason::Success | PubAckReason::NoMatchingSubscribers => break,
                    refused => bail!("the broker refused {topic}: {refused:?}"),
                },
                Packet::Disconnect(said) => bail!("the broker disconnected: {said:?}"),
                _ => {}
            }
        }
        client.try_disconnect().context("disconnecting")?;
        // The connection ends with an error once the disconnect was sent.
        while next(&mut events).await.is_ok() {}
        Ok(())
    };
    let published = tokio::time::timeout(DEADLINE, publishing).await;
    published.with_context(|| format!("no acknowledgement for {topic} in {DEADLINE:?}"))?
}

/// The retained messages under a filter.
pub(super) async fn retained(port: u16, filter: &str) -> Result<BTreeMap<String, Seen>> {
    let (client, mut events) = connect(port);
    // The broker handles subscriptions in order: with the second answer, all of the first's messages
    // have come. QoS 0, so that no window holds them back.
    for filter in [filter, "radar-tests/nothing-is-here"] {
        client.try_subscribe(filter, QoS::AtMostOnce).context("subscribing")?;
    }
    let mut answers = 0;
    let mut found = BTreeMap::new();
    let reading = async {
        while answers < 2 {
            match next(&mut events).await? {
                Packet::SubAck(ack) => {
                    if !matches!(ack.return_codes[..], [SubscribeReasonCode::Success(_)]) {
                        bail!("the broker refused to subscribe {filter}: {:?}", ack.return_codes);
                    }
                    answers += 1;
                }
                Packet::Publish(publish) if publish.retain => {
                    let seen = record(publish);
                    found.insert(seen.topic.clone(), seen);
                }
                _ => {}
            }
        }
        Ok(())
    };
    let read = tokio::time::timeout(DEADLINE, reading).await;
    read.with_context(|| format!("no retained messages of {filter} in {DEADLINE:?}"))??;
    Ok(found)
}

fn connect(port: u16) -> (AsyncClient, EventLoop) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let id = format!("radar-tests-{}-{number}", std::process::id());
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options
        .set_credentials(accounts::OWN.0, accounts::OWN.1)
        .set_keep_alive(Duration::from_secs(30))
        .set_max_packet_size(Some(LARGEST_PACKET))
        .set_outgoing_inflight_upper_limit(20);
    AsyncClient::new(options, 16)
}

async fn next(events: &mut EventLoop) -> Result<Packet> {
    loop {
        if let Event::Incoming(packet) = events.poll().await.context("the test's MQTT connection")? {
            return Ok(packet);
        }
    }
}

fn record(publish: Publish) -> Seen {
    Seen {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload.to_vec(),
        retain: publish.retain,
        content_type: publish.properties.and_then(|properties| properties.content_type),
        at: wall_nanos(),
    }
}
