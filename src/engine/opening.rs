//! One attempt to reach the engine: who it is, whether its memory of events reaches back far
//! enough, and its event stream from there on.

use std::pin::Pin;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::EventMessage;
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use futures_util::{Stream, StreamExt, stream};
use radar_link::time::{Clock, utc};
use radar_wire::snapshot::HostFacts;
use radar_wire::status::EngineFacts;
use serde_json::Value;

use super::address::Address;
use super::failure::{Failure, text};
use super::notice::{History, Opened};
use super::{asking, event, probe};

/// How many events of all kinds Docker keeps.
const HELD: usize = 256;

/// The engine's events as they come.
pub(super) type Events = Pin<Box<dyn Stream<Item = Result<EventMessage, Error>> + Send>>;

/// How far before the last event reading begins again, in nanoseconds: the engine stamps events before it queues
/// them, and looks for older ones only until the first that is too old.
const OVERLAP: i64 = 1_000_000_000;

/// Where reading goes on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Position {
    /// The engine's time at which reading began in this life; what was before is no news.
    pub(super) first: Option<i64>,
    /// The engine's time of the last event that was read.
    pub(super) last: Option<i64>,
    /// The engine's time up to which no event is missing; not before `last`.
    pub(super) covered: Option<i64>,
    /// The engine's time of some event that it must still hold, unless it has held too many since
    /// or has started anew.
    pub(super) held: Option<i64>,
}

impl Position {
    /// Where reading goes on for one who has all events up to a time.
    pub(super) fn at(cursor: Option<i64>, held: Option<i64>) -> Self {
        Self { first: cursor, last: cursor, covered: cursor, held }
    }

    /// An event was read.
    pub(super) fn read(&mut self, time: i64) {
        self.last = Some(time);
        self.covered = self.covered.max(Some(time));
        self.held = self.held.or(Some(time));
    }
}

/// An engine that answers.
pub(super) struct Reached {
    pub(super) docker: Docker,
    pub(super) opened: Opened,
    pub(super) position: Position,
    pub(super) events: Events,
}

/// Connects, asks who is there, and opens the event stream.
pub(super) async fn open(
    address: Address,
    actions: Vec<Box<str>>,
    time_out: Duration,
    position: Position,
) -> Result<Reached, String> {
    match tokio::time::timeout(time_out, reach(&address, &actions, time_out, position)).await {
        Ok(reached) => reached,
        Err(_) => Err(format!("the engine at {address}: {}", Failure::silence().text())),
    }
}

async fn reach(
    address: &Address,
    actions: &[Box<str>],
    time_out: Duration,
    position: Position,
) -> Result<Reached, String> {
    let failed = |error: Error| match Failure::from(error) {
        Failure::Denied(reason) => format!("the version of the engine at {address}: {reason}; allow GET /version"),
        failure => format!("the engine at {address}: {}", failure.text()),
    };
    let docker = address.connect(time_out, API_DEFAULT_VERSION).await?;
    // Asked once: Podman asks other programs for theirs, which takes a second.
    let version = asking::get(&docker, "/version").await.map_err(failed)?;
    let docker = address.connect(time_out, &spoken(&version)).await?;
    let mut facts = facts(&version, &docker);
    // A proxy that guards the socket may deny it; nothing depends on what it says.
    let info = asking::get(&docker, "/info").await.unwrap_or_else(|error| {
        tracing::debug!(error = text(&error), "the engine does not tell about its host");
        if let Failure::Denied(_) = error.into() {
            facts.unavailable.push(probe::HOST_FACTS.into());
        }
        Value::Null
    });
    facts.unavailable.extend(probe::denied(&docker, actions).await);
    facts.unavailable.sort_unstable();
    let told = !facts.unavailable.iter().any(|word| &**word == probe::EVENTS);
    let time = info["SystemTime"].as_str().and_then(utc::nanoseconds);

    let (history, held) = match (position.covered, time) {
        // Nobody tells what is missing.
        _ if !told => (History::NotAsked, None),
        (Some(covered), _) if &*facts.kind == "docker" => {
            let until = time.unwrap_or_else(|| Clock::start().now().wall.saturating_mul(1_000_000));
            // What is still to come by the engine's own clock is of before it was set back, and says nothing.
            let past = |at: &i64| time.is_none_or(|time| *at <= time);
            let (covered, held) = (Some(covered).filter(past), position.held.filter(past));
            let read = history(docker.events(Some(event::held(until))), covered, held).await;
            read.map_err(|error| format!("the events of the engine at {address}: {}", Failure::from(error).text()))?
        }
        // Podman reads its events from a journal that outlives it.
        (Some(_), _) => (History::Whole, None),
        (None, _) => (History::NotAsked, None),
    };
    let since = match (position.last, time) {
        // The clock was set back, and the engine would take a later time for "nothing yet".
        (Some(since), Some(time)) if time < since => Some(1),
        (Some(since), _) => position.first.max(Some(since - OVERLAP)),
        (None, time) => time,
    };
    // What was before the first answer is no news, then and whenever the stream is opened anew.
    let position = Position {
        first: position.first.or(time),
        last: position.last.or(time),
        covered: position.covered.map(|covered| covered.min(time.unwrap_or(covered))).or(time),
        held,
    };
    let events: Events =
        if told { Box::pin(docker.events(Some(event::kept(since)))) } else { Box::pin(stream::pending()) };
    Ok(Reached { docker, opened: Opened { facts, host: host(&info), time, history }, position, events })
}

/// Reads all that the engine holds, oldest first; returns the time of the oldest as well. Without `covered` nobody knows
/// up to when events were read.
async fn history(
    events: impl Stream<Item = Result<EventMessage, Error>>,
    covered: Option<i64>,
    held: Option<i64>,
) -> Result<(History, Option<i64>), Error> {
    let mut events = std::pin::pin!(events);
    let mut oldest = None;
    let mut count = 0;
    while let Some(message) = events.next().await {
        count += 1;
        oldest = oldest.or(event::time(&message?));
    }
    let reaches_back_to = |at: i64| oldest.is_some_and(|oldest| oldest <= at);
    let history = match (covered, held) {
        (Some(covered), _) if count >= HELD && reaches_back_to(covered) => History::Whole,
        (Some(_), _) if count >= HELD => History::Overrun,
        (Some(_), Some(held)) if !reaches_back_to(held) => History::Restarted,
        (Some(_), _) => History::Whole,
        (None, Some(held)) if count < HELD && reaches_back_to(held) => History::Whole,
        (None, _) => History::Overrun,
    };
    Ok((history, oldest))
}

/// The version of the API that both sides know.
fn spoken(version: &Value) -> ClientVersion {
    let own = (API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);
    let theirs = version["ApiVersion"].as_str().and_then(|text| text.split_once('.'));
    let theirs = theirs.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    // Who does not say it may be of long ago.
    let (major_version, minor_version) = theirs.unwrap_or((1, 24)).min(own);
    ClientVersion { major_version, minor_version }
}

fn facts(version: &Value, docker: &Docker) -> EngineFacts {
    let mut components = version["Components"].as_array().into_iter().flatten();
    let podman = |name: &str| name.to_lowercase().contains("podman");
    let is_podman = components.any(|component| component["Name"].as_str().is_some_and(podman));
    EngineFacts {
        kind: if is_podman { "podman" } else { "docker" }.into(),
        version: version["Version"].as_str().unwrap_or_default().into(),
        api: Some(docker.client_version().to_string().into()),
        answers: true,
        unavailable: Vec::new(),
    }
}

fn host(info: &Value) -> HostFacts {
    let text = |found: &Value| found.as_str().filter(|text| !text.is_empty()).map(Into::into);
    HostFacts {
        cpus: info["NCPU"].as_u64().and_then(|cpus| cpus.try_into().ok()),
        memory: info["MemTotal"].as_u64(),
        os: text(&info["OperatingSystem"]),
        kernel: text(&info["KernelVersion"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // E10
    #[test]
    fn the_engine_is_known_by_its_components_and_spoken_with_in_a_version_that_both_know() {
        let table = [
            (
                r#"{"Version": "4.3.1", "ApiVersion": "1.41", "Components": [{"Name": "Podman Engine"}]}"#,
                "podman",
                "1.41",
            ),
            (r#"{"Version": "20.10", "ApiVersion": "1.41", "Components": [{"Name": "Engine"}]}"#, "docker", "1.41"),
            (r#"{"ApiVersion": "9.9"}"#, "docker", &API_DEFAULT_VERSION.to_string()),
            ("{}", "docker", "1.24"),
        ];
        for (answer, kind, api) in table {
            let version: Value = serde_json::from_str(answer).unwrap();
            let docker = Docker::connect_with_http("127.0.0.1:1", 1, &spoken(&version)).unwrap();
            let found = facts(&version, &docker);
            assert_eq!((&*found.kind, found.api.as_deref()), (kind, Some(api)), "{answer}");
        }
    }

    // E1
    #[tokio::test]
    async fn the_engines_memory_reaches_back_far_enough_or_not() {
        let table = [
            ("all since the cursor", 100..110, Some(105), Some(105), History::Whole),
            ("full, and just enough", 100..356, Some(100), Some(100), History::Whole),
            ("full, and too late", 100..356, Some(99), Some(99), History::Overrun),
            ("noise pushed the last event out, but the time is covered", 100..356, Some(200), Some(50), History::Whole),
            ("not full, and without what it must hold", 100..355, Some(99), Some(99), History::Restarted),
            ("empty, and without what it must hold", 0..0, Some(99), Some(99), History::Restarted),
            ("never held anything", 0..0, Some(99), None, History::Whole),
            ("holds its first event", 100..101, Some(99), None, History::Whole),
            ("the clock was set back, and it holds what it held", 100..110, None, Some(101), History::Whole),
            ("the clock was set back, and it is full", 100..356, None, Some(101), History::Overrun),
            ("the clock was set back behind all that was held", 100..110, None, None, History::Overrun),
        ];
        for (what, times, covered, held, expect) in table {
            let first = times.clone().next();
            let message = |time| Ok(EventMessage { time_nano: Some(time), ..EventMessage::default() });
            let found = history(stream::iter(times.map(message)), covered, held).await.unwrap();
            assert_eq!(found, (expect, first), "{what}");
        }
        let cut = stream::iter([Err(Error::RequestTimeoutError)]);
        assert!(history(cut, Some(99), Some(99)).await.is_err(), "what was not read is not taken for empty");
    }
}
