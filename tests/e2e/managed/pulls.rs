//! Images from a registry, as nobody and as somebody.

use anyhow::{Context, Result};
use bollard::query_parameters::RemoveImageOptions;
use radar_tests::registry::{PASSWORD, Registry, USER};
use serde_json::json;

use super::{FAILED, NOT_FOUND, Stage};

// DM12, PS3
#[tokio::test]
async fn an_image_is_pulled_as_nobody_or_with_the_hosts_own_password() -> Result<()> {
    pulled(Stage::shared().await?).await
}

pub(super) async fn pulled(stage: &Stage) -> Result<()> {
    let (open, closed) = (Registry::open_for(&stage.engine).await?, Registry::with_password_for(&stage.engine).await?);
    let source = format!("{}:1", stage.engine.unique("pulled"));
    stage.engine.make_image(&source, &["ENV A=1"]).await?;
    let id = stage.engine.client()?.inspect_image(&source).await?.id.context("an id")?;
    let mut images = Vec::new();
    for registry in [&open, &closed] {
        images.push(registry.push(&stage.engine, &source, "app:1").await?);
    }
    for image in images.iter().chain([&source]) {
        stage.engine.client()?.remove_image(image, None::<RemoveImageOptions>, None).await?;
    }
    let (public, private) = (&*images[0], &*images[1]);

    let told = stage.radar.json(&["pull", "pi", public]).await?;
    assert_eq!(told["result"]["image"], json!(id), "{told}");
    let again = stage.radar.done(&["pull", "pi", public]).await?;
    assert!(again.contains("unchanged"), "{again}");
    let missing = stage.radar.say(&["pull", "pi", &public.replace("app:1", "app:2")]).await?;
    assert_eq!(missing.code, NOT_FOUND, "{missing:?}");

    let denied = stage.radar.say(&["pull", "pi", private]).await?;
    assert!(denied.code == FAILED && denied.err.contains("denied"), "{denied:?}");
    stage.log_in(&json!({ "auths": { closed.host(): { "username": USER, "password": PASSWORD } } }))?;
    let pulled = stage.radar.done(&["pull", "pi", private]).await?;
    assert!(pulled.contains("done"), "{pulled}");
    stage.log_in(&json!({}))?;
    let found = stage.engine.client()?.inspect_image(private).await?;
    assert_eq!(found.id.as_deref(), Some(&*id));
    assert!(!stage.pi.log().contains(PASSWORD) && !stage.bridge.log().contains(PASSWORD));
    Ok(())
}
