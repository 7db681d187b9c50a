//! Every path of the API: what it is for, what it takes, who may use it, and what answers it.

use radar_wire::command::{Command, Prunable};

use super::route::{Answer, Field, Form, Route, Verb, WAIT, act, flag, look, number, remove, text};
use super::{actions, agents, commands, containers, events, logs, openapi, stats};
use crate::api_keys::Scope;

const AGENT: Field = text("agent", "only of this agent");
const LIMIT: Field = number("limit", "how many at most: 1 to 1000");
const FOLLOW: Field = flag("follow", "go on with what comes");
const VALID: Field = number("valid", "for how many seconds the command is worth something: 1 to 300, 60 when absent");
const TIMEOUT: Field = number("timeout", "seconds until it is killed; the engine's own time when absent");
const PATIENCE: Field = number("patience", "seconds that the new one has");
const FORCE: Field = flag("force", "also where it is in use");
const ALL: Field = flag("all", "also images that have a name, and volumes that have one");
const DRIVER: Field = text("driver", "its driver; the engine's own choice when absent");

/// All of them.
pub(super) static ROUTES: &[Route] = &[
    look("/openapi.json", "This document", &[], |_, _| Box::pin(openapi::tell())),
    look("/agents", "All agents", &[], |api, _| Box::pin(agents::all(api))),
    look("/agents/{agent}", "One agent", &[], |api, call| Box::pin(agents::one(api, call))),
    look("/agents/{agent}/containers", "The containers of an agent, as last known", &[], |api, call| {
        Box::pin(containers::of_agent(api, call))
    }),
    look(
        "/containers",
        "The containers of all agents, as last known; go on with `next` as `after`",
        &[
            AGENT,
            text("label", "only with this label: `key` or `key=value`; may be said several times"),
            text("state", "only in this state"),
            LIMIT,
            text("after", "go on after this, which is the `next` of the answer before"),
        ],
        |api, call| Box::pin(containers::all(api, call)),
    ),
    look("/agents/{agent}/containers/{container}", "One container, as last known", &[], |api, call| {
        Box::pin(containers::one(api, call))
    }),
    look(
        "/agents/{agent}/containers/{container}/inspect",
        "All that the engine knows of a container, without the values of its environment",
        &[],
        |api, call| actions::ask(api, call, |call| Ok(Command::Inspect { container: call.part("container") })),
    ),
    look("/agents/{agent}/containers/{container}/top", "The processes of a container", &[], |api, call| {
        actions::ask(api, call, |call| Ok(Command::Top { container: call.part("container") }))
    }),
    look("/agents/{agent}/images", "The images of a host", &[], |api, call| {
        actions::ask(api, call, |_| Ok(Command::Images))
    }),
    look("/agents/{agent}/networks", "The networks of a host", &[], |api, call| {
        actions::ask(api, call, |_| Ok(Command::Networks))
    }),
    look("/agents/{agent}/volumes", "The volumes of a host", &[], |api, call| {
        actions::ask(api, call, |_| Ok(Command::Volumes))
    }),
    Route {
        verb: Verb::Get,
        path: "/agents/{agent}/containers/{container}/logs",
        scope: Scope::Read,
        summary: "The log of a container: text, or with `Accept: text/event-stream` the events `log`, `notice`, `end`",
        query: &[
            number("tail", "the last so many lines"),
            text("since", "not what is older: milliseconds since 1970 UTC, or a duration back such as 10m"),
            text("until", "not what is newer, likewise"),
            flag("timestamps", "each line with the engine's time before it"),
            FOLLOW,
            number("limit", "end after so many bytes"),
            text("stream", "only this one: stdout or stderr"),
            flag("download", "as a file to keep"),
        ],
        body: &[],
        answer: Answer::Log,
        handler: |api, call| Box::pin(logs::tell(api, call)),
    },
    act("/agents/{agent}/containers/{container}/start", Scope::Operate, "Start a container", &[VALID], |api, call| {
        actions::act(api, call, |call| Ok(Command::Start { container: call.part("container") }))
    }),
    act(
        "/agents/{agent}/containers/{container}/stop",
        Scope::Operate,
        "Stop a container",
        &[VALID, TIMEOUT],
        |api, call| {
            actions::act(api, call, |call| {
                Ok(Command::Stop { container: call.part("container"), timeout: call.small("timeout")? })
            })
        },
    ),
    act(
        "/agents/{agent}/containers/{container}/restart",
        Scope::Operate,
        "Stop and start a container",
        &[VALID, TIMEOUT],
        |api, call| {
            actions::act(api, call, |call| {
                Ok(Command::Restart { container: call.part("container"), timeout: call.small("timeout")? })
            })
        },
    ),
    act(
        "/agents/{agent}/containers/{container}/kill",
        Scope::Operate,
        "Send a container's first process a signal",
        &[VALID, text("signal", "its name or number; SIGKILL when absent")],
        |api, call| {
            actions::act(api, call, |call| {
                Ok(Command::Kill { container: call.part("container"), signal: call.text("signal") })
            })
        },
    ),
    act("/agents/{agent}/containers/{container}/pause", Scope::Operate, "Freeze a container", &[VALID], |api, call| {
        actions::act(api, call, |call| Ok(Command::Pause { container: call.part("container") }))
    }),
    act(
        "/agents/{agent}/containers/{container}/unpause",
        Scope::Operate,
        "Let a frozen container go on",
        &[VALID],
        |api, call| actions::act(api, call, |call| Ok(Command::Unpause { container: call.part("container") })),
    ),
    act(
        "/agents/{agent}/containers/{container}/rename",
        Scope::Admin,
        "Give a container another name",
        &[VALID, text("to", "the new name")],
        |api, call| {
            actions::act(api, call, |call| {
                Ok(Command::Rename { container: call.part("container"), to: call.needed("to")? })
            })
        },
    ),
    act(
        "/agents/{agent}/containers/{container}/remove",
        Scope::Admin,
        "Remove a container",
        &[VALID, flag("force", "also while it runs"), flag("volumes", "with its anonymous volumes")],
        |api, call| {
            actions::act(api, call, |call| {
                let (force, volumes) = (call.flag("force", false), call.flag("volumes", false));
                Ok(Command::Remove { container: call.part("container"), force, volumes })
            })
        },
    ),
    act(
        "/agents/{agent}/containers/{container}/update",
        Scope::Operate,
        "Replace a container by one of a newer image, and go back when that does not work",
        &[
            VALID,
            text("image", "the image; the one that it was made from when absent"),
            flag("dry_run", "tell what would be done"),
            PATIENCE,
        ],
        |api, call| {
            actions::act(api, call, |call| {
                Ok(Command::Update {
                    container: call.part("container"),
                    image: call.text("image"),
                    dry_run: call.flag("dry_run", false),
                    patience: call.small("patience")?,
                })
            })
        },
    ),
    act("/agents/{agent}/containers/prune", Scope::Admin, "Remove stopped containers", &[VALID, ALL], |api, call| {
        actions::act(api, call, |call| Ok(call.prune(Prunable::Containers)))
    }),
    act("/agents/{agent}/images/prune", Scope::Admin, "Remove unused images", &[VALID, ALL], |api, call| {
        actions::act(api, call, |call| Ok(call.prune(Prunable::Images)))
    }),
    act("/agents/{agent}/networks/prune", Scope::Admin, "Remove unused networks", &[VALID, ALL], |api, call| {
        actions::act(api, call, |call| Ok(call.prune(Prunable::Networks)))
    }),
    act("/agents/{agent}/volumes/prune", Scope::Admin, "Remove unused volumes", &[VALID, ALL], |api, call| {
        actions::act(api, call, |call| Ok(call.prune(Prunable::Volumes)))
    }),
    act(
        "/agents/{agent}/images/pull",
        Scope::Operate,
        "Pull an image",
        &[VALID, text("image", "its name, with a tag or a digest")],
        |api, call| actions::act(api, call, |call| Ok(Command::Pull { image: call.needed("image")? })),
    ),
    act(
        "/agents/{agent}/networks",
        Scope::Admin,
        "Create a network",
        &[VALID, text("network", "its name"), DRIVER, flag("internal", "without a way to the outside")],
        |api, call| {
            actions::act(api, call, |call| {
                let (network, driver) = (call.needed("network")?, call.text("driver"));
                Ok(Command::CreateNetwork { network, driver, internal: call.flag("internal", false) })
            })
        },
    ),
    act(
        "/agents/{agent}/volumes",
        Scope::Admin,
        "Create a volume",
        &[VALID, text("volume", "its name"), DRIVER],
        |api, call| {
            actions::act(api, call, |call| {
                Ok(Command::CreateVolume { volume: call.needed("volume")?, driver: call.text("driver") })
            })
        },
    ),
    remove("/agents/{agent}/images/{image}", "Remove an image, or a name of it", &[WAIT, VALID, FORCE], |api, call| {
        actions::act(api, call, |call| {
            Ok(Command::RemoveImage { image: call.part("image"), force: call.flag("force", false) })
        })
    }),
    remove("/agents/{agent}/networks/{network}", "Remove a network", &[WAIT, VALID], |api, call| {
        actions::act(api, call, |call| Ok(Command::RemoveNetwork { network: call.part("network") }))
    }),
    remove("/agents/{agent}/volumes/{volume}", "Remove a volume", &[WAIT, VALID], |api, call| {
        actions::act(api, call, |call| Ok(Command::RemoveVolume { volume: call.part("volume") }))
    }),
    act(
        "/agents/{agent}/self-update",
        Scope::Admin,
        "Replace the agent itself by another version, and go back when that one does not come up",
        &[
            VALID,
            text("image", "where it runs in a container: the image"),
            Field {
                name: "program",
                form: Form::Object,
                summary: "where it is a program of the host: `url`, `sha256` and `signature` of the new one",
            },
            PATIENCE,
        ],
        |api, call| {
            actions::act(api, call, |call| {
                let (image, program) = (call.text("image"), call.object("program")?);
                Ok(Command::SelfUpdate { image, program, patience: call.small("patience")? })
            })
        },
    ),
    Route {
        verb: Verb::Get,
        path: "/agents/{agent}/stats",
        scope: Scope::Read,
        summary: "What a host and its containers use: one sample, or with `follow` the events `sample`",
        query: &[
            FOLLOW,
            number("seconds", "with `follow`: end after so many seconds"),
            number("interval", "seconds between two samples"),
        ],
        body: &[],
        answer: Answer::Both,
        handler: |api, call| Box::pin(stats::tell(api, call)),
    },
    look(
        "/commands",
        "Who had which agent do what, when, and how it ended; the newest first",
        &[AGENT, LIMIT, text("before", "only what was asked before this command")],
        |api, call| Box::pin(commands::all(api, call)),
    ),
    look("/commands/{command}", "One command", &[], |api, call| Box::pin(commands::one(api, call))),
    Route {
        verb: Verb::Get,
        path: "/commands/{command}/outcomes",
        scope: Scope::Read,
        summary: "How a command goes, until it has ended: the events `outcome`",
        query: &[],
        body: &[],
        answer: Answer::Events,
        handler: |api, call| Box::pin(commands::outcomes(api, call)),
    },
    Route {
        verb: Verb::Get,
        path: "/events",
        scope: Scope::Read,
        summary: "What happened, the newest last; with `follow` the events `event` from now on, or from `since` or \
                  `Last-Event-ID` on",
        query: &[
            AGENT,
            text("container", "only of this one: its name, its id, or the beginning of its id"),
            LIMIT,
            text("since", "not what is older: milliseconds since 1970 UTC, or a duration back such as 10m"),
            FOLLOW,
        ],
        body: &[],
        answer: Answer::Both,
        handler: |api, call| Box::pin(events::tell(api, call)),
    },
];
