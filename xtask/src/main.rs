//! Developer tasks: `cargo xtask fixture`.
//!
//! Each task is one module. Exit 0: done; 1: a check said no; 2: wrong usage or a task that could not run.

#![allow(clippy::print_stdout, reason = "a developer's tool: what it finds is its output")]

mod fixture;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask TASK

  fixture --from DIR --to FILE   turn the PKDD'99 tables in DIR into compressed CloudEvents";

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
        ("help" | "--help" | "-h", _) => {
            println!("{USAGE}");
            Ok(true)
        }
        _ => bail!("`{}` is not a task\n{USAGE}", arguments.join(" ")),
    }
}
