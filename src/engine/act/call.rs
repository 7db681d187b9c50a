//! One act, performed: what must be known before, the engine's call, and what its answer means.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use ciborium::Value;
use radar_link::time::Clock;
use radar_wire::container::ContainerId;
use serde_json::{Value as Json, json};

use super::super::asking::{self, escaped};
use super::super::failure::Failure;
use super::super::record::{Labels, cut_to};
use super::running::Teller;
use super::{Act, ActError, ActErrorKind, Document, Done, Piece, document, found, logs, pull, store, usage};
use crate::registries::Registries;

/// The most bytes of an error's text.
pub(super) const LONGEST_TEXT: usize = 500;

/// How long the engine waits for a container to stop unless it is told otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// The most seconds that an engine understands.
const LONGEST_GRACE: u32 = i32::MAX.unsigned_abs();

/// How much longer the client's own time-out is, which it keeps in whole seconds.
pub(super) const LATER: Duration = Duration::from_secs(2);

/// Performs an act within this time, and the time that a container has for its end; a log has all the time that it takes.
pub(super) async fn perform(
    docker: Docker,
    act: Act,
    time_out: Duration,
    labels: Labels,
    registries: Registries,
    teller: Teller,
) -> Result<Done, ActError> {
    let time_out = match act {
        Act::Logs { id, tail, since, until, timestamps, follow } => {
            let wanted = logs::Wanted { id, tail, since, until, timestamps, follow };
            return logs::tell(docker, wanted, time_out, &teller).await;
        }
        Act::Pull { image } => return pull::pull(&docker, &image, time_out, &registries, &teller).await,
        Act::Sample { ids } => return usage::sample(&docker, &ids, time_out, &teller).await,
        Act::RemoveImage { .. } | Act::RemoveStopped { .. } | Act::Prune { .. } => time_out.max(store::LONG),
        _ => time_out,
    };
    let clock = Clock::start();
    let docker = docker.with_timeout(time_out.saturating_add(LATER));
    let before = within(time_out, Before::ask(&docker, &act)).await?;
    let left = time_out.saturating_sub(clock.now().mono).saturating_add(before.grace);
    let docker = docker.with_timeout(left.saturating_add(LATER));
    within(left, call(&docker, act, &before, &labels, &teller)).await
}

/// What must be known of a container before the call. That the engine had nothing to do it says with a status that the
/// client does not hand on.
#[derive(Default)]
struct Before {
    running: bool,
    /// How long the container has for its end.
    grace: Duration,
}

impl Before {
    async fn ask(docker: &Docker, act: &Act) -> Result<Self, ActError> {
        let (id, given) = match act {
            Act::Start { id } => (id, Some(0)),
            Act::Stop { id, timeout } | Act::Restart { id, timeout } => (id, *timeout),
            _ => return Ok(Self::default()),
        };
        let answer = inspect(docker, *id).await?;
        let seconds = given.map(u64::from).or_else(|| answer["Config"]["StopTimeout"].as_u64());
        Ok(Self { running: is(&answer, "Running"), grace: seconds.map_or(GRACE, Duration::from_secs) })
    }
}

async fn call(docker: &Docker, act: Act, before: &Before, labels: &Labels, teller: &Teller) -> Result<Done, ActError> {
    match act {
        Act::Start { id } => {
            post(docker, id, "start").await?;
            Ok(done(!before.running))
        }
        Act::Stop { id, timeout } => {
            post(docker, id, &with_grace("stop", timeout)).await?;
            Ok(done(before.running))
        }
        Act::Restart { id, timeout } => {
            post(docker, id, &with_grace("restart", timeout)).await?;
            Ok(done(true))
        }
        Act::Kill { id, signal } => {
            let signal = signal.as_deref().unwrap_or("SIGKILL");
            post(docker, id, &format!("kill?signal={}", escaped(signal))).await?;
            Ok(done(true))
        }
        Act::Pause { id } => unless(post(docker, id, "pause").await, docker, id, true).await,
        Act::Unpause { id } => unless(post(docker, id, "unpause").await, docker, id, false).await,
        Act::Rename { id, to } => {
            post(docker, id, &format!("rename?name={}", escaped(&to))).await?;
            Ok(done(true))
        }
        Act::Remove { id, force, volumes } => {
            asking::delete(docker, &format!("/containers/{id}?v={volumes}&force={force}")).await?;
            Ok(done(true))
        }
        Act::Inspect { id } => Ok(told(found::inspected(inspect(docker, id).await?, labels)?)),
        Act::Top { id } => Ok(told(found::top(&top(docker, id).await?))),
        Act::Images => Ok(told(found::images(&asking::list(docker, "/images/json").await?))),
        Act::Networks => Ok(told(found::networks(asking::list(docker, "/networks").await?))),
        Act::Volumes => Ok(told(found::volumes(asking::get(docker, "/volumes").await?))),
        Act::Describe { named } => {
            let mut all = Vec::with_capacity(named.len());
            for named in named {
                all.push(document::container(docker, &named).await?.unwrap_or_default());
            }
            Ok(hand_on(teller, all.into()).await)
        }
        Act::DescribeImage { image } => Ok(hand_on(teller, document::image(docker, &image).await?).await),
        Act::Sharing { id } => Ok(hand_on(teller, document::sharing(docker, id).await?).await),
        Act::Create { name, body } => {
            let id = document::create(docker, &name, &body).await?;
            Ok(Done { needed: true, result: Some(Value::Text(id)) })
        }
        Act::Connect { network, id, endpoint } => {
            document::connect(docker, &network, id, endpoint).await?;
            Ok(done(true))
        }
        Act::Disconnect { network, id } => {
            let request = json!({ "Container": id.to_string() });
            asking::post(docker, &format!("/networks/{}/disconnect", escaped(&network)), Some(&request)).await?;
            Ok(done(true))
        }
        Act::RemoveImage { image, force } => store::remove_image(docker, &image, force).await,
        Act::CreateNetwork { network, driver, internal } => {
            store::create_network(docker, &network, driver, internal).await
        }
        Act::RemoveNetwork { network } => store::remove_network(docker, &network).await,
        Act::CreateVolume { volume, driver } => store::create_volume(docker, &volume, driver).await,
        Act::RemoveVolume { volume } => store::remove_volume(docker, &volume).await,
        Act::RemoveStopped { ids } => store::remove_stopped(docker, ids).await,
        Act::Prune { what, all } => store::prune(docker, what, all).await,
        // They tell what they find while they are under way.
        Act::Logs { .. } | Act::Pull { .. } | Act::Sample { .. } => Ok(done(false)),
    }
}

async fn post(docker: &Docker, id: ContainerId, what: &str) -> Result<Json, Error> {
    asking::post(docker, &format!("/containers/{id}/{what}"), None).await
}

/// Podman runs `ps` in the container unless it is told the columns, and says nothing where there is none.
async fn top(docker: &Docker, id: ContainerId) -> Result<Json, Error> {
    match asking::get(docker, &format!("/containers/{id}/top")).await {
        Err(Error::JsonSerdeError { .. }) => {
            let columns = "user,pid,ppid,pcpu,stime,tty,time,args";
            asking::get(docker, &format!("/containers/{id}/top?stream=false&ps_args={columns}")).await
        }
        answer => answer,
    }
}

fn with_grace(what: &str, timeout: Option<u32>) -> String {
    timeout.map_or_else(|| what.to_owned(), |seconds| format!("{what}?t={}", seconds.min(LONGEST_GRACE)))
}

/// An engine refuses to pause what is paused, with statuses and words that vary; its state tells.
async fn unless(result: Result<Json, Error>, docker: &Docker, id: ContainerId, paused: bool) -> Result<Done, ActError> {
    match result {
        Ok(_) => Ok(done(true)),
        Err(error @ Error::DockerResponseServerError { status_code: 409 | 500, .. }) => {
            let answer = inspect(docker, id).await?;
            if is(&answer, "Paused") == paused { Ok(done(false)) } else { Err(error.into()) }
        }
        Err(error) => Err(error.into()),
    }
}

async fn inspect(docker: &Docker, id: ContainerId) -> Result<Json, Error> {
    asking::get(docker, &format!("/containers/{id}/json")).await
}

fn is(answer: &Json, flag: &str) -> bool {
    answer["State"][flag] == true
}

pub(super) fn done(needed: bool) -> Done {
    Done { needed, result: None }
}

async fn hand_on(teller: &Teller, found: Json) -> Done {
    teller.ready().await;
    teller.tell(Piece::Found(Document(found))).await;
    done(false)
}

fn told(found: Value) -> Done {
    Done { needed: true, result: Some(found) }
}

pub(super) async fn within<T>(
    time_out: Duration,
    work: impl Future<Output = Result<T, ActError>>,
) -> Result<T, ActError> {
    tokio::time::timeout(time_out, work).await.unwrap_or_else(|_| Err(Error::RequestTimeoutError.into()))
}

impl From<Error> for ActError {
    fn from(error: Error) -> Self {
        let (kind, said) = match &error {
            Error::DockerResponseServerError { status_code, message } if message.trim().is_empty() => {
                (kind(*status_code, ""), format!("the engine says {status_code}"))
            }
            Error::DockerResponseServerError { status_code, message } => {
                (kind(*status_code, message.trim()), message.trim().to_owned())
            }
            Error::RequestTimeoutError => (ActErrorKind::TimedOut, Failure::silence().text()),
            _ => (ActErrorKind::Engine, Failure::from(error).text()),
        };
        Self { kind, text: cut_to(&said, LONGEST_TEXT) }
    }
}

/// Podman has one status for most of what Docker tells apart, and its kind of error at the end of its words.
fn kind(status: u16, said: &str) -> ActErrorKind {
    const CONFLICTS: [&str; 5] =
        ["container state improper", "already in use", "already exists", "is being used", "does not have a cgroup"];
    match status {
        401 | 403 | 405 => ActErrorKind::Denied,
        500 if said.ends_with("no such container") => ActErrorKind::NotFound,
        500 if CONFLICTS.iter().any(|words| said.ends_with(words)) => ActErrorKind::Conflict,
        404 => ActErrorKind::NotFound,
        409 => ActErrorKind::Conflict,
        _ => ActErrorKind::Engine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // DM4
    #[test]
    fn a_refusal_is_told_by_its_status_and_in_its_own_words() {
        let table = [
            (403, "<h1>Forbidden</h1>\n", "denied: <h1>Forbidden</h1>"),
            (404, "No such container: x", "not-found: No such container: x"),
            (409, "is paused", "conflict: is paused"),
            (500, "out of luck", "engine: out of luck"),
            (405, "Method Not Allowed", "denied: Method Not Allowed"),
            // Podman's words.
            (
                500,
                "can only kill running containers. ab is in state exited: container state improper",
                "conflict: can only kill running containers. ab is in state exited: container state improper",
            ),
            (
                500,
                "network name a already used: network already exists",
                "conflict: network name a already used: network already exists",
            ),
            (403, " ", "denied: the engine says 403"),
        ];
        for (status_code, message, expect) in table {
            let error = ActError::from(Error::DockerResponseServerError { status_code, message: message.to_owned() });
            assert_eq!(format!("{}: {error}", error.kind.as_str()), expect);
        }
        let message = "é".repeat(400);
        let error = ActError::from(Error::DockerResponseServerError { status_code: 500, message });
        assert!((490..=LONGEST_TEXT).contains(&error.text.len()) && error.text.ends_with('…'), "{error}");
        assert_eq!(ActError::from(Error::RequestTimeoutError).kind.as_str(), "timed-out");
    }
}
