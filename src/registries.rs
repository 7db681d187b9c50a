//! Who this host is at image registries: the operator's `config.json`, as `docker login` writes it. It is read anew for
//! each pull; what it says goes to the engine and nowhere else, and is neither kept nor printed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use radar_link::secret::Secret;
use serde_json::Value;

/// The most bytes of the file that are read.
const LARGEST: u64 = 1024 * 1024;

/// The key of Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

/// Where the file is.
#[derive(Debug, Clone, Default)]
pub struct Registries(Option<PathBuf>);

/// Who the host is at one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The registry, as the file has it.
    pub server: String,
    /// The account.
    pub user: Option<String>,
    /// Its password, or an access token in its place.
    pub password: Option<Secret>,
    /// A token from which the engine gets others.
    pub identity_token: Option<Secret>,
    /// A token for the registry itself.
    pub registry_token: Option<Secret>,
}

/// Why nobody knows who the host is at a registry.
#[derive(Debug, thiserror::Error)]
#[error("AGENT_REGISTRY_CONFIG: {path}: {why}", path = .path.display())]
pub struct RegistriesError {
    path: PathBuf,
    why: String,
}

impl Registries {
    /// With the file of `AGENT_REGISTRY_CONFIG`; without one nobody is anybody.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        Self(path)
    }

    /// Who the host is where this image comes from; none where it is nobody.
    ///
    /// # Errors
    /// A file that cannot be used; the text has nothing of what is in it but the names of registries and helpers.
    pub fn login(&self, image: &str) -> Result<Option<Login>, RegistriesError> {
        let Some(path) = &self.0 else { return Ok(None) };
        let refused = |why: String| RegistriesError { path: path.clone(), why };
        let bytes = read(path).map_err(|error| refused(error.to_string()))?;
        // The parser's own words may quote what stands there.
        let config: Value =
            serde_json::from_slice(&bytes).map_err(|error| refused(format!("no JSON: see line {}", error.line())))?;
        find(&config, registry_of(image)).map_err(refused)
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // To open what is no file could wait for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it has more than 1 MiB"));
    }
    Ok(bytes)
}

/// The registry in an image's name, as the file has it. A first part that is no host name belongs to a name at Docker
/// Hub.
fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host == "localhost" || host.contains(['.', ':']) => match host {
            "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB,
            host => host,
        },
        _ => HUB,
    }
}

fn find(config: &Value, registry: &str) -> Result<Option<Login>, String> {
    let host = host_of(registry);
    if let Some(helper) = config["credHelpers"].as_object().and_then(|helpers| of_host(helpers, registry, host)) {
        return Err(ask_without_helper(host, helper.1.as_str()));
    }
    let Some((server, entry)) = config["auths"].as_object().and_then(|auths| of_host(auths, registry, host)) else {
        return Ok(None);
    };
    let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty());
    let secret = |name: &str| text(name).map(Secret::new);
    let mut login = Login {
        server: server.clone(),
        user: text("username").map(str::to_owned),
        password: secret("password"),
        identity_token: secret("identitytoken"),
        registry_token: secret("registrytoken"),
    };
    if let Some(auth) = text("auth") {
        let pair = decode(auth).and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = pair.as_deref().and_then(|pair| pair.split_once(':'));
        let (user, password) = pair.ok_or_else(|| format!("the auth of {host} is not the base64 of user:password"))?;
        let password = password.trim_end_matches('\0');
        login.user = Some(user.to_owned());
        login.password = (!password.is_empty()).then(|| Secret::new(password));
    }
    let is_empty = login.password.is_none() && login.identity_token.is_none() && login.registry_token.is_none();
    match config["credsStore"].as_str().filter(|_| is_empty) {
        // `docker login` leaves an empty entry where a helper has the rest.
        Some(helper) => Err(ask_without_helper(host, Some(helper))),
        None if is_empty => Ok(None),
        None => Ok(Some(login)),
    }
}

/// The entry of a registry: the one of its very name, else one of the same host.
fn of_host<'a>(
    entries: &'a serde_json::Map<String, Value>,
    registry: &str,
    host: &str,
) -> Option<(&'a String, &'a Value)> {
    entries.get_key_value(registry).or_else(|| entries.iter().find(|(key, _)| host_of(key) == host))
}

fn ask_without_helper(host: &str, helper: Option<&str>) -> String {
    let helper = helper.unwrap_or_default();
    format!(
        "the credentials for {host} are with the helper `{helper}`, which is not asked: take a file that `docker login` wrote without a helper"
    )
}

/// The host of a key, which may be an address; Docker Hub has more than one.
fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    match rest.split('/').next().unwrap_or_default() {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        host => host,
    }
}

/// Base64, with or without its end.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        (held, bits) = (held << 6 | u32::from(value), bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
