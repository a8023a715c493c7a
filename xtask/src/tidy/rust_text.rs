//! Rust source as far as counting needs it: text without comments and literals, functions by their braces, tests
//! left out. Not a parser: macros that produce functions are seen as they are written.

use std::ops::Range;

/// The source with every comment, string and character literal replaced by spaces; line breaks stay.
pub(super) fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    let mut after_word = false;
    while let Some(first) = rest.chars().next() {
        let opaque = opaque_length(rest, after_word);
        let length = if opaque == 0 {
            code.push(first);
            first.len_utf8()
        } else {
            code.extend(rest[..opaque].chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
            opaque
        };
        after_word = opaque == 0 && is_word(first);
        rest = &rest[length..];
    }
    code
}

/// Bytes of the comment or literal that `rest` begins with; 0 if it begins with neither.
fn opaque_length(rest: &str, after_word: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_length(rest);
    }
    if rest.starts_with('"') {
        return string_length(rest);
    }
    if rest.starts_with('\'') {
        return character_length(rest);
    }
    if after_word { 0 } else { raw_string_length(rest) }
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest.as_bytes()[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.as_bytes()[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character literal; 0 for a lifetime or a label.
fn character_length(rest: &str) -> usize {
    let inside = &rest[1..];
    if inside.starts_with('\\') {
        let escaped = inside.chars().nth(1).map_or(0, char::len_utf8);
        return inside[1 + escaped..].find('\'').map_or(0, |end| 1 + 1 + escaped + end + 1);
    }
    let first = inside.chars().next().map_or(0, char::len_utf8);
    if inside[first..].starts_with('\'') { 1 + first + 1 } else { 0 }
}

fn raw_string_length(rest: &str) -> usize {
    let prefix = ["r", "br", "cr"]
        .iter()
        .find(|prefix| rest.strip_prefix(**prefix).is_some_and(|after| after.trim_start_matches('#').starts_with('"')));
    let Some(prefix) = prefix else { return 0 };
    let after = &rest[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    let end = format!("\"{}", "#".repeat(hashes));
    let start = prefix.len() + hashes + 1;
    rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
}

/// Code with what stands under `#[cfg(test)]` replaced by spaces.
pub(super) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = code.to_owned();
    let mut from = 0;
    while let Some(start) = kept[from..].find(MARK).map(|at| from + at) {
        let end = body_or_end(&kept, start + MARK.len()).end;
        let blank: String =
            kept[start..end].chars().map(|character| if character == '\n' { '\n' } else { ' ' }).collect();
        let blank_length = blank.len();
        kept.replace_range(start..end, &blank);
        from = start + blank_length;
    }
    kept
}

/// Sources that only tests are made of.
pub(super) fn is_test_path(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "tests.rs" || name.ends_with("_tests.rs") || path.starts_with("tests/") || path.contains("/tests/")
}

pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// The functions with a body, found by the word `fn` and a name after it.
pub(super) fn functions(code: &str) -> Vec<Function<'_>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].chars().next_back().is_some_and(is_word) {
            continue;
        }
        let after = code[at + 3..].trim_start();
        let name = &after[..after.find(|character| !is_word(character)).unwrap_or(after.len())];
        let body = body_or_end(code, at);
        if name.is_empty() || !code[body.clone()].starts_with('{') {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        found.push(Function { name, line, lines: code[at..body.end].matches('\n').count() + 1 });
    }
    found
}

/// From `start`, the item's body with its braces, or the `;` or outer `}` that ends an item without one.
fn body_or_end(code: &str, start: usize) -> Range<usize> {
    let (mut brackets, mut braces, mut body_start) = (0_usize, 0_usize, start);
    for (at, character) in code[start..].char_indices().map(|(at, character)| (start + at, character)) {
        match character {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if brackets == 0 && braces == 0 => return at..at + 1,
            '{' if brackets == 0 || 0 < braces => {
                if braces == 0 {
                    body_start = at;
                }
                braces += 1;
            }
            '}' if brackets == 0 && braces == 0 => return at..at,
            '}' if 0 < braces => {
                braces -= 1;
                if braces == 0 {
                    return body_start..at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()..code.len()
}

pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::{code_only, functions, is_test_path, without_tests};

    #[test]
    fn comments_and_literals_become_spaces_and_lines_stay() {
        for (source, code) in [
            ("a // b {\nc", "a\nc"),
            ("a /* { /* } */ { */ b", "a b"),
            (r#"f("{ \" }", 'x', '\'', '{')"#, "f( , , , )"),
            ("r#\"{ \" }\"# + br\"{\"", "+"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("'\\u{7d}' }", "}"),
            ("for\"}\"", "for"),
            ("\"{\n}\" x", "\nx"),
        ] {
            let blanked = code_only(source);
            assert_eq!(blanked.len(), source.len(), "{source}");
            let lines: Vec<String> =
                blanked.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            assert_eq!(lines.join("\n"), code, "{source}");
        }
    }

    #[test]
    fn functions_are_measured_from_their_name_to_their_closing_brace() {
        let code =
            "fn a() -> [u8; 2] {\n  if b {\n  }\n}\ntrait T {\n  fn none(&self);\n  fn c() {}\n}\ntype F = fn(u8);\n";
        let found: Vec<_> = functions(code).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("a", 1, 4), ("c", 7, 1)]);
    }

    #[test]
    fn tests_are_left_out() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\n#[cfg(test)]\nmod other;\nfn c() {}\n";
        let kept = without_tests(code);
        assert_eq!(functions(&kept).iter().map(|f| (f.name, f.line)).collect::<Vec<_>>(), [("a", 1), ("c", 8)]);
        assert!(is_test_path("crates/a/src/b/tests.rs") && is_test_path("tests/crash.rs"));
        assert!(!is_test_path("crates/a/src/contests.rs"));
    }
}
