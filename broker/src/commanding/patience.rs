//! How long the last word of an agent that has taken a command is waited for.

use std::time::Duration;

use radar_wire::command::Command;

/// How long after the last sign of life of an agent that is at long work (a pull, a log) its last word is waited for. A
/// container may have 10 min to become healthy, about which nothing is told.
pub(super) const LONG: Duration = Duration::from_secs(15 * 60);
/// What an agent needs beyond the time that a container has for its end: a step of its own, and the way.
const STEP: Duration = Duration::from_secs(90);
/// The same, beyond the time that a container has to become healthy: those steps that tell nothing.
const STEPS: Duration = Duration::from_secs(5 * 60);
/// The longest time of a command's own that is waited for; agents cut a patience to it.
const MOST: Duration = Duration::from_secs(60 * 60);

/// How long an agent may be silent while it is at a command; none for what it does at once, for which a while after
/// the command's time is enough. A container's own time for its end is not known here.
pub(crate) fn silence(command: &Command) -> Option<Duration> {
    let own = |seconds: u32| Duration::from_secs(seconds.into()).min(MOST);
    match command {
        Command::Stop { timeout, .. } | Command::Restart { timeout, .. } => timeout.map(|seconds| own(seconds) + STEP),
        Command::Update { patience: Some(seconds), .. } => Some((own(*seconds) + STEPS).max(LONG)),
        Command::Logs { .. }
        | Command::Stats { .. }
        | Command::Pull { .. }
        | Command::Prune { .. }
        | Command::RemoveImage { .. }
        | Command::Update { .. }
        | Command::SelfUpdate { .. } => Some(LONG),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // DM4, DM10, E5
    #[test]
    fn a_command_is_waited_for_by_its_own_time_and_never_for_ever() {
        let stop = |timeout| Command::Stop { container: "web".into(), timeout };
        let restart = |timeout| Command::Restart { container: "web".into(), timeout };
        let update = |patience| Command::Update { container: "web".into(), image: None, dry_run: false, patience };
        for (command, expected) in [
            (stop(None), None),
            (stop(Some(300)), Some(390)),
            (restart(Some(300)), Some(390)),
            (restart(Some(u32::MAX)), Some(3690)),
            (update(None), Some(900)),
            (update(Some(60)), Some(900)),
            (update(Some(1800)), Some(2100)),
            (update(Some(u32::MAX)), Some(3900)),
            (Command::Pull { image: "web".into() }, Some(900)),
            (Command::Start { container: "web".into() }, None),
        ] {
            assert_eq!(silence(&command).map(|silence| silence.as_secs()), expected, "{command:?}");
        }
    }
}
