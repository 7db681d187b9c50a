//! The connection number: what tells a live connection from the late will of an earlier one.

use std::path::PathBuf;

use tracing::warn;

use crate::files;

/// Gives out the numbers. Each is greater than every earlier one and at least the wall clock's
/// milliseconds, so that it grows even when the file is lost; and with the file it grows even
/// when the clock starts again in the past, as on a board without a battery.
#[derive(Debug)]
pub(super) struct Numbers {
    last: u64,
    file: Option<PathBuf>,
}

impl Numbers {
    /// Reads the last number. A file that cannot be used is logged, and the clock counts alone.
    pub(super) async fn open(file: Option<PathBuf>) -> Self {
        let last = match file.clone() {
            None => 0,
            Some(path) => {
                let read = move || match files::read_if_there(&path) {
                    Ok(bytes) => bytes.and_then(|bytes| parse(&bytes)),
                    Err(error) => {
                        warn!(%error, "the last connection number is lost");
                        None
                    }
                };
                tokio::task::spawn_blocking(read).await.ok().flatten().unwrap_or(0)
            }
        };
        Self { last, file }
    }

    /// The number of the next attempt: above the last, above `above`, at least `wall`.
    pub(super) fn next(&mut self, above: u64, wall: i64) -> u64 {
        let wall = u64::try_from(wall).unwrap_or(0);
        self.last = self.last.max(above).saturating_add(1).max(wall);
        self.last
    }

    /// Keeps the number of a connection that the broker has accepted. Attempts that fail are
    /// not kept: nobody has seen their numbers, and a long outage would wear the disk out.
    pub(super) async fn keep(&self, number: u64) {
        let Some(path) = self.file.clone() else {
            return;
        };
        let write = move || files::write_atomic(&path, format!("{number}\n").as_bytes(), 0o600);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(write).await {
            warn!(%error, "the connection number is not kept");
        }
    }
}

fn parse(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // E2
    #[test]
    fn a_number_is_above_all_that_is_known() {
        for (last, above, wall, number) in [
            (0, 0, 1_700_000_000_000, 1_700_000_000_000),
            (1_700_000_000_000, 0, 1_700_000_000_000, 1_700_000_000_001),
            (5_000, 0, 12, 5_001),
            (5_000, 9_000, 12, 9_001),
            (5_000, 9_000, 10_000, 10_000),
            (0, 0, -1, 1),
        ] {
            let mut numbers = Numbers { last, file: None };
            assert_eq!(numbers.next(above, wall), number, "{last} {above} {wall}");
        }
    }

    // E2
    #[tokio::test]
    async fn a_kept_number_survives_a_clock_that_went_back() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("number");
        let mut numbers = Numbers::open(Some(file.clone())).await;
        let number = numbers.next(0, 1_700_000_000_000);
        numbers.keep(number).await;

        let mut later = Numbers::open(Some(file.clone())).await;
        assert_eq!(later.next(0, 0), number + 1);

        std::fs::write(&file, "garbage").unwrap();
        assert_eq!(Numbers::open(Some(file)).await.next(0, 44), 44);
    }
}
