//! The streams that people follow: logs and samples, from an agent's topic to the one who asked. A pure core: what
//! agents publish, what the broker grants and how commands go comes in; what to subscribe to, which command may go, and
//! what each follower is given ([`Following::next_effect`]) comes out. It holds no queue: who cannot take what it is
//! given is gone ([`Following::handle_gone`]).
//!
//! The way of a stream: its topic is subscribed to before its command is sent; each chunk is given once and in order,
//! and a hole is told; it ends with the agent's last chunk and the command's outcome, or when its follower leaves,
//! which ends it at the agent too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use radar_link::time::Now;
use radar_wire::command::{Command, LogChunk, LogPiece};
use radar_wire::stats::Stats;
use radar_wire::topic::{AgentId, Channel};

use crate::commanding::{News, State};

/// Streams at a time.
pub const MOST: usize = 32;
/// For how many seconds samples are asked for at a time, and how long after that they are asked for again.
const SECONDS: u32 = 60;
const RENEW: Duration = Duration::from_secs(45);
/// How long the last chunk and the outcome may be apart.
const CLOSING: Duration = Duration::from_secs(5);

/// All streams.
#[derive(Debug, Default)]
pub struct Following {
    /// By the name of the command that opened them.
    streams: BTreeMap<Box<str>, Stream>,
    granted: BTreeSet<Topic>,
    effects: VecDeque<Effect>,
}

type Topic = (AgentId, Channel);

#[derive(Debug)]
struct Stream {
    topic: Topic,
    who: Box<str>,
    kind: Kind,
    /// The command that it lives on; of samples the last of several.
    command: Box<str>,
    sending: Sending,
    taken: bool,
    /// The number of the next chunk.
    next: u64,
    /// Why the last chunk says that it ends.
    end: Option<Box<str>>,
    outcome: Option<State>,
    due: Option<Duration>,
}

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A container's log.
    Log,
    /// Samples, with so many seconds between them, or as the agent likes.
    Stats(Option<u32>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// It is not ready to be sent.
    Not,
    /// It waits for the topic.
    Held,
    Sent,
}

/// What a follower is given.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// The agent has taken the command.
    Taken,
    /// A piece of a log.
    Pieces(Vec<LogPiece>),
    /// So many chunks of a log never came.
    Lost(u64),
    /// A sample.
    Sample(Arc<Stats>),
    /// Nothing more comes.
    End {
        /// Why: a word of the agent for a log that has ended (`end`, `limit`, …), or what went wrong.
        reason: Box<str>,
        /// How the command has ended, as far as is known.
        state: State,
    },
}

/// What the shell is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Subscribe to an agent's topic.
    Subscribe(AgentId, Channel),
    /// End the subscription.
    Unsubscribe(AgentId, Channel),
    /// The command that waited for its topic may go.
    Send(Box<str>),
    /// A command is not to be sent any more.
    Unsent {
        /// The command.
        jti: Box<str>,
        /// Why not.
        reason: String,
    },
    /// An agent does what a command asks for.
    Alive(Box<str>),
    /// Give it to the follower; nothing comes after an end.
    Give {
        /// The stream.
        stream: Box<str>,
        /// What.
        item: Item,
    },
    /// Have the agent go on, and say by which command ([`Following::handle_renewed`]).
    Renew {
        /// The stream.
        stream: Box<str>,
        /// Whom to ask.
        agent: AgentId,
        /// For whom.
        who: Box<str>,
        /// What.
        command: Command,
    },
    /// Have the agent end what a command has begun.
    Cancel {
        /// Whom to ask.
        agent: AgentId,
        /// For whom.
        who: Box<str>,
        /// The command.
        jti: Box<str>,
    },
}

/// The command that asks for samples.
#[must_use]
pub fn stats(interval: Option<u32>) -> Command {
    Command::Stats { seconds: SECONDS, interval }
}

impl Following {
    /// Whether there is room for one more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.streams.len() < MOST
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.streams.len()
    }

    /// Somebody follows what the command `jti` asks for, which has not been sent.
    pub fn open(&mut self, jti: Box<str>, agent: AgentId, who: Box<str>, kind: Kind, now: Now) {
        let channel = match kind {
            Kind::Log => Channel::Log(jti.clone()),
            Kind::Stats(_) => Channel::Stats,
        };
        let topic = (agent, channel);
        if !self.granted.contains(&topic) {
            self.effects.push_back(Effect::Subscribe(topic.0.clone(), topic.1.clone()));
        }
        let stream = Stream {
            topic,
            who,
            kind,
            command: jti.clone(),
            sending: Sending::Not,
            taken: false,
            next: 0,
            end: None,
            outcome: None,
            due: matches!(kind, Kind::Stats(_)).then(|| now.mono + RENEW),
        };
        self.streams.insert(jti, stream);
    }

    /// Whether a command that is ready may be sent; if not, [`Effect::Send`] tells when.
    pub fn may_send(&mut self, jti: &str) -> bool {
        let Some(stream) = self.streams.values_mut().find(|stream| &*stream.command == jti) else { return true };
        let granted = self.granted.contains(&stream.topic);
        stream.sending = if granted { Sending::Sent } else { Sending::Held };
        granted
    }

    /// The broker has granted a topic.
    pub fn handle_subscribed(&mut self, agent: AgentId, channel: Channel) {
        let topic = (agent, channel);
        let mut wanted = false;
        for stream in self.streams.values_mut().filter(|stream| stream.topic == topic) {
            wanted = true;
            if stream.sending == Sending::Held {
                stream.sending = Sending::Sent;
                self.effects.push_back(Effect::Send(stream.command.clone()));
            }
        }
        if wanted {
            self.granted.insert(topic);
        } else {
            self.effects.push_back(Effect::Unsubscribe(topic.0, topic.1));
        }
    }

    /// The broker does not grant a topic: the end of its commands ends the streams.
    pub fn handle_refused(&mut self, agent: AgentId, channel: Channel, reason: &str) {
        let topic = (agent, channel);
        for stream in self.streams.values().filter(|stream| stream.topic == topic) {
            let reason = format!("bridge-trouble: {reason}");
            self.effects.push_back(Effect::Unsent { jti: stream.command.clone(), reason });
        }
    }

    /// The connection to the broker is gone, and what agents publish meanwhile may be lost.
    pub fn handle_lost(&mut self) {
        self.granted.clear();
        for name in self.streams.keys().cloned().collect::<Vec<_>>() {
            let unsent = self.streams.get(&name).filter(|stream| stream.sending != Sending::Sent);
            if let Some(stream) = unsent {
                let reason = "bridge-trouble: link lost".to_owned();
                self.effects.push_back(Effect::Unsent { jti: stream.command.clone(), reason });
            } else {
                self.end(&name, "link lost".into(), State::Unknown);
            }
        }
    }

    /// A part of a log. One that nobody follows is left over from somebody who did.
    pub fn handle_chunk(&mut self, agent: &AgentId, jti: &str, chunk: LogChunk, now: Now) {
        let stream = self.streams.get_mut(jti).filter(|stream| stream.topic.0 == *agent && stream.kind == Kind::Log);
        let Some(stream) = stream else {
            self.effects.push_back(Effect::Unsubscribe(agent.clone(), Channel::Log(jti.into())));
            return;
        };
        let LogChunk { number, pieces, end } = chunk;
        if number < stream.next || stream.end.is_some() {
            return;
        }
        let give = |item| Effect::Give { stream: jti.into(), item };
        let lost = number - stream.next;
        stream.next = number.saturating_add(1);
        self.effects.push_back(Effect::Alive(stream.command.clone()));
        if lost > 0 {
            self.effects.push_back(give(Item::Lost(lost)));
        }
        if !pieces.is_empty() {
            self.effects.push_back(give(Item::Pieces(pieces)));
        }
        if end.is_some() {
            stream.end = end;
            self.close(jti, now);
        }
    }

    /// A sample of an agent.
    pub fn handle_stats(&mut self, agent: &AgentId, stats: Stats) {
        let stats = Arc::new(stats);
        let mut followed = false;
        for (name, stream) in &self.streams {
            if stream.topic.1 == Channel::Stats && stream.topic.0 == *agent {
                followed = true;
                self.effects.push_back(Effect::Alive(stream.command.clone()));
                let (stream, item) = (name.clone(), Item::Sample(Arc::clone(&stats)));
                self.effects.push_back(Effect::Give { stream, item });
            }
        }
        if !followed {
            self.effects.push_back(Effect::Unsubscribe(agent.clone(), Channel::Stats));
        }
    }

    /// How a command goes, if it is one of a stream.
    pub fn handle_news(&mut self, news: &News, now: Now) {
        let found = self.streams.iter_mut().find(|(_, stream)| stream.command == news.jti);
        let Some((name, stream)) = found else { return };
        let name = name.clone();
        if !news.state.is_final() {
            if !std::mem::replace(&mut stream.taken, true) {
                self.effects.push_back(Effect::Give { stream: name, item: Item::Taken });
            }
        } else if news.state != State::Succeeded {
            let reason = news.reason.clone().unwrap_or_else(|| news.state.as_str().into());
            self.end(&name, reason, news.state);
        } else if stream.kind == Kind::Log {
            stream.outcome = Some(news.state);
            self.close(&name, now);
        }
    }

    /// Samples go on by this command.
    pub fn handle_renewed(&mut self, stream: &str, jti: Box<str>, now: Now) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.command = jti;
            stream.sending = Sending::Not;
            stream.due = Some(now.mono + RENEW);
        }
    }

    /// Samples cannot go on.
    pub fn handle_not_renewed(&mut self, stream: &str, reason: &str) {
        self.end(stream, reason.into(), State::Failed);
    }

    /// The follower has left, or does not take what it is given.
    pub fn handle_gone(&mut self, name: &str) {
        let Some(stream) = self.remove(name) else { return };
        if stream.sending != Sending::Sent {
            let reason = "cancelled: who asked for it has left".to_owned();
            self.effects.push_back(Effect::Unsent { jti: stream.command, reason });
        } else if stream.end.is_none() && stream.outcome.is_none() {
            self.effects.push_back(Effect::Cancel { agent: stream.topic.0, who: stream.who, jti: stream.command });
        }
    }

    /// What is to be done next.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The monotonic time of the next [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.streams.values().filter_map(|stream| stream.due).min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        let due = |stream: &Stream| stream.due.is_some_and(|due| due <= now.mono);
        let due: Vec<_> = self.streams.iter().filter(|(_, it)| due(it)).map(|(name, _)| name.clone()).collect();
        for name in due {
            let Some(stream) = self.streams.get_mut(&name) else { continue };
            stream.due = None;
            if let Kind::Stats(interval) = stream.kind {
                let (agent, who, command) = (stream.topic.0.clone(), stream.who.clone(), stats(interval));
                self.effects.push_back(Effect::Renew { stream: name, agent, who, command });
            } else {
                let state = stream.outcome.unwrap_or(State::Unknown);
                let reason = stream.end.clone().unwrap_or_else(|| "its end did not come".into());
                self.end(&name, reason, state);
            }
        }
    }

    /// A log has ended when its last chunk and its command's outcome are there, in whatever order.
    fn close(&mut self, name: &str, now: Now) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        match (&stream.end, stream.outcome) {
            (Some(reason), Some(state)) => {
                let reason = reason.clone();
                self.end(name, reason, state);
            }
            _ => stream.due = Some(now.mono + CLOSING),
        }
    }

    fn end(&mut self, name: &str, reason: Box<str>, state: State) {
        if self.remove(name).is_some() {
            let (stream, item) = (name.into(), Item::End { reason, state });
            self.effects.push_back(Effect::Give { stream, item });
        }
    }

    /// Takes a stream out, and its topic with the last one that has it.
    fn remove(&mut self, name: &str) -> Option<Stream> {
        let stream = self.streams.remove(name)?;
        if !self.streams.values().any(|other| other.topic == stream.topic) {
            self.granted.remove(&stream.topic);
            let (agent, channel) = stream.topic.clone();
            self.effects.push_back(Effect::Unsubscribe(agent, channel));
        }
        Some(stream)
    }
}

#[cfg(test)]
mod tests;
