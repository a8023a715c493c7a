//! `florin verify`: walks everything that is stored and compares it with everything else.

mod keys;

use crate::failure::{ExitStatus, Failure};
use crate::output::{Output, Walk, grouped};
use crate::program::{OpenBank, Program};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;
use store::report::VerifyReport;

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says; what a check found is the answer "no".
pub(crate) fn run(program: &Program) -> Result<ExitCode, Failure> {
    // A folder too damaged to be opened is what this command is asked to find out.
    let open = match program.open_existing_bank() {
        Err(failure) if failure.is_damage => return Err(Failure { status: ExitStatus::No, ..failure }),
        opened => opened?,
    };
    let reports = program.runtime.block_on(verify(&open, program.output));
    open.shut_down()?;
    let reports = reports?;
    let is_clean = print(program.output, &reports)?;
    program.output.object(&json!({"clean": is_clean, "checks": checks(&reports)}))?;
    if is_clean {
        program.output.verdict(true, "all is well")?;
        return Ok(ExitCode::SUCCESS);
    }
    program.output.verdict(false, "something is wrong")?;
    program.output.note("keep a copy of the folder as it is, then restore it from a backup");
    Ok(ExitCode::from(ExitStatus::No as u8))
}

/// What each shard's verification found, in the order of the shards, the keys of its sealed data at its end; for several
/// shards what was found between them comes last.
///
/// # Errors
/// A fault, if a shard cannot be read at all.
pub(crate) async fn verify(open: &OpenBank, output: Output) -> Result<Vec<VerifyReport>, Failure> {
    let mut reports = Vec::new();
    for shard in open.bank.shards() {
        let mut report = shard.verify(Arc::new(Walk::new(output))).await?;
        report.checks.push(keys::check(open, shard.as_ref()).await?);
        reports.push(report);
    }
    if let [_, _, ..] = &reports[..] {
        let check = open.bank.verify_clearing(&Walk::new(output)).await?;
        reports.extend([VerifyReport { checks: vec![check] }]);
    }
    Ok(reports)
}

/// Prints each check with its count; whether all is well.
///
/// # Errors
/// A fault, if stdout cannot be written.
pub(crate) fn print(output: Output, reports: &[VerifyReport]) -> Result<bool, Failure> {
    for (shard, report) in reports.iter().enumerate() {
        let place = match reports.len() {
            1 => String::new(),
            several if shard + 1 == several => "between shards: ".into(),
            _ => format!("shard {shard}: "),
        };
        for check in &report.checks {
            let line = format!("{:>12}  {place}{}", grouped(check.count), check.name);
            match &check.failure {
                None => output.line(format!("ok    {line}"))?,
                Some(failure) => output.verdict(false, &format!("WRONG {line}: {failure}"))?,
            }
        }
    }
    Ok(reports.iter().all(VerifyReport::is_clean))
}

/// The checks for scripts.
pub(crate) fn checks(reports: &[VerifyReport]) -> Vec<Value> {
    let of_shard = |(shard, report): (usize, &VerifyReport)| {
        let is_between = 1 < reports.len() && shard + 1 == reports.len();
        let shard = if is_between { Value::Null } else { json!(shard) };
        let check = |check: &store::report::Check| json!({"shard": shard, "name": check.name, "count": check.count, "failure": check.failure});
        report.checks.iter().map(check).collect::<Vec<_>>()
    };
    reports.iter().enumerate().flat_map(of_shard).collect()
}
