//! Developer tasks: `cargo xtask fixture`, `cargo xtask fixture-orders`, `cargo xtask sim`, `cargo xtask tidy`, `cargo xtask ci`.
//!
//! Each task is one module. Exit 0: done; 1: a check said no; 2: wrong usage or a task that could not run.

#![allow(clippy::print_stdout, reason = "a developer's tool: what it finds is its output")]

mod ci;
mod fixture;
mod sim;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
usage: cargo xtask TASK

  fixture --from DIR --to FILE   turn the PKDD'99 tables in DIR into compressed CloudEvents
  fixture-orders --from DIR --to FILE   compress the PKDD'99 standing orders in DIR
  sim --seed N | --seeds N       run the bank in simulated worlds (`sim` alone tells the options)
  tidy                           check the crate table, sizes, links, licences and what must not be in the tree
  ci                             format, clippy, tidy and documentation, in this order (`make lint`)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<bool> {
    let Some((task, rest)) = arguments.split_first() else { bail!("no task was named\n{USAGE}") };
    match (task.as_str(), rest) {
        ("fixture", rest) => fixture::run(rest),
        ("fixture-orders", rest) => fixture::orders::run(rest),
        ("sim", rest) => sim::run(&workspace_root()?, rest),
        ("tidy", []) => tidy::run(&workspace_root()?),
        ("ci", []) => ci::run(&workspace_root()?),
        ("help" | "--help" | "-h", _) => {
            println!("{USAGE}");
            Ok(true)
        }
        _ => bail!("`{}` is not a task\n{USAGE}", arguments.join(" ")),
    }
}

/// The folder of the workspace: the parent of this package, as cargo names it at run time.
fn workspace_root() -> Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").context("start the task as `cargo xtask …`")?;
    Ok(PathBuf::from(package).parent().context("the package `xtask` has no parent folder")?.to_path_buf())
}
