//! What happens to containers is told in order, each thing once.

use std::time::Duration;

use anyhow::Result;
use radar_agent::agent::inventory::Restored;
use radar_tests::engine::{Engine, Spec};
use radar_wire::event::Action;

use crate::watch::{Watch, exec};

// DM7
#[tokio::test]
async fn a_containers_life_is_told_in_order_and_without_noise() -> Result<()> {
    let engine = Engine::shared().await?;
    let mut watch = Watch::start(&engine.host(), Restored::default())?;
    watch.complete().await?;

    let name = engine.unique("life");
    engine.create(&name, Spec::default()).await?;
    watch.until_told(&name, &Action::Create).await?;
    engine.start_container(&name).await?;
    watch.until_told(&name, &Action::Start).await?;
    exec(&engine, &name, &["true"]).await?;
    engine.pause(&name).await?;
    watch.until_told(&name, &Action::Pause).await?;
    engine.unpause(&name).await?;
    watch.until_told(&name, &Action::Unpause).await?;
    let renamed = format!("{name}-new");
    engine.rename(&name, &renamed).await?;
    watch.until_told(&renamed, &Action::Rename).await?;
    engine.kill(&renamed, "KILL").await?;
    watch.until_told(&renamed, &Action::Die).await?;
    engine.start_container(&renamed).await?;
    watch.until("the second start", |watch| watch.told(&name).len() == 8).await?;
    engine.stop(&renamed).await?;
    watch.until_told(&renamed, &Action::Stop).await?;
    engine.remove(&renamed).await?;
    watch.until_told(&renamed, &Action::Destroy).await?;

    let expect = [
        "create created",
        "start running",
        "pause paused",
        "unpause running",
        &format!("rename {renamed}"),
        "kill",
        "die exited 137",
    ];
    let told = watch.told(&name);
    assert_eq!(told[..7], expect);
    assert_eq!(told[7..], ["start running null", "kill", "die exited 137", "stop", "destroy"]);
    let times: Vec<_> = watch.events().into_iter().map(|(time, ..)| time).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(watch.record(&renamed).is_none());
    Ok(())
}

// DM7
#[tokio::test]
async fn health_is_told_as_it_changes() -> Result<()> {
    let engine = Engine::shared().await?;
    let mut watch = Watch::start(&engine.host(), Restored::default())?;
    watch.complete().await?;

    let name = engine.unique("health");
    let spec = Spec::default().health("test ! -e /ill", Duration::from_millis(200));
    engine.create(&name, spec).await?;
    watch.until_told(&name, &Action::Create).await?;
    engine.start_container(&name).await?;
    watch.until("healthy", |watch| watch.told(&name).iter().any(|told| told.ends_with(" healthy"))).await?;
    assert_eq!(watch.told(&name), ["create created", "start running starting", "health_status healthy"]);
    exec(&engine, &name, &["touch", "/ill"]).await?;
    watch.until("unhealthy", |watch| watch.told(&name).iter().any(|told| told.ends_with("unhealthy"))).await?;
    assert_eq!(watch.told(&name)[3..], ["health_status unhealthy"]);
    engine.remove(&name).await
}

// DM7
#[tokio::test]
async fn containers_that_vanish_while_they_are_asked_for_are_told_by_their_events() -> Result<()> {
    let engine = Engine::shared().await?;
    let mut watch = Watch::start(&engine.host(), Restored::default())?;
    watch.complete().await?;

    let begin = engine.unique("race");
    let making = async {
        for number in 0..20 {
            let name = format!("{begin}.{number}");
            engine.create(&name, Spec::default()).await?;
            engine.remove(&name).await?;
        }
        anyhow::Ok(())
    };
    let last = format!("{begin}.19");
    let (made, told) = tokio::join!(making, watch.until_told(&last, &Action::Destroy));
    made?;
    told?;

    // Some were caught while they were there.
    let told = watch.told(&begin);
    let told: Vec<_> = told.iter().filter_map(|told| told.split(' ').next()).collect();
    assert_eq!(told, ["create", "destroy"].repeat(20));
    assert!(!watch.inventory.records().values().any(|record| record.name.starts_with(&begin)));
    Ok(())
}

// RR10
#[tokio::test]
async fn a_crash_loop_is_told_death_by_death() -> Result<()> {
    let engine = Engine::shared().await?;
    let mut watch = Watch::start(&engine.host(), Restored::default())?;
    watch.complete().await?;

    let name = engine.unique("crash");
    let policy = bollard::models::RestartPolicyNameEnum::ALWAYS;
    engine.run(&name, Spec::shell("exit 3").restart(policy)).await?;
    let deaths = |watch: &Watch| watch.told(&name).iter().filter(|told| told.starts_with("die")).count();
    watch.until("four deaths", |watch| deaths(watch) >= 4).await?;
    engine.remove(&name).await?;
    watch.until_told(&name, &Action::Destroy).await?;

    let starts = watch.told(&name).iter().filter(|told| told.starts_with("start")).count();
    assert_eq!(starts, deaths(&watch), "{:?}", watch.told(&name));
    Ok(())
}
