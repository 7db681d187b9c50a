//! Images, networks and volumes of a real engine: made, removed and cleared away.

use std::collections::HashMap;

use anyhow::{Context, Result};
use bollard::models::{HostConfig, NetworkingConfig};
use bollard::query_parameters::{
    InspectNetworkOptions, ListImagesOptions, ListNetworksOptions, ListVolumesOptions, TagImageOptionsBuilder,
};
use radar_agent::engine::act::Act;
use radar_tests::engine::{Container, Engine as TestEngine, IMAGE, Spec};
use radar_wire::command::Prunable;
use radar_wire::container::ContainerId;
use serde_json::{Value, json};

use crate::actor::{Actor, guard};
use crate::watch::DEADLINE;

fn id(container: &Container) -> ContainerId {
    container.id.parse().expect("an id")
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn prune(what: Prunable, all: bool) -> Act {
    Act::Prune { what, all }
}

fn create_volume(volume: &str) -> Act {
    Act::CreateVolume { volume: volume.into(), driver: None }
}

fn create_network(network: &str) -> Act {
    Act::CreateNetwork { network: network.into(), driver: None, internal: true }
}

/// With this volume at `/data`; one without a name where it is empty.
fn with_volume(volume: &str) -> Spec {
    Spec::default().adjust(|body| match volume {
        "" => body.volumes = Some(vec!["/data".to_owned()]),
        volume => {
            let host = body.host_config.get_or_insert_with(HostConfig::default);
            host.binds = Some(vec![format!("{volume}:/data")]);
        }
    })
}

async fn tag(engine: &TestEngine, image: &str, name: &str) -> Result<()> {
    let (repository, tag) = name.rsplit_once(':').context("a tag")?;
    let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
    Ok(engine.client()?.tag_image(image, Some(options)).await?)
}

async fn image_names(engine: &TestEngine) -> Result<Vec<String>> {
    let options = ListImagesOptions { all: true, ..ListImagesOptions::default() };
    let mut names: Vec<_> =
        engine.client()?.list_images(Some(options)).await?.into_iter().flat_map(|image| image.repo_tags).collect();
    names.sort_unstable();
    Ok(names)
}

async fn network_names(engine: &TestEngine) -> Result<Vec<String>> {
    let all = engine.client()?.list_networks(None::<ListNetworksOptions>).await?;
    let mut names: Vec<_> = all.into_iter().filter_map(|network| network.name).collect();
    names.sort_unstable();
    Ok(names)
}

async fn volume_names(engine: &TestEngine) -> Result<Vec<String>> {
    let all = engine.client()?.list_volumes(None::<ListVolumesOptions>).await?.volumes.unwrap_or_default();
    let mut names: Vec<_> = all.into_iter().map(|volume| volume.name).collect();
    names.sort_unstable();
    Ok(names)
}

// DM16
#[tokio::test]
async fn an_image_loses_its_names_one_by_one_and_then_is_gone() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let (one, two) = (format!("{}:1", engine.unique("image")), format!("{}:2", engine.unique("image")));
    engine.make_image(&one, &["ENV A=1"]).await?;
    tag(&engine, &one, &two).await?;
    let image = engine.client()?.inspect_image(&one).await?.id.context("an id")?;
    let remove = |image: &str, force| Act::RemoveImage { image: image.into(), force };

    let (kind, text) = actor.fails(remove(&image, false)).await?;
    assert!(kind == "conflict" && text.contains("multiple repositories"), "{kind}: {text}");
    assert_eq!(actor.does(remove(&one, false)).await?, (true, json!({ "removed": [one] })));
    let name = engine.unique("user");
    let spec = Spec::default().adjust(|body| body.image = Some(two.clone()));
    engine.run(&name, spec).await?;
    let (kind, text) = actor.fails(remove(&two, false)).await?;
    assert!(kind == "conflict" && text.contains("using its referenced image"), "{kind}: {text}");
    engine.remove(&name).await?;
    let (changed, found) = actor.does(remove(&two, false)).await?;
    assert!(changed && texts(&found["removed"])[..2] == [two.as_str(), image.as_str()], "{found}");
    let (kind, text) = actor.fails(remove(&two, true)).await?;
    assert!(kind == "not-found" && text.contains(&two), "{kind}: {text}");
    Ok(())
}

// DM16
#[tokio::test]
async fn a_network_is_made_once_and_removed_when_nobody_is_in_it() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let network = engine.unique("net");
    let remove = |network: &str| Act::RemoveNetwork { network: network.into() };

    let (changed, found) = actor.does(create_network(&network)).await?;
    let told = engine.client()?.inspect_network(&network, None::<InspectNetworkOptions>).await?;
    assert_eq!((changed, found["id"].as_str()), (true, told.id.as_deref()));
    assert_eq!((told.internal, told.driver.as_deref()), (Some(true), Some("bridge")));
    let (kind, text) = actor.fails(create_network(&network)).await?;
    assert!(kind == "conflict" && text.contains(&network), "{kind}: {text}");

    let name = engine.unique("inside");
    let spec = Spec::default().adjust(|body| {
        body.host_config.get_or_insert_with(HostConfig::default).network_mode = Some(network.clone());
        let endpoints = HashMap::from([(network.clone(), bollard::models::EndpointSettings::default())]);
        body.networking_config = Some(NetworkingConfig { endpoints_config: Some(endpoints) });
    });
    engine.run(&name, spec).await?;
    let (kind, text) = actor.fails(remove(&network)).await?;
    assert!(kind == "conflict" && text.contains("active endpoints"), "{kind}: {text}");
    engine.remove(&name).await?;
    assert!(actor.changes(remove(&network)).await?);
    let (kind, text) = actor.fails(remove(&network)).await?;
    assert!(kind == "not-found" && text.contains(&network), "{kind}: {text}");
    Ok(())
}

// DM16
#[tokio::test]
async fn what_the_engine_comes_with_stays_however_it_is_called() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    for network in ["host", "none"] {
        let told = engine.client()?.inspect_network(network, None::<InspectNetworkOptions>).await?;
        let id = told.id.context("an id")?;
        for name in [network, &id, &id[..12]] {
            let (kind, text) = actor.fails(Act::RemoveNetwork { network: name.into() }).await?;
            assert!(kind == "denied" && text.contains("pre-defined"), "{kind}: {text}");
        }
        assert!(["denied", "conflict"].contains(&actor.fails(create_network(network)).await?.0));
    }
    Ok(())
}

// DM16
#[tokio::test]
async fn a_volume_that_is_there_is_made_and_changes_nothing() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let volume = engine.unique("vol");
    let remove = || Act::RemoveVolume { volume: volume.as_str().into() };

    assert!(actor.changes(create_volume(&volume)).await?);
    assert!(!actor.changes(create_volume(&volume)).await?);
    let other = Act::CreateVolume { volume: volume.as_str().into(), driver: Some("nosuchdriver".into()) };
    assert!(["not-found", "conflict", "engine"].contains(&actor.fails(other).await?.0));
    let name = engine.unique("user");
    engine.run(&name, with_volume(&volume)).await?;
    let (kind, text) = actor.fails(remove()).await?;
    assert!(kind == "conflict" && text.contains("in use"), "{kind}: {text}");
    engine.remove(&name).await?;
    assert!(actor.changes(remove()).await?);
    let (kind, text) = actor.fails(remove()).await?;
    assert!(kind == "not-found" && text.contains(&volume), "{kind}: {text}");
    Ok(())
}

// DM16
#[tokio::test]
async fn a_guard_of_the_socket_denies_what_changes_the_store() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let (host, _guard) = guard(&engine).await?;
    let mut actor = Actor::start_at(host, DEADLINE).await?;
    let acts = [
        Act::Pull { image: "127.0.0.1:1/app:1".into() },
        Act::RemoveImage { image: IMAGE.into(), force: true },
        create_network("guarded"),
        create_volume("guarded"),
        prune(Prunable::Images, true),
    ];
    for act in acts {
        let (kind, text) = actor.fails(act.clone()).await?;
        assert!(kind == "denied" && text.contains("403 Forbidden"), "{act:?}: {kind}: {text}");
    }
    Ok(())
}

// DM16, DM20
#[tokio::test]
async fn of_the_containers_only_those_go_that_were_named_and_do_not_run() -> Result<()> {
    let engine = TestEngine::start().await?;
    let mut actor = Actor::start(&engine).await?;
    let running = id(&engine.run("running", Spec::default()).await?);
    let written = id(&engine.run("written", Spec::shell("dd if=/dev/zero of=/big bs=1000 count=500")).await?);
    let ended = radar_tests::wait::until("its end", DEADLINE, async || {
        let state = engine.inspect("written").await.ok().and_then(|known| known.state?.status);
        if state.is_some_and(|state| state.to_string() == "exited") { Ok(()) } else { Err(format!("{state:?}")) }
    });
    ended.await?;
    let created = id(&engine.create("created", Spec::default()).await?);
    engine.create("other", Spec::default()).await?;
    let nobody = "ab".repeat(32).parse()?;

    let (changed, found) = actor.does(Act::RemoveStopped { ids: vec![running, written, created, nobody] }).await?;
    assert!(changed);
    assert_eq!(texts(&found["removed"]), ["written", "created"]);
    assert!(found["freed"].as_i64() >= Some(500_000), "{found}");
    let left = texts(&found["left"]);
    assert!(left.len() == 1 && left[0].starts_with("running: ") && left[0].contains("running container"), "{left:?}");
    assert_eq!(engine.ids().await?.len(), 2);

    let (changed, found) = actor.does(Act::RemoveStopped { ids: Vec::new() }).await?;
    assert_eq!((changed, found), (false, json!({ "removed": [], "freed": 0 })));
    Ok(())
}

// DM16
#[tokio::test]
async fn images_without_a_name_go_and_those_with_one_only_when_that_is_said() -> Result<()> {
    let engine = TestEngine::start().await?;
    let mut actor = Actor::start(&engine).await?;
    for colour in ["red", "green"] {
        engine.make_image("app:1", &[&format!("ENV COLOUR={colour}")]).await?;
    }
    engine.make_image("used:1", &["ENV USED=1"]).await?;
    engine.create("user", Spec::default().adjust(|body| body.image = Some("used:1".to_owned()))).await?;
    assert_eq!(image_names(&engine).await?, ["<none>:<none>", "app:1", IMAGE, "used:1"]);

    let (changed, found) = actor.does(prune(Prunable::Images, false)).await?;
    let removed = texts(&found["removed"]);
    assert!(changed && !removed.is_empty() && removed.iter().all(|name| name.starts_with("sha256:")), "{found}");
    assert!(found["freed"].as_i64().is_some(), "{found}");
    assert_eq!(image_names(&engine).await?, ["app:1", IMAGE, "used:1"]);
    assert!(!actor.does(prune(Prunable::Images, false)).await?.0);

    let (changed, found) = actor.does(prune(Prunable::Images, true)).await?;
    assert!(changed && texts(&found["removed"]).contains(&"app:1"), "{found}");
    assert_eq!(image_names(&engine).await?, ["used:1"], "a container that does not run uses it");
    Ok(())
}

// DM16
#[tokio::test]
async fn networks_that_nobody_is_in_go_and_built_in_ones_stay() -> Result<()> {
    let engine = TestEngine::start().await?;
    let mut actor = Actor::start(&engine).await?;
    let before = network_names(&engine).await?;
    actor.does(create_network("a")).await?;
    actor.does(create_network("b")).await?;
    let (changed, found) = actor.does(prune(Prunable::Networks, false)).await?;
    let mut removed = texts(&found["removed"]);
    removed.sort_unstable();
    assert_eq!((changed, removed, found.get("freed")), (true, vec!["a", "b"], None));
    assert_eq!(network_names(&engine).await?, before);
    assert!(!actor.does(prune(Prunable::Networks, true)).await?.0);
    Ok(())
}

// DM16
#[tokio::test]
async fn a_volume_with_a_name_goes_only_when_that_is_said() -> Result<()> {
    let engine = TestEngine::start().await?;
    let mut actor = Actor::start(&engine).await?;
    for volume in ["kept", "used"] {
        actor.does(create_volume(volume)).await?;
    }
    engine.create("user", with_volume("used")).await?;
    engine.create("anonymous", with_volume("")).await?;
    engine.create("left", with_volume("")).await?;
    let left = engine.inspect("left").await?.mounts.context("mounts")?[0].name.clone().context("a volume")?;
    let options = bollard::query_parameters::RemoveContainerOptions::default();
    engine.client()?.remove_container("left", Some(options)).await?;
    assert_eq!(volume_names(&engine).await?.len(), 4);

    let (changed, found) = actor.does(prune(Prunable::Volumes, false)).await?;
    assert_eq!((changed, texts(&found["removed"])), (true, vec![left.as_str()]));
    assert!(!actor.does(prune(Prunable::Volumes, false)).await?.0);
    let (changed, found) = actor.does(prune(Prunable::Volumes, true)).await?;
    assert_eq!((changed, texts(&found["removed"])), (true, vec!["kept"]));
    assert!(found["freed"].as_i64().is_some(), "{found}");
    let names = volume_names(&engine).await?;
    assert!(names.len() == 2 && names.contains(&"used".to_owned()), "{names:?}");
    Ok(())
}
