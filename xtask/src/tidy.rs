//! `cargo xtask tidy`: the rules of the tree that no compiler checks. Each is a function from the tree (or from what
//! cargo says about it) to findings, so that each can be fed bad input in a test and be seen to fail.

mod crate_table;
mod dependencies;
mod licence;
mod links;
mod metadata;
mod ratchet;
mod rust_text;
mod sizes;
mod tree;
mod words;

use std::path::Path;

use anyhow::Result;

use metadata::Metadata;
use ratchet::Ratchet;
use tree::Tree;

/// One place that breaks a rule, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    place: String,
    message: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding { place: place.into(), message: message.into() }
    }

    fn at_line(path: &str, line: usize, message: impl Into<String>) -> Finding {
        Finding::new(format!("{path}:{line}"), message)
    }
}

/// Runs every check, prints what each found, and tells whether the tree is tidy.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let tree = Tree::read(root)?;
    let metadata = Metadata::load(root)?;
    let ratchet = Ratchet::parse(tree.text(ratchet::PATH)?)?;
    let table = crate_table::CrateTable::parse(tree.text(crate_table::PATH)?)?;

    let missing = table.not_there_yet(&metadata);
    if !missing.is_empty() {
        println!("not there yet, though {} lists them: {}", crate_table::PATH, missing.join(", "));
    }
    let checks = [
        ("who may import whom", table.check(&metadata)),
        ("the rule book has no dependencies", dependencies::rule_book_has_none(&metadata)),
        ("licences of all dependencies", dependencies::licences(&metadata)),
        ("no foreign build tools below florin", dependencies::foreign_build_tools(&metadata)),
        ("every source file says what it is", words::headers(&tree)),
        ("nothing left open", words::left_open(&tree)),
        ("no paths of one machine", words::machine_paths(&tree)),
        ("no floats near money", words::floats(&tree, &ratchet)),
        ("length of files", sizes::files(&tree, &ratchet)),
        ("length of functions", sizes::functions(&tree, &ratchet)),
        ("links between documents", links::check(&tree)),
    ];
    let mut found = 0;
    for (claim, findings) in &checks {
        println!("{} {claim}", if findings.is_empty() { "ok   " } else { "FAIL " });
        for finding in findings {
            println!("      {}: {}", finding.place, finding.message);
        }
        found += findings.len();
    }
    if 0 < found {
        println!("{found} findings. For lengths and floats that cannot be mended now there is {}.", ratchet::PATH);
    }
    Ok(found == 0)
}
