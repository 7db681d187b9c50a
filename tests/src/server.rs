//! A double of the Registry Radar server, version 0.1.0-beta.8, with its hazards: the size limit, pages instead of
//! errors, keys that live in memory, the one connection to its database on which two transactions meet, and
//! the transaction that stays open for ever. It knows what the server does and nothing of who calls it.
//!
//! `state` is the database and what is recorded of the calls, `routes` the interface, `heartbeat` the hazard,
//! `process` the process that can be ended.

mod heartbeat;
mod process;
mod routes;
mod state;
mod tokens;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use radar_link::time::Clock;
use serde_json::Value;

use self::process::Process;
use self::state::State;
use crate::port;

/// A running double. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    shared: Shared,
    process: Mutex<Option<Process>>,
    port: u16,
}

/// What the handle and the process share.
#[derive(Debug, Clone)]
struct Shared {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

/// What can be wrong with the server, or with what stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answers this status with JSON.
    Status(u16),
    /// Answers 200 with a page.
    Page,
    /// Takes the request and never answers.
    Silence,
    /// Does what is asked, this much later.
    Slow(Duration),
    /// Finds no token good.
    Unauthorized,
    /// Finds every body too large.
    TooLarge,
}

/// An agent as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView {
    /// The server's id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The tags.
    pub tags: Vec<String>,
    /// `online` or `offline`, or whatever a heartbeat said.
    pub status: String,
    /// Containers whose status is `running`.
    pub running: Vec<ContainerView>,
    /// All others.
    pub stopped: Vec<ContainerView>,
    /// When the last heartbeat came, by [`Server::now`].
    pub last_seen: Option<Duration>,
}

impl AgentView {
    /// The names of all its containers, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.running.iter().chain(&self.stopped).map(|container| &*container.name).collect();
        names.sort_unstable();
        names
    }
}

/// A container as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerView {
    /// The id that was sent.
    pub id: String,
    /// The name.
    pub name: String,
    /// The image without its tag.
    pub image: String,
    /// The tag.
    pub tag: String,
    /// The engine's word for its state.
    pub status: String,
    /// When it was made, where that was sent.
    pub created: Option<String>,
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// When it came, by [`Server::now`].
    pub at: Duration,
    /// `GET`, `POST`, …
    pub method: String,
    /// The path without the prefix.
    pub path: String,
    /// Whose token it bore.
    pub subject: Option<String>,
    /// The body; `Null` where there is none, a text where it is no JSON.
    pub body: Value,
    /// The size of the body, in bytes after decompression.
    pub bytes: usize,
    /// The status that was answered; 0 when nothing was.
    pub status: u16,
}

impl Server {
    /// Starts a double on a free loopback port.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> Result<Self> {
        Self::start_under("").await
    }

    /// Starts a double whose paths all begin with `prefix`, such as `/radar`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_under(prefix: &str) -> Result<Self> {
        let port = port::free()?;
        let state = State::new(prefix, u64::from(port));
        let shared = Shared { state: Arc::new(Mutex::new(state)), clock: Clock::start() };
        let server = Self { shared, process: Mutex::new(None), port };
        server.go().await?;
        Ok(server)
    }

    /// What to set as `SERVER_URL`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.lock().prefix)
    }

    /// The time since the double was made, as everything recorded counts it.
    pub fn now(&self) -> Duration {
        self.shared.clock.now().mono
    }

    /// Makes an agent, as a user does on the server's page; its id and its enrollment token.
    pub fn create_agent(&self, name: &str) -> (String, String) {
        self.lock().create_agent(name, Vec::new())
    }

    /// Deletes an agent, its containers and its secrets. Tokens that it holds stay good.
    pub fn delete_agent(&self, id: &str) {
        self.lock().agents.remove(id);
    }

    /// Ends the process: every connection breaks, nothing listens.
    ///
    /// # Errors
    /// When the process has panicked.
    pub async fn stop(&self) -> Result<()> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        match process {
            Some(process) => process.end().await,
            None => Ok(()),
        }
    }

    /// Starts the process again after [`Server::stop`], or after it was killed. No token of its last life is good,
    /// and what it wrote while wedged is lost.
    ///
    /// # Errors
    /// When its port has been taken meanwhile.
    pub async fn go(&self) -> Result<()> {
        self.stop().await?;
        self.lock().begin_life();
        let process = Process::start(self.shared.clone(), self.port).await?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    /// Stops and starts the process.
    ///
    /// # Errors
    /// As [`Server::go`].
    pub async fn restart(&self) -> Result<()> {
        self.go().await
    }

    /// Sets the interval that heartbeats are answered with, in seconds.
    pub fn set_interval(&self, seconds: f64) {
        self.lock().interval = seconds;
    }

    /// Sets how long access tokens live; 15 minutes unless set.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.lock().token_lifetime = lifetime;
    }

    /// Sets how long a heartbeat takes: `base`, and `each` for every container; 6 ms and 0.13 ms unless set.
    pub fn set_beat_cost(&self, base: Duration, each: Duration) {
        self.lock().beat_cost = (base, each);
    }

    /// Makes enrollment tokens good for one use only, as the server means them to be.
    pub fn set_one_time_tokens(&self, once: bool) {
        self.lock().one_time_tokens = once;
    }

    /// Sets the user of the server's page; `admin`, `secret` and known unless set.
    pub fn set_user(&self, username: &str, password: &str, first_login: bool) {
        self.lock().user = (username.to_owned(), password.to_owned(), first_login);
    }

    /// From here on, calls whose path begins with `path` meet this fault.
    pub fn fault(&self, path: &str, fault: Fault) {
        self.lock().faults.insert(path.to_owned(), fault);
    }

    /// Takes all faults away.
    pub fn mend(&self) {
        self.lock().faults.clear();
    }

    /// Wedges the database, as a foreign agent's broken heartbeat does.
    pub fn wedge(&self) {
        self.lock().wedge("wedged by the test");
    }

    /// Why every heartbeat fails until a restart, if it does.
    pub fn wedged(&self) -> Option<String> {
        self.lock().wedged.as_ref().map(|(reason, _)| reason.clone())
    }

    /// What killed the process, if something did.
    pub fn killed(&self) -> Option<String> {
        self.lock().killed.clone()
    }

    /// All agents as the server shows them, by id.
    pub fn agents(&self) -> Vec<AgentView> {
        self.lock().views().collect()
    }

    /// One agent as the server shows it.
    pub fn view(&self, id: &str) -> Option<AgentView> {
        self.lock().views().find(|view| view.id == id)
    }

    /// Every call since the start, oldest first; the newest 50,000.
    pub fn requests(&self) -> Vec<Recorded> {
        self.lock().recorded.values().cloned().collect()
    }

    /// The calls of one path, oldest first.
    pub fn calls(&self, path: &str) -> Vec<Recorded> {
        self.lock().recorded.values().filter(|call| call.path == path).cloned().collect()
    }

    /// The heartbeats of one agent, oldest first.
    pub fn beats(&self, id: &str) -> Vec<Recorded> {
        let mut beats = self.calls("/api/agent/heartbeat");
        beats.retain(|beat| beat.subject.as_deref() == Some(id));
        beats
    }

    /// The most calls that were being worked on at once.
    pub fn high_water(&self) -> usize {
        self.lock().high_water
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
