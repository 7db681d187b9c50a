//! What the engine has found, as values that may leave the host: without what may hold secrets, and bounded.

use std::collections::HashMap;
use std::io;

use bollard::models::{
    ContainerInspectResponse, ContainerTopResponse, ImageSummary, Network, Volume, VolumeListResponse,
};
use ciborium::Value;

use super::super::moment;
use super::super::record::{Labels, cut_to};
use super::{ActError, ActErrorKind};

/// The most bytes of an inspect's answer.
const LARGEST: usize = 128 * 1024;

/// The most bytes of a list's entries.
const MOST_BYTES: usize = 192 * 1024;

pub(super) const MOST_ENTRIES: usize = 1000;
const MOST_PROCESSES: usize = 500;
const MOST_TAGS: usize = 32;
const LONGEST_OUTPUT: usize = 200;
const LONGEST_TEXT: usize = 256;

/// All of an inspect but what may be a secret: values of the environment, of labels that are not shown, of options for
/// drivers (a volume's may have a password, a log's a token), and the end of long outputs of health checks.
pub(super) fn inspected(mut answer: ContainerInspectResponse, labels: &Labels) -> Result<Value, ActError> {
    if let Some(config) = &mut answer.config {
        for variable in config.env.iter_mut().flatten() {
            let end = variable.find('=').unwrap_or(variable.len());
            variable.truncate(end);
        }
        for (label, value) in config.labels.iter_mut().flatten() {
            if !labels.shown(label) {
                value.clear();
            }
        }
    }
    if let Some(host) = &mut answer.host_config {
        clear(host.log_config.as_mut().and_then(|log| log.config.as_mut()));
        clear(host.annotations.as_mut());
        for mount in host.mounts.iter_mut().flatten() {
            if let Some(options) = &mut mount.volume_options {
                clear(options.driver_config.as_mut().and_then(|driver| driver.options.as_mut()));
                clear(options.labels.as_mut());
            }
        }
    }
    let networks = answer.network_settings.as_mut().and_then(|settings| settings.networks.as_mut());
    for endpoint in networks.into_iter().flat_map(HashMap::values_mut) {
        clear(endpoint.driver_opts.as_mut());
    }
    let health = answer.state.as_mut().and_then(|state| state.health.as_mut());
    for check in health.and_then(|health| health.log.as_mut()).into_iter().flatten() {
        check.output = check.output.take().map(|output| cut_to(&output, LONGEST_OUTPUT).into());
    }
    let found = Value::serialized(&answer).map_err(|error| failed(&format!("not fit to be sent: {error}")))?;
    if size(&found) > LARGEST { Err(failed("too large to send")) } else { Ok(found) }
}

pub(super) fn top(answer: ContainerTopResponse) -> Value {
    let row = |cells: Vec<String>| Value::Array(cells.iter().map(|cell| text(cell)).collect());
    let titles = row(answer.titles.unwrap_or_default());
    let (processes, cut) = bounded(answer.processes.unwrap_or_default().into_iter().map(row), MOST_PROCESSES);
    map([("titles", Some(titles)), ("processes", Some(processes)), ("truncated", cut)])
}

pub(super) fn images(all: Vec<ImageSummary>) -> Value {
    let entry = |image: ImageSummary| {
        let tags = image.repo_tags.iter().filter(|tag| *tag != "<none>:<none>").take(MOST_TAGS);
        map([
            ("id", Some(text(&image.id))),
            ("tags", Some(tags.map(|tag| text(tag)).collect::<Vec<_>>().into())),
            ("size", known(image.size)),
            ("created", image.created.checked_mul(1000).map(Value::from)),
            ("in_use", known(image.containers).map(|_| (image.containers > 0).into())),
        ])
    };
    let (images, cut) = bounded(all.into_iter().map(entry), MOST_ENTRIES);
    map([("images", Some(images)), ("truncated", cut)])
}

pub(super) fn networks(mut all: Vec<Network>) -> Value {
    all.sort_unstable_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    let entry = |network: Network| {
        map([
            ("id", network.id.as_deref().map(text)),
            ("name", network.name.as_deref().map(text)),
            ("driver", network.driver.as_deref().map(text)),
            ("scope", network.scope.as_deref().map(text)),
            ("internal", network.internal.map(Value::from)),
            ("created", network.created.as_deref().and_then(moment::milliseconds).map(Value::from)),
        ])
    };
    let (networks, cut) = bounded(all.into_iter().map(entry), MOST_ENTRIES);
    map([("networks", Some(networks)), ("truncated", cut)])
}

pub(super) fn volumes(answer: VolumeListResponse) -> Value {
    let mut all = answer.volumes.unwrap_or_default();
    all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let entry = |volume: Volume| {
        let usage = volume.usage_data.as_ref();
        map([
            ("name", Some(text(&volume.name))),
            ("driver", Some(text(&volume.driver))),
            ("scope", volume.scope.map(|scope| text(scope.as_ref()))),
            ("created", volume.created_at.as_deref().and_then(moment::milliseconds).map(Value::from)),
            ("size", usage.and_then(|usage| known(usage.size))),
            ("in_use", usage.and_then(|usage| known(usage.ref_count).map(|_| (usage.ref_count > 0).into()))),
        ])
    };
    let (volumes, cut) = bounded(all.into_iter().map(entry), MOST_ENTRIES);
    map([("volumes", Some(volumes)), ("truncated", cut)])
}

/// As many entries as may be sent, and whether any are left out.
pub(super) fn bounded(all: impl Iterator<Item = Value>, most: usize) -> (Value, Option<Value>) {
    let (mut kept, mut bytes) = (Vec::new(), 0);
    for entry in all {
        bytes = size(&entry).saturating_add(bytes);
        if kept.len() == most || bytes > MOST_BYTES {
            return (kept.into(), Some(true.into()));
        }
        kept.push(entry);
    }
    (kept.into(), None)
}

/// A number that the engine has not counted is -1.
fn known(number: i64) -> Option<Value> {
    (number >= 0).then(|| number.into())
}

pub(super) fn map<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    Value::Map(fields.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect())
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(cut_to(text, LONGEST_TEXT).into())
}

fn clear(options: Option<&mut HashMap<String, String>>) {
    options.into_iter().flat_map(HashMap::values_mut).for_each(String::clear);
}

fn failed(why: &str) -> ActError {
    ActError { kind: ActErrorKind::Engine, text: why.into() }
}

fn size(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What cannot be encoded cannot be sent either.
    ciborium::into_writer(value, &mut count).map_or(usize::MAX, |()| count.0)
}

#[cfg(test)]
mod tests {
    use bollard::models::Volume;

    use super::*;

    fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
        value.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
    }

    fn count(value: &Value, name: &str) -> Option<usize> {
        Some(field(value, name)?.as_array()?.len())
    }

    // DM16
    #[test]
    fn a_list_is_cut_at_its_number_of_entries_and_at_its_size() {
        let volumes_of = |number: usize, name: &str| {
            let volume = |n: usize| Volume { name: format!("{n:04}{name}"), ..Volume::default() };
            volumes(VolumeListResponse { volumes: Some((0..number).rev().map(volume).collect()), warnings: None })
        };
        let whole = volumes_of(MOST_ENTRIES, "");
        assert_eq!((count(&whole, "volumes"), field(&whole, "truncated")), (Some(MOST_ENTRIES), None));
        let longer = volumes_of(MOST_ENTRIES + 1, "");
        assert_eq!((count(&longer, "volumes"), field(&longer, "truncated")), (Some(MOST_ENTRIES), Some(&true.into())));
        let first = &field(&whole, "volumes").unwrap().as_array().unwrap()[0];
        assert_eq!(field(first, "name"), Some(&"0000".into()));
        let larger = volumes_of(MOST_ENTRIES, &"x".repeat(300));
        assert_eq!(field(&larger, "truncated"), Some(&true.into()));
        assert!((MOST_BYTES - 1000..MOST_BYTES + 100).contains(&size(&larger)), "{}", size(&larger));
    }

    // DM5
    #[test]
    fn processes_are_cut_at_their_number() {
        let processes = vec![vec!["1".to_owned(), "x".repeat(300)]; MOST_PROCESSES + 1];
        let found = top(ContainerTopResponse { titles: Some(vec!["PID".to_owned()]), processes: Some(processes) });
        assert_eq!((count(&found, "processes"), field(&found, "truncated")), (Some(500), Some(&true.into())));
        assert!(size(&found) < MOST_BYTES);
    }

    // DM16
    #[test]
    fn what_the_engine_has_not_counted_is_absent() {
        let image = |containers| ImageSummary { size: 5, containers, ..ImageSummary::default() };
        let found = images(vec![image(-1), image(0), image(2)]);
        let entries = field(&found, "images").unwrap().as_array().unwrap();
        let in_use: Vec<_> = entries.iter().map(|entry| field(entry, "in_use").cloned()).collect();
        assert_eq!(in_use, [None, Some(false.into()), Some(true.into())]);
    }
}
