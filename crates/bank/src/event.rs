//! Reads a CloudEvent and what it says.
