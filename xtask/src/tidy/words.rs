//! Words that must or must not stand in the tree.

use super::Finding;
use super::ratchet::{PATH as RATCHET_PATH, Ratchet};
use super::rust_text::{code_only, is_test_path, is_word, without_tests};
use super::tree::Tree;

/// Put together here, so that this file does not find itself.
const LEFT_OPEN: [&str; 5] = [
    concat!("to", "do!("),
    concat!("un", "implemented!("),
    concat!("#[", "ignore"),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
];
const MACHINE_PATHS: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

/// Every source opens with the sentence that says what it is for.
pub(super) fn headers(tree: &Tree) -> Vec<Finding> {
    let bare = tree.ending_in(".rs").filter(|(_, text)| !text.starts_with("//!"));
    bare.map(|(path, _)| Finding::at_line(path, 1, "open the file with `//!` and what it is for")).collect()
}

pub(super) fn left_open(tree: &Tree) -> Vec<Finding> {
    occurrences(tree, &LEFT_OPEN, |word| format!("`{word}`: finish it, or write it down as an issue"))
}

pub(super) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    occurrences(tree, &MACHINE_PATHS, |word| {
        format!("`{word}…` exists on one machine only: name it relative to the tree")
    })
}

/// Each line in which one of the words stands, not as a part of a longer word or path.
fn occurrences(tree: &Tree, words: &[&str], message: impl Fn(&str) -> String) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts() {
        for (index, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| stands_alone(line, word)) {
                findings.push(Finding::at_line(path, index + 1, message(word)));
            }
        }
    }
    findings
}

fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let joined_before =
            before.is_some_and(|character| is_word(character) || (word.starts_with('/') && ".-}".contains(character)));
        let joined_after = word.ends_with(is_word) && after.is_some_and(is_word);
        !joined_before && !joined_after
    })
}

/// The crates through which money flows compute with integers only; what is measured, not owned, may be excused.
pub(super) fn floats(tree: &Tree, ratchet: &Ratchet) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut excused: Vec<&String> = ratchet.floats.keys().collect();
    for (path, text) in tree.ending_in(".rs").filter(|(path, _)| carries_money(path) && !is_test_path(path)) {
        let code = without_tests(&code_only(text));
        let lines: Vec<usize> =
            (1..).zip(code.lines()).filter(|(_, line)| has_float(line)).map(|(number, _)| number).collect();
        if ratchet.floats.contains_key(path) {
            excused.retain(|excused| *excused != path || lines.is_empty());
        } else {
            let message =
                format!("a float near money: use integers, or excuse the file in {RATCHET_PATH} with the reason");
            findings.extend(lines.into_iter().map(|line| Finding::at_line(path, line, message.as_str())));
        }
    }
    findings.extend(
        excused.into_iter().map(|path| Finding::new(RATCHET_PATH, format!("`{path}` has no floats: remove the entry"))),
    );
    findings
}

fn carries_money(path: &str) -> bool {
    let Some((name, inside)) = path.strip_prefix("crates/").and_then(|rest| rest.split_once('/')) else { return false };
    inside.starts_with("src/") && (name == "ledger" || name == "bank" || name.starts_with("store"))
}

/// `f64`, `as_secs_f64`, `1.5`, `1e9`; not `0x1e9`, `pair.0.1` or `0..5`.
fn has_float(line: &str) -> bool {
    let typed = ["f32", "f64"].iter().any(|word| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back().unwrap_or(' ');
            let after = line[at + word.len()..].chars().next().unwrap_or(' ');
            !is_word(after) && (before == '_' || before.is_ascii_digit() || !is_word(before))
        })
    });
    typed || line.split(|character| !is_word(character) && character != '.').any(is_float_literal)
}

fn is_float_literal(word: &str) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'_';
    let bytes = word.as_bytes();
    if !bytes.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let digits = bytes.iter().take_while(|byte| is_digit(byte)).count();
    match (bytes.get(digits), bytes.get(digits + 1)) {
        (Some(b'.'), next) => next.is_none_or(u8::is_ascii_digit),
        (Some(b'e' | b'E'), _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::ratchet::Ratchet;
    use super::super::tree::Tree;
    use super::{LEFT_OPEN, MACHINE_PATHS, floats, has_float, headers, left_open, machine_paths};

    fn excusing(list: &str) -> Ratchet {
        Ratchet::parse(list).expect("a list")
    }

    #[test]
    fn file_without_a_header_is_found() {
        let tree = Tree::of(&[("a.rs", "//! Says it.\n"), ("b.rs", "// Does not.\n"), ("c.rs", ""), ("d.md", "text")]);
        assert_eq!(
            headers(&tree).iter().map(|finding| finding.place.as_str()).collect::<Vec<_>>(),
            ["b.rs:1", "c.rs:1"]
        );
    }

    #[test]
    fn what_is_left_open_is_found_in_any_text() {
        for word in LEFT_OPEN {
            let text = format!("first\n    // {word} later\n");
            assert_eq!(left_open(&Tree::of(&[("docs/a.md", &text)]))[0].place, "docs/a.md:2", "{word}");
        }
    }

    #[test]
    fn longer_words_are_not_what_they_contain() {
        let text = LEFT_OPEN.map(|word| format!("a{word}\n")).concat();
        assert!(left_open(&Tree::of(&[("a.rs", &text)])).is_empty());
    }

    #[test]
    fn path_of_one_machine_is_found_and_a_part_of_a_longer_path_is_not() {
        for path in MACHINE_PATHS {
            assert_eq!(machine_paths(&Tree::of(&[("a.sh", &format!("cd {path}bank\n"))])).len(), 1, "{path}");
        }
        assert!(
            machine_paths(&Tree::of(&[("a.md", &format!("https://bank.example{}x\n", MACHINE_PATHS[0]))])).is_empty()
        );
    }

    #[test]
    fn float_in_a_crate_that_carries_money_is_found() {
        let source = "//! A file.\n\nfn a(b: f64) {}\n";
        let found = floats(&Tree::of(&[("crates/store-embedded/src/run.rs", source)]), &excusing(""));
        assert_eq!(found[0].place, "crates/store-embedded/src/run.rs:3");
        for path in ["crates/web/src/page.rs", "xtask/src/ci.rs", "crates/bank/src/interest/tests.rs"] {
            assert!(floats(&Tree::of(&[(path, source)]), &excusing("")).is_empty(), "{path}");
        }
    }

    #[test]
    fn float_in_a_comment_or_a_test_is_not_found() {
        let source = "//! No f64 here.\n#[cfg(test)]\nmod tests {\n    const HALF: f64 = 0.5;\n}\n";
        assert!(floats(&Tree::of(&[("crates/ledger/src/amount.rs", source)]), &excusing("")).is_empty());
    }

    #[test]
    fn excuse_for_floats_ends_with_them() {
        let list = excusing("[floats]\n\"crates/bank/src/metrics.rs\" = \"seconds, not money\"\n");
        assert!(
            floats(&Tree::of(&[("crates/bank/src/metrics.rs", "//! M.\nfn a() -> f64 { 0.5 }\n")]), &list).is_empty()
        );
        assert_eq!(floats(&Tree::of(&[("crates/bank/src/metrics.rs", "//! M.\n")]), &list).len(), 1);
        assert_eq!(floats(&Tree::of(&[]), &list).len(), 1);
    }

    #[test]
    fn floats_are_told_from_what_looks_like_them() {
        for line in ["a: f32", "1.5", "elapsed.as_secs_f64()", "1f64", "1e9", "x * 2.", "1_000.0", "<f64>"] {
            assert!(has_float(line), "{line}");
        }
        for line in ["0x1e9", "pair.0.1", "0..5", "buf64", "f640", "a.0", "1_000", "u64", "5.max(3)", "tuple.1.e"] {
            assert!(!has_float(line), "{line}");
        }
    }
}
