//! Has agents do things, a few at a time, and tells how each ended.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::act::Act;
use super::arguments::Acting;
use super::bars::Bars;
use super::client::Client;
use super::ending::{End, Ending, News, Progress};
use super::exit::Exit;
use super::failure::Failure;
use super::following::follow;
use super::order::Verb;
use super::screen::Screen;
use super::show::stores;
use crate::text::lines;

/// How many are asked for at a time.
const BESIDE: usize = 8;
/// How long a command is worth something, unless told otherwise.
pub(super) const VALID: Duration = Duration::from_secs(60);

/// Has it all done.
pub(super) async fn perform(
    client: &Client,
    acts: Vec<Act>,
    acting: &Acting,
    screen: &mut Screen<'_>,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let valid = acting.valid.map(|valid| valid.0);
    let acts: Vec<_> = acts
        .into_iter()
        .map(|act| {
            let takes_it = act.order.verb == Verb::Post;
            let order = act.order.clone().given("valid", valid.filter(|_| takes_it).map(|valid| valid.as_secs()));
            Act { order: if takes_it { order } else { act.order }, ..act }
        })
        .collect();
    let work = async {
        let mut exits = Vec::new();
        let mut ends = futures_util::stream::iter(&acts)
            .map(async |act| {
                let wait = !acting.no_wait && !act.long;
                let order = act.order.clone().asking("wait", wait);
                (act, client.act(&order, valid.unwrap_or(VALID)).await)
            })
            .buffered(BESIDE);
        while let Some((act, answer)) = ends.next().await {
            let ended = match answer {
                Err(failure) => Err(failure),
                Ok(answer) => {
                    let jti = answer.command.clone();
                    match jti.as_deref() {
                        _ if answer.status != 202 => Ok(Some((jti, Ending::of(&answer)))),
                        None => Err(Failure::Open("the bridge does not say which command it became".to_owned())),
                        Some(command) if acting.no_wait => {
                            issued(act, command, screen)?;
                            Ok(None)
                        }
                        Some(command) => {
                            let ending = watch(client, act, command, screen).await;
                            ending.map(|ending| Some((jti, ending)))
                        }
                    }
                }
            };
            exits.push(match ended {
                Ok(None) => Exit::Done,
                Ok(Some((jti, ending))) => tell(act, jti.as_deref(), &ending, screen)?,
                Err(failure) => fail(act, failure, screen)?,
            });
        }
        Ok(Exit::of_all(exits))
    };
    match stop.run_until_cancelled(work).await {
        Some(result) => result,
        None => Err(left()),
    }
}

/// What Ctrl-C means for what is under way.
pub(super) fn left() -> Failure {
    Failure::Open(
        "not waiting any longer; what is under way goes on at the agents: `radar audit` shows it, `radar command` follows it"
            .to_owned(),
    )
}

/// Follows something that takes its time.
async fn watch(client: &Client, act: &Act, jti: &str, screen: &mut Screen<'_>) -> Result<Ending, Failure> {
    let mut bars = Bars::on(screen);
    let ending = follow(client, jti, |news| progress(&act.name, jti, news, &mut bars, screen)).await;
    bars.end(&act.name);
    ending
}

/// Shows how far a command is.
pub(super) fn progress(
    name: &str,
    jti: &str,
    news: &News,
    bars: &mut Bars,
    screen: &mut Screen<'_>,
) -> Result<(), Failure> {
    if news.ending().is_some() {
        return Ok(());
    }
    if screen.json {
        let (state, result) = (&news.state, &news.result);
        return screen.json(&json!({ "target": name, "command": jti, "state": state, "result": result }));
    }
    if let Some(progress) = Progress::of(news) {
        bars.step(name, &progress, screen);
    }
    Ok(())
}

fn issued(act: &Act, jti: &str, screen: &mut Screen<'_>) -> Result<(), Failure> {
    if screen.json {
        return screen.json(&json!({ "target": act.name, "command": jti, "state": "issued" }));
    }
    screen.print(&format!("{}: command {}\n", act.name, lines(jti)))
}

fn tell(act: &Act, jti: Option<&str>, ending: &Ending, screen: &mut Screen<'_>) -> Result<Exit, Failure> {
    if screen.json {
        screen.json(&line(&act.name, jti, ending.state(), ending.reason.as_deref(), &ending.result))?;
    }
    let reason = ending.reason.as_deref().map(lines).unwrap_or_default();
    match ending.end {
        _ if screen.json => {}
        End::Succeeded => {
            let brought = stores::brought(&ending.result);
            let brought = if brought.is_empty() { String::new() } else { format!(", {brought}") };
            screen.print(&format!("{}: done{brought}\n", act.name))?;
        }
        End::Unchanged => screen.print(&format!("{}: unchanged, it was so already\n", act.name))?,
        End::Failed | End::Refused | End::Unknown => {
            screen.note(&format!(
                "{}: {}{}",
                act.name,
                ending.state(),
                if reason.is_empty() { reason } else { format!(": {reason}") }
            ));
        }
    }
    Ok(ending.exit())
}

fn fail(act: &Act, failure: Failure, screen: &mut Screen<'_>) -> Result<Exit, Failure> {
    // One bridge for all: without it there is nothing more to say of the others.
    if matches!(failure, Failure::Output(_) | Failure::Unreachable { .. } | Failure::Usage(_)) {
        return Err(failure);
    }
    if screen.json {
        let (command, code) = match &failure {
            Failure::Problem(problem) => (problem.command.as_deref(), Some(problem.code.as_str())),
            _ => (None, None),
        };
        let state = if failure.exit() == Exit::Unknown { "unknown" } else { "failed" };
        let mut line = line(&act.name, command, state, Some(&failure.to_string()), &Value::Null);
        line["code"] = code.into();
        screen.json(&line)?;
    } else {
        screen.note(&lines(&format!("{}: {failure}", act.name)));
    }
    Ok(failure.exit())
}

fn line(name: &str, jti: Option<&str>, state: &str, reason: Option<&str>, result: &Value) -> Value {
    json!({ "target": name, "command": jti, "state": state, "reason": reason, "result": result })
}
