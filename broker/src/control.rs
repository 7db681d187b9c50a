//! Where people ask for commands, and for an agent to be forgotten: a Unix socket in the data directory that only the
//! bridge's own user can open. One line of JSON asks; lines of JSON answer, until the command has ended. It decides
//! nothing: each request goes to the shell, with who asks, which the system says.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use radar_link::tasks::Owned;
use radar_wire::command::Command;
use radar_wire::topic::AgentId;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::asking::Asked;
use crate::commanding::{News, Order};

/// How many requests may wait for the shell; who finds the queue full waits, and there are no more than connections.
pub(crate) const QUEUE: usize = 8;
/// Connections at a time; the rest waits in the kernel's backlog.
const CONNECTIONS: usize = 64;
/// Answers that wait for a slow reader; of an agent that says more only the end counts.
const NEWS: usize = 16;
/// The most bytes of a request.
const REQUEST: u64 = 8192;
/// How the answer to what is no request begins, as to one that only a later version knows.
pub(crate) const NO_REQUEST: &str = "this is not a request";
/// How long a request may take to come, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked, as one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Which agent.
    pub agent: AgentId,
    /// What to do.
    pub cmd: Command,
    /// For how many seconds it is worth something.
    pub valid: u64,
    /// Who asks, in their own words.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The other thing that is asked: to forget an agent whose retained topics are cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forget {
    /// Which agent.
    pub forget: AgentId,
}

/// What goes to the shell.
#[derive(Debug)]
pub(crate) enum Question {
    /// A command is wanted.
    Command(Asked),
    /// An agent is to be forgotten.
    Forget {
        /// Which agent.
        agent: AgentId,
        /// Who asks.
        who: Box<str>,
        /// Told once it is to be stored, or why it is not.
        answer: oneshot::Sender<Result<(), String>>,
    },
}

/// What is answered, one object a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Reply {
    /// How it goes; the last one is its end.
    News(News),
    /// It is a command now.
    Issued {
        /// Its name.
        jti: Box<str>,
    },
    /// The agent is forgotten, which the store has in a moment.
    Forgotten {
        /// Which agent.
        forgotten: AgentId,
    },
    /// It is not done.
    Refused {
        /// Why.
        error: String,
    },
}

/// Where the bridge of a data directory is asked.
pub(crate) fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// The answering end; the socket goes with it.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Opens the socket, in place of one that an earlier life left. It is never there with other permissions.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let (path, new) = (socket(data_dir), data_dir.join(".control.new"));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        fs::rename(&new, &path)?;
        Ok(Self { listener, path })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Whoever asks then finds a file without a listener, which means the same.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes requests until `stop`.
pub(crate) async fn serve(
    listener: Listener,
    shell: mpsc::Sender<Question>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open: Vec<Owned<()>> = Vec::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = accepted => accepted,
        };
        open.retain(|connection| !connection.is_finished());
        match accepted {
            Ok((stream, _)) => {
                let shell = shell.clone();
                open.push(Owned::spawn(async move {
                    let _place = place;
                    // A connection that fails is one whose asker has gone.
                    let _ = attend(stream, shell).await;
                }));
            }
            // Out of file descriptors, for example: the next attempt may find some.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// A request and its answers. Who closes the connection does not want to know more; the command goes its way.
async fn attend(stream: UnixStream, shell: mpsc::Sender<Question>) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(REQUEST));
    let mut line = Vec::new();
    timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await??;
    if let Ok(Forget { forget: agent }) = serde_json::from_slice(&line) {
        let (answer, answered) = oneshot::channel();
        let forgotten = agent.clone();
        // A shell that is gone gives no answer.
        let _ = shell.send(Question::Forget { agent, who: format!("uid:{uid}").into(), answer }).await;
        let reply = match answered.await {
            Ok(Ok(())) => Reply::Forgotten { forgotten },
            Ok(Err(error)) => Reply::Refused { error },
            Err(_) => stopping(),
        };
        return write(&mut writer, &reply).await;
    }
    let request: Request = match serde_json::from_slice(&line) {
        Ok(request) => request,
        Err(error) => {
            return write(&mut writer, &Reply::Refused { error: format!("{NO_REQUEST}: {error}") }).await;
        }
    };
    let who = match &request.name {
        Some(name) => format!("uid:{uid} as {name}"),
        None => format!("uid:{uid}"),
    };
    let Request { agent, cmd: command, valid, .. } = request;
    let order = Order { agent, who: who.into(), command, valid: Duration::from_secs(valid) };
    let (news, mut inbox) = mpsc::channel(NEWS);
    let (answer, answered) = oneshot::channel();
    // A shell that is gone gives no answer.
    let _ = shell.send(Question::Command(Asked { order, answer, news })).await;
    let first = match answered.await {
        Ok(Ok(jti)) => Reply::Issued { jti },
        Ok(Err(refusal)) => Reply::Refused { error: refusal.to_string() },
        Err(_) => stopping(),
    };
    write(&mut writer, &first).await?;
    if matches!(first, Reply::Refused { .. }) {
        return Ok(());
    }
    let mut rest = [0; 64];
    loop {
        tokio::select! {
            news = inbox.recv() => match news {
                Some(news) => write(&mut writer, &Reply::News(news)).await?,
                None => return Ok(()),
            },
            read = reader.read(&mut rest) => if read? == 0 { return Ok(()) },
        }
    }
}

fn stopping() -> Reply {
    Reply::Refused { error: "the bridge is stopping".to_owned() }
}

async fn write(writer: &mut (impl tokio::io::AsyncWrite + Unpin), reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    timeout(PATIENCE, writer.write_all(&line)).await?
}

#[cfg(test)]
mod tests;
