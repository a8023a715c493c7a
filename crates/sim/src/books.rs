//! What the bank shows to whoever reads all of it: accounts with their histories, transfers, holds, sums and journals.

use crate::heard::SeenTransfer;
use bank::Bank;
use ledger::account::Account;
use ledger::dead_letter::DeadLetterStatus;
use ledger::hold::Hold;
use ledger::ids::{AccountId, HoldId, Sequence, TransferId};
use ledger::time::Timestamp;
use ledger::transfer::{Posting, TransferKind};
use std::collections::{BTreeMap, BTreeSet};
use store::Fault;
use store::query::{EntryQuery, Filter, PAGE_MAX, PageQuery, PostingQuery, TransferQuery};

/// A posting in an account's history.
#[derive(Clone, Debug)]
pub struct SeenPosting {
    /// The posting.
    pub posting: Posting,
    /// The transfer it is of.
    pub transfer: TransferId,
    /// The reference of that.
    pub reference: Option<String>,
    /// Whether the check of funds was skipped.
    pub forced: bool,
    /// What that is called.
    pub kind: TransferKind,
    /// When it was booked.
    pub booked_at: Timestamp,
}

/// An account with all its postings, oldest first.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The account.
    pub account: Account,
    /// Its postings.
    pub postings: Vec<SeenPosting>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Accounts, customers' and the bank's own.
    pub accounts: BTreeMap<AccountId, Statement>,
    /// All transfers with their reversals, as listed.
    pub transfers: Vec<(SeenTransfer, Option<TransferId>)>,
    /// Holds of customers' accounts.
    pub holds: BTreeMap<HoldId, Hold>,
    /// The ids of the events that wait as dead letters.
    pub waiting: Vec<String>,
    /// The sum of all balances of a shard and currency, named.
    pub sums: Vec<(String, i128)>,
    /// Each shard's journal: places and times.
    pub journals: Vec<Vec<(Sequence, Timestamp)>>,
}

/// Rows of a page that is read: small, so that pages are turned.
const ROWS: usize = 20;

impl Books {
    /// Reads everything of a bank in which nothing happens any more, for these customers' accounts and its own.
    ///
    /// # Errors
    /// A fault of a shard.
    pub async fn read(bank: &Bank, customers: &BTreeSet<AccountId>) -> Result<Books, Fault> {
        let mut books = Books::default();
        for balance in bank.system_balances().await? {
            books.sums.push((format!("shard {} {}", balance.shard, balance.currency), balance.total));
            for account in balance.accounts {
                let postings = postings(bank, account.id).await?;
                books.accounts.insert(account.id, Statement { account, postings });
            }
        }
        for id in customers {
            let Some(account) = bank.account(*id).await? else { continue };
            let postings = postings(bank, *id).await?;
            books.accounts.insert(*id, Statement { account, postings });
            let page = PageQuery { before: None, limit: PAGE_MAX, status: None };
            books.holds.extend(bank.holds_of(*id, page).await?.items.into_iter().map(|hold| (hold.id, hold)));
        }
        books.transfers = transfers(bank).await?;
        books.waiting = waiting(bank).await?;
        for store in bank.shards() {
            let mut journal: Vec<(Sequence, Timestamp)> = Vec::new();
            loop {
                let after = journal.last().map_or(0, |(sequence, _)| *sequence);
                let entries = store.entries(EntryQuery { after, limit: PAGE_MAX }).await?;
                if entries.is_empty() {
                    break;
                }
                journal.extend(entries.iter().map(|entry| (entry.header.sequence, entry.header.time)));
            }
            books.journals.push(journal);
        }
        Ok(books)
    }
}

async fn postings(bank: &Bank, account: AccountId) -> Result<Vec<SeenPosting>, Fault> {
    let mut query = PostingQuery { account, side: None, filter: Filter::default(), before: None, limit: ROWS };
    let mut seen = Vec::new();
    loop {
        let page = bank.postings(query.clone()).await?;
        seen.extend(page.items.iter().filter_map(|row| {
            let (posting, transferred, entry) = row.parts()?;
            let reference = transferred.note.as_deref().and_then(|note| note.reference.as_deref());
            Some(SeenPosting {
                posting: *posting,
                transfer: transferred.id,
                reference: reference.map(str::to_string),
                forced: transferred.forced,
                kind: transferred.kind,
                booked_at: entry.header.time,
            })
        }));
        match page.next {
            Some(next) => query.before = Some(next),
            None => break,
        }
    }
    seen.reverse();
    Ok(seen)
}

async fn transfers(bank: &Bank) -> Result<Vec<(SeenTransfer, Option<TransferId>)>, Fault> {
    let query = TransferQuery { account: None, filter: Filter::default(), before: None, limit: PAGE_MAX };
    let (mut seen, mut from) = (Vec::new(), None);
    loop {
        let page = bank.transfers(&query, from.as_ref()).await?;
        let rows = page.items.iter();
        seen.extend(rows.filter_map(|row| Some((SeenTransfer::of_details(row)?, row.view.reversed_by))));
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(seen),
        }
    }
}

async fn waiting(bank: &Bank) -> Result<Vec<String>, Fault> {
    let (mut ids, mut from) = (Vec::new(), None);
    loop {
        let page = bank.dead_letters(Some(DeadLetterStatus::Waiting), ROWS, from.as_ref()).await?;
        let events = page.items.iter().filter_map(|view| view.event.as_deref());
        ids.extend(events.map(|event| id_of(event.get()).to_string()));
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(ids),
        }
    }
}

/// The id of an event as these clients write them.
fn id_of(event: &str) -> &str {
    event.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default()
}
