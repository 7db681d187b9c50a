//! Logs, from the container to whoever listens at the broker, and how they end.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use radar_link::jws::{SigningKey, sign};
use radar_tests::broker::{Broker, Options, Tap};
use radar_tests::clock::wall_nanos;
use radar_tests::engine::{Engine, Spec};
use radar_wire::codec::decode;
use radar_wire::command::{Claims, Command, LogChunk, Outcome, Progress};
use radar_wire::snapshot::Snapshot;

use crate::world::{self, DEADLINE, Program};

/// An agent that knows the test's key, and the name of a container that runs.
struct Stage {
    engine: Engine,
    broker: Broker,
    agent: Program,
    key: SigningKey,
    outcomes: Tap,
    container: String,
}

impl Stage {
    async fn set(line: &str) -> Result<Self> {
        let engine = Engine::shared().await?;
        let broker = Broker::open(&Options::default()).await?;
        let outcomes = broker.tap(&["radar/v1/pi/outcome"]).await?;
        let snapshots = broker.tap(&["radar/v1/pi/snapshot"]).await?;
        let container = engine.unique("told");
        engine.run(&container, Spec::shell(line)).await?;
        let key = SigningKey::generate()?;
        let mut agent = world::agent("pi", &engine.host(), &broker.url())?;
        agent.set("AGENT_COMMAND_KEY", &key.public().to_string());
        agent.set("AGENT_ALLOW", "logs");
        agent.start().await?;
        let known = |snapshot: Snapshot| snapshot.containers.iter().any(|record| *record.name == *container);
        let seen = snapshots.wait_for("the container in a snapshot", DEADLINE, |seen| {
            decode(seen.content_type.as_deref(), &seen.payload).is_ok_and(known)
        });
        seen.await.with_context(|| agent.log())?;
        Ok(Self { engine, broker, agent, key, outcomes, container })
    }

    /// Listens to a stream that will have this name.
    async fn listen(&self, jti: &str) -> Result<Tap> {
        self.broker.tap(&[&format!("radar/v1/pi/log/{jti}")]).await
    }

    async fn ask(&self, jti: &str, cmd: Command) -> Result<()> {
        self.ask_with(&self.key, jti, cmd).await
    }

    async fn ask_with(&self, key: &SigningKey, jti: &str, cmd: Command) -> Result<()> {
        let iat = wall_nanos() / 1_000_000_000;
        let (iss, sub, jti) = ("test".to_owned(), "test".to_owned(), jti.to_owned());
        let claims = Claims { iss, aud: "pi".parse()?, sub, iat, exp: iat + 60, jti, cmd };
        self.broker.publish_raw("radar/v1/pi/command", sign(key, &claims)?, false).await
    }

    async fn follow(&self, jti: &str) -> Result<()> {
        self.ask(jti, self.logs(true)).await
    }

    fn logs(&self, follow: bool) -> Command {
        let (container, tail, since, until, limit) = (self.container.as_str().into(), None, None, None, None);
        Command::Logs { container, tail, since, until, timestamps: false, follow, limit }
    }

    /// How a command has ended: its state, its reason, and what it has done.
    async fn end(&self, jti: &str) -> Result<(Progress, String, serde_json::Value)> {
        let is_end = |outcome: &Outcome| &*outcome.jti == jti && outcome.state != Progress::Accepted;
        let read = |payload: &[u8]| decode::<Outcome>(None, payload);
        let wanted =
            self.outcomes.wait_for("its outcome", DEADLINE, |seen| read(&seen.payload).as_ref().is_ok_and(is_end));
        let outcome = read(&wanted.await.with_context(|| self.agent.log())?.payload)?;
        let result = serde_json::to_value(outcome.result)?;
        Ok((outcome.state, outcome.reason.unwrap_or_default().into(), result))
    }

    async fn leave(self) -> Result<()> {
        self.engine.remove(&self.container).await
    }
}

/// What was heard of a stream: its text and how it ended. Its chunks are numbered from 0 on without a hole.
fn heard(tap: &Tap) -> Result<(String, Option<String>)> {
    let (mut text, mut end) = (String::new(), None);
    for (at, seen) in tap.seen().iter().enumerate() {
        let chunk: LogChunk = decode(seen.content_type.as_deref(), &seen.payload)?;
        ensure!(chunk.number == at as u64 && !seen.retain && end.is_none(), "chunk {} at {at}", chunk.number);
        text.extend(chunk.pieces.iter().map(|piece| &*piece.text));
        end = chunk.end.map(Into::into);
    }
    Ok((text, end))
}

async fn until_heard(tap: &Tap, wanted: impl Fn(&str, Option<&str>) -> bool) -> Result<(String, Option<String>)> {
    radar_tests::wait::until("the log", DEADLINE, async || {
        let (text, end) = heard(tap)?;
        let found = wanted(&text, end.as_deref());
        if found {
            return Ok((text, end));
        }
        // Reading it all is work that the programs under test should not have to wait for.
        tokio::time::sleep(POLL).await;
        Err(anyhow::anyhow!("{} bytes, {end:?}", text.len()))
    })
    .await
}

const POLL: Duration = Duration::from_millis(200);

const CHATTY: &str = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.1; done";

// DM5, PS4
#[tokio::test]
async fn a_follower_that_vanishes_ends_the_stream_and_the_agent_says_so() -> Result<()> {
    let stage = Stage::set(CHATTY).await?;
    let tap = stage.listen("01-1").await?;
    stage.follow("01-1").await?;
    let (text, end) = until_heard(&tap, |text, _| text.lines().count() > 10).await?;
    ensure!(text.starts_with("line 1\nline 2\nline 3\n") && end.is_none(), "{text}");
    drop(tap);
    let (state, reason, result) = stage.end("01-1").await?;
    assert_eq!((state, result["end"].as_str()), (Progress::Succeeded, Some("nobody listens")), "{reason}");
    assert!(result["bytes"].as_u64() >= Some(text.len() as u64), "{result}");
    stage.leave().await
}

// PS4, E6
#[tokio::test]
async fn a_follower_ends_its_stream_and_only_one_with_a_key_can() -> Result<()> {
    let stage = Stage::set(CHATTY).await?;
    let tap = stage.listen("01-1").await?;
    stage.follow("01-1").await?;
    until_heard(&tap, |text, _| !text.is_empty()).await?;
    let cancel = Command::Cancel { jti: "01-1".into() };
    stage.ask_with(&SigningKey::generate()?, "01-2", cancel.clone()).await?;
    let before = heard(&tap)?.0.len();
    until_heard(&tap, |text, end| text.len() > before + 20 && end.is_none()).await?;
    stage.ask("01-3", cancel.clone()).await?;
    until_heard(&tap, |_, end| end == Some("cancelled")).await?;
    assert_eq!(stage.end("01-1").await?.0, Progress::Succeeded);
    assert_eq!(stage.end("01-3").await?.0, Progress::Succeeded);
    stage.ask("01-4", cancel).await?;
    let (state, reason, _) = stage.end("01-4").await?;
    assert!(state == Progress::Failed && reason.starts_with("not-found"), "{reason}");
    stage.leave().await
}

// PS5
#[tokio::test]
async fn a_download_is_complete() -> Result<()> {
    let stage = Stage::set("seq 1 1000000; sleep 1000000").await?;
    let all: String = (1..=1_000_000).map(|number| format!("{number}\n")).collect();
    // It is written while it is read: only the last one is of all.
    let mut number = 0;
    loop {
        number += 1;
        let jti = format!("01-{number}");
        let tap = stage.listen(&jti).await?;
        stage.ask(&jti, stage.logs(false)).await?;
        let (text, end) = until_heard(&tap, |_, end| end.is_some()).await?;
        let (state, _, result) = stage.end(&jti).await?;
        assert_eq!((state, end.as_deref()), (Progress::Succeeded, Some("end")));
        let counts = serde_json::json!({ "chunks": tap.count(), "bytes": text.len(), "end": "end" });
        assert_eq!(result, counts);
        ensure!(all.starts_with(&text), "{} bytes that were never written", text.len());
        if text.len() == all.len() {
            return stage.leave().await;
        }
        ensure!(number < 20, "{} of {} bytes", text.len(), all.len());
    }
}

// PS4
#[tokio::test]
async fn a_firehose_is_cut_with_a_notice_and_events_go_on_meanwhile() -> Result<()> {
    // 4 MB in a second, in long lines: of short ones a busy engine takes less.
    let line = "x".repeat(3999);
    let stage = Stage::set(&format!("while :; do yes {line} | head -n 100; usleep 100000; done")).await?;
    let tap = stage.listen("01-1").await?;
    let events = stage.broker.tap(&["radar/v1/pi/event"]).await?;
    stage.follow("01-1").await?;
    until_heard(&tap, |text, _| text.len() > 5 << 20).await?;
    let before = events.count();
    stage.engine.kill(&stage.container, "WINCH").await?;
    events.wait_count(before + 1, Duration::from_secs(5)).await?;
    let (text, _) = until_heard(&tap, |_, end| end == Some("firehose")).await?;
    assert!((5 << 20..20 << 20).contains(&text.len()), "{} bytes", text.len());
    let (state, reason, _) = stage.end("01-1").await?;
    assert!(state == Progress::Succeeded && reason.starts_with("cut: "), "{reason}");
    stage.leave().await
}

// PS4, E1
#[tokio::test]
async fn a_broker_that_dies_ends_a_stream_and_its_end_is_told_to_the_next() -> Result<()> {
    let stage = Stage::set(CHATTY).await?;
    let tap = stage.listen("01-1").await?;
    stage.follow("01-1").await?;
    until_heard(&tap, |text, _| !text.is_empty()).await?;
    stage.broker.kill9().await?;
    stage.broker.start().await?;
    let (state, reason, result) = stage.end("01-1").await?;
    assert_eq!((state, result["end"].as_str()), (Progress::Failed, Some("link lost")));
    assert_eq!(reason, "interrupted: the link to the broker was lost");
    // And the next one is told as if nothing had been.
    let again = stage.listen("01-2").await?;
    stage.follow("01-2").await?;
    until_heard(&again, |text, _| text.starts_with("line 1\n")).await?;
    stage.leave().await
}

// PS4
#[tokio::test]
async fn an_agent_that_stops_ends_its_streams_first_and_one_that_is_killed_afterwards() -> Result<()> {
    let stage = Stage::set(CHATTY).await?;
    let (one, other) = (stage.listen("01-1").await?, stage.listen("01-2").await?);
    stage.follow("01-1").await?;
    until_heard(&one, |text, _| !text.is_empty()).await?;
    stage.agent.stop().await?;
    until_heard(&one, |_, end| end == Some("stopped")).await?;
    assert_eq!(stage.end("01-1").await?.1, "interrupted: the agent was stopped");
    stage.agent.start().await?;
    // A command that nobody hears is lost: the agent may not listen yet.
    stage.agent.wait_log("going on where the last run stopped").await?;
    radar_tests::wait::until("a second stream", DEADLINE, async || {
        stage.follow("01-2").await?;
        if other.count() > 0 { Ok(()) } else { Err(anyhow::anyhow!("no chunk")) }
    })
    .await?;
    stage.agent.kill9().await?;
    stage.agent.start().await?;
    let (state, reason, _) = stage.end("01-2").await?;
    assert!(state == Progress::Failed && reason.starts_with("interrupted: the agent ended"), "{reason}");
    stage.leave().await
}
