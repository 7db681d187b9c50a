//! One full and one small sample of every payload.

use std::collections::BTreeMap;

use ciborium::Value;
use radar_wire::command::{LogChunk, LogPiece, Outcome, Progress};
use radar_wire::container::{ContainerId, Health, Mount, Network, Port, Record, State};
use radar_wire::enroll::Enroll;
use radar_wire::event::{Action, Event};
use radar_wire::fields::Fields;
use radar_wire::resend::Resend;
use radar_wire::snapshot::{HostFacts, Snapshot};
use radar_wire::stats::{ContainerUsage, Stats, Usage};
use radar_wire::status::{AgentFacts, EngineFacts, Presence, Reason, Status};

const AT: i64 = 1_790_000_000_123;
const TIME: i64 = 1_790_000_000_122_456_789;
const EPOCH: u64 = 4_503_599_627_370_497;

pub(crate) fn id(byte: u8) -> ContainerId {
    ContainerId::new([byte; 32])
}

pub(crate) fn record() -> Record {
    Record {
        id: id(0xa1),
        name: "web".into(),
        image: "registry:5000/ns/app".into(),
        tag: "v1".into(),
        digest: Some(format!("sha256:{}", "d".repeat(64)).into()),
        image_id: Some(format!("sha256:{}", "e".repeat(64)).into()),
        state: State::Running,
        health: Some(Health::Healthy),
        exit_code: Some(-1),
        created: Some(AT - 3000),
        started: Some(AT - 2000),
        finished: Some(AT - 2500),
        restarts: 3,
        restart_policy: Some("unless-stopped".into()),
        ports: vec![Port { private: 80, public: Some(8080), ip: Some("0.0.0.0".into()), protocol: "tcp".into() }],
        networks: vec![Network { name: "bridge".into(), ip: Some("172.17.0.2".into()) }],
        mounts: vec![Mount { target: "/data".into(), source: Some("/srv/web".into()), mode: "ro".into() }],
        project: Some("home".into()),
        service: Some("web".into()),
        labels: BTreeMap::from([("radar.group".into(), "kitchen".into())]),
    }
}

pub(crate) fn bare_record(byte: u8) -> Record {
    Record {
        id: id(byte),
        name: "job".into(),
        image: "busybox".into(),
        tag: "latest".into(),
        digest: None,
        image_id: None,
        state: State::Other("hibernating".into()),
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

fn engine() -> EngineFacts {
    EngineFacts {
        kind: "docker".into(),
        version: "28.2.2".into(),
        api: Some("1.50".into()),
        answers: true,
        unavailable: Vec::new(),
    }
}

pub(crate) fn status() -> Status {
    Status {
        state: Presence::Online,
        reason: Reason::Start,
        session: 1_790_000_000_001,
        at: AT,
        agent: AgentFacts {
            version: "0.1.0".into(),
            commit: Some("0123abc".into()),
            arch: "aarch64".into(),
            os: "linux".into(),
            host: "pi4".into(),
            name: "Kitchen".into(),
            machine: Some("5f3c".into()),
        },
        engine: Some(engine()),
        can: vec!["events".into(), "resend".into()],
        allows: vec!["observe".into()],
        warnings: vec!["this id was made on another machine".into()],
    }
}

/// An agent whose engine's socket is guarded.
pub(crate) fn guarded() -> Status {
    let unavailable = vec!["events".into(), "start".into()];
    Status { engine: Some(EngineFacts { unavailable, ..engine() }), ..status() }
}

pub(crate) fn will() -> Status {
    let agent = AgentFacts { commit: None, machine: None, ..status().agent };
    Status {
        state: Presence::Offline,
        reason: Reason::Lost,
        agent,
        engine: None,
        can: vec![],
        allows: vec![],
        warnings: vec![],
        ..status()
    }
}

pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        epoch: EPOCH,
        sequence: 41,
        time: Some(TIME),
        at: AT,
        complete: true,
        engine: Some(engine()),
        host: Some(HostFacts {
            cpus: Some(4),
            memory: Some(4_000_000_000),
            os: Some("Debian".into()),
            kernel: Some("6.12".into()),
        }),
        containers: vec![bare_record(0x01), record()],
    }
}

pub(crate) fn large_snapshot() -> Snapshot {
    Snapshot { containers: (0..25).map(|n| Record { id: id(n), ..record() }).collect(), ..snapshot() }
}

pub(crate) fn event() -> Event {
    Event {
        epoch: EPOCH,
        sequence: 42,
        first: None,
        at: AT,
        time: Some(TIME),
        action: Action::Pause,
        id: Some(id(0xa1)),
        name: Some("web".into()),
        set: Fields::between(&record(), &Record { state: State::Paused, health: None, ..record() }),
    }
}

pub(crate) fn created() -> Event {
    Event { action: Action::Create, set: Fields::of(&record()), ..event() }
}

pub(crate) fn gap() -> Event {
    Event { first: Some(40), action: Action::Gap, time: None, id: None, name: None, set: Fields::default(), ..event() }
}

pub(crate) fn resend() -> Resend {
    Resend { epoch: EPOCH, from: 7, to: 9 }
}

pub(crate) fn enroll() -> Enroll {
    Enroll { id: "6f9c".into(), token: "one-time".into() }
}

pub(crate) fn outcome() -> Outcome {
    Outcome {
        jti: "01J9".into(),
        at: AT,
        state: Progress::Failed,
        reason: Some("no such container".into()),
        result: Some(Value::Map(vec![("freed".into(), 12.into())])),
    }
}

pub(crate) fn log_chunk() -> LogChunk {
    let pieces = [("stdout", "done\n"), ("stderr", "töö\n")];
    let pieces = pieces.map(|(stream, text)| LogPiece { stream: stream.into(), text: text.into() });
    LogChunk { number: 7, pieces: pieces.into(), end: Some("end".into()) }
}

pub(crate) fn stats() -> Stats {
    let usage = Usage { cpu: Some(5), memory: Some(6), ..Usage::default() };
    Stats { at: AT, host: usage.clone(), containers: vec![ContainerUsage { id: id(0xa1), time: None, usage }] }
}
