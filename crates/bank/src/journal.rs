//! The journal for whoever follows: each entry as a CloudEvent, in order. It tells ids, amounts and the names of
//! changed fields, and nothing personal: no profile, no names of tokens, no reasons that people wrote.

use crate::Bank;
use crate::read::PAGE_BYTES_MAX;
use ledger::account::{Account, AccountKind, FreezeKind, Status};
use ledger::amount::Decimal;
use ledger::currency::Currency;
use ledger::event::{
    AccountChange, CustomerChange, CustomerChanged, DeadLetterChange, DeadLetterChanged, Entry, Event, HoldChange,
    Outcome,
};
use ledger::hold::Hold;
use ledger::ids::{Sequence, ShardId};
use ledger::saga::{SagaStep, StepKind};
use ledger::slots::SlotChange;
use ledger::transfer::{Note, Posting, Side, Transferred};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use store::query::{EntryQuery, PAGE_MAX};
use store::{Fault, transfers_of};

/// Bytes, about, of an event without transfers, of a transfer without postings, and of a posting.
const ENTRY_BYTES: usize = 512;
const TRANSFER_BYTES: usize = 320;
const POSTING_BYTES: usize = 128;

/// One entry as a CloudEvent. Serialises to its JSON form, with the shard and the sequence as extension attributes.
#[derive(Clone, Debug, Serialize)]
pub struct JournalEvent {
    /// Always `1.0`.
    pub specversion: &'static str,
    /// The shard and the sequence: `0-17`.
    pub id: String,
    /// `florin/shard/0`.
    pub source: String,
    /// Such as `florin.transfer.succeeded`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The booking time, RFC 3339.
    pub time: String,
    /// Always `application/json`.
    pub datacontenttype: &'static str,
    /// The shard's number.
    pub shard: u16,
    /// The entry's place in the shard's journal; a text in JSON.
    #[serde(serialize_with = "as_text")]
    pub sequence: Sequence,
    /// What happened.
    pub data: Value,
}

fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

impl Bank {
    /// Entries of a shard after a sequence, oldest first, at most `limit`, and fewer once they have more than about 4 MiB;
    /// `None` if there is no such shard.
    ///
    /// # Errors
    /// A fault of the shard.
    pub async fn journal(
        &self,
        shard: ShardId,
        after: Sequence,
        limit: usize,
    ) -> Result<Option<Vec<JournalEvent>>, Fault> {
        let Some(store) = self.shards.get(usize::from(shard.number())) else { return Ok(None) };
        let entries = store.entries(EntryQuery { after, limit: limit.clamp(1, PAGE_MAX) }).await?;
        let mut bytes = 0;
        let fits = entries.iter().take_while(|entry| {
            let has_room = bytes <= PAGE_BYTES_MAX;
            bytes += bytes_of(entry);
            has_room
        });
        Ok(Some(fits.map(|entry| journal_event(shard, entry)).collect()))
    }
}

/// How many bytes an entry has as an event, about.
fn bytes_of(entry: &Entry) -> usize {
    let note = |note: &Note| {
        let pairs = note.metadata.iter().map(|(key, value)| key.len() + value.len() + 6);
        pairs.sum::<usize>() + note.reference.as_deref().map_or(0, str::len)
    };
    let transfer = |transferred: &Transferred| {
        TRANSFER_BYTES + transferred.postings.len() * POSTING_BYTES + transferred.note.as_deref().map_or(0, note)
    };
    ENTRY_BYTES + transfers_of(&entry.outcome).iter().map(transfer).sum::<usize>()
}

fn journal_event(shard: ShardId, entry: &Entry) -> JournalEvent {
    let (kind, data) = match &entry.outcome {
        Outcome::Event(event) => told(event),
        Outcome::Rejection { index, rejection } => {
            ("florin.command.rejected", json!({ "code": rejection.code(), "index": index }))
        }
    };
    JournalEvent {
        specversion: "1.0",
        id: format!("{shard}-{}", entry.header.sequence),
        source: format!("florin/shard/{shard}"),
        kind,
        time: entry.header.time.to_string(),
        datacontenttype: "application/json",
        shard: shard.number(),
        sequence: entry.header.sequence,
        data,
    }
}

fn told(event: &Event) -> (&'static str, Value) {
    match event {
        Event::Transferred(transferred) => ("florin.transfer.succeeded", transfer(transferred)),
        Event::BatchTransferred(transfers) => {
            let transfers: Vec<Value> = transfers.iter().map(transfer).collect();
            ("florin.batch.succeeded", json!({ "transfers": transfers }))
        }
        Event::HoldCaptured(captured) => {
            let data = json!({ "hold": hold(&captured.hold), "transfer": transfer(&captured.transferred) });
            ("florin.hold.captured", data)
        }
        Event::HoldChanged(changed) => {
            let kind = match changed.change {
                HoldChange::Placed => "florin.hold.placed",
                HoldChange::Voided => "florin.hold.voided",
                HoldChange::Expired => "florin.hold.expired",
                HoldChange::Nothing => "florin.hold.unchanged",
            };
            (kind, hold(&changed.hold))
        }
        Event::AccountChanged(changed) => {
            let kind = match changed.change {
                AccountChange::Opened => "florin.account.opened",
                AccountChange::TermsChanged => "florin.account.terms_changed",
                AccountChange::Frozen => "florin.account.frozen",
                AccountChange::Unfrozen => "florin.account.unfrozen",
                AccountChange::Closed => "florin.account.closed",
                AccountChange::Nothing => "florin.account.unchanged",
            };
            (kind, account(&changed.account))
        }
        Event::CustomerChanged(changed) => user(changed),
        Event::DeadLetterChanged(changed) => dead_letter(changed),
        Event::Saga(step) => saga(step),
        Event::SlotsChanged(changed) => {
            let (change, shard) = match changed.change {
                SlotChange::Fenced(to) => ("fenced", to),
                SlotChange::Opened(owner) => ("opened", owner),
                SlotChange::Released(to) => ("released", to),
                SlotChange::Acquired(from) => ("acquired", from),
            };
            ("florin.slots.changed", json!({ "change": change, "slots": changed.slots, "shard": shard.number() }))
        }
        Event::TokenChanged(token) => {
            let kind = if token.revoked { "florin.token.revoked" } else { "florin.token.created" };
            (kind, json!({ "token_id": token.id.to_string(), "role": token.role.name() }))
        }
    }
}

/// A step of a transfer between shards. That it succeeded or failed is told by its home shard alone.
fn saga(step: &SagaStep) -> (&'static str, Value) {
    let kind = match step.kind {
        StepKind::Started => "florin.transfer.pending",
        StepKind::Completed => "florin.transfer.succeeded",
        StepKind::Failed => "florin.transfer.failed",
        StepKind::Executed | StepKind::Posted => "florin.transfer.part_posted",
        StepKind::Refused => "florin.transfer.part_refused",
        StepKind::MovedOut => "florin.account.moved_out",
        StepKind::MovedIn => "florin.account.moved_in",
        _ => "florin.transfer.step",
    };
    let transfers: Vec<Value> = step.transferred.iter().map(transfer).collect();
    let ordered = step.order.iter().flat_map(|order| order.transfers.iter()).map(|ordered| {
        let amount = decimal(ordered.amount().try_into().unwrap_or(i128::MAX), ordered.currency);
        json!({ "transfer_id": ordered.id.to_string(), "type": ordered.kind.name(), "amount": amount,
            "currency": ordered.currency.code() })
    });
    let failure = step.failure.map(|failure| json!({ "code": failure.rejection.code(), "index": failure.index }));
    let data = json!({
        "transfer_id": step.saga.to_string(),
        "step": step.kind.name(),
        "ordered": ordered.collect::<Vec<Value>>(),
        "transfers": transfers,
        "failure": failure,
        "dead_letter_id": step.dead_letter.as_ref().map(|changed| changed.dead_letter.id.to_string()),
    });
    (kind, data)
}

fn user(changed: &CustomerChanged) -> (&'static str, Value) {
    let customer = &changed.customer;
    let data = json!({ "user_id": customer.id.to_string(), "revision": customer.revision });
    match &changed.change {
        CustomerChange::Registered => ("florin.user.registered", data),
        CustomerChange::Nothing => ("florin.user.unchanged", data),
        CustomerChange::Updated(fields) => {
            let fields: Vec<&str> = fields.iter().map(|field| field.name()).collect();
            let data = json!({ "user_id": customer.id.to_string(), "revision": customer.revision, "fields": fields });
            ("florin.user.updated", data)
        }
    }
}

fn dead_letter(changed: &DeadLetterChanged) -> (&'static str, Value) {
    let kind = match changed.change {
        DeadLetterChange::Recorded => "florin.dead_letter.recorded",
        DeadLetterChange::RedriveBegun => "florin.dead_letter.redrive_begun",
        DeadLetterChange::RedriveFailed => "florin.dead_letter.redrive_failed",
        DeadLetterChange::Redriven => "florin.dead_letter.redriven",
        DeadLetterChange::Discarded => "florin.dead_letter.discarded",
        DeadLetterChange::Nothing => "florin.dead_letter.unchanged",
    };
    let letter = &changed.dead_letter;
    let data = json!({
        "dead_letter_id": letter.id.to_string(),
        "status": letter.status.name(),
        "code": letter.code,
        "attempts": letter.attempts,
    });
    (kind, data)
}

fn transfer(transferred: &Transferred) -> Value {
    let currency = transferred.currency;
    let note = transferred.note.as_deref();
    let metadata = note.map(|note| note.metadata.iter().map(|(key, value)| (key.to_string(), Value::from(&**value))));
    json!({
        "transfer_id": transferred.id.to_string(),
        "type": transferred.kind.name(),
        "currency": currency.code(),
        "amount": decimal(transferred.amount().try_into().unwrap_or(i128::MAX), currency),
        "effective_at": transferred.effective_at.to_string(),
        "forced": transferred.forced,
        "hold_id": transferred.hold.map(|hold| hold.to_string()),
        "reverses": transferred.reverses.map(|reversed| reversed.transfer.to_string()),
        "reference": note.and_then(|note| note.reference.as_deref()),
        "metadata": metadata.map(|entries| Value::Object(entries.collect())).unwrap_or_else(|| json!({})),
        "postings": transferred.postings.iter().enumerate()
            .map(|(index, side)| posting(side, transferred.currency_at(index))).collect::<Vec<Value>>(),
    })
}

fn posting(posting: &Posting, currency: Currency) -> Value {
    let side = match posting.side {
        Side::Debit => "debit",
        Side::Credit => "credit",
    };
    json!({
        "account_id": posting.account.to_string(),
        "side": side,
        "amount": decimal(posting.amount.signed(), currency),
        "currency": currency.code(),
        "balance_after": decimal(posting.balance_after, currency),
        "version": posting.version,
    })
}

fn hold(hold: &Hold) -> Value {
    json!({
        "hold_id": hold.id.to_string(),
        "from": hold.from.to_string(),
        "to": hold.to.map(|to| to.to_string()),
        "amount": decimal(hold.amount.signed(), hold.currency),
        "captured": decimal(hold.captured.signed(), hold.currency),
        "currency": hold.currency.code(),
        "status": hold.status.name(),
        "expires_at": hold.expires_at.map(|expires_at| expires_at.to_string()),
    })
}

fn account(account: &Account) -> Value {
    let status = match account.status {
        Status::Active => "active",
        Status::Frozen(FreezeKind::Debit | FreezeKind::Full) => "frozen",
        Status::Closed => "closed",
    };
    let kind = match account.kind {
        AccountKind::Checking => "checking",
        AccountKind::Savings => "savings",
        AccountKind::System(kind) => kind.name(),
    };
    json!({
        "account_id": account.id.to_string(),
        "user_id": account.customer.map(|customer| customer.to_string()),
        "type": kind,
        "currency": account.currency.code(),
        "status": status,
        "overdraft_limit": decimal(account.overdraft_limit.signed(), account.currency),
        "version": account.version,
        "revision": account.revision,
    })
}

fn decimal(minor_units: i128, currency: Currency) -> String {
    Decimal { minor_units, scale: currency.scale() }.to_string()
}
