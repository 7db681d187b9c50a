//! What the relay does when the server does not do what it should.

use super::*;

/// One agent whose beat is on its way.
const START: &str = "
    0 online pi
    > token up-pi secret-pi
    0 ok
    > beat up-pi access-1 online 2
";

fn check_from_start(script: &str) {
    check_with(RelaySettings::default(), [enrolled("pi")], &format!("{START}\n{script}"));
}

// RR12
#[test]
fn a_server_that_is_away_is_asked_again_after_1_s_to_60_s_for_ever() {
    let mut script = "0 down\n> server is Unreachable\n".to_owned();
    for wait in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        let asked = if wait <= 2 { "beat up-pi access-1 online 2" } else { "token up-pi secret-pi" };
        script += &format!("+{wait} tick\n> {asked}\n= down\n");
    }
    check_from_start(&script);
}

// RR12
#[test]
fn many_server_errors_in_a_row_are_the_wedge_which_is_said_once_and_cleared() {
    check_from_start(
        "
        0 fail 500
        > server is Failing
        +1 tick
        > beat up-pi access-1 online 2
        1 fail 500
        +2 tick
        > beat up-pi access-1 online 2
        3 fail 500
        +4 tick
        > token up-pi secret-pi
        7 ok
        > beat up-pi access-2 online 2
        7 fail 500
        +8 tick
        > token up-pi secret-pi
        // tokens are answered by a wedged server too
        15 ok
        > beat up-pi access-3 online 2
        15 fail 500
        > server is Wedged
        +16 tick
        > token up-pi secret-pi
        31 ok
        > beat up-pi access-4 online 2
        31 fail 500
        +32 tick
        > token up-pi secret-pi
        63 ok
        > beat up-pi access-5 online 2
        63 ok
        > server is Well
        > pi is Relayed
        +114..126 tick
        > token up-pi secret-pi
        ",
    );
}

// RR12
#[test]
fn server_errors_pause_all_agents_and_the_next_try_is_anothers() {
    check_with(
        RelaySettings::default(),
        [enrolled("a"), enrolled("b")],
        "
        0 online a
        > token up-a secret-a
        0 online b
        0 ok
        > beat up-a access-1 online 2
        0 fail 500
        > server is Failing
        +1 tick
        > token up-b secret-b
        1 ok
        > beat up-b access-2 online 2
        1 ok
        > server is Well
        > b is Relayed
        > beat up-a access-1 online 2
        ",
    );
}

// RR12
#[test]
fn a_page_instead_of_an_answer_is_another_server() {
    check_from_start(
        "
        0 html
        > server is Foreign
        +1 tick
        > beat up-pi access-1 online 2
        1 html
        +2 tick
        > beat up-pi access-1 online 2
        ",
    );
}

// RR12
#[test]
fn a_beat_that_is_refused_as_it_stands_is_rarely_tried_again() {
    for refusal in ["refuse 400 Containers must be an array", "reject 400", "reject 413"] {
        check_from_start(&format!(
            "
            0 {refusal}
            > pi is Rejected
            10 changed pi
            +50 tick
            > token up-pi secret-pi
            60 ok
            > beat up-pi access-2 online 2
            60 {refusal}
            +120 tick
            > token up-pi secret-pi
            180 ok
            > beat up-pi access-3 online 2
            180 ok
            > server is Well
            > pi is Relayed
            "
        ));
    }
}

// RR12 RR2
#[test]
fn a_server_that_refuses_its_own_tokens_is_left_in_peace() {
    check_from_start(
        "
        0 refuse 401 Invalid or expired token
        > token up-pi secret-pi
        0 ok
        > beat up-pi access-2 online 2
        0 refuse 401 Invalid or expired token
        > server is Denying
        +1 tick
        > token up-pi secret-pi
        1 refuse 401 no words that we know
        +2 tick
        > token up-pi secret-pi
        ",
    );
}

// RR5 RR12
#[test]
fn a_server_that_may_still_be_at_it_is_given_time() {
    check_from_start("0 silent\n> server is Unreachable\n+5 tick\n> beat up-pi access-1 online 2");
}

// RR12
#[test]
fn one_agent_in_trouble_does_not_take_the_turns_of_the_others() {
    check_with(
        RelaySettings::default(),
        [enrolled("bad"), enrolled("good")],
        "
        0 online bad
        > token up-bad secret-bad
        0 online good
        0 refuse 401 no words that we know
        > server is Denying
        +1 tick
        > token up-good secret-good
        1 ok
        > beat up-good access-1 online 2
        1 ok
        > server is Well
        > good is Relayed
        > token up-bad secret-bad
        ",
    );
}

#[test]
fn an_outcome_of_another_request_changes_nothing() {
    let mut state = Script::new(RelaySettings::default(), [enrolled("pi")]);
    state.input("online pi");
    let outcome = Outcome::Refused { status: 401, error: "No refresh secret on file".to_owned() };
    state.relay.handle_outcome(RequestId(99), outcome, state.now);
    assert!(state.relay.next_effect().is_none());
    assert!(state.relay.flight.is_some());
}

#[test]
fn a_purged_agent_is_forgotten_and_what_was_on_its_way_for_it_too() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi"), enrolled("other")],
        "
        0 online pi
        > token up-pi secret-pi
        0 online other
        0 purge pi
        0 online pi
        0 refuse 401 No refresh secret on file
        > token up-other secret-other
        ",
    );
}
