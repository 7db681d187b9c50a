//! What happened: the history of one agent or of all, and what is added to it, once it is stored.

use std::collections::VecDeque;
use std::io;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use radar_wire::topic::AgentId;
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;

use super::Api;
use super::call::Call;
use super::problem::Problem;
use super::streaming::{Place, Source, Turn, beat, events, frame, turn};
use crate::store::{Arrival, StoredEvent, Wanted};
use crate::told::Told;

/// Events that are read at a time while they are followed.
const PAGE: u32 = 200;

/// An event, and whose it is.
#[derive(Serialize)]
struct Event<'a> {
    agent: &'a AgentId,
    #[serde(flatten)]
    told: Told<'a>,
}

impl<'a> Event<'a> {
    fn of((agent, stored): &'a (AgentId, StoredEvent)) -> Self {
        Self { agent, told: Told::of(&stored.event) }
    }
}

pub(super) async fn tell(api: Api, call: Call) -> Result<Response, Problem> {
    let limit = call.limit(100)?;
    let since = call.moment("since", api.clock.now().wall)?;
    let wanted = Wanted { agent: call.of_agent()?, container: call.text("container"), since, after: None };
    if !call.flag("follow", false) {
        let found = api.read(move |reader| reader.newest_events(&wanted, limit)).await?;
        let told: Vec<_> = found.iter().map(Event::of).collect();
        return Ok(Json(json!({ "events": told })).into_response());
    }
    let place = api.place()?;
    let mut committed = api.parts.committed.clone();
    committed.mark_changed();
    let after = match (call.last_event, since) {
        (Some(last), _) => Arrival::of(last),
        (None, Some(_)) => Arrival::of(0),
        (None, None) => api.read(|reader| reader.last_arrival()).await?,
    };
    let wanted = Wanted { after: Some(after), ..wanted };
    Ok(events(Followed { api, wanted, committed, read: VecDeque::new(), _place: place }))
}

struct Followed {
    api: Api,
    wanted: Wanted,
    /// Changes with every transaction.
    committed: watch::Receiver<()>,
    read: VecDeque<(AgentId, StoredEvent)>,
    _place: Place,
}

impl Source for Followed {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(event) = self.read.pop_front() {
                let id = event.1.arrival.number();
                return Some(Ok(frame("event", Some(id), &Event::of(&event))));
            }
            match turn(&self.api.stop, self.committed.changed()).await {
                Turn::Item(Ok(())) => {}
                Turn::Beat => return Some(Ok(beat())),
                Turn::Item(Err(_)) | Turn::Stop => return None,
            }
            let wanted = self.wanted.clone();
            let Ok(read) = self.api.read(move |reader| reader.newest_events(&wanted, PAGE)).await else {
                return Some(Err(io::Error::other("the store cannot be read")));
            };
            if let Some((_, last)) = read.last() {
                self.wanted.after = Some(last.arrival);
            }
            if read.len() == usize::try_from(PAGE).unwrap_or(usize::MAX) {
                self.committed.mark_changed();
            }
            self.read = read.into();
        }
    }
}
