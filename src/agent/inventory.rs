//! What containers there are.
