use std::os::unix::fs::symlink;

use serde_json::json;

use super::*;

fn shown(login: Option<Login>) -> String {
    let Some(login) = login else { return "nobody".to_owned() };
    let of = |secret: Option<Secret>| secret.map_or("-".to_owned(), |secret| secret.expose().to_owned());
    let [password, identity, registry] = [login.password, login.identity_token, login.registry_token].map(of);
    format!("{} {} {password} {identity} {registry}", login.server, login.user.unwrap_or("-".to_owned()))
}

// DM12
#[test]
fn an_image_without_a_host_is_of_docker_hub() {
    for (image, registry) in [
        ("busybox:1", HUB),
        ("library/busybox", HUB),
        ("docker.io/me/app:2", HUB),
        ("index.docker.io/me/app:2", HUB),
        ("ghcr.io/me/app:2", "ghcr.io"),
        ("localhost/app", "localhost"),
        ("localhost:5000/app", "localhost:5000"),
        ("127.0.0.1:5000/a/b@sha256:00", "127.0.0.1:5000"),
    ] {
        assert_eq!(registry_of(image), registry, "{image}");
    }
}

// DM12
#[test]
fn the_entry_is_that_of_the_registry_however_its_key_is_written() {
    let config = json!({ "auths": {
        HUB: { "auth": "bWU6aHVi" },
        "https://index.docker.io/v1/refresh-token": { "auth": "bWU6d3Jvbmc=" },
        "ghcr.io": { "username": "me", "password": "hunter2" },
        "https://r.example:5000/v2/": { "auth": "bWU6YTpiPw==" },
        "t.example": { "auth": "MDAwOg==", "identitytoken": "idt" },
        "u.example": { "registrytoken": "rt" },
        "empty.example": {},
        "odd.example": { "auth": "bWU=" },
        "broken.example": { "auth": "?" },
    }});
    for (image, expect) in [
        ("busybox", "https://index.docker.io/v1/ me hub - -"),
        ("docker.io/a/b:1", "https://index.docker.io/v1/ me hub - -"),
        ("ghcr.io/a/b", "ghcr.io me hunter2 - -"),
        ("r.example:5000/a", "https://r.example:5000/v2/ me a:b? - -"),
        ("r.example/a", "nobody"),
        ("t.example/a", "t.example 000 - idt -"),
        ("u.example/a", "u.example - - - rt"),
        ("empty.example/a", "nobody"),
        ("127.0.0.1:1/a", "nobody"),
    ] {
        assert_eq!(shown(find(&config, registry_of(image)).unwrap()), expect, "{image}");
    }
    for image in ["odd.example/a", "broken.example/a"] {
        let error = find(&config, registry_of(image)).unwrap_err();
        assert!(error.contains("user:password") && !error.contains("bWU"), "{error}");
    }
    let old = json!({ "auths": { "docker.io": { "auth": "bWU6aHVi" } } });
    assert_eq!(shown(find(&old, HUB).unwrap()), "docker.io me hub - -");
    for odd in [json!({}), json!([]), json!({ "auths": [] }), json!({ "auths": { HUB: 5 } }), json!(null)] {
        assert_eq!(shown(find(&odd, HUB).unwrap()), "nobody", "{odd}");
    }
}

// DM12
#[test]
fn a_helper_is_named_and_never_asked() {
    let config = json!({
        "auths": { "a.example": {}, "b.example": { "auth": "bWU6Yg==" } },
        "credsStore": "desktop",
        "credHelpers": { "c.example": "ecr-login" },
    });
    for (image, helper) in [("a.example/x", "desktop"), ("c.example/x", "ecr-login")] {
        let error = find(&config, registry_of(image)).unwrap_err();
        assert!(error.contains(helper) && error.contains("docker login"), "{error}");
    }
    assert_eq!(shown(find(&config, "b.example").unwrap()), "b.example me b - -");
    assert_eq!(shown(find(&config, "d.example").unwrap()), "nobody", "it was never logged in to");
}

// DM12
#[test]
fn a_file_that_cannot_be_used_is_named_with_its_setting_and_without_its_content() {
    let room = tempfile::tempdir().unwrap();
    let path = |name: &str| room.path().join(name);
    fs::write(path("cut"), "{\"auths\": {\"a\": hunter2").unwrap();
    fs::write(path("large"), vec![b' '; LARGEST as usize + 1]).unwrap();
    symlink("/dev/zero", path("endless")).unwrap();
    fs::write(path("good"), r#"{"auths": {"a.example": {"auth": "bWU6aHVudGVyMg=="}}}"#).unwrap();
    for name in ["missing", "cut", "large", "endless", "."] {
        let error = Registries::new(Some(path(name))).login("a.example/x").unwrap_err().to_string();
        assert!(
            error.contains("AGENT_REGISTRY_CONFIG") && error.contains(&path(name).display().to_string()),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
    let login = Registries::new(Some(path("good"))).login("a.example/x").unwrap().unwrap();
    assert_eq!(login.password, Some(Secret::new("hunter2")));
    assert!(!format!("{login:?}").contains("hunter2"));
    assert_eq!(Registries::default().login("a.example/x").unwrap(), None);
}

// DM12
#[test]
fn base64_is_read_in_both_alphabets() {
    for (text, bytes) in
        [("", &b""[..]), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), ("Pz8_", b"???"), ("Pz8/", b"???")]
    {
        assert_eq!(decode(text).as_deref(), Some(bytes), "{text}");
    }
    assert_eq!(decode("a b"), None);
}
