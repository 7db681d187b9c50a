//! Agents that are to appear at a Registry Radar server: each added with one command, by the bridge's login there or by
//! the token that the server's page shows.

use std::fs;

use anyhow::{Context, Result, ensure};
use radar_tests::engine::Engine;
use radar_tests::server::{AgentView, Server};
use radar_tests::wait::until;

use super::agent_with;
use super::shipped::Shipped;
use crate::world::DEADLINE;

/// Waits until the server shows an agent of this name so.
pub(super) async fn shown(server: &Server, name: &str, status: &str) -> Result<AgentView> {
    until(&format!("{name} {status} at the server"), DEADLINE, async || {
        let agents = server.agents();
        let found = agents.iter().find(|agent| agent.name == name && agent.status == status).cloned();
        found.with_context(|| format!("{agents:?}"))
    })
    .await
}

// E8, RR1
#[tokio::test]
async fn what_was_added_for_the_server_appears_there_and_its_removal_says_what_stays() -> Result<()> {
    let (engine, server) = (Engine::shared().await?, Server::start().await?);
    let mut shipped = Shipped::start().await?;
    shipped.bridge.set("SERVER_URL", &server.url());
    let error = shipped.fails(&["add-agent", "kitchen", "--server"]).await?;
    ensure!(error.contains("SERVER_USERNAME") && error.contains("--enroll-token-file"), "{error}");
    shipped.bridge.set("SERVER_USERNAME", "admin");
    shipped.bridge.set("SERVER_PASSWORD", "secret");
    shipped.bridge.start().await?;

    // By the login: nothing was done at the server before.
    let by_login = agent_with(&shipped.add(&["kitchen", "--server"]).await?, &engine)?;
    by_login.start().await?;
    shown(&server, "kitchen", "online").await?;

    // By the two lines of the server's page.
    let (id, token) = server.create_agent("attic");
    let room = tempfile::tempdir()?;
    let file = room.path().join("token");
    fs::write(&file, format!("{token}\n"))?;
    let handed = shipped.add(&["attic", "--id", &id, "--enroll-token-file", &file.display().to_string()]).await?;
    assert_eq!((&handed["AGENT_ID"], &handed["AGENT_ENROLL_TOKEN"]), (&id, &token));
    let by_token = agent_with(&handed, &engine)?;
    by_token.start().await?;
    assert_eq!(shown(&server, "attic", "online").await?.id, id);
    assert_eq!(server.agents().len(), 2, "{:?}", server.agents());

    let said = shipped.call(&["remove-agent", &id]).await?;
    ensure!(said.contains(&format!("keeps it as agent {id}; delete it there")), "{said}");
    // Nobody would tell the server later.
    assert_eq!(server.view(&id).map(|view| view.status).as_deref(), Some("offline"));
    assert_eq!(server.wedged(), None);
    shown(&server, "kitchen", "online").await?;
    // A server that cannot be told keeps what it has, and that is said.
    server.stop().await?;
    let said = shipped.call(&["remove-agent", "kitchen"]).await?;
    ensure!(said.contains(", shown as it was last; delete it there"), "{said}");
    let logs = [&shipped.bridge, &by_login, &by_token].map(crate::world::Program::log).concat();
    ensure!(!logs.contains(&token), "a token in a log");
    Ok(())
}
