//! Logs of real containers: what was written is told, all of it, in order, and no faster than it is wanted.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::models::{HostConfig, HostConfigLogConfig};
use radar_agent::engine::act::{Act, ActError, Done, Piece};
use radar_agent::engine::notice::Notice;
use radar_link::time::utc;
use radar_tests::engine::{Engine as TestEngine, Spec};
use radar_tests::proxy::{Proxy, Target};
use radar_tests::wait::until;
use radar_wire::command::LogPiece;
use radar_wire::container::ContainerId;

use crate::actor::{Actor, TIME_OUT};
use crate::watch::{DEADLINE, exec};

/// The most bytes of text that are told at once.
const MOST: usize = 32 * 1024;

/// A log that is being told.
struct Log {
    ticket: u64,
    pieces: Vec<LogPiece>,
    result: Option<Result<Done, ActError>>,
}

impl Log {
    fn begin(actor: &mut Actor, act: Act, time_out: Duration) -> Self {
        Self { ticket: actor.begin(act, time_out), pieces: Vec::new(), result: None }
    }

    /// Takes what is told until it is enough.
    async fn until(&mut self, actor: &mut Actor, enough: impl Fn(&Self) -> bool) -> Result<()> {
        let going = async {
            while !enough(self) {
                self.take(actor.engine.next().await);
                actor.engine.more(self.ticket);
            }
        };
        let waited = tokio::time::timeout(DEADLINE, going).await;
        waited.with_context(|| format!("waited for a log; told: {:.1000}; {:?}", self.text(), self.result))
    }

    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Told { ticket, piece: Piece::Log(pieces) } if ticket == self.ticket => {
                let size: usize = pieces.iter().map(|piece| piece.text.len()).sum();
                assert!((1..=MOST).contains(&size), "{size} bytes at once");
                assert!(pieces.windows(2).all(|two| two[0].stream != two[1].stream), "neighbours are one piece");
                self.pieces.extend(pieces);
            }
            Notice::Acted { ticket, result } if ticket == self.ticket => {
                assert!(self.result.replace(result).is_none(), "an act ends once");
            }
            _ => {}
        }
    }

    /// What was written, `!` before what is of `stderr`.
    fn text(&self) -> String {
        let mark = |piece: &LogPiece| if &*piece.stream == "stdout" { "" } else { "!" };
        self.pieces.iter().map(|piece| format!("{}{}", mark(piece), piece.text)).collect()
    }
}

fn all(id: ContainerId) -> Act {
    Act::Logs { id, tail: None, since: None, until: None, timestamps: false, follow: false }
}

fn followed(id: ContainerId) -> Act {
    Act::Logs { id, tail: None, since: None, until: None, timestamps: false, follow: true }
}

/// All of a log that ends.
async fn whole(actor: &mut Actor, act: Act) -> Result<String> {
    let mut log = Log::begin(actor, act, TIME_OUT);
    log.until(actor, |log| log.result.is_some()).await?;
    log.result.take().context("a result")?.context("its end")?;
    Ok(log.text())
}

/// Runs a line of shell to its end.
async fn written(engine: &TestEngine, spec: Spec) -> Result<ContainerId> {
    let name = engine.unique("writes");
    let container = engine.run(&name, spec).await?;
    until("its end", DEADLINE, async || {
        let state = engine.inspect(&name).await?.state.and_then(|state| state.running);
        if state == Some(false) { Ok(()) } else { Err(anyhow::anyhow!("it runs")) }
    })
    .await?;
    Ok(container.id.parse()?)
}

fn driver(spec: Spec, name: &str) -> Spec {
    spec.adjust(|body| {
        let host = body.host_config.get_or_insert_with(HostConfig::default);
        host.log_config = Some(HostConfigLogConfig { typ: Some(name.to_owned()), config: None });
    })
}

fn terminal(line: &str) -> Spec {
    Spec::shell(line).adjust(|body| body.tty = Some(true))
}

/// Where two long texts begin to differ.
fn differ(told: &str, expect: &str) -> String {
    let same = told.bytes().zip(expect.bytes()).take_while(|(told, expect)| told == expect).count();
    let at = told.floor_char_boundary(same);
    format!("{} bytes, {} expected, the same for {same}: {:.60}", told.len(), expect.len(), &told[at..])
}

// DM5
#[tokio::test]
async fn both_streams_are_told_in_the_order_in_which_they_were_written() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    // The engine reads two pipes; what is written apart has an order.
    let line = "for n in 1 2 3 4 5; do echo out $n; usleep 60000; echo err $n >&2; usleep 60000; done; printf end";
    let id = written(&engine, Spec::shell(line)).await?;
    let expect = (1..=5).fold(String::new(), |mut text, n| {
        let _ = write!(text, "out {n}\n!err {n}\n");
        text
    });
    let told = whole(&mut actor, all(id)).await?;
    assert_eq!(told.trim_end(), format!("{expect}end"));
    // And the same for one who follows what has ended.
    assert_eq!(whole(&mut actor, followed(id)).await?, told);
    assert_eq!(whole(&mut actor, all(written(&engine, Spec::shell("true")).await?)).await?, "");
    Ok(())
}

// DM5, PS4
#[tokio::test]
async fn what_a_terminal_shows_is_whole_whatever_bytes_it_is() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let line = r"printf '\001\002\000\000\000\000\377\037 a\n'; printf '\000\001\n\002\n'; echo e >&2; printf 'h\303\251\033[1m\n$ '";
    let id = written(&engine, terminal(line)).await?;
    let told = whole(&mut actor, all(id)).await?;
    let expect = "\x01\x02\0\0\0\0\u{fffd}\x1f a\r\n\0\x01\r\n\x02\r\ne\r\nhé\x1b[1m\r\n$ ";
    assert_eq!(told.trim_end_matches('\n'), expect);
    let long = written(&engine, terminal("yes 'a terminal' | head -n 20000")).await?;
    assert_eq!(whole(&mut actor, all(long)).await?, "a terminal\r\n".repeat(20_000));
    Ok(())
}

// DM5, PS4
#[tokio::test]
async fn a_character_may_be_written_in_parts_and_a_line_be_long() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let parts = r"printf 'h\303'; usleep 200000; printf '\251 \360\237'; usleep 200000; printf '\230\200\n'; printf 'odd \377\n'";
    let id = written(&engine, Spec::shell(parts)).await?;
    assert_eq!(whole(&mut actor, all(id)).await?, "hé 😀\nodd \u{fffd}\n");

    // The engine has such a line in parts of 16 KiB.
    let line = "x".repeat(100 * 1024);
    let id = written(&engine, Spec::shell("head -c 102400 /dev/zero | tr '\\0' x; echo")).await?;
    assert_eq!(whole(&mut actor, all(id)).await?, format!("{line}\n"));
    let dated = Act::Logs { id, tail: None, since: None, until: None, timestamps: true, follow: false };
    let dated = whole(&mut actor, dated).await?;
    let (time, rest) = dated.split_once(' ').context("a time")?;
    assert!(utc::nanoseconds(time).is_some() && rest == format!("{line}\n"), "{time} {:.100}", rest);

    // One whose parts end in the middle of characters, from a driver that keeps what was written, but for the end of
    // such a line.
    let spec = driver(Spec::shell("yes '€' | head -n 34000 | tr -d '\\n'; echo"), "local");
    let id = written(&engine, spec).await?;
    let told = whole(&mut actor, all(id)).await?;
    let expect = "€".repeat(34_000);
    assert!(told.trim_end() == expect, "{}", differ(&told, &expect));
    Ok(())
}

// DM5
#[tokio::test]
async fn a_log_is_cut_to_what_was_asked_for() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let id = written(&engine, Spec::shell("for n in 1 2 3 4 5 6; do echo $n; usleep 20000; done")).await?;
    let ask = |tail, since, until, timestamps| Act::Logs { id, tail, since, until, timestamps, follow: false };

    let dated = whole(&mut actor, ask(None, None, None, true)).await?;
    let lines: Vec<(i64, &str)> = dated
        .lines()
        .map(|line| {
            let (time, text) = line.split_once(' ').context("a time")?;
            Ok((utc::nanoseconds(time).context("a time")? / 1_000_000, text))
        })
        .collect::<Result<_>>()?;
    assert_eq!(lines.iter().map(|(_, text)| *text).collect::<String>(), "123456");
    // Milliseconds count, and the engine's time has more digits than that.
    let (third, fifth) = (lines[2].0, lines[4].0 + 1);
    let table = [
        (ask(Some(2), None, None, false), "56"),
        (ask(Some(0), None, None, false), ""),
        (ask(Some(1000), None, None, false), "123456"),
        (ask(None, Some(third), None, false), "3456"),
        (ask(None, Some(third + 1), None, false), "456"),
        (ask(None, None, Some(third), false), "12"),
        (ask(None, Some(third), Some(fifth), false), "345"),
        (ask(Some(1), Some(third), None, false), "6"),
        (ask(None, Some(fifth + 60_000), None, false), ""),
        (ask(None, Some(-1), None, false), "123456"),
        (ask(None, Some(i64::MAX), None, false), ""),
    ];
    for (act, expect) in table {
        let told = whole(&mut actor, act.clone()).await?;
        assert_eq!(told.replace('\n', ""), expect, "{act:?}");
    }
    Ok(())
}

// DM5, PS4
#[tokio::test]
async fn a_log_that_is_followed_goes_on_for_as_long_as_the_container_runs() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    for spec in [Spec::shell("echo begins; sleep 1000000"), terminal("echo begins; sleep 1000000")] {
        let name = engine.unique("followed");
        let id: ContainerId = engine.run(&name, spec).await?.id.parse()?;
        // What is no answer of the engine is not timed.
        let mut log = Log::begin(&mut actor, followed(id), Duration::from_secs(1));
        log.until(&mut actor, |log| log.text().contains("begins")).await?;
        let silent = log.until(&mut actor, |log| log.result.is_some());
        assert!(tokio::time::timeout(Duration::from_millis(2500), silent).await.is_err(), "it goes on");
        for word in ["one", "two"] {
            exec(&engine, &name, &["sh", "-c", &format!("echo {word} > /proc/1/fd/1")]).await?;
            log.until(&mut actor, |log| log.text().contains(word)).await?;
        }
        assert_eq!(log.text().replace('\r', ""), "begins\none\ntwo\n");
        engine.stop(&name).await?;
        log.until(&mut actor, |log| log.result.is_some()).await?;
        assert_eq!(log.result, Some(Ok(Done { needed: false, result: None })));
        engine.remove(&name).await?;
    }
    Ok(())
}

/// How many connections to this port of loopback stand.
fn connections(port: u16) -> Result<usize> {
    let table = fs::read_to_string("/proc/net/tcp").context("the kernel's connections")?;
    let to = format!(":{port:04X}");
    let stands = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|remote| remote.ends_with(&to)) && fields.next() == Some("01")
    };
    Ok(table.lines().filter(stands).count())
}

// PS4
#[tokio::test]
async fn a_stream_that_is_ended_is_closed_at_the_engine() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let proxy = Proxy::start(Target::Socket(engine.socket())).await?;
    let mut actor = Actor::start_at(format!("tcp://127.0.0.1:{}", proxy.port()), DEADLINE).await?;
    // One of the connections is the event stream; others are kept for a while.
    let name = engine.unique("ended");
    let id: ContainerId = engine.run(&name, Spec::shell("while :; do echo line; done")).await?.id.parse()?;
    for _ in 0..3 {
        let mut log = Log::begin(&mut actor, followed(id), TIME_OUT);
        log.until(&mut actor, |log| log.pieces.len() > 2).await?;
        let during = connections(proxy.port())?;
        actor.engine.cancel(log.ticket);
        log.until(&mut actor, |log| log.result.is_some()).await?;
        let result = log.result.take().context("a result")?;
        assert_eq!(result.map_err(|error| error.kind.as_str()), Err("cancelled"));
        until("the connection's end", DEADLINE, async || {
            let now = connections(proxy.port())?;
            if now < during { Ok(()) } else { Err(anyhow::anyhow!("{now} of {during} connections")) }
        })
        .await?;
    }
    // One that waits for its reader is ended just so.
    let ticket = actor.begin(followed(id), TIME_OUT);
    let told = async { while !matches!(actor.engine.next().await, Notice::Told { .. }) {} };
    tokio::time::timeout(DEADLINE, told).await.context("waited for a piece")?;
    // Other tests' containers are on this engine, and their events come all the same.
    let more = async { while !matches!(actor.engine.next().await, Notice::Told { .. } | Notice::Acted { .. }) {} };
    let more = tokio::time::timeout(Duration::from_millis(500), more).await;
    assert!(more.is_err(), "something more is told before it is asked for");
    actor.engine.cancel(ticket);
    assert!(actor.end(ticket).await?.is_err());
    engine.remove(&name).await
}

// PS4
#[tokio::test]
async fn a_log_that_cannot_be_read_says_why() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let id: ContainerId = "ab".repeat(32).parse()?;
    let (kind, text) = actor.fails(all(id)).await?;
    assert!(kind == "not-found" && text.contains(&id.to_string()), "{kind}: {text}");
    let id = written(&engine, driver(Spec::shell("echo"), "none")).await?;
    for act in [all(id), followed(id)] {
        let (kind, text) = actor.fails(act).await?;
        assert!(kind == "engine" && text.contains("logging driver"), "{kind}: {text}");
    }
    Ok(())
}

// PS4
#[tokio::test]
async fn a_container_that_is_removed_and_an_engine_that_goes_away_end_a_log() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let proxy = Proxy::start(Target::Socket(engine.socket())).await?;
    let mut actor = Actor::start_at(format!("tcp://127.0.0.1:{}", proxy.port()), DEADLINE).await?;
    let name = engine.unique("removed");
    let id: ContainerId = engine.run(&name, Spec::shell("echo here; sleep 1000000")).await?.id.parse()?;
    let mut log = Log::begin(&mut actor, followed(id), TIME_OUT);
    log.until(&mut actor, |log| log.text() == "here\n").await?;
    engine.remove(&name).await?;
    log.until(&mut actor, |log| log.result.is_some()).await?;
    assert!(log.result.take().context("a result")?.is_ok(), "its log has no more");

    let name = engine.unique("away");
    let id: ContainerId = engine.run(&name, Spec::shell("echo here; sleep 1000000")).await?.id.parse()?;
    let mut log = Log::begin(&mut actor, followed(id), TIME_OUT);
    log.until(&mut actor, |log| log.text() == "here\n").await?;
    proxy.cut();
    log.until(&mut actor, |log| log.result.is_some()).await?;
    let error = log.result.take().context("a result")?.expect_err("it has not ended");
    assert_eq!(error.kind.as_str(), "engine", "{error}");
    engine.remove(&name).await
}

// PS5
#[tokio::test]
async fn a_large_log_is_told_whole_and_in_small_pieces() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let end = "€".repeat(30);
    let id = written(&engine, Spec::shell(&format!("seq 1 220000 | sed 's/$/ {end}/'"))).await?;
    let told = whole(&mut actor, all(id)).await?;
    let mut expect = String::new();
    for number in 1..=220_000 {
        let _ = writeln!(expect, "{number} {end}");
    }
    assert!(expect.len() > 20 << 20, "{} bytes", expect.len());
    assert!(told == expect, "{}", differ(&told, &expect));
    Ok(())
}
