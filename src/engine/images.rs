//! What containers are made from: the names and digests of images, asked for once per image.

use std::collections::BTreeMap;

use radar_wire::image::ImageName;
use serde_json::Value;

use super::failure::Failure;

/// The most images that are remembered; a host with more asks again for some.
const MOST: usize = 256;

/// What an image is called, on this host and at its registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Image {
    /// `name:tag`, as this host has it.
    tags: Vec<String>,
    /// `name@sha256:…`, as registries have it; none for an image that was only built here.
    digests: Vec<String>,
}

/// A container's image as its record has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) image: String,
    pub(super) tag: String,
    pub(super) digest: Option<String>,
}

/// The images that were asked for, by id.
#[derive(Debug, Default)]
pub(super) struct Images(BTreeMap<String, Image>);

impl Images {
    pub(super) fn get(&self, id: &str) -> Option<&Image> {
        self.0.get(id)
    }

    pub(super) fn insert(&mut self, id: String, image: Image) {
        if self.0.len() >= MOST && !self.0.contains_key(&id) {
            self.0.pop_first();
        }
        self.0.insert(id, image);
    }
}

/// Reads the engine's answer; an image that it does not have (any more) has no names.
pub(super) fn read(answer: Result<Value, Failure>) -> Result<Image, Failure> {
    match answer {
        Ok(image) => Ok(Image { tags: names(&image["RepoTags"]), digests: names(&image["RepoDigests"]) }),
        Err(Failure::Missing(_)) => Ok(Image::default()),
        Err(failure) => Err(failure),
    }
}

/// Names a container's image: by what its maker said, and when that is only an id, by the image's tags,
/// then by its digests, else not at all.
pub(super) fn resolve(configured: &str, id: &str, image: Option<&Image>) -> Resolved {
    let nothing = Image::default();
    let image = image.unwrap_or(&nothing);
    let said = if is_id_of(configured, id) { None } else { ImageName::parse(configured) };
    let name = said.or_else(|| image.tags.iter().chain(&image.digests).find_map(|name| ImageName::parse(name)));
    let Some(name) = name else {
        return Resolved { digest: digest_of("", image), ..Resolved::default() };
    };
    let digest = name.digest.or_else(|| digest_of(&name.image, image));
    Resolved { image: name.image, tag: name.tag, digest }
}

/// The digest under which the registry of `name` has the image; when only others have it, theirs.
fn digest_of(name: &str, image: &Image) -> Option<String> {
    let pairs = || image.digests.iter().filter_map(|text| text.split_once('@'));
    let same = pairs().find(|(repository, _)| *repository == name);
    same.or_else(|| pairs().next()).map(|(_, digest)| digest.to_owned())
}

/// Whether the text is how somebody named the image by its id, in full or by its first digits.
fn is_id_of(text: &str, id: &str) -> bool {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    !text.is_empty() && digits.starts_with(text)
}

fn names(list: &Value) -> Vec<String> {
    let names = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    sorted(names.map(str::to_owned).collect())
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    // RR11, DM6
    #[test]
    fn images_are_named_by_their_maker_then_by_tags_then_by_digests() {
        let digest = format!("sha256:{}", "d".repeat(64));
        let other = format!("sha256:{}", "e".repeat(64));
        let id = format!("sha256:cafe{}", "0".repeat(60));
        let image = |tags: &[&str], digests: &[String]| Image {
            tags: sorted(tags.iter().map(|tag| (*tag).to_owned()).collect()),
            digests: sorted(digests.to_vec()),
        };
        let pulled = image(&["nginx:1.25"], &[format!("nginx@{digest}")]);
        let table = [
            ("nginx:1.25", Some(&pulled), ("nginx", "1.25", Some(&digest))),
            ("nginx", Some(&pulled), ("nginx", "latest", Some(&digest))),
            (&format!("nginx@{other}"), Some(&pulled), ("nginx", "latest", Some(&other))),
            // The same image under a name of this host keeps the digest of the registry that has it.
            ("mine:1", Some(&pulled), ("mine", "1", Some(&digest))),
            (&id, Some(&pulled), ("nginx", "1.25", Some(&digest))),
            ("cafe0000", Some(&pulled), ("nginx", "1.25", Some(&digest))),
            ("cafe", Some(&image(&[], &[format!("r:5000/a@{digest}")])), ("r:5000/a", "latest", Some(&digest))),
            ("facade", Some(&image(&[], &[])), ("facade", "latest", None)),
            (&id, Some(&image(&["<none>:<none>"], &[])), ("", "", None)),
            (&id, None, ("", "", None)),
            ("", None, ("", "", None)),
            ("app:2", None, ("app", "2", None)),
            (
                "b/x:1",
                Some(&image(&["b/x:1"], &[format!("a/x@{other}"), format!("b/x@{digest}")])),
                ("b/x", "1", Some(&digest)),
            ),
        ];
        for (configured, image, (name, tag, digest)) in table {
            let found = resolve(configured, &id, image);
            assert_eq!(
                (found.image.as_str(), found.tag.as_str(), found.digest.as_ref()),
                (name, tag, digest),
                "{configured}"
            );
        }
    }

    #[test]
    fn no_more_images_are_remembered_than_the_bound() {
        let mut images = Images::default();
        for number in 0..MOST + 10 {
            images.insert(format!("{number:04}"), Image::default());
        }
        assert_eq!(images.0.len(), MOST);
        assert!(images.get(&format!("{:04}", MOST + 9)).is_some());
    }
}
