//! Transfers as fixed rows, for bulk loading: `application/vnd.florin.transfers`, described in docs/format.md under
//! "Bulk rows". No JSON and nothing built per row but the command itself.
//!
//! A row that comes in, 128 bytes, integers little-endian:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 16 | idempotency key: as text it is these bytes in hexadecimal; not all zero |
//! | 16 | 8 | account debited; of a deposit the contra account, or 0 for cash |
//! | 24 | 8 | account credited; of a withdrawal the contra account, or 0 for cash |
//! | 32 | 8 | amount in minor units |
//! | 40 | 2 | currency, its number in ISO 4217 |
//! | 42 | 1 | kind: 1 deposit, 2 withdrawal, 3 transfer |
//! | 43 | 1 | flags: 1 skips the check of funds (role admin) |
//! | 44 | 4 | zeros |
//! | 48 | 8 | value date in microseconds since 1970, or 0 for now |
//! | 56 | 48 | reference in UTF-8, followed by zeros |
//! | 104 | 24 | zeros |
//!
//! A row that goes out, 32 bytes, at the same index:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 2 | status, as in JSON: 201 when it took effect |
//! | 2 | 2 | number of the problem's code; 0 when it took effect |
//! | 4 | 1 | 1 when the answer was given before |
//! | 5 | 3 | zeros |
//! | 8 | 8 | id of the transfer, or 0 |
//! | 16 | 8 | booking time in microseconds since 1970, or 0 |
//! | 24 | 8 | zeros |

use crate::answer::{Reply, key_reused, with_type};
use crate::auth::forbidden;
use crate::call::AskMany;
use crate::input::{Problems, key_missing};
use crate::problem::{Code, Problem};
use crate::v1::transfers::started;
use axum::body::Body;
use bank::digest::Fingerprints;
use bank::submit::{ClientKey, ItemAnswer};
use bank::transfer::Terms;
use ledger::amount::Amount;
use ledger::command::Command;
use ledger::currency::Currency;
use ledger::event::Outcome;
use ledger::ids::AccountId;
use ledger::time::Timestamp;
use ledger::token::Role;
use ledger::transfer::{BATCH_MAX, Leg, LegAmount, Legs, Note, Transfer, TransferKind};
use store::{Answer, transfers_of};

/// The media type of rows, in and out.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.florin.transfers";
/// Bytes of a row that comes in.
pub(crate) const ROW_IN: usize = 128;
/// Bytes of a row that goes out.
pub(crate) const ROW_OUT: usize = 32;

/// One row that came in.
struct Row<'a> {
    bytes: &'a [u8; ROW_IN],
}

impl Row<'_> {
    fn number<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut number = [0; N];
        number.copy_from_slice(&self.bytes[at..at + N]);
        number
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.number(at))
    }

    fn has_key(&self) -> bool {
        self.bytes[..16] != [0; 16]
    }

    /// What is said with the key, without the zeros at the end: a row has one length, so they tell nothing.
    fn said(&self) -> &[u8] {
        let end = self.bytes.iter().rposition(|byte| *byte != 0).map_or(16, |last| last + 1);
        &self.bytes[16..end.max(16)]
    }

    fn key_text(&self) -> [u8; 32] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (digits, byte) in text.chunks_exact_mut(2).zip(&self.bytes[..16]) {
            digits[0] = HEX[usize::from(byte >> 4)];
            digits[1] = HEX[usize::from(byte & 0xf)];
        }
        text
    }

    fn reference(&self) -> Result<Option<Box<Note>>, Problem> {
        let bytes = &self.bytes[56..104];
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        if bytes[length..].iter().any(|byte| *byte != 0) {
            return Err(Problem::malformed("what follows the reference must be zeros"));
        }
        let text =
            std::str::from_utf8(&bytes[..length]).map_err(|_| Problem::malformed("the reference is not UTF-8"))?;
        let note = || Box::new(Note { reference: Some(text.into()), metadata: Box::default() });
        Ok((!text.is_empty()).then(note))
    }
}

/// Takes rows and gives rows.
pub(crate) async fn create(call: AskMany) -> Reply {
    let mut problems = Problems::none();
    let dry_run = call.parameters(&["dry_run"], &mut problems).dry_run(&mut problems);
    let (rows, rest) = call.body.as_chunks::<ROW_IN>();
    if BATCH_MAX < rows.len() {
        problems.note(Problem::new(Code::BodyTooLarge, format!("a batch may have at most {BATCH_MAX} rows; split it")));
    }
    if rows.is_empty() || !rest.is_empty() {
        problems.note(Problem::malformed(format!("the body must be rows of {ROW_IN} bytes, at least one")));
    }
    problems.check()?;
    let keys: Vec<[u8; 32]> = rows.iter().map(|bytes| Row { bytes }.key_text()).collect();
    let mut requests = Vec::with_capacity(rows.len());
    let mut failures: Vec<Option<Code>> = Vec::with_capacity(rows.len());
    let mut currency = CurrencyOfRows::default();
    let fingerprints = call.app.bank().fingerprints_of("rows", &[]);
    for (bytes, key) in rows.iter().zip(&keys) {
        let row = Row { bytes };
        match transfer(&call, &row, &mut currency, dry_run) {
            Ok(transfer) => {
                requests.push((client_key(&fingerprints, &row, key).filter(|_| !dry_run), Command::Transfer(transfer)));
                failures.push(None);
            }
            Err(problem) => failures.push(Some(problem.code)),
        }
    }
    let answers = call.app.bank().submit_batch(&call.caller, requests, dry_run).await;
    Ok(with_type(200, MEDIA_TYPE, Body::from(written(&failures, answers))))
}

fn client_key<'a>(fingerprints: &Fingerprints, row: &Row<'_>, key: &'a [u8; 32]) -> Option<ClientKey<'a>> {
    let text = std::str::from_utf8(key).ok().filter(|_| row.has_key())?;
    Some(ClientKey { text, fingerprint: fingerprints.of(row.said()) })
}

/// The currency of the row before, which is nearly always that of the next.
#[derive(Default)]
struct CurrencyOfRows {
    last: Option<(u16, Currency)>,
}

impl CurrencyOfRows {
    fn numbered(&mut self, number: u16) -> Option<Currency> {
        match self.last {
            Some((last, currency)) if last == number => Some(currency),
            _ => {
                let currency = Currency::from_number(number)?;
                self.last = Some((number, currency));
                Some(currency)
            }
        }
    }
}

fn transfer(
    call: &AskMany,
    row: &Row<'_>,
    currencies: &mut CurrencyOfRows,
    dry_run: bool,
) -> Result<Transfer, Problem> {
    let kind = match row.bytes[42] {
        1 => TransferKind::Deposit,
        2 => TransferKind::Withdrawal,
        3 => TransferKind::Transfer,
        _ => return Err(Problem::malformed("the kind is not 1, 2 or 3")),
    };
    let forced = row.bytes[43] == 1;
    if forced && call.caller.role != Role::Admin {
        return Err(forbidden(Role::Admin));
    }
    let reserved_is_zero = row.bytes[44..48] == [0; 4] && row.bytes[104..] == [0; 24];
    if 1 < row.bytes[43] || !reserved_is_zero {
        return Err(Problem::malformed("unknown flags, or reserved bytes that are not zero"));
    }
    let (from, to) = (AccountId::new(row.u64(16)), AccountId::new(row.u64(24)));
    let customers = if kind == TransferKind::Deposit { to } else { from };
    let other = if kind == TransferKind::Deposit { from } else { to };
    let other_number = if kind == TransferKind::Deposit { row.u64(16) } else { row.u64(24) };
    let invalid_account = || Problem::malformed("an account id is not between 1 and 2^63-1");
    let customers = customers.ok_or_else(invalid_account)?;
    if other.is_none() && (other_number != 0 || kind == TransferKind::Transfer) {
        return Err(invalid_account());
    }
    let effective_at = match row.u64(48) {
        0 => None,
        time => Some(
            Timestamp::from_microseconds(time).ok_or_else(|| Problem::malformed("the value date is out of range"))?,
        ),
    };
    let note = row.reference()?;
    if !row.has_key() && !dry_run {
        return Err(key_missing());
    }
    let amount = Amount::new(row.u64(32)).filter(|amount| !amount.is_zero());
    let amount = amount.ok_or_else(|| Problem::new(Code::AmountInvalid, "the amount is zero or beyond 18 digits"))?;
    let currency = currencies.numbered(u16::from_le_bytes(row.number(40)));
    let currency = currency.ok_or_else(|| Problem::new(Code::CurrencyUnknown, "no currency has this number"))?;
    let amount = LegAmount::Exactly(amount);
    let terms = Terms { currency, amount, forced, effective_at, note: None };
    let made = match (kind, other) {
        (TransferKind::Deposit, contra) => call.app.bank().deposit(customers, contra, terms),
        (TransferKind::Withdrawal, contra) => call.app.bank().withdrawal(customers, contra, terms),
        (_, Some(to)) => {
            let legs = Legs::One([Leg { from: customers, to, amount }]);
            Ok(Transfer { kind, currency, legs, forced, effective_at, note: None })
        }
        (_, None) => return Err(invalid_account()),
    };
    let made = made.map_err(|rejection| Problem::from(&rejection))?;
    Ok(Transfer { note, ..made })
}

fn written(failures: &[Option<Code>], answers: Vec<ItemAnswer>) -> Vec<u8> {
    let mut out = vec![0; failures.len() * ROW_OUT];
    let mut answers = answers.into_iter();
    for (row, failure) in out.chunks_exact_mut(ROW_OUT).zip(failures) {
        match failure {
            Some(code) => write_code(row, *code),
            None => match answers.next() {
                Some(Ok(answer)) => write_answer(row, &answer),
                Some(Err(error)) => write_code(row, Problem::from(error).code),
                None => write_code(row, Code::Fault),
            },
        }
    }
    out
}

fn write_code(row: &mut [u8], code: Code) {
    row[..2].copy_from_slice(&code.status().to_le_bytes());
    row[2..4].copy_from_slice(&code.number().to_le_bytes());
}

fn write_answer(row: &mut [u8], answer: &Answer) {
    row[4] = u8::from(matches!(answer, Answer::Replayed(_)));
    match answer.outcome() {
        None => write_code(row, key_reused().code),
        Some(Outcome::Rejection { rejection, .. }) => write_code(row, Code::of_rejection(rejection)),
        Some(outcome) => {
            let status = if started(answer).is_some() { 202u16 } else { 201 };
            row[..2].copy_from_slice(&status.to_le_bytes());
            if let (Some(transferred), Some(entry)) = (transfers_of(outcome).first(), answer.entry()) {
                row[8..16].copy_from_slice(&transferred.id.number().to_le_bytes());
                row[16..24].copy_from_slice(&entry.header.time.microseconds().to_le_bytes());
            }
        }
    }
}
