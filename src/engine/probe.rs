//! What who guards the engine's socket denies, found out whenever the engine is opened: by questions about what there is
//! not, and by questions that no engine understands. None of them can have an effect, and what the engine says to them
//! does not matter, as long as it is the engine that says it.

use bollard::Docker;
use serde_json::Value;

use super::asking;
use super::failure::Failure;

/// The word for the event stream.
pub(super) const EVENTS: &str = "events";
/// The word for the names and digests of images.
pub(super) const IMAGE_NAMES: &str = "image-names";
/// The word for what the engine tells of its host.
pub(super) const HOST_FACTS: &str = "host-facts";

/// Questions by the words of what needs them; `*` stands for the id of nothing. What is made from a body gets one that is
/// no map. `prune` is not asked for: it says itself that it is denied.
const QUESTIONS: [(&str, &str, &str); 24] = [
    (EVENTS, "GET", "/events?since=radar"),
    ("image-names update", "GET", "/images/*/json"),
    ("inspect", "GET", "/containers/*/json"),
    ("top", "GET", "/containers/*/top"),
    ("logs", "GET", "/containers/*/logs?stdout=true"),
    ("stats", "GET", "/containers/*/stats?stream=false"),
    ("images", "GET", "/images/json?filters=radar"),
    ("networks", "GET", "/networks?filters=radar"),
    ("volumes", "GET", "/volumes?filters=radar"),
    ("start update", "POST", "/containers/*/start"),
    ("stop update", "POST", "/containers/*/stop"),
    ("restart", "POST", "/containers/*/restart"),
    ("kill", "POST", "/containers/*/kill"),
    ("pause", "POST", "/containers/*/pause"),
    ("unpause", "POST", "/containers/*/unpause"),
    ("rename update", "POST", "/containers/*/rename?name=radar"),
    ("remove update", "DELETE", "/containers/*"),
    ("update", "POST", "/containers/create"),
    ("pull update", "POST", "/images/create?fromImage=RADAR"),
    ("remove-image", "DELETE", "/images/*"),
    ("create-network", "POST", "/networks/create"),
    ("remove-network", "DELETE", "/networks/*"),
    ("create-volume", "POST", "/volumes/create"),
    ("remove-volume", "DELETE", "/volumes/*"),
];

/// The words of what is denied: of what observing needs, and of these actions.
pub(super) async fn denied(docker: &Docker, actions: &[Box<str>]) -> Vec<Box<str>> {
    let wanted = |word: &str| [EVENTS, IMAGE_NAMES].contains(&word) || actions.iter().any(|action| &**action == word);
    let mut denied: Vec<Box<str>> = Vec::new();
    for (words, method, path) in QUESTIONS {
        let words = || words.split(' ').filter(|word| wanted(word));
        if words().next().is_some() && is_denied(docker, method, path).await {
            denied.extend(words().map(Into::into));
        }
    }
    denied.sort_unstable();
    denied.dedup();
    denied
}

async fn is_denied(docker: &Docker, method: &str, path: &str) -> bool {
    let path = path.replace('*', &"0".repeat(64));
    let answer = match method {
        "GET" => asking::get(docker, &path).await,
        "DELETE" => asking::delete(docker, &path).await,
        _ if path.ends_with("/create") => asking::post(docker, &path, Some(&Value::from("radar"))).await,
        _ => asking::post(docker, &path, None).await,
    };
    matches!(answer.map_err(Failure::from), Err(Failure::Denied(_)))
}

#[cfg(test)]
mod tests {
    use bollard::API_DEFAULT_VERSION;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    /// What is asked of a gate that answers this status to whatever has one of these words in it, and 404 to all else,
    /// and what is found out.
    async fn asked(status: &str, denied_words: &[&str], actions: &[&str]) -> (Vec<String>, Vec<Box<str>>) {
        let room = tempfile::tempdir().unwrap();
        let socket = room.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let docker = Docker::connect_with_unix(socket.to_str().unwrap(), 5, API_DEFAULT_VERSION).unwrap();
        let actions: Vec<Box<str>> = actions.iter().map(|action| (*action).into()).collect();
        let mut questions = Vec::new();
        let gate = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut question = [0; 4096];
                let size = stream.read(&mut question).await.unwrap();
                let question = String::from_utf8_lossy(&question[..size]).into_owned();
                let line = question.lines().next().unwrap_or_default().replace(" HTTP/1.1", "");
                let is_denied = denied_words.iter().any(|word| line.contains(word));
                let status = if is_denied { status } else { "404 Not Found" };
                let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                questions.push(line);
            }
        };
        let found = tokio::select! {
            found = denied(&docker, &actions) => found,
            () = gate => unreachable!(),
        };
        (questions, found)
    }

    // E10
    #[tokio::test]
    async fn who_takes_no_commands_asks_what_observing_needs_and_posts_nothing() {
        let (questions, found) = asked("403 Forbidden", &["/events"], &[]).await;
        let image = format!("GET /images/{}/json", "0".repeat(64));
        assert_eq!(questions, ["GET /events?since=radar", &image]);
        assert_eq!(found, ["events".into()]);
    }

    // E10
    #[tokio::test]
    async fn what_is_denied_is_told_by_the_words_of_what_needs_it() {
        let actions = ["start", "logs", "update", "remove"];
        for status in ["401 Unauthorized", "403 Forbidden", "405 Method Not Allowed"] {
            let (_, found) = asked(status, &["POST", "/images/"], &actions).await;
            assert_eq!(found, ["image-names".into(), "start".into(), "update".into()], "{status}");
        }
        let (questions, found) = asked("500 Internal Server Error", &["/"], &actions).await;
        assert!(found.is_empty() && questions.len() < 12, "{found:?} {questions:?}");
    }
}
