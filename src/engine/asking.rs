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

/// How often a list is asked for that one container spoils.
const TRIES: usize = 5;

/// What is at this address, a map.
pub(super) async fn get(docker: &Docker, path: &str) -> Result<Value, Error> {
    let found = ask(docker, "GET", path, None).await?;
    if found.is_object() { Ok(found) } else { Err(not_understood("it is no map")) }
}

/// What is at this address, a list. What is no list is an error, never an empty one.
pub(super) async fn list(docker: &Docker, path: &str) -> Result<Vec<Value>, Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        match ask(docker, "GET", path, None).await {
            Ok(Value::Array(all)) => return Ok(all),
            Ok(_) => return Err(not_understood("it is no list")),
            // Podman stumbles over what goes away while it lists.
            Err(Error::DockerResponseServerError { status_code: 500, message })
                if tries < TRIES && message.trim().ends_with("no such container") => {}
            Err(error) => return Err(error),
        }
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
        // Of this question the client says it twice.
        if let Some(kind) = parts.headers.remove("content-type") {
            parts.headers.insert("content-type", kind);
        }
        BollardRequest::from_parts(parts, body_full(body.clone()))
    });
    docker.export_container("-")
}

#[cfg(test)]
mod tests {
    use bollard::API_DEFAULT_VERSION;
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    /// What is asked of an engine that answers so, and what is made of its answer.
    async fn exchange<T>(
        answer: &str,
        question: impl AsyncFnOnce(&Docker) -> Result<T, Error>,
    ) -> (String, Result<T, Error>) {
        let room = tempfile::tempdir().unwrap();
        let socket = room.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let docker = Docker::connect_with_unix(socket.to_str().unwrap(), 5, API_DEFAULT_VERSION).unwrap();
        let engine = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            let size = stream.read(&mut asked).await.unwrap();
            let answer = format!("HTTP/1.1 {answer}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..size]).into_owned()
        };
        tokio::join!(engine, question(&docker))
    }

    fn answer(body: &str) -> String {
        format!("200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    // DM9
    #[test]
    fn names_do_not_leave_their_place() {
        assert_eq!(escaped("host:5000/app/web:1@sha256:ab"), "host:5000/app/web:1@sha256:ab");
        assert_eq!(escaped("web?all=1#x é"), "web%3fall%3d1%23x%20%c3%a9");
    }

    #[tokio::test]
    async fn a_question_is_asked_as_it_stands() {
        let (asked, found) = exchange(&answer("{}"), async |docker| get(docker, "/info?a=%7b").await).await;
        assert!(asked.starts_with("GET /info?a=%7b HTTP/1.1\r\n"), "{asked}");
        assert_eq!(found.unwrap(), json!({}));
        let body = json!({ "Name": "x" });
        let (asked, _) =
            exchange(&answer(""), async |docker| post(docker, "/networks/create", Some(&body)).await).await;
        assert!(asked.starts_with("POST /networks/create HTTP/1.1\r\n"), "{asked}");
        // The head and the body may come one after the other.
        assert!(asked.contains("content-length: 12\r\n"), "{asked}");
        assert_eq!(asked.matches("application/json").count(), 1, "{asked}");
        let (asked, found) =
            exchange("204 No Content\r\n\r\n", async |docker| delete(docker, "/volumes/x").await).await;
        assert!(asked.starts_with("DELETE /volumes/x HTTP/1.1\r\n"), "{asked}");
        assert_eq!(found.unwrap(), Value::Null);
    }

    // E4
    #[tokio::test]
    async fn what_is_no_list_is_an_error_and_never_an_empty_one() {
        let (_, found) = exchange(&answer("[]"), async |docker| list(docker, "/containers/json").await).await;
        assert_eq!(found.unwrap(), Vec::<Value>::new());
        for body in ["", "null", "{}", r#"{"message":"no"}"#, r#"[{"Id""#, "<html>", "[] []"] {
            let (_, found) = exchange(&answer(body), async |docker| list(docker, "/containers/json").await).await;
            assert!(matches!(found, Err(Error::JsonSerdeError { .. })), "{body}: {found:?}");
        }
        for body in ["", "null", "[]", "{"] {
            let (_, found) = exchange(&answer(body), async |docker| get(docker, "/info").await).await;
            assert!(matches!(found, Err(Error::JsonSerdeError { .. })), "{body}: {found:?}");
        }
        let cut = "200 OK\r\nContent-Length: 50\r\n\r\n[]";
        let (_, found) = exchange(cut, async |docker| list(docker, "/containers/json").await).await;
        assert!(found.is_err());
    }

    // E10
    #[tokio::test]
    async fn a_list_that_a_vanishing_container_spoils_is_asked_for_again_but_not_for_ever() {
        let room = tempfile::tempdir().unwrap();
        let socket = room.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let docker = Docker::connect_with_unix(socket.to_str().unwrap(), 5, API_DEFAULT_VERSION).unwrap();
        let spoilt = r#"{"message": "container ab does not exist in database: no such container"}"#;
        let spoilt = format!("500 Oh\r\nContent-Length: {}\r\n\r\n{spoilt}", spoilt.len());
        let engine = async |answers: Vec<String>| {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await.unwrap();
                stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await.unwrap();
            }
        };
        let (_, found) = tokio::join!(engine(vec![spoilt.clone(), answer("[1]")]), list(&docker, "/containers/json"));
        assert_eq!(found.unwrap(), [json!(1)]);
        let (_, found) = tokio::join!(engine(vec![spoilt; TRIES]), list(&docker, "/containers/json"));
        assert!(matches!(found, Err(Error::DockerResponseServerError { status_code: 500, .. })), "{found:?}");
    }

    #[tokio::test]
    async fn a_refusal_has_the_engines_words() {
        let refusal = "404 Not Found\r\nContent-Length: 16\r\n\r\n{\"message\":\"no\"}";
        let (_, found) = exchange(refusal, async |docker| get(docker, "/containers/x/json").await).await;
        let Err(Error::DockerResponseServerError { status_code: 404, message }) = found else { panic!("{found:?}") };
        assert_eq!(message, "no");
    }
}
