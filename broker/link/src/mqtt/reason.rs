//! Why there is no connection, in words that say what to do.

use std::error::Error;
use std::fmt;
use std::io;

use rumqttc::v5::mqttbytes::Error as PacketError;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, StateError};
use rustls::{AlertDescription, CertificateError};

use super::Settings;

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
                return Self::Network(format!("no answer from {broker} within {limit} s"));
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
            _ => {}
        }
        if let Some(error) = find::<rustls::Error>(error) {
            return Self::Tls(tls(error, settings));
        }
        match find::<io::Error>(error) {
            Some(error) => network(error, settings, connected),
            None if connected => Self::Network(format!("the connection broke: {error}")),
            None => Self::Network(format!("cannot connect to {broker}: {error}")),
        }
    }
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

fn closed(settings: &Settings, connected: bool) -> Reason {
    let url = &settings.url;
    Reason::Network(if connected {
        "the broker closed the connection".to_owned()
    } else if url.is_encrypted() {
        format!(
            "{url} closed the connection without an answer; it may ask for a client certificate (MQTT_CERT_FILE and MQTT_KEY_FILE)"
        )
    } else {
        format!(
            "{url} closed the connection without an answer; the port may be one for TLS (mqtts://) or for WebSocket (ws://)"
        )
    })
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

fn tls(error: &rustls::Error, settings: &Settings) -> String {
    use AlertDescription as Alert;
    use CertificateError as Certificate;
    let host = &settings.url.host;
    match error {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => format!(
            "the certificate of {host} is not signed by an authority that is trusted here; name the right CA certificate in MQTT_CA_FILE"
        ),
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            format!("the certificate of {host} has expired, or the clock of this host is wrong")
        }
        rustls::Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            format!("the certificate of {host} is not valid yet, or the clock of this host is wrong")
        }
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => format!(
            "the certificate of the broker is not made for the name `{host}`; use one of its names in MQTT_URL ({error})"
        ),
        rustls::Error::AlertReceived(Alert::CertificateRequired) => {
            "the broker asks for a client certificate; set MQTT_CERT_FILE and MQTT_KEY_FILE".to_owned()
        }
        rustls::Error::AlertReceived(alert) if settings.cert_file.is_some() => {
            format!("the broker does not accept the client certificate of MQTT_CERT_FILE ({alert:?})")
        }
        rustls::Error::AlertReceived(alert) => {
            format!(
                "the broker broke off the TLS handshake ({alert:?}); it may ask for a client certificate (MQTT_CERT_FILE and MQTT_KEY_FILE)"
            )
        }
        rustls::Error::InvalidMessage(_) => {
            format!("{} does not speak TLS; the port may be one for mqtt:// or ws://", settings.url)
        }
        error => format!("TLS with {host} failed: {error}"),
    }
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
fn find<'a, T: Error + 'static>(error: &'a ConnectionError) -> Option<&'a T> {
    // This one does not name its source.
    let mut cause: Option<&'a (dyn Error + 'static)> = match error {
        ConnectionError::MqttState(StateError::Deserialization(error)) => Some(error),
        error => Some(error),
    };
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
