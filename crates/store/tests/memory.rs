//! The store in memory keeps what every store promises.

use store::conformance::oracle::InMemory;

store::conformance_suite!(InMemory::fresh);
