//! One act, performed: what must be known before, the engine's call, and what its answer means.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerState, NetworkDisconnectRequest};
use bollard::query_parameters::{
    CreateImageOptions, InspectContainerOptions, KillContainerOptions, ListImagesOptions, ListNetworksOptions,
    ListVolumesOptions, RemoveContainerOptions, RenameContainerOptions, RestartContainerOptions, StartContainerOptions,
    StopContainerOptions, TopOptions,
};
use ciborium::Value;
use futures_util::TryStreamExt;
use radar_link::time::Clock;
use radar_wire::container::ContainerId;

use super::super::failure::{Failure, text};
use super::super::record::{Labels, cut_to};
use super::running::Teller;
use super::{Act, ActError, ActErrorKind, Document, Done, Piece, document, found};

/// The most bytes of an error's text.
pub(super) const LONGEST_TEXT: usize = 500;

/// How long the engine waits for a container to stop unless it is told otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// How much longer the client's own time-out is, which it keeps in whole seconds.
const LATER: Duration = Duration::from_secs(2);

/// Performs an act within this time, and the time that a container has for its end.
pub(super) async fn perform(
    docker: Docker,
    act: Act,
    time_out: Duration,
    labels: Labels,
    teller: Teller,
) -> Result<Done, ActError> {
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
        let own = || answer.config.as_ref()?.stop_timeout?.try_into().ok().map(Duration::from_secs);
        let given = given.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(Self { running: is(&answer, |state| state.running), grace: given.or_else(own).unwrap_or(GRACE) })
    }
}

async fn call(docker: &Docker, act: Act, before: &Before, labels: &Labels, teller: &Teller) -> Result<Done, ActError> {
    match act {
        Act::Start { id } => {
            docker.start_container(&id.to_string(), None::<StartContainerOptions>).await?;
            Ok(done(!before.running))
        }
        Act::Stop { id, timeout } => {
            let options = StopContainerOptions { t: timeout.map(seconds), ..StopContainerOptions::default() };
            docker.stop_container(&id.to_string(), Some(options)).await?;
            Ok(done(before.running))
        }
        Act::Restart { id, timeout } => {
            let options = RestartContainerOptions { t: timeout.map(seconds), ..RestartContainerOptions::default() };
            docker.restart_container(&id.to_string(), Some(options)).await?;
            Ok(done(true))
        }
        Act::Kill { id, signal } => {
            let options = signal.map(|signal| KillContainerOptions { signal: signal.into() }).unwrap_or_default();
            docker.kill_container(&id.to_string(), Some(options)).await?;
            Ok(done(true))
        }
        Act::Pause { id } => {
            let result = docker.pause_container(&id.to_string()).await;
            unless(result, docker, id, |answer| is(answer, |state| state.paused)).await
        }
        Act::Unpause { id } => {
            let result = docker.unpause_container(&id.to_string()).await;
            unless(result, docker, id, |answer| !is(answer, |state| state.paused)).await
        }
        Act::Rename { id, to } => {
            docker.rename_container(&id.to_string(), RenameContainerOptions { name: to.into() }).await?;
            Ok(done(true))
        }
        Act::Remove { id, force, volumes } => {
            let options = RemoveContainerOptions { v: volumes, force, link: false };
            docker.remove_container(&id.to_string(), Some(options)).await?;
            Ok(done(true))
        }
        Act::Inspect { id } => Ok(told(found::inspected(inspect(docker, id).await?, labels)?)),
        Act::Top { id } => Ok(told(found::top(docker.top_processes(&id.to_string(), None::<TopOptions>).await?))),
        Act::Images => Ok(told(found::images(docker.list_images(None::<ListImagesOptions>).await?))),
        Act::Networks => Ok(told(found::networks(docker.list_networks(None::<ListNetworksOptions>).await?))),
        Act::Volumes => Ok(told(found::volumes(docker.list_volumes(None::<ListVolumesOptions>).await?))),
        Act::Describe { named } => {
            let mut all = Vec::with_capacity(named.len());
            for named in named {
                all.push(document::container(docker, &named).await?.unwrap_or_default());
            }
            Ok(hand_on(teller, all.into()).await)
        }
        Act::DescribeImage { image } => Ok(hand_on(teller, document::image(docker, &image).await?).await),
        Act::Sharing { id } => Ok(hand_on(teller, document::sharing(docker, id).await?).await),
        Act::Pull { image } => {
            let options = CreateImageOptions { from_image: Some(image.into()), ..CreateImageOptions::default() };
            docker.create_image(Some(options), None, None).try_for_each(|_| std::future::ready(Ok(()))).await?;
            Ok(done(true))
        }
        Act::Create { name, body } => {
            let id = document::create(docker, &name, &body).await?;
            Ok(Done { changed: true, result: Some(Value::Text(id)) })
        }
        Act::Connect { network, id, endpoint } => {
            document::connect(docker, &network, id, &endpoint).await?;
            Ok(done(true))
        }
        Act::Disconnect { network, id } => {
            let request = NetworkDisconnectRequest { container: id.to_string(), force: None };
            docker.disconnect_network(&network, request).await?;
            Ok(done(true))
        }
    }
}

/// An engine refuses to pause what is paused, with statuses and words that vary; its state tells.
async fn unless(
    result: Result<(), Error>,
    docker: &Docker,
    id: ContainerId,
    so_already: impl Fn(&ContainerInspectResponse) -> bool,
) -> Result<Done, ActError> {
    match result {
        Ok(()) => Ok(done(true)),
        Err(error @ Error::DockerResponseServerError { status_code: 409 | 500, .. }) => {
            let answer = inspect(docker, id).await?;
            if so_already(&answer) { Ok(done(false)) } else { Err(error.into()) }
        }
        Err(error) => Err(error.into()),
    }
}

async fn inspect(docker: &Docker, id: ContainerId) -> Result<ContainerInspectResponse, Error> {
    docker.inspect_container(&id.to_string(), None::<InspectContainerOptions>).await
}

fn is(answer: &ContainerInspectResponse, flag: impl Fn(&ContainerState) -> Option<bool>) -> bool {
    answer.state.as_ref().and_then(flag).unwrap_or(false)
}

fn seconds(timeout: u32) -> i32 {
    i32::try_from(timeout).unwrap_or(i32::MAX)
}

fn done(changed: bool) -> Done {
    Done { changed, result: None }
}

async fn hand_on(teller: &Teller, found: serde_json::Value) -> Done {
    teller.ready().await;
    teller.tell(Piece::Found(Document(found))).await;
    done(false)
}

fn told(found: Value) -> Done {
    Done { changed: false, result: Some(found) }
}

async fn within<T>(time_out: Duration, work: impl Future<Output = Result<T, ActError>>) -> Result<T, ActError> {
    tokio::time::timeout(time_out, work).await.unwrap_or_else(|_| Err(Error::RequestTimeoutError.into()))
}

impl From<Error> for ActError {
    fn from(error: Error) -> Self {
        let (kind, said) = match &error {
            Error::DockerResponseServerError { status_code, message } if message.trim().is_empty() => {
                (kind(*status_code), format!("the engine says {status_code}"))
            }
            Error::DockerResponseServerError { status_code, message } => {
                (kind(*status_code), message.trim().to_owned())
            }
            Error::RequestTimeoutError => (ActErrorKind::TimedOut, Failure::silence().text()),
            error => (ActErrorKind::Engine, text(error)),
        };
        Self { kind, text: cut_to(&said, LONGEST_TEXT) }
    }
}

fn kind(status: u16) -> ActErrorKind {
    match status {
        403 => ActErrorKind::Denied,
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
