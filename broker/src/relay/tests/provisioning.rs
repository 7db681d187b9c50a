//! Accounts that are made by the login.

use super::*;

fn check_login(script: &str) {
    let login = Login { username: "admin".to_owned(), password: Secret::new("pw") };
    let settings = RelaySettings { login: Some(login), origin: "house".to_owned(), ..RelaySettings::default() };
    check_with(settings, [], script);
}

// RR1 DM1
#[test]
fn an_account_is_made_for_an_agent_that_brings_none() {
    check_login(
        "
        0 online pi
        +5 tick
        > login admin pw
        5 ok
        > login is Well
        > server is Well
        > agents web
        5 agents foreign=other-tag
        > create web Name of pi radar-edge:house:pi
        5 ok
        > store pi made-pi granted offline empty
        > enroll made-pi made-token
        5 ok
        > store pi made-pi enrolled secret-1 offline empty
        > store pi made-pi enrolled secret-1
        > beat made-pi access-3 online 2
        5 ok
        > pi is Relayed
        // the list is known, and so is the login
        6 online pj
        +5 tick
        > create web Name of pj radar-edge:house:pj
        ",
    );
}

// DM1
#[test]
fn a_token_that_the_agent_brings_comes_first() {
    check_login(
        "
        0 online pi
        3 enroll pi up-pi tok
        > store pi up-pi granted
        > enroll up-pi tok
        ",
    );
}

// RR3 DM1
#[test]
fn what_a_crash_left_behind_is_deleted_before_another_one_is_made() {
    check_login(
        "
        0 online pi
        +5 tick
        > login admin pw
        5 ok
        > login is Well
        > server is Well
        > agents web
        5 agents orphan=radar-edge:house:pi mine=radar-edge:house:other! theirs=radar-edge:elsewhere:pi
        > delete web orphan
        5 ok
        > create web Name of pi radar-edge:house:pi
        // no answer: it may be there
        5 silent
        > server is Unreachable
        +5 tick
        > agents web
        10 agents second=radar-edge:house:pi
        > server is Well
        > delete web second
        10 ok
        > create web Name of pi radar-edge:house:pi
        ",
    );
}

// DM1
#[test]
fn an_account_in_use_whose_secret_is_not_here_is_left_alone() {
    check_login(
        "
        0 online pi
        +5 tick
        > login admin pw
        5 ok
        > login is Well
        > server is Well
        > agents web
        5 agents orphan=radar-edge:house:pi used=radar-edge:house:pi!
        > pi is Taken
        +600 tick
        > agents web
        605 ok
        > create web Name of pi radar-edge:house:pi
        ",
    );
}

// RR12 DM1
#[test]
fn a_refused_login_is_said_once_and_rarely_tried_again() {
    check_login(
        "
        0 online pi
        +5 tick
        > login admin pw
        5 refuse 401 Invalid credentials
        > login is Refused
        6 online pj
        +5 tick
        +294 tick
        > login admin pw
        305 login first
        > login is FirstLogin
        > server is Well
        +300 tick
        > login admin pw
        605 ok
        > login is Well
        > agents web
        ",
    );
}

// RR2
#[test]
fn a_login_that_has_run_out_is_renewed_once() {
    check_login(
        "
        0 online pi
        +5 tick
        > login admin pw
        5 ok
        > login is Well
        > server is Well
        > agents web
        5 refuse 401 Invalid or expired token
        > login admin pw
        5 ok
        > agents web
        5 refuse 401 Invalid or expired token
        > login is Refused
        +300 tick
        > login admin pw
        ",
    );
}

#[test]
fn no_account_is_made_for_an_agent_that_is_away() {
    check_login(
        "
        0 offline pi
        +5 tick
        10 online pi
        +5 tick
        > login admin pw
        ",
    );
}
