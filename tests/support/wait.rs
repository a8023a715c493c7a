//! Waiting for what happens in other processes, with a bound, so that what hangs fails a test instead of hanging it.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Longer than anything takes, also where other programs leave these tests a quarter of a processor.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How often what is broken is broken: so often, or as often as the long form of these tests asks for.
pub(crate) fn rounds(short: usize) -> usize {
    std::env::var("FAULT_ROUNDS").map_or(short, |rounds| rounds.parse().expect("a number of rounds"))
}

/// Whether these tests run in their long form.
pub(crate) fn is_long() -> bool {
    std::env::var_os("FAULT_ROUNDS").is_some()
}

/// Lets time pass.
pub(crate) fn wait_for(time: Duration) {
    let (waited, pause) = (now(), (Mutex::new(()), Condvar::new()));
    while let Some(rest) = time.checked_sub(waited.elapsed()) {
        let guard = pause.0.lock().expect("nobody panics");
        drop(pause.1.wait_timeout(guard, rest));
    }
}

/// Asks again and again until it is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = now();
    while !is_so() {
        assert!(waited.elapsed() < PATIENCE, "waited in vain until {what}");
        wait_for(Duration::from_millis(20));
    }
}

/// The time, to see how long something took.
#[expect(clippy::disallowed_methods, reason = "what hangs must fail a test some time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
