//! The names of images: `[registry[:port]/]path[:tag][@digest]`.

/// An image's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The name without tag and digest.
    pub image: String,
    /// The tag; `latest` where none is named.
    pub tag: String,
    /// The digest behind `@`.
    pub digest: Option<String>,
}

impl ImageName {
    /// Takes apart what the engine says; `None` for a bare image id, which names nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (text, None),
        };
        let last = name.rfind('/').map_or(0, |slash| slash + 1);
        let (image, tag) = match name[last..].rfind(':') {
            Some(colon) => (&name[..last + colon], &name[last + colon + 1..]),
            None => (name, ""),
        };
        let hexadecimal = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
        let bare_id = image == "sha256" || (tag.is_empty() && matches!(image.len(), 12 | 64) && hexadecimal(image));
        if image.is_empty() || bare_id || image.contains(char::is_whitespace) || image.contains('<') {
            return None;
        }
        let tag = if tag.is_empty() { "latest" } else { tag };
        Some(Self { image: image.to_owned(), tag: tag.to_owned(), digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RR11
    #[test]
    fn names_come_apart_as_the_table_says() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let table = [
            ("nginx".to_owned(), Some(("nginx", "latest", false))),
            ("nginx:1.25".to_owned(), Some(("nginx", "1.25", false))),
            ("registry:5000/app".to_owned(), Some(("registry:5000/app", "latest", false))),
            ("registry:5000/ns/app:v1".to_owned(), Some(("registry:5000/ns/app", "v1", false))),
            (format!("nginx@{digest}"), Some(("nginx", "latest", true))),
            (format!("nginx:1.25@{digest}"), Some(("nginx", "1.25", true))),
            (format!("registry:5000/app@{digest}"), Some(("registry:5000/app", "latest", true))),
            ("deadbeef".to_owned(), Some(("deadbeef", "latest", false))),
            (digest.clone(), None),
            ("a".repeat(64), None),
            ("0123456789ab".to_owned(), None),
            ("<none>:<none>".to_owned(), None),
            (String::new(), None),
            (format!("@{digest}"), None),
        ];
        for (text, expect) in table {
            let parsed = ImageName::parse(&text);
            let found = parsed.as_ref().map(|name| (name.image.as_str(), name.tag.as_str(), name.digest.is_some()));
            assert_eq!(found, expect, "{text}");
            if let Some(ImageName { digest: Some(found), .. }) = parsed {
                assert_eq!(found, digest);
            }
        }
    }
}
