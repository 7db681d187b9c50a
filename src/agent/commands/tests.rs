//! Commands as they come, and what is done, noted and told.

use radar_link::jws::{SigningKey, sign};
use radar_link::mqtt::Delivery;
use radar_wire::container::State;

use super::*;
use crate::engine::act::{ActErrorKind, Piece};

mod renewal;

/// A time of this century, in milliseconds.
const NOW: i64 = 1_795_000_000_000;

fn id(byte: u8) -> ContainerId {
    ContainerId::new([byte; 32])
}

fn record(byte: u8, name: &str, labels: &[(&str, &str)]) -> (ContainerId, Record) {
    let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let mut record: Record = crate::agent::tests::world::record("any", State::Running.as_str());
    record.id = id(byte);
    record.name = name.into();
    record.labels = labels;
    (record.id, record)
}

fn read(journal: &[u8]) -> Journal {
    ciborium::from_reader(journal).unwrap()
}

struct Desk {
    key: SigningKey,
    commands: Commands,
    records: BTreeMap<ContainerId, Record>,
    now: Now,
    disk: Result<(), String>,
    /// What was done, by the engine's words.
    acts: Vec<(u64, Act)>,
    /// What else the engine was asked for.
    engine: Vec<String>,
    said: Vec<String>,
    journal: Vec<u8>,
    note: Vec<u8>,
    updates: Vec<u8>,
    names: u32,
}

impl Desk {
    fn new(allow: &str) -> Self {
        let key = SigningKey::generate().unwrap();
        let rules = Rules { keys: vec![key.public()], policy: allow.parse().unwrap(), ..Rules::default() };
        Self::with(key, rules, Journal::default())
    }

    fn with(key: SigningKey, rules: Rules, journal: Journal) -> Self {
        let now = Now { mono: Duration::ZERO, wall: NOW };
        let records = BTreeMap::from([
            record(1, "web", &[]),
            record(2, "db", &[("radar.protect", "true")]),
            record(3, "cache", &[("radar.deny", "restart")]),
        ]);
        Self {
            commands: Commands::new("pi".parse().unwrap(), rules, true, journal, UpdateJournal::default(), None, now),
            key,
            records,
            now,
            disk: Ok(()),
            acts: Vec::new(),
            engine: Vec::new(),
            said: Vec::new(),
            journal: Vec::new(),
            note: Vec::new(),
            updates: Vec::new(),
            names: 0,
        }
    }

    fn claims(&mut self, cmd: Command) -> Claims {
        self.names += 1;
        let iat = self.now.wall / 1000;
        let (iss, sub) = ("home".to_owned(), "uid:0".to_owned());
        Claims { iss, aud: "pi".parse().unwrap(), sub, iat, exp: iat + 60, jti: format!("01-{}", self.names), cmd }
    }

    fn send(&mut self, claims: &Claims) {
        let token = sign(&self.key, claims).unwrap();
        self.message(token.as_bytes(), false);
    }

    fn message(&mut self, payload: &[u8], retained: bool) {
        self.commands.handle_message(payload, retained, &self.records, self.now);
        self.settle();
    }

    fn command(&mut self, cmd: Command) -> Vec<String> {
        let claims = self.claims(cmd);
        self.send(&claims);
        self.told()
    }

    fn settle(&mut self) {
        while let Some(effect) = self.commands.next_effect() {
            match effect {
                Effect::Write(bytes) => {
                    if self.disk.is_ok() {
                        self.journal = bytes;
                    }
                    self.commands.handle_written(self.disk.clone(), self.now);
                }
                Effect::Act { ticket, act } => {
                    let noted = read(&self.journal);
                    assert!(noted.entries().any(|(_, entry)| entry.outcome.is_none()), "done before it was noted");
                    self.acts.push((ticket, act));
                }
                Effect::Ignored { messages, reason } => self.said.push(format!("{messages}: {reason}")),
                Effect::Sample { ticket } => self.engine.push(format!("sample {ticket}")),
                Effect::Sampled(_) => self.engine.push("sampled".to_owned()),
                Effect::Fetch(order) => self.said.push(format!("fetch {}", order.digest)),
                Effect::Discard(target) => {
                    self.said.push(format!("discard beside {}", target.unwrap_or_default().display()));
                }
                Effect::FetchImage { image, .. } => self.said.push(format!("fetch {image}")),
                Effect::WriteTakeOver(bytes) => {
                    self.said.push("note".to_owned());
                    self.note = bytes;
                    assert!(!self.commands.handle_noted(self.disk.clone(), self.now));
                }
                Effect::HandOver(note) => self.said.push(format!("hand over to {}", note.to)),
                Effect::WriteNote(bytes) => {
                    self.said.push("note".to_owned());
                    self.note = bytes;
                    let leaves = self.commands.handle_noted(self.disk.clone(), self.now);
                    assert_eq!(leaves, self.commands.leaves_for().is_some());
                }
                Effect::WriteUpdates(bytes) => {
                    self.updates = bytes;
                    self.commands.handle_updates_written(&self.disk.clone(), self.now);
                }
                Effect::Told { .. } => {}
                Effect::More { ticket } => self.engine.push(format!("more {ticket}")),
                Effect::Cancel { ticket } => self.engine.push(format!("cancel {ticket}")),
            }
        }
    }

    fn wait(&mut self, milli: u64) {
        self.now.mono += Duration::from_millis(milli);
        self.now.wall += i64::try_from(milli).unwrap();
        self.commands.handle_timeout(self.now);
        self.settle();
    }

    fn done(&mut self, ticket: u64, result: Result<Done, ActError>) {
        self.commands.handle_acted(ticket, result, self.now);
        self.settle();
    }

    fn succeed(&mut self, ticket: u64) {
        self.done(ticket, Ok(Done { needed: true, result: None }));
    }

    /// The outcomes since the last call, as the broker takes them.
    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some((number, outcome)) = self.commands.next_outcome() {
            let reason = outcome.reason.as_deref().unwrap_or_default();
            let word = reason.split(':').next().unwrap_or_default();
            told.push(format!("{} {} {word}", outcome.jti, outcome.state.as_str()).trim_end().to_owned());
            self.commands.handle_taken(number);
        }
        told
    }
}

fn restart(container: &str) -> Command {
    Command::Restart { container: container.into(), timeout: Some(3) }
}

// E5
#[test]
fn a_command_is_noted_then_done_and_ends_in_an_outcome() {
    let mut desk = Desk::new("operate");
    assert_eq!(desk.command(restart("web")), ["01-1 accepted"]);
    assert_eq!(desk.acts, [(1, Act::Restart { id: id(1), timeout: Some(3) })]);
    desk.succeed(1);
    assert_eq!(desk.told(), ["01-1 succeeded"]);
    let claims = desk.claims(Command::Start { container: "0101010101".into() });
    desk.send(&claims);
    desk.done(2, Ok(Done { needed: false, result: None }));
    assert_eq!(desk.told(), ["01-2 accepted", "01-2 succeeded unchanged"]);
    desk.command(restart("web"));
    desk.done(3, Err(ActError { kind: ActErrorKind::Conflict, text: "it is being removed".into() }));
    assert_eq!(desk.told(), ["01-3 failed conflict"]);
    assert!(desk.commands.is_idle());
}

// E6
#[test]
fn what_nobody_signed_who_may_ask_is_ignored_and_told_to_nobody() {
    let mut desk = Desk::new("all");
    let claims = desk.claims(restart("web"));
    let stranger = sign(&SigningKey::generate().unwrap(), &claims).unwrap();
    let own = sign(&desk.key, &claims).unwrap();
    let mut changed = own.clone().into_bytes();
    changed[own.len() / 2] ^= 1;
    let other = sign(&desk.key, &Claims { aud: "other".parse().unwrap(), ..claims.clone() }).unwrap();
    let nameless = sign(&desk.key, &Claims { jti: "../x".to_owned(), ..claims }).unwrap();
    let huge = vec![b'a'; MAX_COMMAND + 1];
    for payload in
        [stranger.as_bytes(), &changed, other.as_bytes(), nameless.as_bytes(), &huge, b"", b"a.b.c", b"\xff\xfe"]
    {
        desk.now.mono += COMPLAIN;
        desk.message(payload, false);
    }
    assert_eq!((desk.said.len(), desk.told(), desk.acts.len()), (8, vec![], 0), "{:?}", desk.said);
    assert!(desk.commands.journal.entries().next().is_none());
}

// E6
#[test]
fn while_one_key_takes_over_from_another_both_are_heard() {
    let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let rules =
        Rules { keys: vec![old.public(), new.public()], policy: "operate".parse().unwrap(), ..Rules::default() };
    let mut desk = Desk::with(old, rules, Journal::default());
    assert_eq!(desk.command(restart("web")), ["01-1 accepted"]);
    desk.key = new;
    assert_eq!(desk.command(Command::Pause { container: "cache".into() }), ["01-2 accepted"]);
}

// E5
#[test]
fn a_command_is_of_now_or_refused() {
    let table: [(i64, i64, i64, &str); 9] = [
        (0, 60, 0, "accepted"),
        (-29, 1, 0, "accepted"),
        (-90, -31, 0, "refused expired"),
        (30, 90, 0, "accepted"),
        (31, 91, 0, "refused clock"),
        (0, 301, 0, "refused validity"),
        (0, 0, 0, "refused validity"),
        (i64::MIN, i64::MAX, 0, "refused validity"),
        (0, 60, -NOW / 1000, "refused clock"),
    ];
    for (iat, exp, clock, expect) in table {
        let mut desk = Desk::new("operate");
        let mut claims = desk.claims(restart("web"));
        let at = claims.iat;
        (claims.iat, claims.exp) = (at.saturating_add(iat), at.saturating_add(exp));
        desk.now.wall += clock * 1000;
        desk.send(&claims);
        assert_eq!(desk.told(), [format!("01-1 {expect}")], "{iat} {exp} {clock}");
        assert_eq!(desk.acts.len(), usize::from(expect == "accepted"));
    }
}

// E5
#[test]
fn what_comes_again_is_not_done_again() {
    let mut desk = Desk::new("operate");
    let claims = desk.claims(restart("web"));
    desk.send(&claims);
    desk.send(&claims);
    assert_eq!(desk.told(), ["01-1 accepted"]);
    desk.succeed(1);
    assert_eq!(desk.told(), ["01-1 succeeded"]);
    // Whoever sends it again has not heard how it ended.
    desk.send(&claims);
    assert_eq!((desk.told(), desk.acts.len()), (vec!["01-1 succeeded".to_owned()], 1));
    // A broker that keeps a command would give it to every connection.
    let kept = desk.claims(restart("web"));
    let token = sign(&desk.key, &kept).unwrap();
    desk.message(token.as_bytes(), true);
    assert_eq!((desk.told(), desk.acts.len()), (vec!["01-2 refused retained".to_owned()], 1));
}

// E5
#[test]
fn a_clock_that_is_set_back_makes_nothing_valid_again() {
    let mut desk = Desk::new("operate");
    let old = desk.claims(restart("web"));
    desk.send(&old);
    desk.succeed(1);
    assert_eq!(desk.told(), ["01-1 accepted", "01-1 succeeded"]);
    // A day later it is forgotten; then the host starts with the clock of the day before.
    desk.now.wall += 86_400_000;
    assert_eq!(desk.command(restart("web")), ["01-2 accepted"]);
    desk.succeed(2);
    assert_eq!(desk.told(), ["01-2 succeeded"]);
    desk.now.wall -= 86_400_000;
    desk.send(&old);
    assert_eq!((desk.told(), desk.acts.len()), (vec!["01-1 refused clock".to_owned()], 2));
    // What is as far back as clocks may be is still remembered or over.
    let mut desk = Desk::new("operate");
    let old = desk.claims(restart("web"));
    desk.send(&old);
    desk.succeed(1);
    desk.told();
    for seconds in 1..200 {
        desk.now.wall += 1000;
        desk.command(Command::Pause { container: "cache".into() });
        desk.now.wall -= SKEW * 1000;
        desk.send(&old);
        desk.now.wall += SKEW * 1000;
        desk.told();
        let restarts = desk.acts.iter().filter(|(_, act)| matches!(act, Act::Restart { .. })).count();
        assert_eq!(restarts, 1, "after {seconds} s");
        let ticket = desk.acts.last().unwrap().0;
        desk.succeed(ticket);
    }
}

// E5
#[test]
fn after_a_crash_nothing_is_done_again_and_nothing_ends_without_a_word() {
    let mut desk = Desk::new("operate");
    let (web, cache) = (desk.claims(restart("web")), desk.claims(Command::Pause { container: "cache".into() }));
    desk.send(&web);
    desk.send(&cache);
    desk.succeed(2);
    let journal = read(&desk.journal);
    let Desk { key, commands, .. } = desk;
    let mut after = Desk::with(key, commands.rules, journal);
    assert_eq!(after.told(), ["01-1 failed interrupted", "01-2 succeeded"]);
    after.send(&web);
    after.send(&cache);
    assert_eq!((after.told().len(), after.acts.len()), (2, 0));
    // What the broker has taken is not told a third time.
    after.settle();
    let journal = read(&after.commands.journal.to_bytes());
    let Desk { key, commands, .. } = after;
    let mut again = Desk::with(key, commands.rules, journal);
    assert!(again.told().is_empty());
}

// E5
#[test]
fn an_end_that_a_full_disk_did_not_take_is_noted_later() {
    let mut desk = Desk::new("operate");
    desk.command(restart("web"));
    desk.disk = Err("No space left on device".to_owned());
    desk.succeed(1);
    assert_eq!(desk.told(), ["01-1 succeeded"]);
    let noted = |desk: &Desk| read(&desk.journal).get("01-1").unwrap().outcome.is_some();
    for full in [true, true, false] {
        assert!(!noted(&desk));
        assert_eq!(desk.commands.poll_timeout(), Some(desk.now.mono + AGAIN));
        if !full {
            desk.disk = Ok(());
        }
        desk.wait(10_000);
    }
    assert!(noted(&desk));
    assert_eq!(desk.commands.poll_timeout(), None, "and that is the end of it");
}

// E5
#[test]
fn what_cannot_be_noted_is_not_done() {
    let mut desk = Desk::new("operate");
    desk.disk = Err("No space left on device".to_owned());
    assert_eq!(desk.command(restart("web")), ["01-1 refused storage"]);
    assert!(desk.acts.is_empty());
    desk.disk = Ok(());
    assert_eq!(desk.command(restart("web")), ["01-2 accepted"]);
    let rules = Rules { keys: vec![desk.key.public()], policy: "all".parse().unwrap(), ..Rules::default() };
    let mut memory = Desk::with(desk.key, rules.clone(), Journal::default());
    let (id, updates) = ("pi".parse().unwrap(), UpdateJournal::default());
    memory.commands = Commands::new(id, rules.clone(), false, Journal::default(), updates, None, memory.now);
    assert_eq!((memory.command(restart("web")), memory.acts.len()), (vec![], 0));
    assert!(memory.said[0].contains("DATA_DIR"), "{:?}", memory.said);
    assert_eq!(rules.abilities(false).allows, []);
    assert_eq!(rules.abilities(true).allows, ["all".into()]);
}

// E7, DM20
#[test]
fn the_host_decides() {
    let mut desk = Desk::new("operate,remove");
    desk.commands.rules.own = Some(id(1).to_string().into());
    let remove = |container: &str| Command::Remove { container: container.into(), force: true, volumes: false };
    for (command, expect) in [
        (Command::Rename { container: "cache".into(), to: "x".into() }, "refused policy"),
        (Command::Inspect { container: "web".into() }, "refused policy"),
        (restart("cache"), "refused policy"),
        (restart("db"), "refused protected"),
        (remove("db"), "refused protected"),
        (Command::Stop { container: "web".into(), timeout: None }, "refused protected"),
        (Command::Start { container: "web".into() }, "accepted"),
        (restart("nobody"), "failed not-found"),
        (Command::Unknown, "refused unknown-command"),
    ] {
        let told = desk.command(command.clone());
        assert_eq!(told.len(), 1, "{command:?}");
        assert!(told[0].ends_with(expect), "{command:?}: {told:?}");
    }
    assert_eq!(desk.acts.len(), 1);
    desk.records = BTreeMap::from([record(0xab, "a", &[]), record(0xac, "b", &[])]);
    let named = desk.command(restart("ababababab"));
    assert!(named[0].ends_with("accepted"), "{named:?}");
    assert!(desk.command(restart("ab"))[0].ends_with("not-found"), "a short text is a name");
}

// DM4
#[test]
fn one_container_waits_for_itself_and_for_no_other() {
    let mut desk = Desk::new("operate");
    for _ in 0..3 {
        desk.command(restart("web"));
    }
    desk.command(Command::Pause { container: "cache".into() });
    let doing: Vec<u64> = desk.acts.iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(doing, [1, 2]);
    assert!(matches!(desk.acts[1].1, Act::Pause { .. }));
    desk.succeed(1);
    assert_eq!(desk.acts.len(), 3);
    for _ in 0..20 {
        desk.command(restart("web"));
    }
    let told = desk.command(restart("web"));
    assert!(told[0].ends_with("refused busy"), "{told:?}");
    assert!(desk.command(Command::Unpause { container: "cache".into() })[0].ends_with("accepted"));
}

// E6
#[test]
fn a_flood_takes_no_memory_and_no_log_and_others_are_still_heard() {
    let mut desk = Desk::new("operate");
    let claims = desk.claims(restart("web"));
    let forged = sign(&SigningKey::generate().unwrap(), &claims).unwrap();
    for _ in 0..10_000 {
        desk.message(forged.as_bytes(), false);
    }
    assert_eq!((desk.said.len(), desk.told(), desk.commands.journal.entries().count()), (1, vec![], 0));
    desk.send(&claims);
    assert_eq!(desk.told(), ["01-1 accepted"]);
    desk.now.mono += COMPLAIN;
    desk.message(b"x", false);
    assert!(desk.said[1].starts_with("10000: "), "{:?}", desk.said);
}

// E5
#[test]
fn an_outcome_that_is_not_taken_is_told_again() {
    let mut desk = Desk::new("operate");
    let claims = desk.claims(restart("web"));
    desk.send(&claims);
    desk.succeed(1);
    let first = desk.commands.next_outcome().unwrap().0;
    let second = desk.commands.next_outcome().unwrap().0;
    assert!(desk.commands.next_outcome().is_none());
    desk.commands.handle_taken(first);
    desk.commands.handle_not_taken(second);
    assert_eq!(desk.commands.next_outcome().unwrap().0, second);
    desk.commands.handle_away(desk.now);
    assert_eq!(desk.told(), ["01-1 succeeded"]);
}

mod keeping;
mod store;
mod streaming;
mod updating;
