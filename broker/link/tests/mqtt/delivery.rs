//! Messages: order, windows, sizes, acknowledgements, and a broker that is killed.

use std::collections::BTreeSet;
use std::time::Duration;

use radar_link::mqtt::{Delivery, Message, Notice, PublishError, Qos, Received, Settings, SubscribeError};
use tokio::time::timeout;

use crate::broker::{Broker, client};
use crate::owner::{
    DEADLINE, Outbox, connected, delivered, disconnected, drain, message, received, start, subscribed, until,
};
use crate::proxy::Proxy;

fn listener(broker: &Broker, id: &str, filter: &str) -> Settings {
    Settings { subscriptions: vec![filter.to_owned()], ..broker.client(id) }
}

// E1
#[tokio::test]
async fn keys_are_delivered_in_order_and_never_over_the_window() {
    let broker = Broker::start().await;
    let mut reader = start(listener(&broker, "reader", "order"));
    subscribed(&mut reader).await;
    let mut writer = start(Settings { window: 7, ..broker.client("writer") });
    assert_eq!(writer.publish(0, message("order", "early")), Err(PublishError::NotConnected));
    let window = until(&mut writer, |notice| match notice {
        Notice::Connected { window, .. } => Some(window),
        _ => None,
    })
    .await;
    assert_eq!(window, 7);

    for key in 0..7 {
        writer.publish(key, message("order", key.to_string())).unwrap();
    }
    assert_eq!(writer.publish(7, message("order", "7")), Err(PublishError::WindowFull));
    let mut next = 7;
    for key in 0..500 {
        assert_eq!(delivered(&mut writer).await, (key, Delivery::Accepted));
        if next < 500 {
            writer.publish(next, message("order", next.to_string())).unwrap();
            next += 1;
        }
    }
    for key in 0..500 {
        assert_eq!(received(&mut reader).await.payload, key.to_string());
    }
}

// E1
#[tokio::test]
async fn the_broker_may_lower_the_window() {
    let broker = Broker::with("allow_anonymous true\nmax_inflight_messages 3\n").await;
    let mut writer = start(Settings { window: 50, ..broker.client("writer") });
    let window = until(&mut writer, |notice| match notice {
        Notice::Connected { window, .. } => Some(window),
        _ => None,
    })
    .await;
    assert_eq!((window, writer.free()), (3, 3));
    let mut outbox = Outbox::new(writer, "low", 0..100);
    timeout(DEADLINE, async {
        let mut delivered = Vec::new();
        while !outbox.is_empty() {
            delivered.extend(outbox.step().await);
        }
        // The outbox saw no `Connected`, so nothing was published twice.
        assert_eq!(delivered, (0..100).collect::<Vec<_>>());
    })
    .await
    .unwrap();
}

fn key_of(message: &Received) -> u64 {
    String::from_utf8(message.payload.to_vec()).unwrap().parse().unwrap()
}

// E1, DM3
#[tokio::test]
async fn a_line_that_is_cut_loses_nothing_and_keeps_the_order() {
    const COUNT: u64 = 4_000;
    let broker = Broker::start().await;
    let mut reader = start(listener(&broker, "reader", "stream"));
    subscribed(&mut reader).await;
    let proxy = Proxy::to(broker.port()).await;
    let mut outbox = Outbox::new(start(client(&proxy.url(), "writer")), "stream", 0..COUNT);

    let mut next = 0;
    let mut cuts = 0;
    let cutting = async {
        while !outbox.is_empty() || next < COUNT {
            tokio::select! {
                _ = outbox.step() => {}
                notice = reader.next() => if let Notice::Received(message) = notice {
                    let key = key_of(&message);
                    // Again is allowed, a hole is not.
                    assert!(key <= next, "{key} came before {next}");
                    next = next.max(key + 1);
                    if next == 700 * (cuts + 1) {
                        cuts += 1;
                        proxy.cut();
                    }
                }
            }
        }
    };
    let in_time = timeout(2 * DEADLINE, cutting).await.is_ok();
    assert!(in_time, "{next} of {COUNT} came after {cuts} cuts");
    assert_eq!(cuts, 5);
}

// E1: what a killed broker had taken and forgot is sent again when the reader misses it, as the
// programs do; everything else is the session's to keep.
#[tokio::test]
async fn a_broker_that_is_killed_in_the_middle_loses_nothing_that_it_had_not_taken() {
    const COUNT: u64 = 3_000;
    let mut broker = Broker::start().await;
    let mut reader = start(listener(&broker, "reader", "stream"));
    subscribed(&mut reader).await;
    let mut outbox = Outbox::new(start(broker.client("writer")), "stream", 0..COUNT);

    let mut seen = BTreeSet::new();
    let mut taken = BTreeSet::new();
    let mut kills = 0;
    let killing = async {
        loop {
            tokio::select! {
                key = outbox.step() => taken.extend(key),
                notice = reader.next() => if let Notice::Received(message) = notice {
                    seen.insert(key_of(&message));
                    if seen.len() > 700 * (kills + 1) && kills < 3 {
                        kills += 1;
                        broker.kill().await;
                        broker.run().await;
                        // The broker has no memory: whoever publishes before the reader is back
                        // would publish to nobody.
                        subscribed(&mut reader).await;
                    }
                }
            }
            if outbox.is_empty() {
                while let Ok(notice) = timeout(Duration::from_millis(200), reader.next()).await {
                    if let Notice::Received(message) = notice {
                        seen.insert(key_of(&message));
                    }
                }
                let missing: Vec<u64> = (0..COUNT).filter(|key| !seen.contains(key)).collect();
                assert!(missing.iter().all(|key| taken.contains(key)), "{missing:?}");
                if missing.is_empty() {
                    break;
                }
                outbox.refill(missing);
            }
        }
    };
    let in_time = timeout(2 * DEADLINE, killing).await.is_ok();
    assert!(in_time, "{} of {COUNT} came after {kills} kills", seen.len());
    assert_eq!((kills, seen.len() as u64), (3, COUNT));
}

// E1, DM3
#[tokio::test]
async fn what_was_not_delivered_is_forgotten_with_the_connection() {
    let mut broker = Broker::start().await;
    let mut writer = start(broker.client("writer"));
    let first = connected(&mut writer).await;
    broker.kill().await;
    for key in 0..5 {
        // The session does not know yet, or knows already: both are right.
        let _ = writer.publish(key, message("lost", "x"));
    }
    disconnected(&mut writer).await;
    assert_eq!((writer.free(), writer.number()), (0, None));
    broker.run().await;
    let second = connected(&mut writer).await;
    assert!(second > first, "{second} {first}");
    assert_eq!(writer.free(), 20);
    writer.publish(9, message("kept", "x")).unwrap();
    assert_eq!(delivered(&mut writer).await, (9, Delivery::NoSubscriber));
}

#[tokio::test]
async fn a_message_that_the_broker_does_not_take_is_refused_before_it_is_sent() {
    let broker = Broker::with("allow_anonymous true\nmax_packet_size 2000\n").await;
    let mut reader = start(listener(&broker, "reader", "size"));
    subscribed(&mut reader).await;
    let mut writer = start(broker.client("writer"));
    connected(&mut writer).await;

    let typed = |payload: usize| Message {
        content_type: Some("application/cbor"),
        expiry: Some(Duration::from_secs(60)),
        ..message("size", vec![b'x'; payload])
    };
    // Everything around the payload counts: header 3, topic 2 + 4, packet id 2, properties 1 + 19 + 5.
    let room = 2000 - 3 - 6 - 2 - 25;
    assert_eq!(writer.publish(1, typed(room + 1)), Err(PublishError::TooLarge { size: 2001, max: 2000 }));
    writer.publish(2, typed(room)).unwrap();
    assert_eq!(delivered(&mut writer).await, (2, Delivery::Accepted));
    let message = received(&mut reader).await;
    assert_eq!((message.payload.len(), message.content_type.as_deref()), (room, Some("application/cbor")));
}

#[tokio::test]
async fn a_message_larger_than_we_take_stays_at_the_broker() {
    let broker = Broker::start().await;
    let mut reader = start(Settings { max_incoming_packet: 1000, ..listener(&broker, "reader", "size") });
    subscribed(&mut reader).await;
    let mut writer = start(broker.client("writer"));
    connected(&mut writer).await;
    for (key, size) in [(1, 5000), (2, 900)] {
        writer.publish(key, message("size", vec![b'x'; size])).unwrap();
        delivered(&mut writer).await;
    }
    // The same connection goes on: nothing but the small message comes.
    let notice = timeout(DEADLINE, reader.next()).await.unwrap();
    assert!(matches!(&notice, Notice::Received(message) if message.payload.len() == 900), "{notice:?}");
}

#[tokio::test]
async fn a_topic_with_a_wildcard_is_refused() {
    let broker = Broker::start().await;
    let mut writer = start(broker.client("writer"));
    connected(&mut writer).await;
    for topic in ["", "a/#", "a/+/b"] {
        assert_eq!(writer.publish(1, message(topic, "x")), Err(PublishError::Topic(topic.to_owned())));
    }
    assert_eq!(writer.free(), 20);
}

// E1: the bridge acknowledges what it has stored, and gets the rest again.
#[tokio::test]
async fn a_message_that_was_not_acknowledged_comes_again() {
    let broker = Broker::start().await;
    let settings = Settings {
        clean_start: false,
        session_expiry: Duration::from_secs(600),
        manual_acks: true,
        receive_max: 10,
        ..listener(&broker, "reader", "work")
    };
    let mut reader = start(settings.clone());
    subscribed(&mut reader).await;
    let writer = start(broker.client("writer"));
    let mut outbox = Outbox::new(writer, "work", 0..30);
    drain(&mut outbox).await;

    let mut tokens = Vec::new();
    for key in 0..10 {
        let message = received(&mut reader).await;
        assert_eq!(message.payload, key.to_string());
        tokens.push(message.ack.unwrap());
    }
    // The receive maximum holds the rest back.
    assert!(timeout(Duration::from_millis(300), reader.next()).await.is_err());
    for token in &tokens[..4] {
        reader.ack(*token);
        reader.ack(*token);
    }
    for key in 10..14 {
        assert_eq!(received(&mut reader).await.payload, key.to_string());
    }

    // A new connection of the same session.
    reader.raise(reader.number().unwrap());
    disconnected(&mut reader).await;
    connected(&mut reader).await;
    // Tokens of before have no effect, although the packet ids are the same.
    for (key, token) in (4..10).zip(&tokens[4..]) {
        assert_eq!(received(&mut reader).await.payload, key.to_string());
        reader.ack(*token);
    }
    reader.raise(reader.number().unwrap());
    disconnected(&mut reader).await;
    connected(&mut reader).await;
    for key in 4..30 {
        let message = received(&mut reader).await;
        assert_eq!(message.payload, key.to_string());
        reader.ack(message.ack.unwrap());
    }
    reader.disconnect(DEADLINE).await.unwrap();
    let mut reader = start(settings);
    subscribed(&mut reader).await;
    assert!(timeout(Duration::from_millis(300), reader.next()).await.is_err(), "everything was acknowledged");
}

// E11
#[tokio::test]
async fn a_subscription_that_has_ended_is_there_again_on_the_next_connection() {
    let broker = Broker::start().await;
    let mut reader = start(listener(&broker, "reader", "once"));
    subscribed(&mut reader).await;
    let mut writer = start(broker.client("writer"));
    connected(&mut writer).await;
    reader.unsubscribe("once");
    let unheard = async {
        loop {
            writer.publish(1, message("once", "x")).unwrap();
            if delivered(&mut writer).await == (1, Delivery::NoSubscriber) {
                break;
            }
        }
    };
    timeout(DEADLINE, unheard).await.expect("the end of the subscription");
    reader.raise(reader.number().unwrap());
    until(&mut reader, |notice| matches!(notice, Notice::Subscribed { .. }).then_some(())).await;
    writer.publish(2, message("once", "again")).unwrap();
    assert_eq!(delivered(&mut writer).await, (2, Delivery::Accepted));
}

// E2
#[tokio::test]
async fn subscriptions_are_made_anew_after_a_restart_of_a_broker_without_memory() {
    let mut broker = Broker::start().await;
    let mut both = start(Settings { clean_start: false, ..listener(&broker, "both", "echo/+") });
    subscribed(&mut both).await;
    broker.kill().await;
    broker.run().await;
    let present = until(&mut both, |notice| match notice {
        Notice::Connected { session_present, .. } => Some(session_present),
        _ => None,
    })
    .await;
    assert!(!present);
    subscribed(&mut both).await;
    both.publish(1, Message { retain: true, ..message("echo/1", "again") }).unwrap();
    let echo = received(&mut both).await;
    assert_eq!((echo.topic.as_str(), echo.retain), ("echo/1", false));
}

#[tokio::test]
async fn a_message_of_quality_0_is_sent_without_an_answer_and_has_a_bound() {
    let broker = Broker::start().await;
    let mut reader = start(listener(&broker, "reader", "loose"));
    subscribed(&mut reader).await;
    let mut writer = start(broker.client("writer"));
    connected(&mut writer).await;
    let loose = || Message { qos: Qos::AtMostOnce, ..message("loose", "x") };
    let taken = (0..1000).take_while(|key| writer.publish(*key, loose()).is_ok()).count();
    assert_eq!(taken, 64);
    assert_eq!(writer.free(), 20);
    for _ in 0..taken {
        assert_eq!(received(&mut reader).await.ack, None);
    }
    assert!(timeout(Duration::from_millis(200), writer.next()).await.is_err());
    writer.publish(0, loose()).unwrap();
}

// A slow owner: pings go on, messages of QoS 1 wait at the broker, those of QoS 0 are counted.
#[tokio::test]
async fn an_owner_that_does_not_look_loses_nothing_of_quality_1() {
    let broker = Broker::start().await;
    let mut reader = start(Settings { receive_max: 5, ..listener(&broker, "reader", "slow/#") });
    subscribed(&mut reader).await;
    let mut writer = start(broker.client("writer"));
    connected(&mut writer).await;
    let mut sent = 0;
    while sent < 600 {
        match writer.publish(0, Message { qos: Qos::AtMostOnce, ..message("slow/0", "x") }) {
            Ok(()) => sent += 1,
            Err(_) => {
                // The answer to a message of QoS 1 says that all before it are at the broker.
                writer.publish(1, message("flush", "x")).unwrap();
                delivered(&mut writer).await;
            }
        }
    }
    let mut outbox = Outbox::new(writer, "slow/1", 0..40);
    drain(&mut outbox).await;

    let (mut loose, mut next) = (0, 0);
    while next < 40 {
        let message = received(&mut reader).await;
        if message.topic == "slow/0" {
            loose += 1;
        } else {
            assert_eq!(message.payload, next.to_string());
            next += 1;
        }
    }
    assert!(reader.dropped() > 0 && reader.dropped() + loose == 600, "{} {loose}", reader.dropped());
}

// PS4
#[tokio::test]
async fn a_further_subscription_comes_and_goes_and_is_made_anew_on_every_connection() {
    let broker = Broker::start().await;
    let mut reader = start(listener(&broker, "reader", "always"));
    subscribed(&mut reader).await;
    let mut writer = start(broker.client("writer"));
    connected(&mut writer).await;
    let answered = |notice| match notice {
        Notice::Subscribed { filter } => Some(filter),
        _ => None,
    };
    for wrong in ["", "a/#/b"] {
        assert_eq!(reader.subscribe(wrong), Err(SubscribeError::Filter(wrong.to_owned())));
    }
    for filter in ["more/1", "more/2"] {
        reader.subscribe(filter).unwrap();
    }
    assert_eq!(until(&mut reader, answered).await, "more/1");
    assert_eq!(until(&mut reader, answered).await, "more/2");
    for (key, topic) in ["more/1", "always", "more/2"].into_iter().enumerate() {
        writer.publish(key as u64, message(topic, "x")).unwrap();
        assert_eq!(delivered(&mut writer).await, (key as u64, Delivery::Accepted));
        assert_eq!(received(&mut reader).await.topic, topic);
    }
    // One that has ended is not there again.
    reader.unsubscribe("more/1");
    reader.raise(reader.number().unwrap());
    disconnected(&mut reader).await;
    let mut again = [until(&mut reader, answered).await, until(&mut reader, answered).await];
    again.sort();
    assert_eq!(again, ["always", "more/2"]);
    writer.publish(9, message("more/1", "x")).unwrap();
    assert_eq!(delivered(&mut writer).await, (9, Delivery::NoSubscriber));
}

// PS4: a bridge that was killed while it followed a log.
#[tokio::test]
async fn a_subscription_that_the_broker_kept_of_an_earlier_life_can_be_ended() {
    let broker = Broker::start().await;
    let settings = Settings {
        clean_start: false,
        session_expiry: Duration::from_secs(600),
        ..listener(&broker, "reader", "always")
    };
    let mut reader = start(settings.clone());
    subscribed(&mut reader).await;
    reader.subscribe("left").unwrap();
    subscribed(&mut reader).await;
    drop(reader);
    let mut writer = start(broker.client("writer"));
    connected(&mut writer).await;
    writer.publish(1, message("left", "x")).unwrap();
    assert_eq!(delivered(&mut writer).await, (1, Delivery::Accepted));
    let mut reader = start(settings);
    assert_eq!(received(&mut reader).await.topic, "left");
    reader.unsubscribe("left");
    let unheard = async {
        loop {
            writer.publish(2, message("left", "x")).unwrap();
            if delivered(&mut writer).await == (2, Delivery::NoSubscriber) {
                break;
            }
        }
    };
    let taken = async {
        loop {
            reader.next().await;
        }
    };
    tokio::select! {
        ended = timeout(DEADLINE, unheard) => ended.expect("the end of the subscription"),
        () = taken => {}
    }
}
