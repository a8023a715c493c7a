//! The text of amounts. The first byte chooses the decimals, the rest is the text.

use ledger::amount::{Amount, AmountError};

/// Reads the text and compares with arithmetic of its own.
pub(crate) fn exercise(data: &[u8]) {
    let Some((first, text)) = data.split_first() else { return };
    let scale = first.wrapping_sub(b'0') % 5;
    let Ok(text) = std::str::from_utf8(text) else { return };
    let read = Amount::parse_or_zero(text, scale);
    assert_eq!(read.ok(), expected(text, scale), "{text:?} with {scale} decimals: {read:?}");
    match (read, Amount::parse(text, scale)) {
        (Ok(Amount::ZERO), moved) => assert_eq!(moved, Err(AmountError::Zero)),
        (read, moved) => assert_eq!(read, moved),
    }
    if let Ok(amount) = read {
        assert_eq!(Amount::parse_or_zero(&amount.decimal(scale).to_string(), scale), Ok(amount));
    }
}

/// Digits, at most one point with digits on both sides, no leading zero but one alone, 18 digits in minor units.
fn expected(text: &str, scale: u8) -> Option<Amount> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.')) && text.matches('.').count() < 2;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_whole = !whole.is_empty() && (whole == "0" || !whole.starts_with('0')) && !text.ends_with('.');
    if !is_plain || !is_whole || usize::from(scale) < decimals.len() || 18 < whole.len() {
        return None;
    }
    let digits = format!("{whole}{decimals:0<width$}", width = usize::from(scale));
    digits.parse().ok().and_then(Amount::new)
}
