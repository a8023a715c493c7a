//! What is kept of every customer's account between one closed day and the next: a projection of the journal up to the end
//! of the day closed last, a chunk of accounts at a time. It saves reading the whole past again, and can be thrown away:
//! it is made again from the journal.

use ledger::account::AccountKind;
use ledger::currency::Currency;
use ledger::ids::AccountId;
use ledger::time::Day;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Fault;

use super::parts::Parts;

const VERSION: u8 = 2;
const ROW_BYTES: usize = 8 + 8 + 3 * 16 + 2 + 1 + 3 * 4;

/// A period that is not posted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// The product of which it is.
    pub(crate) product: Arc<str>,
    /// Its first day.
    pub(crate) first: Day,
}

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
    /// Which period that is: what is posted for it follows from here, whatever product the account has by then.
    pub(crate) open: Option<Open>,
    /// The booking day it was opened on.
    pub(crate) opened: Day,
    /// Its currency.
    pub(crate) currency: Currency,
    /// What it is for.
    pub(crate) kind: AccountKind,
}

impl Row {
    /// An account without postings.
    pub(crate) fn new(account: AccountId, (kind, currency, opened): (AccountKind, Currency, Day)) -> Row {
        let (carry, accrued) = (Parts::ZERO, Parts::ZERO);
        Row { account, version: 0, balance: 0, carry, accrued, open: None, opened, currency, kind }
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
    /// As bytes: a version, the day, the products of open periods, and rows of one size, which name those by their place.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut products: BTreeMap<&str, u32> =
            self.rows.iter().filter_map(|row| row.open.as_ref()).map(|open| (&*open.product, 0)).collect();
        let mut bytes = Vec::with_capacity(64 + self.rows.len() * ROW_BYTES);
        bytes.push(VERSION);
        bytes.extend(self.through.number().to_le_bytes());
        bytes.extend((products.len() as u64).to_le_bytes());
        for (number, (product, place)) in (1..).zip(&mut products) {
            *place = number; // 0 is none
            bytes.extend((product.len() as u64).to_le_bytes());
            bytes.extend(product.as_bytes());
        }
        for row in &self.rows {
            bytes.extend(row.account.number().to_le_bytes());
            bytes.extend(row.version.to_le_bytes());
            for number in [row.balance, row.carry.0, row.accrued.0] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(row.currency.number().to_le_bytes());
            bytes.push(u8::from(row.kind == AccountKind::Savings));
            bytes.extend(row.opened.number().to_le_bytes());
            let product = row.open.as_ref().and_then(|open| products.get(&*open.product)).copied().unwrap_or(0);
            bytes.extend(product.to_le_bytes());
            bytes.extend(row.open.as_ref().map_or(0, |open| open.first.number()).to_le_bytes());
        }
        bytes
    }

    /// Reads what [`State::encode`] wrote.
    ///
    /// # Errors
    /// `Corrupt` for anything else.
    pub(crate) fn decode(key: &str, bytes: &[u8]) -> Result<State, Fault> {
        decode(bytes).ok_or_else(|| Fault::Corrupt {
            detail: format!(
                "the record {key} is damaged; `florin close-day --rebuild` makes it again from the journal"
            ),
        })
    }
}

fn decode(mut rest: &[u8]) -> Option<State> {
    let [VERSION] = take(&mut rest)? else { return None };
    let through = Day::new(i32::from_le_bytes(take(&mut rest)?));
    let count = u64::from_le_bytes(take(&mut rest)?);
    let mut products: Vec<Arc<str>> = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(u64::from_le_bytes(take(&mut rest)?)).ok()?;
        let (product, others) = rest.split_at_checked(length)?;
        products.push(std::str::from_utf8(product).ok()?.into());
        rest = others;
    }
    if !rest.len().is_multiple_of(ROW_BYTES) {
        return None;
    }
    let rows: Vec<Row> = rest.chunks_exact(ROW_BYTES).map(|row| decode_row(row, &products)).collect::<Option<_>>()?;
    let is_sorted = rows.windows(2).all(|pair| pair[0].account < pair[1].account);
    is_sorted.then_some(State { through, rows })
}

fn decode_row(bytes: &[u8], products: &[Arc<str>]) -> Option<Row> {
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
    let opened = Day::new(i32::from_le_bytes(take(&mut rest)?));
    let (place, first) = (u32::from_le_bytes(take(&mut rest)?), Day::new(i32::from_le_bytes(take(&mut rest)?)));
    let open = match place.checked_sub(1) {
        Some(place) => Some(Open { product: products.get(usize::try_from(place).ok()?)?.clone(), first }),
        None => None,
    };
    let (carry, accrued) = (Parts(carry), Parts(accrued));
    Some(Row { account, version, balance, carry, accrued, open, opened, currency, kind })
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
        let day = |text: &str| text.parse().expect("a day");
        let open = |product: &str| Some(Open { product: product.into(), first: day("2026-12-05") });
        let row = |number: u64, kind, open| Row {
            version: 7,
            balance: -5,
            carry: Parts(1 << 40),
            accrued: Parts(1 << 90),
            open,
            ..Row::new(
                AccountId::new(number).expect("an id"),
                (kind, "CZK".parse().expect("a currency"), day("2026-11-30")),
            )
        };
        let rows = vec![
            row(1, AccountKind::Checking, open("savings")),
            row(2, AccountKind::Checking, None),
            row(3, AccountKind::Checking, open("basic")),
            row(u64::from(u32::MAX), AccountKind::Savings, open("savings")),
        ];
        State { through: day("2026-12-31"), rows }
    }

    #[test]
    fn rows_come_back_as_they_were() {
        assert_eq!(State::decode("key", &state().encode()).expect("readable"), state());
    }

    #[test]
    fn what_is_damaged_is_not_read_as_something_else() {
        let bytes = state().encode();
        let (end, kind) = (bytes.len(), bytes.len() - 13);
        let changed = |at: usize, byte: u8| {
            let mut changed = bytes.clone();
            changed[at] = byte;
            changed
        };
        let mut backwards = state();
        backwards.rows.reverse();
        let damaged = [
            bytes[..end - 1].to_vec(),
            changed(0, 1),
            changed(kind, 9),
            changed(end - 8, 3),
            changed(5, 200),
            backwards.encode(),
            Vec::new(),
        ];
        for damaged in damaged {
            assert!(State::decode("key", &damaged).is_err());
        }
    }
}
