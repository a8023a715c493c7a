//! `florin completions` and `florin man`: what a package installs beside the program.

use crate::cli::Cli;
use crate::failure::Failure;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;

/// Prints the completions of a shell.
///
/// # Errors
/// A fault, if stdout cannot be written.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "florin", &mut text);
    print(&text)
}

/// Prints the manual page, with every command's options.
///
/// # Errors
/// A fault, if stdout cannot be written.
pub(crate) fn man() -> Result<(), Failure> {
    let mut text = Vec::new();
    let mut command = Cli::command();
    command.build();
    let page = clap_mangen::Man::new(command.clone());
    page.render(&mut text).map_err(unwritable)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let name = format!("florin {}", subcommand.get_name());
        _ = writeln!(text, ".SH {}", name.to_uppercase());
        clap_mangen::Man::new(subcommand.clone()).render_description_section(&mut text).map_err(unwritable)?;
        clap_mangen::Man::new(subcommand.clone()).render_options_section(&mut text).map_err(unwritable)?;
    }
    print(&text)
}

fn print(text: &[u8]) -> Result<(), Failure> {
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(unwritable(error)),
        _ => Ok(()),
    }
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure::fault(format!("cannot write to stdout: {error}"), "check where it is redirected to")
}
