//! What containers use, from the engine's samples: the figures that `docker stats` shows, as counters. What the engine
//! leaves out, or has as 0 where a container that runs cannot have used nothing, the kernel does not count.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use futures_util::{StreamExt, TryStreamExt, stream};
use radar_link::time::utc;
use radar_wire::container::ContainerId;
use radar_wire::stats::{ContainerUsage, Usage};
use serde_json::Value;

use super::super::asking;
use super::call::{LATER, done, within};
use super::running::Teller;
use super::{ActError, Done, Piece};

/// How many containers are asked for at once. Older engines answer with their next look at all of them, a second later.
const AT_ONCE: usize = 16;

/// How long one may take: of a container whose figures do not come, all are absent.
const ONE: Duration = Duration::from_secs(10);

/// Asks for all, tells them as one piece, and ends.
pub(super) async fn sample(
    docker: &Docker,
    ids: &[ContainerId],
    time_out: Duration,
    teller: &Teller,
) -> Result<Done, ActError> {
    let docker = docker.clone().with_timeout(ONE.saturating_add(LATER));
    let asked = stream::iter(ids.iter().copied()).map(|id| one(&docker, id)).buffer_unordered(AT_ONCE);
    let all: Vec<_> = within(time_out, asked.try_collect()).await?;
    let mut found: Vec<ContainerUsage> = all.into_iter().flatten().collect();
    found.sort_unstable_by_key(|usage| usage.id);
    teller.ready().await;
    teller.tell(Piece::Sample(found)).await;
    Ok(done(false))
}

/// None for one that has ended.
async fn one(docker: &Docker, id: ContainerId) -> Result<Option<ContainerUsage>, ActError> {
    let path = format!("/containers/{id}/stats?stream=false&one-shot=true");
    match tokio::time::timeout(ONE, asking::get(docker, &path)).await {
        Ok(Ok(answer)) => Ok(read(id, &answer)),
        Ok(Err(Error::DockerResponseServerError { status_code: 404 | 409, .. })) => Ok(None),
        // It runs, and the engine cannot tell what it uses.
        Err(_) | Ok(Err(Error::DockerResponseServerError { .. })) => {
            Ok(Some(ContainerUsage { id, time: None, usage: Usage::default() }))
        }
        // Of one that ends meanwhile nothing may be said.
        Ok(Err(Error::JsonSerdeError { .. })) => Ok(None),
        Ok(Err(error)) => Err(error.into()),
    }
}

/// None for the empty answer about a container that does not run.
fn read(id: ContainerId, answer: &Value) -> Option<ContainerUsage> {
    let time = answer["read"].as_str().and_then(utc::nanoseconds)?;
    Some(ContainerUsage { id, time: Some(time), usage: usage(answer) })
}

fn usage(answer: &Value) -> Usage {
    let (memory, memory_limit) = memory(&answer["memory_stats"]);
    let blocks = answer["blkio_stats"]["io_service_bytes_recursive"].as_array().map(Vec::as_slice);
    let networks = answer["networks"].as_object().filter(|networks| !networks.is_empty());
    let network = |direction: &str| {
        let of = |network: &Value| network[direction].as_u64();
        networks.map(|networks| networks.values().filter_map(of).fold(0, u64::saturating_add))
    };
    Usage {
        cpu: counted(&answer["cpu_stats"]["cpu_usage"]["total_usage"]),
        memory,
        memory_limit,
        received: network("rx_bytes"),
        sent: network("tx_bytes"),
        read: bytes(blocks, 'r'),
        written: bytes(blocks, 'w'),
        pids: counted(&answer["pids_stats"]["current"]),
    }
}

fn counted(number: &Value) -> Option<u64> {
    number.as_u64().filter(|number| *number > 0)
}

/// The memory that is used without the page cache that can be dropped, by the rule of Docker's command line, and what
/// can be used.
fn memory(stats: &Value) -> (Option<u64>, Option<u64>) {
    let Some(used) = counted(&stats["usage"]) else { return (None, None) };
    let known = |name: &str| stats["stats"][name].as_u64().filter(|cache| *cache < used);
    // The first name is that of version 1 of the control groups, which have the second too.
    let cache = known("total_inactive_file").or_else(|| known("inactive_file"));
    (Some(used - cache.unwrap_or(0)), counted(&stats["limit"]))
}

/// The bytes of one direction; absent where nothing is counted for any device.
fn bytes(entries: Option<&[Value]>, direction: char) -> Option<u64> {
    let entries = entries.filter(|entries| !entries.is_empty())?;
    let of = |entry: &&Value| {
        entry["op"].as_str().is_some_and(|op| op.starts_with([direction, direction.to_ascii_uppercase()]))
    };
    let values = entries.iter().filter(of).filter_map(|entry| entry["value"].as_u64());
    Some(values.fold(0, u64::saturating_add))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(answer: &str) -> Option<ContainerUsage> {
        read(ContainerId::new([7; 32]), &serde_json::from_str(answer).unwrap())
    }

    fn usage_of(answer: &str) -> Usage {
        figures(&format!(r#"{{"read": "2026-11-21T02:42:50.000000001Z", {answer}}}"#)).unwrap().usage
    }

    // DM8
    #[test]
    fn control_groups_of_version_1_are_read_as_docker_shows_them() {
        let usage = usage_of(
            r#""pids_stats": {"current": 3},
               "cpu_stats": {"cpu_usage": {"total_usage": 123456789, "percpu_usage": [1, 2]}, "system_cpu_usage": 5},
               "memory_stats": {"usage": 10000, "limit": 50000,
                                "stats": {"inactive_file": 1, "total_inactive_file": 4000, "cache": 9000}},
               "blkio_stats": {"io_service_bytes_recursive": [
                   {"major": 8, "minor": 0, "op": "Read", "value": 100}, {"major": 8, "minor": 0, "op": "Write", "value": 20},
                   {"major": 8, "minor": 0, "op": "Sync", "value": 120}, {"major": 8, "minor": 0, "op": "Total", "value": 120},
                   {"major": 8, "minor": 16, "op": "Read", "value": 1}]},
               "networks": {"eth0": {"rx_bytes": 5, "tx_bytes": 6}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}}"#,
        );
        let expect = Usage {
            cpu: Some(123_456_789),
            memory: Some(6000),
            memory_limit: Some(50_000),
            received: Some(15),
            sent: Some(26),
            read: Some(101),
            written: Some(20),
            pids: Some(3),
        };
        assert_eq!(usage, expect);
    }

    // DM8
    #[test]
    fn control_groups_of_version_2_are_read_as_docker_shows_them() {
        let usage = usage_of(
            r#""pids_stats": {"current": 1, "limit": 18446744073709551615},
               "cpu_stats": {"cpu_usage": {"total_usage": 5000, "usage_in_kernelmode": 1}, "online_cpus": 4},
               "memory_stats": {"usage": 10000, "limit": 50000, "stats": {"inactive_file": 3000, "file": 9}},
               "blkio_stats": {"io_service_bytes_recursive": [
                   {"major": 254, "minor": 0, "op": "read", "value": 7}, {"major": 254, "minor": 0, "op": "write", "value": 8}]}"#,
        );
        let (cpu, memory, memory_limit) = (Some(5000), Some(7000), Some(50_000));
        let (read, written, pids) = (Some(7), Some(8), Some(1));
        let expect = Usage { cpu, memory, memory_limit, read, written, pids, ..Usage::default() };
        assert_eq!(usage, expect, "without a network there is no figure for it");
    }

    // DM8
    #[test]
    fn what_the_kernel_does_not_count_is_absent_and_never_0() {
        for answer in [
            r#""memory_stats": {}"#,
            r#""memory_stats": {"usage": 0, "limit": 0, "stats": {}}"#,
            r#""memory_stats": {"limit": 50000}"#,
            r#""blkio_stats": {"io_service_bytes_recursive": null}, "networks": {}"#,
            r#""blkio_stats": {"io_service_bytes_recursive": []}"#,
            r#""cpu_stats": {"cpu_usage": {"total_usage": 0}}, "pids_stats": {}"#,
        ] {
            assert_eq!(usage_of(answer), Usage::default(), "{answer}");
        }
        let more_cache = r#""memory_stats": {"usage": 10, "limit": 50, "stats": {"inactive_file": 30}}"#;
        assert_eq!(usage_of(more_cache).memory, Some(10));
    }

    // DM8, E10
    #[test]
    fn podmans_figures_are_read_and_what_it_cannot_count_is_absent() {
        let rootful = usage_of(
            r#""pids_stats": {"current": 1}, "blkio_stats": {"io_service_bytes_recursive": []},
               "cpu_stats": {"cpu_usage": {"total_usage": 45528444}, "online_cpus": 2},
               "memory_stats": {"usage": 466944, "limit": 25276514304},
               "networks": {"network": {"rx_bytes": 0, "tx_bytes": 0}}"#,
        );
        let (cpu, memory, memory_limit) = (Some(45_528_444), Some(466_944), Some(25_276_514_304));
        let (received, sent, pids) = (Some(0), Some(0), Some(1));
        assert_eq!(rootful, Usage { cpu, memory, memory_limit, received, sent, pids, ..Usage::default() });
        // Without control groups.
        let rootless = usage_of(
            r#""pids_stats": {}, "blkio_stats": {"io_service_bytes_recursive": []},
               "cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {}"#,
        );
        assert_eq!(rootless, Usage::default());
    }

    // DM8
    #[test]
    fn a_container_that_does_not_run_has_no_figures() {
        assert_eq!(figures(r#"{"read": "0001-01-01T00:00:00Z", "cpu_stats": {}}"#), None);
        assert_eq!(figures("{}"), None);
        let time = figures(r#"{"read": "2026-11-21T02:42:50.000000001Z"}"#).unwrap().time;
        assert_eq!(time, Some(1_795_228_970_000_000_001));
    }
}
