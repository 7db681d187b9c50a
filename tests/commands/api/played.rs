//! An agent that does what the test says.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use radar_link::jws::{self, PublicKey};
use radar_link::mqtt::{Delivery, Message, Notice, Qos, Session, Settings};
use radar_wire::codec::{Payload, encode};
use radar_wire::command::{Claims, LogChunk, LogPiece, MAX_COMMAND, Outcome, Progress};
use radar_wire::topic::{AgentId, Channel, Prefix};

use crate::{DEADLINE, Stage};

pub(super) struct Played {
    id: AgentId,
    session: Session,
    key: PublicKey,
    published: u64,
    commands: VecDeque<Claims>,
}

impl Played {
    pub(super) async fn connect(stage: &Stage, id: &str) -> Result<Self> {
        let id: AgentId = id.parse()?;
        // The bridge makes its key when it is first asked for a command; an agent is given it before.
        let (stop, key) = (stage.room.path().join("command.key"), stage.key());
        let key = key.with_context(|| stop.display().to_string())?;
        let settings = Settings {
            subscriptions: vec![Prefix::default().topic(&id, &Channel::Command)],
            window: 1000,
            ..Settings::new(stage.broker.url().parse()?, format!("played-{id}"))
        };
        let session = Session::start(settings, Box::new(|_| None))?;
        let mut played = Self { id, session, key, published: 0, commands: VecDeque::new() };
        while !matches!(played.notice().await?, Notice::Subscribed { .. }) {}
        Ok(played)
    }

    async fn notice(&mut self) -> Result<Notice> {
        let notice = tokio::time::timeout(DEADLINE, self.session.next()).await.context("nothing comes")?;
        if let Notice::Received(message) = &notice {
            self.commands.push_back(jws::verify(&[self.key], &message.payload, MAX_COMMAND)?);
        }
        Ok(notice)
    }

    /// The next command, verified.
    pub(super) async fn command(&mut self) -> Result<Claims> {
        loop {
            if let Some(claims) = self.commands.pop_front() {
                return Ok(claims);
            }
            self.notice().await?;
        }
    }

    /// Whether a command comes in this time.
    pub(super) async fn is_asked(&mut self, within: Duration) -> bool {
        tokio::time::timeout(within, self.command()).await.is_ok()
    }

    pub(super) async fn publish(&mut self, channel: &Channel, payload: &impl Payload) -> Result<Delivery> {
        let encoded = encode(payload)?;
        self.published += 1;
        self.session.publish(
            self.published,
            Message {
                topic: Prefix::default().topic(&self.id, channel),
                payload: encoded.bytes.into(),
                retain: false,
                qos: Qos::AtLeastOnce,
                content_type: Some(encoded.content_type.as_str()),
                expiry: None,
            },
        )?;
        loop {
            match self.notice().await? {
                Notice::Delivered { outcome, .. } => return Ok(outcome),
                Notice::Disconnected { reason, .. } => bail!("{reason}"),
                _ => {}
            }
        }
    }

    /// Says how a command goes: a state, and a reason after it.
    pub(super) async fn tell(&mut self, jti: &str, words: &str) -> Result<()> {
        let (state, reason) = words.split_once(' ').map_or((words, None), |(state, reason)| (state, Some(reason)));
        let result = (state == "succeeded").then(|| "done".into());
        let state = Progress::from(state.to_owned());
        let outcome = Outcome { jti: jti.into(), at: 7, state, reason: reason.map(Into::into), result };
        self.publish(&Channel::Outcome, &outcome).await.map(drop)
    }

    /// Publishes a part of a log, of both streams in turns.
    pub(super) async fn chunk(&mut self, jti: &str, number: u64, text: &str, end: Option<&str>) -> Result<Delivery> {
        let stream = if number.is_multiple_of(2) { "stdout" } else { "stderr" };
        let piece = LogPiece { stream: stream.into(), text: text.into() };
        let pieces = if text.is_empty() { Vec::new() } else { vec![piece] };
        let chunk = LogChunk { number, pieces, end: end.map(Into::into) };
        self.publish(&Channel::Log(jti.into()), &chunk).await
    }
}
