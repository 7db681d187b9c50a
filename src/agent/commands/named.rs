//! The names that commands bring: of images, networks, volumes and their drivers. They become parts of addresses at
//! the engine, so that nothing may be in them that could make another address of it.

/// The most bytes of a name: a repository, a tag and a digest.
const LONGEST: usize = 512;

/// The networks that every engine has.
const BUILT_IN: [&str; 3] = ["bridge", "host", "none"];

/// The one that Podman has.
const BUILT_IN_PODMAN: &str = "podman";

/// An image's name with its tag; `latest` where it has none, since all tags are not meant.
pub(in crate::agent) fn image(name: &str) -> Result<Box<str>, String> {
    let parts = name.split('/').all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()));
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if name.len() > LONGEST || !parts || !name.chars().all(fits) || name.ends_with([':', '@']) {
        return Err("invalid: that is no name of an image".to_owned());
    }
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    Ok(if name[last..].contains([':', '@']) { name.into() } else { format!("{name}:latest").into() })
}

/// An image's name or id, which has no tag.
pub(super) fn image_or_id(name: &str) -> Result<Box<str>, String> {
    let whole = image(name)?;
    let is_id = name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok(if is_id { name.into() } else { whole })
}

/// A network's name or id.
pub(super) fn network(name: &str) -> Result<Box<str>, String> {
    plain(name).ok_or_else(|| "invalid: a network's name has letters, digits and . _ - only".to_owned())
}

/// A volume's name.
pub(super) fn volume(name: &str) -> Result<Box<str>, String> {
    plain(name).ok_or_else(|| "invalid: a volume's name has letters, digits and . _ - only".to_owned())
}

/// A driver's name, which is that of a plugin's image at times.
pub(super) fn driver(name: Option<&str>) -> Result<Option<Box<str>>, String> {
    name.map(|name| image(name).map(|_| name.into())).transpose().map_err(|_| "invalid: that is no driver".to_owned())
}

/// Whether the engine comes with this network; then it is not removed.
pub(super) fn is_built_in(network: &str, podman: bool) -> bool {
    BUILT_IN.contains(&network) || podman && network == BUILT_IN_PODMAN
}

fn plain(name: &str) -> Option<Box<str>> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (begins && name.len() <= LONGEST && name.chars().all(fits)).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What would be another address at the engine.
    const ATTACKS: [&str; 14] = [
        "",
        "..",
        "../containers/web",
        "a/../../containers/web",
        "a/./b",
        "a//b",
        "/a",
        "a/",
        "a?force=1",
        "a#b",
        "%2e%2e/containers/web",
        "a\\..\\b",
        "a b",
        "a\n",
    ];

    // DM12
    #[test]
    fn an_image_without_a_tag_is_its_latest_and_never_all() {
        let digest = format!("app@sha256:{}", "a".repeat(64));
        for (given, expect) in [
            ("busybox", "busybox:latest"),
            ("busybox:1.36", "busybox:1.36"),
            ("r.example:5000/app", "r.example:5000/app:latest"),
            ("r.example:5000/a/b:v1", "r.example:5000/a/b:v1"),
            (&digest, &digest),
        ] {
            assert_eq!(image(given).as_deref(), Ok(expect));
        }
        for attack in ATTACKS.iter().chain(&["app:", "app@", &"x".repeat(LONGEST + 1)]) {
            assert!(image(attack).is_err(), "{attack}");
        }
    }

    // DM16
    #[test]
    fn an_image_to_remove_may_be_an_id() {
        for (given, expect) in [
            ("0123456789ab", "0123456789ab"),
            (&format!("sha256:{}", "a".repeat(64)), &*format!("sha256:{}", "a".repeat(64))),
            ("cafe", "cafe:latest"),
            ("busybox", "busybox:latest"),
        ] {
            assert_eq!(image_or_id(given).as_deref(), Ok(expect));
        }
    }

    // DM16
    #[test]
    fn names_that_are_other_addresses_are_none() {
        for good in ["data", "shop_default", "a.b-c", "0123abcd"] {
            assert!(network(good).is_ok() && volume(good).is_ok(), "{good}");
        }
        for bad in ATTACKS.iter().chain(&["a/b", "-a", ".a", "ü"]) {
            assert!(network(bad).is_err() && volume(bad).is_err(), "{bad}");
        }
        assert_eq!(driver(None), Ok(None));
        assert_eq!(driver(Some("vieux/sshfs:latest")), Ok(Some("vieux/sshfs:latest".into())));
        assert!(driver(Some("../x")).is_err());
    }

    // DM16
    #[test]
    fn what_the_engine_comes_with_is_built_in() {
        for (network, podman, expect) in
            [("bridge", false, true), ("host", true, true), ("none", false, true), ("podman", true, true)]
        {
            assert_eq!(is_built_in(network, podman), expect, "{network}");
        }
        assert!(!is_built_in("podman", false) && !is_built_in("bridge2", true));
    }
}
