//! `sim`: runs worlds from the command line; `cargo xtask sim` is the usual way to it.
//!
//! Exit 0: nothing was found; 1: something was, with the command that shows it again; 2: wrong usage.

#![allow(clippy::print_stdout, reason = "a developer's tool: what it finds is its output")]

use sim::plants::Plant;
use sim::world::{Plan, Report, run_twice};
use std::panic::catch_unwind;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask sim --seed N [--trace] [--plant NAME]     one world, and what was found in it
       cargo xtask sim --seeds N [--from N] [--plant NAME]   so many worlds, from seed 0 or another";

/// Most findings that are told of one seed.
const FINDINGS_TOLD_MAX: usize = 10;
/// How often a long run tells how far it is, in seeds.
const TELL_EVERY: u64 = 1_000;

struct Wanted {
    first: u64,
    count: u64,
    plant: Option<Plant>,
    shows_trace: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match parse(&arguments) {
        Ok(wanted) => run_all(&wanted),
        Err(problem) => {
            eprintln!("error: {problem}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: &[String]) -> Result<Wanted, String> {
    let mut wanted = Wanted { first: 0, count: 0, plant: None, shows_trace: false };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("`{argument}` needs a value"));
        let number = |text: &String| text.parse::<u64>().map_err(|_| format!("`{text}` is no number"));
        match argument.as_str() {
            "--seed" => (wanted.first, wanted.count) = (number(value()?)?, 1),
            "--seeds" => wanted.count = number(value()?)?,
            "--from" => wanted.first = number(value()?)?,
            "--trace" => wanted.shows_trace = true,
            "--plant" => {
                let name = value()?;
                wanted.plant = Some(Plant::from_name(name).ok_or_else(|| format!("no bug is called `{name}`"))?);
            }
            other => return Err(format!("`{other}` is not an option")),
        }
    }
    if wanted.count == 0 { Err("name a seed, or how many".into()) } else { Ok(wanted) }
}

fn run_all(wanted: &Wanted) -> ExitCode {
    let mut failed = 0;
    for (done, seed) in (1..).zip(wanted.first..wanted.first + wanted.count) {
        let plan = Plan { seed, plant: wanted.plant, keeps_trace: wanted.shows_trace };
        let report = catch_unwind(|| run_twice(plan));
        let is_clean = report.as_ref().is_ok_and(|report| report.findings.is_empty());
        failed += u64::from(!is_clean);
        if !is_clean || wanted.count == 1 {
            tell(seed, wanted.plant, report.ok().as_ref());
        }
        if done % TELL_EVERY == 0 {
            println!("{done} of {} seeds, {failed} with findings", wanted.count);
        }
    }
    println!("{} seeds, each twice: {failed} with findings", wanted.count);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn tell(seed: u64, plant: Option<Plant>, report: Option<&Report>) {
    let Some(report) = report else {
        println!("seed {seed}: the program panicked\n  again: cargo xtask sim --seed {seed}");
        return;
    };
    report.lines.iter().for_each(|line| println!("{line}"));
    println!(
        "seed {seed}: trace {}, {} steps, {} requests, {} crashes, {} findings",
        report.trace,
        report.steps,
        report.requests,
        report.crashes,
        report.findings.len()
    );
    report.findings.iter().take(FINDINGS_TOLD_MAX).for_each(|finding| println!("  {finding}"));
    if !report.findings.is_empty() {
        let plant = plant.map(|plant| format!(" --plant {plant:?}")).unwrap_or_default();
        println!("  again: cargo xtask sim --seed {seed}{plant}");
    }
}
