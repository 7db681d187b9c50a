//! A client of the test's own, which tries what an account may do.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, Packet, PubAckReason, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);

/// A client that was let in.
pub(crate) struct Peer {
    client: AsyncClient,
    events: EventLoop,
    received: Vec<String>,
}

impl Peer {
    /// Comes in with an account, or with none; `None` when the broker does not let it in.
    pub(crate) async fn enter(port: u16, client_id: &str, account: Option<(&str, &str)>) -> Result<Option<Self>> {
        let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
        options.set_clean_start(false);
        if let Some((name, password)) = account {
            options.set_credentials(name, password);
        }
        let (client, events) = AsyncClient::new(options, 100);
        let mut peer = Self { client, events, received: Vec::new() };
        let answer = async {
            match peer.events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => Ok(true),
                Err(ConnectionError::ConnectionRefused(
                    ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword,
                )) => Ok(false),
                other => bail!("{other:?}"),
            }
        };
        let entered = timeout(DEADLINE, answer).await.context("the broker does not answer")??;
        Ok(entered.then_some(peer))
    }

    /// Comes in; the broker must let it.
    pub(crate) async fn entered(port: u16, client_id: &str, account: (&str, &str)) -> Result<Self> {
        Self::enter(port, client_id, Some(account)).await?.with_context(|| format!("{} is not let in", account.0))
    }

    /// Publishes; whether the broker takes it.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &str, retain: bool) -> Result<bool> {
        self.client.try_publish(topic, QoS::AtLeastOnce, retain, payload.to_owned())?;
        loop {
            if let Packet::PubAck(ack) = self.next(topic).await? {
                return Ok(match ack.reason {
                    PubAckReason::Success | PubAckReason::NoMatchingSubscribers => true,
                    PubAckReason::NotAuthorized => false,
                    other => bail!("{topic}: {other:?}"),
                });
            }
        }
    }

    /// Subscribes; whether the broker grants it.
    pub(crate) async fn subscribe(&mut self, filter: &str) -> Result<bool> {
        self.client.try_subscribe(filter, QoS::AtLeastOnce)?;
        loop {
            if let Packet::SubAck(ack) = self.next(filter).await? {
                return Ok(matches!(ack.return_codes[..], [SubscribeReasonCode::Success(_)]));
            }
        }
    }

    /// Waits for a message on a topic; all topics of which something has come until then.
    pub(crate) async fn received_until(&mut self, topic: &str) -> Result<BTreeSet<String>> {
        while !self.received.iter().any(|received| received == topic) {
            self.next(topic).await?;
        }
        Ok(self.received.iter().cloned().collect())
    }

    /// Waits until the broker ends the connection.
    pub(crate) async fn thrown_out(mut self) -> Result<()> {
        timeout(DEADLINE, async {
            while !matches!(self.events.poll().await, Err(_) | Ok(Event::Incoming(Packet::Disconnect(_)))) {}
        })
        .await
        .context("the connection stands")
    }

    async fn next(&mut self, what: &str) -> Result<Packet> {
        loop {
            let event = timeout(DEADLINE, self.events.poll()).await.with_context(|| format!("no answer: {what}"))?;
            if let Event::Incoming(packet) = event.with_context(|| what.to_owned())? {
                if let Packet::Publish(publish) = &packet {
                    self.received.push(String::from_utf8_lossy(&publish.topic).into_owned());
                }
                return Ok(packet);
            }
        }
    }
}
