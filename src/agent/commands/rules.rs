//! Who may ask for what, and when: what the operator has set, and the times of a command.

use radar_link::jws::PublicKey;
use radar_wire::command::Claims;
use radar_wire::container::ContainerId;

use super::super::presence::Abilities;
use super::policy::Policy;
use super::renewal::Releases;

/// How far the bridge's clock and ours may be apart, in seconds.
pub(super) const SKEW: i64 = 30;
/// The longest time for which a command is valid, in seconds.
const LONGEST: i64 = 5 * 60;
/// A host whose clock says less was started without one: the beginning of 2023, in seconds since 1970.
const NO_CLOCK: i64 = 1_672_531_200;

/// What the operator has set.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Who may sign commands; without a key none is taken.
    pub keys: Vec<PublicKey>,
    /// What may be asked for.
    pub policy: Policy,
    /// The container that the agent itself runs in: the beginning of its id.
    pub own: Option<Box<str>>,
    /// What the agent itself may be replaced by.
    pub releases: Releases,
}

impl Rules {
    /// What the status says of it. Without a key, or without a disk to note commands on before they are done, none is
    /// taken.
    #[must_use]
    pub fn abilities(&self, on_disk: bool) -> Abilities {
        let listens = !self.keys.is_empty() && on_disk;
        Abilities::new(self.policy.words().filter(|_| listens).map(Into::into).collect())
    }

    /// The actions that may be asked for.
    pub(crate) fn actions(&self, on_disk: bool) -> Vec<Box<str>> {
        let listens = !self.keys.is_empty() && on_disk;
        self.policy.actions().filter(|_| listens).map(Into::into).collect()
    }

    pub(super) fn is_own(&self, id: &ContainerId) -> bool {
        self.own.as_deref().is_some_and(|own| id.to_string().starts_with(own))
    }
}

/// Whether a command is of now; all in seconds since 1970.
pub(super) fn check_times(claims: &Claims, now: i64) -> Result<(), String> {
    let Claims { iat, exp, .. } = *claims;
    let valid = exp.checked_sub(iat).filter(|valid| (1..=LONGEST).contains(valid));
    if valid.is_none() {
        return Err(format!("validity: a command is valid for 1 to {LONGEST} s"));
    }
    if now < NO_CLOCK {
        return Err("clock: this host's clock is not set, so nobody can tell whether a command is of now".to_owned());
    }
    if iat > now.saturating_add(SKEW) {
        let ahead = iat.saturating_sub(now);
        return Err(format!("clock: it was issued {ahead} s from now by this host's clock; set one of the clocks"));
    }
    if now > exp.saturating_add(SKEW) {
        let ago = now.saturating_sub(exp);
        return Err(format!("expired: it ended to be valid {ago} s ago by this host's clock"));
    }
    Ok(())
}

/// Whether a text names a command.
pub(super) fn is_name(jti: &str) -> bool {
    (1..=64).contains(&jti.len()) && jti.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
