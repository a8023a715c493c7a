//! Events that took no effect, and their second chances.

use super::check::check;

#[test]
fn an_event_takes_effect_or_becomes_a_dead_letter_under_the_same_key() {
    check(
        "
        account    A 100                  => opened
        account    B                      => opened
        ingest     E1 transfer A>B 70     => transferred
        ingest     E1 transfer A>B 70     => replayed
        ingest     E2 transfer A>B 70     => dead_letter
        letter_is  E2 waiting attempts 1 code insufficient_funds
        deposit    D1 A 100               => transferred
        ingest     E2 transfer A>B 70     => replayed              // whatever became of it since
        balance    B 70
        ingest     E3 deposit nobody 5    => dead_letter
        letter_is  E3 waiting attempts 1 code account_not_found
        ingest     E4 account C of nobody => dead_letter
        letter_is  E4 waiting attempts 1 code user_not_found
        ingest     E5 user V id 9         => registered
        ingest     E6 user V id 9 as v    => dead_letter
        letter_is  E6 waiting attempts 1 code id_taken
        ingest     - deposit nobody 5     => dead_letter           // without a key too
        letter     L1 malformed           => dead_letter
        letter_is  L1 waiting attempts 1 code malformed
        balance    A 130 version 3
    ",
    );
}

#[test]
fn an_attempt_is_recorded_before_it_is_made_and_once_at_a_time() {
    check(
        "
        letter     L malformed            => dead_letter
        redrive    L                      => begun
        letter_is  L waiting attempts 2 code malformed
        redrive    L                      => nothing               // whoever asks carries the open one on
        discard    L never                => nothing               // it may still take effect
        finish     L 1                    => nothing               // that one ended long ago
        finish     L 3                    => nothing
        finish     L 2 failed unknown     => failed
        letter_is  L waiting attempts 2 code unknown
        finish     L 2                    => nothing
        redrive    L with better          => begun
        finish     L 3                    => redriven
        letter_is  L redriven attempts 3 code unknown
        redrive    L                      => nothing
        discard    L never                => nothing
        letter_is  L redriven attempts 3 code unknown
    ",
    );
}

#[test]
fn a_discarded_letter_never_takes_effect() {
    check(
        "
        letter     L malformed            => dead_letter
        discard    L never                => discarded
        discard    L never                => nothing
        redrive    L                      => nothing
        letter_is  L discarded attempts 1 code malformed
        redrive    nobody                 => dead_letter_not_found
        finish     nobody 1               => dead_letter_not_found
        discard    nobody never           => dead_letter_not_found
    ",
    );
}
