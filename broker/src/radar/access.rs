//! Where the bridge is, and by which key it is asked: arguments, the environment, a file. The key is never an
//! argument, which everybody on the host could read.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use radar_link::secret::Secret;
use reqwest::Url;

use super::failure::Failure;

/// Where the bridge's API is unless told otherwise.
pub(super) const URL: &str = "http://127.0.0.1:8081";

/// The most bytes of a file with a key.
const LONGEST: u64 = 4096;

/// What is typed about it; each goes before the environment.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct AccessArguments {
    /// Where the bridge's API is [default: http://127.0.0.1:8081] [variable: RADAR_URL]
    #[arg(long, global = true, value_name = "URL", help_heading = "The bridge")]
    pub url: Option<String>,
    /// The file that holds the key [default: ~/.config/radar/key] [variables: RADAR_KEY_FILE; RADAR_KEY for the key itself]
    #[arg(long, global = true, value_name = "FILE", help_heading = "The bridge")]
    pub key_file: Option<PathBuf>,
    /// Who asks, for the audit, where a tool asks for its users [variable: RADAR_AS]
    #[arg(long = "as", global = true, value_name = "NAME", help_heading = "The bridge")]
    pub name: Option<String>,
}

/// What is needed to ask.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// The bridge's address, with a slash at its end.
    pub url: Url,
    pub key: Secret,
    pub name: Option<String>,
}

impl Access {
    /// Puts it together; reads at most one file.
    pub(super) fn find(typed: &AccessArguments, env: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        let url = address(typed.url.clone().or_else(|| env("RADAR_URL")).as_deref().unwrap_or(URL))?;
        let name = typed.name.clone().or_else(|| env("RADAR_AS"));
        if name
            .as_ref()
            .is_some_and(|name| !(1..=64).contains(&name.chars().count()) || name.contains(char::is_control))
        {
            return Err(Failure::Usage("--as (RADAR_AS) is a name of 1 to 64 characters in one line".to_owned()));
        }
        let key = match (&typed.key_file, env("RADAR_KEY_FILE"), env("RADAR_KEY")) {
            (Some(file), _, _) => from_file(file, "--key-file")?,
            (None, Some(_), Some(_)) => {
                return Err(Failure::Usage("RADAR_KEY and RADAR_KEY_FILE are both set; unset one of them".to_owned()));
            }
            (None, Some(file), None) => from_file(Path::new(&file), "RADAR_KEY_FILE")?,
            (None, None, Some(key)) => checked(&key, "RADAR_KEY")?,
            (None, None, None) => from_home(env)?,
        };
        Ok(Self { url, key, name })
    }

    /// Whether the key goes over a network that others can read.
    pub(super) fn is_open(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        let here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        self.url.scheme() == "http" && !here
    }
}

fn address(text: &str) -> Result<Url, Failure> {
    let wrong = |why: &str| Failure::Usage(format!("RADAR_URL (--url) {why}, such as {URL}"));
    let mut url = Url::parse(text.trim()).map_err(|_| wrong("is not an address"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("is not an address"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must hold no user, no password, no `?` and no `#`: it is an address"));
    }
    let path = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

fn from_home(env: impl Fn(&str) -> Option<String>) -> Result<Secret, Failure> {
    let config = env("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(Path::new(&env("HOME")?).join(".config")));
    let file = config.map(|config| config.join("radar").join("key"));
    match file {
        Some(file) if file.exists() => from_file(&file, "the key"),
        file => {
            let file = file.map_or_else(|| "~/.config/radar/key".to_owned(), |file| file.display().to_string());
            Err(Failure::NoKey(format!(
                "there is no key: make one with `radar-bridge api-key create --name NAME` beside the bridge, and put it into \
                 {file} (mode 0600), or name its file with RADAR_KEY_FILE or --key-file, or set RADAR_KEY"
            )))
        }
    }
}

fn from_file(file: &Path, origin: &str) -> Result<Secret, Failure> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        fs::File::open(file)?.take(LONGEST).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error| Failure::NoKey(format!("{origin}: cannot read {}: {error}", file.display())))?;
    checked(&text, &format!("{origin}: {}", file.display()))
}

/// A key as the bridge makes them; what else is in a file is more likely a mistake than a key.
fn checked(text: &str, origin: &str) -> Result<Secret, Failure> {
    let key = text.trim();
    let fits = key.strip_prefix("radar_").and_then(|rest| rest.split_once('_')).is_some_and(|(id, secret)| {
        id.len() == 8
            && id.bytes().all(|b| b.is_ascii_hexdigit())
            && secret.len() == 43
            && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    });
    if fits {
        Ok(Secret::new(key))
    } else {
        Err(Failure::NoKey(format!(
            "{origin} holds no key of the bridge (radar_… as `radar-bridge api-key create` prints it)"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "radar_0123abcd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-";

    fn find(typed: &AccessArguments, set: &[(&str, &str)]) -> Result<Access, Failure> {
        Access::find(typed, |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    // DM19
    #[test]
    fn the_key_comes_from_an_argument_a_variable_or_the_home_directory() {
        let room = tempfile::tempdir().unwrap();
        let (home, other) = (room.path().join(".config/radar/key"), room.path().join("other"));
        let other_key = KEY.replace("0123", "4567");
        fs::create_dir_all(home.parent().unwrap()).unwrap();
        fs::write(&home, format!("{KEY}\n")).unwrap();
        fs::write(&other, &other_key).unwrap();
        let (root, other) = (room.path().to_str().unwrap(), other.to_str().unwrap());
        let typed = AccessArguments { key_file: Some(other.into()), ..AccessArguments::default() };
        let none = AccessArguments::default();
        let third_key = KEY.replace("0123", "89ab");
        for (typed, set, expect) in [
            (&none, &[("HOME", root)][..], KEY),
            (&none, &[("XDG_CONFIG_HOME", home.ancestors().nth(2).unwrap().to_str().unwrap())], KEY),
            (&none, &[("HOME", root), ("RADAR_KEY_FILE", other)], &other_key),
            (&none, &[("HOME", root), ("RADAR_KEY", &third_key), ("RADAR_KEY_FILE", " ")], &third_key),
            (&typed, &[("HOME", root), ("RADAR_KEY", KEY), ("RADAR_KEY_FILE", "/none")], &other_key),
        ] {
            assert_eq!(find(typed, set).unwrap().key.expose(), expect, "{set:?}");
        }
    }

    // DM19
    #[test]
    fn what_is_missing_or_wrong_says_what_to_do_and_shows_no_key() {
        let room = tempfile::tempdir().unwrap();
        let root = room.path().to_str().unwrap();
        let long = format!("{KEY}x");
        type Set<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Set<'_>, &str, u8); 9] = [
            (&[("HOME", root)], "radar-bridge api-key create", 6),
            (&[], "radar-bridge api-key create", 6),
            (&[("RADAR_KEY_FILE", "/nowhere/key")], "RADAR_KEY_FILE: cannot read /nowhere/key", 6),
            (&[("RADAR_KEY", &long)], "RADAR_KEY holds no key", 6),
            (&[("RADAR_KEY", KEY), ("RADAR_KEY_FILE", "/x")], "RADAR_KEY and RADAR_KEY_FILE are both set", 2),
            (&[("RADAR_KEY", KEY), ("RADAR_URL", "127.0.0.1:8081")], "RADAR_URL (--url) is not an address", 2),
            (&[("RADAR_KEY", KEY), ("RADAR_URL", "http://u:hunter2@h")], "must hold no user", 2),
            (&[("RADAR_KEY", KEY), ("RADAR_AS", "a\nb")], "--as (RADAR_AS)", 2),
            (&[("RADAR_KEY", "hunter2")], "RADAR_KEY holds no key", 6),
        ];
        for (set, expect, exit) in cases {
            let error = find(&AccessArguments::default(), set).unwrap_err();
            assert!(error.to_string().contains(expect), "{error}");
            assert_eq!(error.exit() as u8, exit, "{error}");
            assert!(
                !format!("{error} {error:?}").contains("AAAA") && !error.to_string().contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_address_has_a_default_and_may_have_a_path() {
        for (given, expect) in [
            (None, "http://127.0.0.1:8081/"),
            (Some("https://radar.example/a"), "https://radar.example/a/"),
            (Some(" http://[::1]:1// "), "http://[::1]:1/"),
        ] {
            let typed = AccessArguments { url: given.map(str::to_owned), ..AccessArguments::default() };
            let access = find(&typed, &[("RADAR_KEY", KEY), ("RADAR_URL", "")]).unwrap();
            assert_eq!(access.url.as_str(), expect);
        }
    }

    #[test]
    fn a_key_in_clear_over_a_network_is_seen() {
        for (url, open) in [
            ("http://127.0.0.1:8081", false),
            ("http://localhost", false),
            ("http://[::1]:8081", false),
            ("https://radar.example", false),
            ("http://radar.example", true),
            ("http://10.0.0.5:8081", true),
            ("http://127.example", true),
        ] {
            let typed = AccessArguments { url: Some(url.to_owned()), ..AccessArguments::default() };
            assert_eq!(find(&typed, &[("RADAR_KEY", KEY)]).unwrap().is_open(), open, "{url}");
        }
    }
}
