//! The agent's whole core and the engine's room, as the agent's shell puts them together, with a broker that takes all
//! it is told: updates on a real engine, by an agent that can be ended at any act and any note.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use radar_agent::agent::commands::{Rules, STEP};
use radar_agent::agent::outbox::Bounds;
use radar_agent::agent::{Agent, Config, Effect};
use radar_agent::engine::act::{ActError, ActErrorKind};
use radar_agent::engine::notice::Notice as EngineNotice;
use radar_agent::engine::{Address, Engine, Environment, Settings};
use radar_agent::registries::Registries;
use radar_agent::shell::directory::{self, Directory};
use radar_link::jws::{SigningKey, sign};
use radar_link::mqtt::{Delivery, Message, Notice, Received};
use radar_link::time::Clock;
use radar_tests::engine::Engine as TestEngine;
use radar_wire::codec;
use radar_wire::command::{Claims, Command, Outcome, Progress};
use radar_wire::status::AgentFacts;
use radar_wire::topic::Prefix;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const DEADLINE: Duration = Duration::from_secs(180);

/// When an agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It does not.
    Never,
    /// When the act or note of this number is done and nobody has heard of it, counted from the first note of an update on.
    At(usize),
}

/// An agent with its data, which goes on in its next life.
pub(crate) struct Updater {
    settings: Settings,
    data: tempfile::TempDir,
    key: SigningKey,
    names: u32,
    /// Everything that was told, in all lives.
    pub(crate) outcomes: Vec<Outcome>,
    /// Acts and notes of updates in the last life.
    pub(crate) count: usize,
}

struct Life<'a> {
    updater: &'a mut Updater,
    agent: Agent,
    engine: Option<Engine>,
    directory: Directory,
    clock: Clock,
    end: End,
    noted: bool,
    /// The ticket of the act with which it ends.
    last: Option<u64>,
}

impl Updater {
    pub(crate) fn new(engine: &TestEngine) -> Result<Self> {
        let environment = Environment { host: Some(engine.host()), ..Environment::default() };
        let settings = Settings {
            address: Address::parse(environment)?,
            labels: Vec::new(),
            registries: Registries::new(None),
            actions: Vec::new(),
            time_out: Duration::from_secs(60),
        };
        let (data, key) = (tempfile::tempdir()?, SigningKey::generate()?);
        Ok(Self { settings, data, key, names: 0, outcomes: Vec::new(), count: 0 })
    }

    /// What is on the disk of updates that are under way.
    pub(crate) fn journal(&self) -> Vec<u8> {
        std::fs::read(self.data.path().join("updates")).unwrap_or_default()
    }

    /// Asks for an update of each of these, to `image` where that is another, and waits for the end of all; in the order of
    /// the names.
    pub(crate) async fn update(&mut self, names: &[&str], image: Option<&str>) -> Result<Vec<Outcome>> {
        let asked: Vec<Command> = names.iter().map(|name| order(name, image)).collect();
        let jtis = self.live(asked, End::Never).await?.context("it did not end")?;
        let ended = |jti: &String| self.ended(jti).cloned().context("no outcome");
        jtis.iter().map(ended).collect()
    }

    /// The last word on a command.
    pub(crate) fn ended(&self, jti: &str) -> Option<&Outcome> {
        self.outcomes.iter().rev().find(|outcome| &*outcome.jti == jti && is_end(outcome))
    }

    /// One life: asks, and goes on until all has ended, also what an earlier life has left; none when it was ended before.
    pub(crate) async fn live(&mut self, commands: Vec<Command>, end: End) -> Result<Option<Vec<String>>> {
        let directory = directory::open(Some(self.data.path()))?.context("a directory")?;
        let clock = Clock::start();
        let kept = directory.take();
        let agent = Agent::new(config(&self.key), kept, clock.now());
        self.count = 0;
        let mut life =
            Life { updater: self, agent, engine: None, directory, clock, end, noted: end == End::Never, last: None };
        tokio::time::timeout(DEADLINE, life.run(commands)).await.context("the agent's life")?
    }
}

impl Life<'_> {
    async fn run(&mut self, commands: Vec<Command>) -> Result<Option<Vec<String>>> {
        let number = u64::try_from(self.clock.now().wall)?;
        let connected = Notice::Connected { number, session_present: false, max_packet: None, window: 20 };
        self.agent.handle_broker(connected, self.clock.now());
        let mut asked = Vec::new();
        for command in commands {
            self.updater.names += 1;
            let iat = self.clock.now().wall / 1000;
            let jti = format!("01-{:06}", self.updater.names);
            asked.push(jti.clone());
            let (iss, sub, aud) = ("home".to_owned(), "me".to_owned(), "pi".parse()?);
            let claims = Claims { iss, aud, sub, iat, exp: iat + 60, jti, cmd: command };
            let token = sign(&self.updater.key, &claims)?;
            self.receive("radar/v1/pi/command".to_owned(), token.into_bytes(), None);
        }
        loop {
            if !self.perform()? {
                return Ok(None);
            }
            let all = asked.iter().all(|jti| self.updater.ended(jti).is_some());
            if all && self.updater.journal().is_empty() && self.agent.condition().engine == Some(true) {
                return Ok(Some(asked));
            }
            let told = async {
                match &mut self.engine {
                    Some(engine) => engine.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                told = told => match (&told, self.last) {
                    (EngineNotice::Acted { ticket, .. }, Some(last)) if *ticket == last => return Ok(None),
                    _ => self.agent.handle_engine(told, self.clock.now()),
                },
                () = self.clock.sleep_until(self.agent.poll_timeout()) => self.agent.handle_timeout(self.clock.now()),
            }
        }
    }

    /// Does what the core asks for; whether the agent lives.
    fn perform(&mut self) -> Result<bool> {
        while let Some(effect) = self.agent.next_effect() {
            let counts = match &effect {
                Effect::WriteUpdates(_) => {
                    self.noted = true;
                    true
                }
                Effect::Act { .. } => self.noted,
                _ => false,
            };
            self.updater.count += usize::from(counts);
            let last = counts && self.end == End::At(self.updater.count);
            let now = self.clock.now();
            match effect {
                Effect::StartEngine { since, read } => {
                    self.engine = Some(Engine::start(self.updater.settings.clone(), since, read));
                }
                Effect::List { ticket } => self.engine.iter_mut().for_each(|engine| engine.list(ticket)),
                Effect::Inspect { id } => self.engine.iter_mut().for_each(|engine| engine.inspect(id)),
                Effect::Publish { key, message } => self.publish(key, message)?,
                Effect::WriteCommands(bytes) => {
                    self.directory.write_commands(&bytes)?;
                    self.agent.handle_commands_written(Ok(()), now);
                }
                Effect::WriteUpdates(bytes) => {
                    self.directory.write_updates(&bytes)?;
                    if last {
                        return Ok(false);
                    }
                    self.agent.handle_updates_written(Ok(()), now);
                }
                Effect::Write(_) => self.agent.handle_written(Ok(()), now),
                Effect::Act { ticket, act } => match &mut self.engine {
                    Some(engine) if last => {
                        engine.act(ticket, act, STEP);
                        self.last = Some(ticket);
                    }
                    Some(engine) => engine.act(ticket, act, STEP),
                    None => {
                        let error = ActError { kind: ActErrorKind::Engine, text: "not yet".into() };
                        self.agent.handle_engine(EngineNotice::Acted { ticket, result: Err(error) }, now);
                    }
                },
                Effect::More { ticket } => self.engine.iter_mut().for_each(|engine| engine.more(ticket)),
                _ => {}
            }
        }
        Ok(true)
    }

    fn publish(&mut self, key: u64, message: Message) -> Result<()> {
        let kind = message.content_type;
        if message.topic.ends_with("/outcome") {
            self.updater.outcomes.push(codec::decode(kind, &message.payload)?);
        } else if message.topic.ends_with("/status") {
            self.receive(message.topic, message.payload.to_vec(), kind.map(str::to_owned));
        }
        let outcome = Delivery::Accepted;
        self.agent.handle_broker(Notice::Delivered { key, outcome }, self.clock.now());
        Ok(())
    }

    fn receive(&mut self, topic: String, payload: Vec<u8>, content_type: Option<String>) {
        let received = Received { topic, payload: payload.into(), retain: false, content_type, ack: None };
        self.agent.handle_broker(Notice::Received(received), self.clock.now());
    }
}

/// The command for an update.
pub(crate) fn order(name: &str, image: Option<&str>) -> Command {
    Command::Update { container: name.into(), image: image.map(Into::into), dry_run: false, patience: Some(60) }
}

fn is_end(outcome: &Outcome) -> bool {
    matches!(outcome.state, Progress::Succeeded | Progress::Failed | Progress::Refused)
}

fn config(key: &SigningKey) -> Config {
    Config {
        prefix: Prefix::default(),
        id: "pi".parse().expect("an id"),
        facts: AgentFacts::default(),
        enroll: None,
        bounds: Bounds { events: 1000, bytes: 1 << 20, ring_events: 10, ring_bytes: 1 << 16 },
        snapshot_interval: Duration::from_secs(30),
        reconcile_interval: Duration::from_secs(60),
        stats_interval: None,
        on_disk: true,
        rules: Rules { keys: vec![key.public()], policy: "all".parse().expect("a policy"), ..Rules::default() },
        warnings: Vec::new(),
    }
}

/// One call to the engine in its own words, of which the tests' client does not know all.
pub(crate) async fn call(engine: &TestEngine, method: &str, path: &str, body: &Value) -> Result<Value> {
    let mut stream = UnixStream::connect(engine.socket()).await?;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!("{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length:");
    stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let start = answer.windows(4).position(|four| four == b"\r\n\r\n").context("an answer")? + 4;
    let said = String::from_utf8_lossy(&answer[start..]).into_owned();
    ensure!(answer.get(9) == Some(&b'2'), "{method} {path}: {said}");
    if said.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&said).context(said) }
}

/// An inspect.
pub(crate) async fn inspect(engine: &TestEngine, name: &str) -> Result<Value> {
    call(engine, "GET", &format!("/containers/{name}/json"), &Value::Null).await
}
