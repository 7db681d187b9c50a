//! What the command line sees.

use super::*;

// DM7
#[tokio::test]
async fn history_is_in_the_engines_order() {
    let room = Room::new();
    let (store, _) = room.open();
    let at = |event: Event, at| Event { at, ..event };
    let writes = vec![
        agent("pi"),
        // A later epoch may have a smaller number, when the host had no clock.
        write("pi", plain(9, 2, "die", Some(3_000_000))),
        write("pi", at(plain(9, 3, "changed", None), 4)),
        write("pi", plain(5, 1, "start", Some(5_000_000))),
        write("pi", plain(9, 1, "start", Some(2_000_000))),
        write("pi", at(plain(5, 2, "found", None), 4)),
    ];
    commit(&store, writes).await;
    assert_eq!(room.history("pi"), ["start 9/1", "die 9/2", "changed 9/3", "found 5/2", "start 5/1"]);

    let mut since = Vec::new();
    room.reader()
        .events(&agent_id("pi"), Some(4), |stored| {
            since.push(text(&stored.event));
            if since.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(since, ["changed 9/3", "found 5/2"]);
    room.reader().events(&agent_id("nobody"), None, |_| panic!("there is none")).unwrap();
}

#[tokio::test]
async fn what_arrives_can_be_followed() {
    let room = Room::new();
    let (store, _) = room.open();
    commit(&store, vec![agent("pi"), agent("attic"), write("pi", plain(7, 1, "start", Some(90)))]).await;
    let mut reader = room.reader();
    assert!(reader.changed().unwrap());
    assert!(!reader.changed().unwrap());
    let before = reader.last_arrival().unwrap();
    assert_eq!(reader.arrivals(&agent_id("pi"), before).unwrap(), []);
    let late = vec![write("attic", plain(7, 1, "start", None)), write("pi", plain(6, 9, "die", Some(10)))];
    commit(&store, late).await;
    assert!(reader.changed().unwrap());
    let new = reader.arrivals(&agent_id("pi"), before).unwrap();
    assert_eq!(new.iter().map(|stored| text(&stored.event)).collect::<Vec<_>>(), ["die 6/9"]);
    assert_eq!(new[0].arrival, reader.last_arrival().unwrap());
    // Arrival goes on after a restart, also when the clock was set back.
    store.close().await;
    let (store, _) = room.open();
    let back = Write::Event { agent: agent_id("pi"), heard: 0, event: Box::new(plain(7, 2, "die", None)) };
    commit(&store, vec![back]).await;
    assert!(room.reader().last_arrival().unwrap() > new[0].arrival);
}

// PS1
#[tokio::test]
async fn the_newest_events_of_one_or_all_are_told_as_they_arrived() {
    let room = Room::new();
    let (store, _) = room.open();
    let mut writes = vec![agent("pi"), agent("attic")];
    for number in 1..=3 {
        writes.push(write("pi", plain(7, number, "start", Some(number as i64 * 1_000_000))));
    }
    writes.push(write("attic", plain(7, 1, "die", Some(9_000_000))));
    commit(&store, writes).await;
    let reader = room.reader();
    let read = |wanted: &Wanted, limit| -> Vec<String> {
        let found = reader.newest_events(wanted, limit).unwrap();
        found.iter().map(|(agent, stored)| format!("{agent} {}", text(&stored.event))).collect()
    };
    let pi = Wanted { agent: Some(agent_id("pi")), ..Wanted::default() };
    assert_eq!(read(&Wanted::default(), 2), ["pi start 7/3", "attic die 7/1"]);
    assert_eq!(read(&pi, 2), ["pi start 7/2", "pi start 7/3"]);
    assert_eq!(read(&Wanted { since: Some(3), ..pi.clone() }, 9), ["pi start 7/3"]);
    let all = reader.newest_events(&Wanted::default(), 9).unwrap();
    let after = |at: usize| Some(Arrival::of(all[at].1.arrival.number()));
    assert_eq!(read(&Wanted { after: after(0), ..pi.clone() }, 1), ["pi start 7/2"]);
    assert_eq!(read(&Wanted { after: after(3), ..Wanted::default() }, 9), [""; 0]);
    for (container, count) in [("nobody", 0), ("070708", 0)] {
        let wanted = Wanted { container: Some(container.into()), ..Wanted::default() };
        assert_eq!(read(&wanted, 9).len(), count, "{container}");
    }
    if let Some(id) = all[0].1.event.id {
        let (whole, begins) = (id.to_string(), id.short());
        for container in [whole, begins] {
            let wanted = Wanted { container: Some(container.into()), ..pi.clone() };
            assert_eq!(read(&wanted, 9).len(), 3);
        }
    }
}

// RR13
#[tokio::test]
async fn agents_and_accounts_are_shown_without_secrets() {
    let room = Room::new();
    let (store, _) = room.open();
    commit(&store, vec![agent("pi"), agent("attic"), Write::Upstream(Box::new(account("pi")))]).await;
    let reader = room.reader();
    assert_eq!(reader.agents().unwrap(), [row("attic"), row("pi")]);
    let shown = format!("{:?}", reader.upstreams().unwrap());
    assert!(shown.contains("up-1") && shown.contains("enrolled") && !shown.contains("hush"), "{shown}");
}
