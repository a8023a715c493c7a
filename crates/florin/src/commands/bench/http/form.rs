//! What the load looks like on the wire: single transfers, JSON batches, or the binary rows that docs/format.md describes
//! under "Bulk rows". Bodies are written into one buffer that is used again, so that making them costs little beside what
//! is measured.

use super::super::random_transfer;
use crate::client::Reply;
use crate::door::refusal;
use crate::failure::Failure;
use ledger::currency::Currency;
use std::io::Write;
use std::ops::Range;

const JSON: &str = "application/json";
const ROWS: &str = "application/vnd.florin.transfers";
const ROW_IN: usize = 128;
const ROW_OUT: usize = 32;
const KIND_TRANSFER: u8 = 3;
const TOOK_EFFECT: u16 = 201;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One transfer a request.
    Single,
    /// A JSON batch of independent transfers.
    Batch,
    /// Binary rows.
    Rows,
}

impl Form {
    /// The form that these options ask for.
    pub(super) const fn of(rows: bool, batch: usize) -> Form {
        match (rows, batch) {
            (true, _) => Form::Rows,
            (false, 1) => Form::Single,
            (false, _) => Form::Batch,
        }
    }
}

/// Makes requests for the transfers of a run, which are the same whatever their form.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    form: Form,
    run: u64,
    accounts: &'a [u64],
    currency_number: u16,
}

impl<'a> Maker<'a> {
    /// A maker for a run; its transfers are between these accounts, and its number sets its keys apart.
    ///
    /// # Errors
    /// A fault if there is no EUR.
    pub(super) fn new(form: Form, run: u64, accounts: &'a [u64]) -> Result<Maker<'a>, Failure> {
        let currency: Currency = "EUR".parse().map_err(|_| Failure::fault("there is no EUR", ""))?;
        Ok(Maker { form, run, accounts, currency_number: currency.number() })
    }

    /// The ids of the accounts.
    pub(super) const fn accounts(&self) -> &'a [u64] {
        self.accounts
    }

    /// Path, media type and idempotency key of a request with these transfers.
    pub(super) fn request(&self, indexes: &Range<u64>) -> (&'static str, &'static str, Option<String>) {
        match self.form {
            Form::Single => ("/api/v1/transfers", JSON, Some(format!("{:016x}-{}", self.run, indexes.start))),
            Form::Batch => ("/api/v1/transfers/batch", JSON, None),
            Form::Rows => ("/api/v1/transfers/batch", ROWS, None),
        }
    }

    /// Writes the body of a request with these transfers in place of what was there.
    pub(super) fn fill(&self, body: &mut Vec<u8>, indexes: Range<u64>) {
        body.clear();
        match self.form {
            Form::Single => self.write_json(body, indexes.start, false),
            Form::Batch => {
                body.extend_from_slice(b"{\"mode\":\"independent\",\"transfers\":");
                for (place, index) in indexes.enumerate() {
                    body.push(if place == 0 { b'[' } else { b',' });
                    self.write_json(body, index, true);
                }
                body.extend_from_slice(b"]}");
            }
            Form::Rows => {
                for index in indexes {
                    body.extend_from_slice(&self.row(index));
                }
            }
        }
    }

    /// Checks that every transfer of a request took effect.
    ///
    /// # Errors
    /// The first refusal.
    pub(super) fn check(&self, reply: &Reply, count: u64) -> Result<(), Failure> {
        // The status of an item is a number, that of a transfer inside it a word.
        let is_refusal =
            |part: &[u8]| part.starts_with(b"\"status\":") && part[9].is_ascii_digit() && !part.ends_with(b"201,");
        let is_refused = |text: &[u8]| text.windows(13).any(is_refusal);
        match (self.form, reply.status) {
            (Form::Single, 201) => Ok(()),
            (Form::Batch, 200) if !is_refused(&reply.body) => Ok(()),
            (Form::Batch, 200) => Err(Failure::no("a transfer of a batch was refused", "look at the server's log")),
            (Form::Rows, 200) => check_rows(&reply.body, count),
            _ => Err(refusal(reply)),
        }
    }

    fn transfer(&self, index: u64) -> (u64, u64, u64) {
        let (from, to, amount) = random_transfer(index, self.accounts.len() as u64);
        let id = |number: u64| {
            usize::try_from(number - 1).ok().and_then(|place| self.accounts.get(place)).copied().unwrap_or_default()
        };
        (id(from), id(to), amount)
    }

    fn write_json(&self, body: &mut Vec<u8>, index: u64, with_key: bool) {
        let (from, to, amount) = self.transfer(index);
        let (units, cents) = (amount / 100, amount % 100);
        // Writing into memory cannot fail.
        _ = write!(
            body,
            "{{\"type\":\"transfer\",\"from\":\"{from}\",\"to\":\"{to}\",\"amount\":\"{units}.{cents:02}\",\"currency\":\"EUR\""
        );
        if with_key {
            _ = write!(body, ",\"idempotency_key\":\"{:016x}-{index}\"", self.run);
        }
        body.push(b'}');
    }

    fn row(&self, index: u64) -> [u8; ROW_IN] {
        let (from, to, amount) = self.transfer(index);
        let mut row = [0; ROW_IN];
        row[..8].copy_from_slice(&self.run.to_le_bytes());
        // Counted from one, so that no key is all zeros.
        row[8..16].copy_from_slice(&(index + 1).to_le_bytes());
        row[16..24].copy_from_slice(&from.to_le_bytes());
        row[24..32].copy_from_slice(&to.to_le_bytes());
        row[32..40].copy_from_slice(&amount.to_le_bytes());
        row[40..42].copy_from_slice(&self.currency_number.to_le_bytes());
        row[42] = KIND_TRANSFER;
        row
    }
}

fn check_rows(body: &[u8], count: u64) -> Result<(), Failure> {
    let (rows, rest) = body.as_chunks::<ROW_OUT>();
    if rows.len() as u64 != count || !rest.is_empty() {
        let what = format!("{} bytes came back for {count} rows of {ROW_OUT} bytes", body.len());
        return Err(Failure::fault(what, "use the same version of this program as the server's"));
    }
    let status = |row: &[u8; ROW_OUT]| u16::from_le_bytes([row[0], row[1]]);
    match rows.iter().find(|row| status(row) != TOOK_EFFECT) {
        None => Ok(()),
        Some(row) => {
            let problem = u16::from_le_bytes([row[2], row[3]]);
            let what = format!("a row was refused with status {} and problem {problem}", status(row));
            Err(Failure::no(what, "docs/format.md lists the problems by number"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(rows: &[(u16, u16)]) -> Reply {
        let row = |(status, problem): &(u16, u16)| {
            let mut row = [0; ROW_OUT];
            row[..2].copy_from_slice(&status.to_le_bytes());
            row[2..4].copy_from_slice(&problem.to_le_bytes());
            row
        };
        Reply { status: 200, body: rows.iter().flat_map(row).collect() }
    }

    #[test]
    fn every_answer_row_must_have_taken_effect() {
        let maker = Maker::new(Form::Rows, 1, &[1, 2]).expect("a maker");
        assert!(maker.check(&reply(&[(201, 0), (201, 0)]), 2).is_ok());
        assert!(maker.check(&reply(&[(201, 0)]), 2).is_err());
        let refused = maker.check(&reply(&[(201, 0), (422, 7)]), 2).expect_err("a refusal");
        assert!(refused.what.contains("422") && refused.what.contains('7'), "{refused}");
    }

    #[test]
    fn refusals_inside_a_json_batch_are_seen() {
        let maker = Maker::new(Form::Batch, 1, &[1, 2]).expect("a maker");
        let answer = |body: &str| Reply { status: 200, body: body.into() };
        assert!(maker.check(&answer(r#"{"results":[{"status":201,"transfer":{"status":"succeeded"}}]}"#), 1).is_ok());
        for status in [400, 422, 500, 503] {
            assert!(
                maker.check(&answer(&format!(r#"{{"results":[{{"status":{status},"error":{{}}}}]}}"#)), 1).is_err()
            );
        }
    }

    #[test]
    fn each_row_has_its_own_key_and_nothing_in_reserved_places() {
        let maker = Maker::new(Form::Rows, 0, &[5, 6, 7]).expect("a maker");
        let mut body = vec![1; 3];
        maker.fill(&mut body, 0..100);
        let (rows, rest) = body.as_chunks::<ROW_IN>();
        assert_eq!((rows.len(), rest.len()), (100, 0));
        let mut keys: Vec<&[u8]> = rows.iter().map(|row| &row[..16]).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 100);
        assert!(rows.iter().all(|row| row[..16] != [0; 16] && row[43..].iter().all(|byte| *byte == 0)));
    }
}
