//! The relay core and the HTTP client against the double of the server, without a broker: what one would do to the
//! other over a real connection. [`double`] shows that the double has the hazards at all.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod bench;
mod double;
mod faults;
mod login;
mod relaying;
