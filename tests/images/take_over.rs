//! The agent of the real image replaces itself: the helper has the same few rights, and they suffice.

use anyhow::{Context, Result};
use bollard::models::HealthStatusEnum;
use radar_link::jws::{SigningKey, sign};
use radar_link::time::Clock;
use radar_tests::broker::{Broker, Options};
use radar_wire::codec;
use radar_wire::command::{Claims, Command, Outcome, Progress};
use radar_wire::status::Presence;

use crate::running::{DEADLINE, group, health, named, status, tight, with_socket};
use crate::workshop::{AGENT, docker, image};

// BD1 DM13
#[tokio::test]
async fn the_agent_of_the_image_gives_its_place_to_one_of_a_newer_image() -> Result<()> {
    let Some((engine, old_image)) = image(AGENT).await? else { return Ok(()) };
    let newer = format!("{}:2", engine.unique("radar-agent"));
    let lines = tempfile::tempdir()?;
    std::fs::write(lines.path().join("Dockerfile"), format!("FROM {old_image}\nLABEL release=2\n"))?;
    docker(&engine.host(), &["build", "--quiet", "--tag", &newer, &lines.path().display().to_string()]).await?;

    let broker = Broker::open(&Options::default()).await?;
    let key = SigningKey::generate()?;
    let name = engine.unique("agent");
    let environment = [
        named(&broker),
        format!("AGENT_ID={name}"),
        format!("AGENT_COMMAND_KEY={}", key.public()),
        "AGENT_ALLOW=self-update".to_owned(),
        "MQTT_KEEP_ALIVE=5s".to_owned(),
    ];
    let old = engine.run(&name, tight(&old_image, &environment, |host| with_socket(&engine, host))).await?;
    let session = status(&broker, &name, Presence::Online).await?.session;

    let (topic, outcome_topic) = (format!("radar/v1/{name}/command"), format!("radar/v1/{name}/outcome"));
    let tap = broker.tap(&[&outcome_topic]).await?;
    let iat = Clock::start().now().wall / 1000;
    let cmd = Command::SelfUpdate { image: Some(newer.as_str().into()), program: None, patience: Some(60) };
    let claims = Claims {
        iss: "test".to_owned(),
        aud: name.parse()?,
        sub: "me".to_owned(),
        iat,
        exp: iat + 60,
        jti: "01-1".to_owned(),
        cmd,
    };
    broker.publish_raw(&topic, sign(&key, &claims)?, false).await?;
    let read = |payload: &[u8]| codec::decode::<Outcome>(None, payload).ok();
    let ended = tap.wait_for("the end of the update", DEADLINE, |seen| {
        read(&seen.payload).is_some_and(|it| !matches!(it.state, Progress::Accepted | Progress::Progress))
    });
    let outcome = read(&ended.await?.payload).context("it was just read")?;
    assert_eq!(outcome.state, Progress::Succeeded, "{outcome:?}");

    let found = health(&engine, &name, HealthStatusEnum::HEALTHY).await?;
    assert_ne!(found.id.as_deref(), Some(&*old.id));
    let config = found.config.context("a configuration")?;
    assert_eq!(config.labels.unwrap_or_default().get("release").map(String::as_str), Some("2"));
    assert_eq!(config.user.as_deref(), Some("65532:65532"));
    let host = found.host_config.context("what the host gives")?;
    assert_eq!((host.readonly_rootfs, host.group_add), (Some(true), Some(vec![group(&engine)?])));
    assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
    assert!(status(&broker, &name, Presence::Online).await?.session > session);
    engine.remove(&name).await
}
