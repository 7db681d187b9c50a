//! The commands that people give to agents: which are under way, and how they end. A pure core: what is asked, what
//! agents answer and time go in; what is to be stored, sent and told ([`Commanding::next_effect`]) comes out. It knows
//! neither the key nor the broker nor the store, and who may ask is not decided here.
//!
//! The way of a command: it is stored, and only then sent, once; what the agent says of it is stored; it ends with the
//! agent's last word, or as unknown when none has come for a while after its time, or for long work after the last sign
//! of life. What has ended never changes, but for one thing: a last word that comes late takes the place of unknown.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use radar_link::time::Now;
use radar_wire::command::{Claims, Command, Outcome};
use radar_wire::topic::AgentId;
use serde_json::Value;

use crate::store::rows::CommandRow;

mod admission;
pub(crate) mod patience;
mod state;

pub use admission::{Known, Refusal, admit, takes_commands};
pub use state::{News, State};

/// How long a command is valid when nothing is said.
pub const VALID: Duration = Duration::from_secs(60);
/// How long it may be valid.
pub const VALID_MOST: Duration = Duration::from_secs(5 * 60);
/// How long after its time an agent's last word is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Commands that are under way at most.
pub const MOST: usize = 10_000;
/// Of those that have ended as unknown, so many are remembered at most, the last ones: their agent may still tell more.
const GIVEN_UP: usize = 1000;
/// Bytes of a command as JSON, and of the name of who asks; so that its token is well below what agents read.
const COMMAND_BYTES: usize = 2048;
const WHO_BYTES: usize = 256;
/// Characters of an agent's reason that are kept.
const REASON: usize = 1000;

/// All commands under way.
#[derive(Debug)]
pub struct Commanding {
    issuer: String,
    under_way: BTreeMap<Box<str>, UnderWay>,
    /// Those that have ended as unknown.
    given_up: BTreeMap<Box<str>, CommandRow>,
    /// When each is given up.
    dues: BTreeSet<(Duration, Box<str>)>,
    /// The time in the last jti.
    last: i64,
    effects: VecDeque<Effect>,
}

#[derive(Debug)]
struct UnderWay {
    row: CommandRow,
    valid_until: Duration,
    due: Duration,
    sent: bool,
}

/// What somebody wants, as it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which agent is to do it.
    pub agent: AgentId,
    /// Who asks.
    pub who: Box<str>,
    /// What to do.
    pub command: Command,
    /// For how long it is worth something.
    pub valid: Duration,
}

/// What is to become a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Which agent is to do it.
    pub agent: AgentId,
    /// Who asks.
    pub who: Box<str>,
    /// What to do.
    pub command: Command,
    /// For how long it is worth something; whole seconds.
    pub valid: Duration,
    /// Random bits, so that nobody can guess the command's name.
    pub random: u64,
}

/// Why it is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Too many are under way.
    #[error("{MOST} commands are under way; wait until some have ended")]
    Busy,
    /// Too short or too long.
    #[error("a command is valid for 1 s at least and 5 min at most")]
    Valid,
    /// A word that the bridge does not know.
    #[error("the bridge does not know this command")]
    Unknown,
    /// Without a container where one is needed, or endless.
    #[error("the command names no container, or is longer than {COMMAND_BYTES} bytes")]
    Command,
    /// Nobody, or endless.
    #[error("who asks must have a name, of {WHO_BYTES} bytes at most")]
    Who,
}

/// What the shell is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Store it, and say so by [`Commanding::handle_stored`].
    Store(Box<CommandRow>),
    /// Sign and publish it, once; where that is not possible, [`Commanding::handle_unsent`].
    Publish {
        /// What to sign.
        claims: Box<Claims>,
        /// For how long it is still worth something.
        expiry: Duration,
    },
    /// Tell who waits for it.
    Tell(Box<News>),
}

impl Commanding {
    /// The commands of the bridge `issuer`. `under_way` are those of an earlier life, which may have been sent and are
    /// not sent again; `last` is the greatest name that a command ever had.
    #[must_use]
    pub fn new(issuer: String, under_way: Vec<CommandRow>, last: Option<&str>, now: Now) -> Self {
        let last = last.and_then(|jti| jti.split('-').next()?.parse().ok()).unwrap_or(0);
        let (effects, dues, given_up) = Default::default();
        let mut commanding = Self { issuer, under_way: BTreeMap::new(), given_up, dues, last, effects };
        for row in under_way {
            let left = u64::try_from(row.expires.saturating_sub(now.wall)).unwrap_or(0);
            let valid_until = now.mono + Duration::from_millis(left).min(VALID_MOST);
            let taken = row.state > State::Issued;
            let jti = row.jti.clone();
            commanding.begin(row, valid_until, true);
            if taken {
                commanding.prolong(&jti, now);
            }
        }
        commanding
    }

    /// Somebody asks; the name of what becomes a command.
    ///
    /// # Errors
    /// It does not become one, and nothing is stored.
    pub fn issue(&mut self, ask: Ask, now: Now) -> Result<Box<str>, AskError> {
        let Ask { agent, who, command, valid, random } = ask;
        let valid = Duration::from_secs(valid.as_secs());
        if self.under_way.len() >= MOST {
            return Err(AskError::Busy);
        }
        if valid.is_zero() || valid > VALID_MOST {
            return Err(AskError::Valid);
        }
        if command == Command::Unknown {
            return Err(AskError::Unknown);
        }
        let size = serde_json::to_vec(&command).map_or(usize::MAX, |json| json.len());
        if command.container().is_some_and(str::is_empty) || size > COMMAND_BYTES {
            return Err(AskError::Command);
        }
        if who.is_empty() || who.len() > WHO_BYTES {
            return Err(AskError::Who);
        }
        // Later ones are greater, also in the same millisecond and after the clock was set back.
        self.last = now.wall.max(self.last.saturating_add(1));
        let jti: Box<str> = format!("{:013}-{random:016x}", self.last).into();
        let seconds = i64::try_from(valid.as_secs()).unwrap_or(0);
        let row = CommandRow {
            jti: jti.clone(),
            agent,
            who,
            what: command,
            issued: now.wall,
            expires: (now.wall.div_euclid(1000) + seconds) * 1000,
            state: State::Issued,
            reason: None,
            result: None,
            ended: None,
        };
        self.effects.push_back(Effect::Store(Box::new(row.clone())));
        self.begin(row, now.mono + valid, false);
        Ok(jti)
    }

    /// What was to be stored is durable: a new command may go.
    pub fn handle_stored(&mut self, jti: &str, now: Now) {
        let Some(command) = self.under_way.get_mut(jti).filter(|command| !command.sent) else { return };
        command.sent = true;
        let expiry = command.valid_until.saturating_sub(now.mono);
        if expiry.is_zero() {
            self.end(
                jti,
                State::Failed,
                Some("bridge-trouble: it could not be stored in time, and was not sent".into()),
                None,
                now,
            );
            return;
        }
        let row = &command.row;
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: row.agent.clone(),
            sub: row.who.to_string(),
            iat: row.issued.div_euclid(1000),
            exp: row.expires.div_euclid(1000),
            jti: row.jti.to_string(),
            cmd: row.what.clone(),
        };
        self.effects.push_back(Effect::Publish { claims: Box::new(claims), expiry });
    }

    /// A command has certainly not reached its agent.
    pub fn handle_unsent(&mut self, jti: &str, reason: &str, now: Now) {
        self.end(jti, State::Failed, Some(reason.into()), None, now);
    }

    /// An agent says how a command goes. Of another agent's it says nothing, nor of one that has ended, unless as unknown:
    /// who waited was told that, and what is stored becomes true.
    pub fn handle_outcome(&mut self, agent: &AgentId, outcome: Outcome, now: Now) {
        let Outcome { jti, at, state, reason, result } = outcome;
        let state = State::of(&state);
        let is_of = |row: &CommandRow| row.agent == *agent;
        if state.is_final() && self.given_up.get(&jti).is_some_and(is_of) {
            let (reason, result) = shown(reason, result);
            let given_up = self.given_up.remove(&jti);
            let late = given_up.map(|row| ended(row, state, reason, result.as_ref(), now));
            self.effects.extend(late.map(|row| Effect::Store(Box::new(row))));
            return;
        }
        let Some(command) = self.under_way.get_mut(&jti).filter(|command| is_of(&command.row)) else { return };
        let row = &mut command.row;
        if state < row.state {
            return;
        }
        let (reason, result) = shown(reason, result);
        if state.is_final() {
            self.end(&jti, state, reason, result, now);
            return;
        }
        if row.state != state {
            row.state = state;
            self.effects.push_back(Effect::Store(Box::new(row.clone())));
        }
        self.effects.push_back(Effect::Tell(Box::new(News { jti: jti.clone(), at, state, reason, result })));
        self.prolong(&jti, now);
    }

    /// An agent does what a command asks for, as is seen elsewhere: its log comes, for example.
    pub fn handle_sign_of_life(&mut self, jti: &str, now: Now) {
        if self.under_way.get(jti).is_some_and(|command| command.row.state > State::Issued) {
            self.prolong(jti, now);
        }
    }

    /// A command that is under way, as it is.
    #[must_use]
    pub fn get(&self, jti: &str) -> Option<&CommandRow> {
        self.under_way.get(jti).map(|command| &command.row)
    }

    /// What is to be done next.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The monotonic time of the next [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.dues.first().map(|(due, _)| *due)
    }

    /// Gives up those of which nothing more was heard.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some((_, jti)) = self.dues.first().filter(|(due, _)| *due <= now.mono).cloned() {
            let taken = self.get(&jti).is_some_and(|row| row.state > State::Issued);
            let why = if taken { "has taken it, and may be at it still, or away" } else { "may be away" };
            self.end(&jti, State::Unknown, Some(format!("no outcome came: the agent {why}").into()), None, now);
        }
    }

    fn begin(&mut self, row: CommandRow, valid_until: Duration, sent: bool) {
        let (jti, due) = (row.jti.clone(), valid_until + PATIENCE);
        self.dues.insert((due, jti.clone()));
        self.under_way.insert(jti, UnderWay { row, valid_until, due, sent });
    }

    /// What may take long, and was taken, is waited for anew.
    fn prolong(&mut self, jti: &str, now: Now) {
        let Some(command) = self.under_way.get_mut(jti) else { return };
        let Some(silence) = patience::silence(&command.row.what) else { return };
        let due = now.mono + silence;
        if due > command.due {
            self.dues.remove(&(command.due, jti.into()));
            self.dues.insert((due, jti.into()));
            command.due = due;
        }
    }

    fn end(&mut self, jti: &str, state: State, reason: Option<Box<str>>, result: Option<Value>, now: Now) {
        let Some((jti, UnderWay { row, due, .. })) = self.under_way.remove_entry(jti) else { return };
        self.dues.remove(&(due, jti.clone()));
        let row = ended(row, state, reason.clone(), result.as_ref(), now);
        if state == State::Unknown {
            self.given_up.insert(jti.clone(), row.clone());
            if self.given_up.len() > GIVEN_UP {
                self.given_up.pop_first();
            }
        }
        self.effects.push_back(Effect::Store(Box::new(row)));
        self.effects.push_back(Effect::Tell(Box::new(News { jti, at: now.wall, state, reason, result })));
    }
}

fn ended(row: CommandRow, state: State, reason: Option<Box<str>>, result: Option<&Value>, now: Now) -> CommandRow {
    let result = result.map(|result| result.to_string().into());
    CommandRow { state, reason, result, ended: Some(now.wall), ..row }
}

/// What an agent says, as it is stored and told.
fn shown(reason: Option<Box<str>>, result: Option<ciborium::Value>) -> (Option<Box<str>>, Option<Value>) {
    let reason = reason.map(|reason| reason.chars().take(REASON).collect::<String>().into());
    let as_json =
        |result| serde_json::to_value(&result).unwrap_or_else(|_| Value::from("a result that has no form as JSON"));
    (reason, result.map(as_json))
}

#[cfg(test)]
mod tests;
