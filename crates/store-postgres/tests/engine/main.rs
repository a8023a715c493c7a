//! The PostgreSQL engine against real servers.

mod conformance;
