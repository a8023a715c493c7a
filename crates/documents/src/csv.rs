//! A statement as comma-separated values (RFC 4180, UTF-8, CRLF): a line of names, the opening balance, a line for each
//! posting, the closing balance. Amounts have a decimal point and all decimals of the currency, whatever the locale.

use bank::statement::{Line, Statement};
use ledger::amount::Decimal;

/// The columns, in their order.
pub const COLUMNS: [&str; 11] = [
    "version",
    "booked_at",
    "value_date",
    "type",
    "transfer_id",
    "counterparty",
    "reference",
    "amount",
    "balance",
    "currency",
    "late",
];

/// The file.
pub fn write(statement: &Statement) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let mut put = |record: [&str; COLUMNS.len()]| writer.write_record(record).expect("a vector takes everything");
    let code = statement.currency.code();
    let decimal = |minor_units| Decimal { minor_units, scale: statement.currency.scale() }.to_string();
    let balance = |kind, day: String, minor_units| {
        ["", "", &day, kind, "", "", "", "", &decimal(minor_units), code, ""].map(str::to_owned)
    };
    put(COLUMNS);
    put(borrowed(&balance("opening", statement.month.first_day().to_string(), statement.opening)));
    for line in &statement.lines {
        let amounts = [decimal(line.amount), decimal(line.balance), code.to_owned()];
        put(borrowed(&posting(line, amounts)));
    }
    put(borrowed(&balance("closing", statement.last_day().to_string(), statement.closing)));
    writer.into_inner().expect("a vector takes everything")
}

fn posting(line: &Line, [amount, balance, currency]: [String; 3]) -> [String; COLUMNS.len()] {
    [
        line.version.to_string(),
        line.booked_at.to_string(),
        line.effective_at.day().to_string(),
        line.told_kind().name().to_owned(),
        line.transfer.to_string(),
        line.counterparty.map(|account| account.to_string()).unwrap_or_default(),
        harmless(line.reference.as_deref().unwrap_or_default()),
        amount,
        balance,
        currency,
        if line.is_late { "late" } else { "" }.to_owned(),
    ]
}

fn borrowed(record: &[String; COLUMNS.len()]) -> [&str; COLUMNS.len()] {
    record.each_ref().map(String::as_str)
}

/// Spreadsheets run cells that begin like a formula, and a reference is what a client says: such a beginning gets a
/// quotation mark in front, by which they take it for text. Some of them take a semicolon, a tab or a line break for the end
/// of a cell.
fn harmless(text: &str) -> String {
    let is_formula = |cell: &str| {
        cell.starts_with(['\t', '\r']) || cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
    };
    let cells = text.split_inclusive([';', '\t', '\n', '\r']);
    cells.map(|cell| if is_formula(cell) { format!("'{cell}") } else { cell.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn no_cell_of_a_spreadsheet_begins_like_a_formula() {
        for (text, expected) in [
            ("rent - May; 3 + 4", "rent - May; 3 + 4"),
            ("=1+1", "'=1+1"),
            ("  @SUM(A1)", "'  @SUM(A1)"),
            ("＝1", "'＝1"),
            ("x;=1+1\n-2", "x;'=1+1\n'-2"),
            ("\tA", "'\tA"),
            ("x\t=1+1", "x\t'=1+1"),
            ("x\r=1+1\ry", "x\r'=1+1\ry"),
            ("", ""),
        ] {
            assert_eq!(harmless(text), expected);
        }
    }
}
