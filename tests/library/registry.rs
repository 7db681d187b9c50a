use anyhow::Result;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{CreateImageOptionsBuilder, RemoveImageOptions};
use futures_util::TryStreamExt;
use radar_tests::engine::Engine;
use radar_tests::registry::{PASSWORD, Registry, USER};

async fn pull(engine: &Engine, image: &str, password: Option<&str>) -> Result<()> {
    let client = engine.client()?;
    let removed = client.remove_image(image, None::<RemoveImageOptions>, None).await;
    assert!(removed.is_ok(), "{removed:?}");
    let credentials = password.map(|password| DockerCredentials {
        username: Some(USER.to_owned()),
        password: Some(password.to_owned()),
        ..DockerCredentials::default()
    });
    let options = CreateImageOptionsBuilder::new().from_image(image).build();
    Ok(client.create_image(Some(options), None, credentials).try_collect::<Vec<_>>().await.map(drop)?)
}

#[tokio::test]
async fn an_image_is_pushed_and_pulled_with_its_changes() -> Result<()> {
    let (engine, registry) = (Engine::shared().await?, Registry::open().await?);
    engine.make_image("registry-test:1", &["ENV COLOUR=green", r#"CMD ["sleep", "9"]"#]).await?;
    let name = registry.push(&engine, "registry-test:1", "colours:1").await?;
    pull(&engine, &name, None).await?;
    let config = engine.client()?.inspect_image(&name).await?.config;
    let env = config.and_then(|config| config.env).unwrap_or_default();
    assert!(env.contains(&"COLOUR=green".to_owned()), "{env:?}");
    Ok(())
}

#[tokio::test]
async fn a_registry_with_a_password_refuses_others() -> Result<()> {
    let (engine, registry) = (Engine::shared().await?, Registry::with_password().await?);
    let name = registry.push(&engine, &engine.own_image("secret").await?, "secret:1").await?;
    pull(&engine, &name, Some(PASSWORD)).await?;
    assert!(pull(&engine, &name, Some("wrong")).await.is_err());
    Ok(())
}
