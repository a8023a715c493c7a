//! The `florin` binary.

fn main() {}
