//! The trial of a new version by the one before it: what is on the disk about it, whether the new one has passed, and
//! what is told of it in the life after. Pure; files, processes and clocks are the shell's.
//!
//! The old program stays the one that was started, and watches: the new one runs as its child until it has been online
//! at the broker for a while. Only then does it take the place of the old one. So whatever the new one does, and
//! whenever the power goes, what starts next is a program that works: the old one until the new one has passed.

use std::path::PathBuf;
use std::time::Duration;

use ciborium::Value;
use radar_wire::command::Progress;
use serde::{Deserialize, Serialize};

/// How long a new version has to be online, and how long it may be given.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The longest that may be asked for.
pub const PATIENCE_MOST: Duration = Duration::from_secs(10 * 60);

/// How long it must stay online.
const STEADY: Duration = Duration::from_secs(5);
/// How often one that ends is started again, and after which time.
const AGAIN: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// The most bytes of what a program has said that are told.
const SAID: usize = 700;

/// A self-update from the moment on from which the old program is on its way out; on the disk until its end is noted
/// among the commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The command.
    pub jti: Box<str>,
    /// The old version.
    pub from: Box<str>,
    /// The new version.
    pub to: Box<str>,
    /// The SHA-256 of the new program.
    pub sha256: Box<str>,
    /// The file that the agent is started from.
    pub target: PathBuf,
    /// For how long the new one is waited for.
    pub patience: Duration,
    /// How far it is.
    pub stage: Stage,
}

/// How far a self-update is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The new one has not passed.
    Trying,
    /// It has, and takes the old one's place.
    Adopting,
    /// It has not, for this reason.
    Back(Box<str>),
}

/// How a self-update ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The command.
    pub jti: Box<str>,
    /// Succeeded or failed.
    pub state: Progress,
    /// Why it failed.
    pub reason: Option<Box<str>>,
    /// What it did.
    pub result: Option<Value>,
}

impl Note {
    /// The new program's file until it has the target's name.
    #[must_use]
    pub fn staged(&self) -> PathBuf {
        staged(&self.target)
    }

    /// The form in which it is written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::agent::spool::cbor(self)
    }

    /// How it ended, as the life after finds it: `is_staged` when the new program does not have the target's name.
    #[must_use]
    pub fn settle(&self, is_staged: bool, version: &str) -> Settled {
        let jti = self.jti.clone();
        let failed = |why: &str| Settled {
            jti: jti.clone(),
            state: Progress::Failed,
            reason: Some(format!("rolled-back: {why}").into()),
            result: None,
        };
        match &self.stage {
            Stage::Back(why) => failed(why),
            Stage::Adopting if !is_staged => {
                let entry = |key: &str, text: &str| (Value::from(key), Value::from(text));
                let result = vec![
                    entry("from", &self.from),
                    entry("to", &self.to),
                    entry("version", version),
                    entry("sha256", &self.sha256),
                ];
                Settled { jti, state: Progress::Succeeded, reason: None, result: Some(Value::Map(result)) }
            }
            Stage::Trying | Stage::Adopting => failed("interrupted: the agent ended during the trial of the new one"),
        }
    }
}

/// Where a new program waits, beside the one that it is to replace.
#[must_use]
pub fn staged(target: &std::path::Path) -> PathBuf {
    target.with_file_name(".radar-agent.new")
}

/// What is seen of the new program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It runs, and says whether it is online.
    Running {
        /// The broker has its birth.
        online: bool,
    },
    /// It does not run, and why.
    Ended(Box<str>),
}

/// What the old one is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look again soon.
    Wait,
    /// Start the new one.
    Start,
    /// The new one has passed.
    Adopt,
    /// It has not, for this reason.
    Back(Box<str>),
}

/// A trial under way.
#[derive(Debug)]
pub struct Trial {
    patience: Duration,
    until: Duration,
    starts: u32,
    /// When it is started next; none while it runs.
    due: Option<Duration>,
    online: Option<Duration>,
}

impl Trial {
    /// Begins at this monotonic time.
    #[must_use]
    pub fn new(patience: Duration, mono: Duration) -> Self {
        Self { patience, until: mono + patience, starts: 0, due: Some(mono), online: None }
    }

    /// Takes in what is seen, and says what to do; to be asked several times a second.
    pub fn handle(&mut self, seen: &Seen, mono: Duration) -> Step {
        match seen {
            Seen::Running { online: true } => {
                let since = *self.online.get_or_insert(mono);
                return if mono >= since + STEADY { Step::Adopt } else { Step::Wait };
            }
            Seen::Running { online: false } => self.online = None,
            Seen::Ended(how) => {
                self.online = None;
                if self.starts > AGAIN {
                    return Step::Back(format!("the new one ended {} times: {how}", self.starts).into());
                }
                let due = *self.due.get_or_insert(mono + PAUSE);
                if due <= mono && mono < self.until {
                    (self.due, self.starts) = (None, self.starts + 1);
                    return Step::Start;
                }
            }
        }
        if mono < self.until {
            return Step::Wait;
        }
        let seconds = self.patience.as_secs();
        Step::Back(match seen {
            Seen::Ended(how) => format!("the new one ended, and was not online within {seconds} s: {how}").into(),
            Seen::Running { .. } => format!("the new one was not online at the broker within {seconds} s").into(),
        })
    }
}

/// The last lines of what a program has said, in so many bytes that they fit into a reason, without what a terminal
/// would obey.
#[must_use]
pub fn last_lines(said: &[u8]) -> String {
    let said = &said[said.len().saturating_sub(SAID)..];
    let mut text = String::new();
    let mut escaped = false;
    for c in String::from_utf8_lossy(said).trim().chars() {
        match c {
            // Colours: from the escape to the letter that ends it.
            '\u{1b}' => escaped = true,
            c if escaped => escaped = !c.is_ascii_alphabetic(),
            '\n' => text.push_str(" | "),
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests;
