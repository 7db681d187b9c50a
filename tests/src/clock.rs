//! The wall clock in nanoseconds, for latencies against the engine's own times.

/// Nanoseconds since 1970 UTC, as the engine counts them.
#[expect(clippy::disallowed_methods, reason = "measured against the engine's clock of the same host, in nanoseconds")]
pub fn wall_nanos() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
