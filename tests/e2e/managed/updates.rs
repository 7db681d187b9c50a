//! Updates of a container: to what its name means at the registry, with a way back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bollard::models::HealthConfig;
use radar_tests::engine::{Engine, Spec};
use radar_tests::registry::Registry;
use radar_tests::wait::until;
use serde_json::json;

use super::{DONE, FAILED, NOT_FOUND, Stage, tag};
use crate::world::DEADLINE;

/// What the images of these tests do.
const RUNS: &str = r#"CMD ["sleep", "1000000000"]"#;
const ENDS: &str = r#"CMD ["false"]"#;

/// Between two looks of the engine at whether a container is well.
const HEALTH: Duration = Duration::from_millis(200);

/// An image that means an old one on a host and a newer one at its registry.
pub(super) struct Aged {
    _registry: Registry,
    pub(super) name: String,
    old: String,
}

impl Aged {
    /// A newer one that works.
    pub(super) async fn make(engine: &Engine) -> Result<Self> {
        Self::with(engine, RUNS).await
    }

    /// A newer one that ends at once.
    pub(super) async fn broken(engine: &Engine) -> Result<Self> {
        Self::with(engine, ENDS).await
    }

    async fn with(engine: &Engine, newer: &str) -> Result<Self> {
        let registry = Registry::open_for(engine).await?;
        let (old, new) = (format!("{}:old", engine.unique("app")), format!("{}:new", engine.unique("app")));
        engine.make_image(&old, &["ENV VERSION=1", RUNS]).await?;
        engine.make_image(&new, &["ENV VERSION=2", newer]).await?;
        let name = registry.push(engine, &new, "app:latest").await?;
        let aged = Self { _registry: registry, name, old };
        aged.age(engine).await?;
        Ok(aged)
    }

    /// Lets the name mean the old one on this host.
    pub(super) async fn age(&self, engine: &Engine) -> Result<()> {
        tag(engine, &self.old, &self.name).await
    }

    /// Brings the old one to another host.
    pub(super) async fn carry(&self, engine: &Engine) -> Result<()> {
        engine.make_image(&self.old, &["ENV VERSION=1", RUNS]).await?;
        self.age(engine).await
    }

    /// A container of it that is soon known to be well.
    pub(super) fn spec(&self) -> Spec {
        self.plain().health("true", HEALTH)
    }

    /// The same on this engine: systemd checks for Podman how containers are, where there is one.
    fn spec_for(&self, engine: &Engine) -> Spec {
        if engine.kind().is_podman() { self.plain() } else { self.spec() }
    }

    /// One that nobody asks how it is.
    pub(super) fn plain(&self) -> Spec {
        let image = self.name.clone();
        Spec::default().adjust(|body| (body.image, body.cmd) = (Some(image), None))
    }
}

/// Which version of its image a container is of.
pub(super) async fn version(engine: &Engine, name: &str) -> Result<String> {
    let variables = engine.inspect(name).await?.config.and_then(|config| config.env).unwrap_or_default();
    let version = variables.into_iter().find_map(|variable| variable.strip_prefix("VERSION=").map(str::to_owned));
    version.context("a version")
}

/// The names of containers that an update has left.
pub(super) async fn left(engine: &Engine, name: &str) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for id in engine.ids().await? {
        // It may have gone meanwhile.
        let Ok(told) = engine.inspect(&id).await else { continue };
        left.extend(told.name.filter(|other| other.starts_with(&format!("/{name}-radar-"))));
    }
    Ok(left)
}

// DM9, DM12
#[tokio::test]
async fn a_container_is_replaced_by_one_of_the_newer_image() -> Result<()> {
    replaced(Stage::shared().await?).await
}

pub(super) async fn replaced(stage: &Stage) -> Result<()> {
    let aged = Aged::make(&stage.engine).await?;
    let spec = aged.spec_for(&stage.engine).label("own", "1").adjust(|body| body.env = Some(vec!["OWN=1".to_owned()]));
    let name = stage.container("updated", spec).await?;
    let (at, before) = (format!("pi/{name}"), stage.engine.inspect(&name).await?);
    let plan = stage.radar.done(&["update", &at, "--dry-run"]).await?;
    assert!(plan.contains("  1. ") && plan.contains("start"), "{plan}");
    assert_eq!(stage.engine.inspect(&name).await?.id, before.id);

    let told = stage.radar.say(&["update", &at]).await?;
    assert!(told.code == DONE && told.out.contains(&format!("{at}: updated")), "{told:?}");
    let after = stage.engine.inspect(&name).await?;
    assert!(after.id != before.id && after.image != before.image);
    assert_eq!(version(&stage.engine, &name).await?, "2");
    let config = after.config.context("its configuration")?;
    assert_eq!(config.labels.unwrap_or_default().get("own").map(String::as_str), Some("1"));
    assert!(config.env.unwrap_or_default().contains(&"OWN=1".to_owned()));
    assert_eq!((stage.state(&name).await?.as_str(), left(&stage.engine, &name).await?.len()), ("running", 0));
    assert!(stage.engine.inspect(&before.id.context("an id")?).await.is_err(), "the old one is still there");

    stage.known("pi", &name).await?;
    let again = stage.radar.say(&["update", &at]).await?;
    assert!(again.code == DONE && again.out.contains("unchanged"), "{again:?}");
    let row = stage.ended("pi", "update", &name).await?;
    assert_eq!(row["state"], json!("succeeded"), "{row}");
    let none = stage.radar.say(&["update", "pi/nowhere"]).await?;
    assert_eq!(none.code, NOT_FOUND, "{none:?}");
    Ok(())
}

// DM10
#[tokio::test]
async fn an_image_that_does_not_work_gives_its_place_back() -> Result<()> {
    given_back(Stage::shared().await?).await
}

pub(super) async fn given_back(stage: &Stage) -> Result<()> {
    let aged = Aged::broken(&stage.engine).await?;
    let name = stage.container("kept", aged.spec_for(&stage.engine)).await?;
    let (at, before) = (format!("pi/{name}"), stage.engine.inspect(&name).await?);
    let (status, problem) = stage.radar.post(&format!("agents/pi/containers/{name}/update"), &json!({})).await?;
    assert_eq!((status, problem["code"].as_str()), (502, Some("rolled-back")), "{problem}");
    // A name that means nothing is found out before anything is touched.
    let missing = aged.name.replace("app:", "none:");
    for (more, code, why) in [(&[][..], FAILED, "rolled back"), (&["--image", &missing], NOT_FOUND, "failed")] {
        // Podman writes its events to a file, and is read from there.
        until("the name to be that of the old one", DEADLINE, async || {
            let known = stage.known("pi", &name).await?;
            ensure!(known["id"].as_str() == before.id.as_deref(), "{known}");
            anyhow::Ok(())
        })
        .await?;
        let told = stage.radar.say(&[&["update", &at], more].concat()).await?;
        assert!(told.code == code && told.err.contains(&format!("{at}: {why}")), "{told:?}");
        let after = stage.engine.inspect(&name).await?;
        assert_eq!((&after.id, &after.image), (&before.id, &before.image));
        assert_eq!((stage.state(&name).await?.as_str(), left(&stage.engine, &name).await?.len()), ("running", 0));
    }
    let row = &stage.audit("pi", "update", &name).await?[0];
    ensure!(row["reason"].as_str().is_some_and(|why| why.starts_with("rolled-back: unhealthy: ")), "{row}");
    Ok(())
}

// DM10, DM16
#[tokio::test]
async fn a_prune_while_the_new_one_is_watched_leaves_the_way_back() -> Result<()> {
    // On an engine of its own, where there is nothing else to prune.
    let (stage, engine) = (Stage::shared().await?, Engine::start().await?);
    let _pruned = stage.agent("pruned", &engine).await?;
    let aged = Aged::make(&engine).await?;
    let ailing = aged.plain().health("test $VERSION = 1", Duration::from_secs(1)).adjust(|body| {
        // So there is time for the prune.
        body.healthcheck = body.healthcheck.take().map(|check| HealthConfig { retries: Some(8), ..check });
    });
    let before = engine.run("web", ailing).await?.id;
    stage.known("pruned", "web").await?;
    let updating = stage.radar.begin(&["update", "pruned/web"]).await?;
    let old = until("the old one aside", DEADLINE, async || {
        let left = left(&engine, "web").await?;
        left.into_iter().find(|name| name.starts_with("/web-radar-old-")).context("not yet")
    })
    .await?;
    stage.known_as("pruned", old.trim_start_matches('/'), |state| state == "exited").await?;
    let pruned = stage.radar.json(&["prune", "pruned", "containers"]).await?;
    assert_eq!(pruned["result"]["removed"], json!([]), "{pruned}");

    let told = updating.end(DEADLINE).await?;
    let row = stage.ended("pruned", "update", "web").await?;
    assert!(row["reason"].as_str().is_some_and(|why| why.starts_with("rolled-back: unhealthy: ")), "{row}");
    assert_eq!(told.code, FAILED, "{told:?}");
    let after = engine.inspect("web").await?;
    assert_eq!((after.id.as_deref(), version(&engine, "web").await?.as_str()), (Some(&*before), "1"));
    assert!(after.state.is_some_and(|state| state.running == Some(true)));
    assert_eq!(left(&engine, "web").await?, [""; 0]);
    Ok(())
}
