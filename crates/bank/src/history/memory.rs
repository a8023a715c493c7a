//! What this process remembers of histories, within a bound of bytes. What was not asked for since the bound was reached
//! twice is forgotten.

use super::View;
use super::window::Window;
use ledger::ids::AccountId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of one of the two generations, about.
const GENERATION_BYTES_MAX: usize = 32 * 1024 * 1024;

type Windows = HashMap<(AccountId, View), Arc<Window>>;

/// See the module.
#[derive(Default)]
pub(super) struct Memory {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: Windows,
    old: Windows,
    young_bytes: usize,
}

impl Memory {
    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, account: AccountId, view: View) -> Option<Arc<Window>> {
        let mut generations = self.generations();
        if let Some(window) = generations.young.get(&(account, view)) {
            return Some(window.clone());
        }
        let window = generations.old.remove(&(account, view))?;
        generations.keep(account, view, &window);
        Some(window)
    }

    /// Keeps a window in place of what was known.
    pub(super) fn keep(&self, account: AccountId, view: View, window: &Arc<Window>) {
        self.generations().keep(account, view, window);
    }
}

impl Generations {
    fn keep(&mut self, account: AccountId, view: View, window: &Arc<Window>) {
        self.young_bytes += window.bytes();
        if let Some(before) = self.young.insert((account, view), window.clone()) {
            self.young_bytes = self.young_bytes.saturating_sub(before.bytes());
        }
        if GENERATION_BYTES_MAX < self.young_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}
