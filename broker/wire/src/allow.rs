//! What the words stand for that say what others may do on a host: of `AGENT_ALLOW`, of a status's `allows`, and of the
//! labels `radar.allow` and `radar.deny`. Whether something is done is decided by the agent.

/// The groups and what is in them; [`ALL`] is every action there is.
const GROUPS: [(&str, &[&str]); 6] = [
    ("observe", &["inspect", "top", "images", "networks", "volumes", "stats"]),
    ("operate", &["start", "stop", "restart", "kill", "pause", "unpause"]),
    ("logs", &["logs"]),
    (
        "manage",
        &[
            "rename",
            "remove",
            "pull",
            "prune",
            "remove-image",
            "create-network",
            "remove-network",
            "create-volume",
            "remove-volume",
        ],
    ),
    ("update", &["update"]),
    ("self-update", &["self-update"]),
];
const ALL: &str = "all";

/// A word that is neither an action nor a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no action and no group; use observe, operate, logs, manage, update, self-update, all, or actions such as start, restart or inspect"
)]
pub struct UnknownWord(pub String);

/// The words of a list, which commas or blanks separate.
pub fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty())
}

/// The actions of a group, or the action itself.
///
/// # Errors
/// It is neither.
pub fn actions(word: &str) -> Result<Vec<&'static str>, UnknownWord> {
    let all = || GROUPS.iter().flat_map(|(_, actions)| actions.iter().copied());
    if word == ALL {
        return Ok(all().collect());
    }
    let group = GROUPS.iter().find(|(name, _)| *name == word).map(|(_, actions)| actions.to_vec());
    let found = group.or_else(|| all().find(|action| *action == word).map(|action| vec![action]));
    found.ok_or_else(|| UnknownWord(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // E7
    #[test]
    fn a_word_is_a_group_or_an_action_and_nothing_else() {
        assert_eq!(actions("logs"), Ok(vec!["logs"]));
        assert_eq!(actions("restart"), Ok(vec!["restart"]));
        assert_eq!(actions("all").map(|all| all.len()), Ok(GROUPS.iter().map(|(_, actions)| actions.len()).sum()));
        assert_eq!(actions("Operate"), Err(UnknownWord("Operate".to_owned())));
        assert_eq!(words(" operate, remove,,start ").collect::<Vec<_>>(), ["operate", "remove", "start"]);
    }
}
