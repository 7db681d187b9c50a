//! Events until the broker has them, and a while longer.
