//! An HTTP proxy on the way out: its address, and what is told of it when it does not open the way. Which connections go
//! through it is for others to say.

use std::fmt;
use std::io;
use std::str::FromStr;

use connect::HttpError;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::mqtt::url::{UrlError, host_and_port};
use crate::secret::Secret;

/// The proxy's address: `http://host:port`, or `http://user:password@host:port` with what has a meaning in an address
/// written as `%40`. It shows neither.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ProxyUrl {
    /// A name or an address; of IPv6 in brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) account: Option<(String, Secret)>,
}

/// Why a text is no address of a proxy. The texts do not repeat it, since it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// Another kind of proxy, or none.
    #[error("a proxy's address starts with http://; a SOCKS proxy and TLS to the proxy itself are not supported")]
    Scheme,
    /// No host, or what no host has.
    #[error("there is no host name in it; write http://proxy.example:3128")]
    Host,
    /// No port.
    #[error("there is no port from 1 to 65535 in it; write http://proxy.example:3128")]
    Port,
    /// A path or a query.
    #[error("there is more after the host and port than belongs there; write http://proxy.example:3128")]
    Path,
    /// The account cannot be read.
    #[error("user or password have a % that is not followed by two hexadecimal digits, or are no text; write % as %25")]
    Account,
}

/// Why there is no connection through the proxy, in a sentence that names the setting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ProxyError(String);

impl ProxyUrl {
    /// Opens a connection to a host through the proxy, which looks its name up. Without a deadline.
    ///
    /// # Errors
    /// The proxy is not there, or does not open the way.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, ProxyError> {
        let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        let address = format!("{}:{}", self.host, self.port);
        let mut stream = TcpStream::connect(address).await.map_err(|error| ProxyError(self.unreachable(&error)))?;
        match &self.account {
            None => connect::http_connect_tokio(&mut stream, &host, port).await,
            Some((name, password)) => {
                connect::http_connect_tokio_with_basic_auth(&mut stream, &host, port, name, password.expose()).await
            }
        }
        .map_err(|error| ProxyError(self.refusal(&error, &format!("{host}:{port}"))))?;
        Ok(stream)
    }

    /// What is told when the proxy itself is not reached.
    pub(crate) fn unreachable(&self, error: &io::Error) -> String {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused => {
                format!("nothing listens at the proxy {self}; check that it runs, and MQTT_PROXY")
            }
            // The standard library gives a failed name lookup no kind of its own.
            _ if error.to_string().contains("lookup address") => format!(
                "the proxy's name `{}` cannot be resolved; check MQTT_PROXY and the host's DNS ({error})",
                self.host
            ),
            _ => format!("there is no way to the proxy {self}; check MQTT_PROXY ({error})"),
        }
    }

    /// What is told when the proxy is there and opens no way to `target`.
    pub(crate) fn refusal(&self, error: &HttpError, target: &str) -> String {
        match error {
            // The second is what tinyproxy says.
            HttpError::Status(407 | 401) => match &self.account {
                None => format!(
                    "the proxy {self} asks for an account; write it into MQTT_PROXY: http://user:password@{}:{}",
                    self.host, self.port
                ),
                Some((name, _)) => format!(
                    "the proxy {self} does not accept the account `{name}`; check the user and the password in MQTT_PROXY"
                ),
            },
            HttpError::Status(status @ (403 | 405)) => format!(
                "the proxy {self} does not let a connection to {target} pass (it answers {status}); have this host and port allowed there, or use a port that it allows: most allow 443, which is that of wss://"
            ),
            HttpError::Status(status @ (500 | 502..=504)) => format!(
                "the proxy {self} does not reach {target} (it answers {status}); check the name and the port, and what the proxy can reach"
            ),
            HttpError::Status(status) => {
                format!(
                    "the proxy {self} opens no way to {target}: it answers {status}; check that MQTT_PROXY is an HTTP proxy that knows CONNECT"
                )
            }
            HttpError::Closed | HttpError::Io(_) => {
                format!(
                    "the proxy {self} closed the connection without an answer; check MQTT_PROXY, and the proxy's log"
                )
            }
            HttpError::Malformed => format!("what answers at {self} is no HTTP proxy; check MQTT_PROXY"),
            HttpError::TooLong => format!("the answer of {self} has no end; check that MQTT_PROXY is an HTTP proxy"),
        }
    }
}

impl FromStr for ProxyUrl {
    type Err = ProxyUrlError;

    fn from_str(text: &str) -> Result<Self, ProxyUrlError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(ProxyUrlError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(ProxyUrlError::Scheme);
        }
        // A password may have an @ that nobody has written as %40.
        let (account, rest) = rest.rsplit_once('@').map_or((None, rest), |(account, rest)| (Some(account), rest));
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(ProxyUrlError::Path);
        }
        let (host, port) = host_and_port(rest).map_err(|error| match error {
            UrlError::Port => ProxyUrlError::Port,
            _ => ProxyUrlError::Host,
        })?;
        let port = port.ok_or(ProxyUrlError::Port)?;
        let account = account.map(|account| {
            let (name, password) = account.split_once(':').unwrap_or((account, ""));
            Ok((unescaped(name)?, Secret::new(unescaped(password)?)))
        });
        Ok(Self { host: host.to_owned(), port, account: account.transpose()? })
    }
}

fn unescaped(text: &str) -> Result<String, ProxyUrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = after;
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or(ProxyUrlError::Account)?;
        bytes.push(byte);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| ProxyUrlError::Account)
}

impl TryFrom<String> for ProxyUrl {
    type Error = ProxyUrlError;

    fn try_from(text: String) -> Result<Self, ProxyUrlError> {
        text.parse()
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProxyUrl, ProxyUrlError> {
        text.parse()
    }

    // DM19, E9
    #[test]
    fn an_address_is_read_with_its_account() {
        let account = |name: &str, password: &str| Some((name.to_owned(), Secret::new(password)));
        for (text, host, port, expect) in [
            ("http://proxy:3128", "proxy", 3128, None),
            (" HTTP://10.0.0.1:80/ ", "10.0.0.1", 80, None),
            ("http://[fd00::2]:3128", "[fd00::2]", 3128, None),
            ("http://me:word@proxy:3128", "proxy", 3128, account("me", "word")),
            ("http://me@proxy:3128", "proxy", 3128, account("me", "")),
            ("http://a%40b:p%3a%2F%25%C3%A9@proxy:1", "proxy", 1, account("a@b", "p:/%é")),
            ("http://me:p@ss:w/rd@proxy:1", "proxy", 1, account("me", "p@ss:w/rd")),
        ] {
            assert_eq!(read(text), Ok(ProxyUrl { host: host.to_owned(), port, account: expect }), "{text}");
        }
        let url = read("http://me:hunter2@proxy:3128").unwrap();
        assert_eq!(url.to_string(), "http://proxy:3128");
        assert!(!format!("{url:?}").contains("hunter2"), "{url:?}");
    }

    // DM19, RR13
    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, error) in [
            ("proxy:3128", ProxyUrlError::Scheme),
            ("https://proxy:3128", ProxyUrlError::Scheme),
            ("socks5://proxy:1080", ProxyUrlError::Scheme),
            ("http://", ProxyUrlError::Host),
            ("http://:3128", ProxyUrlError::Host),
            ("http://pro xy:3128", ProxyUrlError::Host),
            ("http://::1:3128", ProxyUrlError::Host),
            ("http://proxy", ProxyUrlError::Port),
            ("http://proxy:0", ProxyUrlError::Port),
            ("http://proxy:99999", ProxyUrlError::Port),
            ("http://proxy:3128/path", ProxyUrlError::Path),
            ("http://me:100%@proxy:3128", ProxyUrlError::Account),
            ("http://me:%zz@proxy:3128", ProxyUrlError::Account),
            ("http://me:%ff@proxy:3128", ProxyUrlError::Account),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
    }
}
