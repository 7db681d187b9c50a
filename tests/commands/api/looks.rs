//! What the bridge knows by itself, and samples.

use anyhow::{Context, Result, ensure};
use radar_tests::wait::until;
use radar_wire::command::Command;
use radar_wire::container::{ContainerId, Record, State};
use radar_wire::event::{Action, Event};
use radar_wire::snapshot::Snapshot;
use radar_wire::stats::{ContainerUsage, Stats, Usage};
use radar_wire::topic::Channel;
use serde_json::{Value, json};

use super::{Events, Scene, soon};
use crate::{DEADLINE, publish};

fn record(number: u8, name: &str) -> Record {
    Record {
        id: ContainerId::new([number; 32]),
        name: name.into(),
        image: "web".into(),
        tag: "1".into(),
        digest: None,
        image_id: None,
        state: if number.is_multiple_of(2) { State::Running } else { State::Exited },
        health: None,
        exit_code: None,
        created: Some(1),
        started: None,
        finished: None,
        restarts: 0,
        restart_policy: None,
        ports: Vec::new(),
        networks: Vec::new(),
        mounts: Vec::new(),
        project: None,
        service: None,
        labels: [("app".into(), name.into())].into(),
    }
}

impl Scene {
    async fn snapshots(&self, agents: &[&str]) -> Result<()> {
        for agent in agents {
            let snapshot = Snapshot {
                epoch: 1,
                sequence: 0,
                time: None,
                at: 1,
                complete: true,
                engine: None,
                host: None,
                containers: (1..=5).map(|number| record(number, &format!("web-{number}"))).collect(),
            };
            publish(&self.stage.broker, agent, &Channel::Snapshot, &snapshot, true).await?;
        }
        until("the containers", DEADLINE, async || {
            for agent in agents {
                let known = self.json(&format!("agents/{agent}/containers")).await?;
                ensure!(known["containers"].as_array().is_some_and(|all| all.len() == 5), "{known}");
            }
            Ok(())
        })
        .await
    }
}

// PS1
#[tokio::test]
async fn agents_and_containers_are_told_as_they_are_known() -> Result<()> {
    let scene = Scene::set().await?;
    scene.snapshots(&["attic", "pi"]).await?;
    let agents = scene.json("agents").await?;
    let ids: Vec<_> = agents["agents"].as_array().context("a list")?.iter().map(|agent| &agent["id"]).collect();
    assert_eq!(ids, ["attic", "pi"]);
    let pi = scene.json("agents/pi").await?;
    assert_eq!(pi, agents["agents"][1]);
    assert_eq!((&pi["online"], &pi["reason"], &pi["commands"]), (&json!(true), &json!("start"), &json!(true)));
    assert_eq!((&pi["containers"], &pi["complete"]), (&json!({ "running": 2, "stopped": 3 }), &json!(true)));

    let one = scene.json("agents/pi/containers/web-2").await?;
    assert_eq!((&one["id"], &one["state"]), (&json!("02".repeat(32)), &json!("running")));
    assert_eq!(scene.json("agents/pi/containers/020202020202").await?, one);
    for path in ["agents/nobody", "agents/nobody/containers", "agents/pi/containers/none"] {
        assert_eq!(scene.get(path).send().await?.status(), 404, "{path}");
    }

    // Page by page all of them, each once.
    for limit in [1, 3, 4, 5, 9, 10, 11] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = scene.json(&format!("containers?limit={limit}{after}")).await?;
            let containers = page["containers"].as_array().context("a list")?;
            assert!(containers.len() <= limit, "{page}");
            found.extend(containers.iter().map(|it| format!("{}/{}", it["agent"], it["name"])));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        let mut once = found.clone();
        once.sort();
        once.dedup();
        assert_eq!((found.len(), once), (10, found), "{limit}");
    }
    for (query, count) in [
        ("agent=pi", 5),
        ("state=running", 4),
        ("label=app=web-1", 2),
        ("label=app&label=none", 0),
        ("agent=pi&label=app=web-1&state=running", 0),
    ] {
        let found = scene.json(&format!("containers?{query}")).await?;
        assert_eq!(found["containers"].as_array().map(Vec::len), Some(count), "{query}");
    }
    Ok(())
}

// DM7
#[tokio::test]
async fn events_are_told_once_they_are_stored_and_can_be_gone_on_with() -> Result<()> {
    let scene = Scene::set().await?;
    let event = |sequence, name: &str| Event {
        epoch: 1,
        sequence,
        first: None,
        at: 5,
        time: Some(i64::try_from(sequence).unwrap_or(0)),
        action: Action::Start,
        id: Some(ContainerId::new([7; 32])),
        name: Some(name.into()),
        set: Default::default(),
    };
    let happen =
        async |agent: &str, event: Event| publish(&scene.stage.broker, agent, &Channel::Event, &event, false).await;
    happen("pi", event(1, "web")).await?;
    until("the first event", DEADLINE, async || {
        let told = scene.json("events").await?;
        ensure!(told["events"].as_array().is_some_and(|events| events.len() == 1), "{told}");
        Ok(())
    })
    .await?;
    let mut all = Events::open(scene.get("events?follow=true")).await?;
    let mut of_db = Events::open(scene.get("events?follow=true&container=db&agent=pi")).await?;
    happen("attic", event(1, "db")).await?;
    happen("pi", event(2, "db")).await?;
    let told = all.expect("event").await?;
    assert_eq!((&told["agent"], &told["name"], &told["action"]), (&json!("attic"), &json!("db"), &json!("start")));
    let told = all.expect("event").await?;
    assert_eq!(
        (&told["agent"], &told["sequence"], &told["container"]),
        (&json!("pi"), &json!(2), &json!("07".repeat(32)))
    );
    assert_eq!(of_db.expect("event").await?, told);

    // From the beginning, and from where a reader was.
    let mut again = Events::open(scene.get("events?follow=true&since=0")).await?;
    assert_eq!(again.expect("event").await?["name"], "web");
    let list = scene.json("events?agent=pi&limit=1").await?;
    assert_eq!(list["events"][0], told);
    let mut raw = scene.get("events?follow=true&since=0").send().await?;
    let first = soon("an event", async { Ok(raw.chunk().await?) }).await?.context("an event")?;
    let text = String::from_utf8(first.to_vec())?;
    let id = text.lines().find_map(|line| line.strip_prefix("id: ")).context("an id")?;
    let mut on = Events::open(scene.get("events?follow=true&agent=pi").header("last-event-id", id)).await?;
    assert_eq!(on.expect("event").await?, told);
    Ok(())
}

// DM8
#[tokio::test]
async fn samples_are_asked_for_while_somebody_looks_and_say_what_processors_did() -> Result<()> {
    let mut scene = Scene::set().await?;
    scene.snapshots(&["pi"]).await?;
    let sample = |at: i64, cpu| {
        let usage = Usage { cpu: Some(cpu), memory: Some(9), ..Usage::default() };
        let containers = vec![ContainerUsage { id: ContainerId::new([2; 32]), time: None, usage: usage.clone() }];
        Stats { at, host: usage, containers }
    };
    let request = scene.get("agents/pi/stats?interval=1");
    let (answer, jti) = tokio::join!(soon("the answer", async { Ok(request.send().await?) }), async {
        let claims = scene.pi.command().await?;
        assert_eq!(claims.cmd, Command::Stats { seconds: 60, interval: Some(1) });
        scene.pi.tell(&claims.jti, "accepted").await?;
        scene.pi.publish(&Channel::Stats, &sample(1000, 1_000_000_000)).await?;
        scene.pi.publish(&Channel::Stats, &sample(2000, 1_500_000_000)).await?;
        anyhow::Ok(claims.jti)
    });
    let (told, jti) = (answer?.json::<Value>().await?, jti?);
    assert_eq!((&told["at"], &told["host"]["cpu_percent"]), (&json!(2000), &json!(50.0)));
    let container = &told["containers"][0];
    assert_eq!((&container["name"], &container["use"]["cpu_percent"]), (&json!("web-2"), &json!(50.0)));
    assert_eq!(container["use"].get("pids"), None);
    // Nobody looks any more.
    assert_eq!(soon("the end", scene.pi.command()).await?.cmd, Command::Cancel { jti: jti.as_str().into() });

    let request = scene.get("agents/pi/stats?follow=true");
    let (events, jti) = tokio::join!(soon("the answer", Events::open(request)), async {
        let claims = scene.pi.command().await?;
        scene.pi.tell(&claims.jti, "accepted").await?;
        scene.pi.publish(&Channel::Stats, &sample(3000, 0)).await?;
        anyhow::Ok(claims.jti)
    });
    let (mut events, jti) = (events?, jti?);
    assert_eq!(events.expect("sample").await?["host"], json!({ "memory": 9 }));
    scene.pi.publish(&Channel::Stats, &sample(4000, 250_000_000)).await?;
    assert_eq!(events.expect("sample").await?["host"]["cpu_percent"], 25.0);
    drop(events);
    assert_eq!(soon("the end", scene.pi.command()).await?.cmd, Command::Cancel { jti: jti.as_str().into() });
    Ok(())
}
