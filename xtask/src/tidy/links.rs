//! Links of the documents: what they point to exists, down to the heading.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending_in(".md") {
        for (line, target) in targets(text) {
            if let Err(message) = resolve(tree, path, &target) {
                findings.push(Finding::at_line(path, line, format!("the link `{target}` {message}")));
            }
        }
    }
    findings
}

fn resolve(tree: &Tree, from: &str, target: &str) -> Result<(), String> {
    let scheme = target.split(':').next().filter(|scheme| scheme.len() < target.len());
    if scheme.is_some_and(|scheme| {
        scheme.chars().all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character))
    }) {
        return Ok(());
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { from.to_owned() } else { join(from, file).ok_or("leads out of the tree")? };
    if !tree.contains(&path) {
        return Err("points to nothing".to_owned());
    }
    let Some(anchor) = anchor.filter(|_| path.ends_with(".md")) else { return Ok(()) };
    let known = anchors(tree.text(&path).map_err(|error| error.to_string())?);
    if known.contains(anchor) { Ok(()) } else { Err(format!("points to a heading that {path} does not have")) }
}

/// `target` as seen from the folder of `from`; one that begins with `/` starts at the root of the tree.
fn join(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { from.split('/').collect() };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The targets of inline links, images, reference definitions and HTML attributes, with their lines.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let mut add = |target: &str| {
            let target = target.split_whitespace().next().unwrap_or_default();
            let target = target.trim_start_matches('<').trim_end_matches('>');
            if !target.is_empty() {
                found.push((number, target.to_owned()));
            }
        };
        for (at, _) in line.match_indices("](") {
            add(until_closed(&line[at + 2..]));
        }
        for attribute in ["href=\"", "src=\""] {
            for (at, _) in line.match_indices(attribute) {
                add(line[at + attribute.len()..].split('"').next().unwrap_or_default());
            }
        }
        let definition = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        if let Some((name, target)) = definition
            && !name.starts_with('^')
        {
            add(target);
        }
    }
    found
}

/// What stands before the parenthesis that closes the one already open.
fn until_closed(rest: &str) -> &str {
    let mut depth = 0_usize;
    for (at, character) in rest.char_indices() {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return &rest[..at],
            ')' => depth -= 1,
            _ => {}
        }
    }
    rest
}

/// The lines outside code blocks, numbered, with code spans replaced by spaces.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
            (None, None) => lines.push((number, without_code_spans(line))),
        }
    }
    lines
}

fn without_code_spans(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    let blank = |part: &str| " ".repeat(part.chars().count() + 2);
    let closed = parts.len() - 1 - (parts.len() - 1) % 2;
    parts.iter().enumerate().fold(String::new(), |mut kept, (index, part)| {
        if index % 2 == 1 && index < closed {
            kept.push_str(&blank(part))
        } else {
            kept.push_str(part)
        }
        kept
    })
}

/// The names under which headings can be linked to, as GitHub makes them, and explicit `id`s.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    let outside_code: BTreeSet<usize> = prose(text).into_iter().map(|(number, _)| number).collect();
    for (_, line) in (1..).zip(text.lines()).filter(|(number, _)| outside_code.contains(number)) {
        let level = line.len() - line.trim_start_matches('#').len();
        if (1..=6).contains(&level) && line[level..].starts_with(' ') {
            let slug = slug(line[level..].trim());
            let count = seen.entry(slug.clone()).or_default();
            anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
            *count += 1;
        }
        for attribute in ["id=\"", "name=\""] {
            let ids =
                line.match_indices(attribute).filter_map(|(at, _)| line[at + attribute.len()..].split('"').next());
            anchors.extend(ids.map(str::to_owned));
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    // Of a link in a heading only its text counts.
    while let Some(at) = rest.find("](") {
        text.push_str(&rest[..at]);
        let target = until_closed(&rest[at + 2..]);
        rest = rest[at + 2 + target.len()..].trim_start_matches(')');
    }
    text.push_str(rest);
    let kept = text.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
    kept.flat_map(char::to_lowercase).map(|character| if character == ' ' { '-' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{check, slug};

    fn found(readme: &str) -> Vec<String> {
        let design = "# The design\n\n## 9. Crates, `who` may\n\n## Twice\n\n## Twice\n\n```\n# no heading\n```\n<a id=\"mark\"></a>\n";
        let tree = Tree::of(&[("README.md", readme), ("docs/design.md", design), ("crates/a/src/lib.rs", "//! A.\n")]);
        check(&tree).into_iter().map(|finding| format!("{} {}", finding.place, finding.message)).collect()
    }

    #[test]
    fn links_that_resolve_pass() {
        for link in [
            "docs/design.md",
            "docs/",
            "./docs/design.md#9-crates-who-may",
            "/docs/design.md#twice-1",
            "docs/design.md#mark",
            "#here",
            "crates/a/src/lib.rs#L1",
            "https://bank.example/x",
            "mailto:desk@bank.example",
            "docs/design.md \"a title\"",
        ] {
            assert_eq!(found(&format!("# Here\n\nSee [it]({link}).\n")), [""; 0], "{link}");
        }
    }

    #[test]
    fn links_that_point_to_nothing_are_found() {
        for link in
            ["docs/desing.md", "../README.md", "#there", "docs/design.md#twice-2", "docs/design.md#no-heading", "/x"]
        {
            assert_eq!(found(&format!("# Here\n\nSee [`it`]({link}).\n")).len(), 1, "{link}");
        }
    }

    #[test]
    fn references_images_and_html_are_links_too() {
        for text in ["[it]: gone.md", "![it](gone.png)", "<img src=\"gone.png\">", "a [b](docs/design.md) [c](gone.md)"]
        {
            assert_eq!(found(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn code_is_not_a_link() {
        assert!(found("`[it](gone.md)`\n\n```\n[it](gone.md)\n```\n").is_empty());
    }

    #[test]
    fn findings_name_file_and_line() {
        assert!(found("# Here\n\n[it](gone.md)\n")[0].starts_with("README.md:3 the link `gone.md` points to nothing"));
    }

    #[test]
    fn headings_are_named_as_github_names_them() {
        assert_eq!(slug("The `ledger` crate: who, what & why?"), "the-ledger-crate-who-what--why");
        assert_eq!(slug("See [the page](a.md) too"), "see-the-page-too");
    }
}
