//! What others may do on this host: the operator's list of actions and groups, narrowed by a container's labels.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use radar_wire::allow::{self, UnknownWord};
use serde::Deserialize;

/// Only these words may be done on a container that has this label.
const ALLOW: &str = "radar.allow";
/// These may not.
const DENY: &str = "radar.deny";
/// A container that has this label, with whatever value but `false`, is neither stopped nor removed nor renamed.
const PROTECT: &str = "radar.protect";

/// What may be done.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Policy {
    words: BTreeSet<Box<str>>,
    actions: BTreeSet<&'static str>,
}

impl Policy {
    /// The words as they were given, for the status.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|word| &**word)
    }

    /// The actions that may be done.
    pub(super) fn actions(&self) -> impl Iterator<Item = &'static str> {
        self.actions.iter().copied()
    }

    /// Whether an action may be done, on a container with these labels if it is about one.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, action: &str, labels: Option<&BTreeMap<Box<str>, Box<str>>>) -> Result<(), String> {
        if !self.actions.contains(action) {
            return Err(format!("{action} is not in AGENT_ALLOW"));
        }
        labels.map_or(Ok(()), |labels| narrowed(action, labels))
    }
}

/// Whether a container's labels leave this to be done, where the operator allows it.
pub(in super::super) fn narrowed(action: &str, labels: &BTreeMap<Box<str>, Box<str>>) -> Result<(), String> {
    if let Some(allowed) = labels.get(ALLOW)
        && !actions_of(allowed).contains(action)
    {
        return Err(format!("the container's label {ALLOW} leaves {action} out"));
    }
    match labels.get(DENY) {
        Some(denied) if actions_of(denied).contains(action) => {
            Err(format!("the container's label {DENY} has {action}"))
        }
        _ => Ok(()),
    }
}

/// Whether a container's labels protect it.
pub(in crate::agent) fn is_protected(labels: &BTreeMap<Box<str>, Box<str>>) -> bool {
    labels.get(PROTECT).is_some_and(|value| !value.trim().eq_ignore_ascii_case("false"))
}

/// What a protected container is protected from.
pub(super) fn harms(action: &str) -> bool {
    ["stop", "restart", "kill", "pause", "rename", "remove", "update"].contains(&action)
}

/// What changes nothing, so that it can be asked for again.
pub(super) fn only_reads(action: &str) -> bool {
    allow::actions("observe").is_ok_and(|actions| actions.contains(&action))
}

/// The actions that a label names; a word that is none is passed over.
fn actions_of(list: &str) -> BTreeSet<&'static str> {
    allow::words(list).filter_map(|word| allow::actions(word).ok()).flatten().collect()
}

impl Default for Policy {
    /// To look is allowed, and nothing else.
    fn default() -> Self {
        Self { words: BTreeSet::from(["observe".into()]), actions: actions_of("observe") }
    }
}

impl FromStr for Policy {
    type Err = UnknownWord;

    fn from_str(list: &str) -> Result<Self, UnknownWord> {
        let (mut words, mut actions) = (BTreeSet::new(), BTreeSet::new());
        for word in allow::words(list) {
            actions.extend(allow::actions(word)?);
            words.insert(word.into());
        }
        Ok(Self { words, actions })
    }
}

impl TryFrom<String> for Policy {
    type Error = UnknownWord;

    fn try_from(list: String) -> Result<Self, UnknownWord> {
        list.parse()
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<Box<str>, Box<str>> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    // E7
    #[test]
    fn to_look_is_all_that_is_allowed_unless_the_operator_says_more() {
        let policy = Policy::default();
        assert_eq!(policy.to_string(), "observe");
        for action in ["inspect", "top", "images"] {
            assert_eq!(policy.check(action, None), Ok(()), "{action}");
        }
        for action in ["start", "stop", "remove", "unknown", "all", "observe", ""] {
            assert!(policy.check(action, None).is_err(), "{action}");
        }
    }

    // E7
    #[test]
    fn lists_have_actions_and_groups_and_nothing_else() {
        let policy: Policy = "operate, remove".parse().unwrap();
        for (action, allowed) in [("start", true), ("kill", true), ("remove", true), ("rename", false), ("top", false)]
        {
            assert_eq!(policy.check(action, None).is_ok(), allowed, "{action}");
        }
        assert!("all".parse::<Policy>().unwrap().check("rename", None).is_ok());
        assert!("".parse::<Policy>().unwrap().check("inspect", None).is_err());
        assert_eq!("operate,fly".parse::<Policy>(), Err(UnknownWord("fly".to_owned())));
    }

    // E7
    #[test]
    fn labels_narrow_what_is_allowed_and_never_widen_it() {
        let policy: Policy = "operate".parse().unwrap();
        for (pairs, action, allowed) in [
            (&[][..], "restart", true),
            (&[("radar.allow", "restart")], "restart", true),
            (&[("radar.allow", "restart")], "stop", false),
            (&[("radar.allow", "manage,all")], "remove", false),
            (&[("radar.allow", "")], "restart", false),
            (&[("radar.allow", "nonsense")], "restart", false),
            (&[("radar.deny", "operate")], "restart", false),
            (&[("radar.deny", "stop")], "restart", true),
            (&[("radar.allow", "all"), ("radar.deny", "restart")], "restart", false),
        ] {
            assert_eq!(policy.check(action, Some(&labels(pairs))).is_ok(), allowed, "{pairs:?} {action}");
        }
    }

    // DM20
    #[test]
    fn protection_is_a_label_and_holds_against_what_ends_a_container() {
        for (value, protected) in [("", true), ("true", true), ("yes", true), ("false", false), ("False", false)] {
            assert_eq!(is_protected(&labels(&[("radar.protect", value)])), protected, "{value}");
        }
        assert!(!is_protected(&labels(&[])));
        assert!(harms("stop") && harms("remove") && !harms("start") && !harms("inspect"));
    }
}
