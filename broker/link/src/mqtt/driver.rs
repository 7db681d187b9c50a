//! The task that makes connections, polls them and drops them. It decides nothing but when to
//! try again.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Filter, Packet, PubAck, PubAckReason, Publish, SubAck, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ConnectionError, Event as Polled, EventLoop};
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::debug;

use super::number::Numbers;
use super::rival::{Ending, Rival};
use super::session::DisconnectError;
use super::{Delivery, Reason, Received, Settings, Wills, options, reason};
use crate::pacing::{self, Pacer};
use crate::time::Clock;

/// How many received messages of QoS 0 may wait for the owner.
const LOOSE_RECEIVED: usize = 256;
/// How long the broker may take to close the connection after a goodbye. Closing it first could
/// discard a goodbye that it has not read yet.
const CLOSING: Duration = Duration::from_secs(1);
/// Beyond what rumqttc itself allows an attempt or two pings.
const SLACK: Duration = Duration::from_secs(5);

/// What the driver tells the session, in order.
pub(super) enum Event {
    Connected(Connected),
    /// The client has written a publish; 0 for QoS 0.
    Sent(u16),
    Answered(u16, Delivery),
    /// With its packet id, if it is to be acknowledged.
    Received(Received, Option<u16>),
    Subscribed(String),
    SubscriptionRefused(String, String),
    /// Of a subscription beyond the settings': granted, or why not.
    SubscriptionAnswered(Option<String>),
    Unsubscribed,
    Disconnected(Reason, Duration),
}

/// A connection that the broker has accepted.
pub(super) struct Connected {
    pub(super) number: u64,
    pub(super) session_present: bool,
    pub(super) max_packet: Option<u32>,
    pub(super) window: u16,
    pub(super) client: AsyncClient,
}

/// What the session tells the driver.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Orders {
    /// Say goodbye and end.
    pub(super) stop: bool,
    /// Have a number above this one.
    pub(super) above: u64,
    /// So many ends of connections and attempts has the owner seen.
    pub(super) ends_seen: u64,
}

pub(super) struct Driver {
    settings: Settings,
    wills: Wills,
    events: mpsc::Sender<Event>,
    orders: watch::Receiver<Orders>,
    dropped: Arc<AtomicU64>,
    clock: Clock,
    /// The settings' subscription was answered on this connection.
    greeted: bool,
}

/// How a connection or an attempt ended.
enum End {
    Lost(Reason),
    /// An accepted connection, closed by the broker without a word.
    Closed(Reason),
    Raised,
    Stopped(Result<(), DisconnectError>),
}

impl Driver {
    /// The driver and the end of its channel. The channel holds all that can come between two
    /// looks of the owner from a broker that keeps to the limits; see the parent module.
    pub(super) fn new(
        settings: Settings,
        wills: Wills,
        orders: watch::Receiver<Orders>,
        dropped: Arc<AtomicU64>,
    ) -> (Self, mpsc::Receiver<Event>) {
        let (events, taken) = mpsc::channel(options::events(&settings) + LOOSE_RECEIVED);
        (Self { settings, wills, events, orders, dropped, clock: Clock::start(), greeted: false }, taken)
    }

    /// Connects again and again until it is told to stop; says whether the last goodbye went out.
    pub(super) async fn drive(mut self) -> Result<(), DisconnectError> {
        let mut numbers = Numbers::open(self.settings.number_file.clone()).await;
        let reconnect = self.settings.reconnect;
        let mut pacer = Pacer::new(reconnect.first, reconnect.most);
        let mut rival = Rival::new(reconnect.silent_ends, reconnect.most);
        let mut ends = 0;
        loop {
            let above = self.orders.borrow().above;
            let number = numbers.next(above, self.clock.now().wall);
            let mut connected_at = None;
            let end = self.connection(number, &numbers, &mut connected_at).await;
            let ended_at = self.clock.now().mono;
            let lasted = connected_at.map(|at| ended_at.saturating_sub(at));
            if lasted.is_some_and(|lasted| lasted >= reconnect.stable) {
                pacer.reset();
            }
            let ending = match (&end, lasted) {
                (End::Closed(_), Some(lasted)) => Ending::Silent(lasted),
                _ => Ending::Other,
            };
            let rival = rival.suspected(ending);
            let (reason, retry_in) = match end {
                End::Stopped(result) => return result,
                End::Raised => (Reason::Raised, Duration::ZERO),
                End::Closed(_) if rival => {
                    let client_id = self.settings.client_id.clone();
                    (Reason::TakenOver { client_id, certain: false }, pacing::spread(reconnect.taken_over))
                }
                End::Lost(reason @ Reason::TakenOver { .. }) => (reason, pacing::spread(reconnect.taken_over)),
                End::Lost(reason) | End::Closed(reason) => (reason, pacer.next_wait()),
            };
            debug!(number, %reason, ?retry_in, "no connection");
            if self.events.send(Event::Disconnected(reason, retry_in)).await.is_err() {
                return Err(DisconnectError::NotConnected);
            }
            ends += 1;
            self.rest(ended_at + retry_in, ends).await?;
        }
    }

    /// Waits until the next attempt is due and the owner has seen how the last one ended.
    async fn rest(&mut self, until: Duration, ends: u64) -> Result<(), DisconnectError> {
        loop {
            let orders = *self.orders.borrow_and_update();
            if orders.stop {
                return Err(DisconnectError::NotConnected);
            }
            let early = self.clock.now().mono < until;
            if !early && orders.ends_seen >= ends {
                return Ok(());
            }
            tokio::select! {
                changed = self.orders.changed() => changed.map_err(|_| DisconnectError::NotConnected)?,
                () = self.clock.sleep_until(Some(until)), if early => {}
            }
        }
    }

    /// One connection, from its making to its end.
    async fn connection(&mut self, number: u64, numbers: &Numbers, connected_at: &mut Option<Duration>) -> End {
        let will = (self.wills)(number);
        let settings = self.settings.clone();
        let prepared = tokio::task::spawn_blocking(move || options::for_attempt(&settings, will)).await;
        let options = match prepared {
            Ok(Ok(options)) => options,
            Ok(Err(error)) => return End::Lost(Reason::Tls(error.to_string())),
            Err(error) => {
                return End::Lost(Reason::Network(format!("the attempt was given up: {error}")));
            }
        };
        self.greeted = false;
        let (client, mut eventloop) = AsyncClient::new(options, options::requests(&self.settings));
        let connack = match self.connect(&mut eventloop).await {
            Ok(connack) => connack,
            Err(end) => return end,
        };
        *connected_at = Some(self.clock.now().mono);
        numbers.keep(number).await;
        match self.greet(number, &connack, &client).await {
            Ok(()) => self.poll(number, &client, &mut eventloop).await,
            Err(reason) => End::Lost(reason),
        }
    }

    /// Polls until the broker accepts us. Gives up when it is told to stop: nothing is lost
    /// with a connection that does not stand yet.
    async fn connect(&mut self, eventloop: &mut EventLoop) -> Result<ConnAck, End> {
        let limit = self.settings.reconnect.timeout + SLACK;
        let stopped = async {
            if self.orders.wait_for(|orders| orders.stop).await.is_err() {
                debug!("the session was dropped");
            }
        };
        let polled = tokio::select! {
            polled = timeout(limit, eventloop.poll()) => polled,
            () = stopped => return Err(End::Stopped(Err(DisconnectError::NotConnected))),
        };
        match polled {
            Ok(Ok(Polled::Incoming(Packet::ConnAck(connack)))) => Ok(connack),
            Ok(Ok(other)) => Err(End::Lost(Reason::Network(format!("the broker began with {other:?}")))),
            Ok(Err(error)) => Err(End::Lost(Reason::of(&error, &self.settings, false))),
            Err(_) => Err(End::Lost(Reason::silence(limit))),
        }
    }

    /// Subscribes, then hands the client to the session, so that nothing is published before.
    async fn greet(&mut self, number: u64, connack: &ConnAck, client: &AsyncClient) -> Result<(), Reason> {
        let filters = self.settings.subscriptions.iter().map(|filter| Filter::new(filter, QoS::AtLeastOnce));
        if !self.settings.subscriptions.is_empty() && client.try_subscribe_many(filters).is_err() {
            return Err(Reason::Network("the subscriptions were not taken".to_owned()));
        }
        let properties = connack.properties.as_ref();
        let broker_window = properties.and_then(|properties| properties.receive_max).unwrap_or(u16::MAX);
        self.tell(Event::Connected(Connected {
            number,
            session_present: connack.session_present,
            max_packet: properties.and_then(|properties| properties.max_packet_size),
            window: self.settings.window.min(broker_window).max(1),
            client: client.clone(),
        }))
        .await
    }

    /// Polls until the connection ends. `poll` is not cancel-safe, so a look at the orders
    /// never drops it, and a silence that does drops the connection with it.
    async fn poll(&mut self, number: u64, client: &AsyncClient, eventloop: &mut EventLoop) -> End {
        let limit = 2 * eventloop.options.keep_alive() + SLACK;
        let mut goodbye = None;
        let mut closing = false;
        loop {
            let polled = {
                let mut poll = pin!(timeout(if closing { CLOSING } else { limit }, eventloop.poll()));
                loop {
                    let orders = *self.orders.borrow_and_update();
                    if goodbye.is_none() && (orders.stop || orders.above >= number) {
                        let asked = client.try_disconnect();
                        debug!(number, ?asked, "goodbye");
                        goodbye = Some(if orders.stop { End::Stopped(Ok(())) } else { End::Raised });
                    }
                    tokio::select! {
                        biased;
                        changed = self.orders.changed() => if changed.is_err() {
                            return End::Stopped(Err(DisconnectError::NotConnected));
                        },
                        polled = &mut poll => break polled,
                    }
                }
            };
            let lost = match polled {
                Ok(Ok(Polled::Outgoing(Outgoing::Disconnect))) => {
                    closing = true;
                    Ok(())
                }
                Ok(Ok(event)) => self.pass_on(event).await.map_err(End::Lost),
                Ok(Err(error)) => Err(self.lost(eventloop, &error).await),
                Err(_) => Err(End::Lost(Reason::silence(limit))),
            };
            match (lost, goodbye.take()) {
                (Ok(()), none_or_not_yet) => goodbye = none_or_not_yet,
                (Err(_), Some(said)) if closing => return said,
                (Err(_), Some(End::Stopped(_))) => {
                    return End::Stopped(Err(DisconnectError::NotConnected));
                }
                (Err(end), _) => return end,
            }
        }
    }

    /// Passes on what rumqttc had read before the error, above all acknowledgements: without
    /// them the owner would publish again what the broker has.
    async fn lost(&mut self, eventloop: &mut EventLoop, error: &ConnectionError) -> End {
        while let Some(event) = eventloop.state.events.pop_front() {
            if let Err(reason) = self.pass_on(event).await {
                return End::Lost(reason);
            }
        }
        let reason = Reason::of(error, &self.settings, true);
        if reason::is_silent(error) { End::Closed(reason) } else { End::Lost(reason) }
    }

    async fn pass_on(&mut self, event: Polled) -> Result<(), Reason> {
        match event {
            Polled::Outgoing(Outgoing::Publish(packet)) => self.tell(Event::Sent(packet)).await,
            Polled::Incoming(Packet::PubAck(puback)) => self.tell(answered(&puback)).await,
            Polled::Incoming(Packet::Publish(publish)) => self.received(publish).await,
            Polled::Incoming(Packet::SubAck(suback)) => self.subscribed(&suback).await,
            Polled::Incoming(Packet::UnsubAck(_)) => self.tell(Event::Unsubscribed).await,
            _ => Ok(()),
        }
    }

    async fn received(&mut self, publish: Publish) -> Result<(), Reason> {
        let packet = match publish.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(publish.pkid),
            QoS::ExactlyOnce => {
                return Err(Reason::Network(
                    "the broker sent a message of QoS 2, which nobody has asked for".to_owned(),
                ));
            }
        };
        if packet.is_none() && self.events.capacity() <= options::events(&self.settings) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let message = Received {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload,
            retain: publish.retain,
            content_type: publish.properties.and_then(|properties| properties.content_type),
            ack: None,
        };
        self.tell(Event::Received(message, packet)).await
    }

    /// The first answer on a connection is to the subscription of the settings' filters; each later one is to the one
    /// filter that the session has asked for.
    async fn subscribed(&mut self, suback: &SubAck) -> Result<(), Reason> {
        let filters = self.settings.subscriptions.clone();
        if std::mem::replace(&mut self.greeted, true) || filters.is_empty() {
            return self.tell(Event::SubscriptionAnswered(suback.return_codes.first().and_then(refusal))).await;
        }
        for (filter, code) in filters.into_iter().zip(&suback.return_codes) {
            self.tell(match refusal(code) {
                None => Event::Subscribed(filter),
                Some(reason) => Event::SubscriptionRefused(filter, reason),
            })
            .await?;
        }
        // The session waits for the first answer too.
        self.tell(Event::SubscriptionAnswered(None)).await
    }

    /// Waits until the owner has room, so that a broker which sends more than it may waits at its
    /// socket; but not until it misses a ping.
    async fn tell(&mut self, event: Event) -> Result<(), Reason> {
        let limit = self.settings.keep_alive / 2;
        match self.events.send_timeout(event, limit).await {
            // The session has said goodbye, and hears nothing any more.
            Ok(()) | Err(SendTimeoutError::Closed(_)) => Ok(()),
            Err(SendTimeoutError::Timeout(_)) => Err(Reason::Network(format!(
                "this program was too busy for {} s to take what the broker sends",
                limit.as_secs()
            ))),
        }
    }
}

/// Why a subscription is refused; none when it is granted.
fn refusal(code: &SubscribeReasonCode) -> Option<String> {
    match code {
        SubscribeReasonCode::Success(_) => None,
        SubscribeReasonCode::NotAuthorized => {
            Some("the broker does not let the account read this topic; check its access rules".to_owned())
        }
        code => Some(format!("the broker answers {code:?}")),
    }
}

fn answered(puback: &PubAck) -> Event {
    let outcome = match puback.reason {
        PubAckReason::Success => Delivery::Accepted,
        PubAckReason::NoMatchingSubscribers => Delivery::NoSubscriber,
        PubAckReason::NotAuthorized => Delivery::Refused(
            "the broker does not let the account publish on this topic; check its access rules".to_owned(),
        ),
        PubAckReason::QuotaExceeded => Delivery::Refused("a limit of the broker is exceeded".to_owned()),
        reason => Delivery::Refused(format!("the broker answers {reason:?}")),
    };
    Event::Answered(puback.pkid, outcome)
}
