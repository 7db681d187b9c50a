//! Tables on the relay: scripts of what comes in and when, with the effects that follow.
//!
//! A line is `<when> <input>`, followed by the effects that it causes, each behind `>`. `<when>` is a time in
//! seconds; `=` for the time of the last line; or `+a..b`: the time that the relay itself asks for next, which must
//! lie so far from the last line. A line before which the relay's own time has passed fails. Lists and stores are answered by the script
//! itself, by what `have` and `disk` set.

mod enrolling;
mod property;
mod provisioning;
mod queue;
mod relaying;
mod trouble;

use std::collections::BTreeMap;
use std::time::Duration;

use radar_link::secret::Secret;

use super::*;

/// What the script answers by itself.
struct Script {
    relay: Relay,
    now: Now,
    lists: BTreeMap<String, Option<Vec<ServerContainer>>>,
    disk: bool,
    flight: Option<Request>,
    access: u32,
    secrets: u32,
    seen: Vec<String>,
}

fn check(script: &str) {
    check_with(RelaySettings::default(), [], script);
}

fn check_with(settings: RelaySettings, restored: impl IntoIterator<Item = (AgentId, Enrollment)>, script: &str) {
    let mut state = Script::new(settings, restored);
    let mut lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).peekable();
    while let Some(line) = lines.next() {
        let (when, input) = line.split_once(' ').unwrap_or((line, ""));
        state.seek(when, line);
        state.input(input.trim());
        let mut expect = Vec::new();
        while let Some(effect) = lines.next_if(|line| line.starts_with('>')) {
            expect.push(effect.trim_start_matches('>').trim().to_owned());
        }
        assert_eq!(std::mem::take(&mut state.seen), expect, "after `{line}`");
    }
}

/// An account that works, as a bridge finds it in its store.
fn enrolled(agent: &str) -> (AgentId, Enrollment) {
    let secret = Credential::Secret(Secret::new(format!("secret-{agent}")));
    (agent.parse().unwrap(), Enrollment::granted(format!("up-{agent}").parse().unwrap(), secret))
}

fn containers(count: usize) -> Vec<ServerContainer> {
    let container = |n| ServerContainer {
        id: format!("{n:064x}"),
        name: format!("c{n}"),
        image: "nginx".to_owned(),
        tag: "1".to_owned(),
        status: "running".to_owned(),
        created: None,
    };
    (0..count).map(container).collect()
}

impl Script {
    fn new(settings: RelaySettings, restored: impl IntoIterator<Item = (AgentId, Enrollment)>) -> Self {
        Self {
            relay: Relay::new(settings, restored),
            now: Now::default(),
            lists: BTreeMap::new(),
            disk: true,
            flight: None,
            access: 0,
            secrets: 0,
            seen: Vec::new(),
        }
    }

    fn seek(&mut self, when: &str, line: &str) {
        let wanted = self.relay.poll_timeout();
        let mono = if when == "=" {
            self.now.mono
        } else if let Some(range) = when.strip_prefix('+') {
            let (from, to) = range.split_once("..").unwrap_or((range, range));
            let next = wanted.unwrap_or_else(|| panic!("`{line}`: the relay waits for nothing"));
            let wait = next.saturating_sub(self.now.mono).as_secs_f64();
            let [from, to]: [f64; 2] = [from, to].map(|text| text.parse().unwrap());
            assert!((from - 1e-9..=to + 1e-9).contains(&wait), "`{line}`: it waits {wait} s");
            next
        } else {
            let mono = Duration::from_secs_f64(when.parse().unwrap());
            let missed = wanted.filter(|wanted| *wanted < mono);
            assert!(missed.is_none(), "`{line}`: the relay wanted its turn at {missed:?}");
            mono
        };
        assert!(mono >= self.now.mono, "`{line}`: back in time");
        self.now = Now { mono, wall: 1_700_000_000_000 + i64::try_from(mono.as_millis()).unwrap() };
    }

    fn input(&mut self, input: &str) {
        let words: Vec<&str> = input.split_whitespace().collect();
        let id = |text: &str| text.parse::<AgentId>().unwrap();
        match words[..] {
            [word @ ("online" | "offline"), agent] => self.seen_as(&id(agent), word == "online", false),
            ["changed", agent] => {
                let online = self.relay.agents[&id(agent)].online.unwrap();
                self.seen_as(&id(agent), online, true);
            }
            ["have", agent, "none"] => drop(self.lists.insert(agent.to_owned(), None)),
            ["have", agent, "nameless"] => {
                let mut list = containers(2);
                list[0].name.clear();
                list[1].image = format!("sha256:{}", "a".repeat(64));
                self.lists.insert(agent.to_owned(), Some(list));
            }
            ["have", agent, count] => {
                self.lists.insert(agent.to_owned(), Some(containers(count.parse().unwrap())));
            }
            ["disk", word] => self.disk = word == "well",
            ["enroll", agent, upstream, token] => {
                self.relay.handle_enroll_token(&id(agent), upstream.parse().unwrap(), Secret::new(token), self.now);
            }
            ["purge", agent] => self.relay.handle_purged(&id(agent), self.now),
            ["tick"] => self.relay.handle_timeout(self.now),
            ["ok"] => self.answer_well(Some(120.0)),
            ["ok", seconds] => self.answer_well(Some(seconds.parse().unwrap())),
            ["token", "of", seconds] => {
                let lifetime = Duration::from_secs(seconds.parse().unwrap());
                self.outcome(Outcome::Answer(Answer::Token(self.clone_access(lifetime))));
            }
            ["refuse", status, ..] => {
                let error = words[2..].join(" ");
                self.outcome(Outcome::Refused { status: status.parse().unwrap(), error });
            }
            ["down"] => self.outcome(Outcome::Failed(Failure::Unreachable("connection refused".to_owned()))),
            ["silent"] => self.outcome(Outcome::Failed(Failure::Unanswered("no answer".to_owned()))),
            ["html"] => {
                self.outcome(Outcome::Failed(Failure::Foreign { status: 200, text: "an HTML page".to_owned() }));
            }
            ["reject", status] => {
                self.outcome(Outcome::Failed(Failure::Rejected { status: status.parse().unwrap() }));
            }
            ["fail", status] => {
                let failure = Failure::Server { status: status.parse().unwrap(), text: "broken".to_owned() };
                self.outcome(Outcome::Failed(failure));
            }
            ["login", "first"] => {
                self.outcome(Outcome::Answer(Answer::Login { web: Secret::new("web"), first_login: true }));
            }
            ["agents", ..] => {
                let listed = words[1..].iter().map(|word| {
                    // upstream=tag, with `!` when it was seen
                    let (upstream, tag) = word.split_once('=').unwrap();
                    Listed {
                        upstream: upstream.parse().unwrap(),
                        tags: vec![tag.trim_end_matches('!').to_owned()],
                        seen: tag.ends_with('!'),
                    }
                });
                let answer = Answer::Agents(listed.collect());
                self.outcome(Outcome::Answer(answer));
            }
            _ => panic!("`{input}` is not an input"),
        }
        self.perform();
    }

    fn seen_as(&mut self, agent: &AgentId, online: bool, changed: bool) {
        let name = format!("Name of {agent}");
        self.relay.handle_agent(agent, Seen { online, name: &name, changed }, self.now);
    }

    fn clone_access(&self, lifetime: Duration) -> Access {
        Access { token: Secret::new(format!("access-{}", self.access)), lifetime }
    }

    fn answer_well(&mut self, interval: Option<f64>) {
        self.access += 1;
        let access = self.clone_access(Duration::from_secs(900));
        let answer = match &self.flight.as_ref().expect("something is on its way").call {
            Call::Enroll { .. } => {
                self.secrets += 1;
                Answer::Enrolled { access, secret: Secret::new(format!("secret-{}", self.secrets)) }
            }
            Call::Token { .. } => Answer::Token(access),
            Call::Beat { .. } => Answer::Beat { interval },
            Call::Login { .. } => Answer::Login { web: Secret::new("web"), first_login: false },
            Call::Agents { .. } => Answer::Agents(Vec::new()),
            Call::Create { name, .. } => Answer::Created {
                upstream: format!("made-{}", name.rsplit(' ').next().unwrap()).parse().unwrap(),
                token: Secret::new("made-token"),
            },
            Call::Delete { .. } => Answer::Deleted,
        };
        self.outcome(Outcome::Answer(answer));
    }

    fn outcome(&mut self, outcome: Outcome) {
        let request = self.flight.take().expect("something is on its way");
        self.relay.handle_outcome(request.id, outcome, self.now);
    }

    fn perform(&mut self) {
        while let Some(effect) = self.relay.next_effect() {
            let text = match &effect {
                Effect::Request(request) => {
                    assert!(self.flight.is_none(), "two requests at once: {:?}, {request:?}", self.flight);
                    shown(&request.call)
                }
                Effect::List(_) => String::new(),
                Effect::Store(agent, stored) => format!("store {agent} {}", shown_enrollment(stored)),
                Effect::Agent(agent, condition) => format!("{agent} is {}", word(condition)),
                Effect::Server(condition) => format!("server is {}", word(condition)),
                Effect::Login(condition) => format!("login is {}", word(condition)),
            };
            if !text.is_empty() {
                self.seen.push(text);
            }
            match effect {
                Effect::Request(request) => self.flight = Some(request),
                Effect::List(agent) => {
                    let list = self.lists.get(agent.as_str()).cloned().unwrap_or_else(|| Some(containers(2)));
                    self.relay.handle_list(&agent, list, self.now);
                }
                Effect::Store(agent, _) => self.relay.handle_stored(&agent, self.disk, self.now),
                _ => {}
            }
        }
    }
}

fn shown(call: &Call) -> String {
    match call {
        Call::Enroll { upstream, token } => format!("enroll {upstream} {}", token.expose()),
        Call::Token { upstream, secret } => format!("token {upstream} {}", secret.expose()),
        Call::Beat { access, body } => {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let count = body["containers"].as_array().unwrap().len();
            let [upstream, status] = ["agentId", "status"].map(|field| body[field].as_str().unwrap());
            format!("beat {upstream} {} {status} {count}", access.expose())
        }
        Call::Login { username, password } => format!("login {username} {}", password.expose()),
        Call::Agents { web } => format!("agents {}", web.expose()),
        Call::Create { web, name, tag } => format!("create {} {name} {tag}", web.expose()),
        Call::Delete { web, upstream } => format!("delete {} {upstream}", web.expose()),
    }
}

fn shown_enrollment(stored: &Enrollment) -> String {
    let mut text = format!("{} {}", stored.upstream, stored.standing.as_str());
    if let Some(secret) = &stored.secret {
        text += &format!(" {}", secret.expose());
    }
    for (told, word) in [(stored.told.offline, " offline"), (stored.told.empty, " empty")] {
        text += if told { word } else { "" };
    }
    text
}

/// The name of a variant.
fn word(condition: &impl std::fmt::Debug) -> String {
    let text = format!("{condition:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}
