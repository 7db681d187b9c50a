//! What is written for others, held against the programs: the README's tables, and the payloads of a real
//! agent as somebody reads them who has none of our code.

mod payloads;
mod readme;
mod world;
