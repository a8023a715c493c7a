//! Walks everything a shard has stored and compares it: the journal with itself, every other table with the journal, the
//! sums with zero.
//!
//! The journal is read from its first block and replayed into empty rows. What each table should hold goes to the
//! database as arrays, and the database names the first row that differs; rows that should not be there show in the
//! counts. All is read in one snapshot, so that a bank can be verified while it serves.

use crate::commit::{Encoded, Touched, encoded_parameters, hold_parameters, money_parameters, terms_parameters};
use crate::connect::{Place, Purpose};
use crate::error::{corrupt, unavailable};
use crate::facts::{Facts, Reversals};
use crate::journal::{BlockHasher, decode_chunk};
use crate::load::{Cache, Head, Identity};
use crate::open::{Open, encoded_slots};
use crate::row::{Holds, Money, Terms, get};
use crate::value::{big, unbig};
use ledger::account::Account;
use ledger::event::Entry;
use ledger::ids::{IdHash, Sequence};
use ledger::key_table::KeyTable;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use store::Fault;
use store::report::{Check, Progress, VerifyReport};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

mod text;

/// Chunks read at a time.
const CHUNKS_AT_ONCE: i64 = 256;
/// Blocks read at a time.
const BLOCKS_AT_ONCE: i64 = 1024;
/// Rows of the state compared at a time.
const ROWS_AT_ONCE: usize = 8192;

/// Verifies one shard.
#[derive(Clone, Debug)]
pub(crate) struct Verifier {
    pub(crate) place: Place,
    pub(crate) identity: Identity,
}

/// What a check came to: the first thing that is wrong.
type Found = Option<String>;

/// A walk over a shard.
struct Walk {
    client: Client,
    head: Head,
    cache: Cache,
    /// The entries that registered customers and opened accounts.
    opened_by: HashMap<u64, Sequence, IdHash>,
    registered_by: HashMap<u64, Sequence, IdHash>,
    blocks: VecDeque<Row>,
    chain: Chain,
    counts: Counts,
    chain_failure: Found,
    replay_failure: Found,
    facts_failure: Found,
}

/// Where the chain of blocks was followed to.
struct Chain {
    hash: [u8; 32],
    next: Sequence,
    hasher: BlockHasher,
    blocks: u64,
    block_end: Sequence,
}

/// How many rows each table of facts should have.
#[derive(Debug, Default)]
struct Counts {
    entries: u64,
    keys: u64,
    transfers: u64,
    postings: u64,
    steps: u64,
}

async fn query(client: &Client, text: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Fault> {
    client.query(text, parameters).await.map_err(|error| unavailable(&error))
}

/// The first difference that a comparison returned: its one column says what differs.
async fn difference(client: &Client, text: &str, parameters: Vec<&(dyn ToSql + Sync)>) -> Result<Found, Fault> {
    let rows = query(client, text, &parameters).await?;
    rows.first().map(|row| get::<String>(row, "what").map_err(corrupt)).transpose()
}

impl Verifier {
    pub(crate) async fn verify(&self, progress: &dyn Progress) -> Result<VerifyReport, Fault> {
        let connected = self.place.connect(Purpose::Verify).await;
        let client = connected.map_err(|error| Fault::Unavailable { reason: error.to_string() })?.client;
        let begin = "begin isolation level repeatable read read only; set local enable_seqscan = off";
        client.batch_execute(begin).await.map_err(|error| unavailable(&error))?;
        let rows = query(&client, "select * from florin.head", &[]).await?;
        let row = rows.first().ok_or_else(|| corrupt("the table head has no row"))?;
        let mut walk = Walk::new(client, Head::read(row).map_err(corrupt)?, self.identity.clone());
        walk.journal(progress).await?;
        walk.report(progress).await
    }
}

impl Walk {
    fn new(client: Client, head: Head, identity: Identity) -> Walk {
        let hash = IdHash::new(identity.seed);
        let mut cache = Cache::new(identity.clone());
        cache.set.keys = KeyTable::forgetful(identity.seed);
        let start = [0; 32];
        let hasher = BlockHasher::new(&start);
        Walk {
            client,
            head,
            cache,
            opened_by: HashMap::with_hasher(hash),
            registered_by: HashMap::with_hasher(hash),
            blocks: VecDeque::new(),
            chain: Chain { hash: start, next: 1, hasher, blocks: 0, block_end: 0 },
            counts: Counts::default(),
            chain_failure: None,
            replay_failure: None,
            facts_failure: None,
        }
    }

    /// Reads the journal from its first chunk to its last.
    async fn journal(&mut self, progress: &dyn Progress) -> Result<(), Fault> {
        let text = "select first_sequence, entries, first_time, ids_before, payload from florin.chunks \
            where first_sequence >= $1 order by first_sequence limit $2";
        let mut from = 0i64;
        loop {
            let rows = query(&self.client, text, &[&from, &CHUNKS_AT_ONCE]).await?;
            let Some(last) = rows.last() else { break };
            from = get::<i64>(last, "first_sequence").map_err(corrupt)? + 1;
            let mut facts = Facts::default();
            for row in &rows {
                if self.chain_failure.is_none() {
                    self.chain_failure = self.chunk(row, &mut facts).await?;
                }
            }
            self.compare_facts(&facts).await?;
            progress.report("journal", self.counts.entries, self.head.sequence);
        }
        if self.chain_failure.is_none() {
            let ends_well = (self.chain.next, self.chain.hash) == (self.head.sequence + 1, self.head.block_hash);
            self.chain_failure = (!ends_well).then(|| {
                format!("the journal ends with entry {}, the head says {}", self.chain.next - 1, self.head.sequence)
            });
        }
        Ok(())
    }

    /// Follows the chain over a chunk, and replays its entries.
    async fn chunk(&mut self, row: &Row, facts: &mut Facts) -> Result<Found, Fault> {
        let first = unbig(get(row, "first_sequence").map_err(corrupt)?);
        let payload: &[u8] = get(row, "payload").map_err(corrupt)?;
        if first != self.chain.next {
            return Ok(Some(format!("a chunk begins with entry {first} where entry {} should be", self.chain.next)));
        }
        let entries = match decode_chunk(first, payload) {
            Ok(entries) => entries,
            Err(fault) => return Ok(Some(fault.to_string())),
        };
        let described = (get::<i16>(row, "entries"), get::<i64>(row, "first_time"));
        let time = entries.first().map_or(0, |entry| entry.header.time.microseconds());
        if described != (Ok(i16::try_from(entries.len()).unwrap_or(0)), Ok(big(time))) {
            return Ok(Some(format!(
                "the columns of the chunk that begins with entry {first} differ from its entries"
            )));
        }
        self.chain.hasher.add(first, payload);
        self.chain.next += entries.len() as u64;
        for entry in &entries {
            facts.add(entry);
            self.replay(entry);
        }
        self.end_block().await
    }

    /// Ends a block whose chunks are all read: its hash must be what the chunks give.
    async fn end_block(&mut self) -> Result<Found, Fault> {
        if self.blocks.is_empty() {
            let text = "select first_sequence, last_sequence, previous_hash, hash from florin.blocks \
                where first_sequence > $1 order by first_sequence limit $2";
            let rows = query(&self.client, text, &[&big(self.chain.block_end), &BLOCKS_AT_ONCE]).await?;
            self.blocks.extend(rows);
        }
        let Some(row) = self.blocks.front() else {
            return Ok(Some(format!("no block has entry {}", self.chain.next - 1)));
        };
        let read = |column| get::<i64>(row, column).map(unbig).map_err(corrupt);
        let (first, last) = (read("first_sequence")?, read("last_sequence")?);
        if first != self.chain.block_end + 1 || last < self.chain.next - 1 {
            return Ok(Some(format!(
                "the block that begins with entry {first} does not follow entry {}",
                self.chain.block_end
            )));
        }
        if self.chain.next <= last {
            return Ok(None);
        }
        let (previous, hash): (&[u8], &[u8]) =
            (get(row, "previous_hash").map_err(corrupt)?, get(row, "hash").map_err(corrupt)?);
        let found = self.chain.hasher.finish();
        if previous != self.chain.hash || hash != found {
            return Ok(Some(format!("the block of entries {first} to {last} does not have the hash it says")));
        }
        self.chain.hash = found;
        self.chain.hasher = BlockHasher::new(&found);
        self.chain.block_end = last;
        self.chain.blocks += 1;
        self.blocks.pop_front();
        Ok(None)
    }

    fn replay(&mut self, entry: &Entry) {
        self.counts.entries += 1;
        let mut touched = Touched::default();
        touched.add(entry);
        for (account, sequence) in &touched.accounts {
            self.opened_by.entry(account.number()).or_insert(*sequence);
        }
        for (account, sequence) in &touched.arrived {
            self.opened_by.insert(account.number(), *sequence);
        }
        for (customer, sequence) in &touched.customers {
            self.registered_by.entry(customer.number()).or_insert(*sequence);
        }
        let set = &mut self.cache.set;
        let mut is_sound = || catch_unwind(AssertUnwindSafe(|| ledger::replay(set, entry))).is_ok();
        if self.replay_failure.is_none() && !is_sound() {
            let sequence = entry.header.sequence;
            self.replay_failure = Some(format!("entry {sequence} does not follow from the entries before it"));
        }
    }

    /// Compares the tables of facts with what these entries say.
    async fn compare_facts(&mut self, facts: &Facts) -> Result<(), Fault> {
        let counts = &mut self.counts;
        counts.keys += facts.key_digest.len() as u64;
        counts.transfers += facts.id.len() as u64;
        counts.postings += facts.posting_account.len() as u64;
        counts.steps += facts.steps_count();
        let comparisons = [
            (text::KEYS, facts.keys()),
            (text::TRANSFERS, facts.transfers()),
            (text::POSTINGS, facts.postings()),
            (text::METADATA, facts.metadata()),
            (text::STEPS, facts.steps()),
        ];
        for (text, parameters) in comparisons {
            if self.facts_failure.is_none() {
                self.facts_failure = difference(&self.client, text, parameters).await?;
            }
        }
        Ok(())
    }

    async fn report(self, progress: &dyn Progress) -> Result<VerifyReport, Fault> {
        let mut report = VerifyReport::default();
        let mut check = |name, count, failure| report.checks.push(Check { name, count, failure });
        let rows_of_facts = self.counts.keys + self.counts.transfers + self.counts.postings;
        let counted = match &self.facts_failure {
            Some(failure) => Some(failure.clone()),
            None => self.compare_counts().await?,
        };
        check("blocks and hash chain", self.chain.blocks, self.chain_failure.clone());
        check("versions without gaps", self.counts.postings, self.replay_failure.clone());
        check("transfers, postings and keys agree with the journal", rows_of_facts, counted);
        let differs = match self.replay_failure.clone().or_else(|| self.head_difference()) {
            Some(failure) => Some(failure),
            None => self.compare_state(progress).await?,
        };
        check("replay gives the stored state", self.counts.entries, differs);
        let sums = self.cache.set.sums();
        let wrong = sums.iter().find(|(_, sum)| *sum != 0);
        let failure =
            wrong.map(|(currency, sum)| format!("all accounts in {currency} together have {sum} minor units"));
        check("sum of each currency is zero", sums.len() as u64, failure);
        Ok(report)
    }

    fn head_difference(&self) -> Found {
        let set = &self.cache.set;
        let replayed = (set.sequence, set.time, set.ids.last());
        let stored = (self.head.sequence, self.head.time, self.head.last_id);
        (replayed != stored).then(|| "the table head differs from what the journal says".into())
    }

    /// Rows that should not be there: every one that should be was found.
    async fn compare_counts(&self) -> Result<Found, Fault> {
        let counts = &self.counts;
        let tables = [
            ("keys", counts.keys),
            ("transfers", counts.transfers),
            ("postings", counts.postings),
            ("steps", counts.steps),
            ("blocks", self.chain.blocks),
        ];
        self.surplus(&tables).await
    }

    async fn surplus(&self, tables: &[(&str, u64)]) -> Result<Found, Fault> {
        for (table, expected) in tables {
            let rows = query(&self.client, &format!("select count(*) as count from florin.{table}"), &[]).await?;
            let count = rows.first().map_or(Ok(0), |row| get::<i64>(row, "count")).map_err(corrupt)?;
            if unbig(count) != *expected {
                return Ok(Some(format!("{count} rows of {table} are stored, {expected} follow from the journal")));
            }
        }
        Ok(None)
    }

    async fn compare_state(&self, progress: &dyn Progress) -> Result<Found, Fault> {
        let set = &self.cache.set;
        let accounts: Vec<&Account> = set.accounts.iter().filter(|account| account.revision != 0).collect();
        for (done, page) in accounts.chunks(ROWS_AT_ONCE).enumerate() {
            progress.report("accounts", (done * ROWS_AT_ONCE) as u64, accounts.len() as u64);
            let (mut money, mut terms) = (Money::default(), Terms::default());
            for account in page {
                money.push(account, 0);
                terms.push(account, self.opened_by.get(&account.id.number()).copied().unwrap_or(0));
            }
            let mut parameters = money_parameters(&money);
            parameters.extend(terms_parameters(&terms));
            if let Some(failure) = difference(&self.client, text::ACCOUNTS, parameters).await? {
                return Ok(Some(failure));
            }
        }
        let all_holds: Vec<_> = set.holds.iter().collect();
        for page in all_holds.chunks(ROWS_AT_ONCE) {
            let mut holds = Holds::default();
            page.iter().for_each(|hold| holds.push(hold));
            if let Some(failure) = difference(&self.client, text::HOLDS, hold_parameters(&holds)).await? {
                return Ok(Some(failure));
            }
        }
        if let Some(failure) = self.compare_encoded().await? {
            return Ok(Some(failure));
        }
        let open = Open::all(&set.sagas);
        let reversals = Reversals::of(set.reversals.iter());
        let comparisons = [
            (text::SAGAS, open.sagas()),
            (text::PARTS, open.parts()),
            (text::POSITIONS, open.positions()),
            (text::REVERSALS, reversals.parameters()),
        ];
        for (text, parameters) in comparisons {
            if let Some(failure) = difference(&self.client, text, parameters).await? {
                return Ok(Some(failure));
            }
        }
        let (_, slots) = encoded_slots(&set.slots);
        if 0 < set.slots.epoch
            && let Some(failure) = difference(&self.client, text::SLOTS, vec![&slots]).await?
        {
            return Ok(Some(failure));
        }
        let [sagas, parts, positions] = open.counts();
        self.surplus(&[
            ("sagas", sagas),
            ("parts", parts),
            ("positions", positions),
            ("slots", u64::from(0 < set.slots.epoch)),
            ("reversals", set.reversals.len() as u64),
            ("accounts", accounts.len() as u64),
            ("holds", set.holds.len() as u64),
            ("customers", set.customers.len() as u64),
            ("dead_letters", set.dead_letters.len() as u64),
            ("tokens", set.tokens.len() as u64),
        ])
        .await
    }

    async fn compare_encoded(&self) -> Result<Found, Fault> {
        let set = &self.cache.set;
        let registered = |id: u64| self.registered_by.get(&id).copied().unwrap_or(0);
        let touched = Touched {
            customers: set.customers.iter().map(|row| (row.id, registered(row.id.number()))).collect(),
            dead_letters: set.dead_letters.iter().map(|row| row.id).collect(),
            tokens: set.tokens.iter().map(|row| row.id).collect(),
            ..Touched::default()
        };
        let rows = Encoded::of(&touched, &self.cache);
        let [customers, dead_letters, tokens] = encoded_parameters(&rows);
        for (text, parameters) in
            [(text::CUSTOMERS, customers), (text::DEAD_LETTERS, dead_letters), (text::TOKENS, tokens)]
        {
            if let Some(failure) = difference(&self.client, text, parameters).await? {
                return Ok(Some(failure));
            }
        }
        Ok(None)
    }
}
