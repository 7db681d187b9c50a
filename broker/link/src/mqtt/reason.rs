//! Why there is no connection, in words that say what to do.

use std::error::Error;
use std::fmt;
use std::io;

use connect::HttpError;
use rumqttc::v5::mqttbytes::Error as PacketError;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, StateError};

use super::Settings;

mod handshake;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The broker cannot be reached, or the connection broke.
    Network(String),
    /// Broker and client do not come to an encrypted connection.
    Tls(String),
    /// The broker has answered, and does not want us.
    Refused(String),
    /// The broker has ended the connection and said why.
    Server(String),
    /// Another client uses this client id, and the broker prefers the newer one.
    TakenOver {
        /// The id that both use.
        client_id: String,
        /// The broker has said so; otherwise it follows from many connections in a row that it
        /// closed without a word.
        certain: bool,
    },
    /// [`Session::raise`](super::Session::raise) asked for a connection with a greater number.
    Raised,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(text) | Self::Tls(text) | Self::Refused(text) | Self::Server(text) => f.write_str(text),
            Self::TakenOver { client_id, certain } => {
                let how = if *certain { "another client has" } else { "most likely another client has" };
                write!(f, "{how} taken the session over: two programs use the client id `{client_id}`")?;
                if *certain {
                    return Ok(());
                }
                f.write_str(" (the broker closes every connection soon after accepting it, without a word)")
            }

            Self::Raised => f.write_str("reconnecting with a greater connection number"),
        }
    }
}

impl Reason {
    /// Nothing came or went for too long.
    pub(super) fn silence(limit: std::time::Duration) -> Self {
        Self::Network(format!("the broker took nothing and said nothing for {} s", limit.as_secs()))
    }

    /// Reads rumqttc's error. `connected` tells the end of a connection from a failed attempt.
    pub(super) fn of(error: &ConnectionError, settings: &Settings, connected: bool) -> Self {
        let broker = &settings.url;
        match error {
            ConnectionError::ConnectionRefused(code) => return refused(*code, settings),
            ConnectionError::MqttState(StateError::ConnFail { reason }) => {
                return refused(*reason, settings);
            }
            ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
                return dismissed(*reason_code, reason_string.as_deref(), settings);
            }
            ConnectionError::Timeout(_) => {
                let limit = settings.reconnect.timeout.as_secs();
                let limit = format!("no answer from {broker} within {limit} s");
                return Self::Network(match &settings.proxy {
                    None => limit,
                    Some(proxy) => format!(
                        "{limit}; the way leads through the proxy {proxy}: check that it runs and reaches the broker, and MQTT_PROXY"
                    ),
                });
            }
            ConnectionError::MqttState(StateError::AwaitPingResp) => {
                return Self::Network("the broker does not answer pings".to_owned());
            }
            ConnectionError::MqttState(StateError::ConnectionAborted) => {
                return closed(settings, connected);
            }
            ConnectionError::MqttState(StateError::Deserialization(PacketError::InvalidConnectReturnCode(code))) => {
                // Codes below 128 are those of MQTT 3.1.1.
                return Self::Refused(format!(
                    "{broker} does not speak MQTT 5 (it answers with code {code}); a broker with MQTT 5 is needed, for example Mosquitto 1.6 or newer"
                ));
            }
            ConnectionError::MqttState(StateError::Deserialization(error))
                if find_from::<io::Error>(error).is_none() =>
            {
                return Self::Network(if connected {
                    format!("the broker sent what is not MQTT: {error}")
                } else {
                    foreign(settings)
                });
            }
            ConnectionError::NotConnAck(_) => return Self::Network(foreign(settings)),
            ConnectionError::Proxy(_) => return Self::Network(of_the_proxy(error, settings)),
            ConnectionError::ResponseValidation(_) => {
                return Self::Network(format!(
                    "what answers at {broker} speaks WebSocket but not MQTT on it (no sub-protocol `mqtt`); check the path in MQTT_URL, and that a reverse proxy passes Sec-WebSocket-Protocol on"
                ));
            }
            _ => {}
        }
        if let Some(error) = find::<rustls::Error>(error) {
            return Self::Tls(handshake::text(error, settings));
        }
        if let (ConnectionError::Websocket(error), false) = (error, connected)
            && let Some(text) = upgrade(&error.to_string(), settings)
        {
            return Self::Network(text);
        }
        match find::<io::Error>(error) {
            // Tokio's word for the beginning of a packet that has no end.
            Some(error) if !connected && error.to_string() == "bytes remaining on stream" => {
                Self::Network(foreign(settings))
            }
            Some(error) => network(error, settings, connected),
            None if connected => Self::Network(format!("the connection broke: {error}")),
            None => Self::Network(format!("cannot connect to {broker}: {error}")),
        }
    }
}

/// Of what answers with something else than MQTT, or than its beginning.
fn foreign(settings: &Settings) -> String {
    let (broker, secure) = (&settings.url, settings.url.is_encrypted());
    let other = if secure { "WebSocket (wss://)" } else { "TLS (mqtts://) or for WebSocket (ws://)" };
    format!("what answers at {broker} does not speak MQTT; the port may be one for {other}")
}

fn refused(code: ConnectReturnCode, settings: &Settings) -> Reason {
    use ConnectReturnCode as Code;
    let account = match &settings.username {
        Some(username) => {
            format!("the account `{username}`; check MQTT_USERNAME and MQTT_PASSWORD")
        }
        None => "a client without an account; set MQTT_USERNAME and MQTT_PASSWORD".to_owned(),
    };
    let id = &settings.client_id;
    Reason::Refused(match code {
        Code::BadUserNamePassword => format!("the broker does not accept {account}"),
        Code::NotAuthorized => {
            format!("the broker does not authorize {account}, and whether the account may use the client id `{id}`")
        }
        Code::ClientIdentifierNotValid | Code::BadClientId => {
            format!("the broker does not accept the client id `{id}`")
        }
        Code::UnsupportedProtocolVersion | Code::RefusedProtocolVersion => {
            "the broker does not speak MQTT 5; a broker with MQTT 5 is needed".to_owned()
        }
        Code::ServerUnavailable | Code::ServiceUnavailable | Code::ServerBusy => {
            "the broker is busy or not ready".to_owned()
        }
        Code::Banned => format!("the broker has banned the client id `{id}`"),
        Code::QuotaExceeded | Code::ConnectionRateExceeded => {
            "the broker has too many connections; raise its limits".to_owned()
        }
        Code::PacketTooLarge => "the broker finds the connect packet too large: the will is too long".to_owned(),
        Code::UseAnotherServer | Code::ServerMoved => "the broker wants another server used; set MQTT_URL".to_owned(),
        code => format!("the broker refuses the connection ({code:?})"),
    })
}

fn dismissed(code: DisconnectReasonCode, said: Option<&str>, settings: &Settings) -> Reason {
    use DisconnectReasonCode as Code;
    let text = match code {
        Code::SessionTakenOver => {
            return Reason::TakenOver { client_id: settings.client_id.clone(), certain: true };
        }
        Code::ServerShuttingDown => "the broker is shutting down",
        Code::ServerBusy => "the broker is busy",
        Code::KeepAliveTimeout => "the broker has not heard of us for too long",
        Code::NotAuthorized => "the broker has withdrawn the account's authorization",
        Code::AdministrativeAction => "the broker's administrator has ended the connection",
        Code::PacketTooLarge => "a message was larger than the broker takes",
        Code::QuotaExceeded | Code::MessageRateTooHigh => "we exceed a limit of the broker",
        Code::ReceiveMaximumExceeded => "we sent more than the broker takes at once",
        _ => "",
    };
    let text = if text.is_empty() { format!("the broker ended the connection ({code:?})") } else { text.to_owned() };
    Reason::Server(match said {
        Some(said) => format!("{text}: {said}"),
        None => text,
    })
}

fn of_the_proxy(error: &ConnectionError, settings: &Settings) -> String {
    let Some(proxy) = &settings.proxy else { return error.to_string() };
    if let Some(error) = find::<HttpError>(error) {
        return proxy.refusal(error, &format!("{}:{}", settings.url.host, settings.url.port));
    }
    find::<io::Error>(error).map_or_else(|| error.to_string(), |error| proxy.unreachable(error))
}

/// What is told when a web server does not change over to WebSocket. Its error has no type that can be named here.
fn upgrade(error: &str, settings: &Settings) -> Option<String> {
    let url = &settings.url;
    if let Some(status) = error.strip_prefix("HTTP error: ") {
        let hint = match status.get(..3) {
            Some("404") => "check the path in MQTT_URL, and where the reverse proxy has the broker",
            Some("502" | "503" | "504") => "the broker behind the reverse proxy does not answer; check that it runs",
            Some("401" | "403") => {
                "the web server asks for a login or denies the path; let the path pass, the broker has accounts of its own"
            }
            Some("301" | "302" | "307" | "308") => {
                "it sends elsewhere; use that address in MQTT_URL, most often wss:// for ws://"
            }
            _ => "check MQTT_URL, and that a reverse proxy passes Upgrade and Connection on",
        };
        return Some(format!("the web server at {url} answers {status} and opens no WebSocket; {hint}"));
    }
    let strange = error.starts_with("WebSocket protocol error") || error.starts_with("HTTP format error");
    strange.then(|| {
        format!("what answers at {url} does not speak WebSocket; check the port and the path in MQTT_URL ({error})")
    })
}

fn closed(settings: &Settings, connected: bool) -> Reason {
    if connected {
        return Reason::Network("the broker closed the connection".to_owned());
    }
    let url = &settings.url;
    let hint = if url.is_encrypted() {
        "the port may be one without TLS (mqtt:// or ws://), or ask for a client certificate (MQTT_CERT_FILE and MQTT_KEY_FILE)"
    } else {
        "the port may be one for TLS (mqtts://) or for WebSocket (ws://)"
    };
    Reason::Network(format!("{url} closed the connection without an answer; {hint}"))
}

fn network(error: &io::Error, settings: &Settings, connected: bool) -> Reason {
    use io::ErrorKind as Kind;
    let url = &settings.url;
    Reason::Network(match error.kind() {
        _ if connected => format!("the connection broke: {error}"),
        Kind::ConnectionRefused => {
            format!("nothing listens at {url}; check that the broker runs, and MQTT_URL")
        }
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => {
            format!("there is no way to {url} ({error})")
        }
        // As tokio-rustls says it; a reset may also be that of a broker that has seen no client certificate.
        Kind::UnexpectedEof if error.to_string().contains("handshake eof") => format!(
            "{url} closed the connection in the TLS handshake; the port may be one without TLS (mqtt:// or ws://)"
        ),
        Kind::ConnectionReset | Kind::BrokenPipe | Kind::UnexpectedEof => {
            return closed(settings, connected);
        }
        // The standard library gives a failed name lookup no kind of its own.
        _ if error.to_string().contains("lookup address") => {
            format!("the name `{}` cannot be resolved; check MQTT_URL and the host's DNS ({error})", url.host)
        }
        _ => format!("cannot connect to {url}: {error}"),
    })
}

/// Whether the broker closed the connection without a word.
pub(super) fn is_silent(error: &ConnectionError) -> bool {
    use io::ErrorKind as Kind;
    match error {
        ConnectionError::MqttState(StateError::ConnectionAborted) => true,
        error => find::<io::Error>(error).is_some_and(|error| {
            matches!(error.kind(), Kind::ConnectionReset | Kind::BrokenPipe | Kind::UnexpectedEof)
        }),
    }
}

/// Looks for an error of one kind in the chain of causes, and in what I/O errors wrap.
fn find<T: Error + 'static>(error: &ConnectionError) -> Option<&T> {
    // This one does not name its source.
    match error {
        ConnectionError::MqttState(StateError::Deserialization(error)) => find_from(error),
        error => find_from(error),
    }
}

fn find_from<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}
