//! How far a pull is, from what the engine says of each layer.

use std::collections::BTreeMap;

/// The most layers that are counted; an image has at most 127.
const MOST: usize = 1024;

/// How far a pull is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulled {
    /// The layers that the engine has named so far.
    pub layers: u64,
    /// Those that are there.
    pub done: u64,
    /// Bytes that were downloaded.
    pub current: u64,
    /// Bytes to download, as far as is known; grows while layers are begun.
    pub total: u64,
}

/// The layers of one pull.
#[derive(Debug, Default)]
pub(super) struct Layers(BTreeMap<String, Layer>);

#[derive(Debug, Default)]
struct Layer {
    done: bool,
    current: u64,
    total: u64,
}

impl Layers {
    /// Takes in one line of the engine; returns whether it says something of a layer.
    pub(super) fn read(&mut self, id: Option<&str>, status: &str, bytes: (Option<i64>, Option<i64>)) -> bool {
        // The first line names the tag in the place of a layer.
        let Some(id) = id.filter(|_| !status.starts_with("Pulling from")) else { return false };
        if self.0.len() >= MOST && !self.0.contains_key(id) {
            return false;
        }
        let layer = self.0.entry(id.to_owned()).or_default();
        let number = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok());
        match status {
            "Downloading" => {
                layer.current = number(bytes.0).unwrap_or(layer.current);
                layer.total = number(bytes.1).unwrap_or(layer.total).max(layer.current);
            }
            "Verifying Checksum" | "Download complete" | "Extracting" => layer.current = layer.total,
            "Pull complete" | "Already exists" => {
                layer.current = layer.total;
                layer.done = true;
            }
            _ => {}
        }
        true
    }

    pub(super) fn sum(&self) -> Pulled {
        let layers = self.0.values();
        let sum = |of: fn(&Layer) -> u64| layers.clone().map(of).fold(0, u64::saturating_add);
        Pulled {
            layers: sum(|_| 1),
            done: sum(|layer| layer.done.into()),
            current: sum(|layer| layer.current),
            total: sum(|layer| layer.total),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // DM12
    #[test]
    fn layers_add_up_as_the_engine_names_them() {
        let mut layers = Layers::default();
        let table = [
            (Some("latest"), "Pulling from library/app", None, [0, 0, 0, 0]),
            (Some("a"), "Already exists", None, [1, 1, 0, 0]),
            (Some("b"), "Pulling fs layer", None, [2, 1, 0, 0]),
            (Some("c"), "Waiting", None, [3, 1, 0, 0]),
            (Some("b"), "Downloading", Some((10, 100)), [3, 1, 10, 100]),
            (Some("c"), "Downloading", Some((1, 50)), [3, 1, 11, 150]),
            (Some("c"), "Retrying in 5 seconds", None, [3, 1, 11, 150]),
            (Some("c"), "Downloading", Some((0, 50)), [3, 1, 10, 150]),
            (Some("b"), "Downloading", Some((90, -1)), [3, 1, 90, 150]),
            (Some("b"), "Download complete", None, [3, 1, 100, 150]),
            (Some("b"), "Extracting", Some((32, 100)), [3, 1, 100, 150]),
            (Some("b"), "Pull complete", None, [3, 2, 100, 150]),
            (Some("c"), "Pull complete", None, [3, 3, 150, 150]),
            (None, "Digest: sha256:00", None, [3, 3, 150, 150]),
        ];
        for (id, status, bytes, [count, done, current, total]) in table {
            layers.read(id, status, (bytes.map(|(current, _)| current), bytes.map(|(_, total)| total)));
            assert_eq!(layers.sum(), Pulled { layers: count, done, current, total }, "{id:?} {status}");
        }
    }

    // DM12
    #[test]
    fn layers_without_end_take_no_memory_without_end() {
        let mut layers = Layers::default();
        for number in 0..2 * MOST {
            layers.read(Some(&number.to_string()), "Pulling fs layer", (None, None));
        }
        assert_eq!(layers.sum().layers, MOST as u64);
    }
}
