//! The same on Podman, as root and as a user.

use anyhow::{Context, Result};
use radar_tests::engine::{Engine, Kind};

use super::{Stage, acts, logs, pulls, stores, updates, usage};

// E10, DM4, DM5, DM6, DM8, DM9, DM10, DM12, DM16, DM20
#[tokio::test]
async fn podman_is_managed_as_docker_is() -> Result<()> {
    let stage = Stage::on(Engine::start_as(Kind::Podman).await?).await?;
    let line = stage.bridge.agent_line("pi").await?;
    assert_eq!(line["engine"]["kind"], "podman", "{line}");
    let stores = async {
        stores::made_and_removed(&stage).await.context("networks and volumes")?;
        stores::cleared_away(&stage).await.context("prune")?;
        stores::image_removed(&stage).await.context("images")
    };
    let logs = async {
        logs::shown_to_its_end(&stage).await.context("a log")?;
        logs::of_a_terminal(&stage).await.context("a terminal")?;
        logs::followed(&stage).await.context("following")?;
        logs::downloaded(&stage).await.context("a download")
    };
    let acts = async {
        acts::done_as_asked(&stage).await.context("acts")?;
        acts::not_done(&stage).await.context("what is not done")?;
        acts::looked_at(&stage).await.context("looks")
    };
    let updates = async {
        pulls::pulled(&stage).await.context("pulls")?;
        updates::replaced(&stage).await.context("an update")?;
        updates::given_back(&stage).await.context("an update that fails")
    };
    let (stores, logs, acts, updates) = tokio::join!(stores, logs, acts, updates);
    let told = [stores, logs, acts, updates].into_iter().filter_map(Result::err).map(|error| format!("{error:?}"));
    let told: Vec<_> = told.collect();
    anyhow::ensure!(told.is_empty(), "{}", told.join("\n\n"));
    acts::listed(&stage).await.context("the list")?;
    usage::shown(&stage).await.context("usage")
}

// E10, DM4, DM5
#[tokio::test]
async fn podman_of_a_user_is_managed_as_docker_is() -> Result<()> {
    let stage = Stage::on(Engine::start_as(Kind::RootlessPodman).await?).await?;
    let logs = async {
        logs::shown_to_its_end(&stage).await.context("a log")?;
        logs::of_a_terminal(&stage).await.context("a terminal")?;
        logs::followed(&stage).await.context("following")
    };
    let acts = async {
        acts::done_as_asked(&stage).await.context("acts")?;
        acts::not_done(&stage).await.context("what is not done")
    };
    let (logs, acts) = tokio::join!(logs, acts);
    logs.and(acts)
}
