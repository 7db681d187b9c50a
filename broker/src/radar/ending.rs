//! How a command goes, and how it ended. Pure.

use serde::Deserialize;
use serde_json::Value;

use super::client::Answer;
use super::exit::Exit;

/// What is told of a command while it goes on, and at its end.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct News {
    pub state: String,
    pub reason: Option<String>,
    pub result: Option<Value>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    pub end: End,
    pub reason: Option<String>,
    pub result: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Succeeded,
    /// It was so already.
    Unchanged,
    Failed,
    Refused,
    Unknown,
}

impl News {
    /// How it ended, if it has.
    pub(super) fn ending(&self) -> Option<Ending> {
        let is_unchanged = self.reason.as_deref().is_some_and(|reason| word(reason) == "unchanged");
        let end = match self.state.as_str() {
            "succeeded" if is_unchanged => End::Unchanged,
            "succeeded" => End::Succeeded,
            "failed" => End::Failed,
            "refused" => End::Refused,
            "unknown" => End::Unknown,
            _ => return None,
        };
        Some(Ending { end, reason: self.reason.clone(), result: self.result.clone().unwrap_or_default() })
    }
}

impl Ending {
    /// Of an answer that waited for the end; what did not succeed is no answer but a failure.
    pub(super) fn of(answer: &Answer) -> Self {
        let text = |name: &str| answer.body.get(name).and_then(Value::as_str).map(str::to_owned);
        let end = if answer.status == 304 { End::Unchanged } else { End::Succeeded };
        Self { end, reason: text("reason"), result: answer.body.get("result").cloned().unwrap_or_default() }
    }

    /// The exit code.
    pub(super) fn exit(&self) -> Exit {
        let by_word = || Exit::of_word(self.word());
        match self.end {
            End::Succeeded | End::Unchanged => Exit::Done,
            End::Failed => by_word().unwrap_or(Exit::Failed),
            End::Refused => by_word().unwrap_or(Exit::Refused),
            End::Unknown => Exit::Unknown,
        }
    }

    /// The word that the reason begins with.
    pub(super) fn word(&self) -> &str {
        self.reason.as_deref().map_or("", word)
    }

    /// Its state, in a word.
    pub(super) fn state(&self) -> &'static str {
        match self.end {
            End::Succeeded => "succeeded",
            End::Unchanged => "unchanged",
            End::Failed => "failed",
            End::Refused => "refused",
            End::Unknown => "unknown",
        }
    }
}

fn word(reason: &str) -> &str {
    reason.split_once(':').map_or(reason, |(word, _)| word)
}

/// How far something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    pub position: u64,
    pub length: u64,
    /// What is done, for people.
    pub text: String,
}

impl Progress {
    /// What the progress of a command says: steps of an update, or layers of an image.
    pub(super) fn of(news: &News) -> Option<Self> {
        let result = news.result.as_ref()?;
        let number = |name: &str| result.get(name).and_then(Value::as_u64);
        if let (Some(step), Some(of)) = (number("step"), number("of")) {
            let what = result.get("what").and_then(Value::as_str).unwrap_or_default();
            let text = format!("{step}/{of} {}", crate::text::plain(what));
            return Some(Self { position: step.saturating_sub(1), length: of, text });
        }
        // Before it is known how many there are, nothing is known.
        let (layers, done) = (number("layers").filter(|layers| *layers > 0)?, number("done")?);
        let text = format!("{done} of {layers} layers");
        Some(match (number("current"), number("total")) {
            (Some(current), Some(total @ 1..)) => Self { position: current.min(total), length: total, text },
            _ => Self { position: done, length: layers, text },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn news(state: &str, reason: Option<&str>) -> News {
        News { state: state.to_owned(), reason: reason.map(str::to_owned), result: None }
    }

    // PS3
    #[test]
    fn an_outcome_is_an_exit_code() {
        for (state, reason, end, exit) in [
            ("succeeded", None, End::Succeeded, Exit::Done),
            ("succeeded", Some("unchanged: it was so already"), End::Unchanged, Exit::Done),
            ("failed", Some("not-found: no container is called web"), End::Failed, Exit::NotFound),
            ("failed", Some("conflict: the name is taken"), End::Failed, Exit::Failed),
            ("failed", Some("timed-out: the engine did not answer"), End::Failed, Exit::Unknown),
            ("failed", Some("rolled-back: unhealthy"), End::Failed, Exit::Failed),
            ("failed", None, End::Failed, Exit::Failed),
            ("refused", Some("policy: stop is not in AGENT_ALLOW"), End::Refused, Exit::Refused),
            ("refused", Some("not-found: no container is called web"), End::Refused, Exit::NotFound),
            ("refused", Some("something new"), End::Refused, Exit::Refused),
            ("unknown", Some("no outcome came"), End::Unknown, Exit::Unknown),
        ] {
            let ending = news(state, reason).ending().unwrap();
            assert_eq!((ending.end, ending.exit()), (end, exit), "{state} {reason:?}");
        }
        for state in ["issued", "accepted", "progress", "a later word"] {
            assert_eq!(news(state, None).ending(), None, "{state}");
        }
    }

    // DM12
    #[test]
    fn progress_is_steps_or_layers() {
        for (result, expect) in [
            (json!({"step": 3, "of": 9, "what": "stop\u{1b} web"}), Some((2, 9, "3/9 stop\u{fffd} web"))),
            (json!({"layers": 5, "done": 2, "current": 10, "total": 40}), Some((10, 40, "2 of 5 layers"))),
            (json!({"layers": 5, "done": 2, "current": 50, "total": 40}), Some((40, 40, "2 of 5 layers"))),
            (json!({"layers": 5, "done": 2, "current": 0, "total": 0}), Some((2, 5, "2 of 5 layers"))),
            (json!({"layers": 0, "done": 0, "current": 0, "total": 0}), None),
            (json!({"something": 1}), None),
        ] {
            let news = News { result: Some(result.clone()), ..news("progress", None) };
            let got = Progress::of(&news);
            let got = got.as_ref().map(|it| (it.position, it.length, it.text.as_str()));
            assert_eq!(got, expect, "{result}");
        }
    }
}
