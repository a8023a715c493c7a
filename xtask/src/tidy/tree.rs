//! The files of the project in memory: all paths, and the text of those that people write.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Endings of files whose text is checked. `Cargo.lock` and data are not ours to word.
const TEXT_ENDINGS: [&str; 17] = [
    ".rs",
    ".toml",
    ".md",
    ".sh",
    ".py",
    ".js",
    ".mjs",
    ".ts",
    ".sql",
    ".yml",
    ".yaml",
    ".json",
    ".html",
    ".css",
    "Makefile",
    "Dockerfile",
    ".ci/run",
];
const NOT_OURS: [&str; 3] = [".git", "target", "node_modules"];

#[derive(Default)]
pub(crate) struct Tree {
    /// Every file and folder, relative to the root, with `/` between the parts.
    paths: BTreeSet<String>,
    texts: BTreeMap<String, String>,
}

impl Tree {
    /// Walks the folder itself rather than asking git: new files count, and so does a tree unpacked from an archive.
    pub(crate) fn read(root: &Path) -> Result<Tree> {
        let ignore = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let ignored = ignore.lines().filter_map(|line| Some(line.strip_prefix('/')?.strip_suffix('/')?.to_owned()));
        let ignored: BTreeSet<String> = ignored.collect();
        let mut tree = Tree::default();
        let mut waiting = vec![String::new()];
        while let Some(folder) = waiting.pop() {
            let path = root.join(&folder);
            for entry in fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let relative = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                if NOT_OURS.contains(&name.as_str()) || ignored.contains(&relative) {
                    continue;
                }
                if entry.file_type()?.is_dir() {
                    waiting.push(relative.clone());
                } else if TEXT_ENDINGS.iter().any(|ending| relative.ends_with(ending)) {
                    let text = fs::read_to_string(entry.path()).with_context(|| format!("cannot read {relative}"))?;
                    tree.texts.insert(relative.clone(), text);
                }
                tree.paths.insert(relative);
            }
        }
        Ok(tree)
    }

    pub(crate) fn text(&self, path: &str) -> Result<&str> {
        self.texts.get(path).map(String::as_str).with_context(|| format!("{path} is missing"))
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub(crate) fn ending_in(&self, ending: &'static str) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(move |(path, _)| path.ends_with(ending))
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        path.is_empty() || self.paths.contains(path)
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            let parents = path.match_indices('/').map(|(end, _)| path[..end].to_owned());
            tree.paths.extend(parents.chain([(*path).to_owned()]));
            tree.texts.insert((*path).to_owned(), (*text).to_owned());
        }
        tree
    }
}
