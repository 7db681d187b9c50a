//! The owner's end of a session.

use std::time::Duration;

use super::{Message, Notice, Settings, SetupError, Wills};

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

/// A session at the broker, owned by one event loop. It reconnects by itself, for ever.
///
/// Dropping it cuts the connection without a goodbye: the broker publishes the will.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
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
        drop(wills);
        Ok(Self { settings })
    }

    /// Waits for the next notice. Cancel-safe: what is not returned is not lost.
    pub async fn next(&mut self) -> Notice {
        std::future::pending().await
    }

    /// Hands a message to the connection. For QoS 1 the `key` comes back in
    /// [`Notice::Delivered`], unless [`Notice::Disconnected`] comes before; messages reach the
    /// broker in the order of these calls. For QoS 0 the key is not used.
    ///
    /// # Errors
    /// The message was not taken.
    pub fn publish(&mut self, key: u64, message: Message) -> Result<(), PublishError> {
        drop((key, message));
        Err(PublishError::NotConnected)
    }

    /// How many messages of QoS 1 [`publish`](Self::publish) takes at this moment.
    pub fn free(&self) -> usize {
        0
    }

    /// Acknowledges a received message. To be called in the order of arrival.
    pub fn ack(&mut self, token: AckToken) {
        let _ = token;
    }

    /// The number of the connection that stands, as the owner knows it.
    pub fn number(&self) -> Option<u64> {
        None
    }

    /// Makes the connection's number greater than `above`: reconnects once, with a goodbye and
    /// at once, when it is not.
    pub fn raise(&mut self, above: u64) {
        let _ = above;
    }

    /// How many received messages of QoS 0 were dropped because the owner was too slow.
    pub fn dropped(&self) -> u64 {
        0
    }

    /// Says goodbye after everything published and acknowledged before has been written, so
    /// that the broker does not publish the will, and ends the session. Notices that come
    /// meanwhile are lost: await what matters before. Takes no longer than `limit`.
    ///
    /// # Errors
    /// When the goodbye did not reach the broker.
    pub async fn disconnect(self, limit: Duration) -> Result<(), DisconnectError> {
        let _ = (self.settings, limit);
        std::future::pending().await
    }
}
