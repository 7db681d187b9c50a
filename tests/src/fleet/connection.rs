//! One agent's way to the broker: a connection that is made, polled and made again, and a note to the
//! owner of all agents for whatever comes over it. It decides nothing but when to try again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use radar_link::time::Clock;
use radar_wire::codec::decode;
use radar_wire::resend::Resend;
use radar_wire::status::Status;
use radar_wire::topic::{AgentId, Channel, Prefix};
use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, LastWill, LastWillProperties, Packet, Publish};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use tokio::sync::{Semaphore, mpsc, watch};

use super::agent::{Agent, WINDOW};

const KEEP_ALIVE: Duration = Duration::from_secs(30);
const SESSION_EXPIRY: u32 = 60;
const WILL_DELAY: u32 = 3;
const RETRY: Duration = Duration::from_secs(1);
/// A broker that is greeted by ten thousand at once takes its time.
const PATIENCE: u64 = 30;

/// What came over an agent's connection.
#[derive(Debug)]
pub(super) enum Heard {
    Connected { session: u64, client: AsyncClient },
    Disconnected,
    Acknowledged,
    Asked(Resend),
    Status(Box<Status>),
}

/// Who connects where.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) index: u32,
    pub(super) id: AgentId,
    pub(super) prefix: Arc<Prefix>,
    pub(super) port: u16,
}

impl Line {
    /// Connects again and again until the fleet stops. So many at once as there are permits in `turns`.
    pub(super) async fn keep(
        self,
        turns: Arc<Semaphore>,
        heard: mpsc::Sender<(u32, Heard)>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let clock = Clock::start();
        let mut session = 0;
        while !*stopping.borrow() {
            session = u64::try_from(clock.now().wall).unwrap_or_default().max(session + 1);
            let lost = self.connection(session, &clock, &turns, &heard).await;
            tracing::debug!(agent = %self.id, "disconnected: {lost:?}");
            if heard.send((self.index, Heard::Disconnected)).await.is_err() {
                return;
            }
            let _ = tokio::time::timeout(RETRY, stopping.wait_for(|stopping| *stopping)).await;
        }
    }

    async fn connection(
        &self,
        session: u64,
        clock: &Clock,
        turns: &Semaphore,
        heard: &mpsc::Sender<(u32, Heard)>,
    ) -> Result<()> {
        let turn = turns.acquire().await.context("the fleet ended")?;
        let (client, mut events) = AsyncClient::new(self.options(session, clock)?, 2 * WINDOW);
        let mut turn = Some(turn);
        let topic = |channel| self.prefix.topic(&self.id, &channel);
        let (status, resend) = (topic(Channel::Status), topic(Channel::Resend));
        loop {
            let Event::Incoming(packet) = events.poll().await? else { continue };
            let note = match packet {
                Packet::ConnAck(_) => {
                    turn.take();
                    let filters = [&status, &resend].map(|topic| Filter::new(topic, QoS::AtLeastOnce));
                    client.try_subscribe_many(filters).context("subscribing")?;
                    Heard::Connected { session, client: client.clone() }
                }
                Packet::PubAck(_) => Heard::Acknowledged,
                Packet::Publish(publish) if publish.topic == resend.as_bytes() => {
                    let Ok(asked) = decode(content_type(&publish), &publish.payload) else { continue };
                    Heard::Asked(asked)
                }
                Packet::Publish(publish) if publish.topic == status.as_bytes() => {
                    let Ok(status) = decode(content_type(&publish), &publish.payload) else { continue };
                    Heard::Status(Box::new(status))
                }
                Packet::Disconnect(said) => bail!("the broker disconnected: {:?}", said.reason_code),
                _ => continue,
            };
            heard.send((self.index, note)).await.ok().context("the fleet ended")?;
        }
    }

    fn options(&self, session: u64, clock: &Clock) -> Result<MqttOptions> {
        let will = Agent::will(self.index, &self.id, session, clock.now())?;
        let properties = LastWillProperties {
            delay_interval: Some(WILL_DELAY),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: Some(will.content_type.as_str().to_owned()),
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        let topic = self.prefix.topic(&self.id, &Channel::Status);
        let will = LastWill::new(topic, will.bytes, QoS::AtLeastOnce, true, Some(properties));
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        let mut options = MqttOptions::new(format!("radar-agent-{}", self.id), "127.0.0.1", self.port);
        options
            .set_network_options(network)
            .set_connection_timeout(PATIENCE)
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_start(false)
            .set_session_expiry_interval(Some(SESSION_EXPIRY))
            .set_last_will(will)
            // The default would take megabytes for each connection.
            .set_outgoing_inflight_upper_limit(u16::try_from(WINDOW + 1).unwrap_or(u16::MAX));
        Ok(options)
    }
}

fn content_type(publish: &Publish) -> Option<&str> {
    publish.properties.as_ref().and_then(|properties| properties.content_type.as_deref())
}
