//! Runs the inputs that are kept, as ordinary tests of the crate that owns the code.

use std::path::PathBuf;

/// Runs every file of the target's corpus: the seeds, and what a fuzzer found on this machine.
pub(crate) fn run(target: &str, exercise: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.expect("a file of the folder").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seeds", folder.display());
    for path in paths {
        eprintln!("{}", path.display());
        exercise(&std::fs::read(&path).expect("the file can be read"));
    }
}
