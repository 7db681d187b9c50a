//! Where a program is: the part of a URL that is needed to get it.

use std::fmt;
use std::str::FromStr;

/// An address of `http://` or `https://`. It shows only its host: what is behind may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether TLS is spoken.
    pub(super) tls: bool,
    /// The host's name or number, without brackets.
    pub(super) host: Box<str>,
    /// The port.
    pub(super) port: u16,
    /// The path and the query.
    pub(super) path: Box<str>,
}

/// A text that is no such address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme.
    #[error("only http:// and https:// are spoken")]
    Scheme,
    /// A name and a password before the host.
    #[error("an address with a user is not taken")]
    User,
    /// No host, or what cannot stand in a request.
    #[error("it is no address")]
    Malformed,
    /// From TLS to none.
    #[error("from https to http it is not followed")]
    Downgrade,
}

impl Address {
    /// The address that a server at this one names in `Location`.
    ///
    /// # Errors
    /// It is none that is followed.
    pub(super) fn join(&self, location: &str) -> Result<Self, AddressError> {
        let location = location.split('#').next().unwrap_or_default();
        if let Some(rest) = location.strip_prefix("//") {
            let scheme = if self.tls { "https" } else { "http" };
            return format!("{scheme}://{rest}").parse();
        }
        let scheme = location.split(['/', '?']).next().unwrap_or_default();
        if scheme.contains(':') {
            let other: Self = location.parse()?;
            return if self.tls && !other.tls { Err(AddressError::Downgrade) } else { Ok(other) };
        }
        let path = if location.starts_with('/') {
            location.to_owned()
        } else {
            let own = self.path.split('?').next().unwrap_or_default();
            let directory = own.rsplit_once('/').map_or("", |(directory, _)| directory);
            format!("{directory}/{location}")
        };
        is_sendable(&path).then(|| Self { path: path.into(), ..self.clone() }).ok_or(AddressError::Malformed)
    }

    /// What stands in a request's `Host`.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(AddressError::Scheme),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(AddressError::User);
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(AddressError::Malformed)?;
                (host, port.strip_prefix(':'))
            }
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().map_err(|_| AddressError::Malformed)?,
        };
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(named) || !is_sendable(&path) {
            return Err(AddressError::Malformed);
        }
        Ok(Self { tls, host: host.into(), port, path: path.into() })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

/// Nothing that would end the line of the request.
fn is_sendable(path: &str) -> bool {
    path.len() <= 4096 && path.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &Address) -> String {
        let scheme = if address.tls { "https" } else { "http" };
        format!("{scheme} {} {} {}", address.authority(), address.port, address.path)
    }

    // DM13
    #[test]
    fn an_address_is_taken_apart_or_refused() {
        for (text, expect) in [
            ("https://example.org/a/b?c=d#e", "https example.org 443 /a/b?c=d"),
            ("HTTP://127.0.0.1:8080", "http 127.0.0.1:8080 8080 /"),
            ("http://[::1]:80/x", "http [::1] 80 /x"),
            ("https://example.org?x", "https example.org 443 /?x"),
        ] {
            assert_eq!(shown(&text.parse().unwrap()), expect);
        }
        for (text, expect) in [
            ("ftp://example.org/a", AddressError::Scheme),
            ("file:///etc/passwd", AddressError::Scheme),
            ("example.org", AddressError::Scheme),
            ("https://me:secret@example.org/", AddressError::User),
            ("https:///a", AddressError::Malformed),
            ("https://example.org:x/", AddressError::Malformed),
            ("https://[::1/", AddressError::Malformed),
            ("https://exa mple.org/", AddressError::Malformed),
            ("http://example.org/a\r\nX: y", AddressError::Malformed),
            ("http://example.org/a b", AddressError::Malformed),
        ] {
            assert_eq!(text.parse::<Address>(), Err(expect), "{text}");
        }
    }

    // DM13
    #[test]
    fn a_redirect_is_followed_where_it_is_no_worse() {
        let from: Address = "https://example.org/a/b?c".parse().unwrap();
        for (location, expect) in [
            ("https://other.org/x", "https other.org 443 /x"),
            ("//other.org/x", "https other.org 443 /x"),
            ("/x?https://y", "https example.org 443 /x?https://y"),
            ("x", "https example.org 443 /a/x"),
        ] {
            assert_eq!(from.join(location).as_ref().map(shown).as_deref(), Ok(expect), "{location}");
        }
        for (location, expect) in [
            ("http://example.org/x", AddressError::Downgrade),
            ("ftp://example.org/x", AddressError::Scheme),
            ("/a b", AddressError::Malformed),
            ("https://a@b/", AddressError::User),
        ] {
            assert_eq!(from.join(location), Err(expect), "{location}");
        }
        assert_eq!(format!("{from:?}"), "example.org");
    }
}
