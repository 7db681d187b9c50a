//! The MQTT session: the only room that names rumqttc.
//!
//! **A connection is a value: made, used, dropped.** For every attempt a fresh client is built,
//! and on any error it is dropped whole, so nothing that rumqttc keeps across connections can
//! lose, reorder or repeat a message. What is not acknowledged belongs to the owner of the
//! [`Session`], who publishes it again after the next [`Notice::Connected`].
//!
//! One task, the driver, polls the connection and does nothing else; the owner takes its
//! notices from a bounded channel. With a broker that keeps to the limits it never overflows,
//! so pings go out however slow the owner is: the broker has no more than `receive_max`
//! messages unacknowledged, and a message is acknowledged only when the owner has taken it (or,
//! with `manual_acks`, has said so); the session has no more than `window` publishes under way;
//! and after a connection the driver waits until the owner has seen its end. A broker that
//! sends more at once is read no faster than the owner takes it. Messages of QoS 0 have no such
//! bound: those that find the channel full are dropped and counted ([`Session::dropped`]).

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::proxy::ProxyUrl;
use crate::secret::Secret;

mod driver;
mod flight;
mod number;
mod options;
mod reason;
mod rival;
mod session;
mod subscribing;
pub mod tls;
pub(crate) mod url;

pub use reason::Reason;
pub use session::{AckToken, DisconnectError, PublishError, Session, SubscribeError};
pub use url::{BrokerUrl, UrlError};

/// How to reach the broker and how to behave there.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `mqtt://`, `mqtts://`, `ws://` or `wss://`.
    pub url: BrokerUrl,
    /// The HTTP proxy through which the broker is reached.
    pub proxy: Option<ProxyUrl>,
    /// The account, if the broker wants one.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The client certificate and its chain (PEM).
    pub cert_file: Option<PathBuf>,
    /// The key of the client certificate (PEM).
    pub key_file: Option<PathBuf>,
    /// Unique at the broker: a second client with it takes the session over.
    pub client_id: String,
    /// How often a ping goes out; less than 5 s counts as 5 s. A dead connection is noticed
    /// after two of them, a socket that takes no bytes after two and 5 s.
    pub keep_alive: Duration,
    /// Forget what the broker kept of the session, at every connection.
    pub clean_start: bool,
    /// How long the broker keeps the session after the connection has ended.
    pub session_expiry: Duration,
    /// How many received messages may be unacknowledged; at least 1.
    pub receive_max: u16,
    /// The largest packet that is taken, in bytes; the broker is told, and drops larger ones.
    pub max_incoming_packet: u32,
    /// How many published messages may be unacknowledged; at least 1. The broker may lower it.
    pub window: u16,
    /// Received messages of QoS 1 carry an [`AckToken`], and count as received only after
    /// [`Session::ack`]. Otherwise they are acknowledged when [`Session::next`] returns them.
    pub manual_acks: bool,
    /// Filters, each at QoS 1, subscribed at every connection before anything is published.
    pub subscriptions: Vec<String>,
    /// Where the connection number is kept; without a path it rests on the clock alone.
    pub number_file: Option<PathBuf>,
    /// The waits between attempts.
    pub reconnect: Reconnect,
}

impl Settings {
    /// Settings with modest bounds: keep alive 30 s, no session kept, window 20, 100 unacknowledged
    /// received messages of up to 256 KiB each, acknowledged by themselves.
    pub fn new(url: BrokerUrl, client_id: impl Into<String>) -> Self {
        Self {
            url,
            proxy: None,
            username: None,
            password: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            client_id: client_id.into(),
            keep_alive: Duration::from_secs(30),
            clean_start: true,
            session_expiry: Duration::ZERO,
            receive_max: 100,
            max_incoming_packet: 256 * 1024,
            window: 20,
            manual_acks: false,
            subscriptions: Vec::new(),
            number_file: None,
            reconnect: Reconnect::default(),
        }
    }
}

/// The waits between attempts to connect. They never end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    /// About the first wait.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// A connection that lasted this long starts the waits anew.
    pub stable: Duration,
    /// About the wait after another client has taken the session over.
    pub taken_over: Duration,
    /// So many connections in a row, each accepted and then closed without a word within
    /// `most`, are taken for a session that another client takes over: Mosquitto does not say it.
    pub silent_ends: u32,
    /// How long an attempt may take, from the name lookup to the broker's answer; whole seconds.
    pub timeout: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            most: Duration::from_secs(60),
            stable: Duration::from_secs(30),
            taken_over: Duration::from_secs(5 * 60),
            silent_ends: 10,
            timeout: Duration::from_secs(10),
        }
    }
}

/// How hard a message is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qos {
    /// At most once: handed to the socket, never acknowledged, lost with the connection.
    AtMostOnce,
    /// At least once.
    AtLeastOnce,
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// The broker keeps it for later subscribers; with an empty payload it forgets what it kept.
    pub retain: bool,
    /// How hard.
    pub qos: Qos,
    /// The MIME type of the payload.
    pub content_type: Option<&'static str>,
    /// How long the broker keeps it for those who are away; whole seconds.
    pub expiry: Option<Duration>,
}

/// What the broker publishes for us when the connection ends without a goodbye.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// What and where to.
    pub message: Message,
    /// How long the broker waits with it; a reconnect within cancels it. Whole seconds.
    pub delay: Duration,
}

/// Makes the will of a connection from the connection's number; called once for every attempt.
pub type Wills = Box<dyn FnMut(u64) -> Option<Will> + Send>;

/// What happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The broker has accepted the connection and subscriptions are on their way. Whatever is
    /// not delivered is to be published again, in order.
    Connected {
        /// The connection's number: greater than that of every earlier attempt.
        number: u64,
        /// The broker still had the session, with its subscriptions and queued messages.
        session_present: bool,
        /// The largest packet that the broker takes, if it names one.
        max_packet: Option<u32>,
        /// How many publishes may be unacknowledged.
        window: u16,
    },
    /// There is no connection, after one or after a failed attempt. Every key that was not
    /// delivered is forgotten here; every [`AckToken`] of before is void.
    Disconnected {
        /// Why.
        reason: Reason,
        /// When the next attempt starts, counted from the end of the last one.
        retry_in: Duration,
    },
    /// The broker has answered a publish of QoS 1.
    Delivered {
        /// The key that was given to [`Session::publish`].
        key: u64,
        /// What the broker said.
        outcome: Delivery,
    },
    /// A message has come.
    Received(Received),
    /// The broker has accepted a subscription of this connection.
    Subscribed {
        /// The filter as it stands in the settings, or was subscribed to.
        filter: String,
    },
    /// The broker has refused a subscription of this connection.
    SubscriptionRefused {
        /// The filter as it stands in the settings, or was subscribed to.
        filter: String,
        /// Why.
        reason: String,
    },
}

/// The broker's answer to a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Taken.
    Accepted,
    /// Taken, but nobody subscribes to the topic (a retained message is kept all the same).
    NoSubscriber,
    /// Refused; publishing it again will not help.
    Refused(String),
}

/// A message that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where it was published.
    pub topic: String,
    /// Shares the connection's read buffer: copy what is kept for long.
    pub payload: Bytes,
    /// The broker had it stored; `false` for what is published while the subscription stands.
    pub retain: bool,
    /// The MIME type of the payload.
    pub content_type: Option<String>,
    /// To be given to [`Session::ack`]; `None` for QoS 0 and without `manual_acks`.
    pub ack: Option<AckToken>,
}

/// Why a session cannot start: the settings do not fit together or a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Certificates for a connection without TLS.
    #[error(
        "{setting} is set but MQTT_URL is {url}, which is not encrypted; use mqtts:// or wss://, or remove {setting}"
    )]
    NotEncrypted {
        /// The variable that has no effect.
        setting: &'static str,
        /// The broker's address.
        url: BrokerUrl,
    },
    /// Half a client certificate.
    #[error("{present} is set but {missing} is not; a client certificate needs both")]
    HalfCertificate {
        /// What is there.
        present: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// A password without an account.
    #[error("MQTT_PASSWORD is set but MQTT_USERNAME is not")]
    PasswordAlone,
    /// An empty or over-long client id, topic filter or the like.
    #[error("{what} `{value}` cannot be used: {why}")]
    Unusable {
        /// What kind of value it is.
        what: &'static str,
        /// The value.
        value: String,
        /// Why not.
        why: &'static str,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}
