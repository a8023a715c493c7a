//! The latest postings of an account and those of a month, from memory.
//!
//! 1. The account's own row is read at its shard, by its primary key. Its version counts its postings, and a posting never
//!    changes: so what was known of the account at that version is what there is, and anything else is not used. No read is
//!    older than what its caller was told.
//! 2. This process remembers what it read last, within a bound of bytes.
//! 3. Where nodes share a cache, it is asked next. It is trusted with nothing: what it says counts only with this bank's
//!    signature for this account, at the version that the row has. It may be away, empty or lie; then reads are slower.
//! 4. What is known of an older version is made up for by the postings after it; else the shard is asked for all.
//!
//! A follower of the journal ([`Bank::keep_histories`]) adds new postings to what the shared cache has of an account, so that
//! a node finds there what another one committed.

mod memory;
mod shared;
mod window;

use crate::Bank;
use crate::month::Month;
use crate::ports::SharedCache;
use ledger::account::Account;
use ledger::ids::{AccountId, ShardId};
use memory::Memory;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use store::Fault;
use store::query::{Filter, PAGE_MAX, Page, PostingQuery, PostingRow, TimeAxis};
use window::Window;

/// Most of the latest postings that are remembered of an account.
pub const LATEST_MAX: usize = 50;
/// Most postings of a month that are remembered.
pub const MONTH_MAX: usize = 100;
/// How many postings an account may have got for what was known before to be made up for.
const MISSED_MAX: u64 = 100;

/// What is remembered of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum View {
    /// Its newest postings.
    Latest,
    /// The newest with a value date in a month.
    Month(Month),
}

impl View {
    fn most(self) -> usize {
        match self {
            View::Latest => LATEST_MAX,
            View::Month(_) => MONTH_MAX,
        }
    }

    fn filter(self) -> Filter {
        match self {
            View::Latest => Filter::default(),
            View::Month(month) => Filter {
                since: Some(month.start()),
                until: Some(month.end()),
                axis: TimeAxis::Effective,
                ..Filter::default()
            },
        }
    }
}

/// What is remembered, here and in the cache that nodes share.
pub(crate) struct Histories {
    memory: Memory,
    shared: OnceLock<Arc<dyn SharedCache>>,
    secret: [u8; 32],
    counted: [AtomicU64; Answered::ALL.len()],
    refused: [AtomicU64; Refused::ALL.len()],
    behind: Mutex<BTreeMap<ShardId, u64>>,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// This process's memory.
    Memory,
    /// The cache that nodes share.
    Shared,
    /// Something older, and the postings after it from the shard.
    MadeUp,
    /// The shard.
    Store,
}

impl Answered {
    /// All of them.
    pub const ALL: [Answered; 4] = [Answered::Memory, Answered::Shared, Answered::MadeUp, Answered::Store];

    /// The word for it in figures.
    pub const fn name(self) -> &'static str {
        match self {
            Answered::Memory => "memory",
            Answered::Shared => "shared",
            Answered::MadeUp => "made_up",
            Answered::Store => "store",
        }
    }
}

/// Why something in the shared cache was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The account's row has another version.
    Stale,
    /// It is not signed by this bank for this account.
    Forged,
    /// The cache did not answer.
    Away,
}

impl Refused {
    /// All of them.
    pub const ALL: [Refused; 3] = [Refused::Stale, Refused::Forged, Refused::Away];

    /// The word for it in figures.
    pub const fn name(self) -> &'static str {
        match self {
            Refused::Stale => "stale",
            Refused::Forged => "forged",
            Refused::Away => "away",
        }
    }
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryFigures {
    /// Answers, in the order of [`Answered::ALL`].
    pub answered: [u64; Answered::ALL.len()],
    /// What was not used of the shared cache, in the order of [`Refused::ALL`].
    pub refused: [u64; Refused::ALL.len()],
    /// Entries of the journals by which this node's followers were behind when they looked last.
    pub behind: u64,
}

impl Histories {
    pub(crate) fn new(secret: [u8; 32]) -> Histories {
        let (counted, refused, behind) = Default::default();
        Histories { memory: Memory::default(), shared: OnceLock::new(), secret, counted, refused, behind }
    }

    fn answered(&self, answered: Answered) {
        self.counted[answered as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn refused(&self, refused: Refused) {
        self.refused[refused as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Bank {
    /// Has the nodes of this bank share what they know of histories. Only the first cache counts.
    pub fn share_histories(&self, cache: Arc<dyn SharedCache>) {
        // One that was there before stays: a bank is opened once.
        _ = self.histories.shared.set(cache);
    }

    /// What was counted of histories since the start.
    pub fn history_figures(&self) -> HistoryFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let histories = &self.histories;
        HistoryFigures {
            answered: std::array::from_fn(|index| read(&histories.counted[index])),
            refused: std::array::from_fn(|index| read(&histories.refused[index])),
            behind: histories.behind.lock().unwrap_or_else(PoisonError::into_inner).values().sum(),
        }
    }

    /// The newest postings of an account whose row was just read. They are as new as the row; of their transfers they have
    /// what concerns this account alone.
    ///
    /// # Errors
    /// A fault of the shard.
    pub async fn latest_postings(&self, account: &Account, limit: usize) -> Result<Page<PostingRow>, Fault> {
        self.remembered(account, View::Latest, limit).await
    }

    /// The postings with a value date in a month, newest version first, as [`Bank::latest_postings`].
    ///
    /// # Errors
    /// A fault of the shard.
    pub async fn month_postings(
        &self,
        account: &Account,
        month: Month,
        limit: usize,
    ) -> Result<Page<PostingRow>, Fault> {
        self.remembered(account, View::Month(month), limit).await
    }

    async fn remembered(&self, account: &Account, view: View, limit: usize) -> Result<Page<PostingRow>, Fault> {
        if limit <= view.most() {
            let window = self.window(account, view).await?;
            if let Some(page) = window.page(limit) {
                return Ok(page);
            }
        }
        let query = PostingQuery { account: account.id, side: None, filter: view.filter(), before: None, limit };
        self.postings(query).await
    }

    async fn window(&self, account: &Account, view: View) -> Result<Arc<Window>, Fault> {
        let histories = &self.histories;
        let here = histories.memory.get(account.id, view);
        if let Some(window) = here.as_ref().filter(|window| window.is_of(account, view)) {
            histories.answered(Answered::Memory);
            return Ok(window.clone());
        }
        let shared = histories.shared(account.id, view).await;
        if let Some(window) = shared.as_ref().filter(|window| window.is_of(account, view)) {
            histories.answered(Answered::Shared);
            histories.memory.keep(account.id, view, window);
            return Ok(window.clone());
        }
        if shared.is_some() {
            histories.refused(Refused::Stale);
        }
        let older = |window: &Arc<Window>| (1..=MISSED_MAX).contains(&account.version.saturating_sub(window.version));
        let known = [here, shared].into_iter().flatten().filter(older).max_by_key(|window| window.version);
        let window = match known {
            Some(known) => self.made_up(account, view, &known).await?,
            None => None,
        };
        let window = match window {
            Some(window) => {
                histories.answered(Answered::MadeUp);
                window
            }
            None => {
                histories.answered(Answered::Store);
                let (rows, is_all) = self.gathered(account, view, 0).await?;
                Arc::new(Window { version: account.version, rows, is_all })
            }
        };
        histories.memory.keep(account.id, view, &window);
        histories.share(account.id, view, &window).await;
        Ok(window)
    }

    /// What was known, and the postings after it; `None` if that does not come to what the row says, as after a backup was
    /// restored.
    async fn made_up(&self, account: &Account, view: View, known: &Window) -> Result<Option<Arc<Window>>, Fault> {
        let (rows, reaches) = self.gathered(account, view, known.version).await?;
        let window = if reaches {
            known.with(rows, account.version, view)
        } else {
            // More came than are remembered: what was known is not next to it.
            Window { version: account.version, rows, is_all: false }
        };
        Ok(window.is_of(account, view).then(|| Arc::new(window)))
    }

    /// The postings of a view after a version, up to the row's, newest first and at most so many as are remembered; and
    /// whether they are all of those.
    async fn gathered(&self, account: &Account, view: View, after: u64) -> Result<(Vec<PostingRow>, bool), Fault> {
        let (most, filter) = (view.most(), view.filter());
        let missed = usize::try_from(account.version - after).unwrap_or(usize::MAX);
        let limit = if view == View::Latest { missed.clamp(1, most) } else { most };
        let (mut rows, mut before) = (Vec::new(), None);
        loop {
            let query = PostingQuery {
                account: account.id,
                side: None,
                filter: filter.clone(),
                before,
                limit: limit.min(PAGE_MAX),
            };
            let page = self.postings(query).await?;
            for row in page.items {
                match row.parts().map_or(0, |(posting, ..)| posting.version) {
                    version if version <= after => return Ok((rows, true)),
                    version if account.version < version => {}
                    _ if rows.len() == most => return Ok((rows, false)),
                    _ => rows.push(window::slim(&row)),
                }
            }
            match page.next {
                Some(_) if rows.len() == missed => return Ok((rows, true)),
                Some(_) if rows.len() == most => return Ok((rows, false)),
                Some(next) => before = Some(next),
                None => return Ok((rows, true)),
            }
        }
    }
}

/// The name of what is remembered of an account, in a shared cache.
fn name(account: AccountId, view: View) -> String {
    match view {
        View::Latest => format!("history/{account}"),
        View::Month(month) => format!("history/{account}/{month}"),
    }
}
