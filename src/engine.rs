//! The container engine: the only room that names bollard.
