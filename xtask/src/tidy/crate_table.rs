//! The table "who may import whom" in `docs/design.md`, section 9, held against what the crates import.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use super::Finding;
use super::metadata::Metadata;

pub(super) const PATH: &str = "docs/design.md";
const SECTION: &str = "## 9.";
/// Members of the workspace that are tools beside the bank, not part of the table.
const TOOLS: [&str; 1] = ["xtask"];

pub(super) struct CrateTable {
    may_import: BTreeMap<String, BTreeSet<String>>,
}

impl CrateTable {
    /// Reads the first table of the section: rows of `` | `crate` | imports; remarks | … ``.
    pub(super) fn parse(document: &str) -> Result<CrateTable> {
        let section = document.lines().skip_while(|line| !line.starts_with(SECTION));
        let table = section.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        let rows: Vec<(&str, &str)> = table
            .filter_map(|row| {
                let mut cells = row.trim_matches('|').split('|').map(str::trim);
                Some((cells.next()?.strip_prefix('`')?.strip_suffix('`')?, cells.next()?))
            })
            .collect();
        ensure!(!rows.is_empty(), "{PATH} has no table of crates below `{SECTION}`");
        let names: BTreeSet<&str> = rows.iter().map(|(name, _)| *name).collect();
        let may_import = rows.iter().map(|(name, cell)| {
            Ok(((*name).to_owned(), imports(cell, &names).with_context(|| format!("{PATH}, row `{name}`"))?))
        });
        Ok(CrateTable { may_import: may_import.collect::<Result<_>>()? })
    }

    /// Crates the table describes and nobody has begun: told, not held against anybody.
    pub(super) fn not_there_yet(&self, metadata: &Metadata) -> Vec<&str> {
        let there: BTreeSet<&str> = metadata.members().map(|package| package.name.as_str()).collect();
        self.may_import.keys().map(String::as_str).filter(|name| !there.contains(name)).collect()
    }

    pub(super) fn check(&self, metadata: &Metadata) -> Vec<Finding> {
        let members: BTreeSet<&str> = metadata.members().map(|package| package.name.as_str()).collect();
        let mut findings = Vec::new();
        for package in metadata.members().filter(|package| !TOOLS.contains(&package.name.as_str())) {
            let Some(allowed) = self.may_import.get(&package.name) else {
                findings.push(Finding::new(
                    &package.name,
                    format!("the crate has no row in the table of {PATH}, section 9: add it"),
                ));
                continue;
            };
            for import in package.imports().filter(|import| members.contains(import) && !allowed.contains(*import)) {
                findings.push(Finding::new(
                    &package.name,
                    format!("imports `{import}`, which the table of {PATH}, section 9, does not allow"),
                ));
            }
        }
        findings
    }
}

/// `nothing`, `all but x`, or a list of names; what follows a semicolon is a remark.
fn imports(cell: &str, names: &BTreeSet<&str>) -> Result<BTreeSet<String>> {
    let list = cell.split(';').next().unwrap_or_default().trim();
    if list == "nothing" {
        return Ok(BTreeSet::new());
    }
    let (words, all_but) = match list.strip_prefix("all but ") {
        Some(words) => (words, true),
        None => (list, false),
    };
    let words: BTreeSet<&str> = words.split(',').map(|word| word.trim().trim_matches('`')).collect();
    if let Some(unknown) = words.iter().find(|word| !names.contains(*word)) {
        anyhow::bail!("`{unknown}` is not a crate of the table");
    }
    Ok(names.iter().filter(|name| words.contains(*name) != all_but).map(|name| (*name).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::metadata::metadata_of;
    use super::CrateTable;

    const TABLE: &str = "## 8. Before\n| `x` | y |\n\n## 9. Crates\n\n| crate | imports | why |\n|---|---|---|\n\
        | `ledger` | nothing; no I/O | purity |\n| `bank` | ledger | use cases |\n| `sim` | bank, ledger | tests |\n\
        | `florin` | all but sim | the binary |\n\nafter\n| `z` | y |\n";

    fn check(lines: &[&str]) -> Vec<String> {
        let findings = CrateTable::parse(TABLE).expect("a table").check(&metadata_of(lines));
        findings.into_iter().map(|finding| format!("{} {}", finding.place, finding.message)).collect()
    }

    #[test]
    fn imports_of_the_table_pass() {
        assert!(
            check(&["ledger*:", "bank*: ledger serde", "florin*: bank ledger", "serde:", "xtask*: serde"]).is_empty()
        );
    }

    #[test]
    fn import_the_table_does_not_allow_is_found() {
        let found = check(&["ledger*: bank", "bank*: ledger"]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("ledger imports `bank`"), "{found:?}");
    }

    #[test]
    fn all_but_sim_excludes_sim() {
        assert_eq!(check(&["ledger*:", "sim*: ledger", "florin*: sim ledger"]).len(), 1);
    }

    #[test]
    fn development_dependencies_may_cross_the_walls() {
        assert!(check(&["ledger*: ~bank", "bank*: ledger"]).is_empty());
    }

    #[test]
    fn crate_without_a_row_is_found() {
        let found = check(&["ledger*:", "helpers*:"]);
        assert!(found.len() == 1 && found[0].contains("has no row"), "{found:?}");
    }

    #[test]
    fn crates_not_begun_are_told_and_not_found() {
        let (table, metadata) = (CrateTable::parse(TABLE).expect("a table"), metadata_of(&["ledger*:"]));
        assert_eq!(table.not_there_yet(&metadata), ["bank", "florin", "sim"]);
        assert!(table.check(&metadata).is_empty());
    }

    #[test]
    fn table_that_is_gone_or_names_a_stranger_is_an_error() {
        assert!(CrateTable::parse("## 9. Crates\n\nno table").is_err());
        assert!(CrateTable::parse("## 9. Crates\n| `bank` | leger |\n").is_err());
    }
}
