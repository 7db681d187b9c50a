//! Every setting of the bridge: key, variable, default, sentence. The help and the example file
//! are made from the table; what only fits together with something else is checked here, before
//! anything is opened.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use radar_link::logging::Format;
use radar_link::mqtt;
use radar_link::secret::Secret;
use radar_link::settings::{self, MqttSettings, Setting, SettingsError, Values, data_dir};
use radar_wire::topic::{AgentId, Prefix};
use serde::Deserialize;

use crate::store::Keep;

/// The settings that the bridge does not share with the agent.
const OWN: &[Setting] = &[
    data_dir(Some("/var/lib/radar-bridge"), "The directory of the database and the server's secrets."),
    Setting {
        key: "mqtt_admin_username",
        variable: "MQTT_ADMIN_USERNAME",
        default: None,
        secret: false,
        sentence: "The account with which add-agent, remove-agent and init-broker --running make accounts at the broker; without it MQTT_USERNAME. The bridge itself does not use it.",
    },
    Setting {
        key: "mqtt_admin_password",
        variable: "MQTT_ADMIN_PASSWORD",
        default: None,
        secret: true,
        sentence: "The password of that account.",
    },
    Setting {
        key: "log_format",
        variable: "LOG_FORMAT",
        default: Some("text"),
        secret: false,
        sentence: "The form of a log line: text or json.",
    },
    Setting {
        key: "bridge_log_level",
        variable: "BRIDGE_LOG_LEVEL",
        default: Some("info"),
        secret: false,
        sentence: "What is logged: error, warn, info, debug or trace, or one per part of the program (info,rumqttc=debug).",
    },
    Setting {
        key: "bridge_listen",
        variable: "BRIDGE_LISTEN",
        default: Some("127.0.0.1:8080"),
        secret: false,
        sentence: "The address and port of /health and /metrics, which ask for no password.",
    },
    Setting {
        key: "bridge_api_listen",
        variable: "BRIDGE_API_LISTEN",
        default: Some("127.0.0.1:8081"),
        secret: false,
        sentence: "The address and port of the HTTP API, which asks for a key (radar-bridge api-key create); off: there is none.",
    },
    Setting {
        key: "bridge_keep_days",
        variable: "BRIDGE_KEEP_DAYS",
        default: Some("90"),
        secret: false,
        sentence: "How many days events are kept.",
    },
    Setting {
        key: "bridge_keep_events",
        variable: "BRIDGE_KEEP_EVENTS",
        default: Some("100000"),
        secret: false,
        sentence: "How many events are kept of each agent; over it the oldest go.",
    },
    Setting {
        key: "bridge_keep_total",
        variable: "BRIDGE_KEEP_TOTAL",
        default: Some("10000000"),
        secret: false,
        sentence: "How many events are kept of all agents together; about 300 bytes of disk each.",
    },
    Setting {
        key: "bridge_max_agents",
        variable: "BRIDGE_MAX_AGENTS",
        default: Some("20000"),
        secret: false,
        sentence: "How many agents are known at most; what comes from others is dropped and counted.",
    },
    Setting {
        key: "server_url",
        variable: "SERVER_URL",
        default: None,
        secret: false,
        sentence: "The Registry Radar server that every agent is relayed to (https://radar.example, with a path if it has one).",
    },
    Setting {
        key: "server_username",
        variable: "SERVER_USERNAME",
        default: None,
        secret: false,
        sentence: "The server's web login; with it the bridge makes an agent at the server for each new one of ours.",
    },
    Setting {
        key: "server_password",
        variable: "SERVER_PASSWORD",
        default: None,
        secret: true,
        sentence: "The password of the web login.",
    },
    Setting {
        key: "agent_id",
        variable: "AGENT_ID",
        default: None,
        secret: false,
        sentence: "The server's id of one agent, for the two settings below; the agent of ours that runs with the same AGENT_ID is relayed as it.",
    },
    Setting {
        key: "agent_enroll_token",
        variable: "AGENT_ENROLL_TOKEN",
        default: None,
        secret: true,
        sentence: "The server's one-time token for AGENT_ID, where the agent does not bring it.",
    },
    Setting {
        key: "refresh_secret",
        variable: "REFRESH_SECRET",
        default: None,
        secret: true,
        sentence: "The refresh secret of AGENT_ID, for a host that moves over from the stock agent.",
    },
];

/// All settings, in the order in which they are shown.
#[must_use]
pub fn table() -> Vec<Setting> {
    [settings::MQTT, OWN].concat()
}

/// How the bridge is to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How to reach the broker.
    pub mqtt: MqttSettings,
    /// The account that makes accounts at the broker, where it is not the bridge's own.
    pub admin: Option<Login>,
    /// What all topics start with.
    pub prefix: Prefix,
    /// The directory of the database and the secrets.
    pub data_dir: PathBuf,
    /// The form of a log line.
    pub log_format: Format,
    /// What is logged.
    pub log_level: String,
    /// Where `/health` and `/metrics` are answered.
    pub listen: SocketAddr,
    /// Where the HTTP API is; `None` is a bridge without it.
    pub api_listen: Option<SocketAddr>,
    /// How much history is kept.
    pub keep: Keep,
    /// How many agents are known at most.
    pub max_agents: usize,
    /// Where agents are relayed to; `None` is a bridge without an upstream.
    pub upstream: Option<UpstreamSettings>,
}

/// The server and how agents come to an identity there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// `http://` or `https://`, with a path if it has one, without a slash at the end.
    pub url: String,
    /// The web login, with which agents are made at the server.
    pub login: Option<Login>,
    /// The identity that the operator brings for one agent.
    pub identity: Option<Identity>,
}

/// An account and its password: the server's web login, or the broker's administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The account.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// What the operator gives for one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The agent's id, the same at the server and in its topics.
    pub id: AgentId,
    /// The one-time token.
    pub enroll_token: Option<Secret>,
    /// The refresh secret of an enrollment that is done.
    pub refresh_secret: Option<Secret>,
}

/// An address with a port, refused with an example.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Listen(SocketAddr);

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refused = |_| format!("`{text}` is not an address with a port; write for example `127.0.0.1:8080`");
        text.trim().parse().map(Self).map_err(refused)
    }
}

/// As [`Listen`], or the word `off`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct ListenOrOff(Option<SocketAddr>);

impl TryFrom<String> for ListenOrOff {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim() == "off" {
            return Ok(Self(None));
        }
        Listen::try_from(text).map(|listen| Self(Some(listen.0))).map_err(|error| format!("{error}, or `off`"))
    }
}

#[derive(Deserialize)]
struct Plain {
    mqtt_admin_username: Option<String>,
    mqtt_admin_password: Option<Secret>,
    data_dir: PathBuf,
    log_format: Format,
    bridge_log_level: String,
    bridge_listen: Listen,
    bridge_api_listen: ListenOrOff,
    bridge_keep_days: NonZeroU32,
    bridge_keep_events: NonZeroU64,
    bridge_keep_total: NonZeroU64,
    bridge_max_agents: NonZeroU32,
    server_url: Option<String>,
    server_username: Option<String>,
    server_password: Option<Secret>,
    agent_id: Option<String>,
    agent_enroll_token: Option<Secret>,
    refresh_secret: Option<Secret>,
}

impl Settings {
    /// Reads the settings from the file, over which the environment wins.
    ///
    /// # Errors
    /// The first thing that is wrong, with the name of the setting and where it came from.
    pub fn load(file: Option<&Path>, env: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let values = settings::read(&table(), file, env)?;
        let mqtt: MqttSettings = values.part()?;
        let plain: Plain = values.part()?;
        let prefix =
            mqtt.mqtt_topic_prefix.parse().map_err(|error| values.refuse("mqtt_topic_prefix", format!("{error}")))?;
        let admin = login(
            &values,
            ("mqtt_admin_username", "MQTT_ADMIN_USERNAME", &plain.mqtt_admin_username),
            ("mqtt_admin_password", "MQTT_ADMIN_PASSWORD", &plain.mqtt_admin_password),
        )?;
        Ok(Self {
            prefix,
            admin,
            upstream: upstream(&values, &plain)?,
            data_dir: plain.data_dir,
            log_format: plain.log_format,
            log_level: plain.bridge_log_level,
            listen: plain.bridge_listen.0,
            api_listen: plain.bridge_api_listen.0,
            keep: Keep {
                days: plain.bridge_keep_days.get(),
                events_per_agent: plain.bridge_keep_events.get(),
                events: plain.bridge_keep_total.get(),
            },
            max_agents: usize::try_from(plain.bridge_max_agents.get()).unwrap_or(usize::MAX),
            mqtt,
        })
    }

    /// The file of the database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("bridge.db")
    }

    /// The file of the API's keys.
    #[must_use]
    pub fn api_keys(&self) -> PathBuf {
        api_keys(&self.data_dir)
    }

    /// The settings of the bridge's own session at the broker: one per prefix.
    #[must_use]
    pub fn session(&self) -> mqtt::Settings {
        self.mqtt.session(self.client_id("radar-bridge"))
    }

    /// A client id that belongs to this prefix.
    #[must_use]
    pub fn client_id(&self, what: &str) -> String {
        format!("{what}-{}", self.prefix.as_str().replace('/', "-"))
    }
}

/// The file of the API's keys in a data directory.
pub(crate) fn api_keys(data_dir: &Path) -> PathBuf {
    data_dir.join("api-keys.json")
}

/// An account with its password, or neither; each by its key and its variable.
fn login(
    values: &Values,
    (username_key, username_variable, username): (&str, &str, &Option<String>),
    (password_key, password_variable, password): (&str, &str, &Option<Secret>),
) -> Result<Option<Login>, SettingsError> {
    let needs = |key: &str, what: &str| Err(values.refuse(key, format!("it needs {what}, which is not set")));
    match (username, password) {
        (Some(username), Some(password)) => Ok(Some(Login { username: username.clone(), password: password.clone() })),
        (Some(_), None) => needs(username_key, password_variable),
        (None, Some(_)) => needs(password_key, username_variable),
        (None, None) => Ok(None),
    }
}

fn upstream(values: &Values, plain: &Plain) -> Result<Option<UpstreamSettings>, SettingsError> {
    let needs = |key: &str, what: &str| values.refuse(key, format!("it needs {what}, which is not set"));
    let Some(url) = &plain.server_url else {
        let given = [
            ("server_username", plain.server_username.is_some()),
            ("server_password", plain.server_password.is_some()),
            ("agent_id", plain.agent_id.is_some()),
            ("agent_enroll_token", plain.agent_enroll_token.is_some()),
            ("refresh_secret", plain.refresh_secret.is_some()),
        ];
        return match given.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(needs(key, "SERVER_URL")),
            None => Ok(None),
        };
    };
    let url = server_url(url).map_err(|why| values.refuse("server_url", why))?;
    let login = login(
        values,
        ("server_username", "SERVER_USERNAME", &plain.server_username),
        ("server_password", "SERVER_PASSWORD", &plain.server_password),
    )?;
    let identity = match (&plain.agent_id, &plain.agent_enroll_token, &plain.refresh_secret) {
        (Some(_), None, None) => return Err(needs("agent_id", "AGENT_ENROLL_TOKEN or REFRESH_SECRET")),
        (Some(id), enroll_token, refresh_secret) => Some(Identity {
            id: id.parse().map_err(|error| values.refuse("agent_id", format!("{error}")))?,
            enroll_token: enroll_token.clone(),
            refresh_secret: refresh_secret.clone(),
        }),
        (None, Some(_), _) => return Err(needs("agent_enroll_token", "AGENT_ID")),
        (None, None, Some(_)) => return Err(needs("refresh_secret", "AGENT_ID")),
        (None, None, None) => None,
    };
    Ok(Some(UpstreamSettings { url, login, identity }))
}

/// The texts do not repeat the address, since it may hold a password.
fn server_url(text: &str) -> Result<String, &'static str> {
    let text = text.trim().trim_end_matches('/');
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or("the server's address starts with http:// or https://")?;
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err("the account does not belong into the address; use SERVER_USERNAME and SERVER_PASSWORD");
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err("there is no host name in it; write for example https://radar.example");
    }
    if rest.contains(['?', '#']) || rest.contains(char::is_whitespace) {
        return Err("there is more than host, port and path in it");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
