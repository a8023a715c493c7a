//! The program: command line, configuration, adapters. The only place that names engines and reads the environment.

mod adapters;
mod cli;
mod client;
mod commands;
mod config;
mod door;
mod event_file;
mod failure;
mod jobs;
mod keepers;
mod output;
mod postmen;
mod program;
mod rate_file;
mod storage;
mod workers;

use clap::Parser;
use cli::{Cli, Command};
use config::LogFormat;
use failure::Failure;
use output::Output;
use program::Program;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(failure) => {
            Output::new(&cli.global).failure(&failure);
            ExitCode::from(failure.status as u8)
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode, Failure> {
    let done = |()| ExitCode::SUCCESS;
    match &cli.command {
        Command::Completions { shell } => return commands::documents::completions(*shell).map(done),
        Command::Man => return commands::documents::man().map(done),
        _ => {}
    }
    // One provider of cryptography for all TLS of this process; that there is one already is no trouble.
    _ = rustls::crypto::ring::default_provider().install_default();
    let program = Program::new(&cli.global)?;
    start_logging(cli, &program)?;
    match &cli.command {
        Command::Demo => commands::demo::run(&program),
        Command::Serve(command) => commands::serve::run(&program, command).map(done),
        Command::Ingest(command) => commands::ingest::run(&program, command),
        Command::Verify => commands::verify::run(&program),
        Command::DeadLetters(command) => commands::dead_letters::run(&program, command),
        Command::Deliveries(command) => commands::deliveries::run(&program, command),
        Command::Shards(command) => commands::shards::run(&program, command).map(done),
        Command::Rates(command) => commands::rates::run(&program, command).map(done),
        Command::Statements(command) => commands::statements::run(&program, command).map(done),
        Command::Products(command) => commands::products::run(&program, command).map(done),
        Command::Interest(command) => commands::interest::run(&program, command).map(done),
        Command::Jobs(command) => commands::jobs::run(&program, command).map(done),
        Command::StandingOrders(command) => commands::standing_orders::run(&program, command).map(done),
        Command::CloseDay(command) => commands::close_day::run(&program, command).map(done),
        Command::Token(command) => commands::token::run(&program, command).map(done),
        Command::Bench(command) => commands::bench::run(&program, command).map(done),
        Command::Completions { .. } | Command::Man => Ok(ExitCode::SUCCESS),
    }
}

/// Logs go to stderr: all that matters of a server, of other commands only what is wrong.
fn start_logging(cli: &Cli, program: &Program) -> Result<(), Failure> {
    let global = &cli.global;
    let default = match &cli.command {
        _ if global.quiet => "error",
        _ if global.verbose => "debug",
        Command::Serve(_) => "info",
        _ => "warn",
    };
    let filter = program.config.log.filter.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::usage(format!("log.filter is wrong: {error}"), "write a level such as info, or info,web=debug")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match program.config.log.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
