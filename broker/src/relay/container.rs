//! A container as the server wants it, and which of them may be sent at all: one record that lacks a
//! field breaks the server's database for every agent.

use std::collections::BTreeSet;

use radar_wire::container::Record;
use radar_wire::image::ImageName;

/// A container, reduced to what the server keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerContainer {
    /// The engine's id, 64 hexadecimal digits.
    pub id: String,
    /// The name without the engine's slash.
    pub name: String,
    /// The image's name without tag and digest.
    pub image: String,
    /// The image's tag; empty is sent as `latest`.
    pub tag: String,
    /// The engine's word for its state; the server tells `running` from everything else.
    pub status: String,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created: Option<i64>,
}

impl ServerContainer {
    /// Reduces a record of the contract.
    pub fn of(record: &Record) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.to_string(),
            image: record.image.to_string(),
            tag: record.tag.to_string(),
            status: record.state.as_str().to_owned(),
            created: record.created,
        }
    }

    /// Whether the server can store it: no field is empty, and the image is a name, not a bare id, which
    /// would become a row that the server fails to check for ever.
    fn fits(&self) -> bool {
        let fields = [&self.id, &self.name, &self.image, &self.status];
        fields.iter().all(|field| !field.trim().is_empty())
            && ImageName::parse(&self.image).is_some_and(|name| name.image == self.image)
    }
}

/// A list of which every record may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sendable {
    /// The records, in the order given.
    pub(super) containers: Vec<ServerContainer>,
    /// How many were left out.
    pub(super) left_out: usize,
}

impl Sendable {
    /// Leaves out what the server could not store, and what it has already under the same id.
    pub(super) fn of(list: Vec<ServerContainer>) -> Self {
        let all = list.len();
        let mut ids = BTreeSet::new();
        let containers: Vec<_> =
            list.into_iter().filter(|container| container.fits() && ids.insert(container.id.clone())).collect();
        Self { left_out: all - containers.len(), containers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: &str, name: &str, image: &str, status: &str) -> ServerContainer {
        let [id, name, image, status] = [id, name, image, status].map(str::to_owned);
        ServerContainer { id, name, image, tag: "1".to_owned(), status, created: None }
    }

    // RR6 RR11
    #[test]
    fn only_what_the_server_can_store_is_kept_and_the_rest_is_counted() {
        let bare = "a".repeat(64);
        let table = [
            (container("1", "web", "nginx", "running"), true),
            (container("2", "web", "registry:5000/ns/app", "exited"), true),
            (container("", "web", "nginx", "running"), false),
            (container("3", "", "nginx", "running"), false),
            (container("4", "web", "", "running"), false),
            (container("5", "web", "nginx", ""), false),
            (container("6", " ", "nginx", "running"), false),
            (container("7", "web", &format!("sha256:{bare}"), "running"), false),
            (container("8", "web", &bare, "running"), false),
            (container("9", "web", "nginx:1.25", "running"), false),
        ];
        for (container, kept) in table {
            let expect = if kept {
                Sendable { containers: vec![container.clone()], left_out: 0 }
            } else {
                Sendable { containers: Vec::new(), left_out: 1 }
            };
            assert_eq!(Sendable::of(vec![container]), expect);
        }
    }

    // RR6
    #[test]
    fn an_id_is_sent_once() {
        let list = vec![container("1", "a", "nginx", "running"), container("1", "b", "nginx", "running")];
        let sendable = Sendable::of(list);
        assert_eq!((sendable.containers.len(), sendable.left_out), (1, 1));
        assert_eq!(sendable.containers[0].name, "a");
    }
}
