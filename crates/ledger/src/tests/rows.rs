//! All rows of a set in an order of their own, so that two sets can be compared.

use crate::account::{Account, SystemAccount};
use crate::customer::Customer;
use crate::dead_letter::DeadLetter;
use crate::hold::Hold;
use crate::ids::HoldId;
use crate::table::{Row, Table};
use crate::token::Token;
use crate::working_set::{Reversal, WorkingSet};

/// See the module. A standard account of the bank without postings counts as absent.
#[derive(Debug, PartialEq)]
pub(super) struct Rows {
    accounts: Vec<Account>,
    holds: Vec<Hold>,
    holds_of: Vec<Vec<HoldId>>,
    customers: Vec<Customer>,
    dead_letters: Vec<DeadLetter>,
    tokens: Vec<Token>,
    reversals: Vec<Reversal>,
    last_id: u64,
}

impl Rows {
    pub(super) fn of(set: &WorkingSet) -> Rows {
        let mut accounts = sorted(&set.accounts);
        accounts.retain(|account| {
            let is_standard = SystemAccount::from_id(account.id).is_some_and(SystemAccount::is_standard);
            !is_standard || account.version != 0
        });
        Rows {
            holds_of: accounts.iter().map(|account| set.holds_of(account.id).to_vec()).collect(),
            accounts,
            holds: sorted(&set.holds),
            customers: sorted(&set.customers),
            dead_letters: sorted(&set.dead_letters),
            tokens: sorted(&set.tokens),
            reversals: sorted(&set.reversals),
            last_id: set.ids.last(),
        }
    }
}

fn sorted<R: Row>(table: &Table<R>) -> Vec<R> {
    let mut rows: Vec<R> = table.iter().cloned().collect();
    rows.sort_by_key(Row::id);
    rows
}
