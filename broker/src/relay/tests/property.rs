//! Whatever comes in whatever order, the server is never asked for what would hurt it, and when all is well again
//! every agent is relayed again.

use proptest::prelude::*;

use super::*;

const AGENTS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Input {
    Presence(usize, bool),
    /// The number of containers; none when they are not known.
    List(usize, Option<usize>),
    Token(usize, u8),
    Stored(bool),
    Outcome(u8),
    Pass(u16),
    Purge(usize),
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let agent = 0..AGENTS.len();
    let input = prop_oneof![
        4 => (agent.clone(), any::<bool>()).prop_map(|(agent, online)| Input::Presence(agent, online)),
        4 => (agent.clone(), prop::option::weighted(0.9, 0..4_usize)).prop_map(|(agent, list)| Input::List(agent, list)),
        2 => (agent.clone(), 0..3_u8).prop_map(|(agent, token)| Input::Token(agent, token)),
        6 => prop::bool::weighted(0.8).prop_map(Input::Stored),
        12 => (0..20_u8).prop_map(Input::Outcome),
        4 => (0..400_u16).prop_map(Input::Pass),
        1 => agent.prop_map(Input::Purge),
    ];
    prop::collection::vec(input, 1..120)
}

/// The outside world, which watches what it is asked for.
struct World {
    relay: Relay,
    now: Now,
    online: BTreeMap<AgentId, bool>,
    lists: BTreeMap<AgentId, Option<usize>>,
    flight: Option<Request>,
    /// What the store was asked to keep and has not said anything of.
    asked: BTreeMap<AgentId, Enrollment>,
    durable: BTreeMap<AgentId, Enrollment>,
    beaten: BTreeMap<AgentId, u32>,
    secrets: u32,
}

impl World {
    fn new() -> Self {
        Self {
            relay: Relay::new(RelaySettings::default(), []),
            now: Now::default(),
            online: BTreeMap::new(),
            lists: BTreeMap::new(),
            flight: None,
            asked: BTreeMap::new(),
            durable: BTreeMap::new(),
            beaten: BTreeMap::new(),
            secrets: 0,
        }
    }

    fn input(&mut self, input: &Input) {
        let id = |number: usize| AGENTS[number].parse::<AgentId>().unwrap();
        match input {
            Input::Presence(agent, online) => {
                self.online.insert(id(*agent), *online);
                self.seen(&id(*agent), false);
            }
            Input::List(agent, list) => {
                self.lists.insert(id(*agent), *list);
                if self.online.contains_key(&id(*agent)) {
                    self.seen(&id(*agent), true);
                }
            }
            Input::Token(agent, token) => {
                let upstream = format!("up-{}", AGENTS[*agent]).parse().unwrap();
                self.relay.handle_enroll_token(&id(*agent), upstream, Secret::new(format!("t{token}")), self.now);
            }
            Input::Stored(durable) => {
                if let Some((agent, enrollment)) = self.asked.pop_first() {
                    if *durable {
                        self.durable.insert(agent.clone(), enrollment);
                    }
                    self.relay.handle_stored(&agent, *durable, self.now);
                }
            }
            Input::Outcome(number) => self.outcome(*number),
            Input::Pass(seconds) => {
                self.now.mono += Duration::from_secs(u64::from(*seconds));
                self.relay.handle_timeout(self.now);
            }
            Input::Purge(agent) => {
                self.asked.remove(&id(*agent));
                self.durable.remove(&id(*agent));
                self.online.remove(&id(*agent));
                self.relay.handle_purged(&id(*agent), self.now);
            }
        }
        self.perform();
    }

    fn seen(&mut self, agent: &AgentId, changed: bool) {
        self.relay.handle_agent(agent, Seen { online: self.online[agent], name: "n", changed }, self.now);
    }

    fn outcome(&mut self, number: u8) {
        let Some(request) = self.flight.take() else { return };
        let refused = |status, error: &str| Outcome::Refused { status, error: error.to_owned() };
        let outcome = match number {
            0 => Outcome::Failed(Failure::Unreachable("gone".to_owned())),
            1 => Outcome::Failed(Failure::Unanswered("late".to_owned())),
            2 => Outcome::Failed(Failure::Server { status: 500, text: "broken".to_owned() }),
            3 => Outcome::Failed(Failure::Foreign { status: 200, text: "a page".to_owned() }),
            4 => Outcome::Failed(Failure::Rejected { status: 413 }),
            5 => refused(401, "Invalid or expired token"),
            6 => refused(401, "Invalid refresh secret"),
            7 => refused(401, "No refresh secret on file"),
            8 => refused(401, "Invalid enrollment token"),
            9 => refused(400, "Not enrolled or already used"),
            10 => Outcome::Answer(Answer::Deleted),
            _ => {
                let access = Access { token: Secret::new("access"), lifetime: Duration::from_secs(900) };
                Outcome::Answer(match &request.call {
                    Call::Enroll { .. } => {
                        self.secrets += 1;
                        Answer::Enrolled { access, secret: Secret::new(format!("s{}", self.secrets)) }
                    }
                    Call::Token { .. } => Answer::Token(access),
                    _ => {
                        let (agent, _, _) = beat(&request.call);
                        *self.beaten.entry(agent).or_default() += 1;
                        Answer::Beat { interval: Some(30.0) }
                    }
                })
            }
        };
        self.relay.handle_outcome(request.id, outcome, self.now);
    }

    fn perform(&mut self) {
        while let Some(effect) = self.relay.next_effect() {
            match effect {
                Effect::Request(request) => {
                    assert!(self.flight.is_none(), "two at once");
                    self.look_at(&request.call);
                    self.flight = Some(request);
                }
                Effect::List(agent) => {
                    let list = self.lists.get(&agent).copied().flatten().map(containers);
                    self.relay.handle_list(&agent, list, self.now);
                }
                Effect::Store(agent, enrollment) => {
                    assert!(self.asked.insert(agent, enrollment).is_none(), "stored twice at once");
                }
                Effect::Agent(..) | Effect::Server(_) | Effect::Login(_) => {}
            }
        }
    }

    /// What must hold of every request.
    fn look_at(&self, call: &Call) {
        let of = |upstream: &UpstreamId| {
            let agent: AgentId = upstream.as_str().trim_start_matches("up-").parse().unwrap();
            assert!(!self.asked.contains_key(&agent), "asked for {agent} before the store has answered");
            let stored = self.durable.get(&agent).expect("nothing is asked for an agent of which nothing is stored");
            assert_eq!(stored.upstream, *upstream);
            stored
        };
        match call {
            Call::Enroll { upstream, token } => {
                let stored = of(upstream);
                assert_eq!(stored.standing, Standing::Granted, "enrolled again");
                assert_eq!(stored.token.as_ref(), Some(token));
            }
            Call::Token { upstream, secret } => {
                let stored = of(upstream);
                assert_eq!(stored.standing, Standing::Enrolled);
                assert_eq!(stored.secret.as_ref(), Some(secret), "a secret before it was stored");
            }
            Call::Beat { .. } => {
                let (agent, online, count) = beat(call);
                let stored = of(&format!("up-{agent}").parse().unwrap());
                assert_eq!(stored.standing, Standing::Enrolled);
                assert!(!(online && stored.told.offline), "{agent} is told as online before that is stored");
                assert!(!(count > 0 && stored.told.empty), "{agent} has containers before that is stored");
                // The list may have changed while the token was exchanged, but an empty one has a reason.
                let known = self.lists.get(&agent).copied().flatten();
                if count == 0 && known != Some(0) {
                    let changed_meanwhile = known.is_some() || self.lists.contains_key(&agent);
                    assert!(stored.told.empty || changed_meanwhile, "{agent} is wiped");
                }
            }
            other => panic!("{other:?} without a login"),
        }
    }

    /// The server and the disk work, and some hours pass.
    fn all_is_well(&mut self) {
        let end = self.now.mono + Duration::from_secs(4 * 3600);
        for _ in 0..20_000 {
            self.perform();
            while !self.asked.is_empty() {
                self.input(&Input::Stored(true));
            }
            if self.flight.is_some() {
                self.outcome(99);
            } else if let Some(due) = self.relay.poll_timeout().filter(|due| *due <= end) {
                self.now.mono = due.max(self.now.mono);
                self.relay.handle_timeout(self.now);
            } else {
                return;
            }
        }
        panic!("it never comes to rest");
    }
}

fn beat(call: &Call) -> (AgentId, bool, usize) {
    let Call::Beat { body, .. } = call else { panic!("{call:?} is no beat") };
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let agent = body["agentId"].as_str().unwrap().trim_start_matches("up-").parse().unwrap();
    (agent, body["status"] == "online", body["containers"].as_array().unwrap().len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    // RR3 RR5 RR6 RR13
    #[test]
    fn the_server_is_never_asked_for_what_would_hurt_it(inputs in inputs()) {
        let mut world = World::new();
        for input in &inputs {
            world.input(input);
        }
        world.beaten.clear();
        world.all_is_well();
        for (agent, online) in &world.online {
            let enrolled = world.durable.get(agent).is_some_and(|stored| stored.standing == Standing::Enrolled);
            let listed = world.lists.get(agent).copied().flatten().is_some();
            if *online && enrolled && listed {
                prop_assert!(world.beaten.get(agent).is_some_and(|beats| *beats > 100), "{agent} is left behind");
            }
            if !online && enrolled && listed {
                prop_assert!(world.durable[agent].told.offline, "{agent} is shown as online for ever");
            }
        }
    }
}
