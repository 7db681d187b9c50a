//! How history ends.

use super::*;

const DAY: i64 = 86_400_000;

async fn fill(store: &Store, name: &str, numbers: std::ops::RangeInclusive<u64>, heard: i64) {
    let events = numbers.map(|number| Write::Event {
        agent: agent_id(name),
        heard,
        event: Box::new(plain(7, number, "die", None)),
    });
    commit(store, std::iter::once(agent(name)).chain(events).collect()).await;
}

async fn tidy(store: &Store, wall: i64) -> u64 {
    let mut deleted = 0;
    loop {
        let slice = store.tidy(wall).await.unwrap();
        assert!(slice.deleted <= 6000, "{slice:?}");
        deleted += slice.deleted;
        if !slice.more {
            return deleted;
        }
    }
}

#[tokio::test]
async fn what_is_too_old_goes_in_slices() {
    let room = Room::new();
    let keep = Keep { days: 2, ..Keep::default() };
    let (store, _) = Store::open(&room.path(), keep).unwrap();
    fill(&store, "pi", 1..=4500, 0).await;
    fill(&store, "pi", 4501..=4510, DAY).await;
    assert_eq!(tidy(&store, 2 * DAY).await, 0);
    assert_eq!(store.tidy(2 * DAY + 5).await.unwrap(), Tidied { deleted: 2000, more: true });
    assert_eq!(tidy(&store, 2 * DAY + 5).await, 2500);
    assert_eq!(room.history("pi").len(), 10);
}

#[tokio::test]
async fn what_is_too_much_goes_from_the_oldest_on() {
    let room = Room::new();
    let keep = Keep { events_per_agent: 2500, events: 4000, ..Keep::default() };
    let (store, _) = Store::open(&room.path(), keep).unwrap();
    fill(&store, "attic", 1..=1000, 0).await;
    fill(&store, "pi", 1..=2600, 1).await;
    // One agent over its bound takes nothing from another.
    assert_eq!(tidy(&store, 2).await, 100);
    assert_eq!((room.history("pi").len(), room.history("attic").len()), (2500, 1000));
    assert_eq!(room.history("pi")[0], "die 7/101");
    fill(&store, "cellar", 1..=1100, 3).await;
    assert_eq!(tidy(&store, 4).await, 600);
    assert_eq!((room.history("pi").len(), room.history("attic").len()), (2500, 400));
    // The counts survive a restart.
    store.close().await;
    let (store, _) = Store::open(&room.path(), Keep { events_per_agent: 2000, ..keep }).unwrap();
    assert_eq!(tidy(&store, 4).await, 500);
    let counts: Vec<i64> = Connection::open(room.path())
        .unwrap()
        .prepare("SELECT events FROM agents ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(counts, [400, 1100, 2000]);
}
