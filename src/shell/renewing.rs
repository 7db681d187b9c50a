//! What the shell does for a self-update: what there is to replace, the work that takes its time, and what is left on
//! the disk of an earlier life's.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;

use radar_link::proxy::ProxyUrl;
use radar_link::tasks::Owned;
use radar_link::time::{Clock, Now};
use radar_wire::container::ContainerId;

use super::Role;
use super::directory::{self, Directory, DirectoryError};
use super::trial::note_file;
use crate::agent::Agent;
use crate::agent::commands::renewal::{Place, Releases};
use crate::agent::opening::Kept;
use crate::agent::takeover::TakeOver;
use crate::agent::trial::Settled;
use crate::mounts::Mounts;
use crate::release::{self, Order};
use crate::settings::Settings;
use crate::{engine, takeover};

/// What is told where a new version could not be put in the place of this one.
const NO_RELEASES: &str = "AGENT_RELEASE_KEY is set, but the agent cannot update itself";

/// How long a new version may take to leave the data directory, and how often it is tried.
const LEAVING: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(100);

/// What has come of work.
pub(super) enum Answer {
    Fetched(Result<Option<Box<str>>, String>),
    Stayed(String),
    Settled(Settled),
}

/// A self-update, as far as it is work.
pub(super) struct Renewing {
    engine: engine::Settings,
    /// On the way to where releases are.
    proxy: Option<ProxyUrl>,
    task: Option<Owned<Answer>>,
    /// How an earlier life's ended is to be noted among the commands.
    settled: bool,
}

impl Renewing {
    /// Takes up what an earlier life has left: how it ended goes into `kept`, or is found out by a task.
    pub(super) fn open(
        engine: engine::Settings,
        proxy: Option<ProxyUrl>,
        own: Option<&str>,
        directory: Option<&Directory>,
        role: Role,
        releases: &mut Releases,
        kept: &mut Kept,
    ) -> Self {
        let own = own.and_then(|own| own.parse().ok());
        let mut renewing = Self { engine, proxy, task: None, settled: false };
        let note = directory.and_then(Directory::note);
        if role == Role::Trial {
            releases.trial = Some(note.as_ref().map(|note| note.jti.clone()).unwrap_or_default());
        }
        if role != Role::Program {
            return renewing;
        }
        if let Some(note) = note {
            kept.settled = Some(note.settle(note.staged().exists(), &crate::version()));
            renewing.settled = true;
            release::discard(&note.target);
        }
        // What a download that was cut off has left.
        if let Place::Program(target) = &releases.place {
            release::discard(target);
        }
        if let Some((path, note)) = directory.and_then(|it| Some((it.path(), takeover::read(it.path())?))) {
            releases.trial = Some(note.jti.clone());
            let settling = takeover::settle(renewing.engine.clone(), note, own, path.to_owned());
            renewing.task = Some(Owned::spawn(async { Answer::Settled(settling.await) }));
        }
        renewing
    }

    /// Fetches a program.
    pub(super) fn fetch(&mut self, order: Order) {
        let fetching = release::fetch(order, self.proxy.clone());
        let fetching = async { Answer::Fetched(fetching.await.map(Some).map_err(|error| error.to_string())) };
        self.task = Some(Owned::spawn(fetching));
    }

    /// Pulls an image.
    pub(super) fn fetch_image(&mut self, image: Box<str>, own: ContainerId) {
        let fetching = takeover::fetch(self.engine.clone(), image, own);
        self.task = Some(Owned::spawn(async { Answer::Fetched(fetching.await) }));
    }

    /// Starts a helper.
    pub(super) fn hand_over(&mut self, note: TakeOver, directory: Option<&Directory>) {
        let path = directory.map(|directory| directory.path().to_owned()).unwrap_or_default();
        let handing = takeover::hand_over(self.engine.clone(), note, path);
        self.task = Some(Owned::spawn(async { Answer::Stayed(handing.await) }));
    }

    /// The commands are noted: what an earlier life has left is of no more use.
    pub(super) fn handle_commands_written(&mut self, directory: Option<&Directory>) {
        if std::mem::take(&mut self.settled) {
            directory.into_iter().for_each(Directory::forget_note);
        }
    }

    /// What has come of the work, as soon as something has. Cancel-safe.
    pub(super) async fn next(&mut self) -> Answer {
        let Some(task) = &mut self.task else { return pending().await };
        let answer = task.value().await;
        self.task = None;
        self.settled |= matches!(answer, Answer::Settled(_));
        answer
    }
}

impl Answer {
    /// Hands it to the core.
    pub(super) fn tell(self, agent: &mut Agent, now: Now) {
        match self {
            Self::Fetched(result) => agent.handle_fetched(result, now),
            Self::Stayed(why) => agent.handle_stayed(&why, now),
            Self::Settled(settled) => agent.handle_settled(settled, now),
        }
    }
}

/// What there is to replace.
pub(super) fn place(settings: &Settings, role: Role, mounts: &Mounts, directory: Option<&Path>) -> Place {
    if role != Role::Program {
        return Place::default();
    }
    let Some(own) = mounts.own_container() else {
        if settings.agent.agent_release_key.0.is_empty() {
            return Place::Fixed("AGENT_RELEASE_KEY is not set".into());
        }
        return release::own_program().map_or_else(|why| Place::Fixed(why.into()), Place::Program);
    };
    let mounted = directory.and_then(|path| path.canonicalize().ok()).is_some_and(|path| mounts.outlive(&path));
    match own.parse() {
        Ok(own) if mounted => Place::Container(own),
        Ok(_) => Place::Fixed("DATA_DIR is not on a mount, so what became of it could not be told afterwards".into()),
        Err(_) => Place::Fixed("the agent's container is not known".into()),
    }
}

/// What the operator should know who has set a release key for nothing.
pub(super) fn warning(settings: &Settings, place: &Place) -> Option<String> {
    match place {
        Place::Fixed(why) if !settings.agent.agent_release_key.0.is_empty() => Some(format!("{NO_RELEASES}: {why}")),
        _ => None,
    }
}

/// Opens the data directory. After a trial that was cut off the new version may need a moment to leave it.
pub(super) async fn open_directory(given: Option<&Path>, role: Role) -> Result<Option<Directory>, DirectoryError> {
    let clock = Clock::start();
    let left = |path: &PathBuf| note_file(path).exists() || TakeOver::file(path).exists();
    loop {
        match directory::open(given) {
            Err(DirectoryError::InUse(path)) if role == Role::Program && left(&path) && clock.now().mono < LEAVING => {
                clock.sleep_until(Some(clock.now().mono + AGAIN)).await;
            }
            other => return other,
        }
    }
}
