//! Updates as commands.

use radar_wire::command::Prunable;

use super::*;
use crate::agent::update::tests::host::{Host, World};
use crate::agent::update::tests::scenes;
use crate::engine::act::Document;

fn update(container: &str) -> Command {
    Command::Update { container: container.into(), image: None, dry_run: false, patience: None }
}

fn prune() -> Command {
    Command::Prune { what: Prunable::Containers, all: true }
}

// DM11, DM20
#[test]
fn what_is_being_updated_takes_no_other_command() {
    let mut desk = Desk::new("operate,update");
    assert!(desk.command(update("db"))[0].ends_with("refused protected"));
    assert!(desk.command(update("web"))[0].ends_with("accepted"));
    for command in [update("web"), restart("web")] {
        assert!(desk.command(command.clone())[0].ends_with("refused busy"), "{command:?}");
    }
    assert!(desk.command(update("cache"))[0].ends_with("accepted"), "another one");
    let names: Vec<Act> = [id(1), id(3)].map(|id| Act::Describe { named: vec![id.to_string().into()] }).into();
    assert_eq!(desk.acts.iter().map(|(_, act)| act.clone()).collect::<Vec<_>>(), names);
    let ticket = desk.acts[0].0;
    desk.done(ticket, Err(ActError { kind: ActErrorKind::Engine, text: "away".into() }));
    assert_eq!(desk.told(), ["01-2 failed engine"]);
    assert!(desk.command(restart("web"))[0].ends_with("accepted"));
    // One that waits for its turn is one too.
    assert!(desk.command(update("web"))[0].ends_with("accepted"));
    assert!(desk.command(restart("web"))[0].ends_with("refused busy"));
    assert!(desk.updates.is_empty());
}

// DM12
#[test]
fn an_update_is_to_one_image_and_to_nothing_else() {
    let mut desk = Desk::new("update");
    for image in ["../containers/web", "app:", "a b"] {
        let (container, image) = ("web".into(), Some(image.into()));
        let command = Command::Update { container, image, dry_run: false, patience: None };
        assert!(desk.command(command.clone())[0].ends_with("refused invalid"), "{command:?}");
    }
    assert!(desk.acts.is_empty());
}

/// What the agent knows of an engine's containers.
fn seen(host: &Host) -> BTreeMap<ContainerId, Record> {
    let seen = host.world().0.into_iter().map(|(name, seen)| {
        let (_, mut record) = record(1, &name, &[]);
        let state = if seen.starts_with("stopped") { "exited" } else { "running" };
        (record.id, record.state) = (host.id(&name).parse().unwrap(), State::from(state.to_owned()));
        (record.id, record)
    });
    seen.collect()
}

/// A container `web` that is updated on an engine, and a prune that finds its moment.
struct Rig {
    desk: Desk,
    host: Host,
    /// The moments so far, and the one at which there is a prune.
    moment: usize,
    prune_at: usize,
    pruned: Vec<String>,
}

impl Rig {
    /// How the update ends with a prune at this moment, what is there then, and how many moments there were.
    fn run(host: &Host, prune_at: usize) -> (String, World, usize) {
        let desk = Desk::new("update,prune");
        let mut rig = Self { desk, host: host.clone(), moment: 0, prune_at, pruned: Vec::new() };
        rig.desk.records = seen(host);
        let mut told = rig.desk.command(update("web"));
        let mut next = 0;
        let end = loop {
            told.extend(rig.desk.told());
            let ends = ["01-1 succeeded", "01-1 failed"];
            if let Some(end) = told.iter().find(|one| ends.iter().any(|end| one.starts_with(end))) {
                break end.clone();
            }
            rig.pass();
            if let Some((ticket, act)) = rig.desk.acts.get(next).cloned() {
                next += 1;
                let (found, result) = rig.host.perform(&act);
                rig.pass();
                if let Some(found) = found {
                    rig.desk.commands.handle_told(ticket, Piece::Found(Document(found)), rig.desk.now);
                }
                rig.desk.done(ticket, result);
            } else {
                let at = rig.desk.commands.poll_timeout().unwrap();
                rig.desk.wait(u64::try_from((at - rig.desk.now.mono).as_millis()).unwrap());
            }
        };
        (0..3).for_each(|_| rig.host.pass());
        assert!(rig.pruned.is_empty(), "pruned {:?} at {prune_at}", rig.pruned);
        (end, rig.host.world(), rig.moment)
    }

    /// A moment passes, maybe with a prune.
    fn pass(&mut self) {
        self.moment += 1;
        if self.moment != self.prune_at {
            return;
        }
        self.desk.records = seen(&self.host);
        self.desk.command(prune());
        let Some((ticket, Act::RemoveStopped { ids })) = self.desk.acts.pop() else { panic!("no prune") };
        self.pruned = ids.iter().map(|id| self.desk.records[id].name.to_string()).collect();
        for id in ids {
            self.host.perform(&Act::Remove { id, force: true, volumes: false }).1.unwrap();
        }
        self.desk.succeed(ticket);
    }
}

// DM10, DM16
#[test]
fn a_prune_takes_nothing_that_an_update_needs() {
    for health in ["healthy", "unhealthy"] {
        for (what, host, _) in scenes(health) {
            let (end, world, moments) = Rig::run(&host, 0);
            assert!(moments > 10, "{what}: {moments}");
            // Until it is known that it shares, one that does not run is one like others: four moments.
            let first = if what.ends_with("stopped") && what.starts_with("shared") { 5 } else { 1 };
            for moment in first..=moments {
                let with = Rig::run(&host, moment);
                assert_eq!(with, (end.clone(), world.clone(), moments), "{health} {what}, at {moment}");
            }
        }
    }
}

// DM10, DM16
#[test]
fn an_update_does_not_begin_with_what_a_prune_is_removing() {
    let mut desk = Desk::new("update,prune");
    desk.records.get_mut(&id(1)).unwrap().state = State::Exited;
    desk.command(prune());
    assert_eq!(desk.acts, [(1, Act::RemoveStopped { ids: vec![id(1)] })]);
    assert!(desk.command(update("web"))[0].ends_with("refused busy"));
    assert!(desk.command(update("cache"))[0].ends_with("accepted"), "another one");
    desk.succeed(1);
    assert!(desk.command(update("web")).last().unwrap().ends_with("accepted"));
}

// DM10, DM16
#[test]
fn a_prune_that_has_waited_looks_again_when_it_begins() {
    let mut desk = Desk::new("update,prune");
    desk.records.values_mut().for_each(|record| record.state = State::Exited);
    desk.command(Command::Prune { what: Prunable::Networks, all: true });
    desk.command(prune());
    desk.command(update("web"));
    desk.succeed(1);
    assert_eq!(desk.acts.last().unwrap().1, Act::RemoveStopped { ids: vec![id(3)] });
}

// DM11, DM16
#[test]
fn an_update_does_not_begin_with_a_dependent_that_a_prune_is_removing() {
    let scene = scenes("healthy").into_iter().find(|(what, ..)| *what == "shared with one that is stopped");
    let (_, mut host, _) = scene.unwrap();
    let mut desk = Desk::new("update,prune");
    desk.records = seen(&host);
    desk.command(prune());
    desk.command(update("web"));
    for at in 1..3 {
        let (ticket, act) = desk.acts[at].clone();
        let (found, result) = host.perform(&act);
        desk.commands.handle_told(ticket, Piece::Found(Document(found.unwrap())), desk.now);
        desk.done(ticket, result);
    }
    assert_eq!(desk.told(), ["01-2 failed busy"]);
}
