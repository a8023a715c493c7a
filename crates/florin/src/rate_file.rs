//! Files of rates: the European Central Bank's table (`eurofxref.csv`, also the one with its history), a plain table with
//! named columns, or JSON as the call takes it. What comes out is the body of that call, which checks all the rest.

use serde_json::{Map, Value, json};

/// The hour at which the central banks' rates of a day are agreed, about: they are published later.
const FIXING: &str = "12:00:00Z";
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const COLUMNS: [&str; 7] = ["base", "quote", "mid", "bid", "ask", "spread_bps", "as_of"];

/// The body of a request that sets the rates of a file.
///
/// # Errors
/// What is wrong with the file, and where.
pub(crate) fn body(text: &str, source: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"));
    }
    let mut lines = text.lines().map(cells).filter(|cells| cells.iter().any(|cell| !cell.is_empty()));
    let head = lines.next().ok_or("it is empty")?;
    let rates = if head.first() == Some(&"Date") { of_day(&head, lines.next())? } else { of_table(&head, lines)? };
    if rates.is_empty() {
        return Err("it has no rates".to_owned());
    }
    Ok(json!({ "rates": rates, "source": source }))
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_start_matches('\u{feff}').split(',').map(str::trim).collect()
}

/// The latest day of a table with a column for each currency: so many of it for one euro.
fn of_day(head: &[&str], row: Option<Vec<&str>>) -> Result<Vec<Value>, String> {
    let row = row.ok_or("it has no day")?;
    let day = row.first().copied().and_then(day).ok_or("its second line does not begin with a date")?;
    let pairs = head.iter().zip(&row).skip(1).filter(|(code, rate)| !code.is_empty() && !matches!(**rate, "" | "N/A"));
    let rate = |(code, rate): (&&str, &&str)| json!({"base": "EUR", "quote": code, "mid": rate, "as_of": format!("{day}T{FIXING}")});
    Ok(pairs.map(rate).collect())
}

/// `2026-11-20` or `20 November 2026`.
fn day(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let (Some(day), Some(month), Some(year)) = (words.next(), words.next(), words.next()) else {
        return (text.len() == 10 && text.split('-').count() == 3).then(|| text.to_owned());
    };
    let month = MONTHS.iter().position(|known| *known == month)? + 1;
    Some(format!("{year}-{month:02}-{day:0>2}"))
}

fn of_table<'a>(head: &[&str], lines: impl Iterator<Item = Vec<&'a str>>) -> Result<Vec<Value>, String> {
    if let Some(unknown) = head.iter().find(|name| !COLUMNS.contains(name)) {
        return Err(format!("its column `{unknown}` is not known; known are {}", COLUMNS.join(", ")));
    }
    let rate = |(number, cells): (usize, Vec<&str>)| {
        if cells.len() != head.len() {
            return Err(format!("rate {} has {} cells for {} columns", number + 1, cells.len(), head.len()));
        }
        let named = head.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
        let values = named.map(|(name, cell)| {
            let number = if *name == "spread_bps" { cell.parse::<u16>().ok().map(Value::from) } else { None };
            ((*name).to_owned(), number.unwrap_or_else(|| Value::from(cell)))
        });
        Ok(Value::Object(values.collect::<Map<String, Value>>()))
    };
    lines.enumerate().map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_central_banks_tables_are_read_with_the_day_they_are_of() {
        let daily = "Date, USD, JPY, ISK, \n20 November 2026, 1.0842, 163.77, N/A, \n";
        let as_of = "2026-11-20T12:00:00Z";
        let expected = json!({"source": "ecb", "rates": [
            {"base": "EUR", "quote": "USD", "mid": "1.0842", "as_of": as_of},
            {"base": "EUR", "quote": "JPY", "mid": "163.77", "as_of": as_of},
        ]});
        assert_eq!(body(daily, "ecb"), Ok(expected.clone()));
        let history = "Date,USD,JPY,ISK,\n2026-11-20,1.0842,163.77,N/A,\n2026-11-19,1.08,160,N/A,\n";
        assert_eq!(body(history, "ecb"), Ok(expected));
    }

    #[test]
    fn a_table_has_named_columns_and_json_is_as_the_call_takes_it() {
        let table =
            "base,quote,bid,ask,spread_bps,as_of\nEUR,JPY,163.5,164.1,25,2026-11-20T15:00:00Z\nUSD,KWD,0.30,0.31,,\n";
        let rates = json!([
            {"base": "EUR", "quote": "JPY", "bid": "163.5", "ask": "164.1", "spread_bps": 25, "as_of": "2026-11-20T15:00:00Z"},
            {"base": "USD", "quote": "KWD", "bid": "0.30", "ask": "0.31"},
        ]);
        assert_eq!(body(table, "desk"), Ok(json!({"rates": rates, "source": "desk"})));
        assert_eq!(body("{\"rates\":[]}", "desk"), Ok(json!({"rates": []})));
    }

    #[test]
    fn what_is_no_file_of_rates_is_said_to_be_wrong() {
        for (text, word) in [
            ("", "empty"),
            ("{", "JSON"),
            ("base,quote,price\n", "`price`"),
            ("base,quote,mid\n", "no rates"),
            ("base,quote,mid\nEUR,JPY\n", "rate 1 has 2 cells"),
            ("Date,USD\n", "no day"),
            ("Date,USD\nyesterday,1\n", "date"),
        ] {
            let error = body(text, "desk").expect_err("a refusal");
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }
}
