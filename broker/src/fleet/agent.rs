//! One agent: what the parts know of it, and its row in the store.

use radar_link::time::Now;
use radar_wire::codec::encode;
use radar_wire::topic::AgentId;

use super::asking::Asking;
use super::presence::Presence;
use super::present::{Counts, Kept, Present};
use super::tracking::Tracking;
use super::{Fleet, Limits};
use crate::store::rows::{AgentRow, RestoredAgent};

/// All that is known of an agent.
#[derive(Debug, Default)]
pub(super) struct Agent {
    /// When it was last heard, in milliseconds since 1970 UTC.
    pub(super) heard: i64,
    pub(super) presence: Presence,
    pub(super) present: Present,
    pub(super) tracking: Tracking,
    pub(super) asking: Asking,
    /// Whether its status is not in the store yet.
    pub(super) new_status: bool,
    pub(super) lost: u64,
    pub(super) unknown_gaps: u64,
}

impl Agent {
    /// It said something; a retained message may be old.
    pub(super) fn hear(&mut self, retained: bool, now: Now) {
        if !retained {
            self.heard = self.heard.max(now.wall);
            self.presence.doubted = self.presence.doubted.filter(|from| now.mono < *from);
        }
    }

    /// How many events are missing.
    pub(super) fn missing(&self) -> u64 {
        self.tracking.holes().map(|hole| hole.size()).fold(0, u64::saturating_add)
    }

    /// Its row; the status is in it when it is new since the last one.
    pub(super) fn row(&mut self, agent: AgentId) -> AgentRow {
        let presence = &self.presence;
        let new_status = std::mem::take(&mut self.new_status);
        AgentRow {
            agent,
            heard: self.heard,
            online: presence.online(),
            reason: presence.reason.clone(),
            session: presence.session,
            status: new_status.then(|| presence.status.clone()),
            tracking: self.tracking.to_bytes(),
            lost: self.lost,
            unknown_gaps: self.unknown_gaps,
            missing: self.missing(),
            containers: self.present.counts().map(|Counts { total, running }| (total, running)),
            engine: self.present.engine(),
            complete: self.present.complete(),
            conflict: presence.conflict.as_ref().map(|conflict| conflict.machines.join(" ")),
        }
    }

    fn restore(restored: RestoredAgent) -> Self {
        let RestoredAgent { row, snapshot, tail } = restored;
        let tracking = Tracking::from_bytes(&row.tracking);
        let mut present = Present::default();
        if let Some(snapshot) = snapshot {
            let place = tracking.place(snapshot.epoch, snapshot.sequence).unwrap_or_default();
            let kept = Kept { content_type: snapshot.content_type, bytes: &snapshot.bytes };
            let counts = row.containers.map_or(Counts::default(), |(total, running)| Counts { total, running });
            present = Present::restore(place, kept, counts, row.complete);
            for event in tail {
                let place = tracking.place(event.epoch, event.sequence);
                if let (Some(place), Ok(encoded)) = (place, encode(&event)) {
                    present.restore_event(place, &event, &encoded.bytes);
                }
            }
        }
        if let Some(answers) = row.engine {
            present.handle_engine(answers);
        }
        let presence = row
            .status
            .map_or_else(Presence::default, |payload| Presence::restore(row.online, &row.reason, row.session, payload));
        let (heard, lost, unknown_gaps) = (row.heard, row.lost, row.unknown_gaps);
        Self { heard, presence, present, tracking, lost, unknown_gaps, ..Self::default() }
    }
}

impl Fleet {
    /// The fleet as it was stored. Nothing happens by it: what is missing is asked for once the bridge is connected.
    #[must_use]
    pub fn restore(limits: Limits, agents: Vec<RestoredAgent>) -> Self {
        let mut fleet = Self::new(limits);
        for restored in agents {
            fleet.agents.insert(restored.row.agent.clone(), Agent::restore(restored));
        }
        fleet
    }
}
