//! Loads the rows on which a batch is decided: what its commands name, and what those rows name in turn.
//!
//! Rows stay in the [`Cache`] from batch to batch. They are good for as long as nobody else commits, which the head row
//! tells: it names the last commit. What nobody knows yet is asked for in the same round trip as the head's lock, and
//! what those rows name (holds of accounts, accounts of transfers to be reversed) in one more.

use crate::decide::Job;
use crate::error::{corrupt, unavailable};
use crate::row::{self, get};
use crate::session::{Pipeline, Session};
use crate::value::{Digest, big, unbig};
use ledger::command::{Command, accounts_on, footprint};
use ledger::ids::{AccountId, IdGenerator, IdHash, Sequence, ShardId, TransferId};
use ledger::key_table::KeyRow;
use ledger::saga::{Order, Position};
use ledger::time::Timestamp;
use ledger::transfer::TransferRow;
use ledger::working_set::{Reversal, SlotSet, WorkingSet};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use store::Fault;
use store::codec::{self, Reader};
use tokio_postgres::Row;

/// Which shard a cache is of.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) shard: ShardId,
    pub(crate) slots: SlotSet,
    pub(crate) seed: u64,
}

/// Where the journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) sequence: Sequence,
    pub(crate) time: Timestamp,
    pub(crate) last_id: u64,
    pub(crate) block_hash: [u8; 32],
    pub(crate) commit_id: u128,
    pub(crate) epoch: u64,
}

impl Head {
    pub(crate) fn read(row: &Row) -> Result<Head, String> {
        let (sequence, last_id, epoch): (i64, i64, i64) =
            (get(row, "sequence")?, get(row, "last_id")?, get(row, "epoch")?);
        let hash: &[u8] = get(row, "block_hash")?;
        let Digest(commit_id) = get(row, "commit_id")?;
        Ok(Head {
            sequence: unbig(sequence),
            time: row::time(row, "time")?,
            last_id: unbig(last_id),
            block_hash: row::meant("block_hash", hash.try_into().ok())?,
            commit_id,
            epoch: unbig(epoch),
        })
    }
}

/// Rows that were loaded or decided by this node.
pub(crate) struct Cache {
    identity: Identity,
    pub(crate) set: WorkingSet,
    /// The revisions that accounts have in the database. An account that is not here has no row yet.
    pub(crate) stored: HashMap<u64, u64, IdHash>,
    /// Where the journal ended when these rows were what the database had; none when they never were.
    head: Option<Head>,
    has_standard_accounts: bool,
    /// Keys that were used before, among those asked for last.
    keys_met: usize,
    /// Keys of the generation that is being filled.
    keys_kept: usize,
}

/// Keys in a generation. Two are kept, so that most of what is sent again is known without asking.
const KEYS_KEPT: usize = 65_536;

impl Cache {
    pub(crate) fn new(identity: Identity) -> Cache {
        let set = WorkingSet::new(identity.shard, identity.slots.clone(), identity.seed);
        let stored = HashMap::with_hasher(IdHash::new(identity.seed));
        Cache { identity, set, stored, head: None, has_standard_accounts: false, keys_met: 0, keys_kept: 0 }
    }

    /// Forgets all rows.
    pub(crate) fn clear(&mut self) {
        *self = Cache::new(self.identity.clone());
    }

    /// Whether the rows are what the database has when this is its last commit.
    pub(crate) fn is_good(&self, head: &Head) -> bool {
        self.head.is_some_and(|known| known.commit_id == head.commit_id)
    }

    /// Where the journal ends, if nobody else has committed since.
    pub(crate) fn head(&self) -> Option<Head> {
        self.head
    }

    /// Whether a key that was asked for last had been used before.
    pub(crate) fn has_met_keys(&self) -> bool {
        self.keys_met != 0
    }

    /// Begins anew at this head.
    pub(crate) fn begin(&mut self, head: &Head) {
        self.clear();
        self.set.sequence = head.sequence;
        self.set.time = head.time;
        self.set.ids = IdGenerator::new(self.identity.shard, head.last_id);
        self.head = Some(*head);
    }

    /// Takes the rows as they are now for what the database has after a commit that made this the head. Transfers and old
    /// keys go: what is asked next looks its own up.
    pub(crate) fn committed(&mut self, head: Head, keys: usize) {
        self.head = Some(head);
        self.set.keys.forget_loaded();
        self.keys_kept += keys;
        if KEYS_KEPT <= self.keys_kept {
            self.set.keys.start_generation(KEYS_KEPT);
            self.set.keys.retire_generation();
            self.keys_kept = 0;
        }
        self.set.transfers.clear();
    }

    /// How many rows are kept.
    pub(crate) fn rows(&self) -> usize {
        self.set.accounts.len() + self.set.holds.len() + self.set.customers.len()
    }
}

/// Ids that the shard may give out in a batch: commands that choose one of a slot of the shard must know which are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The first, unless the head's last id is beyond it.
    pub(crate) from: u64,
    /// How many numbers it covers.
    pub(crate) width: u64,
}

/// Rows that are wanted and not known.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    keys: Vec<Digest>,
    accounts: Vec<i64>,
    customers: Vec<i64>,
    holds: Vec<i64>,
    transfers: Vec<i64>,
    sagas: Vec<i64>,
    dead_letters: Vec<i64>,
    tokens: Vec<i64>,
    standard_accounts: bool,
    system_accounts: bool,
    /// Accounts of which all holds are wanted, also those that ended.
    leaving: Vec<i64>,
    window: Option<(i64, i64)>,
}

fn sort<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
}

/// The transfer that a command reverses.
pub(crate) fn reversed(command: &Command) -> Option<TransferId> {
    match command {
        Command::Reverse(reverse) => Some(reverse.transfer),
        Command::Between(between) => reversed(&between.command),
        _ => None,
    }
}

/// How many commands let the shard choose an id of one of its slots.
pub(crate) fn chosen_ids(jobs: &[Job]) -> u64 {
    fn chooses(command: &Command) -> bool {
        match command {
            Command::RegisterCustomer(register) => register.id.is_none(),
            Command::OpenAccount(open) => open.id.is_none(),
            Command::AtHome(at_home) => chooses(&at_home.command),
            Command::Ingest(ingest) => chooses(&ingest.command),
            _ => false,
        }
    }
    let requests = jobs.iter().flat_map(|job| &job.submission.requests);
    requests.filter(|request| chooses(&request.command)).count() as u64
}

fn opens_system_account(command: &Command) -> bool {
    match command {
        Command::OpenSystemAccount(_) => true,
        Command::AtHome(at_home) => opens_system_account(&at_home.command),
        Command::Ingest(ingest) => opens_system_account(&ingest.command),
        _ => false,
    }
}

impl Wanted {
    /// What these jobs touch and the cache does not have; with `all`, also what it has. The transfers are those that the
    /// jobs reverse.
    pub(crate) fn of(
        jobs: &[Job],
        transfers: &[TransferRow],
        cache: &Cache,
        all: bool,
        window: Option<Window>,
    ) -> Wanted {
        let mut wanted = Wanted { standard_accounts: all || !cache.has_standard_accounts, ..Wanted::default() };
        wanted.window = window.map(|window| (big(window.from), big(window.width)));
        for request in jobs.iter().flat_map(|job| &job.submission.requests) {
            wanted.keys.extend(request.key.map(|key| Digest(key.digest)));
            wanted.system_accounts |= opens_system_account(&request.command);
            match &request.command {
                // The usual case, without lists of its own.
                Command::Transfer(transfer) => {
                    wanted.add_accounts(cache, all, transfer.legs.iter().flat_map(|leg| [leg.from, leg.to]));
                }
                command => wanted.add_footprint(cache, all, command),
            }
        }
        for row in transfers {
            wanted.add_transfer(cache, all, row);
        }
        wanted.keys.sort_unstable_by_key(|digest| digest.0);
        wanted.keys.dedup();
        let lists =
            [&mut wanted.accounts, &mut wanted.customers, &mut wanted.holds, &mut wanted.transfers, &mut wanted.sagas];
        lists.into_iter().for_each(sort);
        wanted
    }

    /// Whether nothing is wanted but what becomes of keys.
    pub(crate) fn has_only_keys(&self) -> bool {
        let lists = [&self.accounts, &self.customers, &self.holds, &self.transfers, &self.sagas];
        let others = [&self.dead_letters, &self.tokens, &self.leaving];
        let has_none = lists.into_iter().chain(others).all(Vec::is_empty);
        has_none && !self.standard_accounts && !self.system_accounts && self.window.is_none()
    }

    fn add_accounts(&mut self, cache: &Cache, all: bool, named: impl Iterator<Item = AccountId>) {
        self.accounts.extend(named.filter(|id| all || cache.set.account(*id).is_none()).map(|id| big(id.number())));
    }

    fn add_footprint(&mut self, cache: &Cache, all: bool, command: &Command) {
        let (set, named) = (&cache.set, footprint(command));
        self.add_accounts(cache, all, named.accounts.iter().copied());
        let customers = named.customers.iter().filter(|id| all || set.customer(**id).is_none());
        self.customers.extend(customers.map(|id| big(id.number())));
        let holds = named.holds.iter().filter(|id| all || set.hold(**id).is_none());
        self.holds.extend(holds.map(|id| big(id.number())));
        // Whoever gets a hold's money: the hold may be known from its account's row, and that account not.
        self.add_accounts(cache, all, named.holds.iter().filter_map(|id| set.hold(*id)?.to));
        self.transfers.extend(named.transfers.iter().map(|id| big(id.number())));
        if let Command::MoveAccount(moving) = command {
            self.leaving.push(big(moving.account.number()));
        }
        let is_unknown = |id: TransferId| set.sagas.saga(id).is_none() && set.sagas.part(id).is_none();
        let sagas = named.sagas.iter().filter(|id| all || is_unknown(**id));
        self.sagas.extend(sagas.map(|id| big(id.number())));
        let dead_letters = named.dead_letters.iter().filter(|id| all || set.dead_letters.get(id.number()).is_none());
        self.dead_letters.extend(dead_letters.map(|id| big(id.number())));
        let tokens = named.tokens.iter().filter(|id| all || set.tokens.get(id.number()).is_none());
        self.tokens.extend(tokens.map(|id| big(id.number())));
    }

    /// What a transfer to be reversed names: its accounts, and the hold it captured.
    fn add_transfer(&mut self, cache: &Cache, all: bool, row: &TransferRow) {
        let legs = row.ordered.iter().flat_map(|legs| legs.iter());
        let of_legs = legs.flat_map(|leg| [leg.from, leg.to]);
        let of_postings = row.transferred.postings.iter().map(|posting| posting.account);
        self.add_accounts(cache, all, of_postings.chain(of_legs));
        let hold = row.transferred.hold.filter(|hold| all || cache.set.hold(*hold).is_none());
        self.holds.extend(hold.map(|hold| big(hold.number())));
    }

    /// Adds the statements that load it.
    pub(crate) fn ask<'a>(&'a self, session: &'a Session, pipeline: &mut Pipeline<'a>) -> Asked {
        let statements = &session.statements;
        let mut asked = Vec::new();
        let mut add = |pipeline: &mut Pipeline<'a>, kind, statement, list: &'a Vec<i64>| {
            if !list.is_empty() {
                asked.push((kind, pipeline.ask(statement, vec![list])));
            }
        };
        add(pipeline, Kind::Accounts, &statements.accounts, &self.accounts);
        add(pipeline, Kind::Accounts, &statements.accounts_of_holds, &self.holds);
        add(pipeline, Kind::Holds, &statements.holds, &self.holds);
        add(pipeline, Kind::Holds, &statements.holds_of, &self.leaving);
        add(pipeline, Kind::Customers, &statements.customers, &self.customers);
        add(pipeline, Kind::DeadLetters, &statements.dead_letters, &self.dead_letters);
        add(pipeline, Kind::Tokens, &statements.tokens, &self.tokens);
        add(pipeline, Kind::Reversals, &statements.reversals, &self.transfers);
        add(pipeline, Kind::Sagas, &statements.sagas_reversing, &self.transfers);
        add(pipeline, Kind::Sagas, &statements.sagas, &self.sagas);
        add(pipeline, Kind::Parts, &statements.parts, &self.sagas);
        if !self.keys.is_empty() {
            asked.push((Kind::Keys, pipeline.ask(&statements.keys, vec![&self.keys])));
        }
        if self.standard_accounts {
            asked.push((Kind::Accounts, pipeline.ask(&statements.standard_accounts, vec![])));
            asked.push((Kind::Positions, pipeline.ask(&statements.positions, vec![])));
            asked.push((Kind::Slots, pipeline.ask(&statements.slots, vec![])));
        }
        if self.system_accounts {
            asked.push((Kind::Accounts, pipeline.ask(&statements.system_accounts, vec![])));
        }
        if let Some((from, width)) = &self.window {
            asked.push((Kind::Accounts, pipeline.ask(&statements.accounts_ahead, vec![from, width])));
            asked.push((Kind::Customers, pipeline.ask(&statements.customers_ahead, vec![from, width])));
        }
        Asked(asked)
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Accounts,
    Holds,
    Customers,
    DeadLetters,
    Tokens,
    Reversals,
    Sagas,
    Parts,
    Positions,
    Slots,
    Keys,
}

/// Which answers of a pipeline have which rows.
#[derive(Debug)]
pub(crate) struct Asked(Vec<(Kind, usize)>);

/// What loaded rows name in turn.
#[derive(Debug, Default)]
struct Named {
    /// Accounts that are not known.
    accounts: Vec<i64>,
    /// Accounts whose active holds are not known.
    held_accounts: Vec<i64>,
    /// Holds that are not known.
    holds: Vec<i64>,
}

impl Cache {
    /// Takes in what was loaded, and loads what that names. Rows that are known already stay as they are.
    pub(crate) async fn take_in(
        &mut self,
        session: &Session,
        transfers: &[TransferRow],
        asked: &Asked,
        answers: &[Vec<Row>],
    ) -> Result<(), Fault> {
        let mut named = Named::default();
        self.set.transfers.extend(transfers.iter().map(|row| (row.transferred.id, row.clone())));
        for (kind, place) in &asked.0 {
            let rows = answers.get(*place).map_or(&[][..], Vec::as_slice);
            self.take_in_rows(*kind, rows, &mut named)?;
        }
        let of_keys = asked.0.iter().filter(|(kind, _)| matches!(kind, Kind::Keys));
        self.keys_met = of_keys.map(|(_, place)| answers.get(*place).map_or(0, Vec::len)).sum();
        self.has_standard_accounts = true;
        self.load_named(session, named).await
    }

    fn take_in_rows(&mut self, kind: Kind, rows: &[Row], named: &mut Named) -> Result<(), Fault> {
        match kind {
            Kind::Accounts => rows.iter().try_for_each(|row| self.add_account(row, named)),
            Kind::Holds => rows.iter().try_for_each(|row| self.add_hold(row)),
            Kind::Keys => rows.iter().try_for_each(|row| self.add_key(row).map_err(corrupt)),
            Kind::Reversals => rows.iter().try_for_each(|row| self.add_reversal(row).map_err(corrupt)),
            Kind::Positions => rows.iter().try_for_each(|row| self.add_position(row).map_err(corrupt)),
            Kind::Slots if self.has_standard_accounts => Ok(()),
            Kind::Slots => rows.iter().try_for_each(|row| self.add_slots(row)),
            Kind::Sagas | Kind::Parts => rows.iter().try_for_each(|row| self.add_saga(kind, row, named)),
            Kind::Customers | Kind::DeadLetters | Kind::Tokens => {
                rows.iter().try_for_each(|row| self.add_encoded(kind, row))
            }
        }
    }

    fn add_account(&mut self, row: &Row, named: &mut Named) -> Result<(), Fault> {
        let account = row::account(row).map_err(|what| corrupt(format!("an account: {what}")))?;
        if let Entry::Vacant(place) = self.stored.entry(account.id.number()) {
            place.insert(account.revision);
            if account.holds_active != 0 {
                named.held_accounts.push(big(account.id.number()));
            }
            self.set.restore_account(account);
        }
        Ok(())
    }

    fn add_hold(&mut self, row: &Row) -> Result<(), Fault> {
        let hold = row::hold(row).map_err(|what| corrupt(format!("a hold: {what}")))?;
        if self.set.hold(hold.id).is_none() {
            self.set.restore_hold(hold);
        }
        Ok(())
    }

    fn add_key(&mut self, row: &Row) -> Result<(), String> {
        let (Digest(digest), Digest(fingerprint)) = (get(row, "digest")?, get(row, "fingerprint")?);
        let sequence: i64 = get(row, "sequence")?;
        self.set.keys.load(digest, KeyRow { fingerprint, sequence: unbig(sequence) });
        Ok(())
    }

    fn add_reversal(&mut self, row: &Row) -> Result<(), String> {
        let id = |column| row::meant(column, TransferId::new(unbig(get(row, column)?)));
        self.set.reversals.put(Reversal { transfer: id("transfer")?, by: id("reversed_by")? });
        Ok(())
    }

    fn add_encoded(&mut self, kind: Kind, row: &Row) -> Result<(), Fault> {
        let bytes: &[u8] = get(row, "encoded").map_err(corrupt)?;
        let mut reader = Reader::new(bytes);
        let damaged = |error| corrupt(format!("an encoded row: {error}"));
        match kind {
            Kind::Customers => {
                let customer = codec::decode_customer(&mut reader).map_err(damaged)?;
                if self.set.customer(customer.id).is_none() {
                    self.set.customers.put(customer);
                }
            }
            Kind::DeadLetters => {
                let dead_letter = codec::decode_dead_letter(&mut reader).map_err(damaged)?;
                if self.set.dead_letters.get(dead_letter.id.number()).is_none() {
                    self.set.dead_letters.put(dead_letter);
                }
            }
            _ => {
                let token = codec::decode_token(&mut reader).map_err(damaged)?;
                if self.set.tokens.get(token.id.number()).is_none() {
                    self.set.tokens.put(token);
                }
            }
        }
        Ok(())
    }

    fn add_slots(&mut self, row: &Row) -> Result<(), Fault> {
        let bytes: &[u8] = get(row, "encoded").map_err(corrupt)?;
        let slots = codec::decode_slots(&mut Reader::new(bytes), self.identity.slots.clone());
        self.set.slots = slots.map_err(|error| corrupt(format!("the slots: {error}")))?;
        Ok(())
    }

    fn add_position(&mut self, row: &Row) -> Result<(), String> {
        let shard = u16::try_from(get::<i16>(row, "shard")?).ok().and_then(ShardId::new);
        let shard = row::meant("shard", shard)?;
        let (number, sequence) = (unbig(get(row, "received")?), unbig(get(row, "received_entry")?));
        let sent = unbig(get(row, "sent")?);
        let sagas = &mut self.set.sagas;
        if number != 0 {
            sagas.received.entry(shard).or_insert(Position { number, sequence });
        }
        if sent != 0 {
            sagas.sent.entry(shard).or_insert(sent);
        }
        Ok(())
    }

    /// An open saga or a part of one, with what its order names.
    fn add_saga(&mut self, kind: Kind, row: &Row, named: &mut Named) -> Result<(), Fault> {
        let bytes: &[u8] = get(row, "encoded").map_err(corrupt)?;
        let damaged = |error| corrupt(format!("an open saga: {error}"));
        let mut reader = Reader::new(bytes);
        if matches!(kind, Kind::Sagas) {
            let saga = codec::decode_saga(&mut reader).map_err(damaged)?;
            if self.set.sagas.saga(saga.order.id()).is_none() {
                self.name_accounts(&saga.order, named);
                self.set.sagas.put_saga(saga);
            }
        } else {
            let part = codec::decode_part(&mut reader).map_err(damaged)?;
            if self.set.sagas.part(part.order.id()).is_none() {
                self.name_accounts(&part.order, named);
                self.set.sagas.put_part(part);
            }
        }
        Ok(())
    }

    fn name_accounts(&self, order: &Order, named: &mut Named) {
        let here = accounts_on(order, self.identity.shard).map(AccountId::number);
        named.accounts.extend(here.filter(|id| !self.stored.contains_key(id)).map(big));
        let hold = order.hold.filter(|hold| self.set.hold(*hold).is_none());
        named.holds.extend(hold.map(|hold| big(hold.number())));
    }

    async fn load_named(&mut self, session: &Session, mut named: Named) -> Result<(), Fault> {
        sort(&mut named.accounts);
        named.held_accounts.extend(&named.accounts);
        if named.held_accounts.is_empty() && named.holds.is_empty() {
            return Ok(());
        }
        let statements = &session.statements;
        let mut pipeline = session.pipeline();
        pipeline.ask(&statements.accounts, vec![&named.accounts]);
        pipeline.ask(&statements.active_holds, vec![&named.held_accounts]);
        pipeline.ask(&statements.holds, vec![&named.holds]);
        let answers = pipeline.run().await.map_err(|error| unavailable(&error))?;
        // The active holds of all these accounts were asked for, so what their rows name is known.
        self.take_in_rows(Kind::Accounts, &answers[0], &mut Named::default())?;
        self.take_in_rows(Kind::Holds, &answers[1], &mut Named::default())?;
        self.take_in_rows(Kind::Holds, &answers[2], &mut Named::default())
    }

    /// Whether this account's row is in the database.
    pub(crate) fn stored_revision(&self, id: AccountId) -> Option<u64> {
        self.stored.get(&id.number()).copied()
    }
}
