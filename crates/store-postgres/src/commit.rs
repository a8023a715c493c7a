//! Writes a decided batch: one block, what follows from it, and the head, all sent together with the commit.

use crate::decide::Decided;
use crate::journal::Chunks;
use crate::load::{Cache, Head};
use crate::open::Open;
use crate::row::{Holds, Money, Terms, currency_number, step_number, transfer_kind_number};
use crate::session::{Pipeline, Session};
use crate::value::{Digest, Whole, big, shown, unbig};
use ledger::account::Account;
use ledger::dead_letter::DeadLetterStatus;
use ledger::event::{AccountChange, CustomerChange, Entry, Event, HoldChange, Outcome};
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, Sequence, ShardId, TokenId, TransferId};
use ledger::saga::{SagaStep, StepKind};
use ledger::token::Role;
use ledger::transfer::Transferred;
use ledger::working_set::Reversal;
use store::query::ids_of_step;
use store::{codec, transfers_of};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

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

/// Columns as the parameters of a statement.
pub(crate) type Parameters<'a> = Vec<&'a (dyn ToSql + Sync)>;

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

/// The rows of the state that a block changes, by id.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Accounts, with the first entry that touched them.
    pub(crate) accounts: Vec<(AccountId, Sequence)>,
    /// Accounts of which more than money changed.
    pub(crate) terms: Vec<AccountId>,
    pub(crate) holds: Vec<HoldId>,
    pub(crate) customers: Vec<(CustomerId, Sequence)>,
    pub(crate) dead_letters: Vec<DeadLetterId>,
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) sagas: Vec<TransferId>,
    /// Shards from which or to which a message went.
    pub(crate) shards: Vec<ShardId>,
}

impl Touched {
    /// Adds what an entry touches.
    pub(crate) fn add(&mut self, entry: &Entry) {
        let sequence = entry.header.sequence;
        for transferred in transfers_of(&entry.outcome) {
            self.accounts.extend(transferred.postings.iter().map(|posting| (posting.account, sequence)));
        }
        let Outcome::Event(event) = &entry.outcome else { return };
        match event {
            Event::Transferred(_) | Event::BatchTransferred(_) => {}
            Event::HoldCaptured(captured) => self.add_hold(captured.hold.id, captured.hold.from, sequence),
            Event::HoldChanged(changed) if changed.change != HoldChange::Nothing => {
                self.add_hold(changed.hold.id, changed.hold.from, sequence);
            }
            Event::AccountChanged(changed) if changed.change != AccountChange::Nothing => {
                self.accounts.push((changed.account.id, sequence));
                self.terms.push(changed.account.id);
            }
            Event::CustomerChanged(changed) if changed.change != CustomerChange::Nothing => {
                self.customers.push((changed.customer.id, sequence));
            }
            Event::DeadLetterChanged(changed) => self.dead_letters.push(changed.dead_letter.id),
            Event::TokenChanged(token) => self.tokens.push(token.id),
            Event::Saga(step) => self.add_step(step, sequence),
            Event::HoldChanged(_) | Event::AccountChanged(_) | Event::CustomerChanged(_) => {}
        }
    }

    fn add_step(&mut self, step: &SagaStep, sequence: Sequence) {
        self.sagas.push(step.saga);
        self.shards.extend(step.received.iter().map(|(from, _)| *from));
        self.shards.extend(step.sent.iter().map(|(to, _)| *to));
        self.dead_letters.extend(step.dead_letter.iter().map(|changed| changed.dead_letter.id));
        if let Some(hold) = &step.hold {
            self.add_hold(hold.id, hold.from, sequence);
        }
    }

    fn add_hold(&mut self, hold: HoldId, account: AccountId, sequence: Sequence) {
        self.holds.push(hold);
        self.accounts.push((account, sequence));
    }

    fn sort(&mut self) {
        self.accounts.sort_unstable();
        self.accounts.dedup_by_key(|(id, _)| *id);
        self.customers.sort_unstable();
        self.customers.dedup_by_key(|(id, _)| *id);
        self.terms.sort_unstable();
        self.terms.dedup();
        self.holds.sort_unstable();
        self.holds.dedup();
        self.dead_letters.sort_unstable();
        self.dead_letters.dedup();
        self.tokens.sort_unstable();
        self.tokens.dedup();
        self.sagas.sort_unstable();
        self.sagas.dedup();
        self.shards.sort_unstable();
        self.shards.dedup();
    }
}

/// Rows kept in the codec's encoding, with the columns that people and indexes want beside it.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    customer_id: Vec<i64>,
    registered_by: Vec<i64>,
    customer_created: Vec<i64>,
    customer_revision: Vec<i64>,
    customer: Vec<Vec<u8>>,

    letter_id: Vec<i64>,
    received_at: Vec<i64>,
    attempts: Vec<i32>,
    letter_status: Vec<i16>,
    code: Vec<String>,
    detail: Vec<String>,
    letter: Vec<Vec<u8>>,

    token_id: Vec<i64>,
    token_name: Vec<String>,
    role: Vec<i16>,
    revoked: Vec<bool>,
    token: Vec<Vec<u8>>,
}

/// The number of a dead letter's status.
pub(crate) fn letter_status_number(status: DeadLetterStatus) -> i16 {
    match status {
        DeadLetterStatus::Waiting => 0,
        DeadLetterStatus::Redriven => 1,
        DeadLetterStatus::Discarded => 2,
    }
}

fn role_number(role: Role) -> i16 {
    Role::ALL.iter().position(|known| *known == role).and_then(|place| i16::try_from(place).ok()).unwrap_or(i16::MAX)
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    bytes
}

impl Encoded {
    /// The rows of what was touched.
    pub(crate) fn of(touched: &Touched, cache: &Cache) -> Encoded {
        let mut rows = Encoded::default();
        let set = &cache.set;
        for (id, sequence) in &touched.customers {
            let Some(customer) = set.customer(*id) else { continue };
            rows.customer_id.push(big(id.number()));
            rows.registered_by.push(big(*sequence));
            rows.customer_created.push(big(customer.created_at.microseconds()));
            rows.customer_revision.push(big(customer.revision));
            rows.customer.push(encoded(|out| codec::encode_customer(customer, out)));
        }
        for letter in touched.dead_letters.iter().filter_map(|id| set.dead_letters.get(id.number())) {
            rows.letter_id.push(big(letter.id.number()));
            rows.received_at.push(big(letter.received_at.microseconds()));
            rows.attempts.push(i32::try_from(letter.attempts).unwrap_or(i32::MAX));
            rows.letter_status.push(letter_status_number(letter.status));
            rows.code.push(shown(&letter.code));
            rows.detail.push(shown(&letter.detail));
            rows.letter.push(encoded(|out| codec::encode_dead_letter(letter, out)));
        }
        for token in touched.tokens.iter().filter_map(|id| set.tokens.get(id.number())) {
            rows.token_id.push(big(token.id.number()));
            rows.token_name.push(shown(&token.name));
            rows.role.push(role_number(token.role));
            rows.revoked.push(token.revoked);
            rows.token.push(encoded(|out| codec::encode_token(token, out)));
        }
        rows
    }
}

/// A block ready to be written.
#[derive(Debug)]
pub(crate) struct Changes {
    commit_id: Digest,
    sequence_before: i64,
    first_sequence: i64,
    last_sequence: i64,
    time: i64,
    last_id: i64,
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
    chunks: Chunks,
    facts: Facts,
    money: Money,
    money_count: i64,
    /// Accounts of which more than money changed: their ids, and all they have.
    terms_id: Vec<i64>,
    terms: Terms,
    new_money: Money,
    new_terms: Terms,
    holds: Holds,
    reversals: Reversals,
    encoded: Encoded,
    open: Open,
    /// The revisions that accounts have once this is committed.
    revisions: Vec<(u64, u64)>,
}

impl Changes {
    /// What has to be written for these entries, which were decided on the cache's rows after this head.
    pub(crate) fn of(decided: &Decided, head: &Head, cache: &Cache, commit_id: u128) -> Changes {
        let entries = &decided.entries;
        let (mut facts, mut touched) = (Facts::default(), Touched::default());
        for entry in entries {
            facts.add(entry);
            touched.add(entry);
        }
        touched.accounts.extend(decided.of_sagas.iter().map(|id| (*id, head.sequence + 1)));
        touched.sort();
        let chunks = Chunks::of(entries, head.last_id);
        let mut changes = Changes {
            commit_id: Digest(commit_id),
            sequence_before: big(head.sequence),
            first_sequence: big(head.sequence + 1),
            last_sequence: big(cache.set.sequence),
            time: big(cache.set.time.microseconds()),
            last_id: big(cache.set.ids.last()),
            previous_hash: head.block_hash.to_vec(),
            hash: chunks.hash(&head.block_hash).to_vec(),
            chunks,
            facts,
            money: Money::default(),
            money_count: 0,
            terms_id: Vec::new(),
            terms: Terms::default(),
            new_money: Money::default(),
            new_terms: Terms::default(),
            holds: Holds::default(),
            reversals: Reversals::of(cache.set.reversals.iter().skip(decided.reversals_before)),
            open: Open::of(&touched, cache),
            encoded: Encoded::of(&touched, cache),
            revisions: Vec::with_capacity(touched.accounts.len()),
        };
        changes.add_accounts(&touched, cache);
        touched.holds.iter().filter_map(|id| cache.set.hold(*id)).for_each(|hold| changes.holds.push(hold));
        changes
    }

    fn add_accounts(&mut self, touched: &Touched, cache: &Cache) {
        for (id, sequence) in &touched.accounts {
            let Some(account) = cache.set.account(*id) else { continue };
            self.revisions.push((id.number(), account.revision));
            match cache.stored_revision(*id) {
                Some(before) => self.change_account(account, before, touched),
                None => {
                    self.new_money.push(account, 0);
                    self.new_terms.push(account, *sequence);
                }
            }
        }
        self.money_count = i64::try_from(self.money.id.len()).unwrap_or(i64::MAX);
    }

    fn change_account(&mut self, account: &Account, before: u64, touched: &Touched) {
        self.money.push(account, before);
        if touched.terms.binary_search(&account.id).is_ok() {
            self.terms_id.push(big(account.id.number()));
            self.terms.push(account, 0);
        }
    }

    /// Sends everything, the commit included, in one round trip.
    /// Returns how many dead letters wait now, where this changed one.
    pub(crate) async fn commit(&self, session: &Session) -> Result<Option<u64>, Error> {
        let statements = &session.statements;
        let mut pipeline = session.pipeline();
        let (chunks, facts) = (&self.chunks, &self.facts);
        pipeline.ask(
            &statements.insert_block,
            vec![&self.first_sequence, &self.last_sequence, &self.previous_hash, &self.hash, &self.commit_id],
        );
        pipeline.ask(
            &statements.insert_chunks,
            vec![&chunks.first_sequence, &chunks.entries, &chunks.first_time, &chunks.ids_before, &chunks.payload],
        );
        if !facts.key_digest.is_empty() {
            pipeline.ask(&statements.insert_keys, facts.keys());
        }
        if !facts.id.is_empty() {
            pipeline.ask(&statements.insert_transfers, facts.transfers());
        }
        if !facts.posting_account.is_empty() {
            pipeline.ask(&statements.insert_postings, facts.postings());
        }
        if !facts.metadata_key.is_empty() {
            pipeline.ask(&statements.insert_metadata, facts.metadata());
        }
        if !facts.step_transfer.is_empty() {
            pipeline.ask(&statements.insert_steps, facts.steps());
        }
        if !self.reversals.transfer.is_empty() {
            pipeline.ask(&statements.insert_reversals, self.reversals.parameters());
        }
        self.ask_state(session, &mut pipeline);
        pipeline.ask(
            &statements.advance_head,
            vec![&self.last_sequence, &self.time, &self.last_id, &self.hash, &self.commit_id, &self.sequence_before],
        );
        let waiting = (!self.encoded.letter_id.is_empty()).then(|| pipeline.ask(&statements.waiting_letters, vec![]));
        pipeline.say("commit");
        let answers = pipeline.run().await?;
        let count = waiting.and_then(|place| answers[place].first()).map(|row| row.try_get(0)).transpose()?;
        Ok(count.map(unbig))
    }

    /// The statements that bring the state to what the block says.
    fn ask_state<'a>(&'a self, session: &'a Session, pipeline: &mut Pipeline<'a>) {
        let statements = &session.statements;
        if !self.money.id.is_empty() {
            let mut parameters = money_parameters(&self.money);
            parameters.insert(1, &self.money.before);
            parameters.push(&self.money_count);
            pipeline.ask(&statements.update_money, parameters);
        }
        if !self.terms_id.is_empty() {
            let terms = &self.terms;
            pipeline.ask(
                &statements.update_terms,
                vec![
                    &self.terms_id,
                    &terms.overdraft_limit,
                    &terms.per_transfer_limit,
                    &terms.daily_debit_limit,
                    &terms.monthly_debit_limit,
                    &terms.status,
                    &terms.note,
                ],
            );
        }
        if !self.new_money.id.is_empty() {
            let mut parameters = money_parameters(&self.new_money);
            parameters.extend(terms_parameters(&self.new_terms));
            pipeline.ask(&statements.insert_accounts, parameters);
        }
        if !self.holds.id.is_empty() {
            pipeline.ask(&statements.put_holds, hold_parameters(&self.holds));
        }
        self.ask_encoded(session, pipeline);
        self.open.ask(session, pipeline);
    }

    fn ask_encoded<'a>(&'a self, session: &'a Session, pipeline: &mut Pipeline<'a>) {
        let (statements, rows) = (&session.statements, &self.encoded);
        let [customers, dead_letters, tokens] = encoded_parameters(rows);
        if !rows.customer_id.is_empty() {
            pipeline.ask(&statements.put_customers, customers);
        }
        if !rows.letter_id.is_empty() {
            pipeline.ask(&statements.put_dead_letters, dead_letters);
        }
        if !rows.token_id.is_empty() {
            pipeline.ask(&statements.put_tokens, tokens);
        }
    }

    /// Notes in the cache which revisions the database has now.
    pub(crate) fn note_in(&self, cache: &mut Cache) {
        cache.stored.extend(self.revisions.iter().copied());
    }

    /// How many keys it wrote.
    pub(crate) fn keys(&self) -> usize {
        self.facts.key_digest.len()
    }
}

pub(crate) fn money_parameters(money: &Money) -> Parameters<'_> {
    vec![
        &money.id,
        &money.version,
        &money.revision,
        &money.next_expiry,
        &money.holds_active,
        &money.sagas_open,
        &money.debit_day,
        &money.balance,
        &money.held,
        &money.debits_of_day,
        &money.debits_of_month,
    ]
}

pub(crate) fn terms_parameters(terms: &Terms) -> Parameters<'_> {
    vec![
        &terms.customer,
        &terms.overdraft_limit,
        &terms.opening_overdraft_limit,
        &terms.per_transfer_limit,
        &terms.daily_debit_limit,
        &terms.monthly_debit_limit,
        &terms.opened_by,
        &terms.opened,
        &terms.kind,
        &terms.status,
        &terms.currency,
        &terms.note,
    ]
}

pub(crate) fn hold_parameters(holds: &Holds) -> Parameters<'_> {
    vec![
        &holds.id,
        &holds.account,
        &holds.to_account,
        &holds.amount,
        &holds.captured,
        &holds.created_at,
        &holds.expires_at,
        &holds.day,
        &holds.currency,
        &holds.status,
    ]
}

/// Columns of customers, dead letters and tokens.
pub(crate) fn encoded_parameters(rows: &Encoded) -> [Parameters<'_>; 3] {
    [
        vec![&rows.customer_id, &rows.registered_by, &rows.customer_created, &rows.customer_revision, &rows.customer],
        vec![
            &rows.letter_id,
            &rows.received_at,
            &rows.attempts,
            &rows.letter_status,
            &rows.code,
            &rows.detail,
            &rows.letter,
        ],
        vec![&rows.token_id, &rows.token_name, &rows.role, &rows.revoked, &rows.token],
    ]
}
