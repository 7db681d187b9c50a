//! Child processes that cannot outlive the test process. Each one runs under a small shell supervisor
//! whose standard input is held by the test: when the test ends, however it ends, the supervisor
//! terminates the child, waits a grace period and kills it. Signals go through the supervisor too, so
//! nothing but its own child is ever signalled. Knows nothing of what the child is.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use radar_link::time::Clock;
use tokio::sync::watch;

mod seat;
mod usage;

pub use seat::Seat;
pub use usage::ProcStat;

const SUPERVISOR: &str = include_str!("process/supervise.sh");
const TAIL: usize = 30;
const ANSWER: Duration = Duration::from_secs(5);

/// Where daemons are, which a user's own PATH often lacks.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What to start, and what belongs to it.
#[derive(Debug, Clone)]
pub struct Launch {
    command: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    log: PathBuf,
    grace: Duration,
    privileged: bool,
    directory: Option<PathBuf>,
    finally: &'static str,
}

impl Launch {
    /// A program whose output is appended to the file `log`.
    pub fn new(program: impl Into<OsString>, log: impl Into<PathBuf>) -> Self {
        Self {
            command: vec![program.into()],
            variables: Vec::new(),
            log: log.into(),
            grace: Duration::from_secs(5),
            privileged: false,
            directory: None,
            finally: "",
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable, on top of the test's own environment.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((key.into(), value.into()));
        self
    }

    /// The time between SIGTERM and SIGKILL when the test lets go of the child.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Runs it as root: through `sudo -n` when the test is not root itself.
    #[must_use]
    pub fn privileged(mut self) -> Self {
        self.privileged = true;
        self
    }

    /// A directory that the supervisor removes after the child's end, once the test has let go of it.
    #[must_use]
    pub fn owns(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Shell text that the supervisor runs before it removes the directory (`$dir`).
    #[must_use]
    pub fn finally(mut self, script: &'static str) -> Self {
        self.finally = script;
        self
    }

    fn supervisor(&self, stderr: File) -> Command {
        let sudo = self.privileged && !is_root();
        let mut command = if sudo {
            let mut command = Command::new("sudo");
            command.args(["-n", "--", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", SUPERVISOR, "supervise"]);
        command.arg(self.directory.as_deref().unwrap_or(Path::new("")));
        command.arg((self.grace.as_millis() / 100).to_string());
        command.arg(&self.log).arg(self.finally);
        if sudo {
            // sudo drops the environment, and `env` ends by becoming the program: the pid stays.
            command.arg("env").args(self.variables.iter().map(|(key, value)| {
                let mut pair = key.clone();
                pair.push("=");
                pair.push(value);
                pair
            }));
        } else {
            command.envs(self.variables.iter().map(|(key, value)| (key, value)));
        }
        // In a process group of its own a Ctrl-C reaches only the test; the supervisor sees its end.
        command.args(&self.command).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        command
    }
}

/// A running (or ended) child. Dropping it ends the child and removes what it owns, in the background.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    log: PathBuf,
    orders: Mutex<(ChildStdin, Receiver<()>)>,
    exit: watch::Receiver<Option<i32>>,
}

impl Process {
    /// Starts a child and returns once its process exists.
    pub fn start(launch: &Launch) -> Result<Self> {
        let name = launch.command[0].to_string_lossy().into_owned();
        let log = OpenOptions::new().create(true).append(true).open(&launch.log);
        let log = log.with_context(|| format!("the log {}", launch.log.display()))?;
        let mut supervisor = launch.supervisor(log).spawn().context("starting the supervisor")?;
        let orders = supervisor.stdin.take().context("the supervisor's standard input")?;
        let mut reports = BufReader::new(supervisor.stdout.take().context("its standard output")?);
        let mut first = String::new();
        reports.read_line(&mut first).context("reading the pid from the supervisor")?;
        let Some(pid) = first.strip_prefix("pid ").and_then(|pid| pid.trim().parse().ok()) else {
            bail!("{name} was not started:\n{}", tail(&launch.log));
        };
        let (sender, exit) = watch::channel(None);
        // One order at a time waits for its answer.
        let (answer, answers) = sync_channel(1);
        thread::spawn(move || {
            for line in reports.lines().map_while(Result::ok) {
                if let Some(code) = line.strip_prefix("exit ") {
                    sender.send_replace(code.parse().ok());
                } else {
                    let _ = answer.try_send(());
                }
            }
            // Its own exit code says nothing; waiting only keeps it from staying a zombie.
            let _ = supervisor.wait();
        });
        Ok(Self { name, pid, log: launch.log.clone(), orders: Mutex::new((orders, answers)), exit })
    }

    /// The child's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The file with what the child wrote.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All that the child wrote.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The last lines of what the child wrote.
    pub fn tail(&self) -> String {
        tail(&self.log)
    }

    /// SIGKILL.
    pub fn kill9(&self) {
        self.order("KILL");
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.order("TERM");
    }

    /// SIGHUP, which is for many daemons to read their files anew.
    pub fn hang_up(&self) {
        self.order("HUP");
    }

    /// SIGSTOP, and waits until every thread stands still: the process keeps its sockets and does nothing.
    pub fn stop(&self) {
        self.order("STOP");
        let clock = Clock::start();
        while usage::moves(self.pid) && clock.now().mono < ANSWER {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// SIGCONT.
    pub fn cont(&self) {
        self.order("CONT");
    }

    /// The exit code if it has ended; 128 and the signal's number when a signal ended it.
    pub fn exited(&self) -> Option<i32> {
        *self.exit.borrow()
    }

    /// Waits for the end of the child and returns its exit code.
    pub async fn wait_exit(&self, deadline: Duration) -> Result<i32> {
        self.exit().wait(deadline).await
    }

    /// The end of the child, to be waited for without it.
    pub fn exit(&self) -> Exit {
        let name = format!("{} ({})", self.name, self.pid);
        Exit { name, log: self.log.clone(), code: self.exit.clone() }
    }

    /// Fails with the child's last lines when it has ended.
    pub fn check_running(&self) -> Result<()> {
        match self.exited() {
            None => Ok(()),
            Some(code) => bail!("{} ended with {code}:\n{}", self.name, self.tail()),
        }
    }

    /// Lets go of the child but leaves its directory, for a successor on the same data.
    pub fn leave(self) {
        self.order("leave");
    }

    /// Returns when the signal was sent; a supervisor that is gone has ended its child before.
    fn order(&self, order: &str) {
        let mut supervisor = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let (orders, answers) = &mut *supervisor;
        if orders.write_all(format!("{order}\n").as_bytes()).is_ok() {
            let _ = answers.recv_timeout(ANSWER);
        }
    }
}

/// The end of a child.
#[derive(Debug, Clone)]
pub struct Exit {
    name: String,
    log: PathBuf,
    code: watch::Receiver<Option<i32>>,
}

impl Exit {
    /// Waits for it and returns the exit code.
    pub async fn wait(mut self, deadline: Duration) -> Result<i32> {
        let ended = tokio::time::timeout(deadline, self.code.wait_for(Option::is_some)).await;
        let code = match ended {
            Ok(Ok(code)) => *code,
            Ok(Err(_)) => None,
            Err(_) => bail!("{} still ran after {deadline:?}:\n{}", self.name, tail(&self.log)),
        };
        code.with_context(|| format!("the supervisor of {} ended first", self.name))
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "the log of a failing test's child belongs to its output")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- last lines of {} ({}):\n{}", self.name, self.pid, self.tail());
        }
    }
}

/// Whether the test itself may mount file systems and run an engine.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A new directory for a child's data, with a short path: Unix sockets allow 107 bytes.
pub fn directory(purpose: &str) -> Result<PathBuf> {
    let made = tempfile::Builder::new().prefix(&format!("radar-{purpose}-")).tempdir_in("/tmp");
    Ok(made.context("a directory in /tmp")?.keep())
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
