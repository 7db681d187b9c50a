//! The contract as others see it: released forms, limits, and what is read from anybody.

mod codec;
mod command;
mod golden;
mod samples;
