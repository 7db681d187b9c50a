//! What containers are made from and share: images, networks and volumes are removed, made and cleared away.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use ciborium::Value;
use radar_wire::command::Prunable;
use radar_wire::container::ContainerId;
use serde_json::{Value as Json, json};

use super::super::asking::{self, escaped};
use super::super::record::cut_to;
use super::call::{LONGEST_TEXT, done};
use super::found::{MOST_ENTRIES, bounded, map, shown, text, texts};
use super::{ActError, ActErrorKind, Done};

/// How long what removes much may take: an image of many layers keeps a slow card busy for minutes.
pub(super) const LONG: Duration = Duration::from_secs(10 * 60);

/// How many of those that were not removed are told.
const MOST_LEFT: usize = 100;

/// The version of the API from which on volumes with a name are pruned only where that is asked for.
const ANONYMOUS_ONLY: (usize, usize) = (1, 42);

pub(super) async fn remove_image(docker: &Docker, image: &str, force: bool) -> Result<Done, ActError> {
    let items = asking::delete(docker, &format!("/images/{}?force={force}", escaped(image))).await?;
    Ok(removed(names(&items), &Json::Null))
}

pub(super) async fn create_network(
    docker: &Docker,
    network: &str,
    driver: Option<Box<str>>,
    internal: bool,
) -> Result<Done, ActError> {
    // Engines before API 1.44 make two of the same name.
    let same = asking::list(docker, &filtered("/networks", "name", network)).await?;
    if same.iter().any(|other| other["Name"] == network) {
        let text = format!("network with name {network} already exists");
        return Err(ActError { kind: ActErrorKind::Conflict, text: text.into() });
    }
    let mut request = json!({ "Name": network, "Internal": internal });
    if let Some(driver) = driver {
        request["Driver"] = (*driver).into();
    }
    let created = asking::post(docker, "/networks/create", Some(&request)).await?;
    Ok(Done { needed: true, result: Some(map([("id", shown(&created["Id"]))])) })
}

pub(super) async fn remove_network(docker: &Docker, network: &str) -> Result<Done, ActError> {
    asking::delete(docker, &format!("/networks/{}", escaped(network))).await.map_err(|error| match error {
        // Older engines forbid this with the status for what is built in.
        Error::DockerResponseServerError { status_code: 403, message } if message.contains("active endpoints") => {
            Error::DockerResponseServerError { status_code: 409, message }
        }
        error => error,
    })?;
    Ok(done(true))
}

pub(super) async fn create_volume(docker: &Docker, volume: &str, driver: Option<Box<str>>) -> Result<Done, ActError> {
    let changed = match asking::get(docker, &format!("/volumes/{}", escaped(volume))).await {
        Ok(_) => false,
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => true,
        Err(error) => return Err(error.into()),
    };
    // One that is there with another driver is a conflict, which the engine finds.
    let mut request = json!({ "Name": volume });
    if let Some(driver) = driver {
        request["Driver"] = (*driver).into();
    }
    asking::post(docker, "/volumes/create", Some(&request)).await?;
    Ok(done(changed))
}

pub(super) async fn remove_volume(docker: &Docker, volume: &str) -> Result<Done, ActError> {
    asking::delete(docker, &format!("/volumes/{}", escaped(volume))).await?;
    Ok(done(true))
}

/// One by one, so that nothing is removed but what the core has named. Without force the engine leaves what runs.
pub(super) async fn remove_stopped(docker: &Docker, ids: Vec<ContainerId>) -> Result<Done, ActError> {
    let (mut gone, mut left, mut freed) = (Vec::new(), Vec::new(), 0);
    for id in ids {
        let known = match asking::get(docker, &format!("/containers/{id}/json?size=true")).await {
            Ok(known) => known,
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => continue,
            Err(error) => return Err(after(&gone, error)),
        };
        let name =
            known["Name"].as_str().map_or_else(|| id.to_string(), |name| name.trim_start_matches('/').to_owned());
        match asking::delete(docker, &format!("/containers/{id}")).await {
            Ok(_) => {
                gone.push(name);
                freed += known["SizeRw"].as_u64().unwrap_or(0);
            }
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(Error::DockerResponseServerError { message, .. }) => {
                left.push(text(&format!("{name}: {}", message.trim())));
            }
            Err(error) => return Err(after(&gone, error)),
        }
    }
    let mut done = removed(gone.iter().map(String::as_str), &freed.into());
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
        Prunable::Containers => Ok(removed(std::iter::empty(), &Json::Null)),
        Prunable::Images => {
            let dangling = if all { "false" } else { "true" };
            let answer = match asking::post(docker, &filtered("/images/prune", "dangling", dangling), None).await {
                Err(Error::DockerResponseServerError { status_code: 500, message })
                    if message.contains("\"dangling\"") =>
                {
                    return prune_images_of_podman(docker).await;
                }
                answer => answer?,
            };
            Ok(removed(names(&answer["ImagesDeleted"]), &answer["SpaceReclaimed"]))
        }
        Prunable::Networks => {
            let answer = asking::post(docker, "/networks/prune", None).await?;
            Ok(removed(texts(&answer["NetworksDeleted"]), &Json::Null))
        }
        Prunable::Volumes => {
            let version = docker.client_version();
            let tells_apart = (version.major_version, version.minor_version) >= ANONYMOUS_ONLY;
            let path = match (all, tells_apart) {
                (false, false) => return prune_anonymous(docker).await,
                (true, true) => &filtered("/volumes/prune", "all", "true"),
                _ => "/volumes/prune",
            };
            let answer = asking::post(docker, path, None).await?;
            Ok(removed(texts(&answer["VolumesDeleted"]), &answer["SpaceReclaimed"]))
        }
    }
}

/// In Docker's words Podman prunes only images without a name, so all are pruned in its own.
async fn prune_images_of_podman(docker: &Docker) -> Result<Done, ActError> {
    let answer = asking::post(docker, "/v4.0.0/libpod/images/prune?all=true", None).await?;
    let gone: Vec<_> = answer.as_array().into_iter().flatten().filter(|image| image["Err"].is_null()).collect();
    let freed: u64 = gone.iter().filter_map(|image| image["Size"].as_u64()).sum();
    Ok(removed(gone.into_iter().filter_map(|image| image["Id"].as_str()), &freed.into()))
}

/// An older engine would remove those with a name too. What nobody gave a name has one of 64 hexadecimal digits.
async fn prune_anonymous(docker: &Docker) -> Result<Done, ActError> {
    let unused = asking::get(docker, &filtered("/volumes", "dangling", "true")).await?;
    let unused = unused["Volumes"].as_array().into_iter().flatten().filter_map(|volume| volume["Name"].as_str());
    let mut gone = Vec::new();
    for volume in unused.filter(|name| is_anonymous(name)) {
        match asking::delete(docker, &format!("/volumes/{volume}")).await {
            Ok(_) => gone.push(volume.to_owned()),
            // Somebody was faster, or uses it by now.
            Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
            Err(error) => return Err(after(&gone, error)),
        }
    }
    Ok(removed(gone.iter().map(String::as_str), &Json::Null))
}

fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The names and ids of removed images.
fn names(items: &Json) -> impl Iterator<Item = &str> {
    let items = items.as_array().into_iter().flatten();
    items.flat_map(|item| [&item["Untagged"], &item["Deleted"]]).filter_map(Json::as_str)
}

fn removed<'a>(names: impl Iterator<Item = &'a str>, freed: &Json) -> Done {
    let mut names = names.map(text).peekable();
    let changed = names.peek().is_some();
    let (removed, cut) = bounded(names, MOST_ENTRIES);
    let freed = freed.as_u64().map(Value::from);
    Done { needed: changed, result: Some(map([("removed", Some(removed)), ("truncated", cut), ("freed", freed)])) }
}

fn filtered(path: &str, name: &str, value: &str) -> String {
    format!("{path}?filters={}", escaped(&json!({ name: [value] }).to_string()))
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
        let none = removed(std::iter::empty(), &0.into());
        assert!(!none.needed);
        let many: Vec<_> = (0..2000).map(|number| number.to_string()).collect();
        let many = removed(many.iter().map(String::as_str), &7.into());
        assert!(many.needed);
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
