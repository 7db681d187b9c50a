//! Follows a command until it has ended, also over a bridge that is started again meanwhile: the bridge keeps what an
//! agent tells, so what is missed here is told at the next question.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::acting::left;
use super::client::{Client, Listening};
use super::ending::{Ending, News, Progress};
use super::exit::Exit;
use super::failure::Failure;
use super::order::Order;
use super::screen::Screen;
use super::show::history;
use crate::text::{lines, plain, pretty};

/// For how long a bridge may be away.
const AWAY: Duration = Duration::from_secs(300);
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);

/// How long to wait before the next attempt. Pure.
#[derive(Debug, Clone, Copy)]
struct Attempts {
    next: Duration,
    waited: Duration,
}

impl Attempts {
    const fn new() -> Self {
        Self { next: FIRST, waited: Duration::ZERO }
    }

    /// `None` when it has been long enough.
    fn pause(&mut self) -> Option<Duration> {
        if self.waited >= AWAY {
            return None;
        }
        let pause = self.next;
        self.waited += pause;
        self.next = (pause * 2).min(LONGEST);
        Some(pause)
    }
}

/// Follows a command; `tell` is given what is new, the end included.
pub(super) async fn follow(
    client: &Client,
    jti: &str,
    mut tell: impl FnMut(&News) -> Result<(), Failure>,
) -> Result<Ending, Failure> {
    let mut attempts = Attempts::new();
    let mut last = None;
    loop {
        let got = match client.listen(&Order::get(["commands", jti, "outcomes"])).await {
            Ok(mut stream) => until_lost(&mut stream, &mut last, &mut attempts, &mut tell).await,
            // As many follow as the bridge has places for: ask now and then.
            Err(failure) if failure.word() == Some("too-many-streams") => {
                attempts = Attempts::new();
                look(client, jti, &mut last, &mut tell).await
            }
            Err(failure) => Err(failure),
        };
        match got {
            Ok(Some(ending)) => return Ok(ending),
            // A bridge that ends, ends its streams; one that begins may not know its agents yet.
            Ok(None) | Err(Failure::Lost(_) | Failure::Unreachable { .. }) => {}
            Err(failure) if failure.word() == Some("bridge-trouble") => {}
            Err(failure) => return Err(failure),
        }
        let Some(pause) = attempts.pause() else {
            let text =
                format!("the bridge tells nothing more of command {jti}; `radar command {jti}` shows how it goes");
            return Err(Failure::Open(text));
        };
        tokio::time::sleep(pause).await;
    }
}

async fn until_lost(
    stream: &mut Listening,
    last: &mut Option<News>,
    attempts: &mut Attempts,
    tell: &mut impl FnMut(&News) -> Result<(), Failure>,
) -> Result<Option<Ending>, Failure> {
    while let Some(event) = stream.next().await? {
        if event.name != "outcome" {
            continue;
        }
        let news: News = serde_json::from_str(&event.data).map_err(|error| Failure::Lost(error.to_string()))?;
        *attempts = Attempts::new();
        if let Some(ending) = take(news, last, tell)? {
            return Ok(Some(ending));
        }
    }
    Ok(None)
}

async fn look(
    client: &Client,
    jti: &str,
    last: &mut Option<News>,
    tell: &mut impl FnMut(&News) -> Result<(), Failure>,
) -> Result<Option<Ending>, Failure> {
    let command = client.read(&Order::get(["commands", jti])).await?;
    let news: News = serde_json::from_value(command).map_err(|error| Failure::Lost(error.to_string()))?;
    take(news, last, tell)
}

/// The present state comes first in every stream, so it may have been told already.
fn take(
    news: News,
    last: &mut Option<News>,
    tell: &mut impl FnMut(&News) -> Result<(), Failure>,
) -> Result<Option<Ending>, Failure> {
    if last.as_ref() != Some(&news) {
        tell(&news)?;
    }
    let ending = news.ending();
    *last = Some(news);
    Ok(ending)
}

/// Shows how a command goes.
pub(super) async fn show(
    client: &Client,
    jti: &str,
    no_wait: bool,
    screen: &mut Screen<'_>,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let work = async {
        let command: Value = client.read(&Order::get(["commands", jti])).await?;
        let news: News = serde_json::from_value(command.clone()).map_err(|error| Failure::Lost(error.to_string()))?;
        if no_wait || news.ending().is_some() {
            if screen.json {
                screen.json(&command)?;
            } else {
                screen.print(&(history::command(&command)? + "\n"))?;
                result_of(&news, screen)?;
            }
            return Ok(news.ending().map_or(Exit::Done, |ending| ending.exit()));
        }
        if !screen.json {
            screen.print(&(history::command(&command)? + "\n"))?;
        }
        let ending = follow(client, jti, |news| {
            if screen.json {
                let News { state, reason, result } = news;
                let line = json!({ "command": jti, "state": state, "reason": reason, "result": result });
                return screen.json(&line);
            }
            let reason = news.reason.as_deref().map(|it| format!(": {}", lines(it))).unwrap_or_default();
            let state = plain(&news.state);
            let step = Progress::of(news).map(|it| format!("  {}", it.text)).unwrap_or_default();
            screen.print(&format!("{state}{reason}{step}\n"))?;
            if news.ending().is_some() { result_of(news, screen) } else { Ok(()) }
        })
        .await?;
        Ok(ending.exit())
    };
    stop.run_until_cancelled(work).await.unwrap_or_else(|| Err(left()))
}

fn result_of(news: &News, screen: &mut Screen<'_>) -> Result<(), Failure> {
    match &news.result {
        None | Some(Value::Null) => Ok(()),
        Some(result) => screen.print(&(pretty(result) + "\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_may_be_away_for_five_minutes() {
        let mut attempts = Attempts::new();
        let pauses: Vec<_> = std::iter::from_fn(|| attempts.pause()).map(|pause| pause.as_secs()).collect();
        assert_eq!(pauses[..6], [1, 2, 4, 8, 15, 15]);
        assert!((300..320).contains(&pauses.iter().sum::<u64>()), "{pauses:?}");
    }
}
