use super::*;

fn at(millis: u64) -> Now {
    Now { mono: Duration::from_millis(millis), wall: 0 }
}

fn pi() -> AgentId {
    "pi".parse().unwrap()
}

fn log() -> Channel {
    Channel::Log("1-a".into())
}

fn chunk(number: u64, text: &str, end: Option<&str>) -> LogChunk {
    let piece = LogPiece { stream: "stdout".into(), text: text.into() };
    let pieces = if text.is_empty() { Vec::new() } else { vec![piece] };
    LogChunk { number, pieces, end: end.map(Into::into) }
}

fn sample() -> Stats {
    Stats { at: 7, host: Default::default(), containers: Vec::new() }
}

fn out(following: &mut Following) -> Vec<String> {
    std::iter::from_fn(|| following.next_effect())
        .map(|effect| match effect {
            Effect::Subscribe(agent, channel) => format!("subscribe {agent}/{channel}"),
            Effect::Unsubscribe(agent, channel) => format!("unsubscribe {agent}/{channel}"),
            Effect::Send(jti) => format!("send {jti}"),
            Effect::Unsent { jti, reason } => format!("unsent {jti} {reason}"),
            Effect::Alive(jti) => format!("alive {jti}"),
            Effect::Renew { stream, command, .. } => format!("renew {stream} {}", command.word()),
            Effect::Cancel { agent, jti, who } => format!("cancel {agent} {jti} by {who}"),
            Effect::Give { stream, item } => match item {
                Item::Taken => format!("{stream} taken"),
                Item::Pieces(pieces) => format!("{stream} `{}`", pieces.iter().map(|it| &*it.text).collect::<String>()),
                Item::Lost(count) => format!("{stream} lost {count}"),
                Item::Sample(stats) => format!("{stream} sample {}", stats.at),
                Item::End { reason, state } => format!("{stream} end {reason} {}", state.as_str()),
            },
        })
        .collect()
}

/// Runs a script of `(line, what comes out)`; a line is a time and what happens then.
#[track_caller]
fn check(kind: Kind, script: &[(&str, &[&str])]) {
    let mut following = Following::default();
    for (line, expected) in script {
        let (millis, what) = line.split_once(' ').unwrap();
        let now = at(millis.parse().unwrap());
        let channel = if kind == Kind::Log { log() } else { Channel::Stats };
        let (word, rest) = what.split_once(' ').unwrap_or((what, ""));
        match word {
            "open" => following.open(rest.into(), pi(), "Ann".into(), kind, now),
            "ready" => assert!(!following.may_send(rest), "{rest}"),
            "sent" => assert!(following.may_send(rest), "{rest}"),
            "subscribed" => following.handle_subscribed(pi(), channel),
            "refused" => following.handle_refused(pi(), channel, rest),
            "lost" => following.handle_lost(),
            "gone" => following.handle_gone(rest),
            "renewed" => following.handle_renewed("1-a", rest.into(), now),
            "not-renewed" => following.handle_not_renewed("1-a", rest),
            "sample" => following.handle_stats(&pi(), sample()),
            "time" => following.handle_timeout(now),
            "news" => {
                let (jti, state) = rest.split_once(' ').unwrap();
                let (state, reason) =
                    state.split_once(' ').map_or((state, None), |(state, reason)| (state, Some(reason)));
                let (state, reason) = (State::from_word(state), reason.map(Into::into));
                following.handle_news(&News { jti: jti.into(), at: 0, state, reason, result: None }, now);
            }
            "chunk" => {
                let mut words = rest.splitn(3, ' ');
                let number = words.next().unwrap().parse().unwrap();
                let text = words.next().unwrap_or("");
                following.handle_chunk(&pi(), "1-a", chunk(number, text, words.next()), now);
            }
            other => panic!("{other}"),
        }
        assert_eq!(out(&mut following), *expected, "after `{line}`");
    }
}

// PS5
#[test]
fn a_log_is_subscribed_to_before_its_command_goes_and_ends_with_chunk_and_outcome() {
    check(
        Kind::Log,
        &[
            ("0 open 1-a", &["subscribe pi/log/1-a"]),
            ("1 ready 1-a", &[]),
            ("2 subscribed", &["send 1-a"]),
            ("3 news 1-a accepted", &["1-a taken"]),
            ("3 news 1-a progress", &[]),
            ("4 chunk 0 one", &["alive 1-a", "1-a `one`"]),
            ("5 chunk 1 two end", &["alive 1-a", "1-a `two`"]),
            ("6 news 1-a succeeded", &["unsubscribe pi/log/1-a", "1-a end end succeeded"]),
            // What comes late is nobody's.
            ("7 chunk 2 three", &["unsubscribe pi/log/1-a"]),
        ],
    );
    // The grant may come first, and so may the outcome.
    check(
        Kind::Log,
        &[
            ("0 open 1-a", &["subscribe pi/log/1-a"]),
            ("1 subscribed", &[]),
            ("2 sent 1-a", &[]),
            ("3 news 1-a succeeded", &[]),
            ("4 chunk 0 one limit", &["alive 1-a", "1-a `one`", "unsubscribe pi/log/1-a", "1-a end limit succeeded"]),
        ],
    );
}

// PS5
#[test]
fn a_chunk_is_given_once_and_a_hole_is_told() {
    check(
        Kind::Log,
        &[
            ("0 open 1-a", &["subscribe pi/log/1-a"]),
            ("0 subscribed", &[]),
            ("0 sent 1-a", &[]),
            ("1 chunk 0 a", &["alive 1-a", "1-a `a`"]),
            ("2 chunk 0 a", &[]),
            ("3 chunk 1 b", &["alive 1-a", "1-a `b`"]),
            ("4 chunk 0 a", &[]),
            ("5 chunk 5 f", &["alive 1-a", "1-a lost 3", "1-a `f`"]),
            ("6 chunk 2 c", &[]),
            ("7 chunk 6  end", &["alive 1-a"]),
            ("8 chunk 7 after", &[]),
        ],
    );
}

// PS4
#[test]
fn who_leaves_ends_it_at_the_agent() {
    let opened: [(&str, &[&str]); 3] =
        [("0 open 1-a", &["subscribe pi/log/1-a"]), ("1 subscribed", &[]), ("2 sent 1-a", &[])];
    let cancel: (&str, &[&str]) = ("3 gone 1-a", &["unsubscribe pi/log/1-a", "cancel pi 1-a by Ann"]);
    check(Kind::Log, &[&opened[..], &[cancel, ("4 gone 1-a", &[])]].concat());
    // One that ends by itself needs no end.
    let ending: [(&str, &[&str]); 2] =
        [("3 chunk 0  end", &["alive 1-a"]), ("4 gone 1-a", &["unsubscribe pi/log/1-a"])];
    check(Kind::Log, &[&opened[..], &ending].concat());
    // One that was not sent is not sent any more.
    let unsent = "unsent 1-a cancelled: who asked for it has left";
    check(Kind::Log, &[opened[0], ("1 ready 1-a", &[]), ("2 gone 1-a", &["unsubscribe pi/log/1-a", unsent])]);
}

// PS4
#[test]
fn what_is_refused_or_lost_ends() {
    let opened: (&str, &[&str]) = ("0 open 1-a", &["subscribe pi/log/1-a"]);
    check(
        Kind::Log,
        &[
            opened,
            ("1 refused no access", &["unsent 1-a bridge-trouble: no access"]),
            (
                "2 news 1-a failed bridge-trouble: no access",
                &["unsubscribe pi/log/1-a", "1-a end bridge-trouble: no access failed"],
            ),
        ],
    );
    check(Kind::Log, &[opened, ("1 ready 1-a", &[]), ("2 lost", &["unsent 1-a bridge-trouble: link lost"])]);
    check(
        Kind::Log,
        &[
            opened,
            ("1 subscribed", &[]),
            ("2 sent 1-a", &[]),
            ("3 lost", &["unsubscribe pi/log/1-a", "1-a end link lost unknown"]),
            ("4 gone 1-a", &[]),
        ],
    );
    check(
        Kind::Log,
        &[
            opened,
            ("1 subscribed", &[]),
            ("2 sent 1-a", &[]),
            ("3 news 1-a refused policy: not here", &["unsubscribe pi/log/1-a", "1-a end policy: not here refused"]),
        ],
    );
}

// PS5
#[test]
fn a_last_chunk_or_an_outcome_that_does_not_come_is_not_waited_for_for_ever() {
    let opened: [(&str, &[&str]); 3] =
        [("0 open 1-a", &["subscribe pi/log/1-a"]), ("1 subscribed", &[]), ("2 sent 1-a", &[])];
    let (ended, unheard) = (
        ["unsubscribe pi/log/1-a", "1-a end end unknown"],
        ["unsubscribe pi/log/1-a", "1-a end its end did not come succeeded"],
    );
    let chunk: [(&str, &[&str]); 3] = [("10 chunk 0  end", &["alive 1-a"]), ("5009 time", &[]), ("5010 time", &ended)];
    check(Kind::Log, &[&opened[..], &chunk].concat());
    let outcome: [(&str, &[&str]); 2] = [("10 news 1-a succeeded", &[]), ("5010 time", &unheard)];
    check(Kind::Log, &[&opened[..], &outcome].concat());
}

// DM8
#[test]
fn samples_are_asked_for_again_while_somebody_looks() {
    let begun: [(&str, &[&str]); 5] = [
        ("0 open 1-a", &["subscribe pi/stats"]),
        ("1 ready 1-a", &[]),
        ("2 subscribed", &["send 1-a"]),
        ("3 news 1-a succeeded", &[]),
        ("4 sample", &["alive 1-a", "1-a sample 7"]),
    ];
    check(
        Kind::Stats(None),
        &[
            &begun[..],
            &[
                // Another one shares the topic.
                ("5 open 1-b", &[]),
                ("6 sent 1-b", &[]),
                ("7 sample", &["alive 1-a", "1-a sample 7", "alive 1-b", "1-b sample 7"]),
                ("8 gone 1-b", &["cancel pi 1-b by Ann"]),
                ("44999 time", &[]),
                ("45000 time", &["renew 1-a stats"]),
                ("45001 renewed 2-a", &[]),
                ("45002 sent 2-a", &[]),
                ("50000 gone 1-a", &["unsubscribe pi/stats", "cancel pi 2-a by Ann"]),
                ("50001 sample", &["unsubscribe pi/stats"]),
            ],
        ]
        .concat(),
    );
    let busy: [(&str, &[&str]); 2] = [
        ("45000 time", &["renew 1-a stats"]),
        ("45001 not-renewed busy", &["unsubscribe pi/stats", "1-a end busy failed"]),
    ];
    check(Kind::Stats(None), &[&begun[..], &busy].concat());
}

// PS4: what a bridge that was killed has left at the broker.
#[test]
fn a_grant_that_nobody_waits_for_and_another_agents_chunk_are_ended() {
    let mut following = Following::default();
    following.handle_subscribed(pi(), log());
    assert_eq!(out(&mut following), ["unsubscribe pi/log/1-a"]);
    following.open("1-a".into(), pi(), "Ann".into(), Kind::Log, at(0));
    out(&mut following);
    following.handle_chunk(&"attic".parse().unwrap(), "1-a", chunk(0, "x", None), at(1));
    assert_eq!(out(&mut following), ["unsubscribe attic/log/1-a"]);
}
