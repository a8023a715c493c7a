//! The rows on which commands are decided. In the embedded engine these are the bank's resident tables; another engine
//! fills a small set with what a batch touches. Same type, same rules, no copying per command.

use crate::account::{Account, AccountKind, SystemAccount, SystemKind};
use crate::currency::Currency;
use crate::customer::Customer;
use crate::dead_letter::DeadLetter;
use crate::hold::{Hold, HoldStatus};
use crate::ids::{AccountId, CustomerId, HoldId, IdGenerator, IdHash, Sequence, ShardId, TransferId, slot};
use crate::key_table::KeyTable;
use crate::limit::DebitCounter;
use crate::saga::Sagas;
pub use crate::slots::SlotSet;
use crate::slots::Slots;
use crate::table::{Row, Table};
use crate::time::{Day, Timestamp};
use crate::token::Token;
use crate::transfer::TransferRow;
use std::collections::{BTreeSet, HashMap};

/// Which transfer undid which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reversal {
    /// The transfer that was undone.
    pub transfer: TransferId,
    /// The transfer that undid it.
    pub by: TransferId,
}

macro_rules! rows {
    ($($row:ident by $id:ident;)*) => {$(
        impl Row for $row {
            fn id(&self) -> u64 {
                self.$id.number()
            }
        }
    )*};
}

rows! {
    Account by id;
    Hold by id;
    Customer by id;
    DeadLetter by id;
    Token by id;
    Reversal by transfer;
}

/// See the module.
#[derive(Debug)]
pub struct WorkingSet {
    /// The shard these rows are of.
    pub shard: ShardId,
    /// The slots it owns, and those that move.
    pub slots: Slots,
    /// Gives out the shard's ids.
    pub ids: IdGenerator,
    /// The entry recorded last.
    pub sequence: Sequence,
    /// The booking time of the entry recorded last.
    pub time: Timestamp,
    /// Accounts.
    pub accounts: Table<Account>,
    /// Holds.
    pub holds: Table<Hold>,
    /// Customers.
    pub customers: Table<Customer>,
    /// Dead letters.
    pub dead_letters: Table<DeadLetter>,
    /// Tokens.
    pub tokens: Table<Token>,
    /// Transfers that were reversed.
    pub reversals: Table<Reversal>,
    /// Transfers between shards.
    pub sagas: Sagas,
    /// Idempotency keys.
    pub keys: KeyTable,
    /// Transfers that an engine looked up for the commands at hand.
    pub transfers: HashMap<TransferId, TransferRow>,
    holds_of: HashMap<AccountId, Vec<HoldId>, IdHash>,
    active_holds_of: HashMap<AccountId, Vec<HoldId>, IdHash>,
    expiries: BTreeSet<(Timestamp, HoldId)>,
    accounts_of: HashMap<CustomerId, Vec<AccountId>, IdHash>,
}

impl WorkingSet {
    /// An empty set of this shard, which had these slots from the beginning. The seed is of the tables' hashes.
    pub fn new(shard: ShardId, dealt: SlotSet, seed: u64) -> WorkingSet {
        WorkingSet {
            shard,
            slots: Slots::new(dealt),
            ids: IdGenerator::new(shard, 0),
            sequence: 0,
            time: Timestamp::ZERO,
            accounts: Table::new(seed),
            holds: Table::new(seed),
            customers: Table::new(seed),
            dead_letters: Table::new(seed),
            tokens: Table::new(seed),
            reversals: Table::new(seed),
            sagas: Sagas::default(),
            keys: KeyTable::new(seed),
            transfers: HashMap::new(),
            holds_of: HashMap::with_hasher(IdHash::new(seed)),
            active_holds_of: HashMap::with_hasher(IdHash::new(seed)),
            expiries: BTreeSet::new(),
            accounts_of: HashMap::with_hasher(IdHash::new(seed)),
        }
    }

    /// The account with this id.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(id.number())
    }

    /// The hold with this id.
    pub fn hold(&self, id: HoldId) -> Option<&Hold> {
        self.holds.get(id.number())
    }

    /// The customer with this id.
    pub fn customer(&self, id: CustomerId) -> Option<&Customer> {
        self.customers.get(id.number())
    }

    /// The reversal of this transfer.
    pub fn reversal(&self, transfer: TransferId) -> Option<TransferId> {
        self.reversals.get(transfer.number()).map(|reversal| reversal.by)
    }

    /// All holds of an account, oldest first.
    pub fn holds_of(&self, account: AccountId) -> &[HoldId] {
        self.holds_of.get(&account).map_or(&[], Vec::as_slice)
    }

    /// A customer's accounts on this shard, oldest first.
    pub fn accounts_of(&self, customer: CustomerId) -> &[AccountId] {
        self.accounts_of.get(&customer).map_or(&[], Vec::as_slice)
    }

    /// What can be spent at this time: holds whose time is over reserve nothing, recorded or not.
    pub fn available(&self, account: &Account, now: Timestamp) -> i128 {
        if now < account.next_expiry {
            return account.available();
        }
        account.available() + i128::from(self.reserved_by_due(account.id, now))
    }

    /// What holds reserve at this time.
    pub fn held(&self, account: &Account, now: Timestamp) -> u64 {
        if now < account.next_expiry { account.held } else { account.held - self.reserved_by_due(account.id, now) }
    }

    /// What counts against an account's limits: a hold whose time is over gives back what it counted, recorded or not.
    pub(crate) fn debits(&self, account: &Account, day: Day, now: Timestamp) -> DebitCounter {
        let counter = account.debits.on(day);
        if now < account.next_expiry {
            return counter;
        }
        let remaining = |hold: &Hold| u128::from(hold.remaining().minor_units());
        self.due(account.id, now).fold(counter, |counter, hold| counter.given_back(hold.day, remaining(hold)))
    }

    /// How many holds an account has whose time is not over.
    pub(crate) fn holds_active(&self, account: &Account, now: Timestamp) -> u32 {
        if now < account.next_expiry {
            return account.holds_active;
        }
        self.due(account.id, now).fold(account.holds_active, |active, _| active - 1)
    }

    /// The holds of an account whose time is over and has not been recorded so, oldest first.
    pub fn due_holds(&self, account: AccountId, now: Timestamp) -> Vec<HoldId> {
        match self.account(account) {
            Some(row) if row.next_expiry <= now => self.due(account, now).map(|hold| hold.id).collect(),
            _ => Vec::new(),
        }
    }

    /// When the next of all active holds expires; [`Timestamp::MAX`] when none does.
    pub fn earliest_expiry(&self) -> Timestamp {
        self.expiries.first().map_or(Timestamp::MAX, |(expires_at, _)| *expires_at)
    }

    /// All holds whose time is over and has not been recorded so, the longest due first.
    pub fn all_due_holds(&self, now: Timestamp) -> impl Iterator<Item = HoldId> {
        self.expiries.iter().take_while(move |(expires_at, _)| *expires_at <= now).map(|(_, hold)| *hold)
    }

    /// Makes sure that the bank's own account with this id is there, if it is one of this shard that always exists.
    /// Without postings it counts as absent wherever states are compared.
    pub fn ensure_standard(&mut self, id: AccountId) {
        if self.account(id).is_some() {
            return;
        }
        if let Some(system) = SystemAccount::from_id(id)
            && system.shard == self.shard
            && system.is_standard()
        {
            self.accounts.put(Account::open(id, AccountKind::System(system.kind), system.currency, Day::default()));
        }
    }

    /// The first free account of the bank's own of this kind; none for clearing accounts, which nobody opens.
    pub fn free_system_account(&self, kind: SystemKind, currency: Currency) -> Option<SystemAccount> {
        if kind == SystemKind::Clearing {
            return None;
        }
        let candidates = (1..=u16::MAX).map(|ordinal| SystemAccount { shard: self.shard, kind, currency, ordinal });
        candidates.into_iter().find(|candidate| self.account(candidate.id()).is_none())
    }

    /// Puts an account in place of what is known of it, lists included.
    pub fn restore_account(&mut self, account: Account) {
        let was_here = self.account(account.id).is_some_and(|known| known.moved_to.is_none());
        let is_here = account.moved_to.is_none();
        if let Some(customer) = account.customer
            && was_here != is_here
        {
            let accounts = self.accounts_of.entry(customer).or_default();
            if is_here { accounts.push(account.id) } else { accounts.retain(|id| *id != account.id) }
        }
        self.accounts.put(account);
    }

    /// Puts a hold that came with its account, which may have been here before.
    pub(crate) fn receive_hold(&mut self, hold: Hold) {
        let (id, from) = (hold.id, hold.from);
        self.restore_hold(hold);
        let holds = self.holds_of.entry(from).or_default();
        if !holds.contains(&id) {
            holds.push(id);
        }
    }

    /// Puts a hold in place of what is known of it, lists included.
    pub fn restore_hold(&mut self, hold: Hold) {
        let (was_active, is_active) = match self.hold(hold.id) {
            Some(known) => (known.status == HoldStatus::Held, hold.status == HoldStatus::Held),
            None => {
                self.holds_of.entry(hold.from).or_default().push(hold.id);
                (false, hold.status == HoldStatus::Held)
            }
        };
        if was_active != is_active {
            let active = self.active_holds_of.entry(hold.from).or_default();
            let expiry = hold.expires_at.map(|expires_at| (expires_at, hold.id));
            if is_active {
                active.push(hold.id);
                self.expiries.extend(expiry);
            } else {
                active.retain(|id| *id != hold.id);
                if let Some(expiry) = expiry {
                    self.expiries.remove(&expiry);
                }
            }
        }
        self.holds.put(hold);
    }

    /// Reads the rows of these keys and accounts, all at once, so that they are in the processor's caches when commands
    /// are decided or recorded on them one after the other. Changes nothing, and nothing depends on it but speed: alone,
    /// each of these rows is a wait for memory longer than all else a command costs.
    pub fn warm(&self, keys: impl Iterator<Item = u128>, accounts: impl Iterator<Item = AccountId> + Clone) {
        // First the slots of the hash tables, then the rows they lead to: within each pass no read waits for another.
        let slots = keys.fold(0, |all, digest| all ^ self.keys.touch(digest));
        let slots = accounts.clone().fold(slots, |all, id| all ^ self.accounts.touch(id.number()));
        let rows = accounts.filter_map(|id| self.account(id)).fold(0, |all, row| all ^ row.touch());
        std::hint::black_box(slots ^ rows);
    }

    /// The sum of all balances of each currency, customers' and the bank's own: every figure is zero.
    pub fn sums(&self) -> Vec<(Currency, i128)> {
        let mut sums = std::collections::BTreeMap::new();
        for account in self.accounts.iter() {
            *sums.entry(account.currency).or_insert(0) += account.balance;
        }
        sums.into_iter().collect()
    }

    /// Whether an account with this id would be on this shard. While a slot comes from another shard, nobody can say so
    /// of an account that is not here: it may be there yet.
    pub(crate) fn is_of_shard(&self, id: AccountId) -> bool {
        let is_settled = || {
            let slot = slot(id.number());
            self.owns(id.number()) && (self.slots.dealt.contains(slot) || !self.slots.fenced.contains_key(&slot))
        };
        SystemAccount::from_id(id).map_or_else(is_settled, |system| system.shard == self.shard)
    }

    /// Whether the slot of an id is on this shard.
    pub(crate) fn owns(&self, id: u64) -> bool {
        self.slots.contains(slot(id))
    }

    /// When the first of an account's active holds expires.
    pub(crate) fn next_expiry(&self, account: AccountId) -> Timestamp {
        self.active_holds(account).filter_map(|hold| hold.expires_at).min().unwrap_or(Timestamp::MAX)
    }

    fn active_holds(&self, account: AccountId) -> impl Iterator<Item = &Hold> {
        self.active_holds_of.get(&account).into_iter().flatten().filter_map(|id| self.hold(*id))
    }

    fn due(&self, account: AccountId, now: Timestamp) -> impl Iterator<Item = &Hold> {
        self.active_holds(account).filter(move |hold| hold.is_due(now))
    }

    fn reserved_by_due(&self, account: AccountId, now: Timestamp) -> u64 {
        self.due(account, now).map(|hold| hold.remaining().minor_units()).sum()
    }
}
