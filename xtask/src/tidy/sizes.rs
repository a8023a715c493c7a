//! Files and functions stay short enough to be read in one go.

use std::collections::BTreeMap;

use super::Finding;
use super::ratchet::{Ratchet, check_lengths};
use super::rust_text::{code_only, functions as functions_of, is_test_path, without_tests};
use super::tree::Tree;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn files(tree: &Tree, ratchet: &Ratchet) -> Vec<Finding> {
    let measured = tree.ending_in(".rs").map(|(path, text)| (path.to_owned(), (text.lines().count(), path.to_owned())));
    check_lengths("file", FILE_LINES_MAX, &measured.collect(), &ratchet.file_lines)
}

/// Tests may be as long as what they tell; of functions of one name in a file the longest counts.
pub(super) fn functions(tree: &Tree, ratchet: &Ratchet) -> Vec<Finding> {
    let mut measured: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (path, text) in tree.ending_in(".rs").filter(|(path, _)| !is_test_path(path)) {
        for function in functions_of(&without_tests(&code_only(text))) {
            let longest = measured.entry(format!("{path}::{}", function.name)).or_default();
            if longest.0 < function.lines {
                *longest = (function.lines, format!("{path}:{} {}", function.line, function.name));
            }
        }
    }
    check_lengths("function", FUNCTION_LINES_MAX, &measured, &ratchet.function_lines)
}

#[cfg(test)]
mod tests {
    use super::super::ratchet::Ratchet;
    use super::super::tree::Tree;
    use super::{files, functions};

    fn function(lines: usize) -> String {
        format!("//! A file.\n\nfn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2))
    }

    fn no_exceptions() -> Ratchet {
        Ratchet::parse("").expect("an empty list")
    }

    #[test]
    fn file_beyond_600_lines_is_found() {
        for (lines, found) in [(600, 0), (601, 1)] {
            let text = "//! A line.\n".repeat(lines);
            assert_eq!(files(&Tree::of(&[("crates/a/src/lib.rs", &text)]), &no_exceptions()).len(), found);
        }
    }

    #[test]
    fn function_beyond_70_lines_is_found_with_its_line() {
        let check = |lines| functions(&Tree::of(&[("crates/a/src/lib.rs", &function(lines))]), &no_exceptions());
        assert!(check(70).is_empty());
        assert_eq!(check(71)[0].place, "crates/a/src/lib.rs:3 long");
    }

    #[test]
    fn long_test_is_not_found() {
        assert!(functions(&Tree::of(&[("crates/a/src/tests.rs", &function(90))]), &no_exceptions()).is_empty());
        let inline = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(90));
        assert!(functions(&Tree::of(&[("crates/a/src/lib.rs", &inline)]), &no_exceptions()).is_empty());
    }

    #[test]
    fn function_on_the_list_passes_at_its_length() {
        let ratchet = Ratchet::parse("[function-lines]\n\"crates/a/src/lib.rs::long\" = 90\n").expect("a list");
        assert!(functions(&Tree::of(&[("crates/a/src/lib.rs", &function(90))]), &ratchet).is_empty());
        assert_eq!(functions(&Tree::of(&[("crates/a/src/lib.rs", &function(91))]), &ratchet).len(), 1);
    }
}
