//! What becomes of each part of a container's configuration.

use serde_json::json;

use super::*;

const ID: &str = "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789";

fn merged(base: Value, more: &Value) -> Value {
    let (Value::Object(mut all), Value::Object(more)) = (base.clone(), more) else { return more.clone() };
    for (key, value) in more {
        let known = all.remove(key).unwrap_or_default();
        all.insert(key.clone(), if value.is_object() { merged(known, value) } else { value.clone() });
    }
    all.into()
}

fn container(more: &Value) -> Value {
    let base = json!({
        "Id": ID,
        "Config": { "Image": "app:1", "Hostname": &ID[..12] },
        "HostConfig": { "NetworkMode": "front" },
        "NetworkSettings": { "Networks": { "front": {} } },
        "Mounts": [],
    });
    merged(base, more)
}

fn image() -> Value {
    json!({ "Config": {
        "Env": ["PATH=/bin", "MODE=old"],
        "Labels": { "version": "1", "maker": "us" },
        "Cmd": ["serve"],
        "Entrypoint": ["/app"],
        "WorkingDir": "/srv",
        "User": "app",
        "ExposedPorts": { "80/tcp": {} },
        "Volumes": { "/data": {} },
        "StopSignal": "SIGQUIT",
        "Shell": ["/bin/ash"],
        "Healthcheck": { "Test": ["CMD", "check"], "Interval": 5, "Retries": 2 },
    } })
}

// DM9
#[test]
fn what_came_from_the_old_image_gives_way_and_what_was_set_stays() {
    let config = |set: Value| blueprint(&container(&json!({ "Config": set })), Some(&image()), "app:2").body.0;
    let table = [
        (json!({ "Env": ["PATH=/bin", "MODE=mine", "OWN=1"] }), json!({ "Env": ["MODE=mine", "OWN=1"] })),
        (
            json!({ "Labels": { "version": "1", "maker": "me", "com.docker.compose.project": "home" } }),
            json!({ "Labels": { "maker": "me", "com.docker.compose.project": "home" } }),
        ),
        (json!({ "Entrypoint": ["/app"], "Cmd": ["serve"] }), json!({})),
        (json!({ "Entrypoint": ["/app"], "Cmd": ["other"] }), json!({ "Cmd": ["other"] })),
        // Without the image's entry point its command is not used either.
        (json!({ "Entrypoint": ["/own"], "Cmd": ["serve"] }), json!({ "Entrypoint": ["/own"], "Cmd": ["serve"] })),
        (json!({ "Entrypoint": [], "Cmd": ["sh"] }), json!({ "Entrypoint": [""], "Cmd": ["sh"] })),
        (json!({ "WorkingDir": "/srv", "User": "app", "StopSignal": "SIGQUIT", "Shell": ["/bin/ash"] }), json!({})),
        (json!({ "WorkingDir": "/tmp", "User": "0" }), json!({ "WorkingDir": "/tmp", "User": "0" })),
        (json!({ "ExposedPorts": { "80/tcp": {}, "81/tcp": {} } }), json!({ "ExposedPorts": { "81/tcp": {} } })),
        (json!({ "Volumes": { "/data": {}, "/own": {} } }), json!({ "Volumes": { "/own": {} } })),
        (json!({ "Healthcheck": { "Test": ["CMD", "check"], "Interval": 5, "Retries": 2 } }), json!({})),
        (
            json!({ "Healthcheck": { "Test": ["CMD", "check"], "Interval": 9, "Retries": 2 } }),
            json!({ "Healthcheck": { "Interval": 9 } }),
        ),
        (json!({ "Healthcheck": { "Test": ["NONE"] } }), json!({ "Healthcheck": { "Test": ["NONE"] } })),
        (json!({ "Hostname": "web" }), json!({ "Hostname": "web" })),
        (
            json!({ "Tty": true, "OpenStdin": true, "StopTimeout": 3, "Domainname": "lan", "MacAddress": "02:00:00:00:00:01" }),
            json!({ "Tty": true, "OpenStdin": true, "StopTimeout": 3, "Domainname": "lan", "MacAddress": "02:00:00:00:00:01" }),
        ),
        (json!({ "SomethingNew": 7 }), json!({ "SomethingNew": 7 })),
    ];
    for (set, expect) in table {
        let mut found = config(set.clone());
        let all = found.as_object_mut().unwrap();
        assert_eq!(all.remove("Image"), Some("app:2".into()));
        all.retain(|key, _| key != "HostConfig" && key != "NetworkingConfig");
        // The image's entry point is only asked about where it is set.
        if set.get("Entrypoint").is_none() {
            all.remove("Entrypoint");
        }
        assert_eq!(found, expect, "{set}");
    }
}

// DM9
#[test]
fn without_defaults_all_is_kept() {
    let set =
        json!({ "Config": { "Env": ["PATH=/bin"], "Cmd": ["serve"], "Healthcheck": { "Test": ["CMD", "check"] } } });
    let found = blueprint(&container(&set), None, "app:1").body.0;
    for field in ["Env", "Cmd", "Healthcheck"] {
        assert_eq!(found[field], set["Config"][field], "{field}");
    }
}

// DM9
#[test]
fn limits_and_whatever_else_the_host_was_told_are_kept_as_they_stand() {
    let host = json!({
        "Memory": 7, "NanoCpus": 5, "CapAdd": ["NET_ADMIN"], "Devices": [{ "PathOnHost": "/dev/x" }], "Init": true,
        "ReadonlyRootfs": true, "Tmpfs": { "/tmp": "size=1m" }, "Ulimits": [{ "Name": "nofile", "Soft": 1, "Hard": 2 }],
        "LogConfig": { "Type": "json-file", "Config": { "max-size": "1m" } }, "RestartPolicy": { "Name": "always" },
        "AutoRemove": true, "ShmSize": 9, "Sysctls": { "a": "b" }, "ExtraHosts": ["a:1"], "SomethingNew": { "x": 1 },
        "PortBindings": { "80/tcp": [{ "HostIp": "", "HostPort": "" }] }, "NetworkMode": "front",
    });
    let found = blueprint(&container(&json!({ "HostConfig": host })), Some(&image()), "app:2").body.0;
    assert_eq!(found["HostConfig"], host);
    let links = json!({ "HostConfig": { "Links": ["/db:/web/database", "/cache:/web/cache"] } });
    let found = blueprint(&container(&links), Some(&image()), "app:2").body.0;
    assert_eq!(found["HostConfig"]["Links"], json!(["db:database", "cache:cache"]));
}

// DM9
#[test]
fn volumes_without_a_name_are_carried_by_name() {
    let volume =
        |name: &str, target: &str| json!({ "Type": "volume", "Name": name, "Destination": target, "RW": true });
    let table = [
        // Image and user have declared one, and one is bound by name already.
        (
            json!({ "Binds": ["named:/n:ro", "/host:/h"] }),
            json!([volume("v1", "/data"), volume("named", "/n"), json!({ "Type": "bind", "Destination": "/h" })]),
            json!({ "Binds": ["named:/n:ro", "/host:/h", "v1:/data"] }),
        ),
        (json!({ "Binds": null }), json!([volume("v1", "/data")]), json!({ "Binds": ["v1:/data"] })),
        (
            json!({}),
            json!([json!({ "Type": "volume", "Name": "v1", "Destination": "/data", "RW": false })]),
            json!({ "Binds": ["v1:/data:ro"] }),
        ),
        // Asked for as a mount without a source, and with one.
        (
            json!({ "Mounts": [{ "Type": "volume", "Target": "/m" }, { "Type": "volume", "Target": "/s", "Source": "s" }] }),
            json!([volume("v2", "/m"), volume("s", "/s")]),
            json!({ "Mounts": [
                { "Type": "volume", "Target": "/m", "Source": "v2" }, { "Type": "volume", "Target": "/s", "Source": "s" },
            ] }),
        ),
        // Those of another container are had from it again.
        (
            json!({ "VolumesFrom": ["other"] }),
            json!([volume("v1", "/data"), volume("v3", "/others")]),
            json!({ "VolumesFrom": ["other"], "Binds": ["v1:/data"] }),
        ),
    ];
    for (host, mounts, expect) in table {
        let old = container(&json!({ "HostConfig": host, "Config": { "Volumes": { "/data": {} } } }));
        let old = merged(old, &json!({ "Mounts": mounts }));
        let mut found = blueprint(&old, Some(&image()), "app:2").body.0["HostConfig"].clone();
        found.as_object_mut().unwrap().remove("NetworkMode");
        assert_eq!(found, expect, "{host}");
    }
}

// DM9
#[test]
fn each_network_is_joined_as_it_was() {
    let networks = json!({
        "back": {
            "IPAMConfig": { "IPv4Address": "10.0.0.9", "IPv6Address": "fd00::9" }, "Links": ["db:database"],
            "Aliases": ["web", &ID[..12], "www"], "DriverOpts": { "opt": "1" }, "GwPriority": 3,
            "IPAddress": "10.0.0.9", "MacAddress": "02:42:0a:00:00:09", "EndpointID": "e", "NetworkID": "n",
        },
        "front": { "IPAMConfig": {}, "Aliases": [&ID[..12]], "IPAddress": "10.1.0.2", "MacAddress": "92:d0:c6:0a:29:33" },
    });
    let old = container(&json!({ "NetworkSettings": { "Networks": networks } }));
    let found = blueprint(&old, Some(&image()), "app:2");
    let first = json!({ "EndpointsConfig": { "front": { "MacAddress": "92:d0:c6:0a:29:33" } } });
    assert_eq!(found.body.0["NetworkingConfig"], first);
    let second = json!({
        "IPAMConfig": { "IPv4Address": "10.0.0.9", "IPv6Address": "fd00::9" }, "Links": ["db:database"],
        "Aliases": ["web", "www"], "DriverOpts": { "opt": "1" }, "GwPriority": 3,
    });
    assert_eq!(found.join, [("back".into(), Document(second))]);
    assert_eq!(found.leave, None);
    // Where the address is the container's own, older engines have it in one place only.
    let old = merged(old, &json!({ "Config": { "MacAddress": "92:d0:c6:0a:29:33" } }));
    let found = blueprint(&old, Some(&image()), "app:2").body.0;
    assert_eq!(found["NetworkingConfig"], json!({ "EndpointsConfig": { "front": {} } }));
    assert_eq!(found["MacAddress"], "92:d0:c6:0a:29:33");
}

// DM9
#[test]
fn the_network_that_a_container_is_created_on_is_the_one_of_its_mode() {
    let table = [
        ("front", json!({ "front": {}, "back": {} }), Some("front"), 1, None),
        ("default", json!({ "bridge": {} }), Some("bridge"), 0, None),
        ("bridge", json!({ "bridge": {}, "back": {} }), Some("bridge"), 1, None),
        ("f00d", json!({ "front": { "NetworkID": "f00d" } }), Some("front"), 0, None),
        ("host", json!({ "host": {} }), None, 0, None),
        ("none", json!({ "none": {} }), None, 0, None),
        // Somebody took it off that one later.
        ("front", json!({ "back": {} }), None, 1, Some("front")),
    ];
    for (mode, networks, first, more, leave) in table {
        let mut old = container(&json!({ "HostConfig": { "NetworkMode": mode } }));
        old["NetworkSettings"]["Networks"] = networks;
        let found = blueprint(&old, Some(&image()), "app:2");
        let at = found.body.0["NetworkingConfig"]["EndpointsConfig"].as_object();
        assert_eq!(at.and_then(|all| all.keys().next()).map(String::as_str), first, "{mode}");
        assert_eq!((found.join.len(), found.leave.as_deref()), (more, leave), "{mode}");
    }
}

// DM11
#[test]
fn who_lives_in_anothers_network_has_no_name_and_no_ports_and_moves_with_it() {
    let (from, to): (ContainerId, ContainerId) = (ID.parse().unwrap(), "ab".repeat(32).parse().unwrap());
    let modes = json!({ "NetworkMode": format!("container:{from}"), "PidMode": format!("container:{from}"), "IpcMode": "private" });
    let config = json!({ "Hostname": "web", "ExposedPorts": { "80/tcp": {} } });
    let mut old = container(&json!({ "HostConfig": modes, "Config": config }));
    old["NetworkSettings"]["Networks"] = json!({});
    let mut found = blueprint(&old, None, "side:1");
    rejoin(&mut found, from, to);
    let body = &found.body.0;
    assert_eq!((body.get("Hostname"), body.get("ExposedPorts"), body.get("NetworkingConfig")), (None, None, None));
    let moved = json!(format!("container:{to}"));
    let modes = ["NetworkMode", "PidMode", "IpcMode"].map(|mode| &body["HostConfig"][mode]);
    assert_eq!(modes, [&moved, &moved, &json!("private")]);
    rejoin(&mut found, from, from);
    assert_eq!(found.body.0["HostConfig"]["NetworkMode"], moved, "nobody else's");
}

// DM9, E10
#[test]
fn what_podman_tells_is_in_the_form_in_which_it_takes_it() {
    let old = container(&json!({
        "Config": { "Env": ["A=1", format!("HOSTNAME={}", &ID[..12]), "HOSTNAME=mine"] },
        "HostConfig": {
            "Ulimits": [{ "Name": "RLIMIT_NOFILE", "Hard": 9, "Soft": 8 }, { "Name": "nproc", "Hard": 7, "Soft": 7 }],
            "NanoCpus": 500_000_000, "CpuPeriod": 100_000, "CpuQuota": 50_000,
        },
    }));
    let body = blueprint(&old, None, "app:2").body.0;
    let host = &body["HostConfig"];
    assert_eq!(body["Env"], json!(["A=1", "HOSTNAME=mine"]));
    assert_eq!([&host["Ulimits"][0]["Name"], &host["Ulimits"][1]["Name"]], ["nofile", "nproc"]);
    assert_eq!((&host["NanoCpus"], host.get("CpuPeriod"), host.get("CpuQuota")), (&json!(500_000_000), None, None));
    let quota = container(&json!({ "HostConfig": { "NanoCpus": 0, "CpuPeriod": 100_000, "CpuQuota": 50_000 } }));
    let body = blueprint(&quota, None, "app:2").body.0;
    assert_eq!(body["HostConfig"]["CpuQuota"], 50_000);
}
