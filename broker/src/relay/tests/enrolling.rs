//! From a token to a secret that is on the disk, and what ends an account.

use super::*;

fn grant(credential: Credential) -> RelaySettings {
    let grant = Grant { agent: "pi".parse().unwrap(), upstream: "up-pi".parse().unwrap(), credential };
    RelaySettings { grants: vec![grant], ..RelaySettings::default() }
}

// RR1 RR3 DM1
#[test]
fn an_agents_token_becomes_a_secret_that_is_stored_before_it_is_used() {
    check(
        "
        0 enroll pi up-pi tok
        > store pi up-pi granted
        > enroll up-pi tok
        0 online pi
        0 ok
        > server is Well
        > store pi up-pi enrolled secret-1 offline
        // told of as online from here on
        > store pi up-pi enrolled secret-1
        > beat up-pi access-1 online 2
        0 ok
        > pi is Relayed
        ",
    );
}

// RR3
#[test]
fn a_secret_that_cannot_be_stored_is_not_used_and_not_lost() {
    check(
        "
        0 online pi
        0 enroll pi up-pi tok
        > store pi up-pi granted
        > enroll up-pi tok
        0 disk full
        0 ok
        > server is Well
        > store pi up-pi enrolled secret-1 offline
        +1 tick
        > store pi up-pi enrolled secret-1 offline
        +2 tick
        > store pi up-pi enrolled secret-1 offline
        3 disk well
        +4 tick
        > store pi up-pi enrolled secret-1 offline
        > store pi up-pi enrolled secret-1
        > token up-pi secret-1
        ",
    );
}

// RR3
#[test]
fn a_token_that_cannot_be_stored_is_not_used() {
    check(
        "
        0 disk full
        0 online pi
        0 enroll pi up-pi tok
        > store pi up-pi granted
        +1 tick
        > store pi up-pi granted
        1 disk well
        +2 tick
        > store pi up-pi granted
        > enroll up-pi tok
        ",
    );
}

// RR3
#[test]
fn an_agent_that_is_enrolled_is_not_enrolled_again() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi")],
        "
        0 enroll pi up-pi tok
        0 online pi
        > token up-pi secret-pi
        0 enroll pi up-pi other
        0 ok
        > beat up-pi access-1 online 2
        0 ok
        > server is Well
        > pi is Relayed
        ",
    );
}

// RR3
#[test]
fn two_tokens_at_once_are_used_one_after_the_other_if_at_all() {
    check(
        "
        0 enroll pi up-pi tok
        > store pi up-pi granted
        > enroll up-pi tok
        0 enroll pi up-pi tok
        0 enroll pi up-pi second
        0 ok
        > server is Well
        > store pi up-pi enrolled secret-1 offline
        ",
    );
    check(
        "
        0 enroll pi up-pi tok
        > store pi up-pi granted
        > enroll up-pi tok
        0 enroll pi up-pi second
        0 refuse 401 Invalid enrollment token
        > server is Well
        > pi is TokenRefused
        > store pi up-pi token-refused
        > pi is Enrolling
        > store pi up-pi granted
        > enroll up-pi second
        ",
    );
}

// DM1 RR12
#[test]
fn a_refused_token_is_tried_again_only_when_another_one_comes() {
    for (status, text) in [(400, "Not enrolled or already used"), (401, "Invalid enrollment token")] {
        let script = format!(
            "
            0 online pi
            0 enroll pi up-pi tok
            > store pi up-pi granted
            > enroll up-pi tok
            0 refuse {status} {text}
            > server is Well
            > pi is TokenRefused
            > store pi up-pi token-refused
            1000 enroll pi up-pi tok
            1000 offline pi
            1000 online pi
            1000 changed pi
            2000 tick
            2000 enroll pi up-new tok
            > pi is Enrolling
            > store pi up-new granted
            > enroll up-new tok
            "
        );
        // It has nothing to do, so it may look at the agent without asking anything.
        let mut state = Script::new(RelaySettings::default(), []);
        run_loosely(&mut state, &script);
    }
}

/// As `check`, but lets the relay have the turns that it asks for between the lines.
fn run_loosely(state: &mut Script, script: &str) {
    let mut expect: Vec<String> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(effect) = line.strip_prefix('>') {
            expect.push(effect.trim().to_owned());
            continue;
        }
        let (when, input) = line.split_once(' ').unwrap();
        let until = Duration::from_secs_f64(when.parse().unwrap());
        while let Some(next) = state.relay.poll_timeout().filter(|next| *next < until) {
            state.now.mono = next;
            state.input("tick");
        }
        state.now.mono = until;
        state.input(input);
        seen.append(&mut state.seen);
    }
    assert_eq!(seen, expect);
}

// RR6
#[test]
fn an_agent_that_was_deleted_at_the_server_sends_no_beat_any_more() {
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
        // deleted at the server: the exchange before the beat finds it out
        20 changed pi
        21 tick
        > token up-pi secret-pi
        21 refuse 401 No refresh secret on file
        > pi is Deleted
        > store pi up-pi deleted secret-pi
        30 changed pi
        31 tick
        40 offline pi
        // a new account
        50 enroll pi up-new tok
        > pi is Enrolling
        > store pi up-new granted
        > enroll up-new tok
        ",
    );
}

// DM1
#[test]
fn a_refused_secret_ends_in_a_reason_and_a_new_token_helps() {
    check_with(
        RelaySettings::default(),
        [enrolled("pi")],
        "
        0 online pi
        > token up-pi secret-pi
        0 refuse 401 Invalid refresh secret
        > server is Well
        > pi is SecretRefused
        > store pi up-pi secret-refused secret-pi
        10 enroll pi up-pi tok
        > pi is Enrolling
        > store pi up-pi granted
        > enroll up-pi tok
        ",
    );
}

// RR3
#[test]
fn what_the_store_says_is_an_end_stays_one_after_a_restart() {
    let ends = [
        (Standing::Deleted, "Deleted"),
        (Standing::TokenRefused, "TokenRefused"),
        (Standing::SecretRefused, "SecretRefused"),
    ];
    for (standing, word) in ends {
        let (agent, mut stored) = enrolled("pi");
        stored.standing = standing;
        check_with(RelaySettings::default(), [(agent, stored)], &format!("0 online pi\n> pi is {word}"));
    }
}

// DM1
#[test]
fn the_operators_account_is_used_and_wins_over_the_agents_own() {
    let token = grant(Credential::Token(Secret::new("given")));
    check_with(
        token,
        [],
        "
        0 online other
        0 online pi
        > store pi up-pi granted
        > enroll up-pi given
        0 enroll pi up-own own
        0 ok
        > server is Well
        > store pi up-pi enrolled secret-1 offline
        > store pi up-pi enrolled secret-1
        > beat up-pi access-1 online 2
        ",
    );
    // A host that moves over brings its secret, and its compose file the token that was used long ago.
    let secret = grant(Credential::Secret(Secret::new("moved")));
    check_with(
        secret,
        [],
        "
        0 online pi
        > store pi up-pi enrolled moved
        > token up-pi moved
        0 enroll pi up-pi used-long-ago
        0 ok
        > beat up-pi access-1 online 2
        0 ok
        > server is Well
        > pi is Relayed
        ",
    );
}

// DM1
#[test]
fn the_operators_secret_does_not_replace_the_one_in_the_store() {
    check_with(
        grant(Credential::Secret(Secret::new("from-the-settings"))),
        [enrolled("pi")],
        "
        0 online pi
        > token up-pi secret-pi
        ",
    );
}

#[test]
fn an_agent_without_an_account_is_reported_after_a_while() {
    check("0 online pi\n+5 tick\n> pi is Unenrolled\n9 offline pi");
}
