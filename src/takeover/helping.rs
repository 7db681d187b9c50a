//! What the helper does: it runs from the new image, in a container of its own, beside the agent that it replaces.

use std::time::Duration;

use radar_link::mqtt::{self, Notice, Session};
use radar_wire::codec;
use radar_wire::status::{Presence, Status};
use radar_wire::topic::{AgentId, Channel};
use tokio::time::timeout;

use super::{Hands, read, write};
use crate::Settings;
use crate::agent::takeover::{TakeOver, successor};
use crate::agent::trial::Stage;
use crate::engine::act::Act;
use crate::shell::{beginning, directory};

/// How long the helper may take to reach the broker, before anything has changed.
const BROKER: Duration = Duration::from_secs(30);
/// How long the new agent must stay online.
const STEADY: Duration = Duration::from_secs(5);

/// Replaces the agent of this data directory by one of the image that this program is from, and goes back when the new
/// one does not reach the broker, or when an earlier life of this helper was ended in the middle. Whether it did is in
/// the note.
///
/// # Errors
/// Why nothing could be done: the engine starts the helper again.
pub async fn take_over(settings: Settings) -> Result<(), String> {
    let directory = directory::path(settings.agent.data_dir.as_deref()).to_owned();
    let mut note =
        read(&directory).filter(|note| note.stage != Stage::Adopting).ok_or("there is nothing to take over")?;
    let engine = beginning::engine_settings(&settings).map_err(|error| error.to_string())?;
    let mut hands = match Hands::reach(engine).await {
        Ok(hands) => hands,
        Err(why) => {
            // For the old one, if it runs.
            note.stage = Stage::Back(why.as_str().into());
            write(&directory, &note).map_err(|error| error.to_string())?;
            return Err(why);
        }
    };
    let worked = match &note.stage {
        Stage::Back(why) => Err(why.to_string()),
        _ => work(&settings, &note, &mut hands).await,
    };
    match worked {
        Ok(()) => {
            note.stage = Stage::Adopting;
            write(&directory, &note).map_err(|error| error.to_string())?;
            // What is left of it the new agent clears away too.
            hands.insist(Act::Remove { id: note.old, force: true, volumes: false }).await
        }
        Err(why) => {
            let back = go_back(&note, &mut hands).await;
            let why = match back {
                Ok(()) => why,
                Err(error) => format!("{why}; and not all is as it was: {error}"),
            };
            tracing::warn!("the old agent stays: {why}");
            note.stage = Stage::Back(why.into());
            // Before the old one starts, which reads it.
            write(&directory, &note).map_err(|error| error.to_string())?;
            hands.insist(Act::Start { id: note.old }).await
        }
    }
}

async fn work(settings: &Settings, note: &TakeOver, hands: &mut Hands) -> Result<(), String> {
    let id = agent_id(settings)?;
    let mut witness = Witness::open(settings, &id)?;
    timeout(BROKER, witness.connected()).await.map_err(|_| "the new version does not reach the broker".to_owned())?;
    let old = hands.container(&note.old.to_string()).await?.ok_or("the agent's container is gone")?;
    if old["State"]["Running"] != true {
        return Err("the helper was ended in the middle".to_owned());
    }
    let names = note.names(old["Name"].as_str().unwrap_or_default());
    hands.clear(&names.new).await?;
    let defaults = hands.image(old["Image"].as_str().unwrap_or_default()).await?;
    // All that can fail without touching the old one fails here.
    let new = hands.create(&names.new, &successor(&old, &defaults, &note.image)).await?;
    hands.step(Act::Stop { id: note.old, timeout: None }).await?;
    witness.settle_down().await;
    hands.step(Act::Rename { id: note.old, to: names.old }).await?;
    hands.step(Act::Rename { id: new, to: names.place }).await?;
    hands.step(Act::Start { id: new }).await?;
    let seconds = note.patience.as_secs();
    let online = timeout(note.patience, witness.online_again()).await;
    online.map_err(|_| format!("the new one was not online at the broker within {seconds} s"))
}

async fn go_back(note: &TakeOver, hands: &mut Hands) -> Result<(), String> {
    let old = hands.container(&note.old.to_string()).await?.ok_or("the agent's container is gone")?;
    let name = old["Name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
    let names = note.names(&name);
    hands.clear(&names.new).await?;
    if *name != *names.place {
        hands.clear(&names.place).await?;
        hands.insist(Act::Rename { id: note.old, to: names.place }).await?;
    }
    Ok(())
}

/// The agent's id: the one that is set, or the one that it has kept.
fn agent_id(settings: &Settings) -> Result<AgentId, String> {
    if let Some(id) = &settings.agent.agent_id {
        return Ok(id.clone());
    }
    let file = directory::path(settings.agent.data_dir.as_deref()).join("id");
    let kept = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    kept.trim().parse().map_err(|_| format!("{} holds no agent id", file.display()))
}

/// Reads at the broker what the agent says of itself.
struct Witness {
    session: Session,
    /// The greatest session number of the agent that was seen, and whether it was online in it.
    seen: Option<(u64, bool)>,
}

impl Witness {
    fn open(settings: &Settings, id: &AgentId) -> Result<Self, String> {
        let (own, client) = (settings.prefix.client_id(id), settings.prefix.take_over_client_id(id));
        let mut session: mqtt::Settings = settings.broker.session(&client);
        // An account of that name takes the agent's client id alone; beside it there is one for this, by the same password.
        if session.username.as_ref() == Some(&own) {
            session.username = Some(client);
        }
        session.subscriptions = vec![settings.prefix.topic(id, &Channel::Status)];
        let session = Session::start(session, Box::new(|_| None)).map_err(|error| error.to_string())?;
        Ok(Self { session, seen: None })
    }

    async fn next(&mut self) -> Notice {
        let notice = self.session.next().await;
        if let Notice::Received(received) = &notice
            && let Ok(status) = codec::decode::<Status>(received.content_type.as_deref(), &received.payload)
            && self.seen.is_none_or(|(session, _)| status.session >= session)
        {
            self.seen = Some((status.session, status.state == Presence::Online));
        }
        notice
    }

    async fn connected(&mut self) {
        while !matches!(self.next().await, Notice::Subscribed { .. }) {}
    }

    /// Takes in what is on its way of the agent that has ended.
    async fn settle_down(&mut self) {
        while timeout(Duration::from_millis(500), self.next()).await.is_ok() {}
    }

    /// Until a later life of the agent than any before has been online for a while.
    async fn online_again(&mut self) {
        let before = self.seen.map_or(0, |(session, _)| session);
        loop {
            self.next().await;
            while self.seen.is_some_and(|(session, online)| online && session > before) {
                if timeout(STEADY, self.next()).await.is_err() {
                    return;
                }
            }
        }
    }
}
