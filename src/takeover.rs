//! The agent's own container replaced by one of another image: the hands that do it at the engine. The old agent pulls
//! and starts a helper from the new image; the helper replaces the old container, watches the broker for the new agent,
//! and writes its verdict; whichever agent lives after that clears up what is left. What is made from what, and what is
//! told, is decided by [`crate::agent::takeover`].

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use radar_link::files::{read_if_there, write_atomic};
use radar_wire::container::ContainerId;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::agent::takeover::{Names, TakeOver, helper, id};
use crate::agent::trial::{Settled, Stage};
use crate::agent::update::blueprint::Blueprint;
use crate::engine::act::{Act, ActErrorKind, Document, Piece};
use crate::engine::notice::Notice;
use crate::engine::{Engine, Settings};
use crate::{health, shell};

pub mod helping;

/// How long one step may take, and how long a pull.
const STEP: Duration = Duration::from_secs(60);
const PULL: Duration = Duration::from_secs(10 * 60);
/// How long the engine is waited for.
const REACH: Duration = Duration::from_secs(30);
/// How often it is looked how things are.
const LOOK: Duration = Duration::from_secs(1);
/// How often a step back is tried.
const TRIES: usize = 60;

/// A way to the engine that does one thing after the other.
struct Hands {
    engine: Engine,
    tickets: u64,
}

impl Hands {
    /// Waits until the engine answers.
    async fn reach(settings: Settings) -> Result<Self, String> {
        let mut hands = Self { engine: Engine::start(settings, None, None), tickets: 0 };
        let up = async { while !matches!(hands.engine.next().await, Notice::Up(_)) {} };
        timeout(REACH, up).await.map_err(|_| "the engine does not answer".to_owned())?;
        Ok(hands)
    }

    async fn act(&mut self, act: Act, time_out: Duration) -> Result<(Option<Document>, Option<Box<str>>), Failed> {
        self.tickets += 1;
        let own = self.tickets;
        self.engine.act(own, act, time_out);
        let mut found = None;
        loop {
            match self.engine.next().await {
                Notice::Told { ticket, piece } if ticket == own => {
                    if let Piece::Found(document) = piece {
                        found = Some(document);
                    }
                    self.engine.more(own);
                }
                Notice::Acted { ticket, result } if ticket == own => {
                    let done = result.map_err(|error| Failed { kind: error.kind, text: error.text })?;
                    return Ok((found, done.result.and_then(|result| result.into_text().ok()).map(Into::into)));
                }
                _ => {}
            }
        }
    }

    async fn step(&mut self, act: Act) -> Result<(), String> {
        self.act(act, STEP).await.map(drop).map_err(|error| error.text.into())
    }

    /// A step that must be taken: the engine may be away for a while.
    async fn insist(&mut self, act: Act) -> Result<(), String> {
        for _ in 1..TRIES {
            match self.act(act.clone(), STEP).await {
                Err(error) if matches!(error.kind, ActErrorKind::Engine | ActErrorKind::TimedOut) => sleep(LOOK).await,
                Err(error) if error.kind == ActErrorKind::NotFound => return Ok(()),
                other => return other.map(drop).map_err(|error| error.text.into()),
            }
        }
        self.step(act).await
    }

    /// A container's inspect; none where there is none.
    async fn container(&mut self, named: &str) -> Result<Option<Value>, String> {
        let (found, _) = self.act(Act::Describe { named: vec![named.into()] }, STEP).await?;
        let found = found.and_then(|found| found.0.as_array().and_then(|all| all.first().cloned()));
        Ok(found.filter(|one| !one.is_null()))
    }

    async fn image(&mut self, named: &str) -> Result<Value, String> {
        let (found, _) = self.act(Act::DescribeImage { image: named.into() }, STEP).await?;
        Ok(found.map(|found| found.0).unwrap_or_default())
    }

    async fn create(&mut self, name: &str, made: &Blueprint) -> Result<ContainerId, String> {
        let act = Act::Create { name: name.into(), body: made.body.clone() };
        let (_, id) = self.act(act, STEP).await?;
        let id: ContainerId = id.unwrap_or_default().parse().map_err(|_| "the engine tells no id".to_owned())?;
        if let Some(network) = made.leave.clone() {
            self.step(Act::Disconnect { network, id }).await?;
        }
        for (network, endpoint) in made.join.clone() {
            self.step(Act::Connect { network, id, endpoint }).await?;
        }
        Ok(id)
    }

    /// Removes a container, if it is there.
    async fn clear(&mut self, named: &str) -> Result<(), String> {
        match self.container(named).await? {
            Some(found) => match id(&found).parse() {
                Ok(id) => self.insist(Act::Remove { id, force: true, volumes: false }).await,
                Err(_) => Ok(()),
            },
            None => Ok(()),
        }
    }
}

/// Why an act failed.
struct Failed {
    kind: ActErrorKind,
    text: Box<str>,
}

impl From<Failed> for String {
    fn from(failed: Failed) -> Self {
        failed.text.into()
    }
}

/// What is on the disk; none where there is nothing, or nothing that is understood.
#[must_use]
pub fn read(directory: &Path) -> Option<TakeOver> {
    let bytes = read_if_there(&TakeOver::file(directory)).ok().flatten()?;
    ciborium::de::from_reader_with_recursion_limit(bytes.as_slice(), 16).ok()
}

fn write(directory: &Path, note: &TakeOver) -> io::Result<()> {
    write_atomic(&TakeOver::file(directory), &note.to_bytes(), 0o600)
}

/// Pulls an image for the agent's container; its id, or none when the container is made from it already. An image that
/// cannot be pulled and is there is taken as it is.
///
/// # Errors
/// The reason.
pub async fn fetch(settings: Settings, image: Box<str>, own: ContainerId) -> Result<Option<Box<str>>, String> {
    let mut hands = Hands::reach(settings).await?;
    let pulled = hands.act(Act::Pull { image: image.clone() }, PULL).await;
    let found = match (pulled, hands.image(&image).await) {
        (_, Ok(found)) => found,
        (Err(error), Err(_)) => return Err(format!("pull: {}", error.text)),
        (Ok(_), Err(error)) => return Err(format!("pull: {error}")),
    };
    let old = hands.container(&own.to_string()).await?.ok_or("not-found: the agent's container is not known")?;
    let made_from = old["Image"].as_str().unwrap_or_default();
    Ok(Some(id(&found)).filter(|id| *id != made_from).map(Into::into))
}

/// Starts the helper and waits for it. It ends this agent, so what this returns is why it did not.
pub async fn hand_over(settings: Settings, note: TakeOver, directory: PathBuf) -> String {
    let mut hands = match Hands::reach(settings).await {
        Ok(hands) => hands,
        Err(error) => return error,
    };
    let started = start_helper(&mut hands, &note).await;
    let names = match started {
        Ok(names) => names,
        Err(error) => return format!("helper: {error}"),
    };
    loop {
        sleep(LOOK).await;
        match hands.container(&names.helper).await {
            Ok(None) => break,
            Ok(Some(found)) if found["State"]["Running"] != true => break,
            // It could do nothing, and would try again.
            Ok(Some(_)) if read(&directory).is_some_and(|note| note.stage != Stage::Trying) => break,
            // The engine may be away for a moment.
            _ => {}
        }
    }
    // It is gone, and this agent is still here.
    let _ = hands.clear(&names.helper).await;
    let _ = hands.clear(&names.new).await;
    match read(&directory).map(|note| note.stage) {
        Some(Stage::Back(why)) => format!("rolled-back: {why}"),
        _ => "rolled-back: the helper, which is made from the new image, ended without a word".to_owned(),
    }
}

async fn start_helper(hands: &mut Hands, note: &TakeOver) -> Result<Names, String> {
    let old = hands.container(&note.old.to_string()).await?.ok_or("the agent's container is not known")?;
    let names = note.names(old["Name"].as_str().unwrap_or_default());
    let before = hands.image(old["Image"].as_str().unwrap_or_default()).await?;
    let after = hands.image(&note.to).await?;
    let program = std::fs::read_link("/proc/self/exe").map_err(|error| error.to_string())?;
    let arguments = shell::trial::arguments().map(|argument| argument.to_string_lossy().into_owned());
    // The helper has a subcommand of its own.
    let arguments: Vec<String> = arguments.filter(|argument| argument != "run").collect();
    let made = helper(&old, (&before, &after), &note.image, &program.to_string_lossy(), &arguments);
    hands.clear(&names.helper).await?;
    hands.clear(&names.new).await?;
    let id = hands.create(&names.helper, &made).await?;
    if let Err(error) = hands.step(Act::Start { id }).await {
        let _ = hands.clear(&names.helper).await;
        return Err(error);
    }
    Ok(names)
}

/// Waits until the helper has said its last word, and clears up after it, as the agent of the container `own`.
pub async fn settle(settings: Settings, mut note: TakeOver, own: Option<ContainerId>, directory: PathBuf) -> Settled {
    loop {
        note = read(&directory).unwrap_or(note);
        let Ok(mut hands) = Hands::reach(settings.clone()).await else { continue };
        match settle_with(&mut hands, note.clone(), own, &directory).await {
            Ok(settled) => return settled,
            Err(error) => tracing::warn!("clearing up after a self-update: {error}"),
        }
        sleep(LOOK).await;
    }
}

async fn settle_with(
    hands: &mut Hands,
    mut note: TakeOver,
    own: Option<ContainerId>,
    directory: &Path,
) -> Result<Settled, String> {
    let old = hands.container(&note.old.to_string()).await?;
    let own_name = match own {
        Some(own) => {
            hands.container(&own.to_string()).await?.map(|it| it["Name"].as_str().unwrap_or_default().to_owned())
        }
        None => None,
    };
    let name = own_name.or_else(|| Some(old.as_ref()?["Name"].as_str()?.to_owned())).ok_or("no container is left")?;
    let names = note.names(&name);
    while note.stage == Stage::Trying
        && hands.container(&names.helper).await?.is_some_and(|helper| helper["State"]["Running"] == true)
    {
        sleep(LOOK).await;
        note = read(directory).unwrap_or(note);
    }
    let is_old = own.is_none_or(|own| own == note.old);
    if note.stage == Stage::Trying && !is_old {
        // The helper is gone, and the new one must know by itself whether it is of use.
        if is_online(directory, note.patience).await {
            note.stage = Stage::Adopting;
        } else {
            note.stage = Stage::Back("the new one was not online, and the helper had ended".into());
        }
        write(directory, &note).map_err(|error| error.to_string())?;
    }
    match &note.stage {
        Stage::Adopting => hands.clear(&note.old.to_string()).await?,
        Stage::Trying | Stage::Back(_) if is_old => {
            hands.clear(&names.new).await?;
            // With another one in its place.
            if names.place != name.trim_start_matches('/').into() {
                hands.clear(&names.place).await?;
                hands.insist(Act::Rename { id: note.old, to: names.place.clone() }).await?;
            }
        }
        Stage::Trying | Stage::Back(_) => {
            let own = own.ok_or("its own container is not known")?;
            hands.insist(Act::Rename { id: own, to: names.new.clone() }).await?;
            hands.insist(Act::Rename { id: note.old, to: names.place.clone() }).await?;
            hands.insist(Act::Start { id: note.old }).await?;
            hands.insist(Act::Remove { id: own, force: true, volumes: false }).await?;
        }
    }
    hands.clear(&names.helper).await?;
    Ok(note.settle(&crate::version()))
}

async fn is_online(directory: &Path, patience: Duration) -> bool {
    let online = async {
        while !health::look(directory).await.is_ok_and(|report| report.online) {
            sleep(LOOK).await;
        }
    };
    timeout(patience, online).await.is_ok()
}
