//! SPDX licence expressions: may we ship what stands under this one?

const PERMISSIVE: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    // Of data: the list of root certificates.
    "CDLA-Permissive-2.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "Apache-2.0 WITH LLVM-exception",
];

/// True if at least one way of reading the expression needs licences of the list only.
pub(super) fn is_permissive(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest) == Some(true) && rest.is_empty()
}

/// `a OR b`, which binds less than `AND`. None: not an expression.
fn either(rest: &mut &[&str]) -> Option<bool> {
    let mut value = both(rest)?;
    while take(rest, "OR") {
        value |= both(rest)?;
    }
    Some(value)
}

fn both(rest: &mut &[&str]) -> Option<bool> {
    let mut value = one(rest)?;
    while take(rest, "AND") {
        value &= one(rest)?;
    }
    Some(value)
}

fn one(rest: &mut &[&str]) -> Option<bool> {
    if take(rest, "(") {
        let value = either(rest)?;
        return take(rest, ")").then_some(value);
    }
    let (name, after) = rest.split_first()?;
    *rest = after;
    if take(rest, "WITH") {
        let (exception, after) = rest.split_first()?;
        *rest = after;
        return Some(PERMISSIVE.contains(&format!("{name} WITH {exception}").as_str()));
    }
    Some(PERMISSIVE.contains(name))
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    match rest.split_first() {
        Some((first, after)) if *first == word => {
            *rest = after;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_permissive;

    #[test]
    fn expressions_with_a_permissive_way_pass() {
        for expression in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-2.0-only OR MIT",
            "Apache-2.0 AND ISC",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0-only",
        ] {
            assert!(is_permissive(expression), "{expression}");
        }
    }

    #[test]
    fn expressions_without_one_fail() {
        for expression in [
            "",
            "GPL-3.0-only",
            "MIT AND MPL-2.0",
            "(MIT OR Apache-2.0) AND LGPL-3.0-only",
            "MIT OR",
            "(MIT",
            "MIT MIT",
        ] {
            assert!(!is_permissive(expression), "{expression}");
        }
    }
}
