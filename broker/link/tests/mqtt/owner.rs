//! Owners of sessions: waiting for notices with a deadline, and the simplest outbox that works.

use std::collections::VecDeque;
use std::time::Duration;

use radar_link::mqtt::{Delivery, Message, Notice, Qos, Reason, Received, Session, Settings};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn start(settings: Settings) -> Session {
    Session::start(settings, Box::new(|_| None)).unwrap()
}

/// Takes notices until one fits.
pub(crate) async fn until<T>(session: &mut Session, mut fits: impl FnMut(Notice) -> Option<T>) -> T {
    let mut seen = Vec::new();
    let search = async {
        loop {
            let notice = session.next().await;
            seen.push(format!("{notice:?}").chars().take(200).collect::<String>());
            if let Some(found) = fits(notice) {
                return found;
            }
        }
    };
    match tokio::time::timeout(DEADLINE, search).await {
        Ok(found) => found,
        Err(_) => panic!("it did not come; what came: {seen:#?}"),
    }
}

pub(crate) async fn connected(session: &mut Session) -> u64 {
    until(session, |notice| match notice {
        Notice::Connected { number, .. } => Some(number),
        _ => None,
    })
    .await
}

pub(crate) async fn subscribed(session: &mut Session) {
    until(session, |notice| matches!(notice, Notice::Subscribed { .. }).then_some(())).await;
}

pub(crate) async fn disconnected(session: &mut Session) -> Reason {
    until(session, |notice| match notice {
        Notice::Disconnected { reason, .. } => Some(reason),
        _ => None,
    })
    .await
}

pub(crate) async fn received(session: &mut Session) -> Received {
    until(session, |notice| match notice {
        Notice::Received(message) => Some(message),
        _ => None,
    })
    .await
}

pub(crate) async fn delivered(session: &mut Session) -> (u64, Delivery) {
    until(session, |notice| match notice {
        Notice::Delivered { key, outcome } => Some((key, outcome)),
        _ => None,
    })
    .await
}

pub(crate) fn message(topic: &str, payload: impl Into<Vec<u8>>) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: payload.into().into(),
        retain: false,
        qos: Qos::AtLeastOnce,
        content_type: None,
        expiry: None,
    }
}

/// The outbox of a test that ends when all is delivered.
pub(crate) async fn drain(outbox: &mut Outbox) {
    let draining = async {
        while !outbox.is_empty() {
            outbox.step().await;
        }
    };
    tokio::time::timeout(DEADLINE, draining).await.expect("not all was delivered");
}

/// Whoever owns a session keeps what is not delivered and publishes it again, in order.
pub(crate) struct Outbox {
    pub(crate) session: Session,
    topic: &'static str,
    waiting: VecDeque<u64>,
    asked: usize,
}

impl Outbox {
    pub(crate) fn new(session: Session, topic: &'static str, keys: impl IntoIterator<Item = u64>) -> Self {
        Self { session, topic, waiting: keys.into_iter().collect(), asked: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Has these published once more.
    pub(crate) fn refill(&mut self, keys: impl IntoIterator<Item = u64>) {
        self.waiting.extend(keys);
    }

    /// Publishes what the window takes and handles one notice; the key, if one was delivered.
    pub(crate) async fn step(&mut self) -> Option<u64> {
        while self.asked < self.waiting.len() && self.session.free() > 0 {
            let key = self.waiting[self.asked];
            if self.session.publish(key, message(self.topic, key.to_string())).is_err() {
                break;
            }
            self.asked += 1;
        }
        match self.session.next().await {
            Notice::Connected { .. } | Notice::Disconnected { .. } => self.asked = 0,
            Notice::Delivered { key, outcome } => {
                assert!(!matches!(outcome, Delivery::Refused(_)), "{outcome:?}");
                let at = self.waiting.iter().position(|waiting| *waiting == key).expect("a key is delivered once");
                self.waiting.remove(at);
                self.asked -= 1;
                return Some(key);
            }
            _ => {}
        }
        None
    }
}
