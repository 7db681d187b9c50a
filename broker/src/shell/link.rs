//! How the connection to the broker stands, and what waits to be published on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use radar_link::mqtt::{Message, Notice, PublishError, Reason, Session};
use tracing::{debug, error, info, warn};

/// Messages that wait for the window. What finds it full is dropped: it is asked for again.
const WAITING: usize = 1000;

/// The connection.
#[derive(Debug)]
pub(super) struct Link {
    session: Session,
    /// Filters that the broker is to grant for the bridge to work.
    filters: Vec<String>,
    granted: BTreeSet<String>,
    connected: bool,
    /// Why it is not as it should be, as it was logged.
    trouble: Option<String>,
    /// With the name of the command that it is, if it is one.
    waiting: VecDeque<(Option<Box<str>>, Message)>,
    published: u64,
    /// The commands that the broker has not answered.
    commands: BTreeMap<u64, Box<str>>,
}

impl Link {
    pub(super) fn new(session: Session, filters: Vec<String>) -> Self {
        Self {
            session,
            filters,
            granted: BTreeSet::new(),
            connected: false,
            trouble: Some("not connected yet".to_owned()),
            waiting: VecDeque::new(),
            published: 0,
            commands: BTreeMap::new(),
        }
    }

    /// The next notice of the session. Cancel-safe.
    pub(super) async fn next(&mut self) -> Notice {
        self.session.next().await
    }

    /// The session itself, for acknowledgements and the goodbye.
    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    pub(super) fn into_session(self) -> Session {
        self.session
    }

    /// Whether messages of every subscription come.
    pub(super) fn works(&self) -> bool {
        self.connected && self.granted.len() == self.filters.len()
    }

    /// Why it is not as it should be.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Messages that wait to be published.
    pub(super) fn depth(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn handle_connected(&mut self, broker: &str) {
        self.connected = true;
        self.granted.clear();
        self.trouble = Some("subscribing".to_owned());
        info!("connected to {broker}");
    }

    pub(super) fn handle_disconnected(&mut self, reason: &Reason, retry_in: std::time::Duration) {
        self.connected = false;
        self.granted.clear();
        self.waiting.clear();
        self.commands.clear();
        let text = match reason {
            Reason::TakenOver { .. } => format!("another bridge works with this broker and prefix: {reason}"),
            _ => reason.to_string(),
        };
        let wait = retry_in.as_secs_f64();
        if self.trouble.as_ref() == Some(&text) {
            debug!("no connection to the broker: {text}; next attempt in {wait:.1} s");
        } else if matches!(reason, Reason::TakenOver { .. }) {
            error!("{text}; next attempt in {:.0} min: stop one of them", wait / 60.0);
        } else {
            warn!("no connection to the broker: {text}; next attempt in {wait:.1} s, then for ever");
        }
        self.trouble = Some(text);
    }

    /// Whether a filter is one of those that the bridge works with; the others come and go.
    pub(super) fn needs(&self, filter: &str) -> bool {
        self.filters.iter().any(|needed| needed == filter)
    }

    pub(super) fn handle_subscribed(&mut self, filter: String) {
        self.granted.insert(filter);
        if self.works() {
            self.trouble = None;
        }
    }

    pub(super) fn handle_refused(&mut self, filter: &str, reason: &str) {
        let text = format!("the broker refuses the subscription to {filter}: {reason}; check its access rules");
        error!("{text}");
        self.trouble = Some(text);
    }

    /// Publishes a message, or lets it wait for the window.
    pub(super) fn publish(&mut self, message: Message) {
        if self.waiting.len() < WAITING {
            self.waiting.push_back((None, message));
        }
        self.flush();
    }

    /// Publishes a command, or lets it wait for the window; false when it certainly does not go.
    pub(super) fn send(&mut self, jti: Box<str>, message: Message) -> bool {
        let goes = self.connected && self.waiting.len() < WAITING;
        if goes {
            self.waiting.push_back((Some(jti), message));
            self.flush();
        }
        goes
    }

    /// The command that the broker has answered, if it was one.
    pub(super) fn delivered(&mut self, key: u64) -> Option<Box<str>> {
        self.commands.remove(&key)
    }

    /// Publishes what waits, as far as the window goes.
    pub(super) fn flush(&mut self) {
        while self.session.free() > 0
            && let Some((command, message)) = self.waiting.pop_front()
        {
            self.published += 1;
            let topic = message.topic.clone();
            match self.session.publish(self.published, message) {
                Ok(()) => self.commands.extend(command.map(|jti| (self.published, jti))),
                Err(PublishError::NotConnected | PublishError::WindowFull) => debug!("{topic} was dropped"),
                Err(error) => warn!("cannot publish to {topic}: {error}"),
            }
        }
        if !self.connected {
            self.waiting.clear();
        }
    }
}
