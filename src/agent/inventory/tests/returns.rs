//! An engine that comes back, an agent that comes back.

use super::*;

// E4
#[test]
fn an_engine_that_is_away_is_told_once_and_its_containers_are_kept() {
    check(
        "down
         down
         up
         listed web running
         is web running
         event 10 web die exit=1
         event 11 web kill
         down
         show
         down
         up
         show
         listed web exited
         show
         +2s
         is web exited exit=1 restarts=1",
        "- engine_lost
         - engine_back
         list
         inspect web
         inspect web
         10 die web exit_code=1 state=exited
         11 kill web
         - engine_lost
         not all: web=exited
         - engine_back
         list
         not all: web=exited
         all: web=exited
         inspect web
         - changed web restarts=1",
    );
}

// DM7
#[test]
fn a_restarted_agent_tells_the_replayed_events_then_what_no_event_told() {
    check_restored(
        &["db running", "old exited", "web running"],
        50,
        "show
         up
         listed db running, new running, web exited
         show
         event 50 web start
         event 60 web die exit=1
         is web exited exit=1
         show
         +2s
         is db running restarts=1
         is new running
         gone old
         show",
        "not all: db=running old=exited web=running
         list
         not all: db=running old=exited web=running
         inspect web
         60 die web exit_code=1 state=exited
         not all: db=running old=exited web=exited
         inspect db
         inspect new
         inspect old
         - changed db restarts=1
         - found new state=running and all
         - gone old
         all: db=running new=running web=exited",
    );
}

#[test]
fn a_restarted_agent_to_which_the_list_agrees_is_complete_at_once() {
    check_restored(
        &["db running"],
        50,
        "up\nlisted db running\nshow\n+2s\nis db running\nshow",
        "list\nall: db=running\ninspect db\nall: db=running",
    );
}

// E1
#[test]
fn what_the_engine_has_forgotten_is_a_gap_before_what_it_replays() {
    check_restored(
        &["web running"],
        50,
        "up overrun
         event 60 web stop
         is web exited",
        "gap
         list
         inspect web
         60 stop web state=exited",
    );
    check_restored(&[], 50, "up restarted\nlisted\nshow", "gap\nlist\nall:");
    check("up\nlisted\ndown\nup restarted", "list\n- engine_lost\n- engine_back\nlist");
    check("up\nlisted\nup restarted\nshow", "list\ngap\nlist\nnot all:");
}

#[test]
fn a_gap_keeps_its_place_among_events_that_wait() {
    check(
        "up
         listed
         event 10 a create
         up overrun
         event 20 b create
         is b created
         is a created",
        "list
         inspect a
         inspect a
         list
         inspect b
         10 create a state=created and all
         gap
         20 create b state=created and all",
    );
}
