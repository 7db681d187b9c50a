//! What goes on while commands are under way: what acts tell before they end, and the samples that are taken for a
//! while after a command has ended.

use std::time::Duration;

use radar_link::time::Now;
use radar_wire::command::{Outcome, Progress};
use radar_wire::stats::Usage;

use super::super::pulls::{self, Due};
use super::super::sampling::Ask;
use super::{Commands, Effect};
use crate::engine::act::{Piece, Pulled};

impl Commands {
    /// An act that is under way tells something.
    pub(in super::super) fn handle_told(&mut self, ticket: u64, piece: Piece, now: Now) {
        match piece {
            Piece::Log(pieces) => {
                self.streams.handle_told(ticket, pieces);
                self.follow_streams(now);
            }
            Piece::Found(_) => {
                self.updates.handle_told(ticket, &piece);
                self.effects.push_back(Effect::More { ticket });
            }
            Piece::Pull(pulled) => {
                if self.pulls.handle_told(ticket, pulled, now.mono) {
                    self.tell_pull(ticket, pulled, now);
                }
            }
            Piece::Sample(containers) => {
                self.effects.extend(self.sampling.handle_told(ticket, containers).map(Effect::Sampled));
            }
        }
    }

    /// What the host uses, for the sample that is under way.
    pub(in super::super) fn handle_host(&mut self, usage: Usage, now: Now) {
        self.sampling.handle_host(usage, now);
    }

    /// The containers are not known yet, so that the sample that was to begin begins later.
    pub(in super::super) fn put_off_sample(&mut self, now: Now) {
        self.sampling.put_off(now.mono);
    }

    /// There is a broker, which takes packets of this size.
    pub(in super::super) fn handle_connected(&mut self, max_packet: Option<u32>, now: Now) {
        self.streams.handle_connected(max_packet);
        self.sampling.handle_connected();
        self.handle_timeout(now);
    }

    /// Does what is due.
    pub(in super::super) fn handle_timeout(&mut self, now: Now) {
        self.unwritten |= self.again.take_if(|at| *at <= now.mono).is_some();
        self.streams.handle_timeout(now.mono);
        self.follow_streams(now);
        while let Some(due) = self.pulls.next_due(now.mono) {
            match due {
                Due::More { ticket } => self.effects.push_back(Effect::More { ticket }),
                Due::Tell { ticket, pulled } => self.tell_pull(ticket, pulled, now),
            }
        }
        self.updates.handle_timeout(&mut self.tickets, now);
        self.time_renewal(now);
        self.work(now);
        self.sampling.handle_timeout(now.mono);
        if self.sampling.is_due(now.mono) {
            self.tickets += 1;
            self.sampling.begin(self.tickets, now.mono);
            self.effects.push_back(Effect::Sample { ticket: self.tickets });
        }
    }

    /// When something is due, in monotonic time.
    pub(in super::super) fn poll_timeout(&self) -> Option<Duration> {
        let acts = [self.streams.poll_timeout(), self.updates.poll_timeout(), self.pulls.poll_timeout()];
        let own = [self.sampling.poll_timeout(), self.renewal_timeout(), self.again];
        acts.into_iter().chain(own).flatten().min()
    }

    pub(super) fn ask_samples(&mut self, jti: &str, ask: Ask, now: Now) {
        match self.sampling.ask(jti, ask, now) {
            Some(grant) => {
                let fields = [("interval", grant.interval.into()), ("until", grant.until.into())];
                let result = ciborium::Value::Map(fields.map(|(name, value)| (name.into(), value)).into());
                self.end(jti, Progress::Succeeded, None, Some(result), now);
            }
            None => {
                let reason = "busy: too many ask for samples already";
                self.end(jti, Progress::Failed, Some(reason.into()), None, now);
            }
        }
        self.handle_timeout(now);
    }

    /// Tells how far a pull is; of what waits to be told of it only the newest is kept.
    fn tell_pull(&mut self, ticket: u64, pulled: Pulled, now: Now) {
        let own = self.working.get(&ticket).map(|(jti, _)| jti.clone());
        let Some(jti) = own.or_else(|| self.update_of(ticket)) else { return };
        self.outcomes.forget_progress(&jti);
        let (state, result) = (Progress::Progress, Some(pulls::result(pulled)));
        self.tell(Outcome { jti, at: now.wall, state, reason: None, result });
    }
}
