//! An agent at the server: what its page shows, and what it must never be asked.

use std::time::Duration;

use radar_bridge::relay::{Condition, RelaySettings, ServerCondition};
use radar_bridge::upstream::Upstream;
use radar_tests::server::{ContainerView, Server};

use crate::bench::{Bench, container, containers, id};

const MINUTE: Duration = Duration::from_secs(60);

// RR1
#[tokio::test]
async fn the_server_shows_the_agent_online_with_its_containers_split() {
    let server = Server::start().await.unwrap();
    let list = vec![container(1, "running"), container(2, "exited"), container(3, "running"), container(4, "paused")];
    let (bench, upstream) = Bench::one(&server, list).await;
    let view = server.view(&upstream).unwrap();
    assert_eq!(view.status, "online");
    let names = |list: &[ContainerView]| list.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&view.running), ["c1", "c3"]);
    assert_eq!(names(&view.stopped), ["c2", "c4"]);
    assert_eq!(view.running[0].image, "registry.example.org:5000/team/app");
    assert_eq!(view.running[0].tag, "1.25");
    assert_eq!(view.running[0].created.as_deref(), Some("2023-11-14T22:13:20.000Z"));
    assert_eq!(bench.condition("pi"), Condition::Relayed);
}

// RR2
#[tokio::test]
async fn beats_go_on_when_tokens_have_run_out_and_when_the_server_was_restarted() {
    let server = Server::start().await.unwrap();
    server.set_token_lifetime(Duration::from_secs(1));
    let (mut bench, upstream) = Bench::one(&server, containers(3)).await;
    for _ in 0..3 {
        let before = server.beats(&upstream).len();
        server.restart().await.unwrap();
        bench.run(3 * MINUTE).await;
        assert!(server.beats(&upstream).len() > before);
    }
    assert_eq!(bench.server_condition(), ServerCondition::Well);
    assert!(server.requests().iter().all(|call| call.status == 200), "{:?}", server.requests());
}

// RR3
#[tokio::test]
async fn a_restarted_bridge_does_not_enroll_again() {
    let server = Server::start().await.unwrap();
    let (bench, upstream) = Bench::one(&server, containers(3)).await;
    let mut bench = bench.restarted(&server, RelaySettings::default());
    // The agent brings its token at every start; one more use of it would void the secret.
    bench.enroll("pi", &upstream, "whatever it brings");
    bench.online("pi", Some(containers(4)));
    bench.run(MINUTE).await;
    assert_eq!(server.calls("/api/agent-auth/enroll").len(), 1);
    assert_eq!(server.view(&upstream).unwrap().running.len(), 4);
}

// RR4
#[tokio::test]
async fn the_servers_interval_is_obeyed_from_the_next_beat_on() {
    let server = Server::start().await.unwrap();
    server.set_interval(30.0);
    let (mut bench, _) = Bench::one(&server, containers(1)).await;
    for seconds in [30.5, 120.0, 1800.0, 30.0] {
        // The next beat still comes by the interval before, and brings this one.
        let known = bench.beats.len();
        server.set_interval(seconds);
        while bench.beats.len() < known + 2 {
            bench.run(Duration::from_secs(10)).await;
        }
        let waited = (bench.beats[known + 1] - bench.beats[known]).as_secs_f64();
        assert!((seconds * 0.95..=seconds * 1.05).contains(&waited), "{waited} for {seconds}");
    }
}

// RR5
#[tokio::test]
async fn fifty_agents_at_once_are_one_request_at_a_time_and_no_error() {
    let server = Server::start().await.unwrap();
    server.set_interval(30.0);
    let mut bench = Bench::new(&server);
    let mut made = Vec::new();
    for number in 0..50 {
        let name = format!("pi-{number}");
        let (upstream, token) = server.create_agent(&name);
        bench.enroll(&name, &upstream, &token);
        bench.online(&name, Some(containers(5)));
        made.push(upstream);
    }
    bench.run(2 * MINUTE).await;
    let failed: Vec<_> = server.requests().into_iter().filter(|call| call.status != 200).collect();
    assert!(failed.is_empty(), "{} of {} failed", failed.len(), server.requests().len());
    assert_eq!(server.high_water(), 1);
    for upstream in &made {
        assert_eq!(server.view(upstream).unwrap().status, "online");
        assert!(server.beats(upstream).len() >= 3);
    }
}

// RR6 RR11
#[tokio::test]
async fn a_record_that_lacks_something_is_left_out_and_the_database_stays_whole() {
    let server = Server::start().await.unwrap();
    let mut list = containers(6);
    list[0].name.clear();
    list[1].image.clear();
    list[2].status.clear();
    list[3].id.clear();
    list[4].image = format!("sha256:{}", "a".repeat(64));
    let (mut bench, upstream) = Bench::one(&server, list).await;
    assert_eq!(server.view(&upstream).unwrap().names(), ["c5"]);
    assert_eq!(bench.relay.agent(&id("pi")).unwrap().left_out, 5);
    // And where nothing remains, the host does not look empty.
    let mut list = containers(1);
    list[0].name.clear();
    bench.changed("pi", list);
    bench.run(MINUTE).await;
    assert_eq!(server.view(&upstream).unwrap().names(), ["c5"]);
    assert_eq!(bench.condition("pi"), Condition::Unsendable { left_out: 1 });
    assert_eq!(server.wedged(), None);
}

// RR6
#[tokio::test]
async fn an_agent_that_was_deleted_at_the_server_never_wedges_it() {
    let server = Server::start().await.unwrap();
    let (mut bench, upstream) = Bench::one(&server, containers(3)).await;
    server.delete_agent(&upstream);
    // The token of the beat before is good for 15 minutes more, and the host goes on changing.
    for count in 4..10 {
        bench.changed("pi", containers(count));
        bench.run(Duration::from_secs(6)).await;
    }
    bench.seen("pi", false, false);
    bench.run(60 * MINUTE).await;
    assert_eq!(server.wedged(), None);
    assert_eq!(bench.condition("pi"), Condition::Deleted);
    assert_eq!(server.beats(&upstream).len(), 1);
    let said = bench.conditions.iter().filter(|(_, condition)| *condition == Condition::Deleted);
    assert_eq!(said.count(), 1);
}

// RR7 RR13
#[tokio::test]
async fn a_list_that_is_not_known_never_wipes_the_host() {
    let server = Server::start().await.unwrap();
    let (bench, upstream) = Bench::one(&server, containers(3)).await;
    let mut bench = bench.restarted(&server, RelaySettings::default());
    let before = server.beats(&upstream).len();
    bench.online("pi", None);
    bench.run(30 * MINUTE).await;
    bench.seen("pi", false, false);
    bench.run(30 * MINUTE).await;
    assert_eq!(server.beats(&upstream).len(), before);
    assert_eq!(server.view(&upstream).unwrap().running.len(), 3);
    assert_eq!(bench.condition("pi"), Condition::Unlisted);
}

// RR8
#[tokio::test]
async fn an_agent_that_goes_keeps_its_containers_and_comes_back() {
    let server = Server::start().await.unwrap();
    let (mut bench, upstream) = Bench::one(&server, containers(3)).await;
    for (online, status) in [(false, "offline"), (true, "online"), (false, "offline")] {
        bench.seen("pi", online, false);
        bench.run(Duration::from_secs(2)).await;
        let view = server.view(&upstream).unwrap();
        assert_eq!((view.status.as_str(), view.running.len()), (status, 3));
    }
    // Nothing more is said of an agent that is away.
    let beats = server.beats(&upstream).len();
    bench.run(60 * MINUTE).await;
    assert_eq!(server.beats(&upstream).len(), beats);
}

// RR8
#[tokio::test]
async fn going_is_told_when_the_server_is_back() {
    let server = Server::start().await.unwrap();
    let (mut bench, upstream) = Bench::one(&server, containers(3)).await;
    server.stop().await.unwrap();
    bench.seen("pi", false, false);
    bench.run(10 * MINUTE).await;
    server.go().await.unwrap();
    bench.run(2 * MINUTE).await;
    let view = server.view(&upstream).unwrap();
    assert_eq!((view.status.as_str(), view.running.len()), ("offline", 3));
}

// RR9
#[tokio::test]
async fn a_long_list_is_sent_whole_and_two_thousand_not_at_all() {
    let server = Server::start().await.unwrap();
    let (mut bench, upstream) = Bench::one(&server, containers(400)).await;
    for (count, created, digits) in [(400, true, 64), (600, false, 64), (700, false, 12)] {
        bench.changed("pi", containers(count));
        bench.run(MINUTE).await;
        let view = server.view(&upstream).unwrap();
        assert_eq!(view.running.len(), count);
        let as_expected = |each: &ContainerView| each.id.len() == digits && each.created.is_some() == created;
        assert!(view.running.iter().all(as_expected), "{count}: {:?}", view.running[0]);
    }
    bench.changed("pi", containers(2000));
    bench.run(10 * MINUTE).await;
    assert_eq!(server.view(&upstream).unwrap().running.len(), 700);
    assert!(matches!(bench.condition("pi"), Condition::TooLarge { containers: 2000, .. }));
    assert!(server.requests().iter().all(|call| call.bytes <= 102_400 && call.status == 200));
}

// RR10
#[tokio::test]
async fn a_change_is_there_within_two_seconds_and_a_crash_loop_is_slowed() {
    let server = Server::start().await.unwrap();
    let (mut bench, upstream) = Bench::one(&server, containers(1)).await;
    bench.run(Duration::from_secs(30)).await;
    bench.changed("pi", containers(2));
    bench.run(Duration::from_millis(1999)).await;
    assert_eq!(server.view(&upstream).unwrap().running.len(), 2);
    let before = server.beats(&upstream).len();
    for number in 0..600_usize {
        bench.changed("pi", containers(1 + number % 2));
        bench.run(Duration::from_millis(100)).await;
    }
    let beats = server.beats(&upstream).len() - before;
    assert!((10..=13).contains(&beats), "{beats} beats in a minute");
}

// RR12
#[tokio::test]
async fn a_path_prefix_works_with_and_without_a_slash() {
    let server = Server::start_under("/radar").await.unwrap();
    for end in ["", "/"] {
        let (upstream, token) = server.create_agent("pi");
        let mut bench = Bench::new(&server);
        bench.upstream = Upstream::new(&format!("{}{end}", server.url())).unwrap();
        bench.enroll("pi", &upstream, &token);
        bench.online("pi", Some(containers(2)));
        bench.run(Duration::from_secs(1)).await;
        assert_eq!(server.view(&upstream).unwrap().status, "online");
    }
}

// RR13
#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let server = Server::start().await.unwrap();
    let (upstream, token) = server.create_agent("pi");
    let mut bench = Bench::new(&server);
    bench.enroll("pi", &upstream, &token);
    bench.online("pi", Some(containers(1)));
    bench.run(10 * MINUTE).await;
    let stored = &bench.stored[&id("pi")];
    let secret = stored.secret.as_ref().unwrap().expose();
    let printed = format!("{}{:?}{:?}", bench.printed, bench.relay, bench.stored);
    assert!(printed.contains("Beat"), "the effects are printed");
    for hidden in [token.as_str(), secret, "eyJ"] {
        assert!(!printed.contains(hidden), "{hidden}");
    }
}
