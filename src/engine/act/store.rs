//! What containers are made from and share: images, networks and volumes are removed, made and cleared away.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ImageDeleteResponseItem, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    InspectContainerOptions, ListNetworksOptions, ListVolumesOptions, PruneImagesOptions, PruneNetworksOptions,
    PruneVolumesOptions, RemoveContainerOptions, RemoveImageOptions, RemoveVolumeOptions,
};
use ciborium::Value;
use radar_wire::command::Prunable;
use radar_wire::container::ContainerId;

use super::super::record::cut_to;
use super::call::{LONGEST_TEXT, done};
use super::found::{MOST_ENTRIES, bounded, map, text};
use super::{ActError, ActErrorKind, Done};

/// How long what removes much may take: an image of many layers keeps a slow card busy for minutes.
pub(super) const LONG: Duration = Duration::from_secs(10 * 60);

/// How many of those that were not removed are told.
const MOST_LEFT: usize = 100;

/// The version of the API from which on volumes with a name are pruned only where that is asked for.
const ANONYMOUS_ONLY: (usize, usize) = (1, 42);

type Filters = Option<HashMap<String, Vec<String>>>;

pub(super) async fn remove_image(docker: &Docker, image: &str, force: bool) -> Result<Done, ActError> {
    let options = RemoveImageOptions { force, ..RemoveImageOptions::default() };
    let items = docker.remove_image(image, Some(options), None).await?;
    Ok(removed(items.into_iter().flat_map(names), None))
}

pub(super) async fn create_network(
    docker: &Docker,
    network: &str,
    driver: Option<Box<str>>,
    internal: bool,
) -> Result<Done, ActError> {
    // Engines before API 1.44 make two of the same name.
    let options = ListNetworksOptions { filters: filter("name", network) };
    let same = docker.list_networks(Some(options)).await?;
    if same.iter().any(|other| other.name.as_deref() == Some(network)) {
        let text = format!("network with name {network} already exists");
        return Err(ActError { kind: ActErrorKind::Conflict, text: text.into() });
    }
    let request = NetworkCreateRequest {
        name: network.to_owned(),
        driver: driver.map(Into::into),
        internal: Some(internal),
        ..NetworkCreateRequest::default()
    };
    let created = docker.create_network(request).await?;
    Ok(Done { changed: true, result: Some(map([("id", Some(text(&created.id)))])) })
}

pub(super) async fn remove_network(docker: &Docker, network: &str) -> Result<Done, ActError> {
    docker.remove_network(network).await.map_err(|error| match error {
        // Older engines forbid this with the status for what is built in.
        Error::DockerResponseServerError { status_code: 403, message } if message.contains("active endpoints") => {
            Error::DockerResponseServerError { status_code: 409, message }
        }
        error => error,
    })?;
    Ok(done(true))
}

pub(super) async fn create_volume(docker: &Docker, volume: &str, driver: Option<Box<str>>) -> Result<Done, ActError> {
    let changed = match docker.inspect_volume(volume).await {
        Ok(_) => false,
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => true,
        Err(error) => return Err(error.into()),
    };
    let driver = driver.map(Into::into);
    // One that is there with another driver is a conflict, which the engine finds.
    let request = VolumeCreateRequest { name: Some(volume.to_owned()), driver, ..VolumeCreateRequest::default() };
    docker.create_volume(request).await?;
    Ok(done(changed))
}

pub(super) async fn remove_volume(docker: &Docker, volume: &str) -> Result<Done, ActError> {
    docker.remove_volume(volume, None::<RemoveVolumeOptions>).await?;
    Ok(done(true))
}

/// One by one, so that nothing is removed but what the core has named. Without force the engine leaves what runs.
pub(super) async fn remove_stopped(docker: &Docker, ids: Vec<ContainerId>) -> Result<Done, ActError> {
    let (mut gone, mut left, mut freed) = (Vec::new(), Vec::new(), 0);
    for id in ids {
        let id = id.to_string();
        let known = match docker.inspect_container(&id, Some(InspectContainerOptions { size: true })).await {
            Ok(known) => known,
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => continue,
            Err(error) => return Err(after(&gone, error)),
        };
        let name = known.name.as_deref().unwrap_or(&id).trim_start_matches('/').to_owned();
        match docker.remove_container(&id, None::<RemoveContainerOptions>).await {
            Ok(()) => {
                gone.push(name);
                freed += known.size_rw.unwrap_or(0);
            }
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(Error::DockerResponseServerError { message, .. }) => {
                left.push(text(&format!("{name}: {}", message.trim())));
            }
            Err(error) => return Err(after(&gone, error)),
        }
    }
    let mut done = removed(gone.into_iter(), Some(freed));
    if let Some(Value::Map(fields)) = done.result.as_mut().filter(|_| !left.is_empty()) {
        fields.push(("left".into(), bounded(left.into_iter(), MOST_LEFT).0));
    }
    Ok(done)
}

/// An error in the middle hides nothing of what was done before it.
fn after(gone: &[String], error: Error) -> ActError {
    let error = ActError::from(error);
    if gone.is_empty() {
        return error;
    }
    let text = format!("{}; removed before: {}", error.text, gone.join(", "));
    ActError { text: cut_to(&text, LONGEST_TEXT), ..error }
}

pub(super) async fn prune(docker: &Docker, what: Prunable, all: bool) -> Result<Done, ActError> {
    match what {
        Prunable::Containers => Ok(removed(std::iter::empty(), None)),
        Prunable::Images => {
            let dangling = if all { "false" } else { "true" };
            let options = PruneImagesOptions { filters: filter("dangling", dangling) };
            let answer = docker.prune_images(Some(options)).await?;
            let names = answer.images_deleted.unwrap_or_default().into_iter().flat_map(names);
            Ok(removed(names, answer.space_reclaimed))
        }
        Prunable::Networks => {
            let answer = docker.prune_networks(None::<PruneNetworksOptions>).await?;
            Ok(removed(answer.networks_deleted.unwrap_or_default().into_iter(), None))
        }
        Prunable::Volumes => {
            let version = docker.client_version();
            let tells_apart = (version.major_version, version.minor_version) >= ANONYMOUS_ONLY;
            if !all && !tells_apart {
                return prune_anonymous(docker).await;
            }
            let options =
                PruneVolumesOptions { filters: if all && tells_apart { filter("all", "true") } else { None } };
            let answer = docker.prune_volumes(Some(options)).await?;
            Ok(removed(answer.volumes_deleted.unwrap_or_default().into_iter(), answer.space_reclaimed))
        }
    }
}

/// An older engine would remove those with a name too. What nobody gave a name has one of 64 hexadecimal digits.
async fn prune_anonymous(docker: &Docker) -> Result<Done, ActError> {
    let options = ListVolumesOptions { filters: filter("dangling", "true") };
    let unused = docker.list_volumes(Some(options)).await?.volumes.unwrap_or_default();
    let mut gone = Vec::new();
    for volume in unused.into_iter().map(|volume| volume.name).filter(|name| is_anonymous(name)) {
        match docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await {
            Ok(()) => gone.push(volume),
            // Somebody was faster, or uses it by now.
            Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
            Err(error) => return Err(after(&gone, error)),
        }
    }
    Ok(removed(gone.into_iter(), None))
}

fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn names(item: ImageDeleteResponseItem) -> impl Iterator<Item = String> {
    item.untagged.into_iter().chain(item.deleted)
}

fn removed(names: impl Iterator<Item = String>, freed: Option<i64>) -> Done {
    let mut names = names.map(|name| text(&name)).peekable();
    let changed = names.peek().is_some();
    let (removed, cut) = bounded(names, MOST_ENTRIES);
    let freed = freed.filter(|bytes| *bytes >= 0).map(Value::from);
    Done { changed, result: Some(map([("removed", Some(removed)), ("truncated", cut), ("freed", freed)])) }
}

fn filter(name: &str, value: &str) -> Filters {
    Some(HashMap::from([(name.to_owned(), vec![value.to_owned()])]))
}

#[cfg(test)]
mod tests {
    use super::*;

    // DM16
    #[test]
    fn only_what_nobody_named_is_anonymous() {
        for (volume, anonymous) in [
            ("0123456789abcdef".repeat(4).as_str(), true),
            ("0123456789ABCDEF".repeat(4).as_str(), false),
            ("0123456789abcdef".repeat(3).as_str(), false),
            ("data", false),
            ("", false),
        ] {
            assert_eq!(is_anonymous(volume), anonymous, "{volume}");
        }
    }

    // DM16
    #[test]
    fn what_was_removed_is_told_and_bounded() {
        let none = removed(std::iter::empty(), Some(0));
        assert!(!none.changed);
        let many = removed((0..2000).map(|number| number.to_string()), Some(7));
        assert!(many.changed);
        let fields = many.result.unwrap().into_map().unwrap();
        let field =
            |name: &str| fields.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value.clone());
        assert_eq!(field("removed").unwrap().as_array().unwrap().len(), MOST_ENTRIES);
        assert_eq!((field("truncated"), field("freed")), (Some(true.into()), Some(7.into())));
    }

    // DM16
    #[test]
    fn an_error_in_the_middle_says_what_was_done() {
        let error = || Error::DockerResponseServerError { status_code: 500, message: "no space".to_owned() };
        assert_eq!(&*after(&[], error()).text, "no space");
        assert_eq!(&*after(&["a".to_owned(), "b".to_owned()], error()).text, "no space; removed before: a, b");
        assert!(after(&vec!["x".repeat(100); 50], error()).text.len() <= LONGEST_TEXT);
    }
}
