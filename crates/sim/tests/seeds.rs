//! A short run: whatever goes wrong, the bank keeps its promises. `make sim` is the long one.

use sim::world::{Plan, run_twice};

/// What a few seconds are enough for.
const SEEDS: u64 = 150;

#[test]
fn nothing_is_lost_doubled_or_made_up_whatever_goes_wrong() {
    let (mut crashes, mut requests) = (0, 0);
    for seed in 0..SEEDS {
        let report = run_twice(Plan { seed, plant: None, keeps_trace: false });
        let findings: Vec<String> = report.findings.iter().take(5).map(ToString::to_string).collect();
        assert!(findings.is_empty(), "again: cargo xtask sim --seed {seed}\n{}", findings.join("\n"));
        (crashes, requests) = (crashes + report.crashes, requests + report.requests);
    }
    assert!(
        50 * SEEDS < requests as u64 && SEEDS / 2 < crashes,
        "{requests} requests and {crashes} crashes prove little"
    );
}

#[test]
fn another_seed_is_another_world() {
    let trace = |seed| run_twice(Plan { seed, plant: None, keeps_trace: false }).trace;
    assert_ne!(trace(1), trace(2));
}
