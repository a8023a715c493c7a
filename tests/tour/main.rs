//! The tour of the README does what it shows: its commands are run one after the other, and what they print is compared.

#[path = "../support/mod.rs"]
mod support;

use std::process::Command;
use support::bank::Bank;

const README: &str = include_str!("../../README.md");
/// Where the README's server listens.
const ADDRESS: &str = "localhost:7878";
/// Where it keeps its data.
const FOLDER: &str = "florin-demo";
/// What stands for anything in what is shown.
const ANYTHING: char = '…';

/// A command of the tour and what it prints.
#[derive(Debug)]
struct Step {
    command: String,
    shown: String,
}

/// The steps in the blocks marked `console`: commands start with `$ `, and go on while a line ends with a backslash.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut is_inside, mut goes_on) = (false, false);
    for line in text.lines() {
        match (is_inside, line.strip_prefix("$ ")) {
            (false, _) => is_inside = line == "```console",
            (true, _) if line == "```" => is_inside = false,
            (true, Some(command)) => {
                steps.push(Step { command: command.to_owned(), shown: String::new() });
                goes_on = line.ends_with('\\');
            }
            (true, None) => {
                let step = steps.last_mut().expect("a block starts with a command");
                let part = if goes_on { &mut step.command } else { &mut step.shown };
                part.push('\n');
                part.push_str(line);
                goes_on = goes_on && line.ends_with('\\');
            }
        }
    }
    steps
}

/// Whether a text is what is shown, in which `…` stands for anything.
fn matches(shown: &str, text: &str) -> bool {
    let mut parts = shown.split(ANYTHING);
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn the_tour_of_the_readme_does_what_it_shows() {
    let bank = Bank::open();
    // What a command writes into the folder it is run in.
    let folder = tempfile::tempdir().expect("a folder");
    let steps = steps(README);
    assert!(5 <= steps.len(), "the tour has only {} steps", steps.len());
    for Step { command, shown } in steps {
        let data = bank.folder().to_str().expect("a UTF-8 path");
        let here = command.replace(ADDRESS, &bank.address().to_string()).replace(FOLDER, data);
        let mut bash = Command::new("bash");
        let output = bash.args(["-c", &here]).current_dir(folder.path()).output().expect("bash can be started");
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(
            output.status.success(),
            "{command}\n{}\nthe tour needs curl: apt-get install curl",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(matches(shown.trim(), said.trim()), "{command}\nshows\n{}\nbut prints\n{}", shown.trim(), said.trim());
    }
    bank.expect_sums_of_zero();
}

#[test]
fn three_dots_stand_for_anything_and_nothing_else_does() {
    assert!(matches("a…c…", "abcd") && matches("…", "") && matches("ab", "ab"));
    assert!(!matches("a…c", "abd") && !matches("ab", "abc") && !matches("a…b…b", "ab"));
}
