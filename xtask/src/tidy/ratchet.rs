//! `xtask/tidy-ratchet.toml`: exceptions to the limits. They may only shrink: an entry larger than what it excuses,
//! or one that excuses nothing any more, is itself a finding.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Finding;

pub(super) const PATH: &str = "xtask/tidy-ratchet.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Ratchet {
    /// Path to lines.
    #[serde(default)]
    pub(super) file_lines: BTreeMap<String, usize>,
    /// `path::function` to lines.
    #[serde(default)]
    pub(super) function_lines: BTreeMap<String, usize>,
    /// Path to the reason why its floats are not money.
    #[serde(default)]
    pub(super) floats: BTreeMap<String, String>,
}

impl Ratchet {
    pub(super) fn parse(text: &str) -> Result<Ratchet> {
        toml::from_str(text).with_context(|| format!("{PATH} is not as expected"))
    }
}

/// Holds measured lengths against a limit and its exceptions. `what` names the thing in the message.
pub(super) fn check_lengths(
    what: &str,
    limit: usize,
    measured: &BTreeMap<String, (usize, String)>,
    exceptions: &BTreeMap<String, usize>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, (lines, place)) in measured {
        let allowed = exceptions.get(name).copied().unwrap_or(limit);
        if allowed < *lines {
            findings.push(Finding::new(
                place,
                format!("the {what} has {lines} lines, the limit is {allowed}: split it by meaning"),
            ));
        }
    }
    for (name, excused) in exceptions {
        let lines = measured.get(name).map_or(0, |(lines, _)| *lines);
        if lines <= limit {
            findings.push(Finding::new(PATH, format!("`{name}` keeps the limit now: remove the entry")));
        } else if lines < *excused {
            findings.push(Finding::new(PATH, format!("`{name}` has shrunk: lower the entry to {lines}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Ratchet, check_lengths};

    fn check(lines: usize, excused: Option<usize>) -> usize {
        let measured = BTreeMap::from([("a.rs".to_owned(), (lines, "a.rs".to_owned()))]);
        let exceptions = excused.map(|lines| ("a.rs".to_owned(), lines)).into_iter().collect();
        check_lengths("file", 10, &measured, &exceptions).len()
    }

    #[test]
    fn lengths_beyond_limit_or_entry_are_found() {
        assert_eq!((check(10, None), check(11, None)), (0, 1));
        assert_eq!((check(12, Some(12)), check(13, Some(12))), (0, 1));
    }

    #[test]
    fn entries_must_shrink_with_what_they_excuse() {
        assert_eq!(check(11, Some(12)), 1);
        assert_eq!(check(10, Some(12)), 1);
        assert_eq!(check_lengths("file", 10, &BTreeMap::new(), &BTreeMap::from([("gone.rs".to_owned(), 12)])).len(), 1);
    }

    #[test]
    fn unknown_sections_are_refused() {
        assert!(Ratchet::parse("[file-lines]\n\"a.rs\" = 700\n").is_ok());
        assert!(Ratchet::parse("[links]\n\"a.md\" = 1\n").is_err());
    }
}
