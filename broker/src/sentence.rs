//! What happened and what was asked, as people read it; made from the JSON form, which is all that the program `radar`
//! has of it.

use serde_json::{Map, Value};

use crate::text::plain;

/// What changed: the values that people ask for, names of the rest. Of a new container only what it is.
pub(crate) fn changes(mut fields: Map<String, Value>) -> String {
    /// Shown with their values, in this order.
    const VALUES: [&str; 5] = ["state", "health", "exit_code", "restarts", "name"];
    /// Told by the time of the line, or by what is shown of the image.
    const TOLD: [&str; 7] = ["created", "started", "finished", "image", "tag", "digest", "image_id"];
    let is_whole = ["name", "image", "state"].iter().all(|name| fields.contains_key(*name));
    let mut parts = Vec::new();
    if let (Some(image), tag) = (fields.get("image"), fields.get("tag").and_then(Value::as_str)) {
        let image = plain(image.as_str().unwrap_or_default());
        parts.push(tag.map_or_else(|| image.clone(), |tag| format!("{image}:{}", plain(tag))));
    } else if let Some(tag) = fields.get("tag").and_then(Value::as_str) {
        parts.push(format!("tag {}", plain(tag)));
    } else if fields.contains_key("digest") || fields.contains_key("image_id") {
        parts.push("image".to_owned());
    }
    if is_whole {
        fields.retain(|name, value| name != "name" && !value.is_null() && VALUES.contains(&name.as_str()));
    }
    for name in VALUES {
        match fields.remove(name) {
            None => {}
            Some(Value::Null) => parts.push(format!("no {}", name.replace('_', " "))),
            Some(Value::String(text)) if name == "state" || name == "health" => parts.push(plain(&text)),
            Some(Value::String(text)) => parts.push(format!("{name} {}", plain(&text))),
            Some(other) => parts.push(format!("{} {}", name.replace('_', " "), plain(&other.to_string()))),
        }
    }
    parts.extend(fields.keys().filter(|name| !TOLD.contains(&name.as_str())).map(|name| plain(name)));
    parts.join(", ")
}

/// What to do: the word, the container, and what was said beyond it.
pub(crate) fn asked(command: &Value) -> String {
    let Value::Object(fields) = command else { return String::new() };
    let mut parts = Vec::new();
    for name in ["do", "container"] {
        parts.extend(fields.get(name).and_then(Value::as_str).map(plain));
    }
    for (name, value) in fields.iter().filter(|(name, _)| !["do", "container"].contains(&name.as_str())) {
        match value {
            Value::Bool(true) => parts.push(plain(name)),
            Value::Bool(false) => {}
            Value::String(text) => parts.push(format!("{} {}", plain(name), plain(text))),
            other => parts.push(format!("{} {}", plain(name), plain(&other.to_string()))),
        }
    }
    parts.join(" ")
}
