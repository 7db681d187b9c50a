//! A new version of the program itself: fetched over HTTP, checked, and put beside the one that runs. The only HTTP
//! client of the agent. Nothing of it is executed before its SHA-256 is the one that a release key has signed; what is
//! done with it after that is [`crate::shell::trial`]'s.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use radar_link::jws::{Digest, Hasher};
use radar_link::proxy::ProxyUrl;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};

use crate::agent::trial;

mod address;
mod http;

pub use address::{Address, AddressError};
use http::Answer;

/// The most bytes of a program.
const LARGEST: u64 = 64 * 1024 * 1024;
/// How long all of it may take, and how long the server may be silent.
const IN_ALL: Duration = Duration::from_secs(10 * 60);
const SILENCE: Duration = Duration::from_secs(30);
/// How often the server may send us elsewhere.
const REDIRECTS: usize = 5;
/// How long a program may take to tell its version, and how often it is looked whether it has.
const VERSION: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// What it tells begins so.
const NAME: &str = "radar-agent ";

/// What is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// From where.
    pub address: Address,
    /// The SHA-256 that a release key has signed.
    pub digest: Digest,
    /// The file that it is to replace in the end.
    pub target: PathBuf,
}

/// Why there is no new program. No text has more of the address than its host: what is behind may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server does not give it.
    #[error("download: {0}")]
    Http(String),
    /// It has too many bytes.
    #[error("too-large: it has more than {} MiB", LARGEST / 1024 / 1024)]
    TooLarge,
    /// It is something else.
    #[error("hash: what was downloaded has the SHA-256 {0}, not the one that is signed")]
    Hash(Digest),
    /// It cannot be kept.
    #[error("storage: {0}")]
    File(#[source] io::Error),
    /// It is no program for this machine, or none of ours.
    #[error("does-not-run: {0}")]
    Program(String),
}

/// Fetches a program, through the proxy if there is one, checks it, and leaves it as [`trial::staged`]; the version that it tells of itself.
///
/// # Errors
/// A [`FetchError`]; then nothing is left.
pub async fn fetch(order: Order, proxy: Option<ProxyUrl>) -> Result<Box<str>, FetchError> {
    let staged = trial::staged(&order.target);
    let late = || FetchError::Http(format!("it took longer than {} min", IN_ALL.as_secs() / 60));
    let fetched = async {
        timeout(IN_ALL, download(&order, proxy.as_ref(), &staged)).await.unwrap_or_else(|_| Err(late()))?;
        version(&staged).await
    };
    let fetched = fetched.await;
    if fetched.is_err() {
        discard(&order.target);
    }
    fetched
}

/// Removes what waits beside a program.
pub fn discard(target: &Path) {
    // It is not there, or cannot be removed, which the next download tells.
    let _ = std::fs::remove_file(trial::staged(target));
}

/// The file that this program was started from, if it can be replaced.
///
/// # Errors
/// Why it cannot.
pub fn own_program() -> Result<PathBuf, String> {
    let path = std::fs::read_link("/proc/self/exe").map_err(|error| format!("its file is not known: {error}"))?;
    if path.to_string_lossy().ends_with(" (deleted)") || !path.is_file() {
        return Err(format!("{} was replaced or removed since it was started; restart the agent", path.display()));
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    // Whether this user may make files there only making one tells.
    let probe = directory.join(".radar-agent.probe");
    let made = std::fs::File::create(&probe);
    let _ = std::fs::remove_file(&probe);
    made.map_err(|error| format!("{} is not writable for this user: {error}", directory.display()))?;
    Ok(path)
}

async fn download(order: &Order, proxy: Option<&ProxyUrl>, staged: &Path) -> Result<(), FetchError> {
    discard(&order.target);
    let mut answer = ask(&order.address, proxy).await?;
    if answer.length().is_some_and(|length| length > LARGEST) {
        return Err(FetchError::TooLarge);
    }
    let mut options = OpenOptions::new();
    let mut file: File =
        options.write(true).create_new(true).mode(0o755).open(staged).await.map_err(FetchError::File)?;
    let (mut hasher, mut size) = (Hasher::new(), 0);
    while let Some(piece) = silent(answer.next()).await?? {
        size += piece.len() as u64;
        if size > LARGEST {
            return Err(FetchError::TooLarge);
        }
        hasher.update(&piece);
        file.write_all(&piece).await.map_err(FetchError::File)?;
    }
    let digest = hasher.finish();
    if digest != order.digest {
        return Err(FetchError::Hash(digest));
    }
    file.sync_all().await.map_err(FetchError::File)?;
    // A file that is open for writing cannot be executed, and tokio closes it at some time only.
    drop(file.into_std().await);
    Ok(())
}

async fn ask(first: &Address, proxy: Option<&ProxyUrl>) -> Result<Answer, FetchError> {
    let mut address = first.clone();
    for _ in 0..=REDIRECTS {
        let answer = silent(Answer::to_get(&address, proxy)).await??;
        match answer.elsewhere() {
            None => return Ok(answer),
            Some(location) => {
                address = address.join(location).map_err(|error| FetchError::Http(format!("a redirect: {error}")))?;
            }
        }
    }
    Err(FetchError::Http(format!("more than {REDIRECTS} redirects")))
}

async fn silent<T>(work: impl Future<Output = T>) -> Result<T, FetchError> {
    let silent = |_| FetchError::Http(format!("the server was silent for {} s", SILENCE.as_secs()));
    timeout(SILENCE, work).await.map_err(silent)
}

impl From<http::HttpError> for FetchError {
    fn from(error: http::HttpError) -> Self {
        Self::Http(error.to_string())
    }
}

/// What the program says when it is asked for its version; of another architecture it says nothing.
async fn version(program: &Path) -> Result<Box<str>, FetchError> {
    let refused = |why: String| FetchError::Program(why);
    let mut command = Command::new(program);
    command.arg("--version").env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut left = VERSION;
    let mut child = loop {
        match command.spawn() {
            Ok(child) => break child,
            // What another thread starts just now has a copy of the file that was written, until it is started.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && !left.is_zero() => {
                sleep(LOOK).await;
                left = left.saturating_sub(LOOK);
            }
            Err(error) => return Err(refused(format!("it does not start: {error}"))),
        }
    };
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if !left.is_zero() => {
                sleep(LOOK).await;
                left = left.saturating_sub(LOOK);
            }
            other => {
                let _ = child.kill().and_then(|()| child.wait());
                let why =
                    other.err().map_or_else(|| "it does not tell its version in time".to_owned(), |e| e.to_string());
                return Err(refused(why));
            }
        }
    };
    let mut said = Vec::new();
    if let Some(out) = child.stdout.take() {
        // The pipe holds what it has said; a child of its own may still have the other end.
        let _ = out.take(200).read_to_end(&mut said);
    }
    let said = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned();
    match said.strip_prefix(NAME).filter(|version| !version.is_empty() && !version.contains(char::is_control)) {
        Some(version) if status.success() => Ok(version.into()),
        _ => Err(refused(format!("asked for its version it ended with {status}, and is no radar-agent"))),
    }
}

#[cfg(test)]
mod tests;
