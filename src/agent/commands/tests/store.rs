//! Commands about images, networks and volumes, and samples.

use radar_wire::command::Prunable;
use radar_wire::stats::Usage;

use super::*;
use crate::agent::pulls;
use crate::engine::act::{Piece, Pulled};

fn pull(image: &str) -> Command {
    Command::Pull { image: image.into() }
}

fn prune(what: Prunable) -> Command {
    Command::Prune { what, all: true }
}

fn some(current: u64) -> Piece {
    Piece::Pull(Pulled { layers: 2, done: 1, current, total: 100 })
}

impl Desk {
    fn tell(&mut self, ticket: u64, piece: Piece) {
        self.commands.handle_told(ticket, piece, self.now);
        self.settle();
    }
}

// DM12, DM16
#[test]
fn each_command_asks_the_engine_for_what_it_says() {
    let mut desk = Desk::new("manage");
    let table = [
        (pull("busybox"), Act::Pull { image: "busybox:latest".into() }),
        (
            Command::RemoveImage { image: "r.example:5000/a:1".into(), force: true },
            Act::RemoveImage { image: "r.example:5000/a:1".into(), force: true },
        ),
        (
            Command::CreateNetwork { network: "shop".into(), driver: None, internal: true },
            Act::CreateNetwork { network: "shop".into(), driver: None, internal: true },
        ),
        (Command::RemoveNetwork { network: "shop".into() }, Act::RemoveNetwork { network: "shop".into() }),
        (
            Command::CreateVolume { volume: "data".into(), driver: Some("local".into()) },
            Act::CreateVolume { volume: "data".into(), driver: Some("local".into()) },
        ),
        (Command::RemoveVolume { volume: "data".into() }, Act::RemoveVolume { volume: "data".into() }),
        (prune(Prunable::Volumes), Act::Prune { what: Prunable::Volumes, all: true }),
    ];
    for (number, (command, act)) in table.into_iter().enumerate() {
        let ticket = number as u64 + 1;
        assert!(desk.command(command)[0].ends_with("accepted"), "{act:?}");
        assert_eq!(desk.acts.last(), Some(&(ticket, act)));
        desk.succeed(ticket);
        desk.told();
    }
}

// DM16
#[test]
fn what_the_engine_comes_with_is_not_removed() {
    let mut desk = Desk::new("all");
    let remove = |network: &str| Command::RemoveNetwork { network: network.into() };
    for network in ["bridge", "host", "none"] {
        assert!(desk.command(remove(network))[0].ends_with("refused built-in"), "{network}");
    }
    assert!(desk.command(remove("podman"))[0].ends_with("accepted"));
    desk.commands.handle_engine(&EngineFacts { kind: "podman".into(), ..EngineFacts::default() });
    assert!(desk.command(remove("podman"))[0].ends_with("refused built-in"));
    assert_eq!(desk.acts.len(), 1);
}

// E10
#[test]
fn what_the_engines_socket_denies_is_refused_at_once_with_that_reason() {
    let mut desk = Desk::new("all");
    let facts = |unavailable: &[&str]| {
        let unavailable = unavailable.iter().map(|word| (*word).into()).collect();
        EngineFacts { kind: "docker".into(), unavailable, ..EngineFacts::default() }
    };
    let remove = || Command::RemoveNetwork { network: "front".into() };
    desk.commands.handle_engine(&facts(&["events", "remove-network"]));
    assert!(desk.command(remove())[0].ends_with("refused unavailable"));
    assert!(desk.acts.is_empty());
    desk.commands.handle_engine(&facts(&["events"]));
    assert!(desk.command(remove())[0].ends_with("accepted"));
}

// DM16, E7
#[test]
fn a_name_that_would_be_another_address_is_none() {
    let mut desk = Desk::new("all");
    let path = "../containers/db";
    for command in [
        pull("../x"),
        Command::RemoveImage { image: path.into(), force: true },
        Command::RemoveNetwork { network: path.into() },
        Command::RemoveVolume { volume: path.into() },
        Command::CreateVolume { volume: path.into(), driver: None },
        Command::CreateNetwork { network: "a".into(), driver: Some(path.into()), internal: false },
        Command::Stats { seconds: 0, interval: None },
    ] {
        let told = desk.command(command.clone());
        assert!(told[0].ends_with("refused invalid"), "{command:?}: {told:?}");
    }
    assert!(desk.acts.is_empty());
}

// DM16, DM20, E7
#[test]
fn a_prune_of_containers_passes_over_what_runs_and_what_is_kept() {
    let mut desk = Desk::new("prune");
    desk.commands.rules.own = Some(id(9).to_string().into());
    let stopped = |byte: u8, state: &str, labels: &[(&str, &str)]| {
        let (id, mut record) = record(byte, "any", labels);
        record.state = State::from(state.to_owned());
        (id, record)
    };
    desk.records = BTreeMap::from([
        stopped(1, "exited", &[]),
        stopped(2, "created", &[("radar.protect", "false")]),
        stopped(3, "dead", &[("radar.deny", "restart")]),
        stopped(4, "exited", &[("radar.protect", "")]),
        stopped(5, "exited", &[("radar.deny", "remove")]),
        stopped(6, "exited", &[("radar.deny", "manage")]),
        stopped(7, "exited", &[("radar.allow", "start,prune")]),
        stopped(8, "running", &[]),
        stopped(9, "exited", &[]),
        stopped(10, "paused", &[]),
        stopped(11, "restarting", &[]),
        stopped(12, "exited", &[("radar.allow", "remove,prune")]),
    ]);
    assert!(desk.command(prune(Prunable::Containers))[0].ends_with("accepted"));
    assert_eq!(desk.acts, [(1, Act::RemoveStopped { ids: [1, 2, 3, 12].map(id).into() })]);
}

// DM12
#[test]
fn a_pull_delays_nothing_else_and_pulls_leave_room() {
    let mut desk = Desk::new("all");
    for number in 0..6 {
        desk.command(pull(&format!("app:{number}")));
    }
    desk.command(pull("app:0"));
    assert_eq!(desk.acts.len(), PULLS);
    desk.command(Command::Images);
    desk.command(restart("web"));
    desk.command(prune(Prunable::Images));
    desk.command(Command::RemoveImage { image: "app:0".into(), force: false });
    assert_eq!(desk.acts.len(), PULLS + 3, "the image is being pulled");
    desk.succeed(1);
    assert_eq!(desk.acts.len(), PULLS + 4);
    desk.done(2, Err(ActError { kind: ActErrorKind::NotFound, text: "manifest unknown".into() }));
    assert_eq!(desk.acts.len(), PULLS + 5);
    assert!(desk.told().contains(&"01-2 failed not-found".to_owned()));
}

// DM12
#[test]
fn a_pull_is_told_as_it_goes_on_and_only_the_newest_waits() {
    let mut desk = Desk::new("all");
    assert_eq!(desk.command(pull("app:1")), ["01-1 accepted"]);
    desk.tell(1, some(1));
    assert_eq!((desk.told(), desk.engine.len()), (vec!["01-1 progress".to_owned()], 0));
    desk.wait(499);
    assert!(desk.engine.is_empty());
    desk.wait(1);
    assert_eq!(desk.engine, ["more 1"]);
    // Nobody takes it for a while.
    for current in 2..10 {
        desk.tell(1, some(current));
        desk.wait(500);
    }
    let waiting: Vec<_> = desk.commands.outcomes.iter().map(|outcome| outcome.result.clone()).collect();
    assert_eq!(waiting, [Some(pulls::result(Pulled { layers: 2, done: 1, current: 9, total: 100 }))]);
    desk.told();
    desk.wait(29_499);
    assert!(desk.told().is_empty());
    desk.wait(1);
    assert_eq!(desk.told(), ["01-1 progress"], "it goes on");
    desk.wait(30_000);
    desk.succeed(1);
    assert_eq!(desk.told(), ["01-1 succeeded"], "how it ended is newer");
    desk.wait(100_000);
    assert!(desk.told().is_empty() && desk.commands.is_idle());
}

// DM12
#[test]
fn a_pull_that_brings_nothing_new_says_so_with_what_is_there() {
    let mut desk = Desk::new("all");
    desk.command(pull("app:1"));
    desk.done(1, Ok(Done { needed: false, result: Some("found".into()) }));
    let outcome = desk.commands.outcomes.iter().next().unwrap();
    assert_eq!(outcome.result, Some("found".into()));
    assert_eq!(desk.told(), ["01-1 succeeded unchanged"]);
}

// DM8
#[test]
fn samples_that_are_asked_for_end_the_command_at_once_and_go_on() {
    let mut desk = Desk::new("observe");
    desk.commands.handle_connected(None, desk.now);
    desk.settle();
    let told = desk.command(Command::Stats { seconds: 10, interval: None });
    assert_eq!(
        (told, desk.engine.clone()),
        (vec!["01-1 accepted".to_owned(), "01-1 succeeded".to_owned()], vec!["sample 1".to_owned()])
    );
    assert!(desk.commands.is_idle());
    desk.commands.handle_host(Usage::default(), desk.now);
    desk.tell(1, Piece::Sample(Vec::new()));
    desk.done(1, Ok(Done { needed: false, result: None }));
    desk.wait(2000);
    assert_eq!(desk.engine, ["sample 1", "sampled", "sample 2"]);
    let mut denied = Desk::new("operate");
    assert!(denied.command(Command::Stats { seconds: 10, interval: None })[0].ends_with("refused policy"));
}
