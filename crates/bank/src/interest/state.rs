//! What is kept of every customer's account between one closed day and the next: a projection of the journal up to the end
//! of the day closed last, a chunk of accounts at a time. It saves reading the whole past again, and can be thrown away:
//! it is made again from the journal.

use ledger::account::AccountKind;
use ledger::currency::Currency;
use ledger::ids::AccountId;
use ledger::time::Day;
use store::Fault;

use super::parts::Parts;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 4;
const ROW_BYTES: usize = 8 + 8 + 3 * 16 + 2 + 1;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The account.
    pub(crate) account: AccountId,
    /// How many of its postings are in here.
    pub(crate) version: u64,
    /// Its balance at the end of the day by value date, with what was posted for that day itself.
    pub(crate) balance: i128,
    /// What accrued in periods that were posted, less what was posted: below one minor unit, unless a posting was refused.
    pub(crate) carry: Parts,
    /// What accrued in the period that is not posted yet.
    pub(crate) accrued: Parts,
    /// Its currency.
    pub(crate) currency: Currency,
    /// What it is for.
    pub(crate) kind: AccountKind,
}

impl Row {
    /// An account without postings.
    pub(crate) fn new(account: AccountId, kind: AccountKind, currency: Currency) -> Row {
        let (carry, accrued) = (Parts::ZERO, Parts::ZERO);
        Row { account, version: 0, balance: 0, carry, accrued, currency, kind }
    }
}

/// The rows of a chunk, by account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The day at whose end they are so.
    pub(crate) through: Day,
    /// The rows, sorted by account.
    pub(crate) rows: Vec<Row>,
}

impl State {
    /// As bytes: a version, the day, and rows of one size.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.rows.len() * ROW_BYTES);
        bytes.push(VERSION);
        bytes.extend(self.through.number().to_le_bytes());
        for row in &self.rows {
            bytes.extend(row.account.number().to_le_bytes());
            bytes.extend(row.version.to_le_bytes());
            for number in [row.balance, row.carry.0, row.accrued.0] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(row.currency.number().to_le_bytes());
            bytes.push(u8::from(row.kind == AccountKind::Savings));
        }
        bytes
    }

    /// Reads what [`State::encode`] wrote.
    ///
    /// # Errors
    /// `Corrupt` for anything else.
    pub(crate) fn decode(key: &str, bytes: &[u8]) -> Result<State, Fault> {
        let damaged = || Fault::Corrupt {
            detail: format!(
                "the record {key} is damaged; `florin close-day --rebuild` makes it again from the journal"
            ),
        };
        let (header, rows) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(damaged)?;
        let [VERSION, day @ ..] = header else { return Err(damaged()) };
        let through = Day::new(i32::from_le_bytes(day.try_into().map_err(|_| damaged())?));
        if rows.len() % ROW_BYTES != 0 {
            return Err(damaged());
        }
        let rows: Option<Vec<Row>> = rows.chunks_exact(ROW_BYTES).map(decode_row).collect();
        let rows = rows.ok_or_else(damaged)?;
        let is_sorted = rows.windows(2).all(|pair| pair[0].account < pair[1].account);
        if is_sorted { Ok(State { through, rows }) } else { Err(damaged()) }
    }
}

fn decode_row(bytes: &[u8]) -> Option<Row> {
    let mut rest = bytes;
    let account = AccountId::new(u64::from_le_bytes(take(&mut rest)?))?;
    let version = u64::from_le_bytes(take(&mut rest)?);
    let [balance, carry, accrued] = [take(&mut rest)?, take(&mut rest)?, take(&mut rest)?].map(i128::from_le_bytes);
    let currency = Currency::from_number(u16::from_le_bytes(take(&mut rest)?))?;
    let kind = match take::<1>(&mut rest)? {
        [0] => AccountKind::Checking,
        [1] => AccountKind::Savings,
        _ => return None,
    };
    Some(Row { account, version, balance, carry: Parts(carry), accrued: Parts(accrued), currency, kind })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let row = |number: u64, kind| Row {
            version: 7,
            balance: -5,
            carry: Parts(1 << 40),
            accrued: Parts(1 << 90),
            ..Row::new(AccountId::new(number).expect("an id"), kind, "CZK".parse().expect("a currency"))
        };
        let rows = vec![row(1, AccountKind::Checking), row(u64::from(u32::MAX), AccountKind::Savings)];
        State { through: "2026-12-31".parse().expect("a day"), rows }
    }

    #[test]
    fn rows_come_back_as_they_were() {
        assert_eq!(State::decode("key", &state().encode()).expect("readable"), state());
    }

    #[test]
    fn what_is_damaged_is_not_read_as_something_else() {
        let bytes = state().encode();
        let kind = bytes.len() - 1;
        let changed = |at: usize, byte: u8| {
            let mut changed = bytes.clone();
            changed[at] = byte;
            changed
        };
        let mut backwards = state();
        backwards.rows.reverse();
        for damaged in [bytes[..kind].to_vec(), changed(0, 2), changed(kind, 9), backwards.encode(), Vec::new()] {
            assert!(State::decode("key", &damaged).is_err());
        }
    }
}
