//! The baseline of what outages cost: a client as one writes it at first, which publishes and polls and
//! lets the library connect again.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::{AsyncClient, MqttOptions};
use tokio::task::JoinSet;

use crate::broker::{Broker, Tap};

const TOPIC: &str = "radar-tests/naive";
const APART: Duration = Duration::from_millis(2);

pub(super) struct Naive {
    client: AsyncClient,
    tap: Tap,
    published: usize,
    _polling: JoinSet<()>,
}

impl Naive {
    /// Connects by the port of a link that will be cut.
    pub(super) async fn start(broker: &Broker, link: u16) -> Result<Self> {
        let tap = broker.tap(&[TOPIC]).await?;
        let options = MqttOptions::new("radar-tests-naive", "127.0.0.1", link);
        let (client, mut events) = AsyncClient::new(options, 100);
        let mut polling = JoinSet::new();
        polling.spawn(async move {
            loop {
                if events.poll().await.is_err() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
        Ok(Self { client, tap, published: 0, _polling: polling })
    }

    /// Publishes so many messages; each call of the library says that it went well.
    pub(super) async fn publish(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let payload = self.published.to_string();
            self.client.publish(TOPIC, QoS::AtLeastOnce, false, payload).await.context("the naive client")?;
            self.published += 1;
            tokio::time::sleep(APART).await;
        }
        Ok(())
    }

    pub(super) fn published(&self) -> usize {
        self.published
    }

    /// How many of them never came.
    pub(super) fn lost(&self) -> usize {
        let came: BTreeSet<Vec<u8>> = self.tap.seen().into_iter().map(|seen| seen.payload).collect();
        self.published - came.len()
    }
}
