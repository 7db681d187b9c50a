//! Pulling an image: as whom, how far, and what came of it. The engine does the work; a pull that nobody waits for any
//! more it gives up.

use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;
use radar_link::time::Clock;
use radar_wire::image::ImageName;
use serde_json::Value;

use super::call::{LATER, within};
use super::document;
use super::found::{map, shown, text, texts};
use super::layers::Layers;
use super::running::Teller;
use super::{ActError, ActErrorKind, Done, Piece};
use crate::registries::{Login, Registries};

/// How long a pull may take.
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);

/// Pulls; `silence` is how long the engine may say nothing.
pub(super) async fn pull(
    docker: &Docker,
    image: &str,
    silence: Duration,
    registries: &Registries,
    teller: &Teller,
) -> Result<Done, ActError> {
    let login = registries
        .login(image)
        .map_err(|error| ActError { kind: ActErrorKind::Settings, text: error.to_string().into() })?;
    let docker = docker.clone().with_timeout(silence.saturating_add(LATER));
    let before = within(silence, there(&docker, image)).await?;
    let digest = within(LONGEST, transfer(&docker, image, silence, login, teller)).await?;
    let after = within(silence, async { Ok(document::image(&docker, image).await?) }).await?;
    let digest = digest.or_else(|| digest_of(image, &after));
    let changed = before.is_none_or(|before| before["Id"] != after["Id"]);
    let found = map([("image", shown(&after["Id"])), ("digest", digest.as_deref().map(text))]);
    Ok(Done { needed: changed, result: Some(found) })
}

async fn there(docker: &Docker, image: &str) -> Result<Option<Value>, ActError> {
    match document::image(docker, image).await {
        Ok(found) => Ok(Some(found)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads what the engine says until it has all; returns the digest.
async fn transfer(
    docker: &Docker,
    image: &str,
    silence: Duration,
    login: Option<Login>,
    teller: &Teller,
) -> Result<Option<String>, ActError> {
    // A name without a tag would be all of its tags.
    let options = CreateImageOptions { from_image: Some(image.to_owned()), ..CreateImageOptions::default() };
    let docker = docker.clone().with_request_modifier(|mut request| {
        // The engine reads this header in the alphabet for URLs; the client writes the other one.
        if let Some(value) = request.headers_mut().get_mut("x-registry-auth")
            && let Ok(Ok(safe)) = value.to_str().map(|value| value.replace('+', "-").replace('/', "_").parse())
        {
            *value = safe;
            value.set_sensitive(true);
        }
        request
    });
    let mut lines = docker.create_image(Some(options), None, login.map(credentials));
    let clock = Clock::start();
    let (mut layers, mut told, mut digest) = (Layers::default(), None, None);
    let mut heard = clock.now().mono;
    loop {
        tokio::select! {
            line = lines.next() => match line {
                Some(line) => {
                    let line = line.map_err(refused)?;
                    heard = clock.now().mono;
                    read(&line, &mut layers, &mut digest);
                }
                None => return Ok(digest),
            },
            () = teller.ready(), if told != Some(layers.sum()) => {
                let sum = layers.sum();
                told = Some(sum);
                teller.tell(Piece::Pull(sum)).await;
            }
            () = clock.sleep_until(Some(heard + silence)) => return Err(Error::RequestTimeoutError.into()),
        }
    }
}

fn read(line: &CreateImageInfo, layers: &mut Layers, digest: &mut Option<String>) {
    let status = line.status.as_deref().unwrap_or_default();
    if let Some(said) = status.strip_prefix("Digest: ") {
        *digest = Some(said.trim().to_owned());
    }
    let bytes = line.progress_detail.as_ref().map(|detail| (detail.current, detail.total)).unwrap_or_default();
    layers.read(line.id.as_deref(), status, bytes);
}

/// The digest under which the registry has the image.
fn digest_of(name: &str, image: &Value) -> Option<String> {
    let own = ImageName::parse(name)?.image;
    texts(&image["RepoDigests"])
        .filter_map(|digest| digest.split_once('@'))
        .find(|(name, _)| *name == own)
        .map(|(_, digest)| digest.to_owned())
}

fn credentials(login: Login) -> DockerCredentials {
    let exposed = |secret: Option<radar_link::secret::Secret>| secret.map(|secret| secret.expose().to_owned());
    DockerCredentials {
        username: login.user,
        password: exposed(login.password),
        identitytoken: exposed(login.identity_token),
        registrytoken: exposed(login.registry_token),
        serveraddress: Some(login.server),
        ..DockerCredentials::default()
    }
}

/// The engine passes on what a registry says with statuses that vary, and in the end of its stream without any.
fn refused(error: Error) -> ActError {
    let said = match &error {
        Error::DockerStreamError { error } => error.clone(),
        Error::DockerResponseServerError { message, .. } => message.clone(),
        _ => return error.into(),
    };
    let mut refused = ActError::from(match error {
        // What stands in the stream is the engine's word as well.
        Error::DockerStreamError { error } => Error::DockerResponseServerError { status_code: 500, message: error },
        error => error,
    });
    refused.kind = meaning(&said).unwrap_or(refused.kind);
    refused
}

fn meaning(said: &str) -> Option<ActErrorKind> {
    let said = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&[
        "unauthorized",
        "access denied",
        "denied:",
        "no basic auth",
        "authentication required",
        "incorrect username",
    ]) {
        return Some(ActErrorKind::Denied);
    }
    has(&["manifest unknown", "name unknown", "not found", "does not exist"]).then_some(ActErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    // DM12
    #[test]
    fn a_registrys_refusal_is_told_by_its_meaning() {
        let table = [
            (404, "manifest for r:5000/a:9 not found: manifest unknown: manifest unknown", "not-found"),
            (500, "name unknown: repository name not known to registry", "not-found"),
            (404, "pull access denied for a, repository does not exist or may require 'docker login'", "denied"),
            (500, "Head \"http://r:5000/v2/a/manifests/1\": no basic auth credentials", "denied"),
            (500, "Get \"https://r/v2/\": unauthorized: authentication required", "denied"),
            (500, "dial tcp 127.0.0.1:1: connect: connection refused", "engine"),
            (404, "", "not-found"),
        ];
        for (status_code, said, kind) in table {
            let error = refused(Error::DockerResponseServerError { status_code, message: said.to_owned() });
            assert_eq!(error.kind.as_str(), kind, "{said}");
            assert!(error.text.contains(said));
            if !said.is_empty() {
                let error = refused(Error::DockerStreamError { error: said.to_owned() });
                assert_eq!((error.kind.as_str(), &*error.text), (kind, said));
            }
        }
    }

    // DM12
    #[test]
    fn the_digest_is_that_of_the_name() {
        let image = serde_json::json!({ "RepoDigests": ["b/x@sha256:1", "r:5000/x@sha256:2"] });
        assert_eq!(digest_of("r:5000/x:1", &image).as_deref(), Some("sha256:2"));
        assert_eq!(digest_of("x:1", &image), None);
    }
}
