//! The settings that both programs have.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Setting, Span};
use crate::logging::Format;
use crate::mqtt::{self, BrokerUrl};
use crate::proxy::ProxyUrl;
use crate::secret::Secret;

/// The rows of [`MqttSettings`].
pub const MQTT: &[Setting] = &[
    Setting {
        key: "mqtt_url",
        variable: "MQTT_URL",
        default: Some("mqtt://localhost:1883"),
        secret: false,
        sentence: "The broker: mqtt:// or mqtts:// with host and port, or ws:// or wss:// with host, port and path (/mqtt when there is none).",
    },
    Setting {
        key: "mqtt_proxy",
        variable: "MQTT_PROXY",
        default: None,
        secret: true,
        sentence: "The HTTP proxy through which the broker is reached, and through which the agent fetches new versions of itself: http://host:port, or http://user:password@host:port.",
    },
    Setting {
        key: "mqtt_username",
        variable: "MQTT_USERNAME",
        default: None,
        secret: false,
        sentence: "The account at the broker.",
    },
    Setting {
        key: "mqtt_password",
        variable: "MQTT_PASSWORD",
        default: None,
        secret: true,
        sentence: "The password of the account.",
    },
    Setting {
        key: "mqtt_ca_file",
        variable: "MQTT_CA_FILE",
        default: None,
        secret: false,
        sentence: "A PEM file with the certificates to trust instead of the system's.",
    },
    Setting {
        key: "mqtt_cert_file",
        variable: "MQTT_CERT_FILE",
        default: None,
        secret: false,
        sentence: "A PEM file with the client certificate and its chain, for a broker that asks for one.",
    },
    Setting {
        key: "mqtt_key_file",
        variable: "MQTT_KEY_FILE",
        default: None,
        secret: false,
        sentence: "A PEM file with the key of the client certificate.",
    },
    Setting {
        key: "mqtt_topic_prefix",
        variable: "MQTT_TOPIC_PREFIX",
        default: Some("radar"),
        secret: false,
        sentence: "What all topics start with; the same for the agents and their bridge; may have several levels (radar/site7).",
    },
    Setting {
        key: "mqtt_keep_alive",
        variable: "MQTT_KEEP_ALIVE",
        default: Some("30s"),
        secret: false,
        sentence: "How often a ping goes to the broker, at least 5s; a dead connection is noticed after two of them.",
    },
];

/// How to reach the broker.
#[derive(Debug, Clone, Deserialize)]
pub struct MqttSettings {
    /// Where it is.
    pub mqtt_url: BrokerUrl,
    /// The HTTP proxy through which it is reached.
    pub mqtt_proxy: Option<ProxyUrl>,
    /// The account.
    pub mqtt_username: Option<String>,
    /// Its password.
    pub mqtt_password: Option<Secret>,
    /// Certificates to trust instead of the system's.
    pub mqtt_ca_file: Option<PathBuf>,
    /// The client certificate.
    pub mqtt_cert_file: Option<PathBuf>,
    /// The key of the client certificate.
    pub mqtt_key_file: Option<PathBuf>,
    /// What all topics start with, as it was given.
    pub mqtt_topic_prefix: String,
    /// How often a ping goes out.
    pub mqtt_keep_alive: Span,
}

impl MqttSettings {
    /// The settings of a session; the rest is as in [`mqtt::Settings::new`].
    pub fn session(&self, client_id: impl Into<String>) -> mqtt::Settings {
        mqtt::Settings {
            proxy: self.mqtt_proxy.clone(),
            username: self.mqtt_username.clone(),
            password: self.mqtt_password.clone(),
            ca_file: self.mqtt_ca_file.clone(),
            cert_file: self.mqtt_cert_file.clone(),
            key_file: self.mqtt_key_file.clone(),
            keep_alive: self.mqtt_keep_alive.0,
            ..mqtt::Settings::new(self.mqtt_url.clone(), client_id)
        }
    }
}

/// The rows of [`LogSettings`].
pub const LOG: &[Setting] = &[
    Setting {
        key: "log_level",
        variable: "LOG_LEVEL",
        default: Some("info"),
        secret: false,
        sentence: "What is logged: error, warn, info, debug or trace, or one per part of the program (info,radar_link=debug).",
    },
    Setting {
        key: "log_format",
        variable: "LOG_FORMAT",
        default: Some("text"),
        secret: false,
        sentence: "The form of a log line: text or json.",
    },
];

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogSettings {
    /// For [`logging::start`](crate::logging::start).
    pub log_level: String,
    /// The form of a line.
    pub log_format: Format,
}

/// The row of the directory where a program keeps what must survive it.
pub const fn data_dir(default: Option<&'static str>, sentence: &'static str) -> Setting {
    Setting { key: "data_dir", variable: "DATA_DIR", default, secret: false, sentence }
}
