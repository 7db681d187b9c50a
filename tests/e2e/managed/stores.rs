//! Images, networks and volumes: seen, made, removed and cleared away.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use radar_tests::engine::{Engine, IMAGE, Spec};
use serde_json::Value;

use super::{DONE, NOT_FOUND, REFUSED, Stage};

/// The names in a list that `radar` gives.
async fn names(stage: &Stage, agent: &str, kind: &str) -> Result<BTreeSet<String>> {
    let found = stage.radar.json(&[kind, agent]).await?;
    let all = found[kind].as_array().with_context(|| found.to_string())?;
    let tags = |one: &Value| one["tags"].as_array().cloned().unwrap_or_default();
    let names = all.iter().flat_map(|one| tags(one).into_iter().chain([one["name"].clone()]));
    Ok(names.filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

// DM16, PS3
#[tokio::test]
async fn networks_and_volumes_are_made_and_removed_but_not_those_of_the_engine() -> Result<()> {
    made_and_removed(Stage::shared().await?).await
}

pub(super) async fn made_and_removed(stage: &Stage) -> Result<()> {
    assert!(names(stage, "pi", "images").await?.contains(&stage.engine.names(IMAGE)));
    for (kind, list) in [("network", "networks"), ("volume", "volumes")] {
        let name = stage.engine.unique(kind);
        stage.radar.done(&[kind, "create", "pi", &name]).await?;
        assert!(names(stage, "pi", list).await?.contains(&name), "{name}");
        let again = stage.radar.say(&[kind, "create", "pi", &name]).await?;
        assert!((again.code == DONE) == (kind == "volume"), "{again:?}");
        stage.radar.done(&[kind, "rm", "pi", &name]).await?;
        assert!(!names(stage, "pi", list).await?.contains(&name), "{name}");
        let gone = stage.radar.say(&[kind, "rm", "pi", &name]).await?;
        assert_eq!(gone.code, NOT_FOUND, "{gone:?}");
    }
    let kept = stage.radar.say(&["network", "rm", "pi", "none"]).await?;
    assert!(kept.code == REFUSED && kept.err.contains("built-in"), "{kept:?}");
    let (status, problem) = stage.radar.delete("agents/pi/networks/none").await?;
    assert_eq!((status, problem["code"].as_str()), (403, Some("built-in")), "{problem}");
    // Podman lists only what it has made.
    let known: &[&str] = if stage.engine.kind().is_podman() { &["bridge"] } else { &["host", "none"] };
    let networks = names(stage, "pi", "networks").await?;
    assert!(known.iter().all(|name| networks.contains(*name)), "{networks:?}");
    Ok(())
}

// DM16, DM20
#[tokio::test]
async fn what_nothing_uses_is_cleared_away_and_nothing_else() -> Result<()> {
    cleared_away(Stage::shared().await?).await
}

pub(super) async fn cleared_away(stage: &Stage) -> Result<()> {
    let engine = Engine::start_as(stage.engine.kind()).await?;
    let _cellar = stage.agent("cellar", &engine).await?;
    engine.make_image("unused:1", &["ENV A=1"]).await?;
    engine.run("runs", Spec::default()).await?;
    let anonymous = Spec::shell("true").adjust(|body| body.volumes = Some(vec!["/data".to_owned()]));
    engine.run("ended", anonymous).await?;
    engine.create("guarded", Spec::default().label("radar.protect", "true")).await?;
    for (kind, name) in [("volume", "named"), ("network", "idle")] {
        stage.radar.done(&[kind, "create", "cellar", name]).await?;
    }
    for (name, state) in [("runs", "running"), ("ended", "exited"), ("guarded", "created")] {
        stage.known_as("cellar", name, |known| known == state).await?;
    }

    let pruned = async |kind: &str, more: &[&str]| {
        let words = [&["prune", "cellar", kind], more].concat();
        let told = stage.radar.json(&words).await?;
        let removed = told["result"]["removed"].as_array().with_context(|| told.to_string())?.clone();
        anyhow::Ok(removed.into_iter().filter_map(|name| name.as_str().map(str::to_owned)).collect::<Vec<_>>())
    };
    let volumes = async || names(stage, "cellar", "volumes").await;
    assert_eq!((volumes().await?.len(), pruned("volumes", &[]).await?.len()), (2, 0), "it is a container's");
    assert_eq!(pruned("containers", &[]).await?, ["ended"]);
    assert_eq!(engine.ids().await?.len(), 2);
    assert_eq!(pruned("volumes", &[]).await?.len(), 1);
    assert_eq!(volumes().await?, ["named".to_owned()].into());
    assert_eq!(pruned("volumes", &["--all"]).await?, ["named"]);
    assert_eq!(pruned("networks", &[]).await?, ["idle"]);
    assert_eq!(pruned("images", &[]).await?.len(), 0, "all have names");
    // Podman tells ids only.
    let unused = pruned("images", &["--all"]).await?;
    assert!(if engine.kind().is_podman() { unused.len() == 1 } else { unused.contains(&"unused:1".to_owned()) });
    assert!(names(stage, "cellar", "images").await?.contains(&engine.names(IMAGE)), "a container needs it");
    assert_eq!(pruned("images", &["--all"]).await?.len(), 0);
    let told = stage.radar.done(&["prune", "cellar", "containers"]).await?;
    assert!(told.starts_with("cellar"), "{told}");
    Ok(())
}

// DM16
#[tokio::test]
async fn an_image_is_removed_by_its_name() -> Result<()> {
    image_removed(Stage::shared().await?).await
}

pub(super) async fn image_removed(stage: &Stage) -> Result<()> {
    let image = format!("{}:1", stage.engine.unique("image"));
    stage.engine.make_image(&image, &["ENV A=1"]).await?;
    let told = stage.radar.done(&["image", "rm", "pi", &image]).await?;
    // Podman tells the image before its name.
    assert!(told.contains("removed ") && told.contains(&stage.engine.names(&image)), "{told}");
    assert!(!names(stage, "pi", "images").await?.contains(&stage.engine.names(&image)));
    let gone = stage.radar.say(&["image", "rm", "pi", &image]).await?;
    assert_eq!(gone.code, NOT_FOUND, "{gone:?}");
    Ok(())
}
