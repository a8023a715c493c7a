//! What a person or a script sees: results on stdout, progress and messages on stderr.

use crate::cli::Global;
use crate::failure::Failure;
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use store::report::Progress;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();

/// The way out. Colours and progress appear only on terminals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Output {
        Output { json: global.json, quiet: global.quiet }
    }

    /// A line of the result for people; nothing when a script listens.
    pub(crate) fn line(self, text: impl AsRef<str>) -> Result<(), Failure> {
        if self.json { Ok(()) } else { write_line(text.as_ref()) }
    }

    /// A line of the result that says that all is well, or not.
    pub(crate) fn verdict(self, good: bool, text: &str) -> Result<(), Failure> {
        let style = if good { GOOD } else { ERROR };
        self.line(format!("{style}{text}{style:#}"))
    }

    /// The result for scripts, as the last line of stdout; nothing when a person listens.
    pub(crate) fn object(self, value: &Value) -> Result<(), Failure> {
        if self.json { write_line(&value.to_string()) } else { Ok(()) }
    }

    /// Why the command failed.
    pub(crate) fn failure(self, failure: &Failure) {
        let message = format!("{ERROR}error:{ERROR:#} {}", failure.what);
        // Nobody is left to tell when stderr itself is gone.
        _ = writeln!(anstream::stderr(), "{message}");
        if !failure.next.is_empty() {
            _ = writeln!(anstream::stderr(), "  next: {}", failure.next);
        }
        if self.json {
            let error = serde_json::json!({"error": {"detail": failure.what, "next": failure.next}});
            _ = write_line(&error.to_string());
        }
    }

    /// A remark on stderr.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// A count without a known end that shows on a terminal only.
    pub(crate) fn spinner(self, step: &str) -> ProgressBar {
        let bar = self.progress(step, 0);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {human_pos} {per_sec}") {
            bar.set_style(style);
        }
        bar
    }

    /// A bar that shows on a terminal only.
    pub(crate) fn progress(self, step: &str, total: u64) -> ProgressBar {
        if self.quiet || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template("{msg:<24} [{bar:32}] {human_pos}/{human_len} {eta}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(step.to_owned());
        bar
    }
}

fn write_line(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        // Whoever read our results has heard enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            Err(Failure::fault(format!("cannot write to stdout: {error}"), "check where it is redirected to"))
        }
        Ok(()) => Ok(()),
    }
}

/// A number as people read it: `27,215`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Shows a long walk of the store as a progress bar.
#[derive(Debug)]
pub(crate) struct Walk {
    bar: ProgressBar,
}

impl Walk {
    pub(crate) fn new(output: Output) -> Walk {
        Walk { bar: output.progress("verifying", 0) }
    }
}

impl Progress for Walk {
    fn report(&self, step: &str, done: u64, total: u64) {
        self.bar.set_message(step.to_owned());
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_grouped_by_three_digits() {
        assert_eq!([0, 999, 1000, 27_215, 1_234_567].map(grouped), ["0", "999", "1,000", "27,215", "1,234,567"]);
    }
}
