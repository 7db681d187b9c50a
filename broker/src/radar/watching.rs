//! Shows what goes on: samples of what is used, and events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use radar_link::time::Clock;
use radar_wire::topic::AgentId;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::arguments::{Events, Stats};
use super::client::Client;
use super::exit::Exit;
use super::failure::Failure;
use super::logs::moment;
use super::order::Order;
use super::reading::{fleet, known};
use super::screen::Screen;
use super::show::history;
use super::show::stats::Board;

/// Agents that are watched at a time; the bridge gives no more than 32 streams to all.
const MOST: usize = 24;
/// Agents that are asked at a time for one sample.
const BESIDE: usize = 8;
/// Samples that wait to be shown. Who finds it full waits: the newest is of no use before the one before it.
const QUEUE: usize = 16;
/// How many events are remembered, so that none is shown twice.
const REMEMBERED: usize = 2000;

/// What of an agent is told.
enum Told {
    Sample(AgentId, Value),
    Lost(AgentId, Failure),
}

/// Shows samples: of one agent, or of all that are there.
pub(super) async fn stats(
    client: &Client,
    stats: &Stats,
    screen: &mut Screen<'_>,
    clock: Clock,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let agents = fleet(client).await?;
    let agents: Vec<AgentId> = match &stats.scope {
        Some(scope) => {
            known(&agents, &scope.agent)?;
            vec![scope.agent.clone()]
        }
        None => agents.values().filter(|agent| agent.online).filter_map(|agent| agent.id.parse().ok()).collect(),
    };
    if agents.is_empty() {
        return Err(Failure::NotFound("no agent is online".to_owned()));
    }
    if agents.len() > MOST && !stats.no_stream {
        return Err(Failure::Usage(format!("more than {MOST} agents are online; name one, or use --no-stream")));
    }
    let container = stats.scope.as_ref().and_then(|scope| scope.container.clone());
    let work = async {
        if stats.no_stream {
            once(client, &agents, container, screen, clock).await
        } else {
            on_and_on(client, &agents, container, stats.interval, screen, clock).await
        }
    };
    match stop.run_until_cancelled(work).await {
        Some(result) => result,
        None => Ok(Exit::Done),
    }
}

async fn once(
    client: &Client,
    agents: &[AgentId],
    container: Option<String>,
    screen: &mut Screen<'_>,
    clock: Clock,
) -> Result<Exit, Failure> {
    let mut board = Board::new(container.clone());
    let mut exits = Vec::new();
    let mut answers = futures_util::stream::iter(agents)
        .map(async |agent| (agent, client.read(&Order::of_agent(agent, ["stats"])).await))
        .buffered(BESIDE);
    while let Some((agent, answer)) = answers.next().await {
        match answer {
            Ok(sample) => {
                let found = board.take(agent.as_str(), &sample)?;
                if screen.json {
                    screen.json(&of(agent, &sample))?;
                }
                if !found {
                    let name = container.as_deref().unwrap_or_default();
                    return Err(Failure::NotFound(format!("no container {agent}/{name} runs")));
                }
            }
            Err(failure @ (Failure::Unreachable { .. } | Failure::Usage(_))) => return Err(failure),
            Err(failure) if agents.len() == 1 => return Err(failure),
            Err(failure) => {
                exits.push(failure.exit());
                screen.note(&format!("{agent}: {failure}"));
            }
        }
    }
    if !screen.json {
        screen.print(&board.table(clock.now().wall))?;
    }
    Ok(Exit::of_all(exits))
}

async fn on_and_on(
    client: &Client,
    agents: &[AgentId],
    container: Option<String>,
    interval: Option<u32>,
    screen: &mut Screen<'_>,
    clock: Clock,
) -> Result<Exit, Failure> {
    let (teller, mut told) = mpsc::channel(QUEUE);
    let mut streams: FuturesUnordered<_> =
        agents.iter().map(|agent| samples(client, agent, interval, teller.clone())).collect();
    drop(teller);
    let mut board = Board::new(container);
    let mut lost = BTreeMap::new();
    loop {
        let news = tokio::select! {
            Some(()) = streams.next() => continue,
            news = told.recv() => news,
        };
        match news {
            None => return Ok(Exit::of_all(lost.into_values())),
            Some(Told::Sample(agent, sample)) => {
                board.take(agent.as_str(), &sample)?;
                if screen.json {
                    screen.json(&of(&agent, &sample))?;
                } else if !screen.terminal.out {
                    screen.print(&board.lines(agent.as_str()))?;
                }
            }
            Some(Told::Lost(_, failure)) if agents.len() == 1 => return Err(failure),
            Some(Told::Lost(agent, failure)) => {
                if !screen.terminal.out || screen.json {
                    screen.note(&format!("{agent}: {failure}"));
                }
                board.lose(agent.as_str(), failure.to_string());
                lost.insert(agent, failure.exit());
            }
        }
        if screen.terminal.out && !screen.json {
            // From the upper left corner over what is there, each line cleared to its end, and then the rest.
            let table = board.table(clock.now().wall).replace('\n', "\u{1b}[K\n");
            screen.print(&format!("\u{1b}[H{table}\u{1b}[J"))?;
        }
    }
}

/// Tells the samples of one agent, and why there are no more.
async fn samples(client: &Client, agent: &AgentId, interval: Option<u32>, teller: mpsc::Sender<Told>) {
    let order = Order::of_agent(agent, ["stats"]).asking("follow", true).maybe("interval", interval);
    let result: Result<(), Failure> = async {
        let mut stream = client.listen(&order).await?;
        while let Some(event) = stream.next().await? {
            if event.name == "sample" {
                let sample = serde_json::from_str(&event.data).map_err(|error| Failure::Lost(error.to_string()))?;
                // Without a reader the program ends.
                let _ = teller.send(Told::Sample(agent.clone(), sample)).await;
            }
        }
        Err(Failure::Cut("the bridge ended it".to_owned()))
    }
    .await;
    if let Err(failure) = result {
        let _ = teller.send(Told::Lost(agent.clone(), failure)).await;
    }
}

fn of(agent: &AgentId, sample: &Value) -> Value {
    let mut sample = sample.clone();
    if let Value::Object(fields) = &mut sample {
        fields.insert("agent".to_owned(), agent.as_str().into());
    } else {
        sample = json!({ "agent": agent, "sample": sample });
    }
    sample
}

/// Shows events: what happened, and with `follow` what happens.
pub(super) async fn events(
    client: &Client,
    events: &Events,
    screen: &mut Screen<'_>,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let base =
        Order::get(["events"]).maybe("agent", events.agent.as_ref()).maybe("container", events.container.as_ref());
    let most = events.most.unwrap_or(if events.follow { 10 } else { 100 });
    let history = base.clone().maybe("since", events.since.map(moment)).asking("limit", most);
    let work = async {
        if !events.follow {
            let document = client.read(&history).await?;
            let list = document.get("events").and_then(Value::as_array);
            for event in list.into_iter().flatten() {
                print(event, screen)?;
            }
            return Ok(Exit::Done);
        }
        // The stream first, then what was before it: so nothing is between them, and what is in both is shown once.
        let mut stream = client.listen(&base.asking("follow", true)).await?;
        let document = client.read(&history).await?;
        let mut shown = Shown::default();
        for event in document.get("events").and_then(Value::as_array).into_iter().flatten() {
            shown.is_new(history::id(event)?);
            print(event, screen)?;
        }
        while let Some(event) = stream.next().await? {
            if event.name == "event" {
                let event = serde_json::from_str(&event.data).map_err(|error| Failure::Lost(error.to_string()))?;
                if shown.is_new(history::id(&event)?) {
                    print(&event, screen)?;
                }
            }
        }
        Err(Failure::Lost("the bridge ended the stream".to_owned()))
    };
    stop.run_until_cancelled(work).await.unwrap_or(Ok(Exit::Done))
}

fn print(event: &Value, screen: &mut Screen<'_>) -> Result<(), Failure> {
    if screen.json { screen.json(event) } else { screen.print(&(history::event(event)? + "\n")) }
}

/// The last events that were shown.
#[derive(Debug, Default)]
struct Shown {
    order: VecDeque<history::EventId>,
    ids: BTreeSet<history::EventId>,
}

impl Shown {
    fn is_new(&mut self, id: history::EventId) -> bool {
        if !self.ids.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_new_once_and_memory_is_bounded() {
        let mut shown = Shown::default();
        let event = |number: usize| (Some("pi".to_owned()), 1, number as u64);
        for number in 0..3 * REMEMBERED {
            assert!(shown.is_new(event(number)));
            assert!(!shown.is_new(event(number)));
        }
        assert_eq!((shown.order.len(), shown.ids.len()), (REMEMBERED, REMEMBERED));
    }
}
