//! Writes the pieces of an answer straight into its bytes: strings, ids, amounts, times. No formatting machinery, no
//! intermediate values: this is the hot end of every transfer.

use ledger::currency::Currency;
use ledger::time::Timestamp;

/// The decimal digits of a number.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u128) {
    let mut digits = [0u8; 39];
    let mut at = digits.len();
    let mut rest = number;
    // Most numbers fit 64 bits, whose division is far cheaper.
    while u128::from(u64::MAX) < rest {
        at -= 1;
        digits[at] = b'0' + last_digit(rest);
        rest /= 10;
    }
    let mut rest = u64::try_from(rest).unwrap_or(0);
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn last_digit(number: u128) -> u8 {
    u8::try_from(number % 10).unwrap_or(0)
}

/// An id: its digits as a JSON string.
pub(crate) fn push_id(out: &mut Vec<u8>, id: u64) {
    out.push(b'"');
    push_number(out, u128::from(id));
    out.push(b'"');
}

/// An id, or `null`.
pub(crate) fn push_optional_id(out: &mut Vec<u8>, id: Option<u64>) {
    match id {
        Some(id) => push_id(out, id),
        None => out.extend_from_slice(b"null"),
    }
}

/// A balance or amount with all decimals of its currency, without quotes.
pub(crate) fn push_decimal(out: &mut Vec<u8>, minor_units: i128, scale: u8) {
    if minor_units < 0 {
        out.push(b'-');
    }
    let start = out.len();
    push_number(out, minor_units.unsigned_abs());
    if scale == 0 {
        return;
    }
    let scale = usize::from(scale);
    let digits = out.len() - start;
    if digits <= scale {
        let zeros = scale + 1 - digits;
        out.splice(start..start, std::iter::repeat_n(b'0', zeros));
    }
    out.insert(out.len() - scale, b'.');
}

/// A balance or amount as a JSON string.
pub(crate) fn push_money(out: &mut Vec<u8>, minor_units: i128, currency: Currency) {
    out.push(b'"');
    push_decimal(out, minor_units, currency.scale());
    out.push(b'"');
}

/// A time as a JSON string, as `Display` of [`Timestamp`] writes it.
pub(crate) fn push_time(out: &mut Vec<u8>, time: Timestamp) {
    let seconds = time.microseconds() / 1_000_000;
    let (year, month, day) = time.day().date();
    out.push(b'"');
    push_padded(out, u64::from(year.unsigned_abs()), 4);
    out.push(b'-');
    push_padded(out, u64::from(month), 2);
    out.push(b'-');
    push_padded(out, u64::from(day), 2);
    out.push(b'T');
    push_padded(out, seconds / 3600 % 24, 2);
    out.push(b':');
    push_padded(out, seconds / 60 % 60, 2);
    out.push(b':');
    push_padded(out, seconds % 60, 2);
    let fraction = time.microseconds() % 1_000_000;
    if fraction != 0 {
        out.push(b'.');
        push_padded(out, fraction, 6);
    }
    out.extend_from_slice(b"Z\"");
}

fn push_padded(out: &mut Vec<u8>, number: u64, width: usize) {
    let mut digits = [b'0'; 8];
    let mut rest = number;
    for digit in digits[..width].iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    out.extend_from_slice(&digits[..width]);
}

/// A text as a JSON string.
pub(crate) fn push_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if *byte < 0x20 || *byte == b'"' || *byte == b'\\' {
            out.extend_from_slice(&bytes[start..index]);
            push_escape(out, *byte);
            start = index + 1;
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    }
}

/// A text as a JSON string, or `null`.
pub(crate) fn push_optional_string(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => push_json_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::amount::Decimal;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn money_is_written_as_the_ledger_writes_it() {
        for minor_units in [0, 1, -1, 5, 10, 99, 100, -6000, i128::from(i64::MAX), i128::MIN + 1] {
            for scale in [0, 2, 3, 4] {
                let expected = Decimal { minor_units, scale }.to_string();
                assert_eq!(written(|out| push_decimal(out, minor_units, scale)), expected);
            }
        }
    }

    #[test]
    fn times_are_written_as_the_ledger_writes_them() {
        for microseconds in [0, 1_800_000_000_000_000, 1_800_000_000_000_001, Timestamp::MAX.microseconds()] {
            let time = Timestamp::from_microseconds(microseconds).expect("a time");
            assert_eq!(written(|out| push_time(out, time)), format!("\"{time}\""));
        }
    }

    #[test]
    fn strings_survive_a_json_reader() {
        for text in ["", "plain", "quo\"te \\ back", "line\nfeed\u{1}\u{7f}", "žluťoučký 🐎"] {
            let json = written(|out| push_json_string(out, text));
            assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
        }
    }
}
