use radar_wire::codec::decode;

use super::*;

const KIND: fn() -> Kind = || Kind::new(3, Duration::from_secs(30));

fn now(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), wall: 1_760_000_000_000 + i64::try_from(seconds).unwrap() * 1000 }
}

fn agent() -> Agent {
    Agent::new(7, "sim-7".parse().unwrap(), now(0))
}

/// Publishes and acknowledges all that is wanted, and says it in words.
fn play(agent: &mut Agent, counts: &mut Counts, at: u64) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(publication) = agent.next_publication(&KIND(), counts, now(at)).unwrap() {
        said.push(words(&publication));
        agent.handle_acknowledged(counts);
    }
    said
}

fn words(publication: &Publication) -> String {
    let (kind, bytes) = (Some(publication.payload.content_type.as_str()), &publication.payload.bytes);
    match publication.channel {
        Channel::Status => format!("status {}", decode::<Status>(kind, bytes).unwrap().reason.as_str()),
        Channel::Snapshot => {
            let snapshot: Snapshot = decode(kind, bytes).unwrap();
            let paused = snapshot.containers.iter().filter(|record| record.state == State::Paused).count();
            format!("snapshot {} of {}, {paused} paused", snapshot.sequence, snapshot.containers.len())
        }
        _ => {
            let event: Event = decode(kind, bytes).unwrap();
            match event.first {
                Some(first) => format!("gap {first}..={}", event.sequence),
                None => format!("{} {}", event.action.as_str(), event.sequence),
            }
        }
    }
}

#[test]
fn it_is_born_tells_what_happens_and_says_goodbye() {
    let (mut agent, mut counts) = (agent(), Counts::default());
    agent.handle_happening(now(1));
    assert!(play(&mut agent, &mut counts, 1).is_empty(), "without a connection nothing is published");
    agent.handle_connected(5);
    assert_eq!(play(&mut agent, &mut counts, 2), ["status start", "pause 1", "snapshot 1 of 3, 1 paused"]);
    assert!(agent.online());
    agent.handle_happening(now(3));
    assert_eq!(play(&mut agent, &mut counts, 3), ["unpause 2"]);
    assert_eq!(play(&mut agent, &mut counts, 32), ["snapshot 2 of 3, 0 paused"]);
    agent.handle_happening(now(33));
    agent.handle_stop();
    assert_eq!(play(&mut agent, &mut counts, 33), ["pause 3", "status stop"]);
    assert_eq!((counts.published, counts.acknowledged, counts.gaps), (3, 3, 0));
}

#[test]
fn what_the_broker_has_not_acknowledged_comes_again() {
    let (mut agent, mut counts) = (agent(), Counts::default());
    agent.handle_connected(1);
    play(&mut agent, &mut counts, 1);
    for _ in 0..20 {
        agent.handle_happening(now(2));
    }
    let mut sent = 0;
    while agent.next_publication(&KIND(), &mut counts, now(2)).unwrap().is_some() {
        sent += 1;
    }
    assert_eq!(sent, WINDOW, "no more than the window is under way");
    agent.handle_acknowledged(&mut counts);
    agent.handle_disconnected();
    agent.handle_connected(2);
    let said = play(&mut agent, &mut counts, 3);
    assert_eq!(said[..3], ["status start", "unpause 2", "pause 3"]);
    assert_eq!(said.len(), 1 + 19 + 1);
    assert_eq!(counts.acknowledged, 20);
}

#[test]
fn questions_are_answered_from_the_ring_or_by_a_gap() {
    let (mut agent, mut counts) = (agent(), Counts::default());
    agent.handle_connected(1);
    for _ in 0..RING + 10 {
        agent.handle_happening(now(1));
    }
    let said = play(&mut agent, &mut counts, 1);
    assert_eq!(said[1..3], ["gap 1..=10", "pause 11"]);
    let epoch = agent.epoch;
    for (epoch, from, to, answer) in [
        (epoch, 12, 13, &["unpause 12", "pause 13"][..]),
        (epoch, 9, 11, &["gap 9..=10", "pause 11"]),
        (epoch, 2, 4, &["gap 2..=4"]),
        (epoch, 266, 300, &["unpause 266"]),
        (epoch, 267, 300, &[]),
        (epoch, 5, 4, &[]),
        (epoch - 1, 12, 13, &["gap 12..=13"]),
        (epoch, 0, 3, &[]),
    ] {
        agent.handle_question(Resend { epoch, from, to });
        assert_eq!(play(&mut agent, &mut counts, 1), answer, "{from}..={to} of {epoch}");
    }
}

#[test]
fn it_contradicts_the_will_of_an_earlier_session_only() {
    let (mut agent, mut counts) = (agent(), Counts::default());
    agent.handle_connected(5);
    play(&mut agent, &mut counts, 1);
    for (session, reason, answer) in
        [(4, Reason::Lost, &["status reassert"][..]), (4, Reason::Start, &[]), (5, Reason::Stop, &[])]
    {
        agent.handle_status(&status(7, &"sim-7".parse().unwrap(), session, reason.clone(), now(1)));
        assert_eq!(play(&mut agent, &mut counts, 2), answer, "{reason:?} of session {session}");
    }
}
