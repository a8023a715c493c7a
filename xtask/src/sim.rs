//! `cargo xtask sim`: builds the simulation with optimisation and runs it; its options are the simulation's own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs the simulation, and tells whether nothing was found.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--release", "--package", "sim", "--"]).args(arguments).current_dir(root);
    let status = command.status().context("cannot start cargo to run the simulation")?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("the simulation could not run"),
    }
}
