//! Whether a container that was just started works: what its health check says; without one, that it runs on without
//! a restart, or has done its work and ended.

use std::time::Duration;

use serde_json::Value;

use super::blueprint::text;

/// How long one without a health check has to run.
const STABLE: Duration = Duration::from_secs(10);
/// How long it is waited for a health check beyond what it needs by itself, and at most.
const MORE: Duration = Duration::from_secs(30);
const MOST: Duration = Duration::from_secs(10 * 60);
/// The longest patience that can be asked for.
const PATIENCE: u32 = 60 * 60;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again.
    Wait,
    Good,
    /// It does not work, for this reason.
    Bad(String),
}

/// A container that is watched.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    since: Duration,
    patience: Option<Duration>,
    /// When it was started, in the engine's words, as it was first seen.
    started: Option<Box<str>>,
}

impl Watch {
    /// One that was started at `mono`; `patience` in seconds.
    pub(super) fn new(patience: Option<u32>, mono: Duration) -> Self {
        let patience = patience.map(|seconds| Duration::from_secs(seconds.min(PATIENCE).into()));
        Self { since: mono, patience, started: None }
    }

    /// The engine does not tell.
    pub(super) fn unseen(&self, why: &str, mono: Duration) -> Verdict {
        let patience = self.patience.unwrap_or(MOST);
        if mono < self.since + patience { Verdict::Wait } else { Verdict::Bad(why.to_owned()) }
    }

    /// What an inspect of it says.
    pub(super) fn judge(&mut self, document: &Value, mono: Duration) -> Verdict {
        let state = &document["State"];
        let code = &state["ExitCode"];
        let policy = text(&document["HostConfig"]["RestartPolicy"]["Name"]);
        let bad = |why: String| Verdict::Bad(why);
        if document.is_null() {
            return bad("it ended, and the engine removed it".to_owned());
        }
        let started = text(&state["StartedAt"]);
        let first = self.started.get_or_insert_with(|| started.into());
        if state["Restarting"] == true || document["RestartCount"].as_i64() > Some(0) || **first != *started {
            return bad(format!("it ends again and again, with {code}"));
        }
        if state["Paused"] == true {
            return self.unseen("it is paused", mono);
        }
        if state["Running"] != true {
            let once = matches!(policy, "" | "no" | "on-failure") && *code == 0 && state["Dead"] != true;
            return if once { Verdict::Good } else { bad(format!("it ended with {code}")) };
        }
        let waited = mono.saturating_sub(self.since);
        match text(&state["Health"]["Status"]) {
            "healthy" => Verdict::Good,
            "unhealthy" => bad("it is unhealthy".to_owned()),
            "starting" => {
                let patience = self.patience.unwrap_or_else(|| usual(&document["Config"]["Healthcheck"]));
                if waited < patience {
                    return Verdict::Wait;
                }
                bad(format!("it was not healthy within {} s", patience.as_secs()))
            }
            _ if waited >= STABLE => Verdict::Good,
            _ => Verdict::Wait,
        }
    }
}

/// How long a health check may take until it has decided.
fn usual(check: &Value) -> Duration {
    let time = |field: &str, default: u64| {
        let set = check[field].as_u64().filter(|nanoseconds| *nanoseconds > 0);
        set.map_or(Duration::from_secs(default), Duration::from_nanos)
    };
    let retries = check["Retries"].as_u64().filter(|retries| *retries > 0).unwrap_or(3);
    let rounds = u32::try_from(retries.saturating_add(1)).unwrap_or(u32::MAX);
    let round = time("Interval", 30).saturating_add(time("Timeout", 30));
    time("StartPeriod", 0).saturating_add(round.saturating_mul(rounds)).saturating_add(MORE).min(MOST)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    // DM10
    #[test]
    fn what_is_seen_says_whether_it_works() {
        let running = |more: Value| {
            let mut state = json!({ "Running": true, "StartedAt": "1", "ExitCode": 0 });
            state.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            json!({ "State": state, "RestartCount": 0 })
        };
        let ended = |code: i64, policy: &str| {
            let state = json!({ "Running": false, "StartedAt": "1", "ExitCode": code });
            json!({ "State": state, "RestartCount": 0, "HostConfig": { "RestartPolicy": { "Name": policy } } })
        };
        let health = |word: &str| running(json!({ "Health": { "Status": word } }));
        let table = [
            (health("healthy"), 1, "good"),
            (health("unhealthy"), 1, "it is unhealthy"),
            (health("starting"), 269, "wait"),
            (health("starting"), 270, "it was not healthy within 270 s"),
            (running(json!({})), 9, "wait"),
            (running(json!({})), 10, "good"),
            (health("none"), 10, "good"),
            (running(json!({ "Paused": true })), 10, "wait"),
            (running(json!({ "Restarting": true, "ExitCode": 3 })), 1, "it ends again and again, with 3"),
            (ended(0, "no"), 1, "good"),
            (ended(0, ""), 1, "good"),
            (ended(0, "on-failure"), 1, "good"),
            (ended(0, "always"), 1, "it ended with 0"),
            (ended(1, "no"), 1, "it ended with 1"),
            (Value::Null, 1, "it ended, and the engine removed it"),
        ];
        for (document, seconds, expect) in table {
            let found = match Watch::new(None, at(100)).judge(&document, at(100 + seconds)) {
                Verdict::Wait => "wait".to_owned(),
                Verdict::Good => "good".to_owned(),
                Verdict::Bad(why) => why,
            };
            assert_eq!(found, expect, "{document} after {seconds} s");
        }
    }

    // DM10
    #[test]
    fn one_that_was_started_again_meanwhile_does_not_work() {
        let seen = |started: &str, count: i64| json!({ "State": { "Running": true, "StartedAt": started, "ExitCode": 1 }, "RestartCount": count });
        let mut watch = Watch::new(None, at(0));
        assert_eq!(watch.judge(&seen("1", 0), at(1)), Verdict::Wait);
        assert!(matches!(watch.judge(&seen("2", 0), at(11)), Verdict::Bad(_)));
        assert!(matches!(Watch::new(None, at(0)).judge(&seen("1", 1), at(1)), Verdict::Bad(_)));
    }

    // DM10
    #[test]
    fn patience_is_the_checks_own_unless_it_is_asked_for() {
        let second = 1_000_000_000_u64;
        let check = json!({ "Interval": second, "Timeout": 2 * second, "Retries": 2, "StartPeriod": 5 * second });
        assert_eq!(usual(&check), at(5 + 3 * 3 + 30));
        assert_eq!(usual(&Value::Null), at(270));
        assert_eq!(usual(&json!({ "Interval": u64::MAX, "Retries": u64::MAX })), MOST);
        let starting = json!({ "State": { "Running": true, "Health": { "Status": "starting" } } });
        let mut watch = Watch::new(Some(5), at(0));
        assert_eq!(watch.judge(&starting, at(4)), Verdict::Wait);
        assert!(matches!(watch.judge(&starting, at(5)), Verdict::Bad(_)));
        assert!(matches!(watch.unseen("away", at(5)), Verdict::Bad(_)));
    }
}
