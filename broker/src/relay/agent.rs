//! What the relay knows of one agent. Little, since there may be ten thousand: the list of containers is
//! asked for at the moment of sending and never kept.

use std::time::Duration;

use radar_link::time::Now;

use super::call::Access;
use super::condition::Condition;
use super::enrollment::{Credential, Enrollment, UpstreamId};

/// A change is sent this long after it was seen, together with those that follow it.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// Two early beats of one agent are at least this far apart.
const EARLY_APART: Duration = Duration::from_secs(5);
/// A change of presence is sent at once, but not sooner than this after the last beat.
const PRESENCE_APART: Duration = Duration::from_secs(1);

/// An access token is used again within this time. The server breaks when a deleted agent's token is used,
/// and only a fresh one shows that the agent is still there.
const FRESH: Duration = Duration::from_secs(5);
/// While the server does not keep up, tokens serve longer: each exchange costs it as much as a few beats.
const FRESH_WHEN_LATE: Duration = Duration::from_secs(60);
/// A token that ends within this time is not used.
const MARGIN: Duration = Duration::from_secs(60);

/// Whether what the relay holds of an account is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saved {
    /// It is.
    Yes,
    /// The store was asked.
    Asked,
    /// The store could not; asked again when the agent is due.
    Failed,
}

/// The beat that was accepted last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastBeat {
    pub(super) wall: i64,
    pub(super) containers: usize,
    pub(super) left_out: usize,
}

/// One agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) enrollment: Option<Box<Enrollment>>,
    pub(super) saved: Saved,
    pub(super) store_failures: u32,
    /// Present when it was ever heard of in this life of the bridge.
    pub(super) online: Option<bool>,
    /// The name for an agent that is still to be made at the server.
    pub(super) name: Option<Box<str>>,
    /// When its turn is; it stands in the queue under this time unless it waits for the store.
    pub(super) due: Option<Duration>,
    /// Not before, after failures of its own.
    pub(super) hold: Duration,
    /// Its turn was brought forward by a change.
    pub(super) early: bool,
    /// No early turn before.
    pub(super) early_floor: Duration,
    /// No turn for a change of presence before.
    pub(super) presence_floor: Duration,
    /// It has changed since its list was taken; what is new of an agent that is offline is told as well.
    pub(super) news: bool,
    pub(super) beats: u32,
    /// Failures of its own in a row.
    pub(super) failures: u32,
    /// The access token was renewed after a refusal, so the next refusal counts.
    pub(super) renewed: bool,
    pub(super) access: Option<Box<(Duration, Access)>>,
    /// A credential that came while it was busy.
    pub(super) offer: Option<Box<(UpstreamId, Credential)>>,
    pub(super) condition: Condition,
    pub(super) last: Option<LastBeat>,
}

impl Agent {
    pub(super) fn new(enrollment: Option<Enrollment>) -> Self {
        Self {
            enrollment: enrollment.map(Box::new),
            saved: Saved::Yes,
            store_failures: 0,
            online: None,
            name: None,
            due: None,
            hold: Duration::ZERO,
            early: false,
            early_floor: Duration::ZERO,
            presence_floor: Duration::ZERO,
            news: false,
            beats: 0,
            failures: 0,
            renewed: false,
            access: None,
            offer: None,
            condition: Condition::Enrolling,
            last: None,
        }
    }

    /// When a change that was just seen is to be sent. Later changes do not move it.
    pub(super) fn early_due(&mut self, now: Now) -> Duration {
        self.early = true;
        (now.mono + DEBOUNCE).max(self.early_floor)
    }

    /// When a change of presence that was just seen is to be sent.
    pub(super) fn presence_due(&self, now: Now) -> Duration {
        now.mono.max(self.presence_floor)
    }

    /// Its turn has come.
    pub(super) fn take_turn(&mut self, now: Now) {
        self.due = None;
        self.presence_floor = now.mono + PRESENCE_APART;
        if std::mem::take(&mut self.early) {
            self.early_floor = now.mono + EARLY_APART;
        }
    }

    /// The access token, when it may still be used.
    pub(super) fn usable_access(&self, late: bool, now: Now) -> Option<&Access> {
        let (since, access) = self.access.as_deref()?;
        let age = now.mono.saturating_sub(*since);
        let fresh = if late { FRESH_WHEN_LATE } else { FRESH };
        (age <= fresh && age + MARGIN < access.lifetime).then_some(access)
    }

    /// Whether a credential says anything new. The secret that works is never put at risk: enrolling again
    /// would void it.
    pub(super) fn wants(&self, upstream: &UpstreamId, credential: &Credential) -> bool {
        use super::enrollment::Standing::Enrolled;
        match self.enrollment.as_deref() {
            None => true,
            Some(known) if known.upstream != *upstream => true,
            Some(known) => known.standing != Enrolled && !known.knows(credential),
        }
    }
}
