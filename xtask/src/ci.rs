//! `cargo xtask ci`: what must hold before anything is merged, as one list. `make lint` and `.ci/run` call it.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::tidy;

struct Step {
    name: &'static str,
    task: Task,
    /// What to do when it fails.
    advice: &'static str,
}

enum Task {
    Cargo { arguments: &'static [&'static str], environment: &'static [(&'static str, &'static str)] },
    Tidy,
}

/// In this order: what fails fastest comes first.
const STEPS: [Step; 4] = [
    Step {
        name: "format",
        task: Task::Cargo { arguments: &["fmt", "--all", "--check"], environment: &[] },
        advice: "run `cargo fmt --all`",
    },
    Step {
        name: "clippy",
        task: Task::Cargo {
            arguments: &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
            environment: &[],
        },
        advice: "mend what clippy names; an `expect` needs its reason",
    },
    Step { name: "tidy", task: Task::Tidy, advice: "mend the findings above" },
    Step {
        name: "documentation",
        task: Task::Cargo {
            arguments: &["doc", "--workspace", "--no-deps", "--quiet"],
            environment: &[("RUSTDOCFLAGS", "-Dwarnings")],
        },
        advice: "mend the comments that rustdoc names",
    },
];

/// Runs the steps until one fails, and says how long each took.
#[expect(clippy::disallowed_methods, reason = "measures how long a developer waited")]
pub(crate) fn run(root: &Path) -> Result<bool> {
    for step in &STEPS {
        println!("== {}", step.name);
        let start = Instant::now();
        let passed = match &step.task {
            Task::Cargo { arguments, environment } => cargo(root, arguments, environment)?,
            Task::Tidy => tidy::run(root)?,
        };
        let seconds = start.elapsed().as_secs();
        if !passed {
            println!("== {} failed after {seconds} s: {}", step.name, step.advice);
            return Ok(false);
        }
        println!("== {} passed in {seconds} s", step.name);
    }
    Ok(true)
}

fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).envs(environment.iter().copied()).current_dir(root);
    let status = command.status().with_context(|| format!("cannot start cargo {}", arguments.join(" ")))?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::STEPS;

    #[test]
    fn steps_come_in_the_documented_order() {
        assert_eq!(STEPS.map(|step| step.name), ["format", "clippy", "tidy", "documentation"]);
    }
}
