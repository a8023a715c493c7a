//! Moving slots to another shard while the bank serves.
//!
//! Every step is an entry of a shard's journal and may be asked for again, so whoever finds a move unfinished carries it
//! on from wherever it stopped:
//!
//! 1. The slots are fenced on every shard, for the one they go to: no new saga names an account of theirs. Same-shard movements go on.
//! 2. Messages that were under way to the old shard arrive; what they prepared there is posted or released.
//! 3. The old shard releases the slots, the new one acquires them. From here on accounts are opened there.
//! 4. The accounts move one by one, each in an entry of either shard. One with a part in an open saga is tried again.
//! 5. When all have arrived, the fence is opened on every shard, which notes where the slots are now: a node that does not
//!    know it yet begins no saga with their accounts.

use crate::error::BankError;
use crate::placement::Placement;
use crate::submit::allow;
use crate::{Bank, Caller};
use ledger::command::{ChangeSlots, Command, MoveAccount};
use ledger::event::{Event, Outcome};
use ledger::ids::{AccountId, CustomerId, SLOTS, ShardId, slot};
use ledger::rejection::Rejection;
use ledger::slots::{SlotChange, Slots};
use ledger::token::Role;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use store::{Answer, Fault, Request, SUBMISSION_MAX, Submission};

/// How long one waits for an account or a slot that is moving, before the client hears that it has to try again.
const PATIENCE_US: u64 = 30_000_000;
/// Slots that move together: more are quicker in all, and hold their accounts' transfers between shards up for longer.
const SLOTS_AT_ONCE: usize = 16;
/// The first and the longest wait between two looks.
const LOOK_FIRST_US: u64 = 2_000;
const LOOK_MOST_US: u64 = 100_000;

/// Growing waits, up to a bound in all.
pub(crate) struct Patience {
    waited_us: u64,
    next_us: u64,
}

impl Patience {
    pub(crate) fn new() -> Patience {
        Patience { waited_us: 0, next_us: LOOK_FIRST_US }
    }

    /// Waits a little.
    ///
    /// # Errors
    /// When it has waited long enough.
    pub(crate) async fn wait(&mut self, bank: &Bank) -> Result<(), Fault> {
        if PATIENCE_US < self.waited_us {
            return Err(Fault::Unavailable { reason: "an account is moving to another shard".into() });
        }
        bank.env().sleep(self.next_us).await;
        self.waited_us += self.next_us;
        self.next_us = (self.next_us * 2).min(LOOK_MOST_US);
        Ok(())
    }
}

/// What a move came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Slots that are on the new shard now.
    pub slots: usize,
    /// Accounts that went there.
    pub accounts: usize,
}

impl Bank {
    /// Where everything is, as far as this node knows.
    pub fn placement(&self) -> Arc<Placement> {
        self.placement.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks all shards for their slots. To be called once before a bank serves whose slots may have moved.
    ///
    /// # Errors
    /// A fault of any shard; `Unavailable` where slots are on a shard that this bank was not opened with.
    pub async fn reload_placement(&self) -> Result<(), Fault> {
        // Read until nothing changes any more: only then is it what all shards say at one instant. A slot that changes
        // hands between two answers would have two owners, or none, and nobody who had it before.
        let mut shards = self.all_slots().await?;
        loop {
            let again = self.all_slots().await?;
            if again == shards {
                break;
            }
            shards = again;
        }
        // A node that does not know all shards must not guess where the rest is.
        let beyond = shards.iter().flat_map(|(_, slots)| slots.released.values());
        beyond.max().map_or(Ok(()), |last| self.reach(*last).map(drop))?;
        let mut placement = Placement::of(&shards);
        let mut known = self.placement.write().unwrap_or_else(PoisonError::into_inner);
        if known.version() <= placement.version() {
            placement.keep_arrivals(&known);
            *known = Arc::new(placement);
        }
        Ok(())
    }

    async fn all_slots(&self) -> Result<Vec<(ShardId, Slots)>, Fault> {
        let mut shards = Vec::with_capacity(self.shards().len());
        for store in self.shards() {
            shards.push((store.shard(), store.slots().await?));
        }
        Ok(shards)
    }

    /// Whether the map of this node was old: asked when something is not where it should be.
    async fn learns_more(&self) -> Result<bool, Fault> {
        let before = self.placement().version();
        self.reload_placement().await?;
        Ok(self.placement().version() != before)
    }

    /// A shard said that an account, user or slot is not there: finds out where it is.
    ///
    /// # Errors
    /// A fault of any shard.
    pub(crate) async fn find_again(&self, id: u64) -> Result<(), Fault> {
        self.reload_placement().await?;
        let placement = self.placement();
        let slot = slot(id);
        let (Some(old), Some(account)) = (placement.moving_from(slot), AccountId::new(id)) else { return Ok(()) };
        let owner = placement.owner(slot);
        let there = self.store(owner).account(account, self.now()).await?;
        let has_arrived = match self.store(old).account(account, self.now()).await? {
            // The old shard gave the slot up, so it will never have this account.
            None => true,
            Some(row) => row.moved_to.is_some() && there.is_some_and(|row| row.moved_to.is_none()),
        };
        if has_arrived {
            let mut known = self.placement.write().unwrap_or_else(PoisonError::into_inner);
            Arc::make_mut(&mut known).note_arrival(account, owner);
        }
        Ok(())
    }

    /// The shard that has an account now: the owner of its slot, or one that had it before; the owner where none has it.
    ///
    /// # Errors
    /// A fault of any shard asked: what cannot be asked is never taken for "not there".
    pub(crate) async fn home_of(&self, id: AccountId) -> Result<ShardId, Fault> {
        if self.shards().len() == 1 {
            return Ok(ShardId::default());
        }
        let first = self.shard_of_account(id);
        if self.has(first, id).await? == Some(true) {
            return Ok(first);
        }
        let mut patience = Patience::new();
        loop {
            let mut is_known = false;
            for shard in self.history_of(id) {
                match self.has(shard, id).await? {
                    Some(true) => return Ok(shard),
                    Some(false) => is_known = true,
                    None => {}
                }
            }
            if self.learns_more().await? {
                continue;
            }
            if !is_known {
                return Ok(self.shard_of_account(id));
            }
            patience.wait(self).await?; // it has left one shard and not arrived at the other
        }
    }

    /// Whether a shard has an account; `Some(false)` where it had it.
    async fn has(&self, shard: ShardId, id: AccountId) -> Result<Option<bool>, Fault> {
        let row = self.store(shard).account(id, self.now()).await?;
        Ok(row.map(|row| row.moved_to.is_none()))
    }

    /// The shards that may have something of an account: where it is now or may be, then those before, the latest first.
    pub(crate) fn history_of(&self, id: AccountId) -> Vec<ShardId> {
        if ledger::account::SystemAccount::from_id(id).is_some() {
            return vec![self.shard_of_account(id)];
        }
        let placement = self.placement();
        let slot = slot(id.number());
        let mut shards = vec![placement.owner(slot)];
        shards.extend_from_slice(placement.earlier(slot));
        shards
    }

    /// The shard on which a user was registered; the owner of the slot where none has it. Users stay where they were
    /// registered: what moves is accounts.
    ///
    /// # Errors
    /// A fault of any shard asked.
    pub(crate) async fn home_of_user(&self, id: CustomerId) -> Result<ShardId, Fault> {
        loop {
            let placement = self.placement();
            let slot = slot(id.number());
            let owner = placement.owner(slot);
            if self.shards().len() == 1 {
                return Ok(owner);
            }
            for shard in std::iter::once(owner).chain(placement.earlier(slot).iter().copied()) {
                if self.store(shard).customer(id).await?.is_some() {
                    return Ok(shard);
                }
            }
            if !self.learns_more().await? {
                return Ok(owner);
            }
        }
    }

    /// Moves slots to a shard; again, what is left of a move that stopped. Needs the role admin.
    ///
    /// # Errors
    /// `Forbidden`; `Malformed` for a slot or shard that there is not, or for a slot that was on that shard before; a
    /// fault of any shard: ask again.
    pub async fn move_slots(&self, caller: &Caller, slots: &[u16], to: ShardId) -> Result<Moved, BankError> {
        allow(caller, Role::Admin)?;
        self.reload_placement().await?;
        let placement = self.placement();
        let malformed = |detail: String| Err(BankError::Malformed { code: "malformed", detail });
        if self.shards().len() <= usize::from(to.number()) {
            return malformed(format!("there is no shard {to}; add it first"));
        }
        if let Some(slot) = slots.iter().find(|slot| SLOTS <= **slot) {
            return malformed(format!("there is no slot {slot}; they are 0 to {}", SLOTS - 1));
        }
        let mut moved = Moved::default();
        let mut by_sender: BTreeMap<ShardId, Vec<u16>> = BTreeMap::new();
        for slot in slots.iter().copied() {
            let owner = placement.owner(slot);
            let from = placement.moving_from(slot).unwrap_or(owner);
            if owner == to && from == to {
                // A move that stopped before anything moved may have left it fenced for another shard.
                if self.is_fenced(slot).await? {
                    self.open_everywhere(caller, &[slot], to).await?;
                }
                continue;
            }
            if owner != to && from != owner {
                return malformed(format!("slot {slot} is moving to shard {owner}; let it arrive there first"));
            }
            if owner != to && placement.earlier(slot).contains(&to) {
                return malformed(format!("slot {slot} was on shard {to} before, and does not return there"));
            }
            by_sender.entry(from).or_default().push(slot);
        }
        for (from, slots) in by_sender {
            for some in slots.chunks(SLOTS_AT_ONCE) {
                moved.accounts += self.move_some_slots(caller, some, from, to).await?;
                moved.slots += some.len();
            }
        }
        Ok(moved)
    }

    /// How many accounts went with these slots, from one shard to another.
    async fn move_some_slots(
        &self,
        caller: &Caller,
        slots: &[u16],
        from: ShardId,
        to: ShardId,
    ) -> Result<usize, BankError> {
        self.change_everywhere(caller, slots, SlotChange::Fenced(to), &[to, from]).await?;
        self.drain_to(from).await?;
        self.change_slots(caller, from, slots, SlotChange::Released(to)).await?;
        // Of two operators who move a slot to different shards the first decides.
        let given = self.store(from).slots().await?.released;
        if let Some(slot) = slots.iter().find(|slot| given.get(slot) != Some(&to)) {
            return Err(Fault::Unavailable { reason: format!("slot {slot} is being moved to another shard") }.into());
        }
        self.change_slots(caller, to, slots, SlotChange::Acquired(from)).await?;
        let mut accounts = 0;
        for slot in slots {
            accounts += self.move_accounts(caller, *slot, from, to).await?;
        }
        self.open_everywhere(caller, slots, to).await?;
        self.reload_placement().await?;
        Ok(accounts)
    }

    async fn is_fenced(&self, slot: u16) -> Result<bool, Fault> {
        Ok(self.all_slots().await?.iter().any(|(_, slots)| slots.fenced.contains_key(&slot)))
    }

    /// Opens the fences of slots that are here now. Whoever slept since before may have aimed one elsewhere meanwhile.
    async fn open_everywhere(&self, caller: &Caller, slots: &[u16], here: ShardId) -> Result<(), BankError> {
        for (shard, known) in self.all_slots().await? {
            let is_aimed_elsewhere = |slot: &u16| known.fenced.get(slot).is_some_and(|to| *to != here);
            let aimed_elsewhere: Vec<u16> = slots.iter().copied().filter(is_aimed_elsewhere).collect();
            self.change_slots(caller, shard, &aimed_elsewhere, SlotChange::Fenced(here)).await?;
        }
        self.change_everywhere(caller, slots, SlotChange::Opened(here), &[here]).await
    }

    /// Changes slots on every shard, beginning with those that know whether it is still time for that: an operator may have
    /// slept while others moved them on.
    async fn change_everywhere(
        &self,
        caller: &Caller,
        slots: &[u16],
        change: SlotChange,
        first: &[ShardId],
    ) -> Result<(), BankError> {
        let others = self.shards().iter().map(|store| store.shard()).filter(|shard| !first.contains(shard));
        for shard in first.iter().copied().chain(others) {
            self.change_slots(caller, shard, slots, change).await?;
        }
        Ok(())
    }

    async fn change_slots(
        &self,
        caller: &Caller,
        shard: ShardId,
        slots: &[u16],
        change: SlotChange,
    ) -> Result<(), BankError> {
        let known = self.store(shard).slots().await?;
        let slots: Box<[u16]> = slots.iter().copied().filter(|slot| known.would_change(*slot, change)).collect();
        if slots.is_empty() {
            return Ok(());
        }
        let command = Command::ChangeSlots(Box::new(ChangeSlots { change, slots }));
        let answer = self.submit_one(caller.context(), shard, Request { key: None, command }, false).await?;
        match answer.outcome() {
            Some(Outcome::Event(_)) => Ok(()),
            _ => Err(Fault::Unavailable { reason: format!("slots could not be changed on shard {shard}") }.into()),
        }
    }

    /// Waits until what every shard had sent to this one has arrived. Nothing new comes for fenced slots meanwhile.
    async fn drain_to(&self, to: ShardId) -> Result<(), Fault> {
        for store in self.shards().iter().filter(|store| store.shard() != to) {
            let sent = store.positions().await?.sent.get(&to).copied().unwrap_or(0);
            self.await_messages(store.shard(), to, sent).await?;
        }
        Ok(())
    }

    async fn await_messages(&self, from: ShardId, to: ShardId, number: u64) -> Result<(), Fault> {
        let mut patience = Patience::new();
        loop {
            let received = self.store(to).positions().await?.received.get(&from).map_or(0, |position| position.number);
            if number <= received {
                return Ok(());
            }
            self.pull(from, to).await?;
            patience.wait(self).await?;
        }
    }

    async fn move_accounts(&self, caller: &Caller, slot: u16, from: ShardId, to: ShardId) -> Result<usize, BankError> {
        let mut count = 0;
        let mut patience = Patience::new();
        loop {
            let mut after = None;
            let mut left = false;
            loop {
                let accounts = self.store(from).accounts_in(slot, after, SUBMISSION_MAX / 8).await?;
                let Some(last) = accounts.last().copied() else { break };
                after = Some(last);
                let moved = self.move_some(caller, &accounts, from, to).await?;
                count += moved;
                left |= moved < accounts.len();
            }
            let sent = self.store(from).positions().await?.sent.get(&to).copied().unwrap_or(0);
            self.await_messages(from, to, sent).await?;
            if !left {
                return Ok(count);
            }
            patience.wait(self).await?; // some have a part in an open saga
        }
    }

    /// How many of these accounts left.
    async fn move_some(
        &self,
        caller: &Caller,
        accounts: &[AccountId],
        from: ShardId,
        to: ShardId,
    ) -> Result<usize, BankError> {
        let request = |account: &AccountId| {
            let command = Command::MoveAccount(MoveAccount { account: *account, to });
            Request { key: None, command }
        };
        let requests = accounts.iter().map(request).collect();
        let answers =
            self.store(from).submit(Submission { context: caller.context(), requests, dry_run: false }).await?;
        let has_left = |answer: &&Answer| matches!(answer.outcome(), Some(Outcome::Event(Event::Saga(_))));
        Ok(answers.iter().filter(has_left).count())
    }
}

/// What is on another shard than it was asked on, or is moving there.
pub(crate) fn elsewhere(answer: &Answer) -> Option<u64> {
    match answer {
        Answer::Unrecorded(outcome) => match &**outcome {
            Outcome::Rejection { rejection: Rejection::WrongShard(id), .. } => Some(*id),
            _ => None,
        },
        _ => None,
    }
}
