//! The broker's address.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// The broker's address: `mqtt://host`, `mqtts://host:8883`, `ws://host/mqtt`, `wss://host`.
/// Account and password do not belong into it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BrokerUrl {
    pub(super) scheme: Scheme,
    /// A name or an address; an IPv6 address stands in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Of the WebSocket endpoint, with its leading slash; empty for the others.
    pub(super) path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Mqtt,
    Mqtts,
    Ws,
    Wss,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Mqtts => 8883,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    fn is_web_socket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// Why a text is no address of a broker. The texts do not repeat the address, since it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No scheme, or one that is not known.
    #[error("an MQTT address starts with mqtt://, mqtts://, ws:// or wss://")]
    Scheme,
    /// User information before an `@`.
    #[error("the account does not belong into the address; use MQTT_USERNAME and MQTT_PASSWORD")]
    Account,
    /// No host, or characters that no host has.
    #[error("there is no host name in it; write for example mqtt://broker.example:1883")]
    Host,
    /// Not 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// A path where there can be none, or a query.
    #[error("there is more after the host and port than belongs there; only ws:// and wss:// have a path")]
    Path,
    /// An IPv6 address with TLS or WebSocket.
    #[error("an IPv6 address works with mqtt:// only; give the broker a name")]
    Ipv6,
}

impl BrokerUrl {
    /// The broker's name or address; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.scheme, Scheme::Mqtts | Scheme::Wss)
    }
}

impl FromStr for BrokerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => Scheme::Mqtt,
            "mqtts" => Scheme::Mqtts,
            "ws" => Scheme::Ws,
            "wss" => Scheme::Wss,
            _ => return Err(UrlError::Scheme),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::Account);
        }
        let (host, port) = host_and_port(authority)?;
        if host.starts_with('[') && scheme != Scheme::Mqtt {
            return Err(UrlError::Ipv6);
        }
        let printable = path.chars().all(|c| c.is_ascii_graphic() && c != '#');
        let path = match (scheme.is_web_socket(), path) {
            (true, "" | "/") => "/mqtt",
            (true, path) if path.starts_with('/') && printable => path,
            (false, "" | "/") => "",
            _ => return Err(UrlError::Path),
        };
        Ok(Self { scheme, host: host.to_owned(), port: port.unwrap_or(scheme.port()), path: path.to_owned() })
    }
}

/// The two halves of what stands before the path: a name or an address (of IPv6 in brackets), and a port if there is one.
pub(crate) fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    let bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[bracket..].rfind(':') {
        Some(at) => (&authority[..bracket + at], Some(&authority[bracket + at + 1..])),
        None => (authority, None),
    };
    let named = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(named),
    };
    if !good {
        return Err(UrlError::Host);
    }
    let port = port.map(|port| port.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port)).transpose()?;
    Ok((host, port))
}

impl TryFrom<String> for BrokerUrl {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}{}", self.scheme.name(), self.host, self.port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // DM19, E9
    #[test]
    fn addresses_are_read_with_their_defaults() {
        for (text, whole) in [
            ("mqtt://broker", "mqtt://broker:1883"),
            ("MQTT://broker/", "mqtt://broker:1883"),
            ("mqtts://broker.example", "mqtts://broker.example:8883"),
            (" mqtt://10.0.0.1:1884 ", "mqtt://10.0.0.1:1884"),
            ("mqtt://[::1]", "mqtt://[::1]:1883"),
            ("mqtt://[fd00::2]:1884", "mqtt://[fd00::2]:1884"),
            ("ws://broker", "ws://broker:80/mqtt"),
            ("ws://broker:9001/", "ws://broker:9001/mqtt"),
            ("wss://broker/bus?site=7", "wss://broker:443/bus?site=7"),
            ("mqtt://my_broker-1", "mqtt://my_broker-1:1883"),
        ] {
            assert_eq!(text.parse::<BrokerUrl>().map(|url| url.to_string()), Ok(whole.to_owned()), "{text}");
        }
    }

    // DM19
    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, error) in [
            ("broker:1883", UrlError::Scheme),
            ("http://broker", UrlError::Scheme),
            ("", UrlError::Scheme),
            ("mqtt://me:secret@broker", UrlError::Account),
            ("mqtt://", UrlError::Host),
            ("mqtt://:1883", UrlError::Host),
            ("mqtt://bro ker", UrlError::Host),
            ("mqtt://::1", UrlError::Host),
            ("mqtt://[broker]", UrlError::Host),
            ("mqtt://broker:0", UrlError::Port),
            ("mqtt://broker:99999", UrlError::Port),
            ("mqtt://broker:", UrlError::Port),
            ("mqtt://broker/bus", UrlError::Path),
            ("ws://broker?x", UrlError::Path),
            ("wss://broker/a b", UrlError::Path),
            ("mqtts://[::1]", UrlError::Ipv6),
            ("ws://[::1]", UrlError::Ipv6),
        ] {
            assert_eq!(text.parse::<BrokerUrl>(), Err(error), "{text}");
        }
    }
}
