//! Updates on a real engine with a real registry: what a container is before and after, field by field, and that an agent
//! that ends anywhere leaves nothing half done.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use bollard::query_parameters::TagImageOptionsBuilder;
use radar_tests::engine::Engine;
use radar_tests::registry::Registry;
use radar_wire::command::Progress;
use serde_json::{Map, Value, json};

use crate::updater::{End, Updater, call, inspect, order};

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

/// Fields that two containers of the same configuration differ in.
const OWN: [&str; 22] = [
    "/Id",
    "/Created",
    "/ResolvConfPath",
    "/HostnamePath",
    "/HostsPath",
    "/LogPath",
    "/GraphDriver",
    "/NetworkSettings/SandboxID",
    "/NetworkSettings/SandboxKey",
    "/State/Pid",
    "/State/StartedAt",
    "/State/FinishedAt",
    "/State/ExitCode",
    "/State/Status",
    "/State/Health",
    "/Image",
    // Checked by hand, since the image's defaults have a part in them.
    "/Args",
    "/Path",
    "/Config/Cmd",
    "/Config/Env",
    "/Config/Labels",
    "/Config/ExposedPorts",
];

struct Stage {
    engine: Engine,
    _registry: Registry,
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
        let stage = Self { engine, _registry: registry, image, networks: ["front", "back"].map(str::to_owned) };
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

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn maybe(&mut self) -> bool {
        self.roll(2) == 0
    }
}

/// A container of some configuration: what it is created with, the networks that it is put on then, and what is done to it.
struct Case {
    body: Value,
    more: Vec<(&'static str, Value)>,
    acts: &'static [&'static str],
}

fn case(seed: u64, subnet: u8) -> Case {
    let mut dice = Dice(seed);
    let last = 10 + seed;
    let endpoint = |at: u8, dice: &mut Dice| {
        let mut endpoint = json!({ "Aliases": [format!("alias-{seed}-{at}"), "service"] });
        if dice.maybe() {
            endpoint["IPAMConfig"] = json!({ "IPv4Address": format!("10.{subnet}.{at}.{last}") });
        }
        endpoint
    };
    let mut host = Map::new();
    let mut config = Map::new();
    let mut more = Vec::new();
    match dice.roll(3) {
        0 => _ = host.insert("NetworkMode".into(), "none".into()),
        networks => {
            host.insert("NetworkMode".into(), "front".into());
            let first = endpoint(0, &mut dice);
            config.insert("NetworkingConfig".into(), json!({ "EndpointsConfig": { "front": first } }));
            if networks == 2 {
                more.push(("back", endpoint(1, &mut dice)));
            }
            if dice.maybe() {
                config.insert("MacAddress".into(), format!("92:d0:c6:0a:29:{last:02x}").into());
            }
        }
    }
    let options: [(&str, Value); 18] = [
        ("Binds", json!([format!("named-{seed}:/named:ro"), "/tmp:/host"])),
        ("Mounts", json!([{ "Type": "volume", "Target": "/mounted" }, { "Type": "tmpfs", "Target": "/quick" }])),
        ("CpuShares", json!(512)),
        ("CapAdd", json!(["NET_ADMIN"])),
        ("CapDrop", json!(["CHOWN"])),
        ("ReadonlyRootfs", json!(true)),
        ("Tmpfs", json!({ "/scratch": "size=1m" })),
        ("Ulimits", json!([{ "Name": "nofile", "Soft": 100, "Hard": 200 }])),
        ("LogConfig", json!({ "Type": "json-file", "Config": { "max-size": "1m", "tag": "x" } })),
        ("RestartPolicy", json!({ "Name": "on-failure", "MaximumRetryCount": 3 })),
        ("ShmSize", json!(1_048_576)),
        ("OomScoreAdj", json!(100)),
        ("ExtraHosts", json!(["other:10.0.0.1"])),
        ("Dns", json!(["10.0.0.53"])),
        ("SecurityOpt", json!(["no-new-privileges"])),
        ("GroupAdd", json!(["7"])),
        ("IpcMode", json!("shareable")),
        ("PortBindings", json!({ "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "" }] })),
    ];
    for (name, value) in options {
        if dice.maybe() {
            host.insert(name.into(), value);
        }
    }
    let settings: [(&str, Value); 10] = [
        ("Env", json!(["OWN=1", "A=mine"])),
        ("Labels", json!({ "com.docker.compose.project": "home", "version": "1", "own": "1" })),
        ("Cmd", json!(["sleep", "1000009"])),
        ("Hostname", json!(format!("host-{seed}"))),
        ("Volumes", json!({ "/anonymous": {} })),
        ("User", json!("0:0")),
        ("StopTimeout", json!(3)),
        ("Tty", json!(true)),
        ("ExposedPorts", json!({ "90/udp": {} })),
        ("Healthcheck", json!({ "Test": ["CMD", "true"], "Interval": 1_000_000_000_u64, "Retries": 2 })),
    ];
    for (name, value) in settings {
        if dice.maybe() {
            config.insert(name.into(), value);
        }
    }
    let acts: &[&str] = match dice.roll(5) {
        0 => &[],
        1 => &["start", "stop"],
        2 => &["start", "pause"],
        _ => &["start"],
    };
    if acts == ["start"] && !host.contains_key("RestartPolicy") && dice.maybe() {
        host.insert("AutoRemove".into(), true.into());
    }
    config.insert("HostConfig".into(), host.into());
    Case { body: config.into(), more, acts }
}

/// The paths of all leaves in which the two differ.
fn differences(path: &str, one: &Value, other: &Value, found: &mut BTreeSet<String>) {
    let none = Value::Null;
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()) {
                let (a, b) = (a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none));
                differences(&format!("{path}/{key}"), a, b, found);
            }
        }
        (a, b) if a != b => _ = found.insert(format!("{path}: {a} → {b}")),
        _ => {}
    }
}

/// What an inspect says, without what is a container's own.
fn shape(mut told: Value) -> Value {
    let id = told["Id"].as_str().unwrap_or_default().to_owned();
    for path in OWN {
        if let Some(value) = told.pointer_mut(path) {
            *value = Value::Null;
        }
    }
    if told["Config"]["Hostname"].as_str().is_some_and(|name| id.starts_with(name)) {
        told["Config"]["Hostname"] = "its id".into();
    }
    // What had no name has one now.
    let volume = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(binds) = told["HostConfig"]["Binds"].as_array_mut() {
        binds.retain(|bind| !bind.as_str().and_then(|bind| bind.split(':').next()).is_some_and(volume));
    }
    if told["HostConfig"]["Binds"].as_array().is_some_and(Vec::is_empty) {
        told["HostConfig"]["Binds"] = Value::Null;
    }
    for mount in told["HostConfig"]["Mounts"].as_array_mut().into_iter().flatten() {
        if mount["Source"].as_str().is_some_and(volume) {
            mount.as_object_mut().map(|mount| mount.remove("Source"));
        }
    }
    if let Some(mounts) = told["Mounts"].as_array_mut() {
        // A name says nothing of how the volume may be shared, nor does it need to.
        mounts.iter_mut().for_each(|mount| mount["Mode"] = Value::Null);
        mounts.sort_by_key(|mount| mount["Destination"].to_string());
    }
    let fixed_mac = told["Config"]["MacAddress"].is_string();
    for endpoint in told["NetworkSettings"]["Networks"].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
        // It gets them when it is started.
        endpoint["EndpointID"] = Value::Null;
        endpoint["NetworkID"] = Value::Null;
        if let Some(aliases) = endpoint["Aliases"].as_array_mut() {
            aliases.retain(|alias| !alias.as_str().is_some_and(|alias| id.starts_with(alias)));
        }
        if endpoint["Aliases"].as_array().is_some_and(Vec::is_empty) {
            endpoint["Aliases"] = Value::Null;
        }
        if endpoint["IPAMConfig"]["IPv4Address"].is_null() {
            endpoint["IPAMConfig"] = Value::Null;
            endpoint["IPAddress"] = Value::Null;
            endpoint["MacAddress"] = Value::Null;
        }
        if !fixed_mac {
            endpoint["MacAddress"] = Value::Null;
        }
    }
    // The ports of the engine's choice.
    told["NetworkSettings"]["Ports"] = Value::Null;
    told
}

fn texts(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect(),
        Value::Object(all) => {
            all.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("{}"))).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// What the defaults of an image make of what was set: the new ones are there, the old ones are gone.
fn check_defaults(name: &str, set: &Value, after: &Value) {
    let (mut env, mut labels, mut ports) = (texts(&set["Env"]), texts(&set["Labels"]), texts(&set["ExposedPorts"]));
    if !env.contains("A=mine") {
        env.insert("A=2".to_owned());
    }
    env.insert("B=2".to_owned());
    // What was set to the old image's own value counts as its default.
    labels.remove("version=1");
    labels.insert("version=2".to_owned());
    ports.insert("81/tcp={}".to_owned());
    if set["HostConfig"].get("PortBindings").is_some() {
        ports.insert("80/tcp={}".to_owned());
    }
    let mut found = texts(&after["Config"]["Env"]);
    found.retain(|variable| !variable.starts_with("PATH="));
    assert_eq!(found, env, "{name}");
    assert_eq!(texts(&after["Config"]["Labels"]), labels, "{name}");
    let mut found = texts(&after["Config"]["ExposedPorts"]);
    // A published port is exposed, whoever has said so.
    found.retain(|port| port != "80/tcp={}");
    ports.remove("80/tcp={}");
    assert_eq!(found, ports, "{name}");
    let command = set.get("Cmd").cloned().unwrap_or(json!(["sleep", "1000002"]));
    assert_eq!(after["Config"]["Cmd"], command, "{name}");
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
    stage.engine.make_image("127.0.0.1:1/app:broken", &[r#"CMD ["false"]"#]).await?;
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
    stage._registry.push(&stage.engine, "app:broken", "app:broken").await
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
        assert_eq!(now["Id"] == web.as_str(), !went && (!fleeting || now["Id"] == web.as_str()), "{end:?}");
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
