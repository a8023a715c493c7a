//! The PDF, read by poppler and judged by veraPDF.

use crate::sample::{letterhead, statement};
use documents::pdf::{Typesetter, write};
use std::path::{Path, PathBuf};
use std::process::Command;

const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-tools/verapdf/lib");
const HINT: &str = "run ./xtask/install-test-tools.sh";
/// A font with Japanese characters, which the built-in one lacks.
const JAPANESE: &str = "/usr/share/fonts/opentype/ipafont-gothic/ipag.ttf";

pub(crate) fn built_in() -> Typesetter {
    Typesetter::new(&[]).expect("the built-in font")
}

fn with_japanese() -> Typesetter {
    let font = std::fs::read(JAPANESE).unwrap_or_else(|error| panic!("{JAPANESE}: {error}: {HINT}"));
    Typesetter::new(&[font]).expect("a font")
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: {HINT}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// What is read from top to bottom, page by page.
pub(crate) fn text_of(pdf: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("statement.pdf");
    std::fs::write(&path, pdf).expect("written");
    let text = run(Command::new("pdftotext").args(["-layout", "-enc", "UTF-8"]).arg(&path).arg("-"));
    text.split_terminator('\u{c}').map(str::to_owned).collect()
}

fn expect_conforming(paths: &[PathBuf]) {
    let libraries = Path::new(TOOLS);
    assert!(libraries.is_dir(), "veraPDF is not in {TOOLS}: {HINT}");
    let mut command = Command::new("java");
    command.arg("-cp").arg(libraries.join("*")).arg("org.mozilla.javascript.tools.shell.Main");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/validate.js")).args(paths);
    let said = run(&mut command);
    assert_eq!(said.lines().filter(|line| line.ends_with(" conforms")).count(), 2 * paths.len(), "{said}");
}

#[test]
fn every_statement_is_archival_and_accessible() {
    let folder = tempfile::tempdir().expect("a folder");
    let statements = [
        ("empty", built_in(), statement(0, "Alice", "en")),
        ("czech", built_in(), statement(20, "Žofie Příkladová", "cs-CZ")),
        ("german", built_in(), statement(90, &"Jürgen Weißgerber ".repeat(11), "de-DE")),
        ("greek", built_in(), statement(3, "Ελένη Παπαδοπούλου", "el")),
        ("unknown", built_in(), statement(3, "山田 太郎 \u{10ffff}", "ja")),
        ("japanese", with_japanese(), statement(9, "山田 太郎", "ja-JP")),
    ];
    let paths: Vec<PathBuf> = statements
        .into_iter()
        .map(|(name, mut typesetter, statement)| {
            let path = folder.path().join(format!("{name}.pdf"));
            std::fs::write(&path, write(&mut typesetter, &statement, &letterhead()).expect("a PDF")).expect("written");
            path
        })
        .collect();
    expect_conforming(&paths);
}

#[test]
fn a_statement_says_what_it_is_about_in_the_customers_language() {
    let pdf = write(&mut built_in(), &statement(2, "Žofie Příkladová", "cs-CZ"), &letterhead()).expect("a PDF");
    let pages = text_of(&pdf);
    assert_eq!(pages.len(), 1);
    let page = pages[0].replace('\u{a0}', " ");
    for said in [
        "Florin & Co",
        "Výpis z účtu",
        "Žofie Příkladová",
        "123456789",
        "1. 10. 2026 – 31. 10. 2026",
        "12 345,67",
        "2 500,00",
        "-123,46",
        "14 722,21",
        "Výběr na účet 4242",
        "=1+1 <rent> & \"more\", flat 12",
        "Strana 1 z 1",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
}

#[test]
fn every_posting_is_on_some_page_and_every_page_is_numbered() {
    let statement = statement(200, "Alice", "en");
    let pages = text_of(&write(&mut built_in(), &statement, &letterhead()).expect("a PDF"));
    assert!(3 < pages.len());
    for (index, page) in pages.iter().enumerate() {
        assert!(page.contains(&format!("Page {} of {}", index + 1, pages.len())), "{page}");
        assert!(page.contains("Value date") && page.contains("Balance"), "the columns are named on each page");
    }
    let all = pages.concat();
    for line in &statement.lines {
        let balance = bank::locale::Locale::of("en").figure(line.balance, statement.currency);
        assert!(all.contains(&balance), "{balance}");
    }
}

#[test]
fn without_its_font_a_language_is_not_made_of_question_marks() {
    let statement = statement(2, "山田 太郎", "ja");
    let page = text_of(&write(&mut built_in(), &statement, &letterhead()).expect("a PDF")).concat();
    assert!(page.contains("Account statement") && page.contains("2026/10/01"), "{page}");
    let page = text_of(&write(&mut with_japanese(), &statement, &letterhead()).expect("a PDF")).concat();
    assert!(page.contains("取引明細書") && page.contains("山田 太郎"), "{page}");
}

#[test]
fn the_same_statement_gives_the_same_bytes() {
    let statement = statement(40, "Alice", "en");
    let once = write(&mut built_in(), &statement, &letterhead()).expect("a PDF");
    let mut used = with_japanese();
    write(&mut used, &crate::sample::statement(7, "Bob", "de"), &letterhead()).expect("a PDF");
    assert!(write(&mut used, &statement, &letterhead()).expect("a PDF") == once, "whatever else was written before");
}

#[test]
fn a_file_that_is_no_font_is_refused() {
    assert!(Typesetter::new(&[b"no font".to_vec()]).is_err());
}

#[test]
fn a_font_whose_licence_forbids_to_embed_it_is_refused() {
    let mut font = std::fs::read(JAPANESE).unwrap_or_else(|error| panic!("{JAPANESE}: {error}: {HINT}"));
    let record = font.windows(4).position(|bytes| bytes == b"OS/2").expect("a table");
    let start: [u8; 4] = font[record + 8..record + 12].try_into().expect("an offset");
    let licence = usize::try_from(u32::from_be_bytes(start)).expect("an offset") + 8;
    font[licence..licence + 2].copy_from_slice(&2u16.to_be_bytes());
    assert!(Typesetter::new(&[font]).is_err());
}
