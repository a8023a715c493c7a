//! Every planted bug is found, under the claim and within the count of seeds that stand beside it.

use sim::plants::Plant;
use sim::world::{Plan, run};

#[test]
fn every_planted_bug_is_found_within_its_count_of_seeds() {
    let missed: Vec<String> = Plant::ALL
        .into_iter()
        .filter_map(|(plant, claim, seeds)| {
            let is_found = |seed: &u64| {
                let report = run(Plan { seed: *seed, plant: Some(plant), keeps_trace: false });
                report.findings.iter().any(|finding| finding.claim == claim)
            };
            let found = (0..seeds).find(is_found);
            println!("{plant:?}: {found:?} of {seeds}");
            found.is_none().then(|| format!("{plant:?}: not within {seeds} seeds under `{claim}`"))
        })
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
}
