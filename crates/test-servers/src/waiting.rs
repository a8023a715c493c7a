//! Waiting for what another program does: it gives no sign, so it is asked again and again.

use std::time::{Duration, Instant};

/// How long it is left alone before it is asked once more.
const ASKED_EVERY: Duration = Duration::from_millis(20);

/// Asks for so long whether it is so; false if it never was.
#[expect(clippy::disallowed_methods, reason = "nothing tells when something happens in another process")]
pub fn comes_true(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        if patience <= begun.elapsed() {
            return false;
        }
        std::thread::sleep(ASKED_EVERY);
    }
}
