//! The owner's end of a session.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Publish;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::driver::{Connected, Driver, Event, Orders};
use super::flight::Flight;
use super::subscribing::{MOST, Request, Subscribing};
use super::{Message, Notice, Qos, Settings, SetupError, Wills, options};
use crate::tasks::Owned;

/// Names a received message until it is acknowledged. A token of an earlier connection has no
/// effect: the broker sends such a message again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AckToken {
    connection: u64,
    packet: u16,
}

/// Why a message was not taken. Nothing is queued in any of these cases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Wait for [`Notice::Connected`].
    #[error("not connected")]
    NotConnected,
    /// Wait for a [`Notice::Delivered`].
    #[error("the window is full")]
    WindowFull,
    /// The broker would end the connection over it, every time.
    #[error("a message of {size} bytes is larger than the {max} bytes that the broker takes")]
    TooLarge {
        /// Of the whole packet, in bytes.
        size: u32,
        /// What the broker takes.
        max: u32,
    },
    /// Empty, too long or with a wildcard in it.
    #[error("`{0}` is not a topic that can be published to")]
    Topic(String),
}

/// Why there is no further subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// End another one first.
    #[error("there are {MOST} subscriptions already")]
    TooMany,
    /// Empty, too long, or with a wildcard where none can be.
    #[error("`{0}` is not a filter that can be subscribed to")]
    Filter(String),
}

/// The goodbye did not reach the broker, so it will publish the will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DisconnectError {
    /// There was no connection.
    #[error("not connected")]
    NotConnected,
    /// The connection did not take it in time.
    #[error("the broker did not take the goodbye in time")]
    TimedOut,
}

/// A session at the broker, owned by one event loop. It reconnects by itself, for ever, as long
/// as [`next`](Self::next) is called: the next attempt waits until the owner has seen how the
/// last one ended.
///
/// Dropping it cuts the connection without a goodbye: the broker publishes the will.
pub struct Session {
    manual_acks: bool,
    /// The settings' filters.
    subscriptions: Vec<String>,
    subscribing: Subscribing,
    live: Option<Live>,
    events: mpsc::Receiver<Event>,
    orders: watch::Sender<Orders>,
    dropped: Arc<AtomicU64>,
    driver: Owned<Result<(), DisconnectError>>,
}

/// What the session knows of the connection that stands.
struct Live {
    number: u64,
    max_packet: Option<u32>,
    client: AsyncClient,
    flight: Flight,
    unacknowledged: BTreeSet<u16>,
    /// Acknowledgements for which the client has no room: only where a broker has more messages under way than it
    /// may.
    acks: VecDeque<u16>,
}

impl Session {
    /// Starts to connect.
    ///
    /// # Errors
    /// Settings that do not fit together, and certificate files that cannot be used. No socket
    /// is opened before they are checked.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(settings: Settings, wills: Wills) -> Result<Self, SetupError> {
        options::check(&settings)?;
        let (manual_acks, subscriptions) = (settings.manual_acks, settings.subscriptions.clone());
        let (orders, given) = watch::channel(Orders::default());
        let dropped = Arc::default();
        let (driver, events) = Driver::new(settings, wills, given, Arc::clone(&dropped));
        let (subscribing, driver) = (Subscribing::default(), Owned::spawn(driver.drive()));
        Ok(Self { manual_acks, subscriptions, subscribing, live: None, events, orders, dropped, driver })
    }

    /// Waits for the next notice. Cancel-safe: what is not returned is not lost.
    pub async fn next(&mut self) -> Notice {
        loop {
            let sent = self.live.as_mut().is_none_or(Live::send_acks);
            let received = if sent {
                self.events.recv().await
            } else {
                match timeout(ACKS_AGAIN, self.events.recv()).await {
                    Ok(received) => received,
                    Err(_) => continue,
                }
            };
            let Some(event) = received else {
                // The driver ends for this session's goodbye, which ends the session too, or by
                // a panic, which passes through here.
                let _ = self.driver.value().await;
                return pending().await;
            };
            if let Some(notice) = self.handle(event) {
                return notice;
            }
        }
    }

    fn handle(&mut self, event: Event) -> Option<Notice> {
        match event {
            Event::Connected(Connected { number, session_present, max_packet, window, client }) => {
                let flight = Flight::new(window);
                self.live = Some(Live {
                    number,
                    max_packet,
                    client,
                    flight,
                    unacknowledged: BTreeSet::new(),
                    acks: VecDeque::new(),
                });
                self.subscribing.handle_connected(!self.subscriptions.is_empty());
                self.ask_subscriptions();
                Some(Notice::Connected { number, session_present, max_packet, window })
            }
            Event::Disconnected(reason, retry_in) => {
                self.live = None;
                self.orders.send_modify(|orders| orders.ends_seen += 1);
                Some(Notice::Disconnected { reason, retry_in })
            }
            Event::Sent(packet) => {
                self.live.as_mut()?.flight.sent(packet);
                None
            }
            Event::Answered(packet, outcome) => {
                let key = self.live.as_mut()?.flight.answered(packet)?;
                Some(Notice::Delivered { key, outcome })
            }
            Event::Received(mut message, packet) => {
                if let (Some(live), Some(packet)) = (&mut self.live, packet) {
                    live.unacknowledged.insert(packet);
                    if self.manual_acks {
                        message.ack = Some(AckToken { connection: live.number, packet });
                    } else {
                        live.acknowledge(packet);
                    }
                }
                Some(Notice::Received(message))
            }
            Event::SubscriptionAnswered(refused) => {
                let filter = self.subscribing.handle_subscribed(refused.is_none());
                self.ask_subscriptions();
                filter.map(|filter| match refused {
                    None => Notice::Subscribed { filter },
                    Some(reason) => Notice::SubscriptionRefused { filter, reason },
                })
            }
            Event::Unsubscribed => {
                self.subscribing.handle_unsubscribed();
                self.ask_subscriptions();
                None
            }
            Event::Subscribed(filter) => Some(Notice::Subscribed { filter }),
            Event::SubscriptionRefused(filter, reason) => Some(Notice::SubscriptionRefused { filter, reason }),
        }
    }

    /// Hands a message to the connection. For QoS 1 the `key` comes back in
    /// [`Notice::Delivered`], unless [`Notice::Disconnected`] comes before; messages reach the
    /// broker in the order of these calls. For QoS 0 the key is not used.
    ///
    /// # Errors
    /// The message was not taken.
    pub fn publish(&mut self, key: u64, message: Message) -> Result<(), PublishError> {
        let live = self.live.as_mut().ok_or(PublishError::NotConnected)?;
        let topic = &message.topic;
        if topic.is_empty() || topic.len() > usize::from(u16::MAX) || topic.contains(['+', '#', '\0']) {
            return Err(PublishError::Topic(message.topic));
        }
        let free = match message.qos {
            Qos::AtMostOnce => live.flight.free_loose(),
            Qos::AtLeastOnce => live.flight.free(),
        };
        if free == 0 {
            return Err(PublishError::WindowFull);
        }
        let max = live.max_packet.unwrap_or(LARGEST_PACKET).min(LARGEST_PACKET);
        let size = packet_size(&message);
        if size > max {
            return Err(PublishError::TooLarge { size, max });
        }
        let properties = options::properties(&message);
        let Message { topic, payload, retain, qos, .. } = message;
        live.client
            .try_publish_with_properties(topic, options::quality(qos), retain, payload, properties)
            // The channel has room for a full window, so it can only be closed: the connection
            // has ended, and the notice of it is on its way.
            .map_err(|_| PublishError::NotConnected)?;
        match qos {
            Qos::AtMostOnce => live.flight.ask_loose(),
            Qos::AtLeastOnce => live.flight.ask(key),
        }
        Ok(())
    }

    /// How many messages of QoS 1 [`publish`](Self::publish) takes at this moment.
    pub fn free(&self) -> usize {
        self.live.as_ref().map_or(0, |live| live.flight.free())
    }

    /// Acknowledges a received message; a token that is void or used has no effect. To be
    /// called in the order of arrival.
    pub fn ack(&mut self, token: AckToken) {
        if let Some(live) = self.live.as_mut().filter(|live| live.number == token.connection) {
            live.acknowledge(token.packet);
        }
    }

    /// Subscribes to one more filter at QoS 1, on this connection and on every later one, until
    /// [`unsubscribe`](Self::unsubscribe). It is answered by [`Notice::Subscribed`] or
    /// [`Notice::SubscriptionRefused`], each time that it is made; a refused one is not made again.
    ///
    /// # Errors
    /// It is no filter, or there are too many.
    pub fn subscribe(&mut self, filter: &str) -> Result<(), SubscribeError> {
        if !options::is_filter(filter) {
            return Err(SubscribeError::Filter(filter.to_owned()));
        }
        if !self.subscribing.want(filter) {
            return Err(SubscribeError::TooMany);
        }
        self.ask_subscriptions();
        Ok(())
    }

    /// Ends a subscription, whoever made it: one of [`subscribe`](Self::subscribe), one that the broker kept with the
    /// session, or on the connection that stands one of the settings', which the next connection has again. What is on
    /// its way still comes.
    pub fn unsubscribe(&mut self, filter: &str) {
        // The next connection has the settings' filters whatever is said before it.
        if self.live.is_some() || !self.subscriptions.iter().any(|own| own == filter) {
            self.subscribing.end(filter);
            self.ask_subscriptions();
        }
    }

    fn ask_subscriptions(&mut self) {
        let Some(live) = &self.live else { return };
        // They fail only when the connection has ended.
        let _ = match self.subscribing.next_request() {
            Some(Request::Subscribe(filter)) => live.client.try_subscribe(filter, QoS::AtLeastOnce),
            Some(Request::Unsubscribe(filter)) => live.client.try_unsubscribe(filter),
            None => Ok(()),
        };
    }

    /// The number of the connection that stands, as the owner knows it.
    pub fn number(&self) -> Option<u64> {
        self.live.as_ref().map(|live| live.number)
    }

    /// Makes the connection's number greater than `above`: when it is not, the connection is
    /// left with a goodbye and made anew at once. Attempts of later have greater numbers anyway.
    pub fn raise(&mut self, above: u64) {
        self.orders.send_modify(|orders| orders.above = orders.above.max(above.min(HIGHEST)));
    }

    /// How many received messages of QoS 0 were dropped because the owner was too slow.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Says goodbye after everything published and acknowledged before has been written, so
    /// that the broker does not publish the will, and ends the session; what was subscribed to beyond the settings
    /// ends with it, as far as there is room for that. Notices that come
    /// meanwhile are lost: await what matters before. Takes no longer than `limit`.
    ///
    /// # Errors
    /// When the goodbye did not reach the broker.
    pub async fn disconnect(mut self, limit: Duration) -> Result<(), DisconnectError> {
        // Nothing must wait for room that nobody makes any more.
        self.events.close();
        if let Some(live) = &self.live {
            for filter in self.subscribing.all() {
                let _ = live.client.try_unsubscribe(filter.clone());
            }
        }
        self.orders.send_modify(|orders| orders.stop = true);
        timeout(limit, self.driver.value()).await.unwrap_or(Err(DisconnectError::TimedOut))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("number", &self.number()).field("free", &self.free()).finish_non_exhaustive()
    }
}

impl Live {
    fn acknowledge(&mut self, packet: u16) {
        if self.unacknowledged.remove(&packet) {
            self.acks.push_back(packet);
            self.send_acks();
        }
    }

    /// Hands acknowledgements to the client as long as it takes them; whether none is left. After the end of the
    /// connection they are of no use: the broker sends the messages again on the next one.
    fn send_acks(&mut self) -> bool {
        while let Some(&pkid) = self.acks.front() {
            if self.client.try_ack(&Publish { qos: QoS::AtLeastOnce, pkid, ..Publish::default() }).is_err() {
                return false;
            }
            self.acks.pop_front();
        }
        true
    }
}

/// When acknowledgements that the client did not take are tried again.
const ACKS_AGAIN: Duration = Duration::from_millis(10);

/// What a number is raised above at most, so that there is always a next one.
const HIGHEST: u64 = u64::MAX / 2;

/// MQTT 5, section 2.1.4: the remaining length has 28 bits; before it there are up to 5 bytes.
const LARGEST_PACKET: u32 = 268_435_455;

/// The size of the whole packet, as the broker counts it.
fn packet_size(message: &Message) -> u32 {
    let mut publish = Publish::new(
        message.topic.as_str(),
        options::quality(message.qos),
        message.payload.clone(),
        Some(options::properties(message)),
    );
    // A packet id takes two bytes whatever its value is; without one they are not counted.
    publish.pkid = 1;
    u32::try_from(publish.size()).unwrap_or(u32::MAX)
}
