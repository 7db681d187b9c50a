//! What every account may do and what none may, tried one by one: the same table for both ways in which a broker keeps
//! its accounts.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::peer::Peer;

const CHANNELS: [&str; 9] =
    ["status", "snapshot", "event", "enroll", "outcome", "stats", "log/j1", "resend", "command"];
/// Those that an agent publishes.
const AGENTS: &[&str] = &["status", "snapshot", "event", "enroll", "outcome", "stats", "log/j1"];
/// Those that the bridge publishes; the first two to clear them.
const BRIDGES: &[&str] = &["status", "snapshot", "resend", "command"];
/// Where nobody of ours has to write, whatever their role.
const ELSEWHERE: [&str; 10] = [
    "radar",
    "radar/v1/pi",
    "radar/v1/pi/log",
    "radar/v1/pi/log/a/b",
    "radar/v1/pi/other",
    "radar/v2/pi/status",
    "other/v1/pi/status",
    "$SYS/broker/clients/total",
    "$CONTROL/dynamic-security/v1",
    "homeassistant/device/pi/config",
];
/// What gives more than one's own, or what is not to be read back.
const GREEDY: [&str; 14] = [
    "#",
    "+/#",
    "radar/#",
    "radar/v1/#",
    "radar/v1/+/status",
    "radar/v1/attic/#",
    "+/+/attic/+",
    "$SYS/#",
    "$CONTROL/#",
    "$CONTROL/dynamic-security/v1/response",
    "$share/g/#",
    "$share/g/radar/v1/attic/outcome",
    "radar/v1/pi/outcome",
    "radar/v1/+/command",
];

fn topic(agent: &str, channel: &str) -> String {
    format!("radar/v1/{agent}/{channel}")
}

/// Tries all of it with the accounts of the agents `pi` and `attic` and of the bridge. `strict`: the broker refuses
/// subscriptions; Mosquitto's ACL file grants all of them, and gives no message that may not be read.
pub(crate) async fn check(port: u16, pi: &str, attic: &str, bridge: &str, strict: bool) -> Result<()> {
    let mut own = Peer::entered(port, "radar-agent-pi", ("radar-agent-pi", pi)).await?;
    let mut other = Peer::entered(port, "radar-agent-attic", ("radar-agent-attic", attic)).await?;
    let mut bridge = Peer::entered(port, "radar-bridge-radar", ("radar-bridge", bridge)).await?;

    let attics = CHANNELS.iter().map(|channel| topic("attic", channel));
    for filter in GREEDY.iter().map(|filter| (*filter).to_owned()).chain(attics) {
        let granted = own.subscribe(&filter).await?;
        ensure!(!granted || !strict, "an agent's account subscribes to {filter}");
    }
    for channel in BRIDGES {
        ensure!(own.subscribe(&topic("pi", channel)).await?, "an agent's account does not subscribe to {channel}");
    }
    for channel in AGENTS {
        let filter = topic("+", &channel.replace("j1", "+"));
        ensure!(bridge.subscribe(&filter).await?, "the bridge's account does not subscribe to {filter}");
    }
    for filter in ["#", "$SYS/#", "$CONTROL/#", "radar/v1/+/command", "radar/v1/#"] {
        let granted = bridge.subscribe(filter).await?;
        ensure!(!granted || !strict, "the bridge's account subscribes to {filter}");
    }

    for channel in CHANNELS {
        let (may, bridge_may) = (AGENTS.contains(&channel), BRIDGES.contains(&channel));
        // What is retained is cleared again, as a purge does it.
        let payload = if bridge_may { "" } else { "x" };
        let own_tries = [("pi", may), ("attic", false), ("radar-bridge", false)];
        let other_tries = [("pi", false), ("attic", may)];
        for (peer, account, tries) in [
            (&mut own, "pi", &own_tries[..]),
            (&mut other, "attic", &other_tries),
            (&mut bridge, "the bridge", &[("attic", bridge_may)]),
        ] {
            for (agent, expected) in tries {
                let topic = topic(agent, channel);
                ensure!(
                    peer.publish(&topic, payload, false).await? == *expected,
                    "{account} on {topic}: not {expected}"
                );
            }
        }
    }
    for topic in ELSEWHERE {
        for (peer, account) in [(&mut own, "pi"), (&mut bridge, "the bridge")] {
            ensure!(!peer.publish(topic, "{}", false).await?, "{account} on {topic}");
        }
    }

    // All that was sent before has come when these have.
    ensure!(bridge.publish(&topic("pi", "command"), "last", false).await?, "the last command");
    let seen = own.received_until(&topic("pi", "command")).await?;
    let expected: BTreeSet<_> = ["status", "snapshot", "command"].map(|channel| topic("pi", channel)).into();
    ensure!(seen == expected, "an agent's account was given {seen:?}");
    ensure!(other.publish(&topic("attic", "log/last"), "x", false).await?, "the last of a log");
    let seen = bridge.received_until(&topic("attic", "log/last")).await?;
    let of = |agent: &'static str| AGENTS.iter().map(move |channel| topic(agent, channel));
    let expected: BTreeSet<_> = of("pi").chain(of("attic")).chain([topic("attic", "log/last")]).collect();
    ensure!(seen == expected, "the bridge's account was given {seen:?}");
    Ok(())
}
