//! What a host and its containers use, as its agent samples it while somebody looks.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use radar_wire::container::ContainerId;
use radar_wire::stats::Stats;
use radar_wire::topic::AgentId;
use serde_json::json;

use super::call::Call;
use super::problem::Problem;
use super::streaming::{Place, Source, Turn, beat, events, frame, turn};
use super::usage::{Sample, sample};
use super::{Api, Question};
use crate::asking::Followed;
use crate::commanding::State;
use crate::following::{Item, Kind, stats};

/// How long beyond an interval a sample is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// What an agent takes for an interval when none is said.
const INTERVAL: u32 = 2;

pub(super) async fn tell(api: Api, call: Call) -> Result<Response, Problem> {
    let (agent, interval) = (call.agent()?, call.small("interval")?);
    let seconds = call.number("seconds").map(Duration::from_secs);
    if interval == Some(0) || interval.is_some_and(|interval| interval > 60) {
        return Err(Problem::bad_request("`interval` is 1 to 60"));
    }
    let place = api.place()?;
    let (jti, followed) = api.follow(call.order(stats(interval))?, Kind::Stats(interval)).await?;
    let mut samples = Samples { api, agent, followed, before: None, names: BTreeMap::new(), _place: place };
    let patience = PATIENCE + 2 * Duration::from_secs(interval.unwrap_or(INTERVAL).into());
    let first = samples.wait(patience, &jti).await?;
    if call.flag("follow", false) || call.events {
        let until = seconds.map(|seconds| samples.api.clock.now().mono + seconds);
        return Ok(events(Following { samples, first: Some(first), until, over: false }));
    }
    let second = samples.wait(patience, &jti).await?;
    Ok(Json(second).into_response())
}

struct Samples {
    api: Api,
    agent: AgentId,
    followed: Followed,
    before: Option<Arc<Stats>>,
    names: BTreeMap<ContainerId, Box<str>>,
    _place: Place,
}

impl Samples {
    /// The next sample, where one can still say by a status that there is none.
    async fn wait(&mut self, patience: Duration, jti: &str) -> Result<Sample, Problem> {
        let stop = self.api.stop.clone();
        let item = async {
            loop {
                match self.followed.next().await {
                    Some(Item::Sample(stats)) => return Ok(stats),
                    Some(Item::End { reason, state }) => return Err(Problem::of_end(state, Some(&reason), jti)),
                    Some(_) => {}
                    None => return Err(Problem::trouble("the samples have ended").of(jti)),
                }
            }
        };
        let stats = tokio::select! {
            item = tokio::time::timeout(patience, item) => item.unwrap_or_else(|_| {
                Err(Problem::of_end(State::Unknown, Some("no sample came in time"), jti))
            })?,
            () = stop.cancelled() => return Err(Problem::trouble("the bridge is stopping").of(jti)),
        };
        Ok(self.take(stats).await)
    }

    async fn take(&mut self, stats: Arc<Stats>) -> Sample {
        if stats.containers.iter().any(|container| !self.names.contains_key(&container.id))
            && let Ok(Some(host)) = self.api.ask(|reply| Question::Host(self.agent.clone(), reply)).await
        {
            self.names = host.records.into_iter().map(|record| (record.id, record.name)).collect();
        }
        let told = sample(self.before.as_deref(), &stats, &self.names);
        self.before = Some(stats);
        told
    }
}

struct Following {
    samples: Samples,
    first: Option<Sample>,
    until: Option<Duration>,
    over: bool,
}

impl Source for Following {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.over {
            return None;
        }
        if let Some(first) = self.first.take() {
            return Some(Ok(frame("sample", None, &first)));
        }
        loop {
            let clock = self.samples.api.clock;
            let item = tokio::select! {
                item = turn(&self.samples.api.stop, self.samples.followed.next()) => item,
                () = clock.sleep_until(self.until) => return None,
            };
            let (reason, state) = match item {
                Turn::Item(Some(Item::Sample(stats))) => {
                    let sample = self.samples.take(stats).await;
                    return Some(Ok(frame("sample", None, &sample)));
                }
                Turn::Item(Some(Item::End { reason, state })) => (reason, state),
                Turn::Item(Some(_)) => continue,
                Turn::Item(None) => ("too slow".into(), State::Unknown),
                Turn::Stop => ("the bridge is stopping".into(), State::Unknown),
                Turn::Beat => return Some(Ok(beat())),
            };
            self.over = true;
            return Some(Ok(frame("end", None, &json!({ "reason": reason, "state": state }))));
        }
    }
}
