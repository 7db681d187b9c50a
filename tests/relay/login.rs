//! Accounts made by the login, and those that the operator gives.

use std::collections::BTreeMap;
use std::time::Duration;

use radar_bridge::relay::{Condition, Credential, Grant, Login, LoginCondition, RelaySettings};
use radar_link::secret::Secret;
use radar_tests::server::{Fault, Server};

use crate::bench::{Bench, containers, id};

const MINUTE: Duration = Duration::from_secs(60);

fn settings(password: &str) -> RelaySettings {
    let login = Login { username: "admin".to_owned(), password: Secret::new(password) };
    RelaySettings { login: Some(login), origin: "house".to_owned(), ..RelaySettings::default() }
}

// RR1 RR3 DM1
#[tokio::test]
async fn agents_are_made_once_and_kept() {
    let server = Server::start().await.unwrap();
    let (foreign, _) = server.create_agent("pi-1");
    let mut bench = Bench::with(&server, settings("secret"), BTreeMap::new());
    for name in ["pi-1", "pi-2"] {
        bench.online(name, Some(containers(2)));
    }
    bench.run(5 * MINUTE).await;
    let mut bench = bench.restarted(&server, settings("secret"));
    for name in ["pi-1", "pi-2"] {
        bench.online(name, Some(containers(3)));
    }
    bench.run(5 * MINUTE).await;
    let agents = server.agents();
    assert_eq!(agents.len(), 3, "{agents:?}");
    for agent in agents {
        let expect = if agent.id == foreign { ("offline", 0) } else { ("online", 3) };
        assert_eq!((agent.status.as_str(), agent.running.len()), expect, "{}", agent.name);
    }
    assert_eq!(server.calls("/api/auth/login").len(), 1);
    assert_eq!(server.high_water(), 1);
}

// DM1
#[tokio::test]
async fn crashes_between_making_and_storing_leave_no_duplicates() {
    let server = Server::start().await.unwrap();
    for crash in 0..5 {
        // Nothing of what the bridge learned was stored.
        let mut bench = Bench::with(&server, settings("secret"), BTreeMap::new());
        bench.online("pi", Some(containers(2)));
        if crash < 4 {
            // The answer to the making is lost with the process.
            server.fault("/api/agent-auth/enroll", Fault::Status(503));
            bench.run(Duration::from_secs(6)).await;
            assert_eq!(server.agents().len(), 1);
            server.mend();
        } else {
            bench.run(MINUTE).await;
        }
    }
    let agents = server.agents();
    assert_eq!(agents.len(), 1);
    assert_eq!(agents[0].status, "online");
    // With the whole store lost, the account in use is not touched and not doubled.
    let mut bench = Bench::with(&server, settings("secret"), BTreeMap::new());
    bench.online("pi", Some(containers(1)));
    bench.run(60 * MINUTE).await;
    assert_eq!(bench.condition("pi"), Condition::Taken(agents[0].id.clone()));
    assert_eq!(server.agents().len(), 1);
    assert_eq!(server.view(&agents[0].id).unwrap().running.len(), 2);
}

// DM1 RR12
#[tokio::test]
async fn a_wrong_password_and_a_first_login_are_named_and_rarely_tried() {
    let server = Server::start().await.unwrap();
    let mut bench = Bench::with(&server, settings("wrong"), BTreeMap::new());
    for number in 0..20 {
        bench.online(&format!("pi-{number}"), Some(containers(1)));
    }
    bench.run(30 * MINUTE).await;
    assert_eq!(bench.login_conditions, [LoginCondition::Refused("Invalid credentials".to_owned())]);
    let tries = server.calls("/api/auth/login").len();
    assert!((2..=7).contains(&tries), "{tries} logins in 30 minutes");
    server.set_user("admin", "wrong", true);
    bench.run(10 * MINUTE).await;
    assert_eq!(bench.login_conditions.last(), Some(&LoginCondition::FirstLogin));
    assert!(server.agents().is_empty());
    server.set_user("admin", "wrong", false);
    bench.run(10 * MINUTE).await;
    assert_eq!(server.agents().iter().filter(|agent| agent.status == "online").count(), 20);
}

// RR2
#[tokio::test]
async fn the_login_is_renewed_after_a_restart_of_the_server() {
    let server = Server::start().await.unwrap();
    let mut bench = Bench::with(&server, settings("secret"), BTreeMap::new());
    for name in ["pi-1", "pi-2"] {
        server.restart().await.unwrap();
        bench.online(name, Some(containers(1)));
        bench.run(2 * MINUTE).await;
    }
    assert_eq!(server.agents().iter().filter(|agent| agent.status == "online").count(), 2);
    assert_eq!(bench.login_conditions, [LoginCondition::Well]);
}

// DM1
#[tokio::test]
async fn a_host_moves_over_from_the_stock_agent_with_its_secret() {
    let server = Server::start().await.unwrap();
    let (bench, upstream) = Bench::one(&server, containers(1)).await;
    let secret = bench.stored[&id("pi")].secret.clone().unwrap();
    let grant = Grant { agent: id("new"), upstream: upstream.parse().unwrap(), credential: Credential::Secret(secret) };
    let settings = RelaySettings { grants: vec![grant], ..RelaySettings::default() };
    let mut bench = Bench::with(&server, settings, BTreeMap::new());
    bench.online("new", Some(containers(2)));
    bench.run(MINUTE).await;
    assert_eq!(server.view(&upstream).unwrap().running.len(), 2);
    assert_eq!(server.calls("/api/agent-auth/enroll").len(), 1);
}
