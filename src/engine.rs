//! The container engine: the only room that names bollard. It finds the engine, opens its event
//! stream again whenever that ends, asks it for lists and records, performs acts, and turns its answers
//! into the contract's words. What an answer means for the host is the core's business.

pub mod act;
mod address;
mod asking;
mod event;
mod failure;
mod images;
mod moment;
pub mod notice;
mod opening;
mod probe;
mod record;

use std::pin::Pin;
use std::time::Duration;

use bollard::Docker;
use bollard::models::EventMessage;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use radar_link::pacing::Pacer;
use radar_link::time::Clock;
use radar_wire::container::ContainerId;
use serde_json::Value;

use act::{Act, Running};
pub use address::{Address, AddressError, Environment};
use failure::Failure;
use images::{Image, Images};
use notice::{InspectError, Listed, Notice};
use opening::{Events, Position, Reached};
use record::Labels;

use crate::registries::Registries;

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long an engine that is taken for gone is read on at most, until its stream ends or nothing comes for [`QUIET`]:
/// what it said before it died may wait to be read.
const LAST_WORDS: Duration = Duration::from_secs(30);
const QUIET: Duration = Duration::from_secs(1);

/// An event stream that lived shorter than this is a failure; a longer one is opened anew at once.
const SHORT_LIFE: Duration = Duration::from_secs(5);

/// How far the engine's clock is trusted to be ahead of the events that it has sent.
const MARGIN: i64 = 5_000_000_000;

/// How the engine is reached and read.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// Labels to show beside `org.opencontainers.image.*` and `radar.*`: names, or prefixes that
    /// end with `*`.
    pub labels: Vec<String>,
    /// How long a request may take; [`Settings::TIME_OUT`] unless there is a reason.
    pub time_out: Duration,
    /// Who the host is where images are pulled from.
    pub registries: Registries,
    /// The actions that may be asked for: of these it is found out whether who guards the engine's socket denies them.
    pub actions: Vec<Box<str>>,
}

impl Settings {
    /// How long a request may take.
    pub const TIME_OUT: Duration = Duration::from_secs(10);
}

/// The way to the engine, owned by the shell's event loop. It spawns nothing, and works only
/// while [`Engine::next`] is polled; dropping it ends everything.
pub struct Engine {
    address: Address,
    actions: Vec<Box<str>>,
    labels: Labels,
    time_out: Duration,
    clock: Clock,
    pacer: Pacer,
    position: Position,
    images: Images,
    link: Link,
    acts: Running,
    /// Why the engine was last said to be away.
    away: Option<String>,
}

enum Link {
    /// The next attempt is due at this monotonic time.
    Waiting(Duration),
    Opening(Pin<Box<dyn Future<Output = Result<Reached, String>> + Send>>),
    Open(Open),
}

struct Open {
    docker: Docker,
    events: Events,
    answers: FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    /// Monotonic time.
    since: Duration,
    /// The engine's clock in nanoseconds at `since`.
    time: Option<i64>,
    /// What is denied.
    denied: Vec<Box<str>>,
    /// Why the engine is taken for gone, and until when (monotonic) what it has said before is still read: a dead one
    /// has no memory to read it from.
    gone: Option<Box<(Duration, String)>>,
}

impl Open {
    fn denies(&self, word: &str) -> bool {
        self.denied.iter().any(|denied| &**denied == word)
    }
}

enum Answer {
    /// `asked` is monotonic time.
    List {
        ticket: u64,
        asked: Duration,
        result: Result<Vec<Listed>, Failure>,
    },
    Container {
        id: ContainerId,
        result: Result<Value, Failure>,
    },
    Image {
        container: ContainerId,
        answer: Value,
        result: Result<Image, Failure>,
    },
}

/// What the link has to say.
enum Told {
    /// The next attempt is due.
    Due,
    Tried(Result<Box<Reached>, String>),
    Event(Box<EventMessage>),
    /// The event stream ended, for this reason.
    Ended(String),
    Answer(Box<Answer>),
}

impl Link {
    /// Cancel-safe.
    async fn next(&mut self, clock: Clock) -> Told {
        match self {
            Self::Waiting(until) => {
                clock.sleep_until(Some(*until)).await;
                Told::Due
            }
            Self::Opening(attempt) => Told::Tried(attempt.await.map(Box::new)),
            Self::Open(open) => tokio::select! {
                event = open.events.next() => match event {
                    Some(Ok(message)) => Told::Event(Box::new(message)),
                    Some(Err(error)) => Told::Ended(format!("the event stream broke: {}", failure::text(&error))),
                    None => Told::Ended("the event stream ended".to_owned()),
                },
                Some(answer) = open.answers.next() => Told::Answer(Box::new(answer)),
                () = clock.sleep_until(open.gone.as_ref().map(|gone| gone.0.min(clock.now().mono + QUIET))) => {
                    Told::Ended("the engine has no more to say".to_owned())
                }
            },
        }
    }
}

impl Engine {
    /// Begins to look for the engine. Its events are read from `since` on, inclusive, the
    /// engine's time in nanoseconds; without it from the first answer on. `read` is the time of some event that
    /// was read in an earlier life: an engine that should still hold it and does not has started anew.
    #[must_use]
    pub fn start(settings: Settings, since: Option<i64>, read: Option<i64>) -> Self {
        let Settings { address, labels, time_out, registries, actions } = settings;
        let clock = Clock::start();
        Self {
            address,
            actions,
            labels: Labels::new(&labels),
            time_out,
            link: Link::Waiting(clock.now().mono),
            clock,
            pacer: Pacer::new(FIRST_WAIT, LONGEST_WAIT),
            position: Position::at(since, read),
            images: Images::default(),
            acts: Running::new(registries),
            away: None,
        }
    }

    /// The next thing that the engine tells. Cancel-safe.
    pub async fn next(&mut self) -> Notice {
        loop {
            let told = tokio::select! {
                told = self.link.next(self.clock) => told,
                Some(acted) = self.acts.next() => return acted,
            };
            let notice = match told {
                Told::Due => {
                    self.link = self.opening();
                    None
                }
                Told::Tried(Ok(reached)) => Some(self.reached(*reached)),
                Told::Tried(Err(reason)) => self.lost(reason),
                Told::Event(message) => {
                    let event = event::read(*message);
                    event.inspect(|event| self.position.read(event.time)).map(Notice::Event)
                }
                Told::Ended(reason) => self.ended(reason),
                Told::Answer(answer) => self.answered(*answer),
            };
            if let Some(notice) = notice {
                return notice;
            }
        }
    }

    /// Asks for a list. One [`Notice::Listed`] follows, unless an [`Notice::Up`] or [`Notice::Down`] comes first and
    /// voids it. An engine that does not answer a list is taken for gone.
    pub fn list(&mut self, ticket: u64) {
        let (labels, time_out, asked) = (self.labels.clone(), self.time_out, self.clock.now().mono);
        let Link::Open(open) = &self.link else { return };
        let docker = open.docker.clone();
        let answer = async move { Answer::List { ticket, asked, result: list(docker, labels, time_out).await } };
        open.answers.push(Box::pin(answer));
    }

    /// Asks for a record. One [`Notice::Inspected`] follows, unless an [`Notice::Up`] or [`Notice::Down`] comes
    /// first and voids it. How many are under way is bounded by the core that asks.
    pub fn inspect(&mut self, id: ContainerId) {
        let time_out = self.time_out;
        let Link::Open(open) = &self.link else { return };
        let docker = open.docker.clone();
        open.answers.push(Box::pin(async move {
            let result = within(time_out, asking::get(&docker, &format!("/containers/{id}/json"))).await;
            Answer::Container { id, result }
        }));
    }

    /// Performs an act. One [`Notice::Acted`] follows in any case: with an error at once when the engine is away, and
    /// when it goes away meanwhile. Acts run beside each other; how many is bounded by the core that asks.
    ///
    /// `time_out` is for all of it but the time that a container has for its end when it is stopped or restarted.
    pub fn act(&mut self, ticket: u64, act: Act, time_out: Duration) {
        self.acts.begin(ticket, act, time_out, self.labels.clone());
    }

    /// Lets an act that has told something tell more.
    pub fn more(&mut self, ticket: u64) {
        self.acts.more(ticket);
    }

    /// Ends an act before its time; its [`Notice::Acted`] follows, with what it came to. What the engine was asked
    /// for already may still have its effect.
    pub fn cancel(&mut self, ticket: u64) {
        self.acts.cancel(ticket);
    }

    /// Opens the event stream anew, for a core that found out that it misses events.
    pub fn reopen(&mut self) {
        // Where events are denied, changes are found by lists only, and nothing is silent.
        if matches!(&self.link, Link::Open(open) if open.gone.is_none() && !open.denies(probe::EVENTS)) {
            tracing::warn!("the event stream is silent although containers change; it is opened anew");
            self.link = self.opening();
        }
    }

    fn opening(&self) -> Link {
        Link::Opening(Box::pin(opening::open(self.address.clone(), self.actions.clone(), self.time_out, self.position)))
    }

    fn reached(&mut self, reached: Reached) -> Notice {
        let Reached { docker, opened, position, events } = reached;
        self.position = position;
        self.away = None;
        let (since, time) = (self.clock.now().mono, opened.time);
        self.acts.open(docker.clone());
        let denied = opened.facts.unavailable.clone();
        let answers = FuturesUnordered::new();
        self.link = Link::Open(Open { docker, events, answers, since, time, denied, gone: None });
        Notice::Up(Box::new(opened))
    }

    /// The event stream ended. A proxy does that at will, and then the engine is still there.
    fn ended(&mut self, reason: String) -> Option<Notice> {
        let Link::Open(open) = &mut self.link else {
            return None;
        };
        let lived = self.clock.now().mono.saturating_sub(open.since);
        if lived >= LONGEST_WAIT {
            self.pacer.reset();
        }
        if let Some(gone) = open.gone.take() {
            return self.lost(gone.1);
        }
        if lived < SHORT_LIFE {
            return self.lost(format!("the engine at {}: {reason}", self.address));
        }
        tracing::debug!(reason, "opening the event stream anew");
        self.link = self.opening();
        None
    }

    fn lost(&mut self, reason: String) -> Option<Notice> {
        self.link = Link::Waiting(self.clock.now().mono + self.pacer.next_wait());
        self.acts.close(reason.clone());
        if self.away.as_ref() == Some(&reason) {
            return None;
        }
        self.away = Some(reason.clone());
        Some(Notice::Down { reason })
    }

    fn answered(&mut self, answer: Answer) -> Option<Notice> {
        match answer {
            Answer::List { result: Err(Failure::Silence(reason)), .. } => {
                let (until, address) = (self.clock.now().mono + LAST_WORDS, &self.address);
                if let Link::Open(open) = &mut self.link {
                    open.gone.get_or_insert_with(|| Box::new((until, format!("the engine at {address}: {reason}"))));
                }
                None
            }
            Answer::List { result: Err(Failure::Denied(reason)), .. } => {
                self.lost(format!("the list of containers at {}: {reason}; allow GET /containers/json", self.address))
            }
            Answer::List { ticket, asked, result } => {
                if result.is_ok() {
                    self.alive(asked);
                }
                Some(Notice::Listed { ticket, result: result.map_err(Failure::text) })
            }
            Answer::Container { id, result: Err(Failure::Missing(_)) } => {
                Some(Notice::Inspected { id, result: Err(InspectError::Gone) })
            }
            Answer::Container { id, result: Err(failure) } => {
                Some(Notice::Inspected { id, result: Err(InspectError::Failed(failure.text())) })
            }
            Answer::Container { id, result: Ok(answer) } => {
                let (image_id, _) = record::image_of(&answer);
                match self.images.get(image_id) {
                    None if !image_id.is_empty() && self.tells_images() => self.ask_image(id, answer),
                    image => return Some(inspected(id, &answer, image, &self.labels)),
                }
                None
            }
            Answer::Image { container, answer, result } => {
                // Without an answer the record goes without what the image knows; the next inspect asks again.
                let image = result.ok();
                let (image_id, _) = record::image_of(&answer);
                let image_id = image_id.to_owned();
                let notice = inspected(container, &answer, image.as_ref(), &self.labels);
                if let Some(image) = image {
                    self.images.insert(image_id, image);
                }
                Some(notice)
            }
        }
    }

    fn tells_images(&self) -> bool {
        matches!(&self.link, Link::Open(open) if !open.denies(probe::IMAGE_NAMES))
    }

    fn ask_image(&mut self, container: ContainerId, answer: Value) {
        let time_out = self.time_out;
        let Link::Open(open) = &self.link else { return };
        let docker = open.docker.clone();
        open.answers.push(Box::pin(async move {
            let (image_id, _) = record::image_of(&answer);
            let path = format!("/images/{}/json", asking::escaped(image_id));
            let result = within(time_out, asking::get(&docker, &path)).await;
            Answer::Image { container, result: images::read(result), answer }
        }));
    }

    /// The engine answered what was asked at this time, while its event stream was open.
    fn alive(&mut self, asked: Duration) {
        let Link::Open(open) = &self.link else { return };
        let passed = i64::try_from(asked.saturating_sub(open.since).as_nanos()).unwrap_or(i64::MAX);
        let time = open.time.map(|time| time.saturating_add(passed).saturating_sub(MARGIN));
        self.position.covered = self.position.covered.max(time);
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("address", &self.address).field("away", &self.away).finish_non_exhaustive()
    }
}

async fn list(docker: Docker, labels: Labels, time_out: Duration) -> Result<Vec<Listed>, Failure> {
    let entries = within(time_out, asking::list(&docker, "/containers/json?all=true")).await?;
    Ok(entries.iter().filter_map(|entry| record::listed(entry, &labels)).collect())
}

fn inspected(id: ContainerId, answer: &Value, image: Option<&Image>, labels: &Labels) -> Notice {
    let (image_id, configured) = record::image_of(answer);
    let image = images::resolve(configured, image_id, image);
    Notice::Inspected { id, result: Ok(Box::new(record::inspected(id, answer, image, labels))) }
}

async fn within<T>(
    time_out: Duration,
    request: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(time_out, request).await {
        Ok(result) => result.map_err(Failure::from),
        Err(_) => Err(Failure::silence()),
    }
}

#[cfg(test)]
mod tests;
