//! The store in memory keeps what every store promises.

use store::conformance::oracle::InMemory;

store::conformance_suite!(InMemory::fresh);
store::conformance_suite!(InMemory::one_of_several, several);
