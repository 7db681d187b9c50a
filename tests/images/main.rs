//! The images as the `Dockerfile` makes them, from a build image that stands in for a registry's, run on a private
//! engine beside a real broker. What Debian cannot give just now is skipped, and said so on standard error.

mod agent;
mod bridge;
mod compose;
mod foreign;
mod running;
mod small;
mod stand_in;
mod take_over;
mod workshop;
