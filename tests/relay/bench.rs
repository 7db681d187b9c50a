//! A shell for the relay alone: its calls go to the double over HTTP, its time jumps to whatever it waits for, so
//! that hours of it pass in a moment. It would perform many calls at once if the relay asked for many.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use radar_bridge::relay::{
    Condition, Effect, Enrollment, LoginCondition, Outcome, Relay, RelaySettings, RequestId, Seen, ServerCondition,
    ServerContainer,
};
use radar_bridge::upstream::Upstream;
use radar_link::secret::Secret;
use radar_link::time::Now;
use radar_tests::server::Server;
use radar_wire::topic::AgentId;

/// The relay, its shell, and what became of both.
pub(crate) struct Bench {
    pub(crate) relay: Relay,
    pub(crate) upstream: Upstream,
    pub(crate) now: Now,
    pub(crate) lists: BTreeMap<AgentId, Option<Vec<ServerContainer>>>,
    /// What outlives the bridge.
    pub(crate) stored: BTreeMap<AgentId, Enrollment>,
    pub(crate) conditions: Vec<(AgentId, Condition)>,
    pub(crate) server_conditions: Vec<ServerCondition>,
    pub(crate) login_conditions: Vec<LoginCondition>,
    /// Every effect as a log would print it.
    pub(crate) printed: String,
    /// When the heartbeats went out, in the relay's own time.
    pub(crate) beats: Vec<Duration>,
    flying: FuturesUnordered<BoxFuture<'static, (RequestId, Outcome)>>,
}

pub(crate) fn id(text: &str) -> AgentId {
    text.parse().unwrap()
}

pub(crate) fn container(number: usize, status: &str) -> ServerContainer {
    ServerContainer {
        // The digits that differ come first, as in an engine's ids.
        id: format!("{number:064x}").chars().rev().collect(),
        name: format!("c{number}"),
        image: "registry.example.org:5000/team/app".to_owned(),
        tag: "1.25".to_owned(),
        status: status.to_owned(),
        created: Some(1_700_000_000_000),
    }
}

pub(crate) fn containers(count: usize) -> Vec<ServerContainer> {
    (0..count).map(|number| container(number, "running")).collect()
}

impl Bench {
    pub(crate) fn new(server: &Server) -> Self {
        Self::with(server, RelaySettings::default(), BTreeMap::new())
    }

    pub(crate) fn with(server: &Server, settings: RelaySettings, stored: BTreeMap<AgentId, Enrollment>) -> Self {
        Self {
            relay: Relay::new(settings, stored.clone()),
            upstream: Upstream::new(&server.url()).unwrap(),
            now: Now { mono: Duration::ZERO, wall: 1_700_000_000_000 },
            lists: BTreeMap::new(),
            stored,
            conditions: Vec::new(),
            server_conditions: Vec::new(),
            login_conditions: Vec::new(),
            printed: String::new(),
            beats: Vec::new(),
            flying: FuturesUnordered::new(),
        }
    }

    /// The bridge is started again with what was stored.
    pub(crate) fn restarted(self, server: &Server, settings: RelaySettings) -> Self {
        let mut bench = Self::with(server, settings, self.stored);
        bench.lists = self.lists;
        bench
    }

    /// One agent, enrolled by the token that it brings, online with these containers.
    pub(crate) async fn one(server: &Server, list: Vec<ServerContainer>) -> (Self, String) {
        let (upstream, token) = server.create_agent("pi");
        let mut bench = Self::new(server);
        bench.enroll("pi", &upstream, &token);
        bench.online("pi", Some(list));
        bench.run(Duration::from_secs(1)).await;
        (bench, upstream)
    }

    pub(crate) fn enroll(&mut self, agent: &str, upstream: &str, token: &str) {
        self.relay.handle_enroll_token(&id(agent), upstream.parse().unwrap(), Secret::new(token), self.now);
    }

    pub(crate) fn online(&mut self, agent: &str, list: Option<Vec<ServerContainer>>) {
        self.lists.insert(id(agent), list);
        self.seen(agent, true, false);
    }

    pub(crate) fn changed(&mut self, agent: &str, list: Vec<ServerContainer>) {
        self.lists.insert(id(agent), Some(list));
        self.seen(agent, true, true);
    }

    pub(crate) fn seen(&mut self, agent: &str, online: bool, changed: bool) {
        self.relay.handle_agent(&id(agent), Seen { online, name: agent, changed }, self.now);
    }

    /// Lets this much of the relay's time pass.
    pub(crate) async fn run(&mut self, time: Duration) {
        let end = self.now.mono + time;
        loop {
            self.perform();
            if let Some((request, outcome)) = self.flying.next().await {
                self.relay.handle_outcome(request, outcome, self.now);
                continue;
            }
            match self.relay.poll_timeout().filter(|due| *due <= end) {
                Some(due) => {
                    self.jump(due.max(self.now.mono));
                    self.relay.handle_timeout(self.now);
                }
                None => return self.jump(end),
            }
        }
    }

    fn jump(&mut self, mono: Duration) {
        self.now.wall += i64::try_from((mono - self.now.mono).as_millis()).unwrap();
        self.now.mono = mono;
    }

    fn perform(&mut self) {
        while let Some(effect) = self.relay.next_effect() {
            self.printed += &format!("{effect:?}\n");
            match effect {
                Effect::Request(request) => {
                    if matches!(request.call, radar_bridge::relay::Call::Beat { .. }) {
                        self.beats.push(self.now.mono);
                    }
                    let upstream = self.upstream.clone();
                    let performed = async move { (request.id, upstream.perform(request.call).await) };
                    self.flying.push(Box::pin(performed));
                }
                Effect::List(agent) => {
                    let list = self.lists.get(&agent).cloned().flatten();
                    self.relay.handle_list(&agent, list, self.now);
                }
                Effect::Store(agent, enrollment) => {
                    self.stored.insert(agent.clone(), enrollment);
                    self.relay.handle_stored(&agent, true, self.now);
                }
                Effect::Agent(agent, condition) => {
                    self.printed += &format!("{agent}: {condition}\n");
                    self.conditions.push((agent, condition));
                }
                Effect::Server(condition) => {
                    self.printed += &format!("{condition}\n");
                    self.server_conditions.push(condition);
                }
                Effect::Login(condition) => {
                    self.printed += &format!("{condition}\n");
                    self.login_conditions.push(condition);
                }
            }
        }
    }

    pub(crate) fn condition(&self, agent: &str) -> Condition {
        self.relay.agent(&id(agent)).unwrap().condition.clone()
    }

    pub(crate) fn server_condition(&self) -> ServerCondition {
        self.relay.server(self.now).condition.clone()
    }
}
