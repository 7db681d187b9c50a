//! Self-updates as they are asked for, until the agent leaves for the trial.

use std::path::PathBuf;

use radar_link::jws::{Hasher, SigningKey, sign_digest};
use radar_wire::command::Program;

use super::*;
use crate::agent::commands::renewal::{Place, Releases};
use crate::agent::takeover::TakeOver;
use crate::agent::trial::{Note, Settled, Stage};

const TARGET: &str = "/opt/radar-agent";

/// A host that may be updated by whoever has this key.
fn desk() -> (Desk, SigningKey) {
    let mut desk = Desk::new("operate,self-update");
    let release = SigningKey::generate().unwrap();
    let place = Place::Program(PathBuf::from(TARGET));
    desk.commands.rules.releases = Releases { keys: vec![release.public()], place, trial: None };
    (desk, release)
}

fn program(key: &SigningKey) -> Program {
    let mut hasher = Hasher::new();
    hasher.update(b"new");
    let digest = hasher.finish();
    let signature = sign_digest(key, &digest).unwrap().into();
    Program { url: "https://example.org/radar-agent".into(), sha256: digest.to_string().into(), signature }
}

fn update(program: Program) -> Command {
    Command::SelfUpdate { image: None, program: Some(program), patience: Some(90) }
}

fn fetched(desk: &mut Desk, result: Result<&str, &str>) -> Vec<String> {
    desk.commands.handle_fetched(result.map(|to| (!to.is_empty()).then(|| to.into())).map_err(str::to_owned), desk.now);
    desk.settle();
    std::mem::take(&mut desk.said)
}

// DM13
#[test]
fn a_signed_version_is_fetched_and_the_agent_leaves_for_its_trial() {
    let (mut desk, release) = desk();
    assert_eq!(desk.command(update(program(&release))), ["01-1 accepted"]);
    assert_eq!(std::mem::take(&mut desk.said), [format!("fetch {}", program(&release).sha256)]);
    assert_eq!(desk.command(update(program(&release))), ["01-2 refused busy"]);
    assert_eq!(desk.command(restart("web")), ["01-3 accepted"], "others go on");
    desk.succeed(desk.acts[0].0);
    assert_eq!(desk.told(), ["01-3 succeeded"]);
    assert_eq!(fetched(&mut desk, Ok("0.2.0")), ["note"]);
    assert_eq!(desk.told(), ["01-1 progress"]);
    let note: Note = ciborium::from_reader(desk.note.as_slice()).unwrap();
    assert_eq!(desk.commands.leaves_for(), Some(&note));
    assert_eq!((&*note.jti, &*note.to, note.patience.as_secs(), note.stage), ("01-1", "0.2.0", 90, Stage::Trying));
    assert_eq!(desk.command(restart("web")), ["01-4 refused busy"], "nothing more begins");
    assert!(desk.commands.is_idle(), "nothing keeps the goodbye");
}

// DM13, E7
#[test]
fn what_is_not_signed_or_cannot_be_replaced_is_refused_before_anything_is_fetched() {
    let (mut desk, release) = desk();
    let other = SigningKey::generate().unwrap();
    let good = || program(&release);
    let twisted = good().sha256.replace(char::is_numeric, "0").into();
    for (program, word) in [
        (program(&other), "signature"),
        (Program { sha256: twisted, ..good() }, "signature"),
        (Program { signature: "".into(), ..good() }, "signature"),
        (Program { sha256: "abc".into(), ..good() }, "invalid"),
        (Program { url: "ftp://example.org/x".into(), ..good() }, "invalid"),
        (Program { url: "https://me:secret@example.org/x".into(), ..good() }, "invalid"),
    ] {
        let told = desk.command(update(program));
        assert!(told[0].ends_with(&format!("refused {word}")), "{told:?}");
    }
    for patience in [0, 601] {
        let command = Command::SelfUpdate { image: None, program: Some(good()), patience: Some(patience) };
        assert!(desk.command(command)[0].ends_with("refused invalid"));
    }
    let nothing = Command::SelfUpdate { image: None, program: None, patience: None };
    assert!(desk.command(nothing)[0].ends_with("refused invalid"));
    let releases = desk.commands.rules.releases.clone();
    for (releases, word) in [
        (Releases { keys: vec![], ..releases.clone() }, "no-release-key"),
        (Releases { place: Place::Fixed("it is read-only".into()), ..releases.clone() }, "not-replaceable"),
        (Releases { place: Place::Container(id(9)), ..releases.clone() }, "invalid"),
        (Releases { trial: Some("01-0".into()), ..releases.clone() }, "busy"),
    ] {
        desk.commands.rules.releases = releases;
        let told = desk.command(update(good()));
        assert!(told[0].ends_with(&format!("refused {word}")), "{told:?}");
    }
    desk.commands.rules = Rules { policy: "operate".parse().unwrap(), releases, ..desk.commands.rules };
    assert!(desk.command(update(good()))[0].ends_with("refused policy"));
    assert!(desk.said.is_empty(), "{:?}", desk.said);
}

// DM13
#[test]
fn a_version_that_cannot_be_had_fails_and_the_next_may_be_asked_for() {
    let (mut desk, release) = desk();
    desk.command(update(program(&release)));
    desk.said.clear();
    assert!(fetched(&mut desk, Err("hash: it is another")).is_empty());
    assert_eq!(desk.told(), ["01-1 failed hash"]);
    assert_eq!(desk.command(update(program(&release))), ["01-2 accepted"]);
    desk.disk = Err("No space left on device".to_owned());
    let (note, discard) = ("note".to_owned(), format!("discard beside {TARGET}"));
    assert_eq!(fetched(&mut desk, Ok("0.2.0"))[1..], [note, discard]);
    assert_eq!(desk.told(), ["01-2 failed storage"]);
    desk.disk = Ok(());
    assert_eq!(desk.command(restart("web")), ["01-3 accepted"]);
}

// DM13
#[test]
fn the_agent_leaves_when_nothing_else_is_under_way_or_not_at_all() {
    let (mut desk, release) = desk();
    desk.command(restart("web"));
    desk.command(update(program(&release)));
    desk.said.clear();
    assert!(fetched(&mut desk, Ok("0.2.0")).is_empty(), "it waits");
    let until = desk.commands.poll_timeout().unwrap();
    desk.succeed(desk.acts[0].0);
    assert_eq!(std::mem::take(&mut desk.said), ["note"]);
    assert_eq!((desk.commands.poll_timeout(), desk.commands.leaves_for().is_some()), (None, true));

    let (mut desk, release) = self::desk();
    desk.command(restart("web"));
    desk.command(update(program(&release)));
    desk.said.clear();
    fetched(&mut desk, Ok("0.2.0"));
    desk.told();
    desk.now.mono = until;
    desk.commands.handle_timeout(desk.now);
    desk.settle();
    assert_eq!(desk.said, [format!("discard beside {TARGET}")]);
    assert_eq!(desk.told(), ["01-2 failed busy"]);
}

// DM13, E5
#[test]
fn what_became_of_it_is_told_once_by_the_life_after_and_not_by_the_trial() {
    let (mut desk, release) = desk();
    desk.command(update(program(&release)));
    fetched(&mut desk, Ok("0.2.0"));
    desk.told();
    let settled = |state| Settled { jti: "01-1".into(), state, reason: None, result: None };
    let Desk { key, commands, journal, now, .. } = desk;
    let life = |trial: Option<&str>, settled: Option<Settled>, journal: &[u8]| {
        let releases = Releases { trial: trial.map(Into::into), ..commands.rules.releases.clone() };
        let rules = Rules { releases, ..commands.rules.clone() };
        let mut desk = Desk::with(SigningKey::from_pkcs8(key.to_pkcs8()).unwrap(), rules.clone(), Journal::default());
        desk.journal = journal.to_vec();
        desk.commands =
            Commands::new("pi".parse().unwrap(), rules, true, read(journal), UpdateJournal::default(), settled, now);
        desk.settle();
        desk
    };
    assert!(life(Some("01-1"), None, &journal).told().is_empty(), "the trial says nothing of it");
    assert_eq!(life(None, None, &journal).told(), ["01-1 failed interrupted"], "there was no trial");
    let mut after = life(None, Some(settled(Progress::Succeeded)), &journal);
    assert_eq!(after.told(), ["01-1 succeeded"]);
    after.settle();
    // The note could not be removed, and is there again.
    let mut again = life(None, Some(settled(Progress::Failed)), &after.journal.clone());
    assert!(again.told().is_empty());
}

// DM13
#[test]
fn an_agent_in_a_container_hands_over_to_a_helper_from_the_image_and_goes_on_when_that_fails() {
    let (mut desk, release) = desk();
    desk.commands.rules.releases.place = Place::Container(id(9));
    let image = |image: &str| Command::SelfUpdate { image: Some(image.into()), program: None, patience: None };
    assert!(desk.command(update(program(&release)))[0].ends_with("refused invalid"));
    assert!(desk.command(image(""))[0].ends_with("refused invalid"));
    assert_eq!(desk.command(image("agent:1")), ["01-3 accepted"]);
    assert_eq!(std::mem::take(&mut desk.said), ["fetch agent:1"]);
    assert!(fetched(&mut desk, Ok("")).is_empty());
    assert_eq!(desk.told(), ["01-3 succeeded unchanged"]);
    desk.command(image("agent:2"));
    desk.said.clear();
    assert_eq!(fetched(&mut desk, Ok("sha256:2")), ["note", "hand over to sha256:2"]);
    let note: TakeOver = ciborium::from_reader(desk.note.as_slice()).unwrap();
    assert_eq!((&*note.image, note.old, note.patience.as_secs()), ("agent:2", id(9), 90));
    assert!(desk.commands.is_replaced() && desk.commands.leaves_for().is_none());
    assert_eq!(desk.told(), ["01-4 progress"]);
    assert_eq!(desk.command(restart("web")), ["01-5 refused busy"]);
    desk.commands.handle_stayed("rolled-back: it did not start", desk.now);
    desk.settle();
    assert_eq!(desk.told(), ["01-4 failed rolled-back"]);
    assert_eq!(desk.command(restart("web")), ["01-6 accepted"]);
}
