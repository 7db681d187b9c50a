//! What the server is told of an agent that has an account, and when.

use super::*;

// RR1 RR4
#[test]
fn an_agent_beats_at_the_servers_interval_from_the_next_beat_on() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi")],
        "
        0 have pi 25
        0 online pi
        > token up-pi secret-pi
        0 ok
        > beat up-pi access-1 online 25
        0 ok 30
        > server is Well
        > pi is Relayed
        +28.5..31.5 tick
        > token up-pi secret-pi
        = ok
        > beat up-pi access-3 online 25
        ",
    );
}

// RR4
#[test]
fn every_interval_the_server_may_ask_for_is_obeyed() {
    for (asked, from, to) in
        [(30.0, 28.5, 31.5), (30.5, 28.9, 32.1), (120.0, 114.0, 126.0), (1800.0, 1710.0, 1890.0), (5.0, 28.5, 31.5)]
    {
        let script = format!(
            "
            0 online pi
            > token up-pi secret-pi
            0 ok
            > beat up-pi access-1 online 2
            0 ok {asked}
            > server is Well
            > pi is Relayed
            +{from}..{to} tick
            > token up-pi secret-pi
            "
        );
        check_with(RelaySettings::default(), [enrolled("pi")], &script);
    }
}

// RR10
#[test]
fn a_change_is_sent_after_a_second_and_a_crash_loop_every_five() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi")],
        "
        0 online pi
        > token up-pi secret-pi
        0 ok
        > beat up-pi access-1 online 2
        0 ok
        > server is Well
        > pi is Relayed
        10.0 changed pi
        10.5 changed pi
        10.9 changed pi
        // not moved by those that follow
        11.0 tick
        > token up-pi secret-pi
        11.0 ok
        > beat up-pi access-3 online 2
        // seen while the beat is on its way: another one follows, but not at once
        11.1 changed pi
        11.2 ok
        12.0 changed pi
        15.0 changed pi
        16.0 tick
        > token up-pi secret-pi
        16.0 ok
        > beat up-pi access-5 online 2
        16.1 ok
        // quiet again: the next one is early at once
        100.0 changed pi
        101.0 tick
        > token up-pi secret-pi
        ",
    );
}

// RR8 RR7
#[test]
fn going_is_told_at_once_with_the_last_list_until_it_is_delivered_and_coming_back_too() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi")],
        "
        0 have pi 7
        0 online pi
        > token up-pi secret-pi
        0 ok
        > beat up-pi access-1 online 7
        0 ok
        > server is Well
        > pi is Relayed
        20 offline pi
        > token up-pi secret-pi
        20 ok
        > beat up-pi access-3 offline 7
        20 down
        > server is Unreachable
        // the token is fresh still
        21 tick
        > beat up-pi access-3 offline 7
        21 ok
        > server is Well
        > store pi up-pi enrolled secret-pi offline
        // nothing more to say, however long it stays away
        5000 online pi
        > store pi up-pi enrolled secret-pi
        > token up-pi secret-pi
        5000 ok
        > beat up-pi access-5 online 7
        5000 ok
        ",
    );
}

// RR8
#[test]
fn a_flapping_agent_is_told_of_once_a_second_at_most() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi")],
        "
        0 online pi
        > token up-pi secret-pi
        0 offline pi
        0.1 online pi
        0.2 ok
        > beat up-pi access-1 online 2
        0.3 ok
        > server is Well
        > pi is Relayed
        1 tick
        > token up-pi secret-pi
        ",
    );
}

// RR8 RR3
#[test]
fn an_agent_that_was_told_to_be_offline_is_not_told_of_again_after_a_restart() {
    let (agent, mut stored) = enrolled("pi");
    stored.told.offline = true;
    check_with(
        RelaySettings::default(),
        [(agent, stored)],
        "
        0 offline pi
        > pi is Relayed
        // what was still on its way comes after the will
        3 changed pi
        4 tick
        > token up-pi secret-pi
        4 ok
        > beat up-pi access-1 offline 2
        4 ok
        > server is Well
        100 offline pi
        ",
    );
}

// RR8
#[test]
fn what_is_new_while_the_last_beat_is_on_its_way_is_told_too() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi")],
        "
        0 offline pi
        > token up-pi secret-pi
        0 ok
        > beat up-pi access-1 offline 2
        0 have pi 3
        0 changed pi
        0 ok
        > server is Well
        > pi is Relayed
        > store pi up-pi enrolled secret-pi offline
        1 tick
        > token up-pi secret-pi
        1 ok
        > beat up-pi access-3 offline 3
        1 ok
        ",
    );
}

// RR7 RR13
#[test]
fn an_unknown_list_is_never_sent_as_an_empty_one() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi")],
        "
        0 have pi none
        0 online pi
        > pi is Waiting
        0 offline pi
        1 tick
        > pi is Unlisted
        5 have pi 3
        5 changed pi
        > token up-pi secret-pi
        5 ok
        > beat up-pi access-1 offline 3
        ",
    );
}

// RR13
#[test]
fn a_host_of_which_the_server_holds_nothing_can_go_with_an_empty_list() {
    let (agent, mut stored) = enrolled("pi");
    stored.told.empty = true;
    check_with(
        RelaySettings::default(),
        [(agent, stored)],
        "
        0 have pi none
        0 offline pi
        > token up-pi secret-pi
        0 ok
        > beat up-pi access-1 offline 0
        ",
    );
}

// RR13
#[test]
fn a_real_empty_list_is_sent_and_what_the_server_holds_is_known_before_it_holds_more() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi")],
        "
        0 have pi 0
        0 online pi
        > token up-pi secret-pi
        0 ok
        > beat up-pi access-1 online 0
        0 ok
        > server is Well
        > pi is Relayed
        > store pi up-pi enrolled secret-pi empty
        9 have pi 1
        9 changed pi
        10 tick
        > store pi up-pi enrolled secret-pi
        > token up-pi secret-pi
        10 ok
        > beat up-pi access-3 online 1
        ",
    );
}

// RR6 RR13
#[test]
fn a_host_whose_containers_all_lack_something_is_not_sent_as_empty() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi")],
        "
        0 have pi nameless
        0 online pi
        > pi is Unsendable
        5 have pi 1
        5 changed pi
        > token up-pi secret-pi
        ",
    );
}

// RR9
#[test]
fn a_list_that_does_not_fit_is_not_sent_at_all() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi")],
        "
        0 have pi 2000
        0 online pi
        > pi is TooLarge
        50 have pi 500
        50 changed pi
        51 tick
        > token up-pi secret-pi
        51 ok
        > beat up-pi access-1 online 500
        ",
    );
}

// RR2
#[test]
fn a_token_is_used_again_only_while_it_is_fresh() {
    for (wait, lifetime, again) in [(1, 900, true), (6, 900, false), (1, 60, false), (1, 63, true)] {
        let renewed = if again { "> beat up-pi access-0 online 2" } else { "> token up-pi secret-pi" };
        let script = format!(
            "
            0 online pi
            > token up-pi secret-pi
            0 token of {lifetime}
            > beat up-pi access-0 online 2
            {} down
            > server is Unreachable
            {wait} tick
            {renewed}
            ",
            wait - 1,
        );
        check_with(RelaySettings::default(), [enrolled("pi")], &script);
    }
}

// RR2
#[test]
fn after_a_restart_of_the_server_the_token_is_renewed_once() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi")],
        "
        0 online pi
        > token up-pi secret-pi
        0 ok
        > beat up-pi access-1 online 2
        0 refuse 401 Invalid or expired token
        > token up-pi secret-pi
        0 ok
        > beat up-pi access-2 online 2
        0 ok
        > server is Well
        > pi is Relayed
        ",
    );
}
