//! What a record says of a real container.

use anyhow::Result;
use bollard::models::{HostConfig, Mount, MountType, RestartPolicyNameEnum};
use bollard::query_parameters::TagImageOptionsBuilder;
use radar_agent::agent::inventory::Restored;
use radar_tests::engine::{Engine, IMAGE, Spec};
use radar_wire::container::State;
use radar_wire::event::Action;

use crate::watch::Watch;

// DM6
#[tokio::test]
async fn a_record_has_what_the_engine_has() -> Result<()> {
    let engine = Engine::shared().await?;
    let name = engine.unique("record");
    let mount = Mount {
        typ: Some(MountType::BIND),
        source: Some("/tmp".to_owned()),
        target: Some("/data".to_owned()),
        read_only: Some(true),
        ..Mount::default()
    };
    let spec = Spec::default()
        .label("com.docker.compose.project", "shop")
        .label("com.docker.compose.service", "web")
        .label("team", "blue")
        .label("private", "hunter2")
        .adjust(|body| {
            body.env = Some(vec!["PASSWORD=hunter2".to_owned()]);
            body.exposed_ports = Some(vec!["80/tcp".to_owned()]);
            let host = body.host_config.get_or_insert_with(HostConfig::default);
            host.mounts = Some(vec![mount]);
        })
        .restart(RestartPolicyNameEnum::UNLESS_STOPPED);
    let container = engine.run(&name, spec).await?;

    let mut watch = Watch::start(&engine.host(), Restored::default())?;
    watch.complete().await?;

    let record = watch.record(&name).expect("the container").clone();
    assert_eq!(record.id.to_string(), container.id);
    assert_eq!(format!("{}:{}", record.image, record.tag), IMAGE);
    assert_eq!((&record.state, record.exit_code), (&State::Running, None));
    assert!(record.created <= record.started && record.created.is_some());
    assert_eq!(record.finished, None);
    assert_eq!(record.restart_policy.as_deref(), Some("unless-stopped"));
    assert_eq!((record.project.as_deref(), record.service.as_deref()), (Some("shop"), Some("web")));
    assert_eq!(record.ports.iter().map(|port| (port.private, port.public)).collect::<Vec<_>>(), [(80, None)]);
    assert_eq!(record.networks.iter().map(|network| &*network.name).collect::<Vec<_>>(), ["none"]);
    assert_eq!((&*record.mounts[0].target, &*record.mounts[0].mode), ("/data", "ro"));
    assert_eq!(record.labels.len(), 1, "{:?}", record.labels);
    assert!(!serde_json::to_string(&record)?.contains("hunter2"));
    let facts = watch.inventory.engine().expect("an engine");
    assert_eq!((&*facts.kind, facts.answers), ("docker", true));
    assert!(watch.inventory.host().expect("a host").cpus.is_some());
    engine.remove(&name).await
}

// RR11, DM6
#[tokio::test]
async fn an_image_keeps_its_name_when_its_tag_moves_or_only_its_id_is_given() -> Result<()> {
    let engine = Engine::shared().await?;
    let docker = engine.client()?;
    let begin = engine.unique("image");
    // Other tests give the one of all tests further names.
    let own = format!("{begin}:1");
    engine.make_image(&own, &[&format!("ENV OWN={begin}")]).await?;
    let id = docker.inspect_image(&own).await?.id.expect("an image has an id");
    let mut watch = Watch::start(&engine.host(), Restored::default())?;
    watch.complete().await?;

    for (suffix, image) in [("full", id.as_str()), ("short", &id["sha256:".len()..][..9])] {
        let name = format!("{begin}-{suffix}");
        engine.create(&name, Spec::default().adjust(|body| body.image = Some(image.to_owned()))).await?;
        watch.until_told(&name, &Action::Create).await?;
        let record = watch.record(&name).expect("the container");
        assert_eq!((format!("{}:{}", record.image, record.tag).as_str(), record.digest.as_deref()), (&*own, None));
        assert_eq!(record.image_id.as_deref(), Some(id.as_str()));
        engine.remove(&name).await?;
    }

    let options = TagImageOptionsBuilder::new().repo("mine/app").tag("7").build();
    docker.tag_image(&own, Some(options)).await?;
    let name = format!("{begin}-tag");
    engine.create(&name, Spec::default().adjust(|body| body.image = Some("mine/app:7".to_owned()))).await?;
    docker.remove_image("mine/app:7", None::<bollard::query_parameters::RemoveImageOptions>, None).await.ok();
    watch.until_told(&name, &Action::Create).await?;
    let record = watch.record(&name).expect("the container");
    assert_eq!((&*record.image, &*record.tag), ("mine/app", "7"));
    engine.remove(&name).await
}
