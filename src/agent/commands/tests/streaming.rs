//! Logs as commands: beside all queues, bounded, and ended with the link.

use super::*;

fn logs(container: &str) -> Command {
    let (tail, since, until, limit) = (Some(10), Some(5), None, None);
    Command::Logs { container: container.into(), tail, since, until, timestamps: true, follow: true, limit }
}

fn cancel(jti: &str) -> Command {
    Command::Cancel { jti: jti.into() }
}

// DM5, E5
#[test]
fn a_log_is_told_beside_the_queue_of_its_container() {
    let mut desk = Desk::new("operate,logs");
    assert_eq!(desk.command(logs("web")), ["01-1 accepted"]);
    let (id, tail, since, until) = (id(1), Some(10), Some(5), None);
    assert_eq!(desk.acts, [(1, Act::Logs { id, tail, since, until, timestamps: true, follow: true })]);
    desk.command(restart("web"));
    assert_eq!(desk.acts.len(), 2, "a log that is followed delays no restart");
    for _ in 0..8 {
        desk.command(restart("web"));
    }
    assert_eq!(desk.command(restart("web")), ["01-11 refused busy"]);
    assert_eq!(desk.command(logs("web")), ["01-12 accepted"], "nor does a queue delay a log");
    desk.done(3, Ok(Done { needed: false, result: None }));
    assert!(!desk.commands.is_idle());
    let chunk = desk.commands.next_chunk(desk.now).unwrap();
    assert_eq!((chunk.ticket, chunk.channel.to_string().as_str()), (3, "log/01-12"));
    assert!(desk.told().is_empty(), "it ends after its last chunk");
    desk.commands.handle_chunk(3, Delivery::Accepted, desk.now);
    desk.settle();
    let (_, outcome) = desk.commands.next_outcome().unwrap();
    let result = [("chunks", 1.into()), ("bytes", 0.into()), ("end", "end".into())];
    let result = result.map(|(key, value): (_, ciborium::Value)| (key.into(), value)).to_vec();
    assert_eq!((&*outcome.jti, outcome.result.as_ref()), ("01-12", Some(&ciborium::Value::Map(result))));
    let noted = read(&desk.journal);
    assert!(noted.get("01-12").unwrap().outcome.is_some() && noted.get("01-1").unwrap().outcome.is_none());
}

// DM5, E7
#[test]
fn logs_are_bounded_and_the_host_decides() {
    let mut desk = Desk::new("logs");
    for number in 1..=4 {
        assert_eq!(desk.command(logs("web")), [format!("01-{number} accepted")]);
    }
    assert_eq!(desk.command(logs("cache")), ["01-5 refused busy"]);
    assert_eq!(desk.command(cancel("01-2")), ["01-6 accepted", "01-6 succeeded"]);
    assert_eq!(desk.engine, ["cancel 2"]);
    desk.commands.next_chunk(desk.now).unwrap();
    desk.commands.handle_chunk(2, Delivery::Accepted, desk.now);
    desk.settle();
    assert_eq!(desk.told(), ["01-2 succeeded cancelled"]);
    assert_eq!(desk.command(cancel("01-2")), ["01-7 accepted", "01-7 failed not-found"]);
    assert_eq!(desk.command(logs("cache")), ["01-8 accepted"]);
    let mut desk = Desk::new("observe");
    assert_eq!(desk.command(logs("web")), ["01-1 refused policy"]);
    assert_eq!(desk.command(cancel("01-1")), ["01-2 accepted", "01-2 failed not-found"]);
    let mut desk = Desk::new("all");
    desk.records = BTreeMap::from([record(1, "quiet", &[("radar.deny", "logs")])]);
    assert_eq!(desk.command(logs("quiet")), ["01-1 refused policy"]);
    assert!(desk.acts.is_empty());
}

// PS4, E5
#[test]
fn a_link_that_is_lost_and_a_crash_end_a_log_and_say_so() {
    let mut desk = Desk::new("logs");
    desk.command(logs("web"));
    desk.command(logs("web"));
    let piece = Piece::Log(vec![radar_wire::command::LogPiece { stream: "stdout".into(), text: "a".into() }]);
    desk.commands.handle_told(1, piece, desk.now);
    desk.commands.handle_away(desk.now);
    desk.settle();
    assert_eq!(desk.engine, ["cancel 1", "cancel 2"]);
    assert!(desk.commands.next_chunk(desk.now).is_none(), "nothing is kept for later");
    assert_eq!(desk.told(), ["01-1 failed interrupted", "01-2 failed interrupted"]);
    desk.done(1, Err(ActError { kind: ActErrorKind::Cancelled, text: "".into() }));
    assert!(desk.told().is_empty());
    desk.command(logs("web"));
    let journal = read(&desk.journal);
    let Desk { key, commands, .. } = desk;
    let mut after = Desk::with(key, commands.rules, journal);
    assert_eq!(after.told(), ["01-3 failed interrupted"]);
}

// PS4
#[test]
fn a_stop_ends_logs() {
    let mut desk = Desk::new("logs");
    desk.command(logs("web"));
    desk.commands.handle_stop(desk.now);
    desk.settle();
    assert!(!desk.commands.is_idle());
    desk.commands.next_chunk(desk.now).unwrap();
    desk.commands.handle_chunk(1, Delivery::NoSubscriber, desk.now);
    desk.settle();
    assert_eq!(desk.told(), ["01-1 failed interrupted"]);
    assert!(desk.commands.is_idle());
}
