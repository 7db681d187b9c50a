//! The contract between `radar-agent` and `radar-bridge`, version 1.
//!
//! Topics and payloads, and how they are written: nothing else. There is no I/O in here, no
//! runtime, no clock, and no type of the engine, the broker's client or the store.
//!
//! # For those who write their own client
//!
//! A topic is `<prefix>/v1/<agent>/<channel>` ([`topic`]). A payload is one CBOR map with text keys
//! ([`codec`]); its content type is `application/cbor`, or `application/cbor+zlib` for a snapshot over
//! 2 KiB. Absent fields have their type's empty value, unknown fields are ignored, unknown kinds
//! (an action, a state, a reason) are kept as text. Times called `at`, `created`, `started`, `finished` are integer
//! milliseconds since 1970 UTC; `time` is the engine's own clock in nanoseconds since 1970. A
//! container id is a byte string of 32 bytes; everything else that names something is text.
//!
//! | channel | payload | from |
//! |---|---|---|
//! | `status` | [`status::Status`] | agent, and its last will |
//! | `snapshot` | [`snapshot::Snapshot`] | agent |
//! | `event` | [`event::Event`] | agent |
//! | `resend` | [`resend::Resend`] | bridge |
//! | `enroll` | [`enroll::Enroll`] | agent |
//! | `command` | a compact JWS of [`command::Claims`] | bridge |
//! | `outcome` | [`command::Outcome`] | agent |
//! | `log/<jti>` | [`command::LogChunk`] | agent |
//! | `stats` | [`stats::Stats`] | agent |
//!
//! A retained topic is cleared by a payload of zero bytes, which is not a CBOR map and never
//! reaches [`codec::decode`]. It says nothing of the agent: what was known of it stays.

pub mod allow;
pub mod codec;
pub mod command;
pub mod container;
pub mod enroll;
pub mod event;
pub mod fields;
pub mod image;
pub mod resend;
pub mod snapshot;
pub mod stats;
pub mod status;
pub mod topic;
