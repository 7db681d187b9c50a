//! Accounts for a Mosquitto without the plugin: lines of its password file and of its ACL file.

use std::fmt::Write as _;

use super::access::Access;
use super::hash::Hashed;

/// A name that the password file cannot hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be in a password file, where a name ends at the first colon: take another MQTT_TOPIC_PREFIX")]
pub(crate) struct ColonError(String);

/// The line of the password file.
pub(crate) fn password_line(account: &str, password: &Hashed) -> Result<String, ColonError> {
    match account.contains(':') {
        true => Err(ColonError(account.to_owned())),
        false => Ok(format!("{account}:{}\n", password.line())),
    }
}

/// The lines of the ACL file. They stand below a `user` line and end with an empty one, so that they can be put at the
/// end of any such file.
pub(crate) fn rules(account: &str, access: &Access) -> String {
    let mut text = format!("user {account}\n");
    let both = |topic: &&String| access.receive.contains(topic);
    let rows = [
        ("readwrite", access.publish.iter().filter(both).collect::<Vec<_>>()),
        ("write", access.publish.iter().filter(|topic| !access.receive.contains(topic)).collect()),
        ("read", access.receive.iter().filter(|topic| !access.publish.contains(topic)).collect()),
    ];
    for (what, topics) in rows {
        for topic in topics {
            let _ = writeln!(text, "topic {what} {topic}");
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use radar_wire::topic::Prefix;

    use super::*;

    // E8
    #[test]
    fn an_agent_has_its_own_topics() {
        let access = Access::agent(&Prefix::default(), &"pi".parse().unwrap());
        let expected = "\
user radar-agent-pi
topic readwrite radar/v1/pi/status
topic readwrite radar/v1/pi/snapshot
topic write radar/v1/pi/event
topic write radar/v1/pi/enroll
topic write radar/v1/pi/outcome
topic write radar/v1/pi/stats
topic write radar/v1/pi/log/+
topic read radar/v1/pi/resend
topic read radar/v1/pi/command

";
        assert_eq!(rules("radar-agent-pi", &access), expected);
    }
}
