//! The contract as `broker/wire` documents it, read by an implementation that is not ours: Debian's Python with
//! `cbor2` and `zlib`.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use bollard::models::{HostConfig, Mount, MountType};
use radar_tests::broker::{Broker, Options, Seen};
use radar_tests::engine::{Engine, Spec};
use radar_wire::codec::{Payload, decode};
use radar_wire::event::{Action, Event};
use radar_wire::snapshot::Snapshot;
use radar_wire::status::{Presence, Status};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::world::{self, DEADLINE};

/// Bytes on standard input, JSON on standard output; byte strings become hexadecimal text.
const READER: &str = "
import json, sys, zlib
try:
    import cbor2
except ImportError:
    sys.exit('the module cbor2 is missing: run tests/run, which installs python3-cbor2')
payload = sys.stdin.buffer.read()
if sys.argv[1] == 'application/cbor+zlib':
    payload = zlib.decompress(payload)
print(json.dumps(cbor2.loads(payload), default=bytes.hex))
";

async fn python(message: &Seen) -> Result<Value> {
    let content_type = message.content_type.as_deref().context("a content type")?;
    let mut reader = tokio::process::Command::new("/usr/bin/python3")
        .args(["-c", READER, content_type])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("/usr/bin/python3 is missing: run tests/run, which installs it with python3-cbor2")?;
    let mut input = reader.stdin.take().context("its standard input")?;
    // One that fails at once reads nothing; what it says then is told below.
    let written = input.write_all(&message.payload).await;
    drop(input);
    let output = reader.wait_with_output().await.context("python3")?;
    ensure!(output.status.success(), "python3: {}", String::from_utf8_lossy(&output.stderr).trim());
    written.context("handing over the payload")?;
    serde_json::from_slice(&output.stdout).context("what python3 printed")
}

/// Both readings of a message, which must agree in every field.
async fn read<P: Payload + Serialize>(message: &Seen) -> Result<(Value, P)> {
    let theirs = python(message).await?;
    let ours: P = decode(message.content_type.as_deref(), &message.payload).context("our own reading")?;
    assert_eq!(theirs, serde_json::to_value(&ours).context("our reading as JSON")?, "{}", message.topic);
    Ok((theirs, ours))
}

// DM6
#[tokio::test]
async fn another_implementation_reads_what_a_real_agent_publishes() -> Result<()> {
    let engine = Engine::start().await?;
    let broker = Broker::open(&Options::default()).await?;
    let source = tempfile::tempdir_in("/tmp").context("a directory to mount")?;
    let source = source.path().display().to_string();
    for number in 0..8 {
        let mount = Mount {
            typ: Some(MountType::BIND),
            source: Some(source.clone()),
            target: Some("/data".to_owned()),
            read_only: Some(number % 2 == 0),
            ..Mount::default()
        };
        let spec = Spec::default()
            .label("radar.group", &format!("kitchen-{number}"))
            .label("com.docker.compose.project", "home")
            .label("com.docker.compose.service", &format!("web-{number}"))
            .adjust(|body| body.host_config.get_or_insert_with(HostConfig::default).mounts = Some(vec![mount]));
        engine.run(&format!("web-{number}"), spec).await?;
    }
    let idle = engine.create("idle", Spec::default()).await?;
    let tap = broker.tap(&["radar/v1/pi-docs/#"]).await?;
    let mut agent = world::agent("pi-docs", &engine.host(), &broker.url())?;

    let reading = async {
        let whole = |seen: &Seen| {
            let snapshot =
                seen.topic.ends_with("/snapshot").then(|| decode(seen.content_type.as_deref(), &seen.payload));
            matches!(snapshot, Some(Ok(Snapshot { complete: true, containers, .. })) if containers.len() == 9)
        };
        tap.wait_for("a snapshot of all containers", DEADLINE, whole).await?;
        let retained = broker.retained("radar/v1/pi-docs/snapshot").await?.context("a retained snapshot")?;
        assert_eq!(retained.content_type.as_deref(), Some("application/cbor+zlib"));
        let (theirs, ours) = read::<Snapshot>(&retained).await?;
        compare(&theirs, &ours, &source)?;

        let retained = broker.retained("radar/v1/pi-docs/status").await?.context("a retained status")?;
        assert_eq!(retained.content_type.as_deref(), Some("application/cbor"));
        let (theirs, ours) = read::<Status>(&retained).await?;
        assert_eq!((ours.state, &theirs["state"]), (Presence::Online, &json!("online")));
        assert_eq!(theirs["session"], ours.session);
        assert_eq!(theirs["agent"]["host"], *ours.agent.host);
        assert_eq!(theirs["engine"]["answers"], true);

        engine.start_container("idle").await?;
        let start = |seen: &Seen| {
            let event = seen.topic.ends_with("/event").then(|| decode::<Event>(None, &seen.payload));
            matches!(event, Some(Ok(event)) if event.action == Action::Start)
        };
        let start = tap.wait_for("the start of a container", DEADLINE, start).await?;
        let (theirs, ours) = read::<Event>(&start).await?;
        assert_eq!((&theirs["action"], &theirs["name"]), (&json!("start"), &json!("idle")));
        assert_eq!(theirs["id"], *idle.id);
        assert_eq!(theirs["set"]["state"], "running");
        assert_eq!((&theirs["epoch"], &theirs["seq"]), (&json!(ours.epoch), &json!(ours.sequence)));
        assert_eq!(theirs["time"], ours.time.context("the engine's time")?);
        Ok(())
    };
    tokio::select! {
        read = reading => read,
        ended = agent.ended() => ended.and(Err(anyhow::anyhow!("the agent ended"))),
    }
}

/// The names of the fields as the documentation gives them, spelled out.
fn compare(theirs: &Value, ours: &Snapshot, source: &str) -> Result<()> {
    assert_eq!(theirs["epoch"], ours.epoch);
    assert_eq!(theirs["seq"], ours.sequence);
    assert_eq!(theirs["at"], ours.at);
    assert_eq!(theirs["complete"], true);
    let engine = ours.engine.as_ref().context("the engine's facts")?;
    assert_eq!(
        (&theirs["engine"]["kind"], &theirs["engine"]["version"]),
        (&json!(engine.kind), &json!(engine.version))
    );
    let host = ours.host.as_ref().context("the host's facts")?;
    assert_eq!(theirs["host"]["cpus"], json!(host.cpus));
    let containers = theirs["containers"].as_array().context("a list of containers")?;
    assert_eq!(containers.len(), ours.containers.len());
    for (theirs, ours) in containers.iter().zip(&ours.containers) {
        assert_eq!(theirs["id"], ours.id.to_string());
        for (field, value) in [("name", &ours.name), ("image", &ours.image), ("tag", &ours.tag)] {
            assert_eq!(theirs[field], **value, "{field}");
        }
        assert_eq!(theirs["state"], ours.state.as_str());
        assert_eq!(theirs["created"], json!(ours.created));
        let Some(number) = ours.name.strip_prefix("web-") else {
            assert_eq!((&theirs["name"], &theirs["state"]), (&json!("idle"), &json!("created")));
            continue;
        };
        assert_eq!(theirs["labels"], json!({ "radar.group": format!("kitchen-{number}") }));
        assert_eq!((&theirs["project"], &theirs["service"]), (&json!("home"), &json!(format!("web-{number}"))));
        let mode = if number.parse::<u32>()? % 2 == 0 { "ro" } else { "rw" };
        assert_eq!(theirs["mounts"], json!([{ "target": "/data", "source": source, "mode": mode }]));
        assert_eq!(theirs["started"], json!(ours.started));
    }
    Ok(())
}
