//! The one event loop, which owns all state: it feeds the fleet and the relay with what comes from the broker,
//! the store, the server and the clock, and performs what they ask for. It decides nothing that they can decide.
//!
//! The way of a message: the broker → the fleet → the next transaction ([`commits`]) → its acknowledgement. The way
//! to the server: the fleet says that an agent changed → the relay says when and what → one request at a time.

use std::sync::Arc;
use std::time::Duration;

use radar_link::mqtt::{Delivery, Message, Notice, Qos, Received, Session};
use radar_link::tasks::Owned;
use radar_link::time::{Clock, Now};
use radar_wire::topic::{AgentId, Channel, Prefix};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::commanding::Commanding;
use crate::control;
use crate::fleet::{self, Fleet, Limits};
use crate::http::{Question, api};
use crate::instance::Instance;
use crate::metrics::{ApiMetrics, Metrics};
use crate::relay::{Outcome, Relay, RequestId};
use crate::settings::Settings;
use crate::store::{self, CommitError, Store, Tidied};
use crate::upstream::Upstream;
use announcer::Announcer;
use commands::Commands;
use commits::{Commits, Durable};
use link::Link;
use relaying::Relaying;
use streams::Streams;

mod accounts;
mod announcer;
mod answers;
mod commands;
mod commits;
mod ending;
mod inboxes;
mod link;
mod relaying;
mod report;
mod streams;

pub(crate) use inboxes::Inboxes;

/// How long the broker keeps the bridge's session, and with it what agents publish while the bridge is away.
const SESSION_EXPIRY: Duration = Duration::from_secs(24 * 60 * 60);
/// Messages on their way into the store. The broker's own limit (`max_inflight_messages`, 20 for Mosquitto) counts where
/// it is smaller.
const RECEIVE_MAX: u16 = 1000;
/// Larger than the largest packed snapshot with its topic.
const MAX_PACKET: u32 = 2 * 1024 * 1024;
/// Requests for events on their way.
const WINDOW: u16 = 100;
/// Between two slices of the clean-up while there is more, and when there is none.
const TIDY_MORE: Duration = Duration::from_secs(2);
const TIDY_AGAIN: Duration = Duration::from_secs(10 * 60);

/// The event loop and all that it owns.
pub(crate) struct Shell {
    /// Held for as long as the store is open.
    instance: Instance,
    clock: Clock,
    prefix: Prefix,
    broker: String,
    inboxes: Inboxes,
    fleet: Fleet,
    link: Link,
    store: Store,
    commits: Commits,
    relaying: Option<Relaying>,
    commands: Commands,
    streams: Streams,
    announcer: Announcer,
    metrics: Metrics,
    tidying: Option<Owned<Result<Tidied, CommitError>>>,
    tidy_at: Duration,
}

/// What came first.
enum Input {
    Notice(Notice),
    Committed(Result<store::Committed, CommitError>),
    Answered(RequestId, Outcome),
    Asked(Question),
    Control(control::Question),
    Api(api::Question),
    Left,
    Tidied(Result<Tidied, CommitError>),
    Time,
    Stop,
}

impl Shell {
    /// Opens the store and starts the session at the broker.
    ///
    /// # Errors
    /// What cannot be opened, or is set wrongly.
    pub(crate) fn open(settings: &Settings, inboxes: Inboxes) -> anyhow::Result<Self> {
        let clock = Clock::start();
        let instance = Instance::take(&settings.data_dir)?;
        let upstream = settings.upstream.as_ref().map(|upstream| Upstream::new(&upstream.url)).transpose()?;
        let (store, restored) = Store::open(&settings.database(), settings.keep)?;
        let fleet = Fleet::restore(Limits { agents: settings.max_agents }, restored.agents);
        let (origin, last) = (restored.origin.clone(), restored.last_command.as_deref());
        let commanding = Commanding::new(origin, restored.commands, last, clock.now());
        let relaying = match (&settings.upstream, upstream) {
            (Some(set), Some(upstream)) => {
                let relay = accounts::relay_settings(set, restored.origin)?;
                let names = relay.login.is_some();
                let relay = Relay::new(relay, accounts::restored(restored.upstreams, &set.url));
                info!("agents are relayed to {}", set.url);
                Some(Relaying { relay, upstream, server: set.url.as_str().into(), request: None, names })
            }
            _ => {
                info!("no upstream is set (SERVER_URL): agents are kept here and relayed to nobody");
                None
            }
        };
        let subscriptions =
            ["status", "snapshot", "event", "enroll", "outcome"].map(|channel| settings.prefix.filter(channel));
        let link = Link::new(
            Session::start(
                radar_link::mqtt::Settings {
                    clean_start: false,
                    session_expiry: SESSION_EXPIRY,
                    receive_max: RECEIVE_MAX,
                    max_incoming_packet: MAX_PACKET,
                    window: WINDOW,
                    manual_acks: true,
                    subscriptions: subscriptions.to_vec(),
                    ..settings.session()
                },
                Box::new(|_| None),
            )?,
            subscriptions.to_vec(),
        );
        let metrics = Metrics::new(relaying.is_some());
        let mut shell = Self {
            instance,
            clock,
            prefix: settings.prefix.clone(),
            broker: settings.mqtt.mqtt_url.to_string(),
            fleet,
            link,
            commits: Commits::new(store.clone()),
            store,
            relaying,
            commands: Commands::new(commanding, &settings.data_dir),
            streams: Streams::new(Arc::clone(&inboxes.left)),
            inboxes,
            announcer: Announcer::default(),
            metrics,
            tidying: None,
            tidy_at: TIDY_MORE,
        };
        shell.remember();
        Ok(shell)
    }

    /// What is counted of the HTTP API.
    pub(crate) fn api_metrics(&self) -> ApiMetrics {
        self.metrics.api()
    }

    /// Works until `stop`, then ends what is under way.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            self.settle();
            match self.next(&stop).await {
                Input::Notice(notice) => self.handle_notice(notice),
                Input::Committed(result) => self.handle_committed(result),
                Input::Answered(id, outcome) => self.handle_answer(id, outcome),
                Input::Asked(question) => self.answer(question),
                Input::Control(question) => self.handle_control(question),
                Input::Api(question) => self.handle_question(question),
                Input::Left => self.handle_left(),
                Input::Tidied(result) => self.handle_tidied(result),
                Input::Time => self.handle_time(),
                Input::Stop => break,
            }
        }
        self.finish().await;
        Ok(())
    }

    async fn next(&mut self, stop: &CancellationToken) -> Input {
        let open = self.commits.failing().is_none() && self.commits.depth() < 2 * usize::from(RECEIVE_MAX);
        let time = self.poll_timeout();
        let answered = async {
            match self.relaying.as_mut().and_then(|relaying| relaying.request.as_mut()) {
                Some((id, task)) => (*id, task.value().await),
                None => std::future::pending().await,
            }
        };
        let tidied = async {
            match &mut self.tidying {
                Some(task) => task.value().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => Input::Stop,
            result = self.commits.ended() => Input::Committed(result),
            notice = self.link.next(), if open => Input::Notice(notice),
            (id, outcome) = answered => Input::Answered(id, outcome),
            Some(question) = self.inboxes.questions.recv() => Input::Asked(question),
            Some(question) = self.inboxes.control.recv() => Input::Control(question),
            Some(question) = self.inboxes.api.recv() => Input::Api(question),
            () = self.streams.left() => Input::Left,
            result = tidied => Input::Tidied(result),
            () = self.clock.sleep_until(time) => Input::Time,
        }
    }

    fn poll_timeout(&self) -> Option<Duration> {
        [
            self.fleet.poll_timeout(),
            self.relaying.as_ref().and_then(|relaying| relaying.relay.poll_timeout()),
            self.commands.core.poll_timeout(),
            self.streams.core.poll_timeout(),
            self.commits.poll_timeout(),
            self.announcer.poll_timeout(),
            self.tidying.is_none().then_some(self.tidy_at),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn handle_time(&mut self) {
        let now = self.clock.now();
        self.fleet.handle_timeout(now);
        if let Some(relaying) = &mut self.relaying {
            relaying.relay.handle_timeout(now);
        }
        self.commands.core.handle_timeout(now);
        self.streams.core.handle_timeout(now);
        self.commits.handle_timeout(now.mono);
        while let Some(id) = self.announcer.next_due(now.mono) {
            if let Some(view) = self.fleet.view(&id) {
                self.announcer.say(&view);
            }
        }
        if self.tidying.is_none() && self.tidy_at <= now.mono {
            let store = self.store.clone();
            self.tidying = Some(Owned::spawn(async move { store.tidy(now.wall).await }));
        }
    }

    fn handle_tidied(&mut self, result: Result<Tidied, CommitError>) {
        self.tidying = None;
        let more = match result {
            Ok(tidied) => tidied.more,
            Err(error) => {
                warn!("old events cannot be removed: {error}");
                false
            }
        };
        self.tidy_at = self.clock.now().mono + if more { TIDY_MORE } else { TIDY_AGAIN };
    }

    fn handle_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Connected { session_present, .. } => {
                self.link.handle_connected(&self.broker);
                self.metrics.connected();
                self.fleet.handle_connected(session_present, self.clock.now());
            }
            Notice::Disconnected { reason, retry_in } => {
                self.link.handle_disconnected(&reason, retry_in);
                self.streams.core.handle_lost();
            }
            Notice::Received(received) => self.handle_message(received),
            Notice::Delivered { key, outcome } => {
                match (self.link.delivered(key), outcome) {
                    (Some(jti), outcome) => self.handle_command_delivered(&jti, outcome),
                    (None, Delivery::Refused(text)) => {
                        warn!("the broker refuses a request for events: {text}; check its access rules");
                    }
                    (None, Delivery::Accepted | Delivery::NoSubscriber) => {}
                }
                self.link.flush();
            }
            Notice::Subscribed { filter } if !self.link.needs(&filter) => self.handle_topic(&filter, None),
            Notice::Subscribed { filter } => self.link.handle_subscribed(filter),
            Notice::SubscriptionRefused { filter, reason } if !self.link.needs(&filter) => {
                self.handle_topic(&filter, Some(&reason));
            }
            Notice::SubscriptionRefused { filter, reason } => self.link.handle_refused(&filter, &reason),
        }
    }

    fn handle_message(&mut self, received: Received) {
        let Received { topic, payload, retain, content_type, ack } = received;
        match self.prefix.parse(&topic) {
            Ok((agent, channel)) => {
                let (now, content_type) = (self.clock.now(), content_type.as_deref());
                if !self.handle_streamed(&agent, &channel, content_type, &payload, now) {
                    self.fleet.handle_message(&agent, &channel, content_type, &payload, retain, now);
                }
                if channel == Channel::Snapshot
                    && let Some(view) = self.fleet.view(&agent).filter(|view| view.containers.is_some())
                {
                    self.announcer.handle_agent(&view, true, now.mono);
                }
            }
            Err(error) => {
                self.metrics.foreign();
                debug!("dropped: {error}");
            }
        }
        if let Some(token) = ack {
            self.commits.acknowledge(token);
        }
    }

    fn handle_control(&mut self, question: control::Question) {
        match question {
            control::Question::Command(asked) => self.handle_asked(asked),
            control::Question::Forget { agent, who, answer } => {
                // Who has gone meanwhile sees it in the store.
                let _ = answer.send(self.forget(&agent, &who));
            }
        }
    }

    /// Forgets an agent, unless something of it may still wait at the broker and would bring it back.
    fn forget(&mut self, agent: &AgentId, who: &str) -> Result<(), String> {
        if let Some(trouble) = self.link.trouble().or(self.commits.failing()) {
            return Err(format!("{trouble}; purge again when that is over"));
        }
        info!("{agent}: to be purged, by {who}");
        self.fleet.purge(agent);
        Ok(())
    }

    fn handle_committed(&mut self, result: Result<store::Committed, CommitError>) {
        let was_failing = self.commits.failing().is_some();
        if result.is_err() {
            self.metrics.commit_failed();
        }
        match self.commits.handle_ended(result, self.clock.now().mono) {
            Ok(durable) => {
                if was_failing && self.commits.failing().is_none() {
                    info!("the database takes commits again");
                }
                if let Some(durable) = durable {
                    self.handle_durable(durable);
                }
            }
            Err(text) => error!("{text}; nothing is taken from the broker until it succeeds"),
        }
    }

    fn handle_durable(&mut self, durable: Durable) {
        if let Some((committed, took)) = durable.committed {
            self.metrics.committed(committed.stored, committed.duplicates, took);
            self.inboxes.committed.send_replace(());
        }
        for token in durable.tokens {
            self.link.session().ack(token);
        }
        let now = self.clock.now();
        for jti in durable.commands {
            self.commands.core.handle_stored(&jti, now);
        }
        if let Some(relaying) = &mut self.relaying {
            for agent in durable.accounts {
                relaying.relay.handle_stored(&agent, true, now);
            }
        }
    }

    /// Performs what the cores ask for, until they ask for nothing, and starts the next transaction.
    fn settle(&mut self) {
        let now = self.clock.now();
        loop {
            if let Some(effect) = self.fleet.next_effect() {
                self.perform(effect, now);
            } else if let Some(effect) = self.relaying.as_mut().and_then(|relaying| relaying.relay.next_effect()) {
                self.perform_for_relay(effect, now);
            } else if let Some(effect) = self.commands.core.next_effect() {
                self.perform_command(effect, now);
            } else if let Some(effect) = self.streams.core.next_effect() {
                self.perform_following(effect, now);
            } else if self.commits.is_busy() {
                break;
            } else if let Some(durable) = self.commits.start(self.fleet.take_writes(), now.mono) {
                self.handle_durable(durable);
            } else {
                break;
            }
        }
        while let Some(line) = self.announcer.next_line() {
            info!("{line}");
        }
    }

    fn perform(&mut self, effect: fleet::Effect, now: Now) {
        match effect {
            fleet::Effect::Publish { agent, channel, payload, expiry } => self.link.publish(Message {
                topic: self.prefix.topic(&agent, &channel),
                payload: payload.bytes.into(),
                retain: false,
                qos: Qos::AtLeastOnce,
                content_type: Some(payload.content_type.as_str()),
                expiry: Some(expiry),
            }),
            fleet::Effect::Touched { agent, changed } => self.touched(&agent, changed, now),
            fleet::Effect::Forgotten { agent } => {
                self.announcer.forget(&agent);
                self.commits.forget(&agent);
                if let Some(relaying) = &mut self.relaying {
                    relaying.relay.handle_purged(&agent, now);
                }
            }
            fleet::Effect::Enroll { agent, enroll } => self.enroll(&agent, enroll, now),
            fleet::Effect::Outcome { agent, outcome } => self.commands.core.handle_outcome(&agent, *outcome, now),
            fleet::Effect::Complaint { agent, channel, text } => warn!("{agent}: its {channel} was dropped: {text}"),
        }
    }

    fn touched(&mut self, agent: &AgentId, changed: bool, now: Now) {
        if let Some(view) = self.fleet.view(agent) {
            self.announcer.handle_agent(&view, false, now.mono);
        }
        self.tell_relay(agent, changed, now);
    }

    /// What the store knew: the relay starts with it, and the log need not say it.
    fn remember(&mut self) {
        let now = self.clock.now();
        let views: Vec<_> = self.fleet.views().collect();
        for view in &views {
            self.announcer.know(view);
            self.tell_relay(&view.id, false, now);
        }
        if !views.is_empty() {
            info!("known from before: {} agents", views.len());
        }
    }
}
