//! What `cargo metadata` says, as far as the checks ask.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: Vec<String>,
    pub(crate) resolve: Resolve,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    kind: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

impl Metadata {
    pub(crate) fn load(root: &Path) -> Result<Metadata> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--quiet", "--format-version", "1"])
            .current_dir(root)
            .output()
            .context("cannot start cargo")?;
        ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
        serde_json::from_slice(&output.stdout).context("cargo metadata has a shape this task does not know")
    }

    /// The packages of the workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The packages that a member is built from, each with the way that leads to it, development dependencies aside.
    pub(crate) fn built_from(&self, member: &str) -> BTreeMap<&str, String> {
        let names: BTreeMap<&str, &str> =
            self.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
        let nodes: BTreeMap<&str, &Node> = self.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let mut ways = BTreeMap::new();
        let start = self.members().find(|package| package.name == member);
        let mut waiting: Vec<(&str, String)> =
            start.map(|package| (package.id.as_str(), member.to_owned())).into_iter().collect();
        while let Some((id, way)) = waiting.pop() {
            let (Some(name), Some(node)) = (names.get(id), nodes.get(id)) else { continue };
            if ways.contains_key(name) {
                continue;
            }
            for edge in node.deps.iter().filter(|edge| edge.dep_kinds.iter().any(|kind| is_built(kind.kind.as_deref())))
            {
                if let Some(next) = names.get(edge.pkg.as_str()) {
                    waiting.push((&edge.pkg, format!("{way} > {next}")));
                }
            }
            ways.insert(*name, way);
        }
        ways
    }
}

impl Package {
    /// The direct dependencies that end up in what is built: normal and build, not development.
    pub(crate) fn imports(&self) -> impl Iterator<Item = &str> {
        let built = self.dependencies.iter().filter(|dependency| is_built(dependency.kind.as_deref()));
        built.map(|dependency| dependency.name.as_str())
    }
}

fn is_built(kind: Option<&str>) -> bool {
    kind != Some("dev")
}

/// A workspace in a few lines, `name version licence: dependencies`; `name*` is a member, `~name` a development dependency.
#[cfg(test)]
pub(crate) fn metadata_of(lines: &[&str]) -> Metadata {
    use serde_json::json;
    let (mut packages, mut members, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        let (head, dependencies) = line.split_once(':').expect("a colon after the package");
        let mut head = head.splitn(2, ' ');
        let name = head.next().expect("a name");
        let license = head.next();
        if name.ends_with('*') {
            members.push(name.trim_end_matches('*'));
        }
        let name = name.trim_end_matches('*');
        let kind = |word: &str| if word.starts_with('~') { json!("dev") } else { json!(null) };
        let words: Vec<&str> = dependencies.split_whitespace().collect();
        let direct: Vec<_> =
            words.iter().map(|word| json!({"name": word.trim_start_matches('~'), "kind": kind(word)})).collect();
        let edges: Vec<_> = words
            .iter()
            .map(|word| json!({"pkg": word.trim_start_matches('~'), "dep_kinds": [{"kind": kind(word)}]}))
            .collect();
        packages
            .push(json!({"id": name, "name": name, "version": "1.0.0", "license": license, "dependencies": direct}));
        nodes.push(json!({"id": name, "deps": edges}));
    }
    let all = json!({"packages": packages, "workspace_members": members, "resolve": {"nodes": nodes}});
    serde_json::from_value(all).expect("the shape of cargo metadata")
}
