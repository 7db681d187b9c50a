//! Between the agents' streams and who follows them: what comes on their topics, and what is held for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use radar_link::time::Now;
use radar_wire::codec::decode;
use radar_wire::command::{Claims, Command};
use radar_wire::topic::{AgentId, Channel};
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::Shell;
use crate::asking::{AskedStream, Follower};
use crate::commanding::{Order, VALID};
use crate::following::{Effect, Following, Item};

/// The streams and their followers.
pub(super) struct Streams {
    pub(super) core: Following,
    followers: BTreeMap<Box<str>, Follower>,
    /// Commands that wait for their topic, and until when they are worth something.
    held: BTreeMap<Box<str>, (Box<Claims>, Duration)>,
    /// Notified when a follower goes.
    left: Arc<Notify>,
}

impl Streams {
    pub(super) fn new(left: Arc<Notify>) -> Self {
        Self { core: Following::default(), followers: BTreeMap::new(), held: BTreeMap::new(), left }
    }

    /// Waits until a follower goes. Cancel-safe.
    pub(super) async fn left(&self) {
        self.left.notified().await;
    }

    /// Keeps a command that is not to be sent yet; gives back one that is.
    pub(super) fn hold(&mut self, claims: Box<Claims>, expiry: Duration, now: Now) -> Option<(Box<Claims>, Duration)> {
        if self.core.may_send(&claims.jti) {
            return Some((claims, expiry));
        }
        self.held.insert(claims.jti.as_str().into(), (claims, now.mono + expiry));
        None
    }
}

impl Shell {
    /// Somebody asks for a stream, and is told at once what becomes of it.
    pub(super) fn handle_stream_asked(&mut self, asked: AskedStream) {
        let AskedStream { order, kind, answer, follower } = asked;
        if !self.streams.core.has_room() {
            let _ = answer.send(None);
            return;
        }
        let (agent, who) = (order.agent.clone(), order.who.clone());
        let issued = self.issue(order);
        if let Ok(jti) = &issued {
            self.streams.core.open(jti.clone(), agent, who, kind, self.clock.now());
            self.streams.followers.insert(jti.clone(), follower);
        }
        // Who has gone meanwhile has left its stream too.
        let _ = answer.send(Some(issued));
    }

    /// Ends the streams whose followers have gone.
    pub(super) fn handle_left(&mut self) {
        let gone = self.streams.followers.iter().filter(|(_, follower)| follower.is_gone());
        for stream in gone.map(|(stream, _)| stream.clone()).collect::<Vec<_>>() {
            self.streams.followers.remove(&stream);
            self.streams.core.handle_gone(&stream);
        }
    }

    /// What an agent publishes for those who follow it; true when it is that.
    pub(super) fn handle_streamed(
        &mut self,
        agent: &AgentId,
        channel: &Channel,
        content_type: Option<&str>,
        payload: &[u8],
        now: Now,
    ) -> bool {
        let handled = match channel {
            Channel::Log(jti) => {
                decode(content_type, payload).map(|chunk| self.streams.core.handle_chunk(agent, jti, chunk, now))
            }
            Channel::Stats => decode(content_type, payload).map(|stats| self.streams.core.handle_stats(agent, stats)),
            _ => return false,
        };
        if let Err(error) = handled {
            debug!("{agent}: its {channel} was dropped: {error}");
        }
        true
    }

    /// The broker has answered the subscription to an agent's topic.
    pub(super) fn handle_topic(&mut self, topic: &str, refused: Option<&str>) {
        let Ok((agent, channel)) = self.prefix.parse(topic) else { return };
        match refused {
            None => self.streams.core.handle_subscribed(agent, channel),
            Some(reason) => {
                warn!("the broker refuses the subscription to {topic}: {reason}");
                self.streams.core.handle_refused(agent, channel, reason);
            }
        }
    }

    pub(super) fn perform_following(&mut self, effect: Effect, now: Now) {
        match effect {
            Effect::Subscribe(agent, channel) => {
                let topic = self.prefix.topic(&agent, &channel);
                if let Err(error) = self.link.session().subscribe(&topic) {
                    self.streams.core.handle_refused(agent, channel, &error.to_string());
                }
            }
            Effect::Unsubscribe(agent, channel) => {
                let topic = self.prefix.topic(&agent, &channel);
                self.link.session().unsubscribe(&topic);
            }
            Effect::Send(jti) => {
                if let Some((claims, until)) = self.streams.held.remove(&jti) {
                    self.publish_command(&claims, until.saturating_sub(now.mono), now);
                }
            }
            Effect::Unsent { jti, reason } => {
                self.streams.held.remove(&jti);
                self.commands.core.handle_unsent(&jti, &reason, now);
            }
            Effect::Alive(jti) => self.commands.core.handle_sign_of_life(&jti, now),
            Effect::Give { stream, item } => self.give(&stream, item),
            Effect::Renew { stream, agent, who, command } => {
                match self.issue(Order { agent, who, command, valid: VALID }) {
                    Ok(jti) => self.streams.core.handle_renewed(&stream, jti, now),
                    Err(refusal) => self.streams.core.handle_not_renewed(&stream, &refusal.to_string()),
                }
            }
            Effect::Cancel { agent, who, jti } => {
                let order = Order { agent, who, command: Command::Cancel { jti }, valid: VALID };
                if let Err(refusal) = self.issue(order) {
                    debug!("a stream is not ended at its agent: {refusal}");
                }
            }
        }
    }

    fn give(&mut self, stream: &str, item: Item) {
        let is_end = matches!(item, Item::End { .. });
        let taken = self.streams.followers.get(stream).is_some_and(|follower| follower.give(item));
        if is_end || !taken {
            self.streams.followers.remove(stream);
            self.streams.held.remove(stream);
        }
        if !taken && !is_end {
            self.streams.core.handle_gone(stream);
        }
    }
}
