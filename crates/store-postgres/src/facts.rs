//! The facts of a block: keys, transfers, postings and steps, which follow from its entries alone.

use crate::commit::Parameters;
use crate::row::{currency_number, step_number, transfer_kind_number};
use crate::value::{Digest, Whole, big, shown};
use ledger::event::{Entry, Event, Outcome};
use ledger::saga::{SagaStep, StepKind};
use ledger::transfer::Transferred;
use ledger::working_set::Reversal;
use store::query::ids_of_step;
use store::transfers_of;

/// Transfers with what they left, column by column.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) key_digest: Vec<Digest>,
    key_fingerprint: Vec<Digest>,
    key_sequence: Vec<i64>,

    pub(crate) id: Vec<i64>,
    sequence: Vec<i64>,
    booked_at: Vec<i64>,
    effective_at: Vec<i64>,
    reverses: Vec<Option<i64>>,
    hold: Vec<Option<i64>>,
    place: Vec<i32>,
    day: Vec<i32>,
    kind: Vec<i16>,
    currency: Vec<i16>,
    forced: Vec<bool>,
    amount: Vec<Whole>,
    reference: Vec<Option<String>>,

    pub(crate) metadata_key: Vec<String>,
    metadata_value: Vec<String>,
    metadata_transfer: Vec<i64>,

    pub(crate) posting_account: Vec<i64>,
    posting_version: Vec<i64>,
    posting_transfer: Vec<i64>,
    posting_amount: Vec<i64>,
    posting_dated: Vec<Option<i64>>,
    posting_step: Vec<Option<i64>>,
    posting_balance: Vec<Whole>,

    step_transfer: Vec<i64>,
    step_sequence: Vec<i64>,
    step_booked_at: Vec<i64>,
    step_kind: Vec<i16>,
    step_reference: Vec<Option<String>>,
}

/// Transfers that were undone, column by column.
#[derive(Debug, Default)]
pub(crate) struct Reversals {
    transfer: Vec<i64>,
    by: Vec<i64>,
}

impl Reversals {
    pub(crate) fn of<'a>(rows: impl Iterator<Item = &'a Reversal>) -> Reversals {
        let (transfer, by) = rows.map(|row| (big(row.transfer.number()), big(row.by.number()))).unzip();
        Reversals { transfer, by }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.transfer.is_empty()
    }

    pub(crate) fn parameters(&self) -> Parameters<'_> {
        vec![&self.transfer, &self.by]
    }
}

impl Facts {
    /// Adds what an entry says.
    pub(crate) fn add(&mut self, entry: &Entry) {
        if let Some(key) = entry.header.key {
            self.key_digest.push(Digest(key.digest));
            self.key_fingerprint.push(Digest(key.fingerprint));
            self.key_sequence.push(big(entry.header.sequence));
        }
        let step = match &entry.outcome {
            Outcome::Event(Event::Saga(step)) => Some(&**step),
            _ => None,
        };
        let is_later = step.is_some_and(|step| step.kind != StepKind::Started);
        for (place, transferred) in transfers_of(&entry.outcome).iter().enumerate() {
            if !is_later {
                let ordered = step.and_then(|step| step.order.as_ref()?.transfers.get(place));
                let amount = ordered.map_or_else(|| transferred.amount(), |ordered| ordered.amount());
                self.add_transfer(entry, place, transferred, amount);
            }
            self.add_postings(entry, transferred, is_later);
        }
        if let Some(step) = step.filter(|_| is_later) {
            self.add_step(entry, step);
        }
    }

    fn add_step(&mut self, entry: &Entry, step: &SagaStep) {
        for id in ids_of_step(entry) {
            let named = step.transferred.iter().find(|transferred| transferred.id == id);
            let reference = named.and_then(|transferred| transferred.note.as_ref()?.reference.as_deref());
            self.step_transfer.push(big(id.number()));
            self.step_sequence.push(big(entry.header.sequence));
            self.step_booked_at.push(big(entry.header.time.microseconds()));
            self.step_kind.push(step_number(step.kind));
            self.step_reference.push(reference.map(shown));
        }
    }

    fn add_transfer(&mut self, entry: &Entry, place: usize, transferred: &Transferred, amount: u128) {
        let header = &entry.header;
        let id = big(transferred.id.number());
        self.id.push(id);
        self.sequence.push(big(header.sequence));
        self.booked_at.push(big(header.time.microseconds()));
        self.effective_at.push(big(transferred.effective_at.microseconds()));
        self.reverses.push(transferred.reverses.map(|reversed| big(reversed.transfer.number())));
        self.hold.push(transferred.hold.map(|hold| big(hold.number())));
        self.place.push(i32::try_from(place).unwrap_or(i32::MAX));
        self.day.push(header.day.number());
        self.kind.push(transfer_kind_number(transferred.kind));
        self.currency.push(currency_number(transferred.currency));
        self.forced.push(transferred.forced);
        self.amount.push(Whole(i128::try_from(amount).unwrap_or(i128::MAX)));
        self.reference.push(transferred.note.as_ref().and_then(|note| note.reference.as_deref()).map(shown));
    }

    fn add_postings(&mut self, entry: &Entry, transferred: &Transferred, is_later: bool) {
        let (header, id) = (&entry.header, big(transferred.id.number()));
        let note = transferred.note.as_deref();
        for (key, value) in note.iter().flat_map(|note| &note.metadata) {
            self.metadata_key.push(shown(key));
            self.metadata_value.push(shown(value));
            self.metadata_transfer.push(id);
        }
        let is_dated = transferred.effective_at != header.time;
        let step = is_later.then(|| big(header.sequence));
        let dated = is_dated.then(|| big(transferred.effective_at.microseconds()));
        for posting in transferred.postings.iter() {
            self.posting_account.push(big(posting.account.number()));
            self.posting_version.push(big(posting.version));
            self.posting_transfer.push(id);
            self.posting_amount.push(i64::try_from(posting.signed()).unwrap_or(i64::MAX));
            self.posting_dated.push(dated);
            self.posting_step.push(step);
            self.posting_balance.push(Whole(posting.balance_after));
        }
    }
}

impl Facts {
    pub(crate) fn keys(&self) -> Parameters<'_> {
        vec![&self.key_digest, &self.key_fingerprint, &self.key_sequence]
    }

    pub(crate) fn metadata(&self) -> Parameters<'_> {
        vec![&self.metadata_key, &self.metadata_value, &self.metadata_transfer]
    }

    /// How many steps there are.
    pub(crate) fn steps_count(&self) -> u64 {
        self.step_transfer.len() as u64
    }

    pub(crate) fn steps(&self) -> Parameters<'_> {
        vec![&self.step_transfer, &self.step_sequence, &self.step_booked_at, &self.step_kind, &self.step_reference]
    }

    pub(crate) fn transfers(&self) -> Parameters<'_> {
        vec![
            &self.id,
            &self.sequence,
            &self.booked_at,
            &self.effective_at,
            &self.reverses,
            &self.hold,
            &self.place,
            &self.day,
            &self.kind,
            &self.currency,
            &self.forced,
            &self.amount,
            &self.reference,
        ]
    }

    pub(crate) fn postings(&self) -> Parameters<'_> {
        vec![
            &self.posting_account,
            &self.posting_version,
            &self.posting_transfer,
            &self.posting_amount,
            &self.posting_dated,
            &self.posting_step,
            &self.posting_balance,
        ]
    }
}
