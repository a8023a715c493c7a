//! Claims about the interface, made against a bank in memory.
