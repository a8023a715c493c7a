//! Verification of the store in memory: the journal alone gives the rows, and the rows keep what double entry promises.

use super::{Identity, State, replayed};
use crate::report::{Check, Progress, VerifyReport};
use ledger::account::Account;
use ledger::ids::AccountId;
use ledger::saga::StepKind;
use ledger::table::{Row, Table};
use ledger::working_set::WorkingSet;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl State {
    pub(super) fn verify(&self, identity: &Identity, progress: &dyn Progress) -> Result<VerifyReport, String> {
        let total = self.entries.len() as u64;
        progress.report("replay", 0, total);
        let again = catch_unwind(AssertUnwindSafe(|| replayed(identity, &self.entries)));
        let again = again.map_err(|_| "the journal cannot be replayed".to_string())?;
        progress.report("replay", total, total);
        Ok(VerifyReport {
            checks: vec![
                self.check_sequence(),
                Check { name: "replay gives the stored state", count: total, failure: difference(&self.set, &again) },
                self.check_versions(),
                self.check_sums(),
            ],
        })
    }

    fn check_sequence(&self) -> Check {
        let wrong = (1..).zip(&self.entries).find(|(expected, entry)| entry.header.sequence != *expected);
        let failure = wrong
            .map(|(expected, entry)| format!("entry {} is where entry {expected} should be", entry.header.sequence));
        Check { name: "entries without gaps", count: self.entries.len() as u64, failure }
    }

    fn check_versions(&self) -> Check {
        let mut known = BTreeMap::new();
        let mut check = Check { name: "versions without gaps", count: 0, failure: None };
        for entry in &self.entries {
            // An account from another shard goes on from where it was there, whatever is known of it here.
            if let Some(step) = crate::query::saga_step(entry)
                && let (StepKind::MovedIn, Some(moved)) = (step.kind, &step.moved)
            {
                known.insert(moved.account.id, (moved.account.version, 0));
            }
            for posting in crate::transfers_of(&entry.outcome).iter().flat_map(|transfer| transfer.postings.iter()) {
                let (version, balance) = known.entry(posting.account).or_insert((0, 0));
                (*version, *balance) = (*version + 1, *balance + posting.signed());
                check.count += 1;
                if (*version, *balance) != (posting.version, posting.balance_after) && check.failure.is_none() {
                    check.failure = Some(format!("account {} version {}", posting.account, posting.version));
                }
            }
        }
        check
    }

    fn check_sums(&self) -> Check {
        let sums = self.set.sums();
        let wrong = sums.iter().find(|(_, sum)| *sum != 0);
        let failure = wrong.map(|(currency, sum)| format!("all balances in {currency} add up to {sum} minor units"));
        Check { name: "sums are zero", count: sums.len() as u64, failure }
    }
}

/// The first thing in which two sets differ.
fn difference(set: &WorkingSet, again: &WorkingSet) -> Option<String> {
    let (accounts, others) = (visible(set), visible(again));
    if accounts != others {
        let wrong = accounts.values().find(|account| others.get(&account.id) != Some(*account));
        return Some(wrong.map_or_else(|| "accounts".into(), |account| format!("account {}", account.id)));
    }
    first_difference("hold", &set.holds, &again.holds)
        .or_else(|| first_difference("customer", &set.customers, &again.customers))
        .or_else(|| first_difference("dead letter", &set.dead_letters, &again.dead_letters))
        .or_else(|| first_difference("token", &set.tokens, &again.tokens))
        .or_else(|| first_difference("reversal of transfer", &set.reversals, &again.reversals))
        .or_else(|| (set.sagas != again.sagas || set.slots != again.slots).then(|| "sagas, positions and slots".into()))
        .or_else(|| (set.ids != again.ids).then(|| "the last id".into()))
}

fn visible(set: &WorkingSet) -> BTreeMap<AccountId, &Account> {
    set.accounts.iter().filter(|account| State::is_visible(account)).map(|account| (account.id, account)).collect()
}

fn first_difference<R: Row + PartialEq>(what: &str, rows: &Table<R>, again: &Table<R>) -> Option<String> {
    let wrong = rows.iter().zip(again.iter()).find(|(row, other)| row != other);
    wrong
        .map(|(row, _)| format!("{what} {}", row.id()))
        .or_else(|| (rows.len() != again.len()).then(|| format!("count of {what}s")))
}
