//! The event loop: feeds the core with what the broker, the engine and the clock say, performs
//! its effects, and decides nothing.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use radar_link::mqtt::{Session, SetupError};
use radar_link::time::Clock;
use radar_wire::topic::AgentId;

use crate::agent::commands::renewal::Releases;
use crate::agent::commands::{Rules, STEP};
use crate::agent::opening::Kept;
use crate::agent::trial::Note;
use crate::agent::{Agent, Effect};
use crate::engine::act::{ActError, ActErrorKind};
use crate::engine::notice::Notice;
use crate::engine::{self, AddressError, Engine};
use crate::health::{self, Listener, Report};
use crate::identity::{self, IdentityError, Machine};
use crate::kernel::Kernel;
use crate::mounts::Mounts;
use crate::release;
use crate::settings::Settings;

pub(crate) mod beginning;
pub mod directory;
mod renewing;
pub mod trial;

use beginning::{config, engine_settings, facts, host_name, moved_text, open_listener, start_session};
use directory::{Directory, DirectoryError};
use renewing::Renewing;

/// What is told where there is no data directory.
const MEMORY: &str =
    "events are kept in memory only, since there is no data directory: set DATA_DIR to one that this user can write";

/// What is told where commands were to be taken and there is no data directory.
const NO_COMMANDS: &str = "AGENT_COMMAND_KEY is set, but no command is taken, since none can be noted on a disk before it is done: set DATA_DIR";

/// How long the goodbye may take.
const DISCONNECT: Duration = Duration::from_secs(2);

/// How many inputs are taken before their effects are performed.
const BATCH: usize = 64;

/// Why the agent did not run, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The engine's address cannot be used.
    #[error("{0}")]
    Engine(#[source] AddressError),
    /// The broker's settings do not fit together.
    #[error("{0}")]
    Broker(#[source] SetupError),
    /// The data directory cannot be used.
    #[error("{0}")]
    Directory(#[source] DirectoryError),
    /// The agent does not know who it is.
    #[error("{0}")]
    Identity(#[source] IdentityError),
}

impl RunError {
    /// 64 when the settings are wrong, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Engine(_) | Self::Broker(_) | Self::Directory(DirectoryError::Unusable { .. }) => 64,
            Self::Directory(DirectoryError::InUse(_)) | Self::Identity(_) => 1,
        }
    }
}

/// What an agent is to the process that it runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One of several, or beside something else: it cannot be replaced by another version.
    Guest,
    /// The program that was started.
    Program,
    /// A new version on trial, which another watches.
    Trial,
}

/// How a life ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was asked to stop.
    Stopped,
    /// This process is to become this program, with the arguments that it was started with.
    Become(PathBuf),
}

/// Runs the agent until `shutdown` is ready, and then ends it within 10 s.
///
/// Logging and the rustls provider are the caller's business; several agents can run in one
/// process, each with its own `DATA_DIR`.
///
/// # Errors
/// Settings that cannot be used. The loss of the broker or of the engine is not an error.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()> + Send) -> Result<(), RunError> {
    live(settings, Role::Guest, shutdown).await.map(drop)
}

/// The same for an agent of this role, which may also end for a new version of itself.
///
/// # Errors
/// As for [`run`].
pub async fn live(settings: Settings, role: Role, shutdown: impl Future<Output = ()> + Send) -> Result<End, RunError> {
    let mut shutdown = pin!(shutdown.fuse());
    let mut engine = engine_settings(&settings)?;
    let directory =
        renewing::open_directory(settings.agent.data_dir.as_deref(), role).await.map_err(RunError::Directory)?;
    let path = directory.as_ref().map(Directory::path);
    let host = host_name();
    let machine = Machine::read(Path::new("/"));
    let identity =
        identity::settle(settings.agent.agent_id.as_ref(), path, &host, &machine).map_err(RunError::Identity)?;
    let memory = directory.is_none().then(|| MEMORY.to_owned());
    let moved = identity.moved.then(|| moved_text(&identity.id, path));
    let mounts = Mounts::read(Path::new("/"));
    let own = mounts.own_container();
    let place = renewing::place(&settings, role, &mounts, path);
    let fixed = renewing::warning(&settings, &place);
    let commanded = !settings.agent.agent_command_key.0.is_empty() && directory.is_none();
    let no_commands = commanded.then(|| NO_COMMANDS.to_owned());
    let warnings: Vec<String> = memory.into_iter().chain(no_commands).chain(fixed).chain(moved).collect();
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let mut kept = directory.as_ref().map(Directory::take).unwrap_or_default();
    if identity.moved {
        // Two machines must not go on with the same numbers.
        kept = Kept { stopped: None, ..kept };
    }
    let facts = facts(&settings, host, &machine);
    let mut releases = Releases { keys: settings.agent.agent_release_key.0.clone(), place, trial: None };
    let (reach, on_disk) = (engine.clone(), directory.as_ref());
    let proxy = settings.broker.mqtt_proxy.clone();
    let through = proxy.as_ref().map(|proxy| format!(" through the proxy {proxy}")).unwrap_or_default();
    let renewing = Renewing::open(reach, proxy, own.as_deref(), on_disk, role, &mut releases, &mut kept);
    let rules = Rules {
        keys: settings.agent.agent_command_key.0.clone(),
        policy: settings.agent.agent_allow.clone(),
        own,
        releases,
    };
    engine.actions = rules.actions(path.is_some());
    let clock = Clock::start();
    let session = start_session(&settings, &identity.id, path, &facts, &rules.abilities(path.is_some()), clock)?;
    tracing::info!(
        "radar-agent {} as {} (`{}`), broker {}{through}",
        crate::VERSION,
        identity.id,
        facts.name,
        settings.broker.mqtt_url
    );
    let kernel = Kernel::new(Path::new("/"), rules.own.is_some());
    let config = config(&settings, identity.id.clone(), facts, rules, directory.is_some(), warnings);
    let listener = path.and_then(open_listener);
    let agent = Agent::new(config, kept, clock.now());
    let path = path.map(Path::to_owned);
    let shell =
        Shell { agent, clock, session, engine: Err(engine), directory, listener, kernel, renewing, id: identity.id };
    match (shell.run(shutdown.as_mut()).await, path) {
        (Some(note), Some(path)) => Ok(trial::watch(note, &path, shutdown).await),
        _ => Ok(End::Stopped),
    }
}

struct Shell {
    agent: Agent,
    clock: Clock,
    session: Session,
    /// Its settings until it is started.
    engine: Result<Engine, engine::Settings>,
    directory: Option<Directory>,
    listener: Option<Listener>,
    kernel: Kernel,
    renewing: Renewing,
    id: AgentId,
}

impl Shell {
    /// Until it is asked to stop, or leaves for the trial of a new version.
    async fn run(mut self, mut shutdown: Pin<&mut (impl FusedFuture<Output = ()> + Send)>) -> Option<Note> {
        let mut asked = false;
        let unsaid = loop {
            if let Some(unsaid) = self.perform() {
                break unsaid;
            }
            tokio::select! {
                biased;
                () = &mut shutdown => {
                    asked = true;
                    self.agent.handle_stop(self.clock.now());
                }
                () = self.clock.sleep_until(self.agent.poll_timeout()) => self.agent.handle_timeout(self.clock.now()),
                asked = next_asked(self.listener.as_ref()) => {
                    if let Ok(stream) = asked {
                        health::answer(&stream, &Report::new(self.id.as_str(), &self.agent.condition()));
                    }
                }
                answer = self.renewing.next() => answer.tell(&mut self.agent, self.clock.now()),
                notice = self.session.next() => {
                    self.agent.handle_broker(notice, self.clock.now());
                    self.take_more();
                }
                notice = next_told(&mut self.engine) => {
                    self.agent.handle_engine(notice, self.clock.now());
                    self.take_more();
                }
            }
        };
        if unsaid {
            drop(self.session);
        } else if let Err(error) = self.session.disconnect(DISCONNECT).await {
            tracing::debug!("goodbye: {error}");
        }
        tracing::info!("stopped");
        self.agent.leaves_for().filter(|_| !asked).cloned()
    }

    /// Takes what has come meanwhile, so that its effects share one write to the disk.
    fn take_more(&mut self) {
        for _ in 0..BATCH {
            if let Some(notice) = self.session.next().now_or_never() {
                self.agent.handle_broker(notice, self.clock.now());
            } else if let Some(notice) = next_told(&mut self.engine).now_or_never() {
                self.agent.handle_engine(notice, self.clock.now());
            } else {
                break;
            }
        }
    }

    /// Performs what the core asks for; when the agent has ended, whether the broker does not know that.
    fn perform(&mut self) -> Option<bool> {
        while let Some(effect) = self.agent.next_effect() {
            match effect {
                Effect::StartEngine { since, read } => {
                    if let Err(settings) = &self.engine {
                        self.engine = Ok(Engine::start(settings.clone(), since, read));
                    }
                }
                Effect::List { ticket } => self.engine.iter_mut().for_each(|engine| engine.list(ticket)),
                Effect::Inspect { id } => self.engine.iter_mut().for_each(|engine| engine.inspect(id)),
                Effect::ReopenEngine => self.engine.iter_mut().for_each(Engine::reopen),
                Effect::Publish { key, message } => {
                    if let Err(error) = self.session.publish(key, message) {
                        self.agent.handle_not_published(key, &error, self.clock.now());
                    }
                }
                Effect::Unsubscribe(filter) => self.session.unsubscribe(&filter),
                Effect::RaiseSession(above) => self.session.raise(above),
                Effect::Write(write) => {
                    let result = self.on_disk(|directory| directory.write(&write));
                    self.agent.handle_written(result.map_err(|error| error.to_string()), self.clock.now());
                }
                Effect::WriteCommands(bytes) => {
                    let result = self.on_disk(|directory| directory.write_commands(&bytes));
                    if result.is_ok() {
                        self.renewing.handle_commands_written(self.directory.as_ref());
                    }
                    self.agent.handle_commands_written(result.map_err(|error| error.to_string()), self.clock.now());
                }
                Effect::WriteUpdates(bytes) => {
                    let result = self.on_disk(|directory| directory.write_updates(&bytes));
                    self.agent.handle_updates_written(result.map_err(|error| error.to_string()), self.clock.now());
                }
                Effect::Act { ticket, act } => match &mut self.engine {
                    Ok(engine) => engine.act(ticket, act, STEP),
                    Err(_) => {
                        let text = "the engine was not asked anything yet".into();
                        let result = Err(ActError { kind: ActErrorKind::Engine, text });
                        self.agent.handle_engine(Notice::Acted { ticket, result }, self.clock.now());
                    }
                },
                Effect::More { ticket } => self.engine.iter_mut().for_each(|engine| engine.more(ticket)),
                Effect::Cancel { ticket } => self.engine.iter_mut().for_each(|engine| engine.cancel(ticket)),
                Effect::ReadHost => self.agent.handle_host(self.kernel.usage(), self.clock.now()),
                Effect::Fetch(order) => self.renewing.fetch(order),
                Effect::FetchImage { image, own } => self.renewing.fetch_image(image, own),
                Effect::HandOver(note) => self.renewing.hand_over(*note, self.directory.as_ref()),
                Effect::Discard(target) => {
                    target.iter().for_each(|target| release::discard(target));
                    self.directory.iter().for_each(Directory::forget_note);
                }
                Effect::WriteNote(bytes) => {
                    let result = self.on_disk(|directory| directory.write_note(&bytes));
                    self.agent.handle_noted(result.map_err(|error| error.to_string()), self.clock.now());
                }
                Effect::WriteTakeOver(bytes) => {
                    let result = self.on_disk(|directory| directory.write_take_over(&bytes));
                    self.agent.handle_noted(result.map_err(|error| error.to_string()), self.clock.now());
                }
                Effect::WriteCursor(cursor) => {
                    if let Err(error) = self.on_disk(|directory| directory.write_cursor(cursor)) {
                        tracing::warn!("{error}; after a crash the engine's events are read from further back");
                    }
                }
                Effect::Finish { outbox, stopped } => {
                    if let Err(error) = self.on_disk(|directory| directory.finish(outbox, stopped.as_ref())) {
                        tracing::warn!("the outbox is not kept: {error}");
                    }
                }
                Effect::Say(remark) => match remark.level() {
                    tracing::Level::ERROR => tracing::error!("{remark}"),
                    tracing::Level::WARN => tracing::warn!("{remark}"),
                    _ => tracing::info!("{remark}"),
                },
                Effect::Stopped { unsaid } => return Some(unsaid),
            }
        }
        None
    }

    fn on_disk(&self, work: impl FnOnce(&Directory) -> io::Result<()>) -> io::Result<()> {
        self.directory.as_ref().map_or(Ok(()), work)
    }
}

async fn next_told(engine: &mut Result<Engine, engine::Settings>) -> Notice {
    match engine {
        Ok(engine) => engine.next().await,
        Err(_) => std::future::pending().await,
    }
}

async fn next_asked(listener: Option<&Listener>) -> io::Result<tokio::net::UnixStream> {
    match listener {
        Some(listener) => listener.next().await,
        None => std::future::pending().await,
    }
}
