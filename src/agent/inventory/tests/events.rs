//! What the engine tells as it happens.

use super::*;

// DM7
#[test]
fn events_are_told_in_order_with_the_fields_that_changed() {
    check(
        "up
         listed
         event 10 web create
         is web created
         event 20 web start
         is web running
         event 30 web kill
         event 40 web die exit=137
         is web exited exit=137
         event 50 web destroy
         show
         cursor",
        "list
         inspect web
         10 create web state=created and all
         inspect web
         20 start web state=running
         30 kill web
         inspect web
         40 die web exit_code=137 state=exited
         50 destroy web
         all:
         cursor Some(50)",
    );
}

// DM7, E10, E11
#[test]
fn a_check_of_podman_that_found_nothing_new_is_noise() {
    check(
        "up
         listed web running health=healthy
         is web running health=healthy
         event 10 web health_status
         is web running health=healthy
         event 20 web health_status
         is web running health=unhealthy
         event 30 web health_status health=unhealthy
         cursor",
        "list
         inspect web
         inspect web
         inspect web
         20 health_status web health=unhealthy
         30 health_status web
         cursor Some(30)",
    );
}

// DM7
#[test]
fn an_event_waits_for_the_ones_before_it() {
    check(
        "up
         listed web running, db running
         is web running
         is db running
         event 10 web die exit=1
         event 20 db pause
         event 30 web oom
         is db paused
         is web exited exit=1",
        "list
         inspect db
         inspect web
         inspect web
         inspect db
         10 die web exit_code=1 state=exited
         20 pause db state=paused
         30 oom web",
    );
}

// RR10
#[test]
fn a_crash_loop_is_inspected_now_and_then_but_told_event_by_event() {
    check(
        "up
         listed web running
         is web running
         event 10 web die exit=1
         event 11 web start
         event 12 web die exit=2
         event 13 web start
         is web restarting exit=1 restarts=1
         is web running restarts=2",
        "list
         inspect web
         inspect web
         10 die web exit_code=1 restarts=1 state=restarting
         inspect web
         11 start web exit_code=null state=running
         12 die web exit_code=2 state=exited
         13 start web exit_code=null restarts=2 state=running",
    );
}

#[test]
fn a_new_container_that_is_inspected_late_comes_whole_with_its_first_event() {
    check(
        "up
         listed
         event 10 a pause
         event 11 b create
         event 12 b start
         is b running
         is a paused
         is b running
         show",
        "list
         inspect a
         inspect b
         inspect b
         10 pause a state=paused and all
         11 create b state=running and all
         12 start b
         all: a=paused b=running",
    );
}

// DM7
#[test]
fn a_container_that_vanished_is_told_by_its_events_and_never_invented() {
    check(
        "up
         listed web running
         is web running
         event 10 job create
         event 11 job start
         event 12 job die exit=3
         event 13 job destroy
         event 14 web die exit=4
         gone job
         gone job
         show
         gone web
         show",
        "list
         inspect web
         inspect job
         inspect web
         10 create job
         inspect job
         11 start job
         12 die job
         13 destroy job
         all: web=running
         14 die web exit_code=4 state=exited
         all: web=exited",
    );
}

#[test]
fn a_late_answer_brings_no_removed_container_back() {
    check(
        "up
         listed
         event 10 job create
         is job created
         event 11 job start
         event 12 job destroy
         is job running
         show",
        "list
         inspect job
         10 create job state=created and all
         inspect job
         11 start job state=running
         12 destroy job
         all:",
    );
}

#[test]
fn what_the_engine_cannot_tell_is_told_in_the_events_words_and_asked_again() {
    check(
        "up
         listed web running
         is web running
         event 10 web die exit=1
         failed web
         +2s
         is web exited exit=1 restarts=3",
        "list
         inspect web
         inspect web
         10 die web exit_code=1 state=exited
         inspect web
         - changed web restarts=3",
    );
}

// DM6
#[test]
fn a_container_that_cannot_be_inspected_is_known_by_the_list_in_the_end() {
    check(
        "up
         listed web running
         failed web
         +5s
         failed web
         show
         +5s
         failed web
         show",
        "list
         inspect web
         inspect web
         not all:
         inspect web
         all: web=running",
    );
}

// DM7
#[test]
fn health_is_told_by_the_event_alone() {
    check(
        "up
         listed web running health=starting
         is web running health=starting
         event 10 web health_status health=healthy
         event 11 new health_status health=healthy
         is new running health=healthy",
        "list
         inspect web
         10 health_status web health=healthy
         inspect new
         11 health_status new state=running and all",
    );
}

#[test]
fn a_rename_is_told_under_the_new_name() {
    check(
        "up
         listed web running
         is web running
         event 10 web rename name=shop
         is web running name=shop",
        "list
         inspect web
         inspect web
         10 rename shop name=shop",
    );
}

// DM7
#[test]
fn an_event_that_is_replayed_is_told_once() {
    check(
        "up
         listed
         event 10 a create
         is a created
         event 11 a start
         up
         event 10 a create
         event 11 a start
         event 11 a die exit=0
         is a running
         is a exited exit=0",
        "list
         inspect a
         10 create a state=created and all
         inspect a
         inspect a
         list
         11 start a state=running
         inspect a
         11 die a exit_code=0 state=exited",
    );
}
