//! An agent in a world of lines: what comes in is a line, what goes out is text. The engine is a list of
//! containers that answers at once; the broker answers when the script says so.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use radar_link::jws::{SigningKey, sign};
use radar_link::mqtt::{Delivery, Message, Notice, PublishError, Qos, Reason, Received};
use radar_link::secret::Secret;
use radar_link::time::Now;
use radar_wire::codec;
use radar_wire::command::{Claims, Command, LogChunk, LogPiece, Outcome};
use radar_wire::container::{ContainerId, Record, State};
use radar_wire::enroll::Enroll;
use radar_wire::event::{Action, Event};
use radar_wire::resend::Resend;
use radar_wire::snapshot::{HostFacts, Snapshot};
use radar_wire::stats::{ContainerUsage, Stats, Usage};
use radar_wire::status::{AgentFacts, EngineFacts, Presence, Reason as Why, Status};
use radar_wire::topic::Prefix;

use crate::agent::commands::Rules;
use crate::agent::keeping::Write;
use crate::agent::opening::Kept;
use crate::agent::outbox::Bounds;
use crate::agent::{Agent, Config, Effect};
use crate::engine::act::{Act, Done, Piece};
use crate::engine::notice::{EngineEvent, History, InspectError, Listed, Notice as EngineNotice, Opened};

/// The wall clock at the start, in milliseconds.
pub(super) const START: i64 = 1_700_000_000_000;

pub(super) fn config() -> Config {
    Config {
        prefix: Prefix::default(),
        id: "pi".parse().unwrap(),
        facts: AgentFacts { host: "pi".into(), machine: Some("own".into()), ..AgentFacts::default() },
        enroll: None,
        bounds: Bounds { events: 10, bytes: 100_000, ring_events: 5, ring_bytes: 100_000 },
        snapshot_interval: Duration::from_secs(30),
        reconcile_interval: Duration::from_secs(3600),
        stats_interval: None,
        on_disk: false,
        rules: Rules::default(),
        warnings: Vec::new(),
    }
}

pub(super) fn with_token() -> Config {
    Config { enroll: Some(Secret::new("t0ken")), ..config() }
}

pub(crate) fn id(name: &str) -> ContainerId {
    let mut bytes = [0; 32];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    ContainerId::new(bytes)
}

pub(crate) fn record(name: &str, state: &str) -> Record {
    Record {
        id: id(name),
        name: name.into(),
        image: "app".into(),
        tag: "1".into(),
        digest: None,
        image_id: None,
        state: State::from(state.to_owned()),
        health: None,
        exit_code: None,
        created: None,
        started: None,
        finished: None,
        restarts: 0,
        restart_policy: None,
        ports: vec![],
        networks: vec![],
        mounts: vec![],
        project: None,
        service: None,
        labels: BTreeMap::new(),
    }
}

pub(super) struct World {
    agent: Agent,
    now: Now,
    engine: BTreeMap<ContainerId, Record>,
    engine_time: i64,
    session: u64,
    unacknowledged: Vec<u64>,
    disk_full: bool,
    too_large: bool,
    said: Vec<String>,
    /// Who may command it.
    pub(super) key: Option<SigningKey>,
}

impl World {
    pub(super) fn new(config: Config, kept: Kept) -> Self {
        let now = Now { mono: Duration::ZERO, wall: START };
        Self {
            agent: Agent::new(config, kept, now),
            now,
            engine: BTreeMap::new(),
            engine_time: 0,
            session: 0,
            unacknowledged: Vec::new(),
            disk_full: false,
            too_large: false,
            said: Vec::new(),
            key: None,
        }
    }

    /// How long the agent wants to wait; zero where it would not.
    pub(super) fn rest(&self) -> Option<Duration> {
        self.agent.poll_timeout().map(|due| due.saturating_sub(self.now.mono))
    }

    /// Runs the lines, and returns what the agent did since the last call.
    pub(super) fn run(&mut self, lines: &str) -> Vec<String> {
        self.settle();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.line(line);
            self.settle();
        }
        std::mem::take(&mut self.said)
    }

    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        match words.as_slice() {
            ["connected", ..] => {
                self.session = number(1);
                let window = words.get(2).map_or(20, |window| window.parse().unwrap());
                let (number, session_present, max_packet) = (self.session, false, None);
                self.broker(Notice::Connected { number, session_present, max_packet, window });
            }
            ["away", reason @ ..] => {
                self.unacknowledged.clear();
                let reason = Reason::Network(reason.join(" "));
                self.broker(Notice::Disconnected { reason, retry_in: Duration::from_secs(1) });
            }
            ["subscribed", channel] => {
                self.broker(Notice::Subscribed { filter: format!("radar/v1/pi/{channel}") });
            }
            ["ack"] => self.deliver(1, &Delivery::Accepted),
            ["acks"] => self.deliver(usize::MAX, &Delivery::Accepted),
            ["nobody"] => self.deliver(1, &Delivery::NoSubscriber),
            ["refuse"] => self.deliver(1, &Delivery::Refused("not authorized".to_owned())),
            ["echo"] => self.status(Presence::Online, self.session, "own"),
            ["online", _, machine] => self.status(Presence::Online, number(1), machine),
            ["offline", _] => self.status(Presence::Offline, number(1), "own"),
            ["cleared", channel] => self.received(channel, Vec::new(), true),
            ["garbage", channel] => self.received(channel, b"\xff\x00garbage".to_vec(), true),
            ["resend", ..] => {
                let ask = Resend { epoch: number(1), from: number(2), to: number(3) };
                self.received("resend", codec::encode(&ask).unwrap().bytes, false);
            }
            ["engine", "up"] => {
                let facts = EngineFacts {
                    kind: "docker".into(),
                    version: "20".into(),
                    api: None,
                    answers: true,
                    unavailable: Vec::new(),
                };
                let (host, history) = (HostFacts::default(), History::Whole);
                self.engine(EngineNotice::Up(Box::new(Opened { facts, host, time: None, history })));
            }
            ["engine", "down"] => self.engine(EngineNotice::Down { reason: "no socket".to_owned() }),
            ["has", name, state] => _ = self.engine.insert(id(name), record(name, state)),
            ["event", action, name] => {
                self.engine_time += 1;
                let (action, name, id) = (Action::from(*action), Some((*name).into()), id(name));
                let event = EngineEvent { time: self.engine_time, action, id, name, exit_code: None, health: None };
                self.engine(EngineNotice::Event(event));
            }
            ["command", jti, container] => {
                self.command(jti, Command::Restart { container: (*container).into(), timeout: None });
            }
            ["logs", jti, container] => {
                let (container, tail, since, until, limit) = ((*container).into(), None, None, None, None);
                let cmd = Command::Logs { container, tail, since, until, timestamps: false, follow: true, limit };
                self.command(jti, cmd);
            }
            ["told", _, text] => {
                let piece = Piece::Log(vec![LogPiece { stream: "stdout".into(), text: (*text).into() }]);
                self.engine(EngineNotice::Told { ticket: number(1), piece });
            }
            ["sampled", _, name] => {
                let usage = ContainerUsage { id: id(name), time: None, usage: Usage::default() };
                let (ticket, piece) = (number(1), Piece::Sample(vec![usage]));
                self.engine(EngineNotice::Told { ticket, piece });
                self.engine(EngineNotice::Acted { ticket, result: Ok(Done { needed: false, result: None }) });
            }
            ["acted", _] => {
                let (ticket, result) = (number(1), Ok(Done { needed: true, result: None }));
                self.engine(EngineNotice::Acted { ticket, result });
            }
            ["disk", state] => self.disk_full = *state == "full",
            ["packets", size] => self.too_large = *size == "small",
            ["stop"] => self.agent.handle_stop(self.now),
            [time] if time.starts_with('+') => self.wait(Duration::from_millis(time[1..].parse().unwrap())),
            _ => panic!("not a line: {line}"),
        }
    }

    fn command(&mut self, jti: &str, cmd: Command) {
        let iat = self.now.wall / 1000;
        let (iss, aud, sub) = ("home".to_owned(), "pi".parse().unwrap(), "me".to_owned());
        let claims = Claims { iss, aud, sub, iat, exp: iat + 60, jti: jti.to_owned(), cmd };
        let token = sign(self.key.as_ref().unwrap(), &claims).unwrap();
        self.received("command", token.into_bytes(), false);
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now.mono + time;
        for _ in 0..1000 {
            let due = self.agent.poll_timeout().map(|at| at.max(self.now.mono));
            let Some(due) = due.filter(|due| *due <= until) else {
                self.forward(until);
                return;
            };
            self.forward(due);
            self.agent.handle_timeout(self.now);
            self.settle();
        }
        panic!("timeouts without end");
    }

    fn forward(&mut self, to: Duration) {
        self.now.wall += i64::try_from((to - self.now.mono).as_millis()).unwrap();
        self.now.mono = to;
    }

    fn broker(&mut self, notice: Notice) {
        self.agent.handle_broker(notice, self.now);
    }

    fn engine(&mut self, notice: EngineNotice) {
        self.agent.handle_engine(notice, self.now);
    }

    fn deliver(&mut self, count: usize, outcome: &Delivery) {
        for _ in 0..count {
            if self.unacknowledged.is_empty() {
                break;
            }
            let key = self.unacknowledged.remove(0);
            self.broker(Notice::Delivered { key, outcome: outcome.clone() });
            self.settle();
        }
    }

    fn status(&mut self, state: Presence, session: u64, machine: &str) {
        let agent = AgentFacts { host: "other".into(), machine: Some(machine.into()), ..AgentFacts::default() };
        let (can, allows, warnings) = (vec![], vec![], vec![]);
        let status = Status { state, reason: Why::Start, session, at: 0, agent, engine: None, can, allows, warnings };
        self.received("status", codec::encode(&status).unwrap().bytes, true);
    }

    pub(super) fn retained(&mut self, snapshot: &Snapshot) {
        self.received("snapshot", codec::encode(snapshot).unwrap().bytes, true);
    }

    fn received(&mut self, channel: &str, payload: Vec<u8>, retain: bool) {
        let topic = format!("radar/v1/pi/{channel}");
        let payload = Bytes::from(payload);
        self.broker(Notice::Received(Received { topic, payload, retain, content_type: None, ack: None }));
    }

    fn settle(&mut self) {
        while let Some(effect) = self.agent.next_effect() {
            let said = match effect {
                Effect::StartEngine { since, read: None } => format!("start engine since {since:?}"),
                Effect::StartEngine { since, read } => format!("start engine since {since:?}, having read {read:?}"),
                Effect::List { ticket } => {
                    let result = Ok(self.engine.values().cloned().map(|record| Listed { record }).collect());
                    self.engine(EngineNotice::Listed { ticket, result });
                    continue;
                }
                Effect::Inspect { id } => {
                    let result = self.engine.get(&id).cloned().map(Box::new).ok_or(InspectError::Gone);
                    self.engine(EngineNotice::Inspected { id, result });
                    continue;
                }
                Effect::ReopenEngine => "reopen".to_owned(),
                Effect::Publish { key, message } => {
                    let said = told(&message);
                    if self.too_large && message.topic.ends_with("snapshot") {
                        let error = PublishError::TooLarge { size: 9, max: 5 };
                        self.agent.handle_not_published(key, &error, self.now);
                        format!("too large: {said}")
                    } else if message.qos == Qos::AtMostOnce {
                        said
                    } else {
                        self.unacknowledged.push(key);
                        said
                    }
                }
                Effect::Unsubscribe(filter) => format!("unsubscribe {}", filter.replace("radar/v1/pi/", "")),
                Effect::RaiseSession(above) => format!("raise above {above}"),
                Effect::Write(write) => {
                    let result = if self.disk_full { Err("no space".to_owned()) } else { Ok(()) };
                    self.agent.handle_written(result, self.now);
                    written(&write)
                }
                Effect::WriteCommands(_) => {
                    self.agent.handle_commands_written(Ok(()), self.now);
                    "commands noted".to_owned()
                }
                Effect::WriteUpdates(_) => {
                    self.agent.handle_updates_written(Ok(()), self.now);
                    "updates noted".to_owned()
                }
                Effect::Act { ticket, act: Act::Sample { ids } } => format!("sample {ticket} of {}", ids.len()),
                Effect::Act { ticket, .. } => format!("act {ticket}"),
                Effect::More { ticket } => format!("more {ticket}"),
                Effect::Cancel { ticket } => format!("cancel {ticket}"),
                Effect::Fetch(_) => "fetch".to_owned(),
                Effect::Discard(_) => "discard".to_owned(),
                Effect::FetchImage { image, .. } => format!("fetch {image}"),
                Effect::WriteTakeOver(_) => {
                    self.agent.handle_noted(Ok(()), self.now);
                    "helper noted".to_owned()
                }
                Effect::HandOver(note) => format!("hand over {}", note.jti),
                Effect::WriteNote(_) => {
                    self.agent.handle_noted(Ok(()), self.now);
                    "trial noted".to_owned()
                }
                Effect::ReadHost => {
                    self.agent.handle_host(Usage { pids: Some(7), ..Usage::default() }, self.now);
                    continue;
                }
                Effect::WriteCursor(cursor) => format!("cursor {}", cursor.epoch),
                Effect::Say(remark) => format!("say: {remark}"),
                Effect::Finish { outbox, stopped } => {
                    let kept = crate::agent::spool::read(&outbox).entries.len();
                    let state =
                        stopped.map_or("nothing".to_owned(), |state| format!("{} {}", state.epoch, state.sequence));
                    format!("finish {kept} events, {state}")
                }
                Effect::Stopped { unsaid: false } => "stopped".to_owned(),
                Effect::Stopped { unsaid: true } => "stopped, unsaid".to_owned(),
            };
            self.said.push(said);
        }
    }
}

fn written(write: &Write) -> String {
    let count = |bytes: &[u8]| crate::agent::spool::read(bytes).entries.len();
    match write {
        Write::Append(bytes) => format!("append {}", count(bytes)),
        Write::Replace(bytes) => format!("replace {}", count(bytes)),
        Write::Remove => "remove".to_owned(),
    }
}

fn told(message: &Message) -> String {
    let channel = message.topic.strip_prefix("radar/v1/pi/").unwrap();
    let (kind, payload) = (message.content_type, &message.payload);
    assert_eq!(message.retain, matches!(channel, "status" | "snapshot"), "{channel}");
    match channel {
        "status" => {
            let status: Status = codec::decode(kind, payload).unwrap();
            let engine = match status.engine {
                Some(engine) if engine.answers => ", engine answers",
                Some(_) => ", engine away",
                None => "",
            };
            let warned = if status.warnings.is_empty() { "" } else { ", warned" };
            format!("status {:?} {} {}{engine}{warned}", status.state, status.reason.as_str(), status.session)
        }
        "snapshot" => {
            let snapshot: Snapshot = codec::decode(kind, payload).unwrap();
            let names: Vec<_> = snapshot.containers.iter().map(|record| &*record.name).collect();
            let whole = if snapshot.complete { "whole" } else { "partial" };
            format!("snapshot {} {whole} [{}]", snapshot.sequence, names.join(" "))
        }
        "enroll" => {
            let enroll: Enroll = codec::decode(kind, payload).unwrap();
            assert!(message.expiry.is_some());
            format!("enroll {} {}", enroll.id, enroll.token)
        }
        "event" => {
            let event: Event = codec::decode(kind, payload).unwrap();
            let first = event.first.map(|first| format!("{first}..=")).unwrap_or_default();
            let name = event.name.map(|name| format!(" {name}")).unwrap_or_default();
            let epoch = if i64::try_from(event.epoch).is_ok_and(|epoch| epoch >= START) {
                String::new()
            } else {
                format!("{}:", event.epoch)
            };
            format!("event {epoch}{first}{} {}{name}", event.sequence, event.action.as_str())
        }
        "stats" => {
            let stats: Stats = codec::decode(kind, payload).unwrap();
            assert_eq!((message.qos, stats.host.pids), (Qos::AtMostOnce, Some(7)));
            format!("stats of {}", stats.containers.len())
        }
        "outcome" => {
            let outcome: Outcome = codec::decode(kind, payload).unwrap();
            let reason = outcome.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
            format!("outcome {} {}{reason}", outcome.jti, outcome.state.as_str())
        }
        log if log.starts_with("log/") => {
            let chunk: LogChunk = codec::decode(kind, payload).unwrap();
            assert_eq!(message.expiry, Some(Duration::from_secs(30)));
            let text: String = chunk.pieces.iter().map(|piece| format!(" {}", piece.text)).collect();
            let end = chunk.end.map(|end| format!(", {end}")).unwrap_or_default();
            format!("{log} {}{text}{end}", chunk.number)
        }
        other => panic!("published on {other}"),
    }
}
