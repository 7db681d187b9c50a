//! The trial of a new version: the program that was started watches the new one as its child, and then becomes the one
//! or the other. What is done when is decided by [`crate::agent::trial`].
//!
//! The child ends when its standard input does, so it never outlives who watches it. What it says goes to a file, and
//! from there to where the agent's own log goes: nothing that it does can hold up its watcher.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::future::FusedFuture;
use radar_link::files::write_atomic;
use radar_link::time::Clock;
use tokio::time::{sleep, timeout};

use super::End;
use crate::agent::trial::{Note, Seen, Stage, Step, Trial, last_lines};
use crate::{health, release};

/// The argument that makes a program the one on trial.
const ARGUMENT: &str = "--trial";
/// How often the child is looked at, and how long its answer is waited for.
const LOOK: Duration = Duration::from_millis(200);
const ANSWER: Duration = Duration::from_secs(1);
/// How long it has for its end.
const GRACE: Duration = Duration::from_secs(10);
/// The most bytes of its log that are kept.
const LOG: u64 = 1024 * 1024;

/// Where the note of a trial is, and what the new version has said.
pub(super) fn note_file(directory: &Path) -> PathBuf {
    directory.join("self-update")
}

pub(super) fn log_file(directory: &Path) -> PathBuf {
    directory.join("trial.log")
}

/// Tries the new version, and says what this process becomes.
pub(super) async fn watch(
    note: Note,
    directory: &Path,
    mut shutdown: Pin<&mut (impl FusedFuture<Output = ()> + Send)>,
) -> End {
    let mut watch =
        Watch { note, directory, child: None, log: Log::open(directory), ended: "it was not started".into() };
    tracing::info!(
        "{} is tried: it has {} s to be online, and this is {} until then",
        watch.note.to,
        watch.note.patience.as_secs(),
        watch.note.from
    );
    let mut stopped = false;
    let verdict = tokio::select! {
        verdict = watch.decide() => verdict,
        () = &mut shutdown => {
            stopped = true;
            Err("the agent was asked to stop meanwhile".into())
        }
    };
    let adopted =
        verdict.and_then(|()| watch.adopt().map_err(|error| format!("it cannot take its place: {error}").into()));
    if let Err(why) = adopted {
        watch.go_back(why);
    }
    tokio::select! {
        () = watch.end() => {}
        () = &mut shutdown => stopped = true,
    }
    watch.end().await;
    watch.log.pass_on();
    if watch.note.stage != Stage::Adopting {
        release::discard(&watch.note.target);
    }
    if stopped { End::Stopped } else { End::Become(watch.note.target) }
}

struct Watch<'a> {
    note: Note,
    directory: &'a Path,
    child: Option<Child>,
    log: Log,
    /// How the child ended last.
    ended: Box<str>,
}

impl Watch<'_> {
    /// Waits until the new version has passed, or has not, for this reason.
    async fn decide(&mut self) -> Result<(), Box<str>> {
        let clock = Clock::start();
        let mut trial = Trial::new(self.note.patience, clock.now().mono);
        loop {
            let seen = self.look().await;
            match trial.handle(&seen, clock.now().mono) {
                Step::Wait => {}
                Step::Start => match self.start() {
                    Ok(child) => self.child = Some(child),
                    Err(error) => self.ended = format!("it does not start: {error}").into(),
                },
                Step::Adopt => return Ok(()),
                Step::Back(why) => {
                    let said = last_lines(&self.log.last());
                    return Err(if said.is_empty() { why } else { format!("{why}; it said: {said}").into() });
                }
            }
            self.log.pass_on();
            sleep(LOOK).await;
        }
    }

    async fn look(&mut self) -> Seen {
        let Some(child) = &mut self.child else { return Seen::Ended(self.ended.clone()) };
        match child.try_wait() {
            Ok(None) => {
                let report = timeout(ANSWER, health::look(self.directory)).await;
                Seen::Running { online: report.is_ok_and(|report| report.is_ok_and(|report| report.online)) }
            }
            Ok(Some(status)) => {
                self.child = None;
                self.ended = status.to_string().into();
                Seen::Ended(self.ended.clone())
            }
            Err(error) => Seen::Ended(error.to_string().into()),
        }
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(self.note.staged());
        command.args(arguments()).arg(ARGUMENT).stdin(Stdio::piped());
        command.stderr(OpenOptions::new().create(true).append(true).mode(0o600).open(log_file(self.directory))?);
        command.spawn()
    }

    /// Gives the new version the old one's name; the old one is kept beside it.
    fn adopt(&mut self) -> io::Result<()> {
        self.mark(Stage::Adopting)?;
        let target = &self.note.target;
        let mut previous: OsString = target.file_name().unwrap_or_default().to_owned();
        previous.push(".previous");
        let previous = target.with_file_name(previous);
        let _ = fs::remove_file(&previous);
        // Not every file system has hard links, and not every user may make one to what is another's.
        fs::hard_link(target, &previous).or_else(|_| fs::copy(target, &previous).map(drop))?;
        fs::rename(self.note.staged(), target)?;
        // The rename has happened; a power cut now may undo it, and then the old one is there as before.
        if let Err(error) = File::open(target.parent().unwrap_or(Path::new("/"))).and_then(|it| it.sync_all()) {
            tracing::warn!("{}: {error}", target.display());
        }
        tracing::info!(
            "{} is online and takes the place of {}, which stays as {}",
            self.note.to,
            self.note.from,
            previous.display()
        );
        Ok(())
    }

    fn go_back(&mut self, why: Box<str>) {
        tracing::warn!("{} is not taken, and {} goes on: {why}", self.note.to, self.note.from);
        if let Err(error) = self.mark(Stage::Back(why)) {
            tracing::warn!("why it is not taken will not be told: {error}");
        }
    }

    fn mark(&mut self, stage: Stage) -> io::Result<()> {
        self.note.stage = stage;
        write_atomic(&note_file(self.directory), &self.note.to_bytes(), 0o600)
    }

    /// Ends the child, if there is one.
    async fn end(&mut self) {
        let Some(child) = &mut self.child else { return };
        drop(child.stdin.take());
        let clock = Clock::start();
        while matches!(child.try_wait(), Ok(None)) {
            if clock.now().mono >= GRACE {
                let _ = child.kill();
                let _ = child.wait();
                break;
            }
            sleep(LOOK / 4).await;
        }
        self.child = None;
    }
}

/// What this program was started with.
pub fn arguments() -> impl Iterator<Item = OsString> {
    std::env::args_os().skip(1)
}

/// What the child says.
struct Log {
    path: PathBuf,
    passed: u64,
}

impl Log {
    fn open(directory: &Path) -> Self {
        let path = log_file(directory);
        // It is from an earlier trial.
        let _ = fs::remove_file(&path);
        Self { path, passed: 0 }
    }

    /// Hands on what is new. A log is worth no failure.
    fn pass_on(&mut self) {
        let Ok(mut file) = OpenOptions::new().read(true).write(true).open(&self.path) else { return };
        let mut said = Vec::new();
        let read = file.seek(SeekFrom::Start(self.passed)).and_then(|_| (&mut file).take(LOG).read_to_end(&mut said));
        self.passed += read.unwrap_or(0) as u64;
        let _ = io::stderr().write_all(&said);
        if self.passed > LOG && file.set_len(0).is_ok() {
            self.passed = 0;
        }
    }

    /// What was said last.
    fn last(&self) -> Vec<u8> {
        let mut said = Vec::new();
        if let Ok(mut file) = File::open(&self.path) {
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            let _ = file
                .seek(SeekFrom::Start(length.saturating_sub(4096)))
                .and_then(|_| file.take(4096).read_to_end(&mut said));
        }
        said
    }
}
