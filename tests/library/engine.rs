use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::models::RestartPolicyNameEnum;
use radar_tests::engine::{Engine, Spec};
use radar_tests::observer::Observer;
use radar_tests::wait::until;

const DEADLINE: Duration = Duration::from_secs(20);

fn kinds(observer: &Observer, id: &str) -> Vec<String> {
    observer.events_of(id).iter().map(|event| event.kind().to_owned()).collect()
}

async fn running(engine: &Engine, name: &str) -> Result<bool> {
    Ok(engine.inspect(name).await?.state.and_then(|state| state.running).unwrap_or_default())
}

#[tokio::test]
async fn the_observer_sees_what_happens_to_a_container() -> Result<()> {
    let engine = Engine::shared().await?;
    let observer = Observer::start(&engine);
    let spec = Spec::default().label("radar.test", "yes").restart(RestartPolicyNameEnum::NO);
    let web = engine.run(&engine.unique("web"), spec).await?;
    engine.pause(&web.id).await?;
    engine.unpause(&web.name).await?;
    engine.rename(&web.id, &format!("{}-2", web.name)).await?;
    engine.stop(&web.id).await?;
    engine.start_container(&web.id).await?;
    engine.restart_container(&web.id).await?;
    engine.kill(&web.id, "KILL").await?;
    until("it to end", DEADLINE, async || match running(&engine, &web.id).await {
        Ok(false) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    let labels = engine.inspect(&web.id).await?.config.and_then(|config| config.labels);
    assert_eq!(labels.context("labels")?["radar.test"], "yes");
    engine.remove(&web.id).await?;
    let destroyed =
        observer.wait_for("its destruction", DEADLINE, |event| event.id == web.id && event.action == "destroy").await?;
    assert_eq!(destroyed.name, format!("{}-2", web.name));
    // Without order, since the engine says `die` and `stop` from two tasks; and it may say a short pause twice.
    let seen = kinds(&observer, &web.id);
    let count = |kind: &str| seen.iter().filter(|seen| *seen == kind).count();
    let expected = [("create", 1), ("rename", 1), ("start", 3), ("kill", 3), ("die", 3), ("stop", 2), ("restart", 1)];
    assert_eq!(expected.map(|(kind, _)| (kind, count(kind))), expected, "{seen:?}");
    assert!(count("pause") >= 1 && count("unpause") >= 1, "{seen:?}");
    assert_eq!((seen[0].as_str(), seen[1].as_str()), ("create", "start"));
    let events = observer.events_of(&web.id);
    assert!(events.iter().all(|event| event.at > event.time_nano));
    Ok(())
}

#[tokio::test]
async fn health_and_exit_codes_are_real() -> Result<()> {
    let engine = Engine::shared().await?;
    let observer = Observer::start(&engine);
    let spec = Spec::shell("touch /tmp/well; sleep 1000000").health("test -e /tmp/well", Duration::from_millis(500));
    let sick = engine.run(&engine.unique("healthy"), spec).await?;
    let healthy = observer
        .wait_for("its health", DEADLINE, |event| event.id == sick.id && event.action == "health_status: healthy")
        .await;
    if let Err(error) = healthy {
        let state = engine.inspect(&sick.id).await?.state;
        return Err(error.context(format!("{:?}", state.and_then(|state| state.health))));
    }
    let short = engine.run(&engine.unique("short"), Spec::shell("exit 42")).await?;
    observer.wait_for("its end", DEADLINE, |event| event.id == short.id && event.action == "die").await?;
    let state = engine.inspect(&short.id).await?.state.context("a state")?;
    assert_eq!(state.exit_code, Some(42));
    assert!(!kinds(&observer, &sick.id).iter().any(|kind| kind.starts_with("exec")));
    Ok(())
}

#[tokio::test]
async fn a_burst_makes_exactly_what_it_says() -> Result<()> {
    let engine = Engine::shared().await?;
    let containers = engine.run_many("burst", 4).await?;
    let observer = Observer::start(&engine);
    // An odd number of renames, so the second burst begins with the other name.
    let mut made = engine.burst(&containers, 399).await?;
    made.extend(engine.burst(&containers, 604).await?);
    assert_eq!(made.len(), 1003);

    let mut expected: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in &made {
        expected.entry(&event.container).or_default().push(event.action);
    }
    for (id, actions) in expected {
        until("every event of the burst", DEADLINE, async || {
            let seen = kinds(&observer, id);
            if seen.len() >= actions.len() { Ok(()) } else { Err(format!("{} events", seen.len())) }
        })
        .await?;
        assert_eq!(kinds(&observer, id), actions);
    }
    Ok(())
}

#[tokio::test]
async fn a_restart_keeps_containers_and_ends_them() -> Result<()> {
    let engine = Engine::start().await?;
    let observer = Observer::start(&engine);
    let plain = engine.run("plain", Spec::default()).await?;
    let lasting = engine.run("lasting", Spec::default().restart(RestartPolicyNameEnum::ALWAYS)).await?;
    for kill in [false, true] {
        let before = observer.events_of(&lasting.id).len();
        match kill {
            false => engine.restart().await?,
            true => engine.restart_by_kill9().await?,
        }
        assert_eq!(engine.ids().await?.len(), 2);
        assert!(!running(&engine, &plain.id).await?);
        until("the lasting one to run", DEADLINE, async || match running(&engine, "lasting").await {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        until("the observer to see it start", DEADLINE, async || {
            let events = observer.events_of(&lasting.id);
            match events[before..].iter().any(|event| event.action == "start") {
                true => Ok(()),
                false => Err(format!("{:?}", kinds(&observer, &lasting.id))),
            }
        })
        .await?;
    }
    engine.remove_all().await?;
    assert!(engine.ids().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_killed_engine_leaves_nothing_behind() -> Result<()> {
    let engine = Engine::start().await?;
    let left = engine.run("left", Spec::default()).await?;
    let pid = engine.inspect(&left.id).await?.state.and_then(|state| state.pid).context("a pid")?;
    let (process, directory) = (format!("/proc/{pid}"), engine.socket());
    let directory = directory.parent().context("the engine's directory")?;
    let containerd = fs::read_to_string(directory.join("containerd.pid"))?;
    let containerd = format!("/proc/{}", containerd.trim());
    engine.kill9_daemon().await?;
    assert!(Path::new(&process).exists(), "a container outlives its daemon");

    drop(engine);
    for path in [Path::new(&process), Path::new(&containerd), directory] {
        until("the engine's leftovers to go", DEADLINE, async || match path.exists() {
            true => Err(format!("{} is there", path.display())),
            false => Ok(()),
        })
        .await?;
    }
    Ok(())
}
