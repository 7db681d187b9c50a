//! The engine goes away and comes back, and the agent too: nothing is told twice, nothing is lost
//! that the engine still has, and what it has not is told as such.

use std::path::Path;

use anyhow::Result;
use radar_agent::agent::inventory::Restored;
use radar_agent::engine::Environment;
use radar_link::time::Clock;
use radar_tests::certificates::Certificates;
use radar_tests::engine::{Engine, Spec};
use radar_tests::proxy::{Proxy, Target};
use radar_wire::container::State;
use radar_wire::event::Action;

use crate::watch::{Watch, exec};

// DM7, E1
#[tokio::test]
async fn what_happened_while_the_agent_was_away_is_replayed_once_and_in_order() -> Result<()> {
    let engine = Engine::start().await?;
    let mut before = Watch::start(&engine.host(), Restored::default())?;
    before.complete().await?;
    engine.run("kept", Spec::default()).await?;
    engine.run("stopped", Spec::default()).await?;
    before.until_told("stopped", &Action::Start).await?;
    let remembered = before.remembered();
    let last = before.events().last().cloned();
    drop(before);

    engine.stop("stopped").await?;
    engine.run("new", Spec::default()).await?;
    engine.remove("kept").await?;
    engine.create("short", Spec::default()).await?;
    engine.remove("short").await?;

    let mut after = Watch::start(&engine.host(), remembered)?;
    after.until_told("short", &Action::Destroy).await?;
    after.complete().await?;
    assert_eq!(after.told("stopped"), ["kill", "die exited 137", "stop"]);
    assert_eq!(after.told("new"), ["create running", "start"]);
    assert_eq!(after.told("kept"), ["kill", "die exited 137", "destroy"]);
    assert_eq!(after.told("short"), ["create", "destroy"]);
    assert!(!after.events().contains(&last.expect("an event")));
    assert!(after.gaps.is_empty());
    assert_eq!(after.changes.len(), 10, "nothing else is told: {:?}", after.told(""));
    Ok(())
}

// E1
#[tokio::test]
async fn more_events_than_the_engine_holds_are_a_gap_first() -> Result<()> {
    let engine = Engine::start().await?;
    let mut before = Watch::start(&engine.host(), Restored::default())?;
    before.complete().await?;
    engine.run("busy", Spec::default()).await?;
    before.until_told("busy", &Action::Start).await?;
    let remembered = before.remembered();
    drop(before);

    // Kept events push the last one that was told out of the engine's memory.
    for _ in 0..150 {
        engine.kill("busy", "WINCH").await?;
        engine.set_retries("busy", 3).await?;
    }
    let mut after = Watch::start(&engine.host(), remembered)?;
    after.complete().await?;
    after.until("the replay", |watch| watch.events().len() == 256).await?;
    assert_eq!(after.gaps, [0], "one gap, before everything else");
    Ok(())
}

// E1
#[tokio::test]
async fn noise_that_fills_the_engines_memory_is_no_gap_for_an_agent_that_watched() -> Result<()> {
    let engine = Engine::start().await?;
    let mut before = Watch::start(&engine.host(), Restored::default())?;
    before.complete().await?;
    engine.run("quiet", Spec::default()).await?;
    before.until_told("quiet", &Action::Start).await?;
    for _ in 0..90 {
        exec(&engine, "quiet", &["true"]).await?;
    }
    let noisy = nanoseconds();
    // The cursor follows the lists while nothing happens that is told.
    before.until("a cursor behind the noise", |watch| watch.inventory.cursor() > Some(noisy)).await?;
    let remembered = before.remembered();
    drop(before);
    let mut after = Watch::start(&engine.host(), remembered)?;
    after.complete().await?;
    assert!(after.gaps.is_empty());
    assert!(after.changes.is_empty(), "{:?}", after.told(""));
    Ok(())
}

// DM7, E4, RR7
#[tokio::test]
async fn an_engine_that_is_restarted_is_lost_and_back_and_its_containers_are_compared() -> Result<()> {
    for graceful in [true, false] {
        let engine = Engine::start().await?;
        let mut watch = Watch::start(&engine.host(), Restored::default())?;
        watch.complete().await?;
        let always = bollard::models::RestartPolicyNameEnum::ALWAYS;
        engine.run("always", Spec::default().restart(always)).await?;
        engine.run("once", Spec::default()).await?;
        watch.until_told("once", &Action::Start).await?;

        if graceful {
            engine.stop_daemon().await?;
        } else {
            engine.kill9_daemon().await?;
        }
        watch.until("the loss", |watch| !watch.reasons.is_empty()).await?;
        assert!(!watch.inventory.complete());
        assert_eq!(watch.inventory.records().len(), 2, "an engine that is away has not lost its containers");
        assert!(watch.reasons[0].contains(&engine.socket().display().to_string()), "{:?}", watch.reasons);
        engine.start_daemon().await?;
        watch.complete().await?;

        let told = watch.told("");
        let count = |word: &str| told.iter().filter(|told| told.starts_with(word)).count();
        assert_eq!((count("engine_lost"), count("engine_back")), (1, 1), "{told:?}");
        let lost = told.iter().position(|told| told == "engine_lost");
        assert!(lost < told.iter().position(|told| told == "engine_back"));
        assert!(watch.gaps.is_empty());
        // What the engine did to them at its end nobody saw; they are as it says they are.
        watch
            .until("the records to be the engine's", |watch| {
                watch.record("once").is_some_and(|record| record.state == State::Exited)
                    && watch.record("always").is_some_and(|record| record.state == State::Running)
            })
            .await?;
        assert!(watch.inventory.complete());
        engine.remove("once").await?;
        watch.until_told("once", &Action::Destroy).await?;
    }
    Ok(())
}

// E4
#[tokio::test]
async fn an_engine_that_says_nothing_any_more_is_away() -> Result<()> {
    let engine = Engine::start().await?;
    engine.run("kept", Spec::default()).await?;
    let mut watch = Watch::start(&engine.host(), Restored::default())?;
    watch.complete().await?;
    engine.freeze();
    watch.until("the loss", |watch| !watch.reasons.is_empty()).await?;
    assert!(watch.reasons[0].contains("does not answer"), "{:?}", watch.reasons);
    assert_eq!((watch.inventory.complete(), watch.inventory.records().len()), (false, 1));
    engine.thaw();
    watch.complete().await?;
    assert_eq!(watch.told(""), ["engine_lost", "engine_back"]);
    Ok(())
}

// E4
#[tokio::test]
async fn an_engine_that_is_not_there_yet_is_found_when_it_comes() -> Result<()> {
    let engine = Engine::start().await?;
    engine.stop_daemon().await?;
    let mut watch = Watch::start(&engine.host(), Restored::default())?;
    watch.until("the reason", |watch| !watch.reasons.is_empty()).await?;
    assert!(watch.reasons[0].contains("set DOCKER_HOST"), "{:?}", watch.reasons);
    engine.start_daemon().await?;
    watch.complete().await?;
    assert_eq!(watch.told(""), ["engine_lost", "engine_back"]);
    Ok(())
}

// DM7, E4
#[tokio::test]
async fn an_engine_over_tcp_is_watched_through_cuts_and_stalls() -> Result<()> {
    let engine = Engine::start().await?;
    let proxy = Proxy::start(Target::Socket(engine.socket())).await?;
    let mut watch = Watch::start(&format!("tcp://127.0.0.1:{}", proxy.port()), Restored::default())?;
    watch.complete().await?;
    engine.create("web-a", Spec::default()).await?;
    watch.until_told("web-a", &Action::Create).await?;

    proxy.cut();
    watch.until("the cut", |watch| watch.reasons.len() == 1).await?;
    engine.create("web-b", Spec::default()).await?;
    proxy.resume();
    watch.until_told("web-b", &Action::Create).await?;
    watch.complete().await?;

    proxy.stall();
    watch.until("the stall", |watch| watch.reasons.len() == 2).await?;
    engine.create("web-c", Spec::default()).await?;
    proxy.resume();
    watch.until_told("web-c", &Action::Create).await?;
    watch.complete().await?;

    // The engine is there all the while: a stream that lived for a while and is reset then is opened
    // anew without a word. The cursor tells that it lived, since it follows the clock by some seconds.
    let now = nanoseconds();
    watch.until("a stream that lives", |watch| watch.inventory.cursor() > Some(now)).await?;
    proxy.reset();
    engine.create("web-d", Spec::default()).await?;
    watch.until_told("web-d", &Action::Create).await?;

    let events: Vec<_> = watch.events().into_iter().map(|(_, action, _)| action.as_str().to_owned()).collect();
    assert_eq!(events, ["create"; 4]);
    let told = watch.told("");
    assert_eq!(told.iter().filter(|told| told.starts_with("engine_")).count(), 4, "{told:?}");
    assert!(watch.gaps.is_empty());
    Ok(())
}

// DM7, E4
#[tokio::test]
async fn an_engine_with_tls_is_watched_by_those_whom_it_trusts() -> Result<()> {
    let room = tempfile::tempdir()?;
    let (trusted, stranger) = (room.path().join("trusted"), room.path().join("stranger"));
    let port = radar_tests::port::free()?;
    for directory in [&trusted, &stranger] {
        std::fs::create_dir(directory)?;
    }
    let certificates = Certificates::make(&trusted)?;
    let engine = Engine::start_with_tls(port, &certificates).await?;
    let strangers = Certificates::make(&stranger)?;
    for (made, directory) in [(&certificates, &trusted), (&strangers, &stranger)] {
        std::fs::copy(made.client(), directory.join("cert.pem"))?;
        std::fs::copy(made.client_key(), directory.join("key.pem"))?;
    }
    let at = |directory: &Path| Environment {
        host: Some(format!("tcp://127.0.0.1:{port}")),
        cert_path: Some(directory.to_owned()),
        tls_verify: true,
        ..Environment::default()
    };
    let mut watch = Watch::start_at(at(&trusted), Restored::default())?;
    watch.complete().await?;
    engine.create("web", Spec::default()).await?;
    watch.until_told("web", &Action::Create).await?;

    let mut watch = Watch::start_at(at(&stranger), Restored::default())?;
    watch.until("a refusal", |watch| !watch.reasons.is_empty()).await?;
    assert!(watch.reasons[0].contains("ertificate"), "{:?}", watch.reasons);
    Ok(())
}

fn nanoseconds() -> i64 {
    Clock::start().now().wall * 1_000_000
}
