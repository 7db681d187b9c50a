//! What the engine lists, at first and now and then.

use super::*;

// E4
#[test]
fn what_is_there_at_first_is_the_baseline_and_no_news() {
    check(
        "up
         show
         listed web running, db exited
         is web running
         show
         is db exited exit=0
         show",
        "list
         not all:
         inspect db
         inspect web
         not all: web=running
         all: db=exited web=running",
    );
}

// E4
#[test]
fn an_engine_without_containers_is_complete_once_it_said_so() {
    check("up\nshow\nlisted\nshow", "list\nnot all:\nall:");
}

// E4
#[test]
fn a_list_that_fails_completes_nothing_and_is_asked_again() {
    check(
        "up
         listed failed
         show
         +4s
         +1s
         listed
         show",
        "list
         not all:
         list
         all:",
    );
}

#[test]
fn a_list_is_asked_every_minute_and_its_contradictions_must_stand() {
    check(
        "up
         listed web running
         is web running
         +59s
         +1s
         listed web exited, new running
         show
         +1s
         event 10 new create
         is new running
         +1s
         is web exited exit=9
         +58s",
        "list
         inspect web
         list
         all: web=running
         inspect new
         10 create new state=running and all
         inspect web
         - changed web exit_code=9 state=exited
         reopen
         list",
    );
}

#[test]
fn a_container_that_an_event_touched_since_the_list_was_asked_is_no_suspect() {
    check(
        "up
         listed web running
         is web running
         +60s
         event 10 web die exit=1
         is web exited exit=1
         event 11 new create
         is new created
         listed web running
         +10s
         show",
        "list
         inspect web
         list
         inspect web
         10 die web exit_code=1 state=exited
         inspect new
         11 create new state=created and all
         all: new=created web=exited",
    );
}
