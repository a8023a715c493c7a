//! Writes a decided batch: one block, what follows from it, and the head, all sent together with the commit.

use crate::decide::Decided;
use crate::facts::{Facts, Reversals};
use crate::journal::Chunks;
use crate::load::{Cache, Head};
use crate::open::Open;
use crate::row::{Holds, Money, Terms};
use crate::session::{Pipeline, Session};
use crate::value::{BlockHash, Digest, big, shown, unbig};
use ledger::account::Account;
use ledger::dead_letter::DeadLetterStatus;
use ledger::event::{AccountChange, CustomerChange, Entry, Event, HoldChange, Outcome};
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, Sequence, ShardId, TokenId, TransferId};
use ledger::saga::{SagaStep, StepKind};
use ledger::token::Role;
use store::{codec, transfers_of};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

/// Columns as the parameters of a statement.
pub(crate) type Parameters<'a> = Vec<&'a (dyn ToSql + Sync)>;

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
    /// Accounts that came from other shards, with the entries that say so.
    pub(crate) arrived: Vec<(AccountId, Sequence)>,
    pub(crate) slots: bool,
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
            Event::SlotsChanged(_) => self.slots = true,
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
        if let Some(moved) = &step.moved {
            self.accounts.push((moved.account.id, sequence));
            self.terms.push(moved.account.id);
            self.holds.extend(moved.holds.iter().map(|hold| hold.id));
            if step.kind == StepKind::MovedIn {
                self.arrived.push((moved.account.id, sequence));
            }
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
    /// The commit that this one follows. None that was not decided on its rows can have come between.
    commit_before: Digest,
    epoch: i64,
    first_sequence: i64,
    last_sequence: i64,
    time: i64,
    last_id: i64,
    previous_hash: BlockHash,
    hash: BlockHash,
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
            commit_before: Digest(head.commit_id),
            epoch: big(head.epoch),
            first_sequence: big(head.sequence + 1),
            last_sequence: big(cache.set.sequence),
            time: big(cache.set.time.microseconds()),
            last_id: big(cache.set.ids.last()),
            previous_hash: BlockHash(head.block_hash),
            hash: BlockHash(chunks.hash(&head.block_hash)),
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
            let arrived = touched.arrived.iter().rev().find(|(id, _)| *id == account.id);
            self.terms_id.push(big(account.id.number()));
            self.terms.push(account, arrived.map_or(0, |(_, sequence)| *sequence));
        }
    }

    /// Sends everything, the commit included, in one round trip; in the transaction that has begun, or in one of its own.
    /// Returns how many dead letters wait now, where this changed one.
    pub(crate) async fn commit(&self, session: &Session, has_begun: bool) -> Result<Option<u64>, Error> {
        let (mut pipeline, mut more) = (session.pipeline(), session.pipeline());
        let waiting = self.ask_more(session, &mut more);
        // What transfers make is one statement, which is a transaction by itself.
        let is_one = !has_begun && more.is_empty();
        if !is_one && !has_begun {
            pipeline.say("begin");
        }
        pipeline.ask(&session.statements.write_block, self.block_parameters());
        let first = pipeline.append(more);
        if !is_one {
            pipeline.say("commit");
        }
        let answers = pipeline.run().await?;
        let count = waiting.and_then(|place| answers[first + place].first()).map(|row| row.try_get(0)).transpose()?;
        Ok(count.map(unbig))
    }

    /// What not every block has. Returns the place of the count of dead letters that wait, where this changes one.
    fn ask_more<'a>(&'a self, session: &'a Session, pipeline: &mut Pipeline<'a>) -> Option<usize> {
        let (statements, facts) = (&session.statements, &self.facts);
        if !facts.metadata_key.is_empty() {
            pipeline.ask(&statements.insert_metadata, facts.metadata());
        }
        if facts.steps_count() != 0 {
            pipeline.ask(&statements.insert_steps, facts.steps());
        }
        if !self.reversals.is_empty() {
            pipeline.ask(&statements.insert_reversals, self.reversals.parameters());
        }
        self.ask_state(session, pipeline);
        (!self.encoded.letter_id.is_empty()).then(|| pipeline.ask(&statements.waiting_letters, vec![]))
    }

    /// The block with its journal, keys, transfers and postings, the money of accounts, and the head.
    fn block_parameters(&self) -> Parameters<'_> {
        let (chunks, facts) = (&self.chunks, &self.facts);
        let mut parameters: Parameters<'_> =
            vec![&self.first_sequence, &self.last_sequence, &self.previous_hash, &self.hash, &self.commit_id];
        let journal: Parameters<'_> =
            vec![&chunks.first_sequence, &chunks.entries, &chunks.first_time, &chunks.ids_before, &chunks.payload];
        let mut money = money_parameters(&self.money);
        money.insert(1, &self.money.before);
        let head: Parameters<'_> = vec![&self.money_count, &self.time, &self.last_id, &self.commit_before, &self.epoch];
        for more in [journal, facts.keys(), facts.transfers(), facts.postings(), money, head] {
            parameters.extend(more);
        }
        parameters
    }

    /// The statements that bring the state to what the block says.
    fn ask_state<'a>(&'a self, session: &'a Session, pipeline: &mut Pipeline<'a>) {
        let statements = &session.statements;
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
                    &terms.moved_to,
                    &terms.opened_by,
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
        let Digest(commit_id) = self.commit_id;
        let (sequence, time, last_id) = (cache.set.sequence, cache.set.time, cache.set.ids.last());
        let head = Head { sequence, time, last_id, block_hash: self.hash.0, commit_id, epoch: unbig(self.epoch) };
        cache.committed(head, self.facts.key_digest.len());
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
        &terms.moved_to,
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
