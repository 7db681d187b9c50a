//! A server in trouble: each kind is told apart, asked in moderation, and forgotten when it is over.

use std::time::Duration;

use radar_bridge::relay::{Condition, ServerCondition};
use radar_tests::server::{Fault, Server};

use crate::bench::{Bench, containers};

const MINUTE: Duration = Duration::from_secs(60);

fn kind(condition: &ServerCondition) -> &'static str {
    match condition {
        ServerCondition::Unheard => "unheard",
        ServerCondition::Well => "well",
        ServerCondition::Unreachable(_) => "unreachable",
        ServerCondition::Failing { .. } => "failing",
        ServerCondition::Wedged => "wedged",
        ServerCondition::Foreign { .. } => "foreign",
        ServerCondition::Denying { .. } => "denying",
    }
}

// RR12
#[tokio::test]
async fn every_fault_is_told_apart_asked_in_moderation_and_forgotten() {
    let table = [
        ("/", Fault::Status(500), "failing", 20),
        ("/", Fault::Status(503), "failing", 20),
        ("/api/agent/heartbeat", Fault::Status(500), "wedged", 40),
        ("/api/agent/heartbeat", Fault::Unauthorized, "denying", 60),
        ("/", Fault::Unauthorized, "denying", 20),
        ("/", Fault::Page, "foreign", 20),
        ("/", Fault::Status(404), "denying", 20),
    ];
    for (path, fault, expect, most) in table {
        let server = Server::start().await.unwrap();
        let (mut bench, upstream) = Bench::one(&server, containers(3)).await;
        let before = server.requests().len();
        server.fault(path, fault);
        bench.changed("pi", containers(4));
        bench.run(10 * MINUTE).await;
        let asked = server.requests().len() - before;
        assert_eq!(kind(&bench.server_condition()), expect, "{fault:?}");
        assert!((5..=most).contains(&asked), "{asked} calls in 10 minutes of {fault:?} on {path}");
        server.mend();
        bench.run(2 * MINUTE).await;
        assert_eq!(server.view(&upstream).unwrap().running.len(), 4, "{fault:?}");
        assert_eq!(bench.server_condition(), ServerCondition::Well, "{fault:?}");
        assert_eq!(server.calls("/api/agent-auth/enroll").len(), 1, "{fault:?}");
    }
}

// RR12
#[tokio::test]
async fn a_beat_that_is_refused_as_it_stands_is_rarely_repeated() {
    for fault in [Fault::TooLarge, Fault::Status(400)] {
        let server = Server::start().await.unwrap();
        let (mut bench, upstream) = Bench::one(&server, containers(3)).await;
        let before = server.beats(&upstream).len();
        server.fault("/api/agent/heartbeat", fault);
        for _ in 0..600 {
            bench.changed("pi", containers(4));
            bench.run(Duration::from_secs(1)).await;
        }
        let beats = server.beats(&upstream).len() - before;
        assert!((2..=5).contains(&beats), "{beats} beats in 10 minutes of {fault:?}");
        assert!(matches!(bench.condition("pi"), Condition::Rejected(_)));
        server.mend();
        bench.run(30 * MINUTE).await;
        assert_eq!(server.view(&upstream).unwrap().running.len(), 4);
    }
}

// RR12
#[tokio::test]
async fn a_server_that_says_nothing_or_is_away_is_waited_for() {
    for away in [false, true] {
        let server = Server::start().await.unwrap();
        let (mut bench, upstream) = Bench::one(&server, containers(3)).await;
        bench.upstream = bench.upstream.with_limit(Duration::from_millis(100));
        if away {
            server.stop().await.unwrap();
        } else {
            server.fault("/", Fault::Silence);
        }
        bench.changed("pi", containers(4));
        bench.run(10 * MINUTE).await;
        assert_eq!(kind(&bench.server_condition()), "unreachable");
        assert_eq!(bench.server_conditions.len(), 2, "said once: {:?}", bench.server_conditions);
        server.mend();
        server.restart().await.unwrap();
        bench.run(2 * MINUTE).await;
        assert_eq!(server.view(&upstream).unwrap().running.len(), 4);
        assert_eq!(bench.server_condition(), ServerCondition::Well);
    }
}

// RR12
#[tokio::test]
async fn a_slow_server_is_served_slowly_and_never_twice_at_once() {
    let server = Server::start().await.unwrap();
    let mut bench = Bench::new(&server);
    server.fault("/", Fault::Slow(Duration::from_millis(20)));
    for number in 0..10 {
        let name = format!("pi-{number}");
        let (upstream, token) = server.create_agent(&name);
        bench.enroll(&name, &upstream, &token);
        bench.online(&name, Some(containers(2)));
    }
    bench.run(MINUTE).await;
    assert_eq!(server.high_water(), 1);
    assert!(server.agents().iter().all(|agent| agent.status == "online"));
}

// RR12
#[tokio::test]
async fn a_wedge_made_by_somebody_else_is_named_once_and_over_after_a_restart() {
    let server = Server::start().await.unwrap();
    let (mut bench, upstream) = Bench::one(&server, containers(3)).await;
    server.wedge();
    bench.changed("pi", containers(4));
    bench.run(10 * MINUTE).await;
    let told: Vec<_> = bench.server_conditions.iter().map(kind).collect();
    assert_eq!(told, ["well", "failing", "wedged"]);
    assert!(bench.server_condition().to_string().contains("restart the server"));
    server.restart().await.unwrap();
    bench.run(2 * MINUTE).await;
    assert_eq!(server.view(&upstream).unwrap().running.len(), 4);
    assert_eq!(bench.server_condition(), ServerCondition::Well);
}

// DM1 RR12
#[tokio::test]
async fn a_wrong_a_used_and_a_foreign_token_end_with_the_servers_reason() {
    let server = Server::start().await.unwrap();
    server.set_one_time_tokens(true);
    let (upstream, token) = server.create_agent("pi");
    let table = [
        (upstream.as_str(), "wrong", "Invalid enrollment token"),
        ("00000000-0000-4000-8000-000000000000", token.as_str(), "Not enrolled or already used"),
    ];
    for (upstream, token, reason) in table {
        let mut bench = Bench::new(&server);
        let before = server.requests().len();
        bench.online("pi", Some(containers(1)));
        for _ in 0..20 {
            bench.enroll("pi", upstream, token);
            bench.run(MINUTE).await;
        }
        assert_eq!(bench.condition("pi"), Condition::TokenRefused(reason.to_owned()));
        assert_eq!(server.requests().len() - before, 1, "no endless retries");
    }
    // Used: somebody enrolls with it a second time.
    for expect in [Condition::Relayed, Condition::TokenRefused("Not enrolled or already used".to_owned())] {
        let mut bench = Bench::new(&server);
        bench.enroll("pi", &upstream, &token);
        bench.online("pi", Some(containers(1)));
        bench.run(MINUTE).await;
        assert_eq!(bench.condition("pi"), expect);
    }
}

// RR12
#[tokio::test]
async fn a_second_enrollment_elsewhere_ends_ours_with_a_reason() {
    let server = Server::start().await.unwrap();
    let (upstream, token) = server.create_agent("pi");
    let mut benches = [Bench::new(&server), Bench::new(&server)];
    for bench in &mut benches {
        bench.enroll("pi", &upstream, &token);
        bench.online("pi", Some(containers(1)));
        bench.run(Duration::from_secs(1)).await;
    }
    benches[0].run(60 * MINUTE).await;
    assert!(matches!(benches[0].condition("pi"), Condition::SecretRefused(_)));
    assert_eq!(benches[1].condition("pi"), Condition::Relayed);
    assert_eq!(server.calls("/api/agent-auth/enroll").len(), 2);
}
