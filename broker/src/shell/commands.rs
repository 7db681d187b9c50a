//! Between who asks, the commands and the agents: what is asked over the control socket becomes a command, is signed
//! and sent, and who waits for it is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use radar_link::jws::{self, SigningKey};
use radar_link::mqtt::{Delivery, Message, Qos};
use radar_link::time::Now;
use radar_wire::command::{Claims, MAX_COMMAND};
use radar_wire::topic::Channel;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::Shell;
use crate::commanding::{Ask, Commanding, Effect};
use crate::control::{Asked, Reply};
use crate::key;

/// The commands and who waits for them.
pub(super) struct Commands {
    pub(super) core: Commanding,
    data_dir: PathBuf,
    /// Read when it is first needed.
    key: Option<SigningKey>,
    waiting: BTreeMap<Box<str>, mpsc::Sender<Reply>>,
}

impl Commands {
    pub(super) fn new(core: Commanding, data_dir: &Path) -> Self {
        Self { core, data_dir: data_dir.to_owned(), key: None, waiting: BTreeMap::new() }
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
        let replies = asked.replies.clone();
        // The channel is new, and has room.
        let _ = match self.issue(asked) {
            Ok(jti) => {
                let told = replies.try_send(Reply::Issued { jti: jti.clone() });
                self.commands.waiting.insert(jti, replies);
                told
            }
            Err(error) => replies.try_send(Reply::Refused { error: format!("{error:#}") }),
        };
    }

    fn issue(&mut self, asked: Asked) -> anyhow::Result<Box<str>> {
        let Asked { request, who, .. } = asked;
        let agent = request.agent;
        let known = self.fleet.view(&agent).is_some();
        anyhow::ensure!(known, "no agent {agent} is known; `radar-bridge agents` shows those that are");
        // An agent that never said what it can do may be one that can.
        let status = self.fleet.status(&agent);
        let takes = status.is_none_or(|status| status.can.iter().any(|word| &**word == "commands"));
        anyhow::ensure!(
            takes,
            "{agent} takes no commands: set AGENT_COMMAND_KEY on its host to what `radar-bridge key` prints, and DATA_DIR"
        );
        if let Some(trouble) = self.link.trouble() {
            anyhow::bail!("the bridge cannot send it: {trouble}");
        }
        if let Some(failing) = self.commits.failing() {
            anyhow::bail!("the bridge cannot store it: {failing}");
        }
        self.commands.key()?;
        let random = getrandom::u64().context("the system gives no random bytes")?;
        let valid = Duration::from_secs(request.valid);
        let ask = Ask { agent, who, command: request.cmd, valid, random };
        Ok(self.commands.core.issue(ask, self.clock.now())?)
    }

    pub(super) fn perform_command(&mut self, effect: Effect, now: Now) {
        match effect {
            Effect::Store(row) => self.commits.command(*row),
            Effect::Publish { claims, expiry } => {
                if let Err(error) = self.send(&claims, expiry) {
                    self.commands.core.handle_unsent(&claims.jti, &format!("it was not sent: {error:#}"), now);
                }
            }
            Effect::Tell(news) => {
                if news.state.is_final() {
                    self.metrics.commanded(news.state);
                    if let Some(replies) = self.commands.waiting.remove(&news.jti) {
                        // Who has gone meanwhile reads it in the audit.
                        let _ = replies.try_send(Reply::News(*news));
                    }
                } else if let Some(replies) = self.commands.waiting.get(&news.jti)
                    // The last place is for the end.
                    && replies.capacity() > 1
                {
                    let _ = replies.try_send(Reply::News(*news));
                }
            }
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
                "no agent listens for it: commands are not enabled there, or it is away".to_owned()
            }
            Delivery::Refused(text) => {
                warn!("the broker refuses a command: {text}; check its access rules");
                format!("the broker refuses it: {text}; check its access rules")
            }
        };
        self.commands.core.handle_unsent(jti, &reason, self.clock.now());
    }
}
