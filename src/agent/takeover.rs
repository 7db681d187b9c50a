//! The agent's own container replaced by one of another image: what is on the disk about it, what the helper and the
//! successor are made from, and how it is settled in the life after. Pure; who does it is [`crate::takeover`].
//!
//! No container can replace itself: who stops it is stopped. So a short-lived helper from the new image does it, while
//! this note says what it is about. The helper decides and writes its verdict; the agents read it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ciborium::Value as Cbor;
use radar_wire::command::Progress;
use radar_wire::container::ContainerId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::trial::{Settled, Stage};
use super::update::blueprint::{Blueprint, blueprint, text};
use crate::engine::act::Document;

/// How long the new agent has to be online, unless it is told.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A self-update by a helper, from before it begins until its end is noted among the commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeOver {
    /// The command.
    pub jti: Box<str>,
    /// The image, as it was named.
    pub image: Box<str>,
    /// The id of that image.
    pub to: Box<str>,
    /// The version that leaves.
    pub from: Box<str>,
    /// The agent's container.
    pub old: ContainerId,
    /// For how long the new agent is waited for.
    pub patience: Duration,
    /// How far it is.
    pub stage: Stage,
}

/// The names of the containers that take part; `name` is the agent's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The place that is given on.
    pub place: Box<str>,
    /// Who had it.
    pub old: Box<str>,
    /// Who is to have it.
    pub new: Box<str>,
    /// The helper.
    pub helper: Box<str>,
}

impl TakeOver {
    /// Where it is in a data directory.
    #[must_use]
    pub fn file(directory: &Path) -> PathBuf {
        directory.join("take-over")
    }

    /// The form in which it is written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::agent::spool::cbor(self)
    }

    /// The names, from any that the agent's container has had.
    #[must_use]
    pub fn names(&self, name: &str) -> Names {
        let mark: String = self.jti.chars().rev().filter(char::is_ascii_alphanumeric).take(6).collect();
        let name = name.trim_start_matches('/');
        let ends = ["old", "new", "help"].map(|role| format!("-radar-{role}-{mark}"));
        let place = ends.iter().find_map(|end| name.strip_suffix(end.as_str())).unwrap_or(name);
        let [old, new, helper] = ends.map(|end| format!("{place}{end}").into());
        Names { place: place.into(), old, new, helper }
    }

    /// How it ended, when the helper has nothing more to say.
    #[must_use]
    pub fn settle(&self, version: &str) -> Settled {
        let jti = self.jti.clone();
        let failed = |why: &str| (Progress::Failed, Some(format!("rolled-back: {why}").into()), None);
        let (state, reason, result) = match &self.stage {
            Stage::Back(why) => failed(why),
            Stage::Trying => failed("interrupted: the helper ended without a word"),
            Stage::Adopting => {
                let entry = |key: &str, text: &str| (Cbor::from(key), Cbor::from(text));
                let result = vec![
                    entry("from", &self.from),
                    entry("to", version),
                    entry("version", version),
                    entry("image", &self.image),
                    entry("image_id", &self.to),
                ];
                (Progress::Succeeded, None, Some(Cbor::Map(result)))
            }
        };
        Settled { jti, state, reason, result }
    }
}

/// What the new agent is made from: what the old one was, but for what came from its image.
#[must_use]
pub(crate) fn successor(old: &Value, defaults: &Value, image: &str) -> Blueprint {
    blueprint(old, Some(defaults), image)
}

/// What the helper is made from: the agent's own container with its mounts, its networks and its environment, from the
/// new image, with nothing that two cannot have. `program` is the agent's file, `arguments` are
/// what it was started with.
#[must_use]
pub(crate) fn helper(
    old: &Value,
    images: (&Value, &Value),
    image: &str,
    program: &str,
    arguments: &[String],
) -> Blueprint {
    let mut made = blueprint(old, Some(images.0), image);
    let body = &mut made.body.0;
    let arguments = arguments.iter().map(String::as_str).chain(["take-over"]);
    body["Cmd"] = arguments.collect::<Vec<_>>().into();
    let own = body["Entrypoint"].as_array().is_some_and(|words| !words.is_empty());
    let of_image = images.1["Config"]["Entrypoint"].as_array().is_some_and(|words| !words.is_empty());
    if !own && !of_image {
        body["Entrypoint"] = vec![program].into();
    }
    body["Labels"] = json!({ "radar.protect": "true" });
    body["Healthcheck"] = json!({ "Test": ["NONE"] });
    let config = body.as_object_mut();
    config.into_iter().for_each(|config| {
        ["Hostname", "Domainname", "MacAddress", "ExposedPorts"].iter().for_each(|field| _ = config.remove(*field));
    });
    // Ended in the middle, by a power cut or for want of memory, it comes again and puts back what there was.
    body["HostConfig"]["AutoRemove"] = false.into();
    body["HostConfig"]["RestartPolicy"] = json!({ "Name": "on-failure", "MaximumRetryCount": 5 });
    body["HostConfig"]["PortBindings"] = json!({});
    body["HostConfig"]["PublishAllPorts"] = false.into();
    if let Some(Value::Object(places)) = body["NetworkingConfig"].get_mut("EndpointsConfig") {
        places.values_mut().for_each(|place| *place = anywhere(place));
    }
    made.join.iter_mut().for_each(|(_, place)| *place = Document(anywhere(&place.0)));
    made
}

/// A place in a network without an address or a name of its own.
fn anywhere(place: &Value) -> Value {
    let mut place = place.as_object().cloned().unwrap_or_default();
    ["IPAMConfig", "Aliases", "MacAddress"].iter().for_each(|field| _ = place.remove(*field));
    place.into()
}

/// The id of a container or an image, from its inspect.
pub(crate) fn id(document: &Value) -> &str {
    text(&document["Id"])
}

#[cfg(test)]
mod tests;
