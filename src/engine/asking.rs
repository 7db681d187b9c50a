//! Questions in the words of the engine's API, and answers as they stand. The client has types for all of them, which
//! lose what they do not know, and with which the program would be half a megabyte larger. The way to the engine,
//! the version that is spoken, what an error is, and streams of JSON are the client's.
//!
//! A container's inspect has its environment, and with it secrets: no answer is logged.

use bollard::errors::Error;
use bollard::{BollardRequest, Docker, body_full};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use serde::de::Error as _;
use serde_json::Value;

/// The most bytes of an answer: the list of some ten thousand containers.
const LARGEST: usize = 32 * 1024 * 1024;

/// What is at this address, a map.
pub(super) async fn get(docker: &Docker, path: &str) -> Result<Value, Error> {
    let found = ask(docker, "GET", path, None).await?;
    if found.is_object() { Ok(found) } else { Err(not_understood("it is no map")) }
}

/// What is at this address, a list. What is no list is an error, never an empty one.
pub(super) async fn list(docker: &Docker, path: &str) -> Result<Vec<Value>, Error> {
    match ask(docker, "GET", path, None).await? {
        Value::Array(all) => Ok(all),
        _ => Err(not_understood("it is no list")),
    }
}

/// Has something done; the answer, null where there is none.
pub(super) async fn post(docker: &Docker, path: &str, body: Option<&Value>) -> Result<Value, Error> {
    ask(docker, "POST", path, body).await
}

/// Has something removed; the answer, null where there is none.
pub(super) async fn delete(docker: &Docker, path: &str) -> Result<Value, Error> {
    ask(docker, "DELETE", path, None).await
}

/// The bytes at this address as they come; dropping them closes the connection.
pub(super) fn stream(docker: &Docker, path: &str) -> impl Stream<Item = Result<Bytes, Error>> + Unpin + use<> {
    question(docker, "GET", path, None)
}

/// A name as a part of an address. That of an image has slashes that are its own.
pub(super) fn escaped(named: &str) -> String {
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

/// The answer is of another form than this version knows.
pub(super) fn not_understood(why: &str) -> Error {
    serde_json::Error::custom(why).into()
}

async fn ask(docker: &Docker, method: &'static str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
    let mut pieces = question(docker, method, path, body);
    let mut answer = BytesMut::new();
    while let Some(piece) = pieces.try_next().await? {
        answer.extend_from_slice(&piece);
        if answer.len() > LARGEST {
            return Err(not_understood("it is too large"));
        }
    }
    if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
}

/// The client is asked for a container's files, its only question whose answer it hands on as it stands, and that is
/// made another question before it is sent.
fn question(
    docker: &Docker,
    method: &'static str,
    path: &str,
    body: Option<&Value>,
) -> impl Stream<Item = Result<Bytes, Error>> + Unpin + use<> {
    tracing::debug!("{method} {path}");
    let path = path.to_owned();
    let body: Bytes = body.map(Value::to_string).unwrap_or_default().into();
    let docker = docker.clone().with_request_modifier(move |request: BollardRequest| {
        let (mut parts, _) = request.into_parts();
        let mut address = parts.uri.clone().into_parts();
        // What is no address is asked of a container that there is not.
        address.path_and_query = path.parse().ok().or(address.path_and_query);
        parts.uri = address.try_into().unwrap_or(parts.uri);
        parts.method = method.parse().unwrap_or(parts.method);
        BollardRequest::from_parts(parts, body_full(body.clone()))
    });
    docker.export_container("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    // DM9
    #[test]
    fn names_do_not_leave_their_place() {
        assert_eq!(escaped("host:5000/app/web:1@sha256:ab"), "host:5000/app/web:1@sha256:ab");
        assert_eq!(escaped("web?all=1#x é"), "web%3fall%3d1%23x%20%c3%a9");
    }
}
