//! The subscriptions that come and go: which are wanted, which the broker has granted on this connection, and the one
//! request that brings the two closer. One at a time: what is asked is then known without a packet id.

use std::collections::BTreeSet;

/// How many subscriptions beyond the settings' there may be.
pub(super) const MOST: usize = 256;

/// What is wanted beyond the settings' filters, and how far that is.
#[derive(Debug, Default)]
pub(super) struct Subscribing {
    wanted: BTreeSet<String>,
    /// What the broker has of it, or may have.
    held: BTreeSet<String>,
    under_way: Option<Request>,
    /// The settings' own subscription is not answered yet.
    first: bool,
}

/// What the broker is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Subscribe(String),
    Unsubscribe(String),
}

impl Subscribing {
    /// Whether there is room for one more, or it is there.
    pub(super) fn want(&mut self, filter: &str) -> bool {
        if self.wanted.len() >= MOST && !self.wanted.contains(filter) {
            return false;
        }
        self.wanted.insert(filter.to_owned());
        // Asked for again it is answered again.
        self.held.remove(filter);
        true
    }

    /// The broker is to have it no more, whoever asked for it.
    pub(super) fn end(&mut self, filter: &str) {
        self.wanted.remove(filter);
        if self.held.len() < 2 * MOST {
            self.held.insert(filter.to_owned());
        }
    }

    /// Whatever the broker may still have of it.
    pub(super) fn all(&self) -> impl Iterator<Item = &String> {
        self.wanted.union(&self.held)
    }

    /// A connection stands, on which the settings' filters (if there are `any`) are asked for already. What was ended
    /// meanwhile the broker may have kept with the session.
    pub(super) fn handle_connected(&mut self, any: bool) {
        self.held.retain(|filter| !self.wanted.contains(filter));
        self.under_way = None;
        self.first = any;
    }

    /// What to ask the broker for; it is then under way.
    pub(super) fn next_request(&mut self) -> Option<Request> {
        if self.under_way.is_some() {
            return None;
        }
        let missing = self.wanted.difference(&self.held).next().cloned().map(Request::Subscribe);
        let request =
            missing.or_else(|| self.held.difference(&self.wanted).next().cloned().map(Request::Unsubscribe))?;
        if let Request::Unsubscribe(filter) = &request {
            self.held.remove(filter);
        }
        self.under_way = Some(request.clone());
        Some(request)
    }

    /// The broker has answered a subscription: whose it was; none for the settings' own.
    pub(super) fn handle_subscribed(&mut self, granted: bool) -> Option<String> {
        if std::mem::take(&mut self.first) {
            return None;
        }
        let Some(Request::Subscribe(filter)) = self.under_way.take() else { return None };
        if granted {
            self.held.insert(filter.clone());
        } else {
            self.wanted.remove(&filter);
        }
        Some(filter)
    }

    /// The broker has answered the end of a subscription.
    pub(super) fn handle_unsubscribed(&mut self) {
        if matches!(self.under_way, Some(Request::Unsubscribe(_))) {
            self.under_way = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscribe(filter: &str) -> Option<Request> {
        Some(Request::Subscribe(filter.to_owned()))
    }

    fn unsubscribe(filter: &str) -> Option<Request> {
        Some(Request::Unsubscribe(filter.to_owned()))
    }

    // PS4
    #[test]
    fn one_request_is_under_way_and_the_last_word_counts() {
        let mut all = Subscribing::default();
        all.handle_connected(true);
        assert!(all.want("a") && all.want("b"));
        assert_eq!((all.next_request(), all.next_request()), (subscribe("a"), None));
        assert_eq!(all.handle_subscribed(true), None, "the settings' own comes first");
        all.end("a");
        assert_eq!(all.handle_subscribed(true), Some("a".to_owned()));
        assert_eq!(all.next_request(), subscribe("b"));
        assert_eq!(all.handle_subscribed(true), Some("b".to_owned()));
        assert_eq!((all.next_request(), all.next_request()), (unsubscribe("a"), None));
        // Wanted again while its end is under way.
        all.want("a");
        all.handle_unsubscribed();
        assert_eq!(all.next_request(), subscribe("a"));
    }

    // PS4
    #[test]
    fn what_is_wanted_is_asked_for_on_every_connection_and_what_was_refused_is_not() {
        let mut all = Subscribing::default();
        all.handle_connected(false);
        all.want("a");
        all.want("b");
        all.next_request();
        assert_eq!(all.handle_subscribed(false), Some("a".to_owned()));
        all.next_request();
        all.handle_subscribed(true);
        all.handle_connected(false);
        assert_eq!(all.next_request(), subscribe("b"));
        all.handle_subscribed(true);
        assert_eq!(all.next_request(), None);
        // Asked for again, it is answered again.
        all.want("b");
        assert_eq!(all.next_request(), subscribe("b"));
        all.handle_subscribed(true);
        // The broker may have kept it with the session.
        all.end("b");
        all.handle_connected(false);
        assert_eq!((all.next_request(), all.handle_unsubscribed(), all.next_request()), (unsubscribe("b"), (), None));
    }

    #[test]
    fn there_is_a_bound_and_strangers_can_be_ended() {
        let mut all = Subscribing::default();
        all.handle_connected(false);
        for number in 0..MOST {
            assert!(all.want(&number.to_string()));
        }
        assert!(!all.want("more") && all.want("0"));
        let mut all = Subscribing::default();
        all.handle_connected(false);
        all.end("of an earlier life");
        assert_eq!(all.next_request(), unsubscribe("of an earlier life"));
    }
}
