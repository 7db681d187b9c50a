//! What a command does to a real container, and how each act ends.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::models::{
    ContainerState, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig, VolumeCreateRequest,
};
use radar_agent::engine::act::{Act, ActErrorKind};
use radar_tests::engine::{Container, Engine as TestEngine, IMAGE, Spec};
use radar_wire::container::ContainerId;
use serde_json::Value;

use crate::actor::{Actor, TIME_OUT, guard};
use crate::watch::DEADLINE;

fn id(container: &Container) -> ContainerId {
    container.id.parse().expect("an id")
}

async fn state(engine: &TestEngine, id: ContainerId) -> Result<ContainerState> {
    engine.inspect(&id.to_string()).await?.state.context("a state")
}

async fn word(engine: &TestEngine, id: ContainerId) -> Result<String> {
    Ok(state(engine, id).await?.status.context("a status")?.to_string())
}

/// Starts one, and waits until it ignores the signal.
async fn run_stubborn(engine: &TestEngine, name: &str, spec: Spec) -> Result<ContainerId> {
    let id = id(&engine.run(name, spec).await?);
    let ready = radar_tests::wait::until("the trap", DEADLINE, async || {
        let pid = state(engine, id).await.ok().and_then(|state| state.pid).unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap_or("0");
        let ignored = u64::from_str_radix(ignored, 16).unwrap_or_default();
        if ignored & (1 << 14) != 0 { Ok(()) } else { Err(format!("{ignored:x}")) }
    });
    ready.await?;
    Ok(id)
}

/// The options of a volume whose password the engine has in plain text.
fn secret_share() -> HashMap<String, String> {
    let options = [("type", "nfs"), ("device", ":/share"), ("o", "addr=127.0.0.1,password=hunter2")];
    options.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

// DM4
#[tokio::test]
async fn each_act_does_to_the_container_what_it_says() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let name = engine.unique("act");
    let id = id(&engine.create(&name, Spec::default()).await?);

    assert!(actor.changes(Act::Start { id }).await?);
    assert_eq!(word(&engine, id).await?, "running");
    assert!(actor.changes(Act::Pause { id }).await?);
    assert_eq!(word(&engine, id).await?, "paused");
    assert!(actor.changes(Act::Unpause { id }).await?);
    assert_eq!(word(&engine, id).await?, "running");

    let before = state(&engine, id).await?;
    assert!(actor.changes(Act::Restart { id, timeout: Some(1) }).await?);
    let after = state(&engine, id).await?;
    assert!(after.running == Some(true) && after.started_at != before.started_at, "{after:?}");

    let to = format!("{name}-new");
    assert!(actor.changes(Act::Rename { id, to: to.as_str().into() }).await?);
    assert_eq!(engine.inspect(&to).await?.id, Some(id.to_string()));

    assert!(actor.changes(Act::Kill { id, signal: Some("WINCH".into()) }).await?);
    assert_eq!(word(&engine, id).await?, "running", "it ignores this signal");
    assert!(actor.changes(Act::Kill { id, signal: None }).await?);
    let ended = radar_tests::wait::until("its end", DEADLINE, async || {
        let word = word(&engine, id).await.unwrap_or_default();
        if word == "exited" { Ok(()) } else { Err(word) }
    });
    ended.await?;

    assert!(actor.changes(Act::Start { id }).await?);
    assert!(actor.changes(Act::Stop { id, timeout: None }).await?);
    assert_eq!(word(&engine, id).await?, "exited");
    assert!(actor.changes(Act::Restart { id, timeout: None }).await?);
    assert_eq!(word(&engine, id).await?, "running", "a restart starts what is stopped");
    assert!(actor.changes(Act::Remove { id, force: true, volumes: false }).await?);
    assert!(!engine.ids().await?.contains(&id.to_string()));
    Ok(())
}

// DM4
#[tokio::test]
async fn what_is_so_already_is_done_and_changes_nothing() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let id = id(&engine.run(&engine.unique("again"), Spec::default()).await?);

    assert!(!actor.changes(Act::Start { id }).await?);
    assert!(!actor.changes(Act::Unpause { id }).await?);
    assert!(actor.changes(Act::Pause { id }).await?);
    assert!(!actor.changes(Act::Pause { id }).await?);
    assert_eq!(word(&engine, id).await?, "paused");
    assert!(actor.changes(Act::Unpause { id }).await?);
    assert!(actor.changes(Act::Stop { id, timeout: Some(1) }).await?);
    assert!(!actor.changes(Act::Stop { id, timeout: Some(1) }).await?);
    assert_eq!(word(&engine, id).await?, "exited");
    engine.remove(&id.to_string()).await
}

// DM4
#[tokio::test]
async fn volumes_are_removed_with_a_container_only_when_that_is_said() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    for volumes in [false, true] {
        let spec = Spec::default().adjust(|body| body.volumes = Some(vec!["/data".to_owned()]));
        let id = id(&engine.create(&engine.unique("volume"), spec).await?);
        let mounts = engine.inspect(&id.to_string()).await?.mounts.context("mounts")?;
        let volume = mounts[0].name.clone().context("a volume")?;
        assert!(actor.changes(Act::Remove { id, force: false, volumes }).await?);
        assert_eq!(engine.client()?.inspect_volume(&volume).await.is_ok(), !volumes);
    }
    Ok(())
}

// DM4, DM5
#[tokio::test]
async fn a_container_that_is_not_there_is_not_found() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let id: ContainerId = "ab".repeat(32).parse()?;
    let acts = [
        Act::Start { id },
        Act::Stop { id, timeout: None },
        Act::Restart { id, timeout: None },
        Act::Kill { id, signal: None },
        Act::Pause { id },
        Act::Unpause { id },
        Act::Rename { id, to: "other".into() },
        Act::Remove { id, force: true, volumes: true },
        Act::Inspect { id },
        Act::Top { id },
    ];
    for act in acts {
        let (kind, text) = actor.fails(act.clone()).await?;
        assert!(kind == "not-found" && text.contains(&id.to_string()), "{act:?}: {kind}: {text}");
    }
    Ok(())
}

// DM4
#[tokio::test]
async fn what_the_containers_state_does_not_allow_is_a_conflict_in_the_engines_words() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let (running, stopped) = (engine.unique("running"), engine.unique("stopped"));
    let at = id(&engine.run(&running, Spec::default()).await?);
    let off = id(&engine.create(&stopped, Spec::default()).await?);

    let table = [
        (Act::Rename { id: at, to: stopped.as_str().into() }, "already in use"),
        (Act::Remove { id: at, force: false, volumes: false }, "running container"),
        (Act::Kill { id: off, signal: None }, "not running"),
        (Act::Pause { id: off }, "not running"),
        (Act::Top { id: off }, "not running"),
    ];
    for (act, words) in table {
        let (kind, text) = actor.fails(act.clone()).await?;
        assert!(kind == "conflict" && text.contains(words), "{act:?}: {kind}: {text}");
    }
    let (kind, text) = actor.fails(Act::Kill { id: at, signal: Some("NONSENSE".into()) }).await?;
    assert!(kind == "engine" && text.contains("NONSENSE"), "{kind}: {text}");
    assert_eq!((word(&engine, at).await?, word(&engine, off).await?), ("running".into(), "created".into()));
    engine.remove(&running).await?;
    engine.remove(&stopped).await
}

// DM4
#[tokio::test]
async fn what_a_guard_of_the_socket_forbids_is_denied() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let (host, _guard) = guard(&engine).await?;
    let mut actor = Actor::start_at(host, DEADLINE).await?;
    let id = id(&engine.run(&engine.unique("guarded"), Spec::default()).await?);
    for act in [Act::Stop { id, timeout: Some(0) }, Act::Pause { id }, Act::Rename { id, to: "other".into() }] {
        let (kind, text) = actor.fails(act.clone()).await?;
        assert!(kind == "denied" && text.contains("403 Forbidden"), "{act:?}: {kind}: {text}");
    }
    assert_eq!(actor.finds(Act::Inspect { id }).await?["State"]["Status"], "running");
    engine.remove(&id.to_string()).await
}

// DM4
#[tokio::test]
async fn a_container_that_does_not_want_to_end_is_given_its_time_and_killed() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    // It takes longer than its time-out, which does not count the time that the container has for its end.
    for (timeout, own) in [(Some(4), None), (None, Some(4))] {
        let name = engine.unique("stubborn");
        let id = run_stubborn(&engine, &name, Spec::stubborn().adjust(|body| body.stop_timeout = own)).await?;
        let ticket = actor.begin(Act::Stop { id, timeout }, Duration::from_secs(3));
        assert!(actor.end(ticket).await??.needed);
        let after = state(&engine, id).await?;
        assert_eq!((after.running, after.exit_code), (Some(false), Some(137)));
        engine.remove(&name).await?;
    }
    Ok(())
}

// DM5
#[tokio::test]
async fn an_inspect_tells_all_but_secrets() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let name = engine.unique("secret");
    let options = secret_share();
    let driver = MountVolumeOptionsDriverConfig { name: Some("local".to_owned()), options: Some(options) };
    let mount = Mount {
        typ: Some(MountType::VOLUME),
        source: Some(engine.unique("share")),
        target: Some("/share".to_owned()),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            driver_config: Some(driver),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    };
    let spec = Spec::default().label("team", "blue").label("private", "hunter2").adjust(|body| {
        let env = ["PATH=/bin", "SECRET=hunter2", "PASSWORD=a=hunter2", "EMPTY"];
        body.env = Some(env.map(str::to_owned).to_vec());
        let host = body.host_config.get_or_insert_with(HostConfig::default);
        let config = HashMap::from([("tag".to_owned(), "hunter2".to_owned())]);
        host.log_config = Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(config) });
        host.mounts = Some(vec![mount]);
    });
    let id = id(&engine.create(&name, spec).await?);

    let found = actor.finds(Act::Inspect { id }).await?;
    assert!(!found.to_string().contains("hunter2"), "{found}");
    assert_eq!(found["Id"], id.to_string());
    assert_eq!(found["Name"], format!("/{name}"));
    assert_eq!(found["Config"]["Env"], serde_json::json!(["PATH", "SECRET", "PASSWORD", "EMPTY"]));
    assert_eq!(found["Config"]["Labels"], serde_json::json!({ "team": "blue", "private": "" }));
    assert_eq!(found["Config"]["Cmd"], serde_json::json!(["sleep", "1000000000"]));
    assert_eq!(found["Config"]["Image"], IMAGE);
    assert_eq!(found["HostConfig"]["LogConfig"], serde_json::json!({ "Type": "json-file", "Config": { "tag": "" } }));
    let options = &found["HostConfig"]["Mounts"][0]["VolumeOptions"]["DriverConfig"]["Options"];
    assert_eq!(*options, serde_json::json!({ "type": "", "device": "", "o": "" }));
    assert_eq!(found["State"]["Status"], "created");
    engine.remove(&name).await
}

// DM5
#[tokio::test]
async fn the_output_of_health_checks_is_cut() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let name = engine.unique("talker");
    let spec = Spec::default().health(&format!("echo {}", "y".repeat(900)), Duration::from_millis(200));
    let id = id(&engine.run(&name, spec).await?);
    let said = radar_tests::wait::until("a check", DEADLINE, async || {
        let health = state(&engine, id).await.ok().and_then(|state| state.health);
        let first = health.and_then(|health| health.log?.into_iter().next()?.output).unwrap_or_default();
        if first.len() > 800 { Ok(first) } else { Err(first) }
    });
    said.await?;
    let found = actor.finds(Act::Inspect { id }).await?;
    let output = found["State"]["Health"]["Log"][0]["Output"].as_str().context("an output")?;
    assert!((190..=200).contains(&output.len()) && output.starts_with("yyyy"), "{output}");
    engine.remove(&name).await
}

// DM5
#[tokio::test]
async fn an_inspect_that_is_too_large_to_send_says_so() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let name = engine.unique("large");
    let spec = Spec::default().adjust(|body| body.env = Some((0..3000).map(|n| format!("{n:0>50}=")).collect()));
    let id = id(&engine.create(&name, spec).await?);
    assert_eq!(actor.fails(Act::Inspect { id }).await?, ("engine", "too large to send".to_owned()));
    engine.remove(&name).await
}

// DM5
#[tokio::test]
async fn the_processes_of_a_container_are_listed() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let name = engine.unique("top");
    let id = id(&engine.run(&name, Spec::default()).await?);
    let found = actor.finds(Act::Top { id }).await?;
    let titles = found["titles"].as_array().context("titles")?;
    let command = titles.iter().position(|title| title == "CMD").context("a title for commands")?;
    assert_eq!(found["processes"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["processes"][0].as_array().map(Vec::len), Some(titles.len()));
    assert_eq!(found["processes"][0][command], "sleep 1000000000");
    assert_eq!(found.get("truncated"), None);
    engine.remove(&name).await
}

// DM16
#[tokio::test]
async fn images_networks_and_volumes_are_listed() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let docker = engine.client()?;

    let found = actor.finds(Act::Images).await?;
    let told = docker.inspect_image(IMAGE).await?;
    let by_tag = |image: &&Value| image["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag == IMAGE));
    let image = found["images"].as_array().and_then(|all| all.iter().find(by_tag)).context("the image")?;
    assert_eq!((image["id"].as_str(), image["size"].as_i64()), (told.id.as_deref(), told.size));
    assert!(image["created"].as_i64() > Some(1_600_000_000_000), "{image}");
    assert_eq!(found.get("truncated"), None);

    let found = actor.finds(Act::Networks).await?;
    let all = found["networks"].as_array().context("networks")?;
    let none = all.iter().find(|entry| entry["name"] == "none").context("the network none")?;
    let told = docker.inspect_network("none", None::<bollard::query_parameters::InspectNetworkOptions>).await?;
    assert_eq!((none["id"].as_str(), none["driver"].as_str()), (told.id.as_deref(), Some("null")));
    assert_eq!((none["scope"].as_str(), none["internal"].as_bool()), (Some("local"), Some(false)));
    assert!(none["created"].as_i64() > Some(1_600_000_000_000), "{none}");

    let volume = engine.unique("vol");
    let body =
        VolumeCreateRequest { name: Some(volume.clone()), driver_opts: Some(secret_share()), ..Default::default() };
    docker.create_volume(body).await?;
    let found = actor.finds(Act::Volumes).await?;
    assert!(!found.to_string().contains("hunter2"), "{found}");
    let all = found["volumes"].as_array().context("volumes")?;
    let entry = all.iter().find(|entry| entry["name"] == volume.as_str()).context("the volume")?;
    assert_eq!((entry["driver"].as_str(), entry["scope"].as_str()), (Some("local"), Some("local")));
    assert!(entry["created"].as_i64() > Some(1_600_000_000_000), "{entry}");
    docker.remove_volume(&volume, None::<bollard::query_parameters::RemoveVolumeOptions>).await?;
    Ok(())
}

// DM4
#[tokio::test]
async fn acts_run_beside_each_other_and_survive_a_new_event_stream() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let name = engine.unique("slow");
    let id = run_stubborn(&engine, &name, Spec::stubborn()).await?;
    let slow = actor.begin(Act::Stop { id, timeout: Some(5) }, TIME_OUT);
    let quick = actor.begin(Act::Inspect { id }, TIME_OUT);
    actor.end(quick).await??;
    assert!(!actor.ended.contains_key(&slow));
    actor.engine.reopen();
    let between = actor.begin(Act::Inspect { id }, TIME_OUT);
    actor.end(between).await??;
    actor.until(|actor| actor.ups == 2).await?;
    assert!(!actor.ended.contains_key(&slow));
    assert!(actor.end(slow).await??.needed);
    assert!(actor.reasons.is_empty(), "{:?}", actor.reasons);
    engine.remove(&name).await
}

// DM4
#[tokio::test]
async fn an_engine_that_says_nothing_lets_an_act_time_out() -> Result<()> {
    let engine = TestEngine::start().await?;
    let mut actor = Actor::start(&engine).await?;
    let id = id(&engine.run("kept", Spec::default()).await?);
    engine.freeze();
    let acts = [Act::Stop { id, timeout: Some(0) }, Act::Pause { id }, Act::Inspect { id }, Act::Volumes];
    let tickets = acts.map(|act| actor.begin(act, Duration::from_secs(2)));
    for ticket in tickets {
        let error = actor.end(ticket).await?.expect_err("no answer");
        assert_eq!(error.kind, ActErrorKind::TimedOut, "{error}");
    }
    engine.thaw();
    actor.finds(Act::Inspect { id }).await?;
    Ok(())
}

// DM4
#[tokio::test]
async fn an_engine_that_is_taken_for_gone_ends_every_act_with_the_reason() -> Result<()> {
    let engine = TestEngine::start().await?;
    let mut actor = Actor::start_at(engine.host(), Duration::from_secs(3)).await?;
    let id = id(&engine.run("kept", Spec::default()).await?);
    engine.freeze();
    let tickets = [Act::Stop { id, timeout: None }, Act::Networks].map(|act| actor.begin(act, 10 * DEADLINE));
    actor.engine.list(1);
    for ticket in tickets {
        let error = actor.end(ticket).await?.expect_err("no answer");
        assert_eq!((error.kind, &*error.text), (ActErrorKind::Engine, actor.reasons[0].as_str()));
    }
    engine.thaw();
    actor.until(|actor| actor.ups == 2).await?;
    actor.finds(Act::Inspect { id }).await?;
    Ok(())
}

// DM4
#[tokio::test]
async fn an_engine_that_dies_meanwhile_ends_every_act() -> Result<()> {
    let engine = TestEngine::start().await?;
    let mut actor = Actor::start(&engine).await?;
    let id = run_stubborn(&engine, "stubborn", Spec::stubborn()).await?;
    let slow = [30, 40].map(|timeout| actor.begin(Act::Stop { id, timeout: Some(timeout) }, TIME_OUT));
    let quick = actor.begin(Act::Inspect { id }, TIME_OUT);
    actor.end(quick).await??;
    engine.kill9_daemon().await?;
    for ticket in slow {
        let error = actor.end(ticket).await?.expect_err("the engine is dead");
        assert_eq!(error.kind, ActErrorKind::Engine, "{error}");
    }
    actor.until(|actor| !actor.reasons.is_empty()).await?;

    let ticket = actor.begin(Act::Networks, TIME_OUT);
    let error = actor.end(ticket).await?.expect_err("no engine");
    assert_eq!(error.kind, ActErrorKind::Engine);
    assert!(error.text.contains(&engine.socket().display().to_string()), "{error}");

    engine.start_daemon().await?;
    actor.until(|actor| actor.ups == 2).await?;
    actor.finds(Act::Networks).await?;
    Ok(())
}
