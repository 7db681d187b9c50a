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
