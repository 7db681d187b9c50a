//! What the engine says and takes as it stands, for who makes a container anew: nothing of it may be lost, such as the
//! MAC address of older engines. It never leaves the host.

use std::fmt;

use bollard::Docker;
use bollard::errors::Error;
use radar_wire::container::ContainerId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::asking::{self, escaped};
use super::{ActError, ActErrorKind};

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
    let found = asking::get(docker, &format!("/containers/{}/json", escaped(named))).await.map_err(ActError::from);
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind == ActErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An image's inspect.
pub(super) async fn image(docker: &Docker, named: &str) -> Result<Value, Error> {
    asking::get(docker, &format!("/images/{}/json", escaped(named))).await
}

/// The inspects of all containers that live in a namespace of this one.
pub(super) async fn sharing(docker: &Docker, id: ContainerId) -> Result<Value, ActError> {
    let (own, joined) = (id.to_string(), format!("container:{id}"));
    let mut found = Vec::new();
    for listed in asking::list(docker, "/containers/json?all=true").await? {
        let Some(named) = listed["Id"].as_str().filter(|named| *named != own) else { continue };
        // A container that is gone meanwhile shares nothing.
        let Some(other) = container(docker, named).await? else { continue };
        let modes = ["NetworkMode", "PidMode", "IpcMode"].map(|mode| &other["HostConfig"][mode]);
        if modes.iter().any(|mode| mode.as_str() == Some(joined.as_str())) {
            found.push(other);
        }
    }
    Ok(found.into())
}

/// Creates a container; its id.
pub(super) async fn create(docker: &Docker, name: &str, body: &Document) -> Result<String, Error> {
    let made = asking::post(docker, &format!("/containers/create?name={}", escaped(name)), Some(&body.0)).await?;
    made["Id"].as_str().map(str::to_owned).ok_or_else(|| asking::not_understood("it has no id"))
}

/// Connects a container to a network.
pub(super) async fn connect(docker: &Docker, network: &str, id: ContainerId, endpoint: Document) -> Result<(), Error> {
    let body = json!({ "Container": id.to_string(), "EndpointConfig": endpoint.0 });
    asking::post(docker, &format!("/networks/{}/connect", escaped(network)), Some(&body)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    // DM9
    #[test]
    fn a_document_does_not_print_itself() {
        let secret = Document(json!({ "Env": ["PASSWORD=hunter2"] }));
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
