//! Pulling from a real registry: layer by layer, as somebody or as nobody, and what comes of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::models::ContainerConfig;
use bollard::query_parameters::{CommitContainerOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder};
use radar_agent::engine::act::{Act, ActErrorKind, Piece, Pulled};
use radar_agent::registries::Registries;
use radar_tests::engine::{Engine as TestEngine, Spec};
use radar_tests::proxy::{Direction, Proxy, Target};
use radar_tests::registry::{PASSWORD, Registry, USER};
use radar_tests::wait::until;
use serde_json::json;

use crate::actor::{Actor, TIME_OUT};
use crate::watch::DEADLINE;

fn pull(image: &str) -> Act {
    Act::Pull { image: image.into() }
}

async fn forget(engine: &TestEngine, image: &str) -> Result<()> {
    engine.client()?.remove_image(image, None::<RemoveImageOptions>, None).await?;
    Ok(())
}

async fn has(engine: &TestEngine, image: &str) -> Result<bool> {
    Ok(engine.client()?.inspect_image(image).await.is_ok())
}

/// An image with a layer of 24 MB that cannot be compressed; its name.
async fn large_image(engine: &TestEngine) -> Result<String> {
    let name = engine.unique("large");
    engine.run(&name, Spec::shell("dd if=/dev/urandom of=/big bs=1000000 count=24")).await?;
    until("the file", DEADLINE, async || {
        let state = engine.inspect(&name).await?.state.context("a state")?;
        if state.running == Some(false) { Ok(()) } else { Err(anyhow::anyhow!("{state:?}")) }
    })
    .await?;
    let options = CommitContainerOptionsBuilder::new().container(&name).repo(&name).tag("1").build();
    engine.client()?.commit_container(options, ContainerConfig::default()).await?;
    engine.remove(&name).await?;
    Ok(format!("{name}:1"))
}

fn told(actor: &Actor) -> Vec<Pulled> {
    let pulled = |(_, piece): &(u64, Piece)| match piece {
        Piece::Pull(pulled) => Some(*pulled),
        _ => None,
    };
    actor.pieces.iter().filter_map(pulled).collect()
}

/// A registry with the large image, behind a proxy; the image's name there.
async fn behind_a_proxy(engine: &TestEngine) -> Result<(Registry, Proxy, String)> {
    let registry = Registry::open().await?;
    let image = large_image(engine).await?;
    let pushed = registry.push(engine, &image, "large:1").await?;
    forget(engine, &pushed).await?;
    forget(engine, &image).await?;
    let port = registry.host().rsplit_once(':').context("a port")?.1.parse()?;
    let proxy = Proxy::start(Target::Port(port)).await?;
    let name = format!("127.0.0.1:{}/large:1", proxy.port());
    Ok((registry, proxy, name))
}

/// Lets a little through at a time.
async fn throttled(proxy: &Proxy) -> ! {
    loop {
        proxy.stall_one(Direction::Down);
        tokio::time::sleep(Duration::from_millis(30)).await;
        proxy.resume();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

// DM12
#[tokio::test]
async fn a_pull_tells_its_layers_and_then_what_the_name_means() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let (_registry, proxy, name) = behind_a_proxy(&engine).await?;

    let (changed, found) = tokio::select! {
        done = actor.does(pull(&name)) => done?,
        never = throttled(&proxy) => never,
    };
    proxy.resume();
    let image = engine.client()?.inspect_image(&name).await?;
    let digest = found["digest"].as_str().context("a digest")?.to_owned();
    assert_eq!((changed, found["image"].as_str()), (true, image.id.as_deref()));
    let digests = image.repo_digests.unwrap_or_default();
    assert!(digests.iter().any(|known| known.ends_with(&format!("large@{digest}"))), "{digests:?}");

    let pieces = told(&actor);
    assert!(pieces.len() > 2, "{pieces:?}");
    assert!(pieces.iter().any(|piece| 0 < piece.current && piece.current < piece.total), "{pieces:?}");
    assert!(pieces.iter().all(|piece| piece.done <= piece.layers && piece.current <= piece.total), "{pieces:?}");
    assert!(pieces.windows(2).all(|two| two[0] != two[1] && two[0].layers <= two[1].layers), "{pieces:?}");
    assert_eq!(pieces.last().map(|piece| piece.layers), Some(2));
    assert!(pieces.last().is_some_and(|piece| piece.total > 24_000_000), "{pieces:?}");

    // There is nothing newer.
    let (changed, again) = actor.does(pull(&name)).await?;
    assert_eq!((changed, again), (false, found));
    let by_digest = format!("{}@{digest}", name.trim_end_matches(":1"));
    assert!(!actor.does(pull(&by_digest)).await?.0);
    forget(&engine, &name).await
}

// DM12
#[tokio::test]
async fn a_name_that_means_another_image_has_changed_and_other_tags_stay_away() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let registry = Registry::open().await?;
    let local = engine.unique("moving");
    let mut ids = Vec::new();
    for colour in ["red", "green"] {
        engine.make_image(&format!("{local}:{colour}"), &[&format!("ENV COLOUR={colour}")]).await?;
        ids.push(engine.client()?.inspect_image(&format!("{local}:{colour}")).await?.id);
    }
    let name = registry.push(&engine, &format!("{local}:red"), "moving:1").await?;
    let other = registry.push(&engine, &format!("{local}:green"), "moving:2").await?;
    forget(&engine, &name).await?;
    forget(&engine, &other).await?;

    let (changed, found) = actor.does(pull(&name)).await?;
    assert_eq!((changed, found["image"].as_str()), (true, ids[0].as_deref()));
    assert!(!has(&engine, &other).await?);
    // Somebody else moves the name, which this engine does not know of.
    let green = registry.push(&engine, &format!("{local}:green"), "moving:1").await?;
    assert_eq!(green, name);
    let options = TagImageOptionsBuilder::new().repo(name.trim_end_matches(":1")).tag("1").build();
    engine.client()?.tag_image(&format!("{local}:red"), Some(options)).await?;
    assert_eq!(engine.client()?.inspect_image(&name).await?.id, ids[0]);
    let (changed, found) = actor.does(pull(&name)).await?;
    assert_eq!((changed, found["image"].as_str()), (true, ids[1].as_deref()));
    Ok(())
}

// DM12
#[tokio::test]
async fn what_is_not_there_is_not_found() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let registry = Registry::open().await?;
    registry.push(&engine, &engine.own_image("there").await?, "there:1").await?;
    for name in ["there:2", "nowhere:1"] {
        let (kind, text) = actor.fails(pull(&format!("{}/{name}", registry.host()))).await?;
        assert!(kind == "not-found" && text.contains(name.split(':').next().context("a name")?), "{kind}: {text}");
    }
    registry.stop().await?;
    let (kind, text) = actor.fails(pull(&format!("{}/there:1", registry.host()))).await?;
    assert!(kind == "engine" && text.contains("connection refused"), "{kind}: {text}");
    Ok(())
}

fn write(path: &Path, auths: &serde_json::Value) -> Result<()> {
    Ok(fs::write(path, json!({ "auths": auths }).to_string())?)
}

// DM12
#[tokio::test]
async fn a_private_registry_lets_in_who_the_operators_file_says() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let room = tempfile::tempdir()?;
    let path = room.path().join("config.json");
    let registries = Registries::new(Some(path.clone()));
    let mut actor = Actor::start_as(engine.host(), DEADLINE, registries).await?;
    let registry = Registry::with_password().await?;
    let name = registry.push(&engine, &engine.own_image("private").await?, "private:1").await?;
    let host = registry.host();
    forget(&engine, &name).await?;

    let (kind, text) = actor.fails(pull(&name)).await?;
    assert!(kind == "settings" && text.contains("AGENT_REGISTRY_CONFIG") && text.contains("config.json"), "{text}");
    // It is read anew each time.
    for auths in [
        json!({}),
        json!({ "other.example": { "username": USER, "password": PASSWORD } }),
        json!({ &host: { "username": USER, "password": "wrong" } }),
        json!({ &host: { "username": "nobody", "password": PASSWORD } }),
    ] {
        write(&path, &auths)?;
        let (kind, text) = actor.fails(pull(&name)).await?;
        assert!(kind == "denied" && !text.contains(PASSWORD), "{auths}: {kind}: {text}");
    }
    let odd = format!("http://{host}/v2/~~~???");
    for auths in [
        json!({ &host: { "username": USER, "password": PASSWORD } }),
        json!({ &host: { "auth": "dGVzdDp0ZXN0LXBhc3N3b3Jk" } }),
        // What goes to the engine has a form in which some characters are special.
        json!({ odd: { "username": USER, "password": PASSWORD } }),
    ] {
        write(&path, &auths)?;
        assert!(actor.does(pull(&name)).await.with_context(|| auths.to_string())?.0);
        forget(&engine, &name).await?;
    }
    fs::write(&path, json!({ "auths": { &host: {} }, "credsStore": "pass" }).to_string())?;
    let (kind, text) = actor.fails(pull(&name)).await?;
    assert!(kind == "settings" && text.contains("docker login"), "{kind}: {text}");
    Ok(())
}

// DM12
#[tokio::test]
async fn a_pull_that_stands_still_times_out_and_one_that_is_cancelled_ends() -> Result<()> {
    let engine = TestEngine::shared().await?;
    let mut actor = Actor::start(&engine).await?;
    let (_registry, proxy, name) = behind_a_proxy(&engine).await?;
    let silence = Duration::from_secs(3);

    proxy.stall_one(Direction::Down);
    let ticket = actor.begin(pull(&name), silence);
    let error = actor.end(ticket).await?.expect_err("nothing comes");
    assert_eq!(error.kind, ActErrorKind::TimedOut, "{error}");
    assert!(!has(&engine, &name).await?);
    proxy.resume();

    let ticket = actor.begin(pull(&name), TIME_OUT);
    let some = actor.until(|actor| told(actor).iter().any(|piece| piece.current > 0));
    tokio::select! {
        some = some => some?,
        never = throttled(&proxy) => never,
    }
    proxy.stall_one(Direction::Down);
    actor.engine.cancel(ticket);
    let error = actor.end(ticket).await?.expect_err("it is cancelled");
    assert_eq!(error.kind, ActErrorKind::Cancelled, "{error}");
    proxy.resume();

    // What was begun is no hindrance.
    assert!(actor.does(pull(&name)).await?.0);
    forget(&engine, &name).await
}
