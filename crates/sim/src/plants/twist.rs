//! A layer over a store that changes what goes in, what comes out and where reads go.

use ledger::account::Account;
use ledger::currency::Currency;
use ledger::customer::Customer;
use ledger::dead_letter::DeadLetter;
use ledger::event::Entry;
use ledger::hold::Hold;
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, Sequence, ShardId, TransferId};
use ledger::saga::Saga;
use ledger::slots::Slots;
use ledger::time::Timestamp;
use ledger::token::Token;
use std::sync::Arc;
use store::query::{
    BalanceQuery, EntryQuery, Page, PageQuery, Positions, PostingQuery, PostingRow, SagaQuery, TransferQuery,
    TransferView,
};
use store::report::{Progress, Stats, VerifyReport};
use store::{Answer, EntryRef, Reply, Store, Submission};

/// What a bug changes about a store; without more it changes nothing.
pub(super) trait Twist: Send + Sync + 'static {
    /// The store that reads go to.
    fn store(&self) -> Arc<dyn Store>;

    /// What becomes of a submission.
    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        let store = self.store();
        Box::pin(async move { store.submit(submission).await })
    }

    /// Changes an entry on its way to a reader.
    fn show(&self, _entry: &mut Entry) {}

    /// Changes on their way to a reader what is said of where the shard stands with others.
    fn show_positions(&self, _positions: &mut Positions) {}

    /// Whether a shard that an account has left is told of a key there.
    fn knows_key(&self, _entry: &Entry) -> bool {
        true
    }

    /// Changes an account on its way to a reader.
    fn show_account(&self, account: Option<Account>) -> Option<Account> {
        account
    }
}

/// The store as the bug makes it.
pub(super) struct Twisted<T>(pub(super) T);

impl<T: Twist> Twisted<T> {
    fn shown(&self, entry: &EntryRef) -> EntryRef {
        let mut shown = Entry::clone(entry);
        self.0.show(&mut shown);
        EntryRef::single(shown)
    }

    /// An entry that was by itself in its block still is, so its index stays 0.
    fn shown_answer(&self, answer: Answer) -> Answer {
        match answer {
            Answer::Recorded(entry) => Answer::Recorded(self.shown(&entry)),
            Answer::Replayed(entry) => Answer::Replayed(self.shown(&entry)),
            other => other,
        }
    }

    fn shown_view(&self, mut view: TransferView) -> TransferView {
        view.transfer.entry = self.shown(&view.transfer.entry);
        view.steps.iter_mut().for_each(|step| *step = self.shown(step));
        view
    }
}

macro_rules! reads {
    ($($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        fn $method(&self, $($argument: $type),*) -> Reply<'_, $answer> {
            let store = self.0.store();
            Box::pin(async move { store.$method($($argument),*).await })
        }
    )*};
}

impl<T: Twist> Store for Twisted<T> {
    fn shard(&self) -> ShardId {
        self.0.store().shard()
    }

    fn secret(&self) -> [u8; 32] {
        self.0.store().secret()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let answers = self.0.submit(submission).await?;
            Ok(answers.into_iter().map(|answer| self.shown_answer(answer)).collect())
        })
    }

    fn account(&self, id: AccountId, now: Timestamp) -> Reply<'_, Option<Account>> {
        let store = self.0.store();
        Box::pin(async move { Ok(self.0.show_account(store.account(id, now).await?)) })
    }

    fn positions(&self) -> Reply<'_, Positions> {
        let store = self.0.store();
        Box::pin(async move {
            let mut positions = store.positions().await?;
            self.0.show_positions(&mut positions);
            Ok(positions)
        })
    }

    fn transfer(&self, id: TransferId) -> Reply<'_, Option<TransferView>> {
        let store = self.0.store();
        Box::pin(async move { Ok(store.transfer(id).await?.map(|view| self.shown_view(view))) })
    }

    fn transfers(&self, query: TransferQuery) -> Reply<'_, Page<TransferView>> {
        let store = self.0.store();
        Box::pin(async move {
            let page = store.transfers(query).await?;
            let next = page.next;
            Ok(Page::of(page.into_rows().map(|(place, view)| (place, self.shown_view(view))), next))
        })
    }

    fn postings(&self, query: PostingQuery) -> Reply<'_, Page<PostingRow>> {
        let store = self.0.store();
        Box::pin(async move {
            let mut page = store.postings(query).await?;
            page.items.iter_mut().for_each(|row| row.transfer.entry = self.shown(&row.transfer.entry));
            Ok(page)
        })
    }

    fn entry_of_key(&self, digest: u128) -> Reply<'_, Option<EntryRef>> {
        let store = self.0.store();
        Box::pin(async move {
            let entry = store.entry_of_key(digest).await?;
            Ok(entry.filter(|entry| self.0.knows_key(entry)).map(|entry| self.shown(&entry)))
        })
    }

    fn entries(&self, query: EntryQuery) -> Reply<'_, Vec<EntryRef>> {
        let store = self.0.store();
        Box::pin(async move { Ok(store.entries(query).await?.iter().map(|entry| self.shown(entry)).collect()) })
    }

    reads! {
        customer(id: CustomerId) -> Option<Customer>;
        customers(page: PageQuery) -> Page<Customer>;
        accounts_of(customer: CustomerId, page: PageQuery, now: Timestamp) -> Page<Account>;
        system_accounts() -> Vec<Account>;
        customer_sums() -> Vec<(Currency, i128)>;
        hold(id: HoldId, now: Timestamp) -> Option<Hold>;
        holds_of(account: AccountId, page: PageQuery, now: Timestamp) -> Page<Hold>;
        balance_at(query: BalanceQuery) -> Option<i128>;
        dead_letter(id: DeadLetterId) -> Option<(DeadLetter, EntryRef, EntryRef)>;
        dead_letters(page: PageQuery) -> Page<DeadLetter>;
        tokens() -> Vec<Token>;
        head_after(sequence: Sequence) -> Sequence;
        open_sagas(query: SagaQuery) -> Page<Saga>;
        slots() -> Slots;
        account_ids(after: Option<u64>, limit: usize) -> Page<AccountId>;
        accounts_in(slot: u16, after: Option<AccountId>, limit: usize) -> Vec<AccountId>;
        lease(holder: u128, microseconds: u64) -> bool;
        due_holds(now: Timestamp, limit: usize) -> Vec<HoldId>;
        verify(progress: Arc<dyn Progress>) -> VerifyReport;
    }

    fn head(&self) -> Sequence {
        self.0.store().head()
    }

    fn stats(&self) -> Stats {
        self.0.store().stats()
    }
}
