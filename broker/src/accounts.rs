//! Accounts at the broker: who may do what there, and the forms in which a broker and a host are told. Pure, but for
//! `plugin`, which speaks to Mosquitto's dynamic-security plugin over a session. Nothing here runs in a bridge that
//! serves: making accounts is for the commands, with rights that the bridge itself does not need.
//!
//! An account is named as the client id that its holder uses, and bound to it where the broker can: an account of an
//! agent can then not take over another's session, nor the bridge's. The bridge's own account is not bound, since
//! `purge` works with it beside the bridge.

use radar_link::secret::Secret;
use radar_wire::topic::{AgentId, Prefix};

pub(crate) mod access;
pub(crate) mod acl_file;
pub(crate) mod dynsec;
pub(crate) mod handover;
pub(crate) mod hash;
pub(crate) mod plugin;

/// The account that makes the others.
pub(crate) const ADMIN: &str = "radar-admin";

/// The account of the bridge of a prefix.
pub(crate) fn bridge(prefix: &Prefix) -> String {
    match prefix.as_str() {
        Prefix::DEFAULT => "radar-bridge".to_owned(),
        prefix => format!("radar-bridge@{prefix}"),
    }
}

/// What a display name becomes as an agent's id: what no id may have becomes `-`. `None` when nothing is left of it.
pub(crate) fn id_of(name: &str) -> Option<AgentId> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut id = String::new();
    for c in name.chars() {
        let c = if fits(c) { c } else { '-' };
        if id.len() < 64 && !(c == '-' && id.ends_with('-')) {
            id.push(c);
        }
    }
    let id = id.trim_matches('-');
    if id.bytes().any(|byte| byte.is_ascii_alphanumeric()) { id.parse().ok() } else { None }
}

/// A password from random bytes, in letters and digits alone, so that no form has to quote it.
pub(crate) fn password(bytes: [u8; 24]) -> Secret {
    Secret::new(bytes.iter().fold(String::with_capacity(48), |text, byte| text + &format!("{byte:02x}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    // E8
    #[test]
    fn an_id_is_made_of_what_a_name_has_for_one() {
        for (name, id) in [
            ("pi-kitchen", Some("pi-kitchen")),
            ("Kitchen Pi (old)", Some("Kitchen-Pi-old")),
            ("Küche", Some("K-che")),
            ("a/b#c+d", Some("a-b-c-d")),
            ("../../etc", Some("etc")),
            ("$(reboot)", Some("reboot")),
            ("a__b", Some("a__b")),
            ("厨房", None),
            ("---", None),
            ("", None),
        ] {
            assert_eq!(id_of(name).as_ref().map(AgentId::as_str), id, "{name}");
        }
        assert_eq!(id_of(&"x".repeat(200)).unwrap().as_str().len(), 64);
    }

    // E8
    #[test]
    fn a_password_needs_no_quotes_and_the_bridge_has_an_account_per_prefix() {
        let password =
            password([0, 255, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
        assert_eq!(password.expose(), "00ff10010203040506070809 0a0b0c0d0e0f101112131415".replace(' ', ""));
        let of = |prefix: &str| bridge(&prefix.parse().unwrap());
        assert_eq!(
            (of("radar"), of("radar/site7")),
            ("radar-bridge".to_owned(), "radar-bridge@radar/site7".to_owned())
        );
    }
}
