//! What happened in a world, line by line, as one hash: two runs of a seed must give the same.

use std::sync::{Arc, Mutex, PoisonError};

/// The record of one run. Clones write into the same record.
#[derive(Clone)]
pub struct Trace {
    state: Arc<Mutex<State>>,
}

struct State {
    hasher: blake3::Hasher,
    lines: u64,
    kept: Option<Vec<String>>,
}

impl Trace {
    /// An empty trace. The lines themselves are kept only where somebody will read them.
    pub fn new(keeps_lines: bool) -> Trace {
        let state = State { hasher: blake3::Hasher::new(), lines: 0, kept: keeps_lines.then(Vec::new) };
        Trace { state: Arc::new(Mutex::new(state)) }
    }

    /// Adds a line.
    pub fn note(&self, now: u64, line: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.hasher.update(&now.to_le_bytes());
        state.hasher.update(&(line.len() as u64).to_le_bytes());
        state.hasher.update(line.as_bytes());
        state.lines += 1;
        if let Some(kept) = &mut state.kept {
            kept.push(format!("{now:>12} {line}"));
        }
    }

    /// The hash of all lines so far.
    pub fn hash(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.hasher.finalize().to_hex()[..16].to_string()
    }

    /// Count of lines so far.
    pub fn length(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).lines
    }

    /// The lines, where they are kept.
    pub fn lines(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).kept.clone().unwrap_or_default()
    }
}
