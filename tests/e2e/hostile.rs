//! Whoever may write to the broker may write anything. What is no payload of the contract is counted and
//! dropped; it stops neither program, hides no event, and fills no log.

use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use radar_tests::broker::{Broker, Options};
use radar_tests::engine::Engine;
use radar_tests::wait::until;
use radar_wire::codec::{decode, encode};
use radar_wire::resend::Resend;
use radar_wire::status::{Presence, Status};

use crate::world::scene::Scene;
use crate::world::site::Site;
use crate::world::{DEADLINE, Program};

const CBOR: &str = "application/cbor";
const ZLIB: &str = "application/cbor+zlib";
const GOLDEN: [(&str, &[u8]); 5] = [
    ("status", include_bytes!("../../broker/wire/tests/golden/status.cbor")),
    ("snapshot", include_bytes!("../../broker/wire/tests/golden/snapshot.cbor")),
    ("event", include_bytes!("../../broker/wire/tests/golden/event.cbor")),
    ("enroll", include_bytes!("../../broker/wire/tests/golden/enroll.cbor")),
    ("resend", include_bytes!("../../broker/wire/tests/golden/resend.cbor")),
];
/// So many messages of one kind are a flood.
const FLOOD: usize = 500;
/// Lines that a flood may leave in a log: one a minute, and a test may take minutes.
const LINES: usize = 5;

struct Stage {
    broker: Broker,
    site: Site,
    scene: Scene,
}

impl Stage {
    async fn set(purpose: &str) -> Result<Self> {
        Self::set_on(Engine::shared().await?, purpose).await
    }

    async fn set_on(engine: Engine, purpose: &str) -> Result<Self> {
        let options = Options { more: "message_size_limit 8000000\n".to_owned(), ..Options::default() };
        let broker = Broker::open(&options).await?;
        let site = Site::open(&engine, &broker).await?;
        let scene = Scene::set(&engine, purpose, 2).await?;
        scene.burst(20).await?;
        Ok(Self { broker, site, scene })
    }

    /// Both programs run, and what happens on the host is in the history, once and without a gap, and
    /// at the server.
    async fn check_unharmed(&self) -> Result<()> {
        self.site.agent.check_running()?;
        self.site.bridge.check_running()?;
        self.scene.burst(20).await?;
        self.site.wait_whole(&self.scene).await?;
        self.site.bridge.wait_agent("pi", "the agent", |line| line["state"] == "online").await?;
        self.site.agent.check_running()?;
        self.site.bridge.check_running()
    }

    /// A number of `/metrics`.
    async fn metric(&self, name: &str) -> Result<usize> {
        let (_, text) = self.site.bridge.get("/metrics").await?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(Ok(0), |number| number.parse().with_context(|| format!("{name} {number}")))
    }

    async fn wait_metric(&self, name: &str, wanted: usize) -> Result<()> {
        until(&format!("{wanted} in {name}"), DEADLINE, async || {
            let found = self.metric(name).await?;
            if found >= wanted { Ok(()) } else { Err(anyhow::anyhow!("{found}")) }
        })
        .await
    }
}

/// Bytes that look random, the same in every run.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A megabyte for each kilobyte.
fn bomb(megabytes: usize) -> Result<Vec<u8>> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::best());
    for _ in 0..megabytes {
        packer.write_all(&vec![0x81; 1 << 20])?;
    }
    Ok(packer.finish()?)
}

/// Payloads that fit no channel: what they are, their bytes and content type.
fn payloads(golden: &[u8]) -> Result<Vec<(Vec<u8>, &'static str)>> {
    let mut all = vec![
        (golden[..golden.len() / 2].to_vec(), CBOR),
        (golden[..golden.len() - 1].to_vec(), CBOR),
        ([golden, &[0]].concat(), CBOR),
        (golden.to_vec(), ZLIB),
        (golden.to_vec(), "application/json"),
        (b"{\"state\":\"online\"}".to_vec(), "application/json"),
        // An array that says it has 2^64 - 1 items, and a text of as many bytes.
        (b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(), CBOR),
        (b"\xa1\x7b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(), CBOR),
        (vec![0x81; 60_000], CBOR),
        (vec![0xa1; 900_000], CBOR),
        (vec![0x40; 1_000_000], CBOR),
        (noise(1, 2_000_000), CBOR),
        // More than either program takes.
        (noise(2, 7_900_000), CBOR),
        (bomb(200)?, ZLIB),
    ];
    all.extend((0..20).map(|seed| (noise(seed, 16 << (seed % 8)), if seed % 2 == 0 { CBOR } else { ZLIB })));
    Ok(all)
}

// E13, E1
#[tokio::test]
async fn garbage_on_every_topic_is_dropped_and_counted() -> Result<()> {
    let stage = Stage::set("garbage").await?;
    for (channel, golden) in GOLDEN {
        for (bytes, content_type) in payloads(golden)? {
            for agent in ["pi", "nobody"] {
                let topic = format!("radar/v1/{agent}/{channel}");
                stage.broker.publish_typed(&topic, bytes.clone(), false, content_type).await?;
            }
        }
    }
    for channel in ["event", "enroll", "resend"] {
        stage.broker.publish_raw(&format!("radar/v1/pi/{channel}"), Vec::new(), false).await?;
    }
    for topic in ["radar/v1/pi/nonsense", "radar/v1/pi/log/../..", "radar/v2/pi/status", "radar/v1/status"] {
        stage.broker.publish_raw(topic, noise(3, 100), false).await?;
    }
    for id in ["p i", "pi.local", &"x".repeat(65), "π", "-".repeat(3000).as_str()] {
        stage.broker.publish_raw(&format!("radar/v1/{id}/event"), GOLDEN[2].1, false).await?;
    }
    for channel in ["status", "snapshot", "event", "enroll"] {
        stage.wait_metric(&format!("radar_decode_errors_total{{channel=\"{channel}\"}}"), 60).await?;
    }
    stage.wait_metric("radar_foreign_messages_total", 5).await?;
    stage.check_unharmed().await?;
    let log = stage.site.bridge.log();
    for agent in ["pi", "nobody"] {
        let lines = log.matches(&format!("{agent}: its ")).count();
        ensure!((1..=LINES).contains(&lines), "{lines} lines of {agent}: {log}");
    }
    let log = stage.site.agent.log();
    ensure!(log.lines().count() < 40, "{log}");
    // An agent of which nothing was ever understood is not known.
    assert_eq!(stage.site.bridge.agent_lines().await?.len(), 1);
    Ok(())
}

// E13
#[tokio::test]
async fn floods_of_garbage_fill_no_log() -> Result<()> {
    let stage = Stage::set("flood").await?;
    let lines = |program: &Program| program.log().lines().count();
    let before = (lines(&stage.site.bridge), lines(&stage.site.agent));
    for channel in ["event", "resend", "status"] {
        for seed in 0..FLOOD as u64 {
            stage.broker.publish_raw(&format!("radar/v1/pi/{channel}"), noise(seed, 40), false).await?;
        }
    }
    stage.wait_metric("radar_decode_errors_total{channel=\"event\"}", FLOOD).await?;
    stage.check_unharmed().await?;
    let more = (lines(&stage.site.bridge) - before.0, lines(&stage.site.agent) - before.1);
    ensure!(
        more.0 <= LINES && more.1 <= 2 * LINES,
        "{more:?} lines\n{}\n{}",
        stage.site.bridge.log(),
        stage.site.agent.log()
    );
    Ok(())
}

// E2, E1
#[tokio::test]
async fn garbage_that_is_retained_on_its_own_topics_does_not_stop_an_agent() -> Result<()> {
    // What this engine remembers of its events for an agent that was killed, no other test uses up.
    let stage = Stage::set_on(Engine::start().await?, "retained").await?;
    stage.site.agent.kill9().await?;
    for (channel, golden) in GOLDEN {
        if ["status", "snapshot", "resend"].contains(&channel) {
            let topic = format!("radar/v1/pi/{channel}");
            stage.broker.publish_typed(&topic, golden[..golden.len() / 2].to_vec(), true, CBOR).await?;
        }
    }
    stage.scene.burst(20).await?;
    stage.site.agent.start().await?;
    until("a status in place of the garbage", DEADLINE, async || {
        let seen = stage.broker.retained("radar/v1/pi/status").await?.context("nothing retained")?;
        let status: Status = decode(seen.content_type.as_deref(), &seen.payload)?;
        if status.state == Presence::Online { Ok(()) } else { Err(anyhow::anyhow!("{status:?}")) }
    })
    .await?;
    // And while it lives.
    for channel in ["status", "snapshot"] {
        stage.broker.publish_raw(&format!("radar/v1/pi/{channel}"), noise(7, 300), true).await?;
    }
    until("a status in place of the garbage again", DEADLINE, async || {
        let seen = stage.broker.retained("radar/v1/pi/status").await?.context("nothing retained")?;
        decode::<Status>(seen.content_type.as_deref(), &seen.payload).map(drop).map_err(anyhow::Error::from)
    })
    .await?;
    stage.check_unharmed().await
}

// E1
#[tokio::test]
async fn absurd_ranges_are_answered_with_measure() -> Result<()> {
    let stage = Stage::set("ranges").await?;
    let own = until("its snapshot", DEADLINE, async || {
        stage.broker.retained("radar/v1/pi/snapshot").await?.context("nothing retained")
    });
    let own = own.await?;
    let own: radar_wire::snapshot::Snapshot = decode(own.content_type.as_deref(), &own.payload)?;
    let tap = stage.broker.tap(&["radar/v1/pi/event"]).await?;
    let most = u64::MAX;
    for epoch in [own.epoch, own.epoch + 1, most] {
        for (from, to) in [(0, most), (most, 0), (0, 0), (most, most), (1, 1 << 40), (1 << 52, 1 << 53), (9, 3)] {
            let ask = encode(&Resend { epoch, from, to })?;
            stage.broker.publish_typed("radar/v1/pi/resend", ask.bytes, false, CBOR).await?;
        }
    }
    stage.check_unharmed().await?;
    // All of its events a few times at the most, however much was asked for.
    let events = stage.scene.seen().len();
    ensure!(tap.count() < 40 * (events + 10), "{} messages for {events} events", tap.count());
    let line = stage.site.bridge.agent_line("pi").await?;
    assert_eq!(line["gaps"]["missing"], 0, "{line}");
    Ok(())
}
