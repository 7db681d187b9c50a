//! What rumqttc is told for one connection.

use std::time::Duration;

use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, LastWill, LastWillProperties, PublishProperties};
use rumqttc::{NetworkOptions, Proxy, ProxyAuth, ProxyType, TlsConfiguration, Transport};

use super::flight::LOOSE;
use super::url::Scheme;
use super::{Message, Qos, Settings, SetupError, Will, tls};
use crate::proxy::ProxyUrl;

/// Below this, rumqttc panics.
const SHORTEST_KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The protocol counts the keep alive in 16 bits of seconds.
const LONGEST_KEEP_ALIVE: Duration = Duration::from_secs(u16::MAX as u64);

/// Checks all that can be checked before a socket is opened, and reads the certificates once.
pub(super) fn check(settings: &Settings) -> Result<(), SetupError> {
    let url = &settings.url;
    let certificates = [
        ("MQTT_CA_FILE", &settings.ca_file),
        ("MQTT_CERT_FILE", &settings.cert_file),
        ("MQTT_KEY_FILE", &settings.key_file),
    ];
    if let Some((setting, _)) = certificates.iter().find(|(_, file)| file.is_some() && !url.is_encrypted()) {
        return Err(SetupError::NotEncrypted { setting, url: url.clone() });
    }
    match (&settings.cert_file, &settings.key_file) {
        (Some(_), None) => {
            return Err(SetupError::HalfCertificate { present: "MQTT_CERT_FILE", missing: "MQTT_KEY_FILE" });
        }
        (None, Some(_)) => {
            return Err(SetupError::HalfCertificate { present: "MQTT_KEY_FILE", missing: "MQTT_CERT_FILE" });
        }
        _ => {}
    }
    if settings.password.is_some() && settings.username.is_none() {
        return Err(SetupError::PasswordAlone);
    }
    let unusable = |what, value: &str, why| Err(SetupError::Unusable { what, value: value.to_owned(), why });
    if settings.client_id.is_empty() || settings.client_id.len() > usize::from(u16::MAX) {
        return unusable("client id", &settings.client_id, "it is empty or too long");
    }
    if let Some(filter) = settings.subscriptions.iter().find(|filter| !is_filter(filter)) {
        return unusable("topic filter", filter, "it is empty, too long, or has a wildcard where none can be");
    }
    if url.is_encrypted() {
        tls::client_config(settings)?;
    }
    Ok(())
}

pub(super) fn is_filter(filter: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    let good = |(at, level): (usize, &&str)| match *level {
        "+" => true,
        "#" => at + 1 == levels.len(),
        level => !level.contains(['+', '#', '\0']),
    };
    !filter.is_empty() && filter.len() <= usize::from(u16::MAX) && levels.iter().enumerate().all(good)
}

/// The options of one attempt. Reads the certificates again, since they may have been renewed.
pub(super) fn for_attempt(settings: &Settings, will: Option<Will>) -> Result<MqttOptions, tls::TlsError> {
    let url = &settings.url;
    let encrypted = || tls::client_config(settings).map(TlsConfiguration::Rustls);
    let transport = match url.scheme {
        Scheme::Mqtt => Transport::tcp(),
        Scheme::Mqtts => Transport::tls_with_config(encrypted()?),
        Scheme::Ws => Transport::ws(),
        Scheme::Wss => Transport::wss_with_config(encrypted()?),
    };
    // For a WebSocket, rumqttc takes the whole address for the host.
    let host = match url.scheme {
        Scheme::Mqtt | Scheme::Mqtts => url.host.clone(),
        Scheme::Ws | Scheme::Wss => url.to_string(),
    };
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    let mut options = MqttOptions::new(&settings.client_id, host, url.port);
    options
        .set_transport(transport)
        .set_network_options(network)
        .set_keep_alive(settings.keep_alive.clamp(SHORTEST_KEEP_ALIVE, LONGEST_KEEP_ALIVE))
        .set_clean_start(settings.clean_start)
        .set_connection_timeout(settings.reconnect.timeout.as_secs().max(1))
        .set_connect_properties(ConnectProperties {
            session_expiry_interval: Some(seconds(settings.session_expiry)),
            receive_maximum: Some(settings.receive_max.max(1)),
            max_packet_size: Some(settings.max_incoming_packet.max(1)),
            ..ConnectProperties::new()
        })
        // Acknowledgements are the session's: it sends them when the owner has taken a message.
        .set_manual_acks(true)
        // One more than the window: rumqttc takes no acknowledgement and no goodbye while as
        // many publishes as this are under way.
        .set_outgoing_inflight_upper_limit(settings.window.max(1).saturating_add(1));
    if let Some(proxy) = &settings.proxy {
        options.set_proxy(through(proxy));
    }
    if let Some(username) = &settings.username {
        let password = settings.password.as_ref().map(|password| password.expose()).unwrap_or_default();
        options.set_credentials(username, password);
    }
    if let Some(will) = will {
        options.set_last_will(last_will(will));
    }
    Ok(options)
}

fn through(proxy: &ProxyUrl) -> Proxy {
    let auth = match &proxy.account {
        None => ProxyAuth::None,
        Some((username, password)) => {
            ProxyAuth::Basic { username: username.clone(), password: password.expose().to_owned() }
        }
    };
    Proxy { ty: ProxyType::Http, auth, addr: proxy.host.clone(), port: proxy.port }
}

/// How many requests wait in the client's channel at most: publishes of both kinds,
/// acknowledgements, the subscription and a goodbye.
pub(super) fn requests(settings: &Settings) -> usize {
    usize::from(settings.window) + LOOSE + usize::from(settings.receive_max) + 8
}

/// How many events may wait for the owner, those of received QoS 0 messages not counted: every
/// publish is sent and answered, every received message is unacknowledged, every filter has
/// its answer, so has one request for another, and there is a beginning and an end.
pub(super) fn events(settings: &Settings) -> usize {
    2 * usize::from(settings.window) + LOOSE + usize::from(settings.receive_max) + settings.subscriptions.len() + 10
}

fn last_will(will: Will) -> LastWill {
    let Message { topic, payload, retain, qos, content_type, expiry } = will.message;
    LastWill {
        topic: topic.into(),
        message: payload,
        qos: quality(qos),
        retain,
        properties: Some(LastWillProperties {
            delay_interval: Some(seconds(will.delay)),
            payload_format_indicator: None,
            message_expiry_interval: expiry.map(seconds),
            content_type: content_type.map(str::to_owned),
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        }),
    }
}

/// The properties of a message as rumqttc wants them.
pub(super) fn properties(message: &Message) -> PublishProperties {
    PublishProperties {
        content_type: message.content_type.map(str::to_owned),
        message_expiry_interval: message.expiry.map(seconds),
        ..PublishProperties::default()
    }
}

pub(super) fn quality(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::secret::Secret;

    fn settings(url: &str) -> Settings {
        Settings::new(url.parse().unwrap(), "me")
    }

    // DM19
    #[test]
    fn settings_that_do_not_fit_are_refused_by_name() {
        let file = || Some(PathBuf::from("/nowhere/file.pem"));
        for (broken, words) in [
            (Settings { ca_file: file(), ..settings("mqtt://b") }, ["MQTT_CA_FILE", "mqtts://"]),
            (Settings { cert_file: file(), ..settings("mqtts://b") }, ["MQTT_CERT_FILE", "MQTT_KEY_FILE is not"]),
            (Settings { key_file: file(), ..settings("wss://b") }, ["MQTT_KEY_FILE", "MQTT_CERT_FILE is not"]),
            (Settings { password: Some(Secret::new("x")), ..settings("mqtt://b") }, ["MQTT_PASSWORD", "MQTT_USERNAME"]),
            (Settings { client_id: String::new(), ..settings("mqtt://b") }, ["client id", "empty"]),
            (Settings { subscriptions: vec!["a/#/b".into()], ..settings("mqtt://b") }, ["`a/#/b`", "wildcard"]),
            (Settings { subscriptions: vec!["a/b+".into()], ..settings("mqtt://b") }, ["`a/b+`", "wildcard"]),
            (Settings { ca_file: file(), ..settings("mqtts://b") }, ["MQTT_CA_FILE", "/nowhere/file.pem"]),
        ] {
            let error = check(&broken).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        let good = Settings { subscriptions: vec!["a/+/b".into(), "#".into()], ..settings("mqtt://b") };
        assert!(check(&good).is_ok());
    }

    #[test]
    fn extreme_settings_do_not_panic() {
        let extreme = Settings {
            keep_alive: Duration::ZERO,
            window: u16::MAX,
            receive_max: 0,
            max_incoming_packet: 0,
            session_expiry: Duration::MAX,
            ..settings("ws://b")
        };
        let options = for_attempt(&extreme, None).unwrap();
        assert_eq!(options.keep_alive(), SHORTEST_KEEP_ALIVE);
        assert_eq!(options.receive_maximum(), Some(1));
        assert_eq!(options.session_expiry_interval(), Some(u32::MAX));
        let slow = Settings { keep_alive: Duration::MAX, ..settings("mqtt://b") };
        assert_eq!(for_attempt(&slow, None).unwrap().keep_alive(), LONGEST_KEEP_ALIVE);
    }
}
