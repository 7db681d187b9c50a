//! Samples of what is used, on their way between the shell, the engine's room and the broker. When they are taken is
//! decided in [`sampling`](super::sampling).

use bytes::Bytes;
use radar_link::mqtt::{Message, Qos};
use radar_link::time::Now;
use radar_wire::codec;
use radar_wire::container::{ContainerId, State};
use radar_wire::stats::{Stats, Usage};
use radar_wire::topic::Channel;

use super::commands::policy;
use super::remark::Remark;
use super::{Agent, Effect, Life};
use crate::engine::act::Act;

impl Agent {
    /// What the host uses, as [`Effect::ReadHost`] asked.
    pub fn handle_host(&mut self, usage: Usage, now: Now) {
        self.now = now;
        self.commands.handle_host(usage, now);
    }

    /// Has the host read, and then the containers; none while these are not known.
    pub(super) fn begin_sample(&mut self, ticket: u64) -> Option<Effect> {
        let Some(ids) = self.sampled() else {
            self.commands.put_off_sample(self.now);
            return None;
        };
        self.effects.push_back(Effect::Act { ticket, act: Act::Sample { ids } });
        Some(Effect::ReadHost)
    }

    /// A sample is told once to who listens, and never again.
    pub(super) fn tell_sample(&mut self, stats: &Stats) -> Option<Effect> {
        match codec::encode(stats) {
            Ok(encoded) => {
                let message = Message {
                    topic: self.config.prefix.topic(&self.config.id, &Channel::Stats),
                    payload: Bytes::from(encoded.bytes),
                    retain: false,
                    qos: Qos::AtMostOnce,
                    content_type: Some(encoded.content_type.as_str()),
                    expiry: None,
                };
                let key = self.publishing.next_key();
                self.sample_key = key;
                Some(Effect::Publish { key, message })
            }
            Err(error) => self.sample_too_large(error.to_string()),
        }
    }

    /// Samples that nobody can take are said once.
    pub(super) fn sample_too_large(&mut self, why: String) -> Option<Effect> {
        let first = !std::mem::replace(&mut self.samples_too_large, true);
        first.then_some(Effect::Say(Remark::SamplesTooLarge { why }))
    }

    /// The containers that run and whose labels do not keep them out.
    fn sampled(&self) -> Option<Vec<ContainerId>> {
        let Life::Open { inventory, .. } = &self.life else { return None };
        let records = inventory.complete().then(|| inventory.records().values())?;
        let running = records.filter(|record| matches!(record.state, State::Running | State::Paused));
        let shown = running.filter(|record| policy::narrowed("stats", &record.labels).is_ok());
        Some(shown.map(|record| record.id).collect())
    }
}
