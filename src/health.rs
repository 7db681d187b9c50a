//! The answer to "is it well?", over a Unix socket in the data directory: no port is opened.
//!
//! The agent is well when its event loop answers and the broker is connected: then what happens on this host is seen
//! elsewhere. An engine that does not answer is told, and does not make the agent unwell: that is
//! a state which the agent is there to report, and restarting the agent would not mend it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as Client;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};

use crate::agent::Condition;

const LIMIT: Duration = Duration::from_secs(5);

/// What is answered, as one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether the agent is well.
    pub ok: bool,
    /// `connected` or `away`.
    pub broker: String,
    /// Whether the broker has taken the word that the agent is there: what a new version is tried by. Later versions tell
    /// it by the same name, or none of them passes.
    #[serde(default)]
    pub online: bool,
    /// `answers`, `unreachable` or `unknown`.
    pub engine: String,
    /// How many events wait for the broker.
    pub waiting: usize,
    /// The agent's id.
    pub agent: String,
    /// The program's version.
    pub version: String,
}

impl Report {
    /// The report of an agent in this condition.
    #[must_use]
    pub fn new(agent: &str, condition: &Condition) -> Self {
        let broker = if condition.connected { "connected" } else { "away" };
        let engine = match condition.engine {
            Some(true) => "answers",
            Some(false) => "unreachable",
            None => "unknown",
        };
        Self {
            ok: condition.connected,
            broker: broker.to_owned(),
            online: condition.online,
            engine: engine.to_owned(),
            waiting: condition.waiting,
            agent: agent.to_owned(),
            version: crate::VERSION.to_owned(),
        }
    }
}

/// Where the agent of a data directory answers.
#[must_use]
pub fn socket(directory: &Path) -> PathBuf {
    directory.join("health.sock")
}

/// The answering end; the socket goes with it.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Opens the socket, in place of one that an earlier life left.
    ///
    /// # Errors
    /// What the system says, such as a path that is too long for a socket.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let path = socket(directory);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { listener: UnixListener::bind(&path)?, path })
    }

    /// The next who asks. Cancel-safe.
    pub async fn next(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Whoever asks then finds a file without a listener, which means the same.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Answers and hangs up. A line fits into the socket's buffer, so nobody is waited for.
pub fn answer(stream: &UnixStream, report: &Report) {
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        // Who has gone meanwhile needs no answer.
        let _ = stream.try_write(&line);
    }
}

/// Asks the agent of a data directory.
///
/// # Errors
/// Nobody answers within 5 s, or not with a report.
pub fn ask(directory: &Path) -> io::Result<Report> {
    let mut stream = Client::connect(socket(directory))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.flush()?;
    let mut line = Vec::new();
    (&mut stream).take(4096).read_to_end(&mut line)?;
    serde_json::from_slice(&line).map_err(io::Error::other)
}

/// Asks the agent of a data directory, without a time-out of its own.
///
/// # Errors
/// Nobody answers, or not with a report.
pub async fn look(directory: &Path) -> io::Result<Report> {
    let stream = UnixStream::connect(socket(directory)).await?;
    let mut line = Vec::new();
    stream.take(4096).read_to_end(&mut line).await?;
    serde_json::from_slice(&line).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    // E4
    #[test]
    fn it_is_well_while_the_broker_is_connected_whatever_the_engine_does() {
        for (connected, engine, ok, words) in [
            (true, Some(true), true, ("connected", "answers")),
            (true, Some(false), true, ("connected", "unreachable")),
            (true, None, true, ("connected", "unknown")),
            (false, Some(true), false, ("away", "answers")),
        ] {
            let report = Report::new("pi", &Condition { connected, online: connected, engine, waiting: 3 });
            assert_eq!((report.ok, (&*report.broker, &*report.engine), report.waiting), (ok, words, 3));
        }
    }

    #[tokio::test]
    async fn who_asks_gets_the_report_and_the_socket_goes_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        // What an earlier life left is no hindrance.
        std::fs::write(socket(directory.path()), "").unwrap();
        let listener = Listener::open(directory.path()).unwrap();
        let report = Report::new("pi", &Condition { connected: true, online: true, engine: None, waiting: 0 });
        let path = directory.path().to_owned();
        let asked = tokio::task::spawn_blocking(move || ask(&path));
        answer(&listener.next().await.unwrap(), &report);
        assert_eq!(asked.await.unwrap().unwrap(), report);
        drop(listener);
        assert!(ask(directory.path()).is_err() && !socket(directory.path()).exists());
    }
}
