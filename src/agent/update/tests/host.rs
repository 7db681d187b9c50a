//! An engine that does what it is told, as far as updates need it, with all that it has in one value.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::blueprint::text;
use crate::engine::act::{Act, ActError, ActErrorKind, Done};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Created,
    Running,
    Paused,
    Exited,
    /// It is being removed, until somebody has looked twice.
    Removing(u8),
}

#[derive(Debug, Clone)]
struct Container {
    name: String,
    state: State,
    started: u64,
    /// The id of its image.
    image: String,
    config: Value,
    host: Value,
    networks: BTreeMap<String, Value>,
    /// Target and name.
    anonymous: BTreeMap<String, String>,
}

/// The engine.
#[derive(Debug, Clone, Default)]
pub(in crate::agent) struct Host {
    containers: BTreeMap<String, Container>,
    /// Names and ids.
    images: BTreeMap<String, String>,
    /// What a pull of this name would bring.
    registry: BTreeMap<String, String>,
    volumes: BTreeSet<String>,
    numbers: u64,
}

/// What one sees of it, without what differs between two that are the same.
pub(in crate::agent) type World = (BTreeMap<String, String>, BTreeSet<String>);

impl Host {
    /// One with the image `app`, of which the registry has a newer one of this health.
    pub(in crate::agent) fn new(health: &str) -> Self {
        let mut host = Self::default();
        host.images.insert("app:latest".to_owned(), "sha256:old".to_owned());
        host.registry.insert("app:latest".to_owned(), format!("sha256:new-{health}"));
        for network in ["front", "back"] {
            host.volumes.insert(network.to_owned());
        }
        host
    }

    /// Makes a container that is in this state; its id.
    pub(in crate::agent) fn with(&mut self, name: &str, state: &str, host: Value) -> String {
        let body = json!({ "Image": "app", "HostConfig": host, "Volumes": { "/data": {} } });
        let id = self.create(name, &body).unwrap();
        let shares = text(&host["NetworkMode"]).starts_with("container:");
        if !shares {
            self.connect("back", &id, &Value::Null).unwrap();
        }
        if state != "created" {
            self.start(&id).unwrap();
        }
        match state {
            "paused" => self.set(&id, State::Paused),
            "exited" => self.set(&id, State::Exited),
            _ => {}
        }
        id
    }

    pub(in crate::agent) fn id(&self, name: &str) -> String {
        self.containers.iter().find(|(_, one)| one.name == name).unwrap().0.clone()
    }

    pub(in crate::agent) fn world(&self) -> World {
        let name_of = |id: &str| self.containers.get(id).map_or("nobody", |one| one.name.as_str());
        let seen = self.containers.values().map(|one| {
            let mode = text(&one.host["NetworkMode"]);
            let mode = mode.strip_prefix("container:").map_or(mode.to_owned(), |id| format!("of {}", name_of(id)));
            let networks: Vec<_> = one.networks.keys().map(String::as_str).collect();
            let state = match one.state {
                State::Created | State::Exited => "stopped".to_owned(),
                state => format!("{state:?}"),
            };
            let fleeting = if one.host["AutoRemove"] == true { " fleeting" } else { "" };
            let seen = format!("{state} {} {mode} {}{fleeting}", one.image, networks.join("+"));
            (one.name.clone(), seen)
        });
        (seen.collect(), self.volumes.clone())
    }

    /// The id of an image of this name; `latest` is meant where it has no tag.
    fn image(&self, name: &str) -> Option<String> {
        let found = self.images.get(name).or_else(|| self.images.get(&format!("{name}:latest"))).cloned();
        found.or_else(|| name.starts_with("sha256:").then(|| name.to_owned()))
    }

    /// Does it; what it tells, and how it ends.
    pub(in crate::agent) fn perform(&mut self, act: &Act) -> (Option<Value>, Result<Done, ActError>) {
        let done = |changed| Ok(Done { needed: changed, result: None });
        match act {
            Act::Describe { named } => {
                let found: Vec<Value> = named.iter().map(|named| self.inspect(named)).collect();
                self.pass();
                (Some(found.into()), done(false))
            }
            Act::DescribeImage { image } => match self.image(image) {
                Some(id) => (Some(json!({ "Id": id, "Config": { "Volumes": { "/data": {} } } })), done(false)),
                None => (None, Err(error(ActErrorKind::NotFound, "no such image"))),
            },
            Act::Sharing { id } => {
                let mode = format!("container:{id}");
                let sharing = |(_, one): &(&String, &Container)| one.host["NetworkMode"] == mode.as_str();
                let ids: Vec<String> = self.containers.iter().filter(sharing).map(|(id, _)| id.clone()).collect();
                let found: Vec<Value> = ids.iter().map(|id| self.inspect(id)).collect();
                (Some(found.into()), done(false))
            }
            Act::Pull { image } => match self.registry.get(&**image).cloned() {
                Some(id) => {
                    let changed = self.images.insert(image.to_string(), id.clone()) != Some(id);
                    (None, done(changed))
                }
                None => (None, Err(error(ActErrorKind::NotFound, "manifest unknown"))),
            },
            act => (None, self.change(act).map(|made| Done { needed: true, result: made.map(ciborium::Value::Text) })),
        }
    }

    fn change(&mut self, act: &Act) -> Result<Option<String>, ActError> {
        match act {
            Act::Create { name, body } => return self.create(name, &body.0).map(Some),
            Act::Connect { network, id, endpoint } => self.connect(network, &id.to_string(), &endpoint.0)?,
            Act::Disconnect { network, id } => _ = self.find(&id.to_string())?.networks.remove(&**network),
            Act::Rename { id, to } => {
                if self.containers.values().any(|one| one.name == **to) {
                    return Err(error(ActErrorKind::Conflict, "the name is taken"));
                }
                self.find(&id.to_string())?.name = to.to_string();
            }
            Act::Stop { id, .. } => {
                let one = self.find(&id.to_string())?;
                if matches!(one.state, State::Running | State::Paused) {
                    one.state = if one.host["AutoRemove"] == true { State::Removing(0) } else { State::Exited };
                }
            }
            Act::Start { id } => self.start(&id.to_string())?,
            Act::Pause { id } => match self.find(&id.to_string())?.state {
                State::Running | State::Paused => self.set(&id.to_string(), State::Paused),
                _ => return Err(error(ActErrorKind::Conflict, "it does not run")),
            },
            Act::Remove { id, volumes, force } => {
                assert!(force, "containers are removed for sure");
                if let State::Removing(_) = self.find(&id.to_string())?.state {
                    return Err(error(ActErrorKind::Conflict, "removal is already in progress"));
                }
                self.remove(&id.to_string(), *volumes);
            }
            act => panic!("not an update's: {act:?}"),
        }
        Ok(None)
    }

    fn find(&mut self, named: &str) -> Result<&mut Container, ActError> {
        let one = self.containers.get_mut(named);
        one.ok_or_else(|| error(ActErrorKind::NotFound, &format!("no such container: {named}")))
    }

    fn set(&mut self, id: &str, state: State) {
        self.containers.get_mut(id).unwrap().state = state;
    }

    fn create(&mut self, name: &str, body: &Value) -> Result<String, ActError> {
        if self.containers.values().any(|one| one.name == name) {
            return Err(error(ActErrorKind::Conflict, "the name is taken"));
        }
        let named = text(&body["Image"]);
        let image = self.image(named);
        let image = image.ok_or_else(|| error(ActErrorKind::NotFound, "no such image"))?;
        self.numbers += 1;
        let id = format!("{:064x}", self.numbers);
        let binds: Vec<&str> = body["HostConfig"]["Binds"].as_array().into_iter().flatten().map(text).collect();
        let bound = |target: &str| binds.iter().any(|bind| bind.split(':').nth(1) == Some(target));
        let mut anonymous = BTreeMap::new();
        if !bound("/data") {
            anonymous.insert("/data".to_owned(), format!("{:0>64}", format!("{}v", self.numbers)));
            self.volumes.extend(anonymous.values().cloned());
        }
        let missing = binds.iter().find(|bind| !self.volumes.contains(bind.split(':').next().unwrap_or_default()));
        assert_eq!(missing, None, "a volume that is gone");
        let places = body["NetworkingConfig"]["EndpointsConfig"].as_object().cloned().unwrap_or_default();
        let mut networks: BTreeMap<String, Value> = places.into_iter().collect();
        let mode = text(&body["HostConfig"]["NetworkMode"]);
        if !mode.is_empty() && !mode.starts_with("container:") {
            networks.entry(mode.to_owned()).or_default();
        }
        let mut config: Map<String, Value> = body.as_object().cloned().unwrap();
        let host = config.remove("HostConfig").unwrap_or_default();
        config.remove("NetworkingConfig");
        let (state, config) = (State::Created, config.into());
        let one = Container { name: name.to_owned(), state, started: 0, image, config, host, networks, anonymous };
        self.containers.insert(id.clone(), one);
        Ok(id)
    }

    fn connect(&mut self, network: &str, id: &str, endpoint: &Value) -> Result<(), ActError> {
        self.find(id)?.networks.insert(network.to_owned(), endpoint.clone());
        Ok(())
    }

    fn start(&mut self, id: &str) -> Result<(), ActError> {
        let mode = text(&self.find(id)?.host["NetworkMode"]).to_owned();
        if let Some(other) = mode.strip_prefix("container:") {
            let state = self.containers.get(other).map(|one| one.state);
            if !matches!(state, Some(State::Running | State::Paused)) {
                return Err(error(ActErrorKind::Engine, "cannot join the network of a container that does not run"));
            }
        }
        self.numbers += 1;
        let number = self.numbers;
        let one = self.find(id)?;
        if let State::Removing(_) = one.state {
            return Err(error(ActErrorKind::Conflict, "it is being removed"));
        }
        if one.state != State::Running {
            (one.state, one.started) = (State::Running, number);
        }
        Ok(())
    }

    fn remove(&mut self, id: &str, volumes: bool) {
        let Some(one) = self.containers.remove(id) else { return };
        if volumes {
            one.anonymous.values().for_each(|name| _ = self.volumes.remove(name));
        }
    }

    /// Time passes: what is being removed goes.
    pub(in crate::agent) fn pass(&mut self) {
        let mut gone = Vec::new();
        for (id, one) in &mut self.containers {
            if let State::Removing(looks) = &mut one.state {
                *looks += 1;
                if *looks > 2 {
                    gone.push(id.clone());
                }
            }
        }
        for id in gone {
            // The engine keeps volumes that others use.
            self.remove(&id, false);
        }
    }

    fn inspect(&self, named: &str) -> Value {
        let found = self.containers.iter().find(|(id, one)| *id == named || one.name == named);
        let Some((id, one)) = found else { return Value::Null };
        let bound = one.host["Binds"].as_array().into_iter().flatten().map(text).filter_map(|bind| {
            let (name, target) = bind.split_once(':')?;
            Some(json!({ "Type": "volume", "Name": name, "Destination": target, "RW": true }))
        });
        let unbound = one
            .anonymous
            .iter()
            .map(|(target, name)| json!({ "Type": "volume", "Name": name, "Destination": target, "RW": true }));
        let mounts: Vec<Value> = bound.chain(unbound).collect();
        let running = matches!(one.state, State::Running | State::Paused);
        let health = one.image.strip_prefix("sha256:new-").filter(|_| running);
        json!({
            "Id": id,
            "Name": format!("/{}", one.name),
            "Image": one.image,
            "RestartCount": 0,
            "State": {
                "Status": if matches!(one.state, State::Removing(_)) { "removing" } else { "" },
                "Running": running,
                "Paused": one.state == State::Paused,
                "StartedAt": if one.started == 0 { "0001-01-01T00:00:00Z".to_owned() } else { one.started.to_string() },
                "ExitCode": 0,
                "Health": { "Status": health.unwrap_or("none") },
            },
            "Config": one.config,
            "HostConfig": one.host,
            "Mounts": mounts,
            "NetworkSettings": { "Networks": one.networks },
        })
    }
}

fn error(kind: ActErrorKind, text: &str) -> ActError {
    ActError { kind, text: text.into() }
}
