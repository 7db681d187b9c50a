//! What an agent answers at once: processes, images, networks, volumes, and what was freed.

use serde::Deserialize;
use serde_json::Value;

use super::{Unreadable, bytes, entries};
use crate::text::{columns, plain, table};
use crate::when;

/// The processes of a container, below the titles that the host's own `ps` gives.
pub(in crate::radar) fn top(result: &Value) -> String {
    let cells = |row: &Value| -> Vec<String> {
        let text = |cell: &Value| cell.as_str().map_or_else(|| plain(&cell.to_string()), plain);
        row.as_array().into_iter().flatten().map(text).collect()
    };
    let titles = result.get("titles").map(cells).unwrap_or_default();
    let titles: Vec<_> = titles.iter().map(String::as_str).collect();
    let rows: Vec<_> = result.get("processes").and_then(Value::as_array).into_iter().flatten().map(cells).collect();
    if titles.is_empty() { "No process was told.\n".to_owned() } else { table(&titles, &rows) }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Image {
    id: String,
    tags: Vec<String>,
    size: Option<u64>,
    created: Option<i64>,
    in_use: Option<bool>,
}

/// Images; one that has several names has several lines, as with the engine's own tools.
pub(in crate::radar) fn images(result: &Value, now: i64) -> Result<String, Unreadable> {
    let mut rows = Vec::new();
    for image in entries::<Image>(result, "images")? {
        let names = if image.tags.is_empty() { vec!["(no name)".to_owned()] } else { image.tags.clone() };
        for name in names {
            rows.push([plain(&name), short(&image.id), size(image.size), age(image.created, now), used(image.in_use)]);
        }
    }
    rows.sort_unstable();
    Ok(columns(["IMAGE", "ID", "SIZE", "CREATED", "IN USE"], &rows))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Network {
    id: String,
    name: String,
    driver: String,
    scope: String,
    internal: bool,
    created: Option<i64>,
}

/// Networks.
pub(in crate::radar) fn networks(result: &Value, now: i64) -> Result<String, Unreadable> {
    let row = |network: Network| {
        [
            plain(&network.name),
            short(&network.id),
            plain(&network.driver),
            plain(&network.scope),
            if network.internal { "yes" } else { "no" }.to_owned(),
            age(network.created, now),
        ]
    };
    let rows: Vec<_> = entries(result, "networks")?.into_iter().map(row).collect();
    Ok(columns(["NETWORK", "ID", "DRIVER", "SCOPE", "INTERNAL", "CREATED"], &rows))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Volume {
    name: String,
    driver: String,
    size: Option<u64>,
    created: Option<i64>,
    in_use: Option<bool>,
}

/// Volumes.
pub(in crate::radar) fn volumes(result: &Value, now: i64) -> Result<String, Unreadable> {
    let row = |volume: Volume| {
        [plain(&volume.name), plain(&volume.driver), size(volume.size), age(volume.created, now), used(volume.in_use)]
    };
    let rows: Vec<_> = entries(result, "volumes")?.into_iter().map(row).collect();
    Ok(columns(["VOLUME", "DRIVER", "SIZE", "CREATED", "IN USE"], &rows))
}

/// What a command brought, in a line; empty when it only did what was asked.
pub(in crate::radar) fn brought(result: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(image) = result.get("image").and_then(Value::as_str) {
        parts.push(format!("image {}", short(image)));
    }
    if let Some(removed) = result.get("removed").and_then(Value::as_array) {
        let more = if result.get("truncated") == Some(&Value::Bool(true)) { " and more" } else { "" };
        let name = |name: &Value| name.as_str().map_or_else(|| plain(&name.to_string()), plain);
        let names: Vec<_> = removed.iter().map(name).collect();
        let list = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        parts.push(format!("removed {list}{more}"));
    }
    if let Some(freed) = result.get("freed").and_then(Value::as_u64) {
        parts.push(format!("freed {}", bytes(freed)));
    }
    parts.join(", ")
}

/// Whether a list is longer than what was told.
pub(in crate::radar) fn is_cut(result: &Value) -> bool {
    result.get("truncated") == Some(&Value::Bool(true))
}

fn short(id: &str) -> String {
    plain(id.strip_prefix("sha256:").unwrap_or(id).get(..12).unwrap_or(id))
}

fn size(size: Option<u64>) -> String {
    size.map_or_else(|| "?".to_owned(), bytes)
}

fn age(then: Option<i64>, now: i64) -> String {
    then.map_or_else(|| "?".to_owned(), |then| when::ago(then, now))
}

fn used(used: Option<bool>) -> String {
    match used {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // DM5
    #[test]
    fn processes_are_in_the_columns_of_the_host() {
        let result = json!({"titles": ["PID", "CMD"], "processes": [["1", "nginx: master"], ["27"], [3, "x\u{1b}"]]});
        assert_eq!(top(&result), "PID  CMD\n1    nginx: master\n27\n3    x\u{fffd}\n");
        assert_eq!(top(&json!({})), "No process was told.\n");
    }

    // DM16
    #[test]
    fn lists_are_tables() {
        let result = json!({"images": [
            {"id": "sha256:0123456789abcdef", "tags": ["nginx:1", "nginx:latest"], "size": 187_000_000, "created": 1000, "in_use": true},
            {"id": "sha256:fedcba9876543210", "tags": []},
        ]});
        assert_eq!(
            images(&result, 3000).unwrap(),
            "IMAGE         ID            SIZE      CREATED  IN USE\n\
             (no name)     fedcba987654  ?         ?        ?\n\
             nginx:1       0123456789ab  187.0 MB  2 s ago  yes\n\
             nginx:latest  0123456789ab  187.0 MB  2 s ago  yes\n"
        );
        let result = json!({"networks": [{"id": "abc", "name": "front", "driver": "bridge", "scope": "local", "internal": true}]});
        assert_eq!(
            networks(&result, 0).unwrap(),
            "NETWORK  ID   DRIVER  SCOPE  INTERNAL  CREATED\nfront    abc  bridge  local  yes       ?\n"
        );
        let result =
            json!({"volumes": [{"name": "data", "driver": "local", "size": 5, "in_use": false, "created": 0}]});
        assert_eq!(
            volumes(&result, 1000).unwrap(),
            "VOLUME  DRIVER  SIZE  CREATED  IN USE\ndata    local   5 B   1 s ago  no\n"
        );
    }

    // DM16
    #[test]
    fn what_was_removed_and_freed_is_told() {
        for (result, expect) in [
            (json!(null), ""),
            (json!({"removed": ["a", "b\u{1b}"], "freed": 1500}), "removed a, b\u{fffd}, freed 1.5 kB"),
            (json!({"removed": [], "freed": 0}), "removed nothing, freed 0 B"),
            (json!({"removed": ["a"], "truncated": true}), "removed a and more"),
            (json!({"image": "sha256:0123456789abcdef", "changed": true}), "image 0123456789ab"),
        ] {
            assert_eq!(brought(&result), expect);
        }
    }
}
