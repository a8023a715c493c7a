//! The suite notices: a store with a defect fails the claim that is about it.

use ledger::account::Account;
use ledger::currency::Currency;
use ledger::customer::Customer;
use ledger::dead_letter::DeadLetter;
use ledger::event::Key;
use ledger::hold::Hold;
use ledger::ids::{AccountId, CustomerId, DeadLetterId, HoldId, Sequence, ShardId, TransferId};
use ledger::saga::Saga;
use ledger::slots::Slots;
use ledger::time::Timestamp;
use ledger::token::Token;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use store::conformance::bench::Bench;
use store::conformance::{Fixture, batches, block_on, holds, keys, money, paging, queries, reopening};
use store::model::{Clock, Identity, MemoryStore};
use store::query::{
    BalanceQuery, EntryQuery, Page, PageQuery, Positions, PostingQuery, PostingRow, SagaQuery, TransferQuery,
    TransferView,
};
use store::report::{Progress, Stats, VerifyReport};
use store::{Answer, EntryRef, Reply, Request, Store, Submission};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    AnswersInReverse,
    ForgetsKeys,
    IgnoresFingerprints,
    DryRunsAct,
    TakesBatchesApart,
    PagesOverlap,
    PagesSkip,
    IgnoresTheSide,
    IgnoresTheAccount,
    ExcludesTheInstant,
    HoldsNeverEnd,
    ReadsLag,
    LosesTheLastEntry,
    GivesIdsAgain,
}

/// A store in memory that is wrong in one way.
struct Wrong {
    defect: Defect,
    clock: Clock,
    memory: MemoryStore,
}

fn wrong(defect: Defect, clock: Clock) -> Wrong {
    Wrong { defect, memory: MemoryStore::new(Identity::only_shard(), Arc::clone(&clock)), clock }
}

impl Fixture for Wrong {
    fn store(&self) -> &dyn Store {
        self
    }

    fn reopen(&mut self) {
        let mut entries = self.memory.entries_so_far();
        match self.defect {
            Defect::LosesTheLastEntry => entries.truncate(entries.len() - 1),
            // A rejection and a hold come last in that claim: without the two the hold's id is free again.
            Defect::GivesIdsAgain => entries.truncate(entries.len() - 2),
            _ => {}
        }
        self.memory = MemoryStore::from_entries(Identity::only_shard(), Arc::clone(&self.clock), entries);
    }
}

impl Wrong {
    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn changed(&self, submission: Submission) -> Submission {
        let key = |key: Option<Key>| match self.defect {
            Defect::ForgetsKeys => None,
            Defect::IgnoresFingerprints => key.map(|key| Key { fingerprint: 0, ..key }),
            _ => key,
        };
        let requests = submission.requests.into_iter().flat_map(|request| {
            let commands = match request.command {
                ledger::command::Command::Batch(transfers) if self.is(Defect::TakesBatchesApart) => {
                    transfers.into_iter().map(ledger::command::Command::Transfer).collect()
                }
                command => vec![command],
            };
            commands.into_iter().map(move |command| Request { key: key(request.key), command })
        });
        let dry_run = submission.dry_run && !self.is(Defect::DryRunsAct);
        Submission { requests: requests.collect(), dry_run, context: submission.context }
    }

    fn paged<T>(&self, page: Page<T>) -> Page<T> {
        let next = match self.defect {
            Defect::PagesOverlap => page.next.map(|next| next + 1),
            Defect::PagesSkip => page.next.map(|next| next - 1),
            _ => page.next,
        };
        Page { next, ..page }
    }

    fn seen_at(&self, now: Timestamp) -> Timestamp {
        if self.is(Defect::HoldsNeverEnd) { Timestamp::ZERO } else { now }
    }
}

impl Store for Wrong {
    fn shard(&self) -> ShardId {
        self.memory.shard()
    }

    fn secret(&self) -> [u8; 32] {
        self.memory.secret()
    }

    fn submit(&self, submission: Submission) -> Reply<'_, Vec<Answer>> {
        Box::pin(async move {
            let (count, was_dry_run) = (submission.requests.len(), submission.dry_run);
            let mut answers = self.memory.submit(self.changed(submission)).await?;
            if self.is(Defect::AnswersInReverse) {
                answers.reverse();
            }
            if was_dry_run {
                let outcomes = answers.into_iter().filter_map(|answer| answer.outcome().cloned());
                answers = outcomes.map(|outcome| Answer::Unrecorded(Box::new(outcome))).collect();
            }
            answers.reverse();
            answers.truncate(count);
            answers.reverse();
            Ok(answers)
        })
    }

    fn account(&self, id: AccountId, now: Timestamp) -> Reply<'_, Option<Account>> {
        if self.is(Defect::ReadsLag) {
            let mut entries = self.memory.entries_so_far();
            entries.pop();
            let before = MemoryStore::from_entries(Identity::only_shard(), Arc::clone(&self.clock), entries);
            return Box::pin(async move { before.account(id, now).await });
        }
        self.memory.account(id, self.seen_at(now))
    }

    fn customer(&self, id: CustomerId) -> Reply<'_, Option<Customer>> {
        self.memory.customer(id)
    }

    fn customers(&self, page: PageQuery) -> Reply<'_, Page<Customer>> {
        Box::pin(async move { Ok(self.paged(self.memory.customers(page).await?)) })
    }

    fn accounts_of(&self, customer: CustomerId, page: PageQuery, now: Timestamp) -> Reply<'_, Page<Account>> {
        self.memory.accounts_of(customer, page, now)
    }

    fn system_accounts(&self) -> Reply<'_, Vec<Account>> {
        self.memory.system_accounts()
    }

    fn customer_sums(&self) -> Reply<'_, Vec<(Currency, i128)>> {
        self.memory.customer_sums()
    }

    fn hold(&self, id: HoldId, now: Timestamp) -> Reply<'_, Option<Hold>> {
        self.memory.hold(id, self.seen_at(now))
    }

    fn holds_of(&self, account: AccountId, page: PageQuery, now: Timestamp) -> Reply<'_, Page<Hold>> {
        self.memory.holds_of(account, page, now)
    }

    fn transfer(&self, id: TransferId) -> Reply<'_, Option<TransferView>> {
        self.memory.transfer(id)
    }

    fn transfers(&self, query: TransferQuery) -> Reply<'_, Page<TransferView>> {
        let account = if self.is(Defect::IgnoresTheAccount) { None } else { query.account };
        Box::pin(async move { Ok(self.paged(self.memory.transfers(TransferQuery { account, ..query }).await?)) })
    }

    fn postings(&self, query: PostingQuery) -> Reply<'_, Page<PostingRow>> {
        let side = if self.is(Defect::IgnoresTheSide) { None } else { query.side };
        Box::pin(async move { Ok(self.paged(self.memory.postings(PostingQuery { side, ..query }).await?)) })
    }

    fn balance_at(&self, query: BalanceQuery) -> Reply<'_, Option<i128>> {
        let earlier = query.at.microseconds() - u64::from(self.is(Defect::ExcludesTheInstant));
        let at = Timestamp::from_microseconds(earlier).expect("a time");
        self.memory.balance_at(BalanceQuery { at, ..query })
    }

    fn dead_letter(&self, id: DeadLetterId) -> Reply<'_, Option<(DeadLetter, EntryRef, EntryRef)>> {
        self.memory.dead_letter(id)
    }

    fn dead_letters(&self, page: PageQuery) -> Reply<'_, Page<DeadLetter>> {
        self.memory.dead_letters(page)
    }

    fn tokens(&self) -> Reply<'_, Vec<Token>> {
        self.memory.tokens()
    }

    fn entries(&self, query: EntryQuery) -> Reply<'_, Vec<EntryRef>> {
        self.memory.entries(query)
    }

    fn head(&self) -> Sequence {
        self.memory.head()
    }

    fn head_after(&self, sequence: Sequence) -> Reply<'_, Sequence> {
        self.memory.head_after(sequence)
    }

    fn positions(&self) -> Reply<'_, Positions> {
        self.memory.positions()
    }

    fn open_sagas(&self, query: SagaQuery) -> Reply<'_, Page<Saga>> {
        self.memory.open_sagas(query)
    }

    fn slots(&self) -> Reply<'_, Slots> {
        self.memory.slots()
    }

    fn account_ids(&self, after: Option<u64>, limit: usize) -> Reply<'_, Page<AccountId>> {
        self.memory.account_ids(after, limit)
    }

    fn accounts_in(&self, slot: u16, after: Option<AccountId>, limit: usize) -> Reply<'_, Vec<AccountId>> {
        self.memory.accounts_in(slot, after, limit)
    }

    fn entry_of_key(&self, digest: u128) -> Reply<'_, Option<EntryRef>> {
        self.memory.entry_of_key(digest)
    }

    fn lease(&self, holder: u128, microseconds: u64) -> Reply<'_, bool> {
        self.memory.lease(holder, microseconds)
    }

    fn due_holds(&self, now: Timestamp, limit: usize) -> Reply<'_, Vec<HoldId>> {
        self.memory.due_holds(now, limit)
    }

    fn verify(&self, progress: Arc<dyn Progress>) -> Reply<'_, VerifyReport> {
        self.memory.verify(progress)
    }

    fn stats(&self) -> Stats {
        self.memory.stats()
    }
}

/// Whether a claim holds for a store with this defect.
macro_rules! holds_for {
    ($defect:expr, $module:ident::$claim:ident) => {{
        let mut bench = Bench::new(|clock| Box::new(wrong($defect, clock)));
        catch_unwind(AssertUnwindSafe(|| block_on($module::$claim(&mut bench)))).is_ok()
    }};
}

macro_rules! notices {
    ($($test:ident: $defect:ident by $module:ident::$claim:ident;)*) => {$(
        #[test]
        fn $test() {
            assert!(holds_for!(Defect::None, $module::$claim), "the claim holds without a defect");
            assert!(!holds_for!(Defect::$defect, $module::$claim), "the claim holds though the store is wrong");
        }
    )*};
}

notices! {
    answers_in_reverse_are_noticed: AnswersInReverse by money::answers_align_with_their_requests;
    forgotten_keys_are_noticed: ForgetsKeys by keys::the_same_key_and_meaning_replays_the_same_entry;
    forgotten_keys_are_noticed_between_threads: ForgetsKeys by keys::the_same_keys_from_many_threads_have_one_effect_each;
    forgotten_rejections_are_noticed: ForgetsKeys by keys::a_rejection_is_final_for_its_key;
    ignored_fingerprints_are_noticed: IgnoresFingerprints by keys::a_key_with_another_meaning_is_reused_and_moves_nothing;
    dry_runs_that_act_are_noticed: DryRunsAct by money::a_dry_run_changes_nothing;
    batches_taken_apart_are_noticed: TakesBatchesApart by batches::an_atomic_batch_that_fails_at_any_transfer_leaves_nothing;
    overlapping_pages_are_noticed: PagesOverlap by paging::paging_gives_each_posting_and_transfer_once;
    skipping_pages_are_noticed: PagesSkip by paging::paging_gives_each_row_of_a_list_once;
    ignored_sides_are_noticed: IgnoresTheSide by queries::postings_are_what_a_full_scan_finds;
    ignored_accounts_are_noticed: IgnoresTheAccount by queries::transfers_are_what_a_full_scan_finds;
    excluded_instants_are_noticed: ExcludesTheInstant by queries::balances_at_a_time_add_up_on_both_axes;
    holds_that_never_end_are_noticed: HoldsNeverEnd by holds::a_due_hold_reserves_nothing_though_nobody_recorded_it;
    lagging_reads_are_noticed: ReadsLag by money::what_was_answered_is_seen_by_the_next_read;
    lost_entries_are_noticed: LosesTheLastEntry by reopening::every_row_is_as_it_was;
    ids_given_again_are_noticed: GivesIdsAgain by reopening::no_id_is_given_twice;
}
