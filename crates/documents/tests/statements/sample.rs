//! A statement with something of everything.

use bank::statement::{Line, Statement, Totals};
use documents::Letterhead;
use ledger::ids::{AccountId, TransferId};
use ledger::transfer::TransferKind;

pub(crate) fn letterhead() -> Letterhead {
    Letterhead { name: "Florin & Co".into(), lines: vec!["Na Příkopě 1".into(), "florin.example".into()] }
}

/// A statement of so many lines, for a customer of this name and language.
pub(crate) fn statement(lines: u64, holder: &str, locale: &str) -> Statement {
    let month: bank::month::Month = "2026-10".parse().expect("a month");
    let mut statement = Statement {
        account: AccountId::new(123_456_789).expect("an id"),
        currency: "CZK".parse().expect("a currency"),
        month,
        holder: Some(holder.into()),
        locale: Some(locale.into()),
        opening: 1_234_567,
        closing: 1_234_567,
        version: lines,
        lines: Vec::new(),
        totals: Totals::default(),
        as_of: month.end(),
    };
    for number in 0..lines {
        let line = line(&statement, number);
        statement.totals.credits += line.amount.max(0);
        statement.totals.debits -= line.amount.min(0);
        statement.closing = line.balance;
        statement.lines.push(line);
    }
    statement
}

fn line(statement: &Statement, number: u64) -> Line {
    let amount = if number.is_multiple_of(3) { 250_000 + i128::from(number) } else { -12_345 - i128::from(number) };
    let booked_at = statement.month.start().saturating_add(number * 3_600_000_000);
    let reference = match number % 5 {
        1 => Some("=1+1 <rent> &\u{7}\n\"more\", flat 12"),
        2 => {
            Some("Příliš žluťoučký kůň úpěl ďábelské ódy, and on for long enough that the line has to be broken in two")
        }
        3 => Some("f\u{feff}i \u{e000}\u{f0000}\u{fffe}\0"), // an archival PDF may not have any of these
        _ => None,
    };
    Line {
        category: None,
        version: number + 1,
        transfer: TransferId::new(number + 1000).expect("an id"),
        kind: TransferKind::ALL[usize::try_from(number).expect("small") % TransferKind::ALL.len()],
        booked_at,
        effective_at: booked_at,
        amount,
        balance: statement.closing + amount,
        counterparty: AccountId::new(4242).filter(|_| number % 4 == 1),
        reference: reference.map(Into::into),
        is_late: number % 11 == 4,
    }
}
