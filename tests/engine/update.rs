//! Updates on a real engine with a real registry: what a container is before and after, field by field, and that an agent
//! that ends anywhere leaves nothing half done.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use bollard::query_parameters::TagImageOptionsBuilder;
use radar_tests::engine::Engine;
use radar_tests::registry::Registry;
use radar_wire::command::Progress;
use serde_json::{Value, json};

use self::cases::case;
use self::compared::{check_defaults, differences, shape};
use crate::updater::{End, Updater, call, inspect, order};

mod cases;
mod compared;

/// What the two images have of their own.
const OLD: [&str; 7] = [
    "ENV A=1",
    "ENV GONE=1",
    "LABEL version=1",
    "LABEL old=yes",
    r#"CMD ["sleep", "1000001"]"#,
    "VOLUME /data",
    "EXPOSE 80",
];
const NEW: [&str; 7] = [
    "ENV A=2",
    "ENV B=2",
    "LABEL version=2",
    r#"CMD ["sleep", "1000002"]"#,
    "VOLUME /data",
    "EXPOSE 81",
    "WORKDIR /tmp",
];

struct Stage {
    engine: Engine,
    registry: Registry,
    /// The image's name, which means the old one here and the new one at the registry.
    image: String,
    networks: [String; 2],
}

impl Stage {
    async fn set(subnet: u8) -> Result<Self> {
        let (engine, registry) = (Engine::start().await?, Registry::open().await?);
        engine.make_image("app:1", &OLD).await?;
        engine.make_image("app:2", &NEW).await?;
        engine.make_image("app:broken", &[r#"CMD ["false"]"#]).await?;
        let image = registry.push(&engine, "app:2", "app:latest").await?;
        let stage = Self { engine, registry, image, networks: ["front", "back"].map(str::to_owned) };
        for (at, network) in stage.networks.iter().enumerate() {
            let config = json!([{ "Subnet": format!("10.{subnet}.{at}.0/24") }]);
            let body = json!({ "Name": network, "Driver": "bridge", "IPAM": { "Config": config } });
            call(&stage.engine, "POST", "/networks/create", &body).await?;
        }
        stage.back_to_old().await?;
        Ok(stage)
    }

    /// Lets the name mean the old image again, on this host.
    async fn back_to_old(&self) -> Result<()> {
        let (repository, tag) = self.image.rsplit_once(':').context("a tag")?;
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        Ok(self.engine.client()?.tag_image("app:1", Some(options)).await?)
    }

    async fn create(&self, name: &str, mut body: Value, more: &[(&str, Value)]) -> Result<String> {
        body["Image"] = self.image.as_str().into();
        // It ends at once when it is stopped.
        body["StopSignal"] = "SIGKILL".into();
        let made = call(&self.engine, "POST", &format!("/containers/create?name={name}"), &body).await?;
        for (network, endpoint) in more {
            let body = json!({ "Container": name, "EndpointConfig": endpoint });
            call(&self.engine, "POST", &format!("/networks/{network}/connect"), &body).await?;
        }
        Ok(made["Id"].as_str().context("an id")?.to_owned())
    }

    async fn act(&self, name: &str, act: &str) -> Result<()> {
        call(&self.engine, "POST", &format!("/containers/{name}/{act}"), &Value::Null).await.map(drop)
    }

    async fn names(&self) -> Result<BTreeSet<String>> {
        let all = call(&self.engine, "GET", "/containers/json?all=1", &Value::Null).await?;
        let name = |one: &Value| one["Names"][0].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
        Ok(all.as_array().context("a list")?.iter().map(name).collect())
    }

    async fn volumes(&self) -> Result<BTreeSet<String>> {
        let all = call(&self.engine, "GET", "/volumes", &Value::Null).await?;
        let all = all["Volumes"].as_array().cloned().unwrap_or_default();
        Ok(all.iter().map(|one| one["Name"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

// DM9, DM10
#[tokio::test]
async fn whatever_a_container_is_made_of_it_is_after_an_update() -> Result<()> {
    let stage = Stage::set(201).await?;
    let mut before = Vec::new();
    for seed in 0..14 {
        let name = format!("case-{seed}");
        let case = case(seed, 201);
        stage.create(&name, case.body.clone(), &case.more).await.with_context(|| format!("{name}: {}", case.body))?;
        for act in case.acts {
            stage.act(&name, act).await?;
        }
        before.push((name.clone(), case.body, inspect(&stage.engine, &name).await?));
    }
    let (names, volumes) = (stage.names().await?, stage.volumes().await?);
    let mut updater = Updater::new(&stage.engine)?;
    let asked: Vec<&str> = before.iter().map(|(name, ..)| name.as_str()).collect();
    let outcomes = updater.update(&asked, None).await?;
    assert_eq!((stage.names().await?, stage.volumes().await?), (names, volumes));
    let new = stage.engine.client()?.inspect_image("app:2").await?.id;
    for ((name, set, before), outcome) in before.into_iter().zip(outcomes) {
        assert_eq!(outcome.state, Progress::Succeeded, "{name}: {:?}", outcome.reason);
        let after = inspect(&stage.engine, &name).await?;
        assert_eq!(after["Image"].as_str(), new.as_deref(), "{name}");
        assert_ne!(after["Id"], before["Id"], "{name}");
        check_defaults(&name, &set, &after);
        let mut found = BTreeSet::new();
        differences("", &shape(before), &shape(after), &mut found);
        // The new image has another default.
        found.retain(|one| one != "/Config/WorkingDir: \"\" → \"/tmp\"");
        assert_eq!(found, BTreeSet::new(), "{name}: {set}");
    }
    Ok(())
}

// DM10
#[tokio::test]
async fn one_that_does_not_work_is_put_back_as_it_was() -> Result<()> {
    let stage = Stage::set(202).await?;
    let mut before = Vec::new();
    for seed in 20..28 {
        let name = format!("case-{seed}");
        let mut case = case(seed, 202);
        // Nobody finds out about one that is not started, and this one is to end.
        case.body.as_object_mut().map(|body| body.remove("Cmd"));
        stage.create(&name, case.body, &case.more).await?;
        stage.act(&name, "start").await?;
        before.push((name.clone(), inspect(&stage.engine, &name).await?));
    }
    let (names, volumes) = (stage.names().await?, stage.volumes().await?);
    let mut updater = Updater::new(&stage.engine)?;
    let asked: Vec<&str> = before.iter().map(|(name, _)| name.as_str()).collect();
    let broken = broken(&stage).await?;
    let outcomes = updater.update(&asked, Some(&broken)).await?;
    assert_eq!((stage.names().await?, stage.volumes().await?), (names, volumes));
    for ((name, before), outcome) in before.into_iter().zip(outcomes) {
        let reason = outcome.reason.unwrap_or_default();
        assert_eq!(outcome.state, Progress::Failed, "{name}");
        assert!(reason.starts_with("rolled-back: unhealthy: "), "{name}: {reason}");
        let after = inspect(&stage.engine, &name).await?;
        let fleeting = before["HostConfig"]["AutoRemove"] == true;
        assert_eq!(after["Id"] == before["Id"], !fleeting, "{name}");
        assert_eq!(after["Image"], before["Image"], "{name}");
        let mut found = BTreeSet::new();
        differences("", &shape(before), &shape(after), &mut found);
        // Made again, it is made from the image by its id: the name means another by now.
        found.retain(|one| !(fleeting && one.starts_with("/Config/Image: ")));
        assert_eq!(found, BTreeSet::new(), "{name}");
    }
    Ok(())
}

/// An image at the registry that ends at once, with 1.
async fn broken(stage: &Stage) -> Result<String> {
    stage.registry.push(&stage.engine, "app:broken", "app:broken").await
}

// DM11
#[tokio::test]
async fn who_lives_in_its_network_follows() -> Result<()> {
    let stage = Stage::set(203).await?;
    let web = stage.create("web", json!({ "HostConfig": { "NetworkMode": "front" } }), &[]).await?;
    stage.act("web", "start").await?;
    let side = json!({ "Env": ["OWN=1"], "HostConfig": { "NetworkMode": format!("container:{web}") } });
    for (name, acts) in [("running", &["start"][..]), ("paused", &["start", "pause"]), ("stopped", &["start", "stop"])]
    {
        stage.create(name, side.clone(), &[]).await?;
        for act in acts {
            stage.act(name, act).await?;
        }
    }
    let mut before = Vec::new();
    for name in ["running", "paused", "stopped"] {
        before.push((name, inspect(&stage.engine, name).await?));
    }
    let names = stage.names().await?;
    let mut updater = Updater::new(&stage.engine)?;
    let outcome = updater.update(&["web"], None).await?.remove(0);
    assert_eq!((outcome.state, &outcome.reason), (Progress::Succeeded, &None));
    assert_eq!(stage.names().await?, names);
    let web = inspect(&stage.engine, "web").await?;
    for (name, before) in before {
        let after = inspect(&stage.engine, name).await?;
        assert_eq!(after["HostConfig"]["NetworkMode"], format!("container:{}", web["Id"].as_str().unwrap_or_default()));
        assert_eq!(after["Image"], before["Image"], "{name} keeps its image");
        let mut found = BTreeSet::new();
        differences("", &shape(before), &shape(after), &mut found);
        found.retain(|one| !one.starts_with("/HostConfig/NetworkMode: "));
        // The name means another image by now, and its host name is that of the container whose network it is.
        found.retain(|one| !one.starts_with("/Config/Image: ") && !one.starts_with("/Config/Hostname: "));
        assert_eq!(found, BTreeSet::new(), "{name}");
    }
    let told = serde_json::to_value(&outcome.result)?;
    let listed: BTreeSet<&str> =
        told["dependents"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(listed, BTreeSet::from(["paused", "running", "stopped"]), "{told}");
    // One that does not work takes nobody with it.
    let broken = broken(&stage).await?;
    let outcome = updater.update(&["web"], Some(&broken)).await?.remove(0);
    assert_eq!(outcome.state, Progress::Failed);
    assert_eq!(stage.names().await?, names);
    let now = inspect(&stage.engine, "web").await?;
    assert_eq!((&now["Id"], &now["State"]["Running"]), (&web["Id"], &json!(true)));
    for (name, running, paused) in [("running", true, false), ("paused", true, true), ("stopped", false, false)] {
        let state = inspect(&stage.engine, name).await?["State"].clone();
        assert_eq!((&state["Running"], &state["Paused"]), (&json!(running), &json!(paused)), "{name}");
    }
    Ok(())
}

// DM10
#[tokio::test]
async fn an_agent_that_is_killed_at_any_step_goes_back_or_finishes() -> Result<()> {
    kill_everywhere(204, false).await
}

// DM10
#[tokio::test]
async fn also_where_the_engine_removes_what_stops() -> Result<()> {
    kill_everywhere(205, true).await
}

/// Updates a container, which is `fleeting` when the engine removes it as soon as it stops, and ends the agent at every
/// act and note.
async fn kill_everywhere(subnet: u8, fleeting: bool) -> Result<()> {
    let stage = Stage::set(subnet).await?;
    let mut updater = Updater::new(&stage.engine)?;
    let check = json!({ "Test": ["CMD", "true"], "Interval": 200_000_000, "Timeout": 5_000_000_000_u64 });
    let host = json!({ "NetworkMode": "front", "Binds": ["kept:/kept"] });
    let old = stage.engine.client()?.inspect_image("app:1").await?.id.context("an id")?;
    let mut seen = BTreeSet::new();
    for at in 1.. {
        let end = End::At(at);
        stage.back_to_old().await?;
        let mut host = host.clone();
        host["AutoRemove"] = fleeting.into();
        let web = stage.create("web", json!({ "Healthcheck": check, "HostConfig": host }), &[]).await?;
        stage.act("web", "start").await?;
        let side = json!({ "HostConfig": { "NetworkMode": format!("container:{web}") } });
        stage.create("side", side, &[]).await?;
        stage.act("side", "start").await?;
        let volumes = stage.volumes().await?;

        let finished = updater.live(vec![order("web", None)], end).await?;
        updater.live(Vec::new(), End::Never).await?.context("it did not end")?;

        let names = stage.names().await?;
        assert_eq!(names, BTreeSet::from(["side".to_owned(), "web".to_owned()]), "{end:?}");
        let now = inspect(&stage.engine, "web").await?;
        let last = updater.outcomes.last().context("an outcome")?;
        let went = last.state == Progress::Succeeded;
        assert_eq!(now["Image"] != old.as_str(), went, "{end:?}: {last:?}");
        // What the engine has removed is made again.
        ensure!(fleeting || (now["Id"] == web.as_str()) != went, "{end:?}: {last:?}");
        let side = inspect(&stage.engine, "side").await?;
        let mode = format!("container:{}", now["Id"].as_str().unwrap_or_default());
        assert_eq!(side["HostConfig"]["NetworkMode"], mode.as_str(), "{end:?}");
        for one in [&now, &side] {
            assert_eq!(one["State"]["Running"], true, "{end:?}: {last:?}");
        }
        let left: Vec<_> = stage.volumes().await?.difference(&volumes).cloned().collect();
        assert_eq!(left, Vec::<String>::new(), "{end:?}");
        seen.insert(last.state.as_str().to_owned());
        stage.engine.remove("side").await?;
        stage.engine.remove("web").await?;
        for volume in stage.volumes().await? {
            call(&stage.engine, "DELETE", &format!("/volumes/{volume}"), &Value::Null).await?;
        }
        if finished.is_some() {
            break;
        }
        ensure!(at < 60, "an update has no end");
    }
    assert_eq!(seen, ["failed", "succeeded"].map(str::to_owned).into());
    Ok(())
}
