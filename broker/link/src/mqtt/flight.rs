//! What is under way on one connection: which key travels under which packet id.

use std::collections::{BTreeMap, VecDeque};

/// How many messages of QoS 0 may wait for the socket.
pub(super) const LOOSE: usize = 64;

/// The publishes of one connection. The client gives out packet ids in the order in which it
/// was asked, so the keys without one wait in a queue.
#[derive(Debug)]
pub(super) struct Flight {
    window: usize,
    asked: VecDeque<u64>,
    sent: BTreeMap<u16, u64>,
    loose: usize,
}

impl Flight {
    pub(super) fn new(window: u16) -> Self {
        Self { window: usize::from(window), asked: VecDeque::new(), sent: BTreeMap::new(), loose: 0 }
    }

    /// How many more may be asked for.
    pub(super) fn free(&self) -> usize {
        self.window.saturating_sub(self.asked.len() + self.sent.len())
    }

    /// How many more of QoS 0 may be asked for.
    pub(super) fn free_loose(&self) -> usize {
        LOOSE.saturating_sub(self.loose)
    }

    /// A message was given to the client.
    pub(super) fn ask(&mut self, key: u64) {
        self.asked.push_back(key);
    }

    /// A message of QoS 0 was given to the client.
    pub(super) fn ask_loose(&mut self) {
        self.loose += 1;
    }

    /// The client has written the oldest one, under this packet id; QoS 0 has the id 0.
    pub(super) fn sent(&mut self, packet: u16) {
        if packet == 0 {
            self.loose = self.loose.saturating_sub(1);
        } else if let Some(key) = self.asked.pop_front() {
            self.sent.insert(packet, key);
        }
    }

    /// The broker has answered it: the key, unless nothing travels under this id.
    pub(super) fn answered(&mut self, packet: u16) -> Option<u64> {
        self.sent.remove(&packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // E1
    #[test]
    fn keys_meet_their_packet_ids_in_the_order_of_asking() {
        let mut flight = Flight::new(3);
        for key in [70, 71, 72] {
            flight.ask(key);
        }
        assert_eq!(flight.free(), 0);
        flight.ask_loose();
        for packet in [5, 0, 6] {
            flight.sent(packet);
        }
        assert_eq!(flight.answered(6), Some(71));
        assert_eq!(flight.answered(6), None);
        assert_eq!(flight.answered(7), None, "not sent yet");
        flight.sent(7);
        assert_eq!(flight.free(), 1);
        assert_eq!((flight.answered(7), flight.answered(5)), (Some(72), Some(70)));
        assert_eq!(flight.free(), 3);
    }

    #[test]
    fn messages_that_need_no_answer_have_a_bound_of_their_own() {
        let mut flight = Flight::new(1);
        for _ in 0..LOOSE {
            assert!(flight.free_loose() > 0);
            flight.ask_loose();
        }
        assert_eq!((flight.free_loose(), flight.free()), (0, 1));
        flight.sent(0);
        assert_eq!(flight.free_loose(), 1);
    }
}
