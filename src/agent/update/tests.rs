//! Updates on an engine that does what it is told: everything that goes wrong, and an agent that ends, at every step.

use serde_json::json;

use super::*;
use crate::engine::act::{ActErrorKind, Document};

pub(in crate::agent) mod host;

use host::Host;

const JTI: &str = "0193-abc-xyz123";

/// What goes wrong with the act or the note of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is not done.
    Fails,
    /// It is done, and nobody hears of it.
    Unheard,
    /// The agent ends before it, or after it.
    KilledBefore,
    KilledAfter,
}

struct Bench {
    host: Host,
    updates: Updates,
    tickets: u64,
    now: Now,
    rules: Rules,
    disk: Vec<u8>,
    /// So many acts and notes there were, and what goes wrong with which.
    count: usize,
    faults: Vec<(usize, Fault)>,
    steps: Vec<String>,
    ended: Option<(Progress, String)>,
    /// Who lives in the container's namespaces and did not come along, as the outcome says it.
    listed: Vec<String>,
    result: Option<Cbor>,
    busy: Vec<ContainerId>,
}

impl Bench {
    fn new(host: Host) -> Self {
        let rules = Rules { policy: "update".parse().unwrap(), ..Rules::default() };
        let now = Now { mono: Duration::ZERO, wall: 0 };
        let (updates, disk, steps, faults) = (Updates::default(), Vec::new(), Vec::new(), Vec::new());
        Self {
            host,
            updates,
            tickets: 0,
            now,
            rules,
            disk,
            count: 0,
            faults,
            steps,
            ended: None,
            listed: Vec::new(),
            result: None,
            busy: Vec::new(),
        }
    }

    fn order(&mut self, order: Order) {
        self.updates.begin(JTI.into(), order, &mut self.tickets);
        while self.ended.is_none() {
            if !self.go_on() {
                // What is not on the disk is gone.
                self.updates = Updates::default();
                let journal = Journal::read(&self.disk).unwrap();
                if self.updates.resume(journal, &mut self.tickets).is_empty() {
                    self.ended = Some((Progress::Failed, "interrupted".to_owned()));
                }
            }
        }
        // The last word on the journal.
        if let Some(bytes) = self.updates.next_write() {
            self.disk = bytes;
        }
        assert_eq!((self.disk.len(), self.updates.poll_timeout()), (0, None), "{:?}", self.ended);
        (0..3).for_each(|_| self.host.pass());
    }

    fn update(&mut self, id: &str) -> (Progress, String) {
        self.order(Order { id: id.parse().unwrap(), image: None, dry_run: false, patience: None });
        self.ended.clone().unwrap()
    }

    fn fault(&mut self) -> Option<Fault> {
        self.count += 1;
        self.faults.iter().find(|(at, _)| *at == self.count).map(|(_, fault)| *fault)
    }

    /// Whether the agent lives.
    fn go_on(&mut self) -> bool {
        while let Some(effect) = self.updates.next_effect() {
            match effect {
                Effect::Told { what, .. } => {
                    let what = what.as_map().unwrap().iter().find(|(name, _)| name.as_text() == Some("what"));
                    self.steps.push(what.unwrap().1.as_text().unwrap().to_owned());
                }
                Effect::Ended { state, reason, result, .. } => {
                    self.listed = failures(&result);
                    self.result = result;
                    self.ended = Some((state, reason.unwrap_or_default().into()));
                    return true;
                }
                Effect::Act { ticket, act } => {
                    let fault = self.fault();
                    if fault == Some(Fault::KilledBefore) {
                        return false;
                    }
                    let error = || Err(ActError { kind: ActErrorKind::Engine, text: "out of luck".into() });
                    let (found, result) = match fault {
                        Some(Fault::Fails) => (None, error()),
                        _ => self.host.perform(&act),
                    };
                    match fault {
                        Some(Fault::KilledAfter) => return false,
                        Some(Fault::Unheard) => self.answer(ticket, None, &error()),
                        _ => self.answer(ticket, found, &result),
                    }
                }
            }
        }
        if let Some(bytes) = self.updates.next_write() {
            let fault = self.fault();
            if fault == Some(Fault::KilledBefore) {
                return false;
            }
            let result = if fault == Some(Fault::Fails) { Err("no space".to_owned()) } else { Ok(()) };
            if result.is_ok() {
                self.disk = bytes;
            }
            if fault == Some(Fault::KilledAfter) {
                return false;
            }
            self.updates.handle_written(&result, &mut self.tickets, self.now);
        } else if let Some(at) = self.updates.poll_timeout() {
            self.now.mono = self.now.mono.max(at);
            assert!(self.now.mono < Duration::from_secs(3600), "without end: {:?}", self.steps);
            self.updates.handle_timeout(&mut self.tickets, self.now);
        }
        true
    }

    fn answer(&mut self, ticket: u64, found: Option<Value>, result: &Result<Done, ActError>) {
        if let Some(found) = found {
            assert!(self.updates.handle_told(ticket, &Piece::Found(Document(found))));
        }
        let guard = Guard { rules: &self.rules, busy: self.busy.clone() };
        assert!(self.updates.handle_acted(ticket, result, &guard, &mut self.tickets, self.now));
    }
}

/// The names of dependents that have an error.
fn failures(result: &Option<Cbor>) -> Vec<String> {
    let field = |value: &Cbor, name: &str| {
        let all = value.as_map().cloned().unwrap_or_default();
        all.into_iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
    };
    let all = result.as_ref().and_then(|result| field(result, "dependents")?.into_array().ok()).unwrap_or_default();
    let failed = all.iter().filter(|one| field(one, "error").is_some());
    failed.filter_map(|one| field(one, "name")?.into_text().ok()).collect()
}

/// A container called `web`, in all the ways that matter, and its id.
pub(in crate::agent) fn scenes(health: &str) -> Vec<(&'static str, Host, String)> {
    let table = [
        ("running", "running", false, ""),
        ("stopped", "exited", false, ""),
        ("created", "created", false, ""),
        ("paused", "paused", false, ""),
        ("fleeting", "running", true, ""),
        ("fleeting and paused", "paused", true, ""),
        ("shared", "running", false, "running"),
        ("shared with one that is stopped", "running", false, "exited"),
        ("shared with one that is paused", "running", false, "paused"),
        ("fleeting and shared", "running", true, "running"),
    ];
    let scene = |(what, state, fleeting, other): (&'static str, &str, bool, &str)| {
        let mut host = Host::new(health);
        let id = host.with("web", state, json!({ "NetworkMode": "front", "AutoRemove": fleeting }));
        host.with("stranger", "running", json!({ "NetworkMode": "front" }));
        if !other.is_empty() {
            host.with("side", other, json!({ "NetworkMode": format!("container:{id}") }));
            host.with("third", "running", json!({ "NetworkMode": format!("container:{id}") }));
        }
        (what, host, id)
    };
    table.map(scene).into()
}

// DM9, DM10, DM11
#[test]
fn an_update_ends_with_the_new_one_as_the_old_one_was() {
    for (what, host, id) in scenes("healthy") {
        let (before, volumes) = host.world();
        let mut bench = Bench::new(host);
        assert_eq!(bench.update(&id).0, Progress::Succeeded, "{what}: {:?}", bench.ended);
        let expect: BTreeMap<String, String> =
            before
                .into_iter()
                .map(|(name, seen)| {
                    if name == "web" { (name, seen.replace("sha256:old", "sha256:new-healthy")) } else { (name, seen) }
                })
                .collect();
        assert_eq!(bench.host.world(), (expect, volumes), "{what}");
    }
}

/// What a dry run of this scene says.
fn planned(state: &str, fleeting: bool, shared: bool) -> Vec<String> {
    let mut host = Host::new("healthy");
    let id = host.with("web", state, json!({ "NetworkMode": "front", "AutoRemove": fleeting }));
    if shared {
        host.with("side", "running", json!({ "NetworkMode": format!("container:{id}") }));
    }
    let before = host.world();
    let mut bench = Bench::new(host);
    bench.order(Order { id: id.parse().unwrap(), image: None, dry_run: true, patience: None });
    assert_eq!((bench.host.world(), &bench.disk[..]), (before, &[][..]), "a dry run does nothing");
    let result = bench.result.unwrap();
    let steps = result.as_map().unwrap().iter().find(|(name, _)| name.as_text() == Some("steps")).unwrap();
    steps.1.as_array().unwrap().iter().map(|step| step.as_text().unwrap().to_owned()).collect()
}

// DM9, DM11
#[test]
fn what_is_planned_is_told_and_is_what_is_done() {
    let table = [
        (
            ("running", false, false),
            "pull app:latest
            create web as web-radar-new-xyz123
            connect the new web to back
            rename the old web to web-radar-old-xyz123
            give the new container the name web
            stop the old web
            start the new web
            wait until the new web is healthy
            remove the old web",
        ),
        (
            ("exited", false, false),
            "pull app:latest
            create web as web-radar-new-xyz123
            connect the new web to back
            rename the old web to web-radar-old-xyz123
            give the new container the name web
            remove the old web",
        ),
        (
            ("paused", false, true),
            "pull app:latest
            create web as web-radar-new-xyz123
            connect the new web to back
            create side as side-radar-new-xyz123
            rename the old web to web-radar-old-xyz123
            give the new container the name web
            rename the old side to side-radar-old-xyz123
            give the new container the name side
            stop the old side
            stop the old web
            start the new web
            wait until the new web is healthy
            pause the new web
            start the new side
            remove the old side
            remove the old web",
        ),
    ];
    for ((state, fleeting, shared), expect) in table {
        let expect: Vec<&str> = expect.lines().map(str::trim).collect();
        assert_eq!(planned(state, fleeting, shared), expect, "{state}");
        let mut host = Host::new("healthy");
        let id = host.with("web", state, json!({ "NetworkMode": "front", "AutoRemove": fleeting }));
        if shared {
            host.with("side", "running", json!({ "NetworkMode": format!("container:{id}") }));
        }
        let mut bench = Bench::new(host);
        bench.update(&id);
        assert_eq!(bench.steps, expect, "{state}");
    }
}

// DM9
#[test]
fn what_is_of_the_newest_image_is_left_alone() {
    let mut host = Host::new("healthy");
    let id = host.with("web", "running", json!({ "NetworkMode": "front" }));
    let mut bench = Bench::new(host);
    assert_eq!(bench.update(&id).0, Progress::Succeeded);
    let (world, (state, reason)) = (bench.host.world(), bench.ended.take().unwrap());
    assert_eq!((state, &*reason), (Progress::Succeeded, ""));
    let id = bench.host.id("web");
    let (state, reason) = bench.update(&id);
    assert_eq!((state, bench.host.world()), (Progress::Succeeded, world));
    assert!(reason.starts_with("unchanged"), "{reason}");
}

// DM10
#[test]
fn what_cannot_be_begun_changes_nothing() {
    let mut host = Host::new("healthy");
    let id = host.with("web", "running", json!({ "NetworkMode": "front" }));
    let side = host.with("side", "running", json!({ "NetworkMode": format!("container:{id}") }));
    let before = host.world();
    let order = |image: Option<&str>| Order {
        id: id.parse().unwrap(),
        image: image.map(Into::into),
        dry_run: false,
        patience: None,
    };
    let allowed = || Rules { policy: "update".parse().unwrap(), ..Rules::default() };
    let table: [(&str, Option<&str>, Rules, &[ContainerId]); 5] = [
        ("not-found: ", Some("nobody:1"), allowed(), &[]),
        ("protected: the agent", None, Rules { own: Some(side.as_str().into()), ..allowed() }, &[]),
        ("policy: side: ", None, Rules { policy: "operate".parse().unwrap(), ..Rules::default() }, &[]),
        ("busy: side ", None, allowed(), &[side.parse().unwrap()]),
        ("storage: ", None, allowed(), &[]),
    ];
    for (expect, image, rules, busy) in table {
        let mut bench = Bench::new(host.clone());
        bench.rules = rules;
        bench.busy = busy.to_vec();
        if expect == "storage: " {
            bench.faults = (6..9).map(|at| (at, Fault::Fails)).collect();
        }
        bench.order(order(image));
        let (state, reason) = bench.ended.unwrap();
        assert_eq!((state, bench.host.world()), (Progress::Failed, before.clone()), "{expect}: {reason}");
        assert!(reason.contains(expect), "{expect}: {reason}");
    }
}

// DM10
#[test]
fn one_that_does_not_work_gives_its_place_back() {
    for (what, host, id) in scenes("unhealthy") {
        let before = host.world();
        let stopped = matches!(what, "stopped" | "created");
        let mut bench = Bench::new(host);
        let (state, reason) = bench.update(&id);
        if stopped {
            assert_eq!(state, Progress::Succeeded, "{what}: nobody knows");
            continue;
        }
        assert_eq!((state, &*reason), (Progress::Failed, "rolled-back: unhealthy: it is unhealthy"), "{what}");
        assert_eq!(bench.host.world(), before, "{what}");
    }
}

/// Runs each scene with these faults at every place, and looks at what became of it.
fn everywhere(faults: &[Fault]) {
    for (what, host, id) in scenes("healthy") {
        let before = host.world();
        let mut fine = Bench::new(host.clone());
        fine.update(&id);
        let after = fine.host.world();
        for fault in faults {
            for at in 1..=fine.count {
                let mut bench = Bench::new(host.clone());
                bench.faults = vec![(at, *fault)];
                let (state, reason) = bench.update(&id);
                let world = bench.host.world();
                let mut expect = if state == Progress::Succeeded { after.clone() } else { before.clone() };
                for name in &bench.listed {
                    // It was not started, or not paused, and the outcome says so.
                    let found = world.0[name].clone();
                    assert_eq!(
                        found.replace("stopped", "Running").replace("Paused", "Running"),
                        expect.0[name].replace("Paused", "Running")
                    );
                    expect.0.insert(name.clone(), found);
                }
                assert_eq!(world, expect, "{what}, {fault:?} at {at}: {reason}: {:#?}", bench.steps);
                assert!(!reason.starts_with("rollback-incomplete"), "{what}, {fault:?} at {at}: {reason}");
            }
        }
    }
}

// DM10
#[test]
fn whatever_fails_leaves_either_the_old_one_or_the_new_one() {
    everywhere(&[Fault::Fails, Fault::Unheard]);
}

// DM10
#[test]
fn an_agent_that_is_killed_anywhere_goes_back_or_finishes() {
    everywhere(&[Fault::KilledBefore, Fault::KilledAfter]);
}

// DM10
#[test]
fn an_agent_that_is_killed_twice_goes_back_or_finishes() {
    for (what, host, id) in scenes("healthy") {
        let before = host.world();
        let mut fine = Bench::new(host.clone());
        fine.update(&id);
        let after = fine.host.world();
        for first in 1..=fine.count {
            for second in first + 1..first + 12 {
                let mut bench = Bench::new(host.clone());
                bench.faults = vec![(first, Fault::KilledAfter), (second, Fault::KilledAfter)];
                let (state, reason) = bench.update(&id);
                let expect = if state == Progress::Succeeded { &after } else { &before };
                assert_eq!(&bench.host.world(), expect, "{what}, {first} and {second}: {reason}: {:#?}", bench.steps);
            }
        }
    }
}
