//! Shows what a container writes: its standard output on ours, its standard error on ours, to the log's own end.

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::arguments::Logs;
use super::client::{Client, Listening};
use super::ending::News;
use super::escape::Escape;
use super::exit::Exit;
use super::failure::Failure;
use super::order::Order;
use super::screen::Screen;
use crate::text::plain;
use crate::when::Since;

/// A piece, as it comes.
#[derive(Debug, Default, Deserialize, serde::Serialize)]
#[serde(default)]
struct Piece {
    stream: String,
    text: String,
}

/// How a log ends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct End {
    reason: Option<String>,
    state: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Notice {
    lost: u64,
}

/// The question for these arguments.
pub(super) fn order(logs: &Logs) -> Order {
    Order::of_agent(&logs.target.agent, ["containers", &logs.target.container, "logs"])
        .maybe("tail", logs.tail)
        .maybe("since", logs.since.map(moment))
        .maybe("until", logs.until.map(moment))
        .maybe("timestamps", logs.timestamps.then_some(true))
        .maybe("follow", logs.follow.then_some(true))
        .maybe("stream", logs.stdout.then_some("stdout").or(logs.stderr.then_some("stderr")))
}

/// A time as the bridge reads it. A duration is sent as such: the bridge's clock counts, not this host's.
pub(super) fn moment(since: Since) -> String {
    match since {
        Since::Time(at) => at.to_string(),
        Since::Ago(span) if span.subsec_millis() == 0 => format!("{}s", span.as_secs()),
        Since::Ago(span) => format!("{}ms", span.as_millis()),
    }
}

/// Shows it.
pub(super) async fn show(
    client: &Client,
    logs: &Logs,
    screen: &mut Screen<'_>,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let mut view = View::new(logs.raw, screen);
    let result = match stop.run_until_cancelled(until_end(client, logs, &mut view, screen)).await {
        Some(result) => result,
        // Who has seen enough of what goes on is done; of what ends by itself something is missing.
        None if logs.follow => Ok(Exit::Done),
        None => Err(Failure::Cut("the log was not read to its end".to_owned())),
    };
    view.finish(screen)?;
    result
}

async fn until_end(client: &Client, logs: &Logs, view: &mut View, screen: &mut Screen<'_>) -> Result<Exit, Failure> {
    let mut stream = client.listen(&order(logs)).await?;
    match read(&mut stream, view, screen).await? {
        Some(end) => judge(&end),
        None => Err(Failure::Cut("the log was cut: the bridge ended it".to_owned())),
    }
}

async fn read(stream: &mut Listening, view: &mut View, screen: &mut Screen<'_>) -> Result<Option<End>, Failure> {
    loop {
        let event = match stream.next().await {
            Ok(None) => return Ok(None),
            Ok(Some(event)) => event,
            Err(Failure::Lost(why)) => return Err(Failure::Cut(format!("the log was cut: {why}"))),
            Err(failure) => return Err(failure),
        };
        match event.name.as_str() {
            "log" => view.print(&parse(&event.data)?, screen)?,
            "notice" => {
                let Notice { lost } = parse(&event.data)?;
                screen.note(&format!("{lost} parts of the log were lost on their way"));
            }
            "end" => return Ok(Some(parse(&event.data)?)),
            _ => {}
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, Failure> {
    let foreign = |error| Failure::Cut(format!("the bridge sends something else than a log: {error}"));
    serde_json::from_str(data).map_err(foreign)
}

/// What the end means: the log's own, or one before its time.
fn judge(end: &End) -> Result<Exit, Failure> {
    let reason = end.reason.as_deref().unwrap_or_default();
    if reason == "end" {
        return Ok(Exit::Done);
    }
    let news = News { state: end.state.clone().unwrap_or_default(), reason: end.reason.clone(), result: None };
    let shown = plain(reason);
    match news.ending() {
        Some(ending) if ending.exit() == Exit::NotFound => Err(Failure::NotFound(shown)),
        Some(ending) if ending.exit() == Exit::Refused => Err(Failure::Usage(shown)),
        _ => Err(Failure::Cut(format!("the log was cut: {shown}{}", advice(reason)))),
    }
}

fn advice(reason: &str) -> &'static str {
    match reason {
        "cancelled" => ": somebody asked the agent to end it",
        "firehose" => ": it writes more than can be followed; look at parts of it with --since, --until and --tail",
        "hour" => ": following ends after an hour; go on with --since",
        "link lost" => ": the agent, or the bridge, lost the broker",
        _ => "",
    }
}

/// Where pieces go, and in which form.
struct View {
    /// For each of the two, unless it is passed as it is.
    out: Option<Escape>,
    err: Option<Escape>,
}

impl View {
    fn new(raw: bool, screen: &Screen<'_>) -> Self {
        let escape = |terminal: bool| (terminal && !raw).then(Escape::default);
        Self { out: escape(screen.terminal.out), err: escape(screen.terminal.err) }
    }

    fn print(&mut self, piece: &Piece, screen: &mut Screen<'_>) -> Result<(), Failure> {
        if screen.json {
            return screen.json(piece);
        }
        let (escape, to) =
            if piece.stream == "stderr" { (&mut self.err, &mut screen.err) } else { (&mut self.out, &mut screen.out) };
        match escape {
            Some(escape) => to.write_all(escape.feed(&piece.text).as_bytes())?,
            None => to.write_all(piece.text.as_bytes())?,
        }
        Ok(to.flush()?)
    }

    fn finish(&mut self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        for (escape, to) in [(&mut self.out, &mut screen.out), (&mut self.err, &mut screen.err)] {
            if let Some(escape) = escape {
                to.write_all(escape.finish().as_bytes())?;
                to.flush()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // DM5
    #[test]
    fn the_end_says_whether_the_log_is_whole() {
        for (reason, state, exit) in [
            ("end", "succeeded", Exit::Done),
            ("cancelled", "succeeded", Exit::Failed),
            ("limit", "succeeded", Exit::Failed),
            ("firehose", "succeeded", Exit::Failed),
            ("hour", "succeeded", Exit::Failed),
            ("link lost", "failed", Exit::Failed),
            ("engine: it is gone", "failed", Exit::Failed),
            ("not-found: no container is called web", "failed", Exit::NotFound),
            ("policy: logs is not in AGENT_ALLOW", "refused", Exit::Refused),
            ("", "", Exit::Failed),
        ] {
            let end = End { reason: Some(reason.to_owned()), state: Some(state.to_owned()) };
            let got = judge(&end).unwrap_or_else(|failure| failure.exit());
            assert_eq!(got, exit, "{reason}");
        }
    }

    #[test]
    fn a_duration_is_the_bridges_to_count() {
        use std::time::Duration;
        assert_eq!(moment(Since::Time(5)), "5");
        assert_eq!(moment(Since::Ago(Duration::from_secs(7200))), "7200s");
        assert_eq!(moment(Since::Ago(Duration::from_millis(1500))), "1500ms");
    }
}
