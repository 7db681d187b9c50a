//! The kinds of engine that tests run.

/// Which engine, and as whom it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Docker's, as root.
    Docker,
    /// Podman, as root.
    Podman,
    /// Podman as a user that only it knows: without control groups where the host has version 1 of them.
    RootlessPodman,
}

impl Kind {
    /// Whether it is Podman, as whom ever.
    #[must_use]
    pub fn is_podman(self) -> bool {
        self != Self::Docker
    }
}
