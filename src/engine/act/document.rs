//! What the engine says and takes as it stands, for who makes a container anew: the client's own types would lose what
//! they do not know, such as the MAC address of older engines. An answer has the container's environment, and with it
//! secrets: it never leaves the host, and is never logged.

use std::fmt;
use std::sync::Mutex;

use bollard::models::{ContainerCreateBody, NetworkConnectRequest};
use bollard::query_parameters::{CreateContainerOptions, ListContainersOptions};
use bollard::{BollardRequest, Docker, body_full};
use bytes::BytesMut;
use futures_util::TryStreamExt;
use radar_wire::container::ContainerId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::LONGEST_TEXT;
use super::{ActError, ActErrorKind};
use crate::engine::record::cut_to;

/// The most bytes of an answer.
const LARGEST: usize = 4 * 1024 * 1024;

/// JSON in the engine's own words, which does not print itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Document(pub Value);

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Document(***)")
    }
}

/// A container's inspect; none where there is no such container.
pub(super) async fn container(docker: &Docker, named: &str) -> Result<Option<Value>, ActError> {
    match get(docker, &format!("/containers/{}/json", escaped(named))).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind == ActErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An image's inspect.
pub(super) async fn image(docker: &Docker, named: &str) -> Result<Value, ActError> {
    get(docker, &format!("/images/{}/json", escaped(named))).await
}

/// The inspects of all containers that live in a namespace of this one.
pub(super) async fn sharing(docker: &Docker, id: ContainerId) -> Result<Value, ActError> {
    let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
    let mut found = Vec::new();
    let joined = format!("container:{id}");
    for listed in docker.list_containers(Some(options)).await? {
        let Some(named) = listed.id.filter(|named| *named != id.to_string()) else { continue };
        // A container that is gone meanwhile shares nothing.
        let Some(other) = container(docker, &named).await? else { continue };
        let modes = ["NetworkMode", "PidMode", "IpcMode"].map(|mode| &other["HostConfig"][mode]);
        if modes.iter().any(|mode| mode.as_str() == Some(joined.as_str())) {
            found.push(other);
        }
    }
    Ok(found.into())
}

/// Creates a container; its id.
pub(super) async fn create(docker: &Docker, name: &str, body: &Document) -> Result<String, ActError> {
    let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
    let docker = with_body(docker, &body.0);
    Ok(docker.create_container(Some(options), ContainerCreateBody::default()).await?.id)
}

/// Connects a container to a network.
pub(super) async fn connect(
    docker: &Docker,
    network: &str,
    id: ContainerId,
    endpoint: &Document,
) -> Result<(), ActError> {
    let docker = with_body(docker, &json!({ "Container": id.to_string(), "EndpointConfig": endpoint.0 }));
    let typed = NetworkConnectRequest { container: String::new(), endpoint_config: None };
    Ok(docker.connect_network(&escaped(network), typed).await?)
}

/// The client asks for a container's files, and the question is made another one: it is the client's only way to an
/// answer as it stands.
async fn get(docker: &Docker, path: &str) -> Result<Value, ActError> {
    let path = path.to_owned();
    let docker = docker.clone().with_request_modifier(move |mut request: BollardRequest| {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = path.parse().ok().or(parts.path_and_query);
        if let Ok(uri) = parts.try_into() {
            *request.uri_mut() = uri;
        }
        request
    });
    let mut pieces = Box::pin(docker.export_container("document"));
    let mut answer = BytesMut::new();
    while let Some(piece) = pieces.try_next().await? {
        answer.extend_from_slice(&piece);
        if answer.len() > LARGEST {
            return Err(failed("its answer is too large"));
        }
    }
    serde_json::from_slice(&answer).map_err(|error| failed(&format!("its answer is not understood: {error}")))
}

/// What the next request says instead of its own body, which the client would log.
fn with_body(docker: &Docker, body: &Value) -> Docker {
    let body = Mutex::new(Some(body.to_string()));
    docker.clone().with_request_modifier(move |request: BollardRequest| {
        let said = body.lock().ok().and_then(|mut body| body.take()).unwrap_or_default();
        let (parts, _) = request.into_parts();
        BollardRequest::from_parts(parts, body_full(said.into()))
    })
}

/// The name of an image has slashes that are its own.
fn escaped(named: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:@".contains(&byte);
    let mut path = String::with_capacity(named.len());
    for byte in named.bytes() {
        if plain(byte) {
            path.push(char::from(byte));
        } else {
            path.push('%');
            path.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
        }
    }
    path
}

fn failed(why: &str) -> ActError {
    ActError { kind: ActErrorKind::Engine, text: cut_to(why, LONGEST_TEXT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // DM9
    #[test]
    fn a_document_does_not_print_itself_and_names_do_not_leave_their_place() {
        let secret = Document(json!({ "Env": ["PASSWORD=hunter2"] }));
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert_eq!(escaped("host:5000/app/web:1@sha256:ab"), "host:5000/app/web:1@sha256:ab");
        assert_eq!(escaped("web?all=1#x é"), "web%3fall%3d1%23x%20%c3%a9");
    }
}
