//! The CSV, and the camt.053 against its schema; and that the PDF says the same.

use crate::pdf::{built_in, text_of};
use crate::sample::{letterhead, statement};
use bank::statement::Category;
use documents::{camt, csv, pdf};
use ledger::amount::Decimal;
use ledger::transfer::TransferKind;
use std::process::Command;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/camt.053.001.08.xsd");

#[test]
fn a_camt_message_is_what_its_schema_asks_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("xmllint");
    command.args(["--noout", "--schema", SCHEMA]);
    for (lines, holder) in [(0, "A"), (1, "Žofie <&> \u{7}"), (60, "山田 太郎")] {
        let mut sample = statement(lines, &holder.repeat(20), "en");
        sample.opening *= -1;
        let path = folder.path().join(format!("{lines}.xml"));
        std::fs::write(&path, camt::write(&sample, &letterhead(), 3)).expect("written");
        command.arg(path);
    }
    let output = command.output().expect("xmllint; run ./xtask/install-test-tools.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_camt_message_names_balances_sums_and_sides() {
    let mut sample = statement(2, "Alice", "en");
    sample.opening = -500;
    let text = String::from_utf8(camt::write(&sample, &letterhead(), 1)).expect("text");
    let text: String = text.lines().map(str::trim).collect();
    for part in [
        "<Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy=\"CZK\">5.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Dt><Dt>2026-10-01</Dt></Dt>",
        "<Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy=\"CZK\">14722.21</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-10-31</Dt></Dt>",
        "<TtlCdtNtries><NbOfNtries>1</NbOfNtries><Sum>2500.00</Sum></TtlCdtNtries>",
        "<TtlDbtNtries><NbOfNtries>1</NbOfNtries><Sum>123.46</Sum></TtlDbtNtries>",
        "<NtryRef>2</NtryRef><Amt Ccy=\"CZK\">123.46</Amt><CdtDbtInd>DBIT</CdtDbtInd>",
        "<CdtrAcct><Id><Othr><Id>4242</Id></Othr></Id></CdtrAcct>",
        "<Ustrd>=1+1 &lt;rent&gt; &amp;  &quot;more&quot;, flat 12</Ustrd>",
        "<Nm>Florin &amp; Co</Nm>",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_csv_adds_up_from_the_opening_to_the_closing_balance() {
    let sample = statement(60, "Alice", "cs");
    let bytes = csv::write(&sample);
    let mut reader = ::csv::Reader::from_reader(bytes.as_slice());
    assert_eq!(reader.headers().expect("names"), csv::COLUMNS.as_slice());
    let rows: Vec<::csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rows");
    let minor_units = |text: &str| text.replace('.', "").parse::<i128>().expect("a number");
    let balance = |row: &::csv::StringRecord| minor_units(&row[8]);
    assert_eq!((&rows[0][3], &rows[61][3]), ("opening", "closing"));
    let mut sum = balance(&rows[0]);
    assert_eq!(sum, sample.opening);
    for row in &rows[1..61] {
        sum += minor_units(&row[7]);
        assert_eq!(balance(row), sum);
    }
    assert_eq!((balance(&rows[61]), sum), (sample.closing, sample.closing));
    assert_eq!(rows[1][7], Decimal { minor_units: sample.lines[0].amount, scale: 2 }.to_string());
}

#[test]
fn no_cell_of_a_csv_is_run_as_a_formula() {
    let text = String::from_utf8(csv::write(&statement(2, "Alice", "en"))).expect("text");
    assert!(text.contains(",\"'=1+1 <rent> &\u{7}\n\"\"more\"\", flat 12\","), "{text}");
    assert!(text.ends_with(",closing,,,,,14722.21,CZK,\r\n"), "{text}");
}

#[test]
fn all_files_tell_interest_and_fees_as_what_they_are() {
    let mut sample = statement(4, "Alice", "en");
    let lines = [
        (TransferKind::Deposit, Some(Category::Interest)),
        (TransferKind::Withdrawal, Some(Category::Fee)),
        (TransferKind::Reversal, Some(Category::Fee)),
        (TransferKind::Deposit, None),
    ];
    for (line, (kind, category)) in sample.lines.iter_mut().zip(lines) {
        (line.kind, line.category, line.counterparty, line.is_late) = (kind, category, None, false);
    }
    let told = ["interest", "fee", "reversal", "deposit"];
    let table = csv::write(&sample);
    let mut reader = ::csv::Reader::from_reader(table.as_slice());
    let rows: Vec<::csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rows");
    assert_eq!(rows[1..5].iter().map(|row| &row[3]).collect::<Vec<_>>(), told);
    let text = String::from_utf8(camt::write(&sample, &letterhead(), 1)).expect("text");
    let text: String = text.lines().map(str::trim).collect();
    let codes = text.split("<BkTxCd><Prtry><Cd>").skip(1).map(|rest| rest.split('<').next().unwrap_or_default());
    assert_eq!(codes.collect::<Vec<_>>(), told);
    let page = text_of(&pdf::write(&mut built_in(), &sample, &letterhead()).expect("a PDF")).concat();
    let words =
        page.split_whitespace().filter(|word| ["Interest", "Fee", "Reversal", "Deposit", "Withdrawal"].contains(word));
    // The first one is the sum above the table.
    assert_eq!(words.collect::<Vec<_>>(), ["Interest", "Interest", "Fee", "Reversal", "Deposit"]);
}
