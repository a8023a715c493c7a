//! The suite that every engine passes: what a [`Store`] promises, claim by claim.
//!
//! An engine's tests call it with one line, naming a function that makes a [`Fixture`]:
//!
//! ```ignore
//! store::conformance_suite!(fresh_shard);
//!
//! fn fresh_shard(clock: store::model::Clock) -> Box<dyn store::conformance::Fixture> { ... }
//! ```
//!
//! `conformance_suite!(one_of_several, several)` makes the tests of one shard of several, on a fixture that has an
//! [`identity`](Fixture::identity) of its own.
//!
//! Each claim becomes a test of its own, on a fresh and empty shard: shard 0 that owns every slot, but for those of one
//! shard of several. A claim is an async function
//! that panics where the store does not keep it. Nothing here needs a runtime: [`block_on`] drives the futures.

pub mod ask;
pub mod batches;
pub mod bench;
pub mod dead_letters;
pub mod holds;
pub mod keys;
pub mod kinds;
pub mod money;
pub mod moves;
pub mod net;
pub mod oracle;
pub mod paging;
pub mod queries;
pub mod reopening;
pub mod saga_claims;
pub mod saga_ends;
pub mod saga_reads;
pub mod sagas;
pub mod sharding;
pub mod tokens;
pub mod workload;

use crate::Store;
use crate::model::Identity;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// A shard under test.
pub trait Fixture: Send {
    /// The store.
    fn store(&self) -> &dyn Store;

    /// Which shard it is, and the slots it owns. The only shard of a bank, unless it says otherwise.
    fn identity(&self) -> Identity {
        Identity::only_shard()
    }

    /// Closes the store as a clean shutdown does, and opens it again on the same data with the same clock.
    fn reopen(&mut self);

    /// Brings what the engine does in the background to an end, where it does such things: indexes, checkpoints.
    fn settle(&mut self) {}
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Makes a test of every claim. Takes the name of a function from a [`Clock`](crate::model::Clock) to a boxed
/// [`Fixture`](crate::conformance::Fixture). With `several` after it, the fixture is one shard of several: its number is
/// not 0, and it owns a part of the slots.
#[macro_export]
macro_rules! conformance_suite {
    ($make:path) => {
        $crate::conformance_suite! { $make;
            money:
                answers_align_with_their_requests,
                what_was_answered_is_seen_by_the_next_read,
                a_dry_run_changes_nothing,
                a_dry_run_says_what_would_happen,
                versions_have_no_gaps,
                balances_of_each_currency_sum_to_zero,
                transfers_in_both_directions_at_once_lose_nothing,
                a_transfer_is_reversed_once,
                a_chain_is_reversed_though_its_middle_is_empty,
                time_never_goes_back,
                a_submission_may_be_as_large_as_the_maximum,
                readers_see_rows_that_belong_together;
            keys:
                the_same_key_and_meaning_replays_the_same_entry,
                a_key_with_another_meaning_is_reused_and_moves_nothing,
                a_rejection_is_final_for_its_key,
                a_rejection_without_a_key_leaves_no_entry,
                a_key_repeated_inside_one_submission_replays,
                the_same_keys_from_many_threads_have_one_effect_each,
                a_command_that_breaks_the_rule_book_is_rejected_for_good,
                a_dry_run_that_breaks_the_rule_book_is_answered;
            batches:
                an_atomic_batch_is_one_entry,
                a_transfer_of_a_batch_may_spend_what_an_earlier_one_brought,
                an_atomic_batch_that_fails_at_any_transfer_leaves_nothing,
                a_transfer_that_fails_at_any_leg_leaves_nothing,
                a_transfer_of_the_largest_size_fits,
                a_batch_of_the_largest_size_fits;
            holds:
                a_hold_reserves_until_it_ends,
                a_due_hold_reserves_nothing_though_nobody_recorded_it,
                an_account_does_not_count_holds_that_are_due,
                a_command_records_first_that_holds_are_due,
                one_of_many_captures_takes_effect,
                due_holds_are_listed_until_they_are_recorded;
            queries:
                postings_are_what_a_full_scan_finds,
                transfers_are_what_a_full_scan_finds,
                balances_at_a_time_add_up_on_both_axes,
                entries_come_in_order_without_gaps,
                what_does_not_exist_is_not_found,
                only_accounts_of_the_bank_that_are_used_are_listed,
                counters_agree_with_the_journal;
            paging:
                paging_gives_each_posting_and_transfer_once,
                paging_gives_each_row_of_a_list_once,
                every_account_of_a_customer_is_listed_once,
                a_list_that_grows_does_not_disturb_its_pages;
            dead_letters:
                an_event_that_is_rejected_becomes_a_dead_letter,
                an_event_sent_again_makes_no_second_dead_letter,
                a_redrive_is_one_attempt_at_a_time,
                dead_letters_are_listed_by_status;
            tokens:
                a_revoked_token_is_listed_as_such,
                a_customer_registered_again_is_the_same,
                changes_of_an_account_are_seen_and_counted;
            oracle:
                the_same_requests_come_to_the_same_as_in_memory,
                holds_expire_for_all_to_see_at_the_same_moment;
            reopening:
                every_row_is_as_it_was,
                old_keys_have_their_old_answers,
                no_id_is_given_twice,
                a_reversal_stays_the_only_one,
                history_goes_on_without_a_seam,
                verification_finds_nothing_wrong;
            sagas:
                every_kind_of_saga_works,
                every_message_of_a_saga_counts_once_and_in_its_order,
                a_refused_saga_leaves_a_clean_world_and_one_refund,
                a_saga_that_everybody_refuses_fails_once,
                a_reopened_shard_goes_on_with_its_sagas;
            saga_claims:
                a_hold_is_open_again_unless_its_time_is_over,
                a_hold_that_opens_again_reserves_no_more_than_there_is,
                captures_that_fail_one_after_the_other_give_back_what_each_took,
                a_reversal_under_way_is_the_only_one,
                a_failed_transfer_is_not_reversed,
                a_transfer_of_one_shard_is_reversed_between_two;
            saga_ends:
                a_message_from_beyond_a_gap_changes_nothing,
                a_rejected_start_changes_nothing,
                a_frozen_account_gets_its_refund,
                an_account_that_may_not_be_credited_refuses,
                a_promise_is_kept_and_keeps_its_account_open,
                a_debited_account_is_not_closed_before_its_saga_ends,
                a_refund_and_a_promised_credit_may_exceed_the_bound,
                an_operator_gets_the_money_back_while_nothing_is_decided,
                an_event_whose_saga_fails_becomes_a_dead_letter,
                limits_hold_between_shards,
                a_refund_gives_back_to_the_day_it_was_taken_on,
                the_value_date_is_never_after_the_booking,
                a_refund_has_the_value_date_of_what_it_gives_back,
                ids_of_other_shards_do_not_move_the_ids_of_this_one,
                verification_finds_nothing_wrong_with_sagas;
            moves:
                an_account_moves_with_all_it_has,
                a_moved_account_is_turned_away_and_nothing_is_recorded,
                keys_and_history_stay_where_they_were_written,
                an_account_arrives_once,
                a_fenced_slot_turns_new_sagas_away,
                an_account_leaves_when_nothing_of_it_is_under_way,
                an_account_moves_on_with_what_happened_meanwhile,
                accounts_move_whatever_their_balance_and_status,
                a_shard_opens_no_account_in_a_slot_that_it_gave_up,
                replay_and_verification_know_accounts_that_moved,
                a_saga_by_an_old_map_is_turned_away;
            saga_reads:
                a_transfer_tells_how_far_it_is,
                each_transfer_of_a_batch_tells_its_end,
                lists_have_each_transfer_once,
                notes_are_found_on_every_shard,
                histories_between_shards_have_no_gaps,
                open_sagas_are_paged,
                a_replay_of_the_journal_leads_to_the_same_sagas;
        }
    };
    ($make:path, several) => {
        mod one_of_several_shards {
            use super::*;

            $crate::conformance_suite! { $make;
                sharding:
                    ids_the_bank_chooses_carry_the_shard_and_are_in_owned_slots,
                    the_standard_accounts_of_the_bank_belong_to_the_shard,
                    only_customers_of_the_shard_have_to_be_registered_on_it,
                    a_reopened_shard_goes_on_giving_out_its_own_ids;
                sagas:
                    every_kind_of_saga_works,
                    every_message_of_a_saga_counts_once_and_in_its_order,
                    a_refused_saga_leaves_a_clean_world_and_one_refund,
                    a_saga_that_everybody_refuses_fails_once,
                    a_reopened_shard_goes_on_with_its_sagas;
                moves:
                    an_account_moves_with_all_it_has,
                    a_moved_account_is_turned_away_and_nothing_is_recorded,
                    keys_and_history_stay_where_they_were_written,
                    an_account_arrives_once,
                    a_fenced_slot_turns_new_sagas_away,
                    an_account_leaves_when_nothing_of_it_is_under_way,
                    an_account_moves_on_with_what_happened_meanwhile,
                    accounts_move_whatever_their_balance_and_status,
                    a_shard_opens_no_account_in_a_slot_that_it_gave_up,
                    replay_and_verification_know_accounts_that_moved,
                    a_saga_by_an_old_map_is_turned_away;
            }
        }
    };
    ($make:path; $($module:ident: $($claim:ident),+;)+) => {$($(
        #[test]
        fn $claim() {
            let mut bench = $crate::conformance::bench::Bench::new($make);
            $crate::conformance::block_on($crate::conformance::$module::$claim(&mut bench));
        }
    )+)+};
}
