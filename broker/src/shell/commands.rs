//! Between who asks, the commands and the agents: what is asked, over the control socket or the HTTP API, becomes a
//! command, is signed and sent, and who waits for it is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use radar_link::jws::{self, SigningKey};
use radar_link::mqtt::{Delivery, Message, Qos};
use radar_link::time::Now;
use radar_wire::command::{Claims, MAX_COMMAND};
use radar_wire::topic::Channel;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::Shell;
use crate::asking::Asked;
use crate::commanding::{Ask, Commanding, Effect, Known, News, Order, Refusal, admit};
use crate::key;

/// Who may wait for one command.
const WAITING: usize = 40;

/// The commands and who waits for them.
pub(super) struct Commands {
    pub(super) core: Commanding,
    data_dir: PathBuf,
    /// Read when it is first needed.
    key: Option<SigningKey>,
    waiting: BTreeMap<Box<str>, Vec<mpsc::Sender<News>>>,
}

impl Commands {
    pub(super) fn new(core: Commanding, data_dir: &Path) -> Self {
        Self { core, data_dir: data_dir.to_owned(), key: None, waiting: BTreeMap::new() }
    }

    /// Somebody wants to know how a command that is under way goes. Who finds too many others is not told.
    pub(super) fn wait(&mut self, jti: &str, news: mpsc::Sender<News>) {
        let waiting = self.waiting.entry(jti.into()).or_default();
        waiting.retain(|other| !other.is_closed());
        if waiting.len() < WAITING {
            waiting.push(news);
        }
    }

    fn tell(&mut self, news: &News) {
        // Who has gone meanwhile reads it in the audit.
        if news.state.is_final() {
            for waiting in self.waiting.remove(&news.jti).unwrap_or_default() {
                let _ = waiting.try_send(news.clone());
            }
        } else if let Some(waiting) = self.waiting.get(&news.jti) {
            // The last place is for the end.
            for waiting in waiting.iter().filter(|waiting| waiting.capacity() > 1) {
                let _ = waiting.try_send(news.clone());
            }
        }
    }

    fn key(&mut self) -> anyhow::Result<&SigningKey> {
        match &mut self.key {
            Some(key) => Ok(key),
            none => Ok(none.insert(key::take(&self.data_dir)?)),
        }
    }

    fn token(&mut self, claims: &Claims) -> anyhow::Result<String> {
        let token = jws::sign(self.key()?, claims)?;
        anyhow::ensure!(token.len() <= MAX_COMMAND, "it is longer than any agent reads");
        Ok(token)
    }
}

impl Shell {
    /// Somebody asks for a command, and is told at once what becomes of it.
    pub(super) fn handle_asked(&mut self, asked: Asked) {
        let Asked { order, answer, news } = asked;
        let issued = self.issue(order);
        if let Ok(jti) = &issued {
            self.commands.wait(jti, news);
        }
        // Who has gone meanwhile finds it in the audit.
        let _ = answer.send(issued);
    }

    /// The one way to a command.
    pub(super) fn issue(&mut self, order: Order) -> Result<Box<str>, Refusal> {
        let Order { agent, who, command, valid } = order;
        let status = self.fleet.status(&agent);
        let known = Known {
            agent: self.fleet.view(&agent).is_some(),
            status: status.as_ref(),
            broker: self.link.trouble(),
            store: self.commits.failing(),
        };
        admit(&agent, known)?;
        self.commands.key().map_err(|error| Refusal::Key(format!("{error:#}")))?;
        let random = getrandom::u64().map_err(|error| Refusal::Key(format!("no random bytes: {error}")))?;
        Ok(self.commands.core.issue(Ask { agent, who, command, valid, random }, self.clock.now())?)
    }

    pub(super) fn perform_command(&mut self, effect: Effect, now: Now) {
        match effect {
            Effect::Store(row) => self.commits.command(*row),
            Effect::Publish { claims, expiry } => {
                if let Some((claims, expiry)) = self.streams.hold(claims, expiry, now) {
                    self.publish_command(&claims, expiry, now);
                }
            }
            Effect::Tell(news) => {
                if news.state.is_final() {
                    self.metrics.commanded(news.state);
                }
                self.streams.core.handle_news(&news, now);
                self.commands.tell(&news);
            }
        }
    }

    pub(super) fn publish_command(&mut self, claims: &Claims, expiry: Duration, now: Now) {
        if let Err(error) = self.send(claims, expiry) {
            self.commands.core.handle_unsent(&claims.jti, &format!("bridge-trouble: it was not sent: {error:#}"), now);
        }
    }

    fn send(&mut self, claims: &Claims, expiry: Duration) -> anyhow::Result<()> {
        let message = Message {
            topic: self.prefix.topic(&claims.aud, &Channel::Command),
            payload: self.commands.token(claims)?.into(),
            retain: false,
            qos: Qos::AtLeastOnce,
            content_type: Some("application/jose"),
            // Whole seconds, and not fewer than are left: the agent looks at the claims.
            expiry: Some(Duration::from_secs(expiry.as_secs() + 1)),
        };
        anyhow::ensure!(
            self.link.send(claims.jti.as_str().into(), message),
            "the bridge is not connected to the broker"
        );
        info!("{}: {} by {:?}, command {}", claims.aud, claims.cmd.word(), claims.sub, claims.jti);
        Ok(())
    }

    /// The broker has answered a command.
    pub(super) fn handle_command_delivered(&mut self, jti: &str, outcome: Delivery) {
        let reason = match outcome {
            Delivery::Accepted => return,
            Delivery::NoSubscriber => {
                "agent-away: no agent listens for it: commands are not enabled there, or it is away".to_owned()
            }
            Delivery::Refused(text) => {
                warn!("the broker refuses a command: {text}; check its access rules");
                format!("bridge-trouble: the broker refuses it: {text}; check its access rules")
            }
        };
        self.commands.core.handle_unsent(jti, &reason, self.clock.now());
    }
}
