//! What comes from outside: none of it below the rule book, all of it under a permissive licence, and nothing that
//! needs more than cargo and a C compiler to build.

use super::Finding;
use super::licence::is_permissive;
use super::metadata::Metadata;

const RULE_BOOK: &str = "ledger";
const BINARY: &str = "florin";

/// Crates that stand for cmake, a C++ compiler or libclang at build time.
const FOREIGN_BUILD_TOOLS: [&str; 8] =
    ["cmake", "cxx", "cxx-build", "bindgen", "clang-sys", "link-cplusplus", "autocxx", "vcpkg"];

pub(super) fn rule_book_has_none(metadata: &Metadata) -> Vec<Finding> {
    let rule_book = metadata.members().filter(|package| package.name == RULE_BOOK);
    let imports = rule_book.flat_map(|package| package.imports());
    imports
        .map(|import| Finding::new(RULE_BOOK, format!("depends on `{import}`: purity means no dependencies")))
        .collect()
}

pub(super) fn licences(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let place = format!("{} {}", package.name, package.version);
        match &package.license {
            None => findings.push(Finding::new(place, "names no licence: read it and choose another crate")),
            Some(licence) if !is_permissive(licence) => {
                findings.push(Finding::new(place, format!("`{licence}` is not on the list of permissive licences")));
            }
            Some(_) => {}
        }
    }
    findings
}

pub(super) fn foreign_build_tools(metadata: &Metadata) -> Vec<Finding> {
    let ways = metadata.built_from(BINARY);
    let found = FOREIGN_BUILD_TOOLS.iter().filter_map(|tool| ways.get(tool));
    found.map(|way| Finding::new(BINARY, format!("needs a foreign build tool: {way}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::metadata::metadata_of;
    use super::{foreign_build_tools, licences, rule_book_has_none};

    #[test]
    fn rule_book_with_a_dependency_is_found() {
        assert_eq!(rule_book_has_none(&metadata_of(&["ledger*: serde", "serde:"])).len(), 1);
        assert!(rule_book_has_none(&metadata_of(&["ledger*: ~proptest", "proptest:"])).is_empty());
    }

    #[test]
    fn licence_that_is_missing_or_not_permissive_is_found() {
        let found = licences(&metadata_of(&["a MIT:", "b GPL-3.0-only:", "c:"]));
        let places: Vec<&str> = found.iter().map(|finding| finding.place.as_str()).collect();
        assert_eq!(places, ["b 1.0.0", "c 1.0.0"]);
    }

    #[test]
    fn foreign_build_tool_is_found_with_the_way_to_it() {
        let found = foreign_build_tools(&metadata_of(&["florin*: bank", "bank*: zip", "zip: cmake", "cmake:"]));
        assert_eq!(found[0].message, "needs a foreign build tool: florin > bank > zip > cmake");
    }

    #[test]
    fn foreign_build_tool_of_tests_alone_is_not_held_against_the_binary() {
        assert!(foreign_build_tools(&metadata_of(&["florin*: ~zip", "zip: cmake", "cmake:"])).is_empty());
    }
}
