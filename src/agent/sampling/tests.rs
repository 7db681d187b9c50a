use super::*;

/// Samplings as lines: `10 ask a 6 2`, `12 sample` (is one due, and does it begin), `12 end`.
fn check(configured: Option<u64>, script: &str) {
    let mut sampling = Sampling::new(configured.map(Duration::from_secs));
    let mut ticket = 0;
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (what, expect) = line.split_once(" → ").unwrap_or((line, ""));
        let words: Vec<&str> = what.split(' ').collect();
        let seconds: f64 = words[0].parse().unwrap();
        let mono = Duration::from_secs_f64(seconds);
        let now = Now { mono, wall: 1_000_000 + i64::try_from(mono.as_millis()).unwrap() };
        let said = match &words[1..] {
            ["connected"] => {
                sampling.handle_connected();
                String::new()
            }
            ["away"] => {
                sampling.handle_away();
                String::new()
            }
            ["ask", jti, seconds, interval] => {
                let ask = Ask::new(seconds.parse().unwrap(), interval.parse().ok()).unwrap();
                let grant = sampling.ask(jti, ask, now);
                grant.map_or("busy".to_owned(), |grant| format!("every {} until {}", grant.interval, grant.until))
            }
            ["cancel", jti] => sampling.cancel(jti, mono).to_string(),
            ["put", "off"] => {
                sampling.put_off(mono);
                String::new()
            }
            ["sample"] => {
                sampling.handle_timeout(mono);
                let due = sampling.is_due(mono);
                if due {
                    ticket += 1;
                    sampling.begin(ticket, mono);
                    sampling.handle_host(Usage { pids: Some(ticket), ..Usage::default() }, now);
                }
                due.to_string()
            }
            ["told"] => {
                let told = sampling.handle_told(ticket, Vec::new());
                told.map_or("nothing".to_owned(), |stats| format!("{} {:?}", stats.at, stats.host.pids.unwrap()))
            }
            ["end"] => sampling.handle_ended(ticket, mono).to_string(),
            ["next"] => sampling.poll_timeout().map_or("never".to_owned(), |at| at.as_secs_f64().to_string()),
            _ => panic!("not a line: {line}"),
        };
        assert_eq!(said, expect, "{line}");
    }
}

// DM8
#[test]
fn nobody_wants_samples_unless_somebody_says_so() {
    check(None, "0 connected\n 5 next → never\n 5 sample → false");
}

// DM8
#[test]
fn samples_are_taken_while_they_are_asked_for() {
    check(
        None,
        "0 connected
         10 ask a 6 2 → every 2 until 1016000
         10 next → 10
         10 sample → true
         10 sample → false
         10 next → never
         10.1 told → 1010000 1
         10.1 told → nothing
         10.2 end → true
         10.2 next → 12
         11.9 sample → false
         12 sample → true
         12 end → true
         14 sample → true
         15 end → true
         15 next → never
         16 sample → false
         20 sample → false",
    );
}

// DM8
#[test]
fn asking_again_prolongs_and_the_one_who_wants_most_is_served() {
    check(
        None,
        "0 connected
         10 ask a 6 5 → every 5 until 1016000
         10 sample → true
         10.1 end → true
         11 ask b 300 none → every 2 until 1311000
         11 sample → true
         11 end → true
         12 ask c 10 60 → every 2 until 1022000
         12 sample → true
         12 end → true
         12 cancel b → true
         12 cancel b → false
         12 cancel z → false
         14 sample → true
         14 end → true
         14 next → 19
         19 sample → true
         19 end → true
         19 cancel a → false
         19 next → never",
    );
}

// DM8
#[test]
fn the_operator_may_want_them_always_and_askers_more_of_them() {
    check(
        Some(60),
        "0 connected
         0 sample → true
         0 end → true
         0 next → 60
         59 sample → false
         60 sample → true
         60 end → true
         70 ask a 4 1 → every 1 until 1074000
         70 sample → true
         70 end → true
         71 sample → true
         71 end → true
         71 cancel a → true
         72 sample → true
         72 end → true
         72 next → 132",
    );
}

// DM8
#[test]
fn a_slow_sample_delays_the_next_and_never_overlaps() {
    check(
        None,
        "0 connected
         0 ask a 300 2 → every 2 until 1300000
         0 sample → true
         2 sample → false
         9 sample → false
         10 told → 1000000 1
         10 end → true
         10 next → 12
         11 sample → false
         12 sample → true",
    );
}

// DM8
#[test]
fn whoever_wakes_too_late_waits_for_nothing() {
    check(
        None,
        "0 connected
         0 ask a 3 2 → every 2 until 1003000
         0 sample → true
         0 end → true
         0 next → 2
         5 sample → false
         5 next → never",
    );
}

// DM8
#[test]
fn a_sample_that_cannot_be_taken_yet_is_tried_again_soon() {
    check(Some(3600), "0 connected\n 0 sample → true\n 0 put off\n 0 next → 5\n 5 sample → true");
}

// DM8
#[test]
fn nothing_is_sampled_for_a_broker_that_is_away() {
    check(
        Some(5),
        "0 sample → false
         0 next → never
         1 connected
         1 sample → true
         1.5 away
         2 told → nothing
         2 end → true
         20 sample → false
         30 connected
         30 sample → true",
    );
}

// DM8
#[test]
fn too_many_askers_are_told_so_until_others_are_done() {
    let mut script = String::from("0 connected\n");
    for number in 0..ASKS {
        script += &format!("1 ask {number} 10 2 → every 2 until 1011000\n");
    }
    check(None, &(script + "2 ask more 10 2 → busy\n 11 ask more 10 2 → every 2 until 1021000"));
}

// DM8
#[test]
fn what_is_out_of_bounds_is_refused() {
    for (seconds, interval, fits) in [
        (1, None, true),
        (300, Some(60), true),
        (0, None, false),
        (301, None, false),
        (10, Some(0), false),
        (10, Some(61), false),
        (u32::MAX, Some(u32::MAX), false),
    ] {
        assert_eq!(Ask::new(seconds, interval).is_ok(), fits, "{seconds} {interval:?}");
    }
}
