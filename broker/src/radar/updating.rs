//! Updates containers, in waves where there are many: which ones, whether it is meant, and then wave by wave.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use radar_wire::allow;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::acting::{VALID, left, progress};
use super::arguments::Update;
use super::bars::Bars;
use super::client::Client;
use super::ending::{Ending, News};
use super::exit::Exit;
use super::failure::Failure;
use super::following::follow;
use super::order::Order;
use super::reading::{containers, fleet, known};
use super::screen::Screen;
use super::show::agents::Agent;
use super::show::containers::Container;
use super::target::Target;
use super::waves::{Effect, Ended, Fate, Item, Rollout};
use crate::text::{columns, lines, plain};

/// Progress that waits to be shown; what finds no room is shown by the one after it.
const QUEUE: usize = 256;

/// How far one of them is.
struct Step {
    name: String,
    jti: String,
    news: News,
}

/// Updates what is meant.
pub(super) async fn update(
    client: &Client,
    update: &Update,
    screen: &mut Screen<'_>,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let asks = update.all && !update.yes && !update.dry_run;
    if asks && !screen.terminal.input {
        return Err(Failure::Usage(
            "update --all asks before it begins, and here is nobody to ask: add --yes".to_owned(),
        ));
    }
    let (targets, without) =
        if update.all { select(client, update).await? } else { (update.targets.clone(), Vec::new()) };
    let mut rollout = Rollout::new(targets, without, update.in_waves_of, update.stop_on_failure);
    if rollout.items().is_empty() {
        return Err(Failure::NotFound("no container fits".to_owned()));
    }
    if update.all && !screen.json {
        screen.print(&plan(&rollout))?;
    }
    if rollout.waves().next().is_none() {
        screen.note("none of them can be updated");
        return Ok(rollout.exit(!update.all));
    }
    if asks && !agreed(&rollout, screen, stop).await? {
        return Err(Failure::Usage("nothing was done".to_owned()));
    }
    roll(client, update, &mut rollout, screen, stop).await?;
    summarize(&rollout, update, screen)?;
    if stop.is_cancelled() {
        screen.complain(&left());
    }
    Ok(rollout.exit(!update.all))
}

/// The containers that fit, and those of them that cannot be updated as things are.
async fn select(client: &Client, update: &Update) -> Result<(Vec<Target>, Vec<(Target, Fate)>), Failure> {
    let agents = fleet(client).await?;
    let mut found = Vec::new();
    if update.agent.is_empty() {
        found = containers(client, None, &update.label).await?;
    }
    for agent in &update.agent {
        known(&agents, agent)?;
        found.extend(containers(client, Some(agent), &update.label).await?);
    }
    let found = found.iter().map(Container::of).collect::<Result<Vec<_>, _>>()?;
    let mut targets: Vec<_> = found.iter().filter_map(target).collect();
    targets.sort_unstable();
    targets.dedup();
    let (mut planned, mut without) = (Vec::new(), Vec::new());
    for target in targets {
        match hindrance(agents.get(target.agent.as_str())) {
            None => planned.push(target),
            Some(fate) => without.push((target, fate)),
        }
    }
    Ok((planned, without))
}

fn target(container: &Container) -> Option<Target> {
    let named = |name: &str| format!("{}/{name}", container.agent).parse().ok();
    named(&container.name).or_else(|| named(&container.id))
}

/// Why nothing can be updated on a host, if so.
fn hindrance(agent: Option<&Agent>) -> Option<Fate> {
    let agent = agent?;
    let allows = agent.allows.iter().any(|word| allow::actions(word).is_ok_and(|all| all.contains(&"update")));
    if !agent.online {
        Some(Fate::NotBegun(Some("its agent is offline".to_owned())))
    } else if !agent.commands {
        Some(Fate::LeftOut("its agent takes no commands".to_owned()))
    } else if !allows {
        Some(Fate::LeftOut("its host allows no updates".to_owned()))
    } else {
        None
    }
}

fn plan(rollout: &Rollout) -> String {
    let name = |item: &Item| item.target.to_string();
    let mut text = String::new();
    for (number, wave) in rollout.waves().enumerate() {
        text.push_str(&format!("wave {}: {}\n", number + 1, wave.iter().map(name).collect::<Vec<_>>().join(", ")));
    }
    for item in rollout.without() {
        text.push_str(&format!("{}: {}: {}\n", item.fate.word(), item.target, item.fate.why()));
    }
    text
}

async fn agreed(rollout: &Rollout, screen: &mut Screen<'_>, stop: &CancellationToken) -> Result<bool, Failure> {
    let count: usize = rollout.waves().map(<[Item]>::len).sum();
    let waves = rollout.waves().count();
    // Beside the output, which may go to a file.
    let question = format!("Update {count} containers in {waves} waves? [y/N] ");
    screen.err.write_all(question.as_bytes())?;
    screen.err.flush()?;
    let typed = tokio::task::spawn_blocking(screen.typed);
    match stop.run_until_cancelled(typed).await {
        Some(Ok(line)) => Ok(matches!(line?.trim(), "y" | "Y" | "yes" | "Yes")),
        _ => Ok(false),
    }
}

/// Wave by wave, until all is done or nobody waits.
async fn roll(
    client: &Client,
    update: &Update,
    rollout: &mut Rollout,
    screen: &mut Screen<'_>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let (teller, mut told) = mpsc::channel::<Step>(QUEUE);
    let mut running = FuturesUnordered::new();
    let mut bars = Bars::on(screen);
    let waves = rollout.waves().count();
    loop {
        while let Some(effect) = rollout.next_effect() {
            match effect {
                Effect::Wave(number) if waves > 1 && !screen.json => {
                    bars.above(|| screen.print(&format!("wave {number} of {waves}\n")))?;
                }
                Effect::Wave(_) => {}
                Effect::Begin(index) => {
                    let target = rollout.items()[index].target.clone();
                    running.push(one(client, update, index, target, teller.clone()));
                }
            }
        }
        if running.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            Some(Step { name, jti, news }) = told.recv() => progress(&name, &jti, &news, &mut bars, screen)?,
            Some((index, jti, ended)) = running.next() => {
                // What was told before the end is shown before it.
                while let Ok(Step { name, jti, news }) = told.try_recv() {
                    progress(&name, &jti, &news, &mut bars, screen)?;
                }
                rollout.handle_ended(index, ended);
                let item = &rollout.items()[index];
                bars.end(&item.target.to_string());
                bars.above(|| tell(item, jti.as_deref(), screen))?;
            }
            () = stop.cancelled() => {
                rollout.handle_stop();
                return Ok(());
            }
        }
    }
}

/// Updates one, and says how it ended.
async fn one(
    client: &Client,
    update: &Update,
    index: usize,
    target: Target,
    teller: mpsc::Sender<Step>,
) -> (usize, Option<String>, Ended) {
    let mut command = None;
    let ending: Result<Ending, Failure> = async {
        let answer = client.act(&order(update, &target).asking("wait", false), VALID).await?;
        command.clone_from(&answer.command);
        let Some(jti) = answer.command.clone().filter(|_| answer.status == 202) else { return Ok(Ending::of(&answer)) };
        let name = target.to_string();
        follow(client, &jti, |news| {
            let _ = teller.try_send(Step { name: name.clone(), jti: jti.clone(), news: news.clone() });
            Ok(())
        })
        .await
    }
    .await;
    (index, command, Ended::of(ending, update.dry_run))
}

/// The request for one of them.
pub(super) fn order(update: &Update, target: &Target) -> Order {
    Order::act(&target.agent, ["containers", &target.container, "update"])
        .given("image", update.image.clone())
        .given("patience", update.patience)
        .given("valid", update.valid.map(|valid| valid.0.as_secs()))
        .flag("dry_run", update.dry_run)
}

fn tell(item: &Item, jti: Option<&str>, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let (name, fate) = (item.target.to_string(), &item.fate);
    if screen.json {
        let mut line = json!({ "target": name, "command": jti, "state": fate.word(), "reason": fate.why() });
        if let Fate::Planned(steps) = fate {
            line["steps"] = json!(steps);
        }
        return screen.json(&line);
    }
    let why = if fate.why().is_empty() { String::new() } else { format!(": {}", lines(fate.why())) };
    match fate {
        // It has another turn.
        Fate::NotBegun(_) => Ok(()),
        Fate::Planned(steps) => {
            let steps: String =
                steps.iter().enumerate().map(|(n, step)| format!("  {}. {}\n", n + 1, lines(step))).collect();
            screen.print(&format!("{name}:\n{steps}"))
        }
        Fate::Failed(..) | Fate::RolledBack(_) | Fate::Unknown(_) => {
            screen.note(&format!("{name}: {}{why}", fate.word()));
            Ok(())
        }
        _ => screen.print(&format!("{name}: {}{why}\n", fate.word())),
    }
}

fn summarize(rollout: &Rollout, update: &Update, screen: &mut Screen<'_>) -> Result<(), Failure> {
    if screen.json {
        let counts: Map<String, Value> =
            rollout.counts().into_iter().map(|(word, count)| (word.replace(' ', "_"), count.into())).collect();
        return screen.json(&json!({ "summary": counts }));
    }
    if rollout.items().len() < 2 {
        // It was told already.
        return Ok(());
    }
    let row = |item: &Item| [item.target.to_string(), item.fate.word().to_owned(), plain(item.fate.why())];
    let rows: Vec<_> = rollout.items().iter().map(row).collect();
    let table =
        if update.dry_run { String::new() } else { format!("\n{}", columns(["CONTAINER", "RESULT", "WHY"], &rows)) };
    screen.print(&format!("{table}{}\n", rollout.summary()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_cannot_update_has_no_turn() {
        let agent = |online: bool, commands: bool, allows: &[&str]| {
            let json = json!({"online": online, "commands": commands, "allows": allows});
            serde_json::from_value::<Agent>(json).unwrap()
        };
        for (agent, expect) in [
            (agent(true, true, &["observe", "update"]), None),
            (agent(true, true, &["all"]), None),
            (agent(true, true, &["observe", "operate"]), Some("left out")),
            (agent(true, false, &[]), Some("left out")),
            (agent(false, true, &["all"]), Some("not begun")),
        ] {
            assert_eq!(hindrance(Some(&agent)).map(|fate| fate.word()), expect, "{agent:?}");
        }
    }
}
