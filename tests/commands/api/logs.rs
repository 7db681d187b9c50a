//! Logs, as they come from an agent, to those who read them well, badly, or no more.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use radar_link::mqtt::Delivery;
use radar_tests::broker::{Broker, Options, Persistence};
use radar_tests::wait::until;
use radar_wire::command::{Claims, Command, LogChunk};
use radar_wire::topic::Channel;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Events, Scene, soon};
use crate::{DEADLINE, Stage, bridge, publish};

impl Scene {
    /// Asks for a log; the command that the agent gets.
    async fn read(&mut self, query: &str) -> Result<(Response, Claims)> {
        let request = self.get(&format!("agents/pi/containers/web/logs{query}"));
        let (answer, asked) = tokio::join!(soon("the answer", async { Ok(request.send().await?) }), async {
            let claims = self.pi.command().await?;
            self.pi.tell(&claims.jti, "accepted").await?;
            anyhow::Ok(claims)
        });
        Ok((answer?, asked?))
    }

    async fn follow(&mut self, query: &str) -> Result<(Events, Claims)> {
        let request = self.get(&format!("agents/pi/containers/web/logs{query}"));
        let (events, asked) = tokio::join!(soon("the answer", Events::open(request)), async {
            let claims = self.pi.command().await?;
            self.pi.tell(&claims.jti, "accepted").await?;
            anyhow::Ok(claims)
        });
        Ok((events?, asked?))
    }

    /// The agent is told to end this.
    async fn cancelled(&mut self, jti: &str) -> Result<()> {
        let claims = soon("the end at the agent", self.pi.command()).await?;
        assert_eq!((claims.cmd, &*claims.sub), (Command::Cancel { jti: jti.into() }, "api:Ann"));
        // Nobody reads what it says meanwhile.
        let mut number = 100_000;
        until("the end of the subscription", DEADLINE, async || {
            number += 1;
            let delivery = self.pi.chunk(jti, number, "x", None).await?;
            ensure!(delivery == Delivery::NoSubscriber, "{delivery:?}");
            Ok(())
        })
        .await
    }
}

// PS5
#[tokio::test]
async fn a_download_is_whole_in_order_and_nothing_is_in_it_twice() -> Result<()> {
    let mut scene = Scene::set().await?;
    let (mut answer, claims) = scene.read("?tail=5&since=1000&timestamps=true&limit=999&download=true").await?;
    let Claims { jti, cmd, .. } = claims;
    let (container, tail, since) = ("web".into(), Some(5), Some(1000));
    let expected =
        Command::Logs { container, tail, since, until: None, timestamps: true, follow: false, limit: Some(999) };
    assert_eq!(cmd, expected);
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"web.log\"");
    let mut written = String::new();
    for number in 0..200 {
        let text = format!("line {number} of Zoë 🦀\r\n");
        written.push_str(&text);
        scene.pi.chunk(&jti, number, &text, None).await?;
        if number % 7 == 0 {
            // As after a connection that was lost before the acknowledgement.
            scene.pi.chunk(&jti, number, &text, None).await?;
        }
    }
    scene.pi.chunk(&jti, 200, "no end of line", Some("end")).await?;
    written.push_str("no end of line");
    scene.pi.tell(&jti, "succeeded").await?;
    let mut read = Vec::new();
    while let Some(chunk) = soon("the rest", async { Ok(answer.chunk().await?) }).await? {
        read.extend_from_slice(&chunk);
    }
    assert_eq!(String::from_utf8(read)?, written);
    // Nothing was ended that had ended.
    assert!(!scene.pi.is_asked(super::SHORT).await);
    Ok(())
}

// PS5
#[tokio::test]
async fn a_download_that_is_not_whole_breaks_off() -> Result<()> {
    let mut scene = Scene::set().await?;
    for hole in [true, false] {
        let (mut answer, Claims { jti, .. }) = scene.read("").await?;
        scene.pi.chunk(&jti, 0, "one\n", None).await?;
        assert_eq!(soon("the first part", async { Ok(answer.chunk().await?) }).await?.as_deref(), Some(&b"one\n"[..]));
        if hole {
            scene.pi.chunk(&jti, 2, "three\n", None).await?;
            assert!(answer.chunk().await.is_err(), "it must break off");
            scene.cancelled(&jti).await?;
        } else {
            scene.pi.chunk(&jti, 1, "", Some("limit")).await?;
            scene.pi.tell(&jti, "succeeded").await?;
            assert!(answer.chunk().await.is_err(), "nobody asked for a limit");
        }
    }
    Ok(())
}

// PS4
#[tokio::test]
async fn events_tell_both_streams_a_hole_and_the_end() -> Result<()> {
    let mut scene = Scene::set().await?;
    let (mut events, Claims { jti, .. }) = scene.follow("?follow=true").await?;
    scene.pi.chunk(&jti, 0, "ä\n", None).await?;
    scene.pi.chunk(&jti, 1, "wrong\n", None).await?;
    assert_eq!(events.expect("log").await?, json!({ "stream": "stdout", "text": "ä\n" }));
    assert_eq!(events.expect("log").await?, json!({ "stream": "stderr", "text": "wrong\n" }));
    scene.pi.chunk(&jti, 4, "on\n", None).await?;
    assert_eq!(events.expect("notice").await?, json!({ "lost": 2 }));
    assert_eq!(events.expect("log").await?["text"], "on\n");
    scene.pi.chunk(&jti, 5, "", Some("end")).await?;
    scene.pi.tell(&jti, "succeeded").await?;
    assert_eq!(events.expect("end").await?, json!({ "reason": "end", "state": "succeeded" }));
    assert!(events.next().await?.is_none());

    let (mut events, Claims { jti, .. }) = scene.follow("?stream=stderr").await?;
    scene.pi.chunk(&jti, 0, "out\n", None).await?;
    scene.pi.chunk(&jti, 1, "err\n", Some("end")).await?;
    scene.pi.tell(&jti, "succeeded").await?;
    assert_eq!(events.expect("log").await?["text"], "err\n");
    events.expect("end").await?;
    Ok(())
}

// PS3, DM5
#[tokio::test]
async fn a_log_that_there_is_not_is_a_status() -> Result<()> {
    let mut scene = Scene::set().await?;
    for (words, expected) in [("refused policy: no logs", 403), ("failed not-found: no such container", 404)] {
        let request = scene.get("agents/pi/containers/web/logs?follow=true");
        let (answer, told) = tokio::join!(soon("the answer", async { Ok(request.send().await?) }), async {
            let jti = scene.pi.command().await?.jti;
            if expected == 404 {
                scene.pi.tell(&jti, "accepted").await?;
            }
            scene.pi.tell(&jti, words).await
        });
        told?;
        assert_eq!(answer?.status().as_u16(), expected, "{words}");
    }
    Ok(())
}

// PS4
#[tokio::test]
async fn who_leaves_ends_it_at_the_agent() -> Result<()> {
    let mut scene = Scene::set().await?;
    let (mut events, Claims { jti, .. }) = scene.follow("?follow=true").await?;
    scene.pi.chunk(&jti, 0, "one\n", None).await?;
    events.expect("log").await?;
    drop(events);
    // Nothing is written meanwhile: that the reader has gone is seen all the same.
    scene.cancelled(&jti).await
}

// PS4
#[tokio::test]
async fn who_reads_too_slowly_is_left_behind_and_nobody_else() -> Result<()> {
    let mut scene = Scene::set().await?;
    let mut slow = TcpStream::connect(scene.stage.api).await?;
    let path = "/api/v1/agents/pi/containers/web/logs?follow=true";
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", scene.admin);
    slow.write_all(request.as_bytes()).await?;
    let jti = scene.pi.command().await?.jti;
    scene.pi.tell(&jti, "accepted").await?;
    // The kernel takes some, the queue two megabytes.
    let text = "x".repeat(100_000);
    let mut number = 0;
    while scene.pi.chunk(&jti, number, &text, None).await? == Delivery::Accepted {
        number += 1;
        ensure!(number < 2000, "nobody left it behind");
        if number % 20 == 0 {
            // Another request is served meanwhile.
            assert_eq!(scene.json("agents").await?["agents"].as_array().map(Vec::len), Some(2));
        }
    }
    scene.cancelled(&jti).await?;
    let mut rest = Vec::new();
    soon("the end of it", async { Ok(slow.read_to_end(&mut rest).await?) }).await?;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it is not whole");
    Ok(())
}

// PS4
#[tokio::test]
async fn the_end_of_the_link_or_of_the_bridge_ends_the_stream() -> Result<()> {
    let mut scene = Scene::set().await?;
    let (mut events, Claims { jti, .. }) = scene.follow("?follow=true").await?;
    scene.pi.chunk(&jti, 0, "one\n", None).await?;
    events.expect("log").await?;
    scene.stage.stop_bridge().await?;
    let end = events.expect("end").await?;
    assert_eq!(end["reason"], "the bridge is stopping");
    assert!(events.next().await?.is_none());
    // Nothing is kept for it at the broker either.
    assert_eq!(scene.pi.chunk(&jti, 1, "two\n", None).await?, Delivery::NoSubscriber);

    let mut scene = Scene::set().await?;
    let (mut events, _) = scene.follow("?follow=true").await?;
    scene.stage.broker.kill9().await?;
    assert_eq!(events.expect("end").await?["reason"], "link lost");
    Ok(())
}

// PS4
#[tokio::test]
async fn a_bridge_that_was_killed_while_it_followed_is_rid_of_it() -> Result<()> {
    let options = Options { persistence: Persistence::EveryChange, ..Options::default() };
    radar_link::mqtt::tls::install_provider();
    let mut scene = Scene::on(Stage::at(Broker::open(&options).await?).await?).await?;
    let (_events, Claims { jti, .. }) = scene.follow("?follow=true").await?;
    assert_eq!(scene.pi.chunk(&jti, 0, "one\n", None).await?, Delivery::Accepted);
    // Dropped where it stands, as by `kill -9`.
    let gone = radar_link::tasks::Owned::spawn(async { anyhow::Ok(()) });
    drop(std::mem::replace(&mut scene.stage.bridge, gone));
    let chunk = LogChunk { number: 1, pieces: Vec::new(), end: None };
    let freed = async || {
        publish(&scene.stage.broker, "pi", &Channel::Log(jti.as_str().into()), &chunk, false).await?;
        let taken = bridge(&scene.stage.broker, scene.stage.room.path()).await;
        taken.context("the data directory is not free yet")
    };
    (scene.stage.api, scene.stage.stop, scene.stage.bridge) = until("another bridge", DEADLINE, freed).await?;
    let mut number = 1;
    until("the end of the subscription", DEADLINE, async || {
        number += 1;
        let delivery = scene.pi.chunk(&jti, number, "x", None).await?;
        ensure!(delivery == Delivery::NoSubscriber, "{delivery:?}");
        Ok(())
    })
    .await
}

// PS4
#[tokio::test]
async fn there_are_so_many_streams_and_places_become_free() -> Result<()> {
    let mut scene = Scene::set().await?;
    let mut streams = Vec::new();
    for _ in 0..32 {
        streams.push(Events::open(scene.get("events?follow=true")).await?);
    }
    for path in ["events?follow=true", "agents/pi/containers/web/logs", "agents/pi/stats"] {
        let refused = scene.get(path).send().await?;
        assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str()?), (503, "5"));
        assert_eq!(refused.json::<Value>().await?["code"], "too-many-streams");
    }
    assert!(!scene.pi.is_asked(Duration::from_millis(100)).await);
    drop(streams);
    until("a free place", DEADLINE, async || Events::open(scene.get("events?follow=true")).await).await?;
    Ok(())
}
