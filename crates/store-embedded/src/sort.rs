//! The order in which rows enter a run: a stable sort for about a million fixed-size rows.
//!
//! Phases: 1. find the highest bit in which the first 16 bytes of any two keys differ; 2. radix-sort by just as many bits
//! below it as set rows apart when keys are evenly spread, 11 bits a pass, least significant first; 3. sort each group
//! still equal in those bits by the whole key. Rows of an account arrive in order, so phase 3 mostly finds them sorted.

use std::cmp::Ordering;

/// Fewer rows than this are faster sorted by comparing.
const RADIX_ROWS_MIN: usize = 2_000;
/// Bits sorted by in one pass.
pub(crate) const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 1 << DIGIT_BITS;
/// Bits beyond the logarithm of the number of rows, so that few random keys share all the bits sorted by.
const SPARE_BITS: u32 = 3;

/// Sorts by the first number; rows with equal keys keep their order. `scratch` is grown as needed and can be reused.
pub fn sort_pairs(rows: &mut Vec<(u64, u64)>, scratch: &mut Vec<(u64, u64)>) {
    sort(rows, scratch, |row| u128::from(row.0) << 64, |a, b| a.0.cmp(&b.0));
}

/// Sorts by the first number; rows with equal keys keep their order. `scratch` is grown as needed and can be reused.
pub fn sort_wide(rows: &mut Vec<(u128, u64)>, scratch: &mut Vec<(u128, u64)>) {
    sort(rows, scratch, |row| row.0, |a, b| a.0.cmp(&b.0));
}

/// Sorts encoded rows by their first `key_size` bytes (as `memcmp` does); rows with equal keys keep their order.
/// `scratch` is grown as needed and can be reused.
pub fn sort_rows<const N: usize>(rows: &mut Vec<[u8; N]>, key_size: usize, scratch: &mut Vec<[u8; N]>) {
    let leading = |row: &[u8; N]| leading_key(&row[..key_size]);
    sort(rows, scratch, leading, |a, b| a[..key_size].cmp(&b[..key_size]));
}

/// The first 16 bytes of a key as a number that orders as they do; a shorter key is padded with zeros.
pub(crate) fn leading_key(key: &[u8]) -> u128 {
    if let Some(bytes) = key.first_chunk::<16>() {
        return u128::from_be_bytes(*bytes);
    }
    let mut bytes = [0; 16];
    bytes[..key.len()].copy_from_slice(key);
    u128::from_be_bytes(bytes)
}

fn sort<T: Copy>(
    rows: &mut Vec<T>,
    scratch: &mut Vec<T>,
    leading: impl Fn(&T) -> u128,
    compare: impl Fn(&T, &T) -> Ordering,
) {
    let Some(first) = rows.first().map(&leading) else { return };
    if rows.len() < RADIX_ROWS_MIN {
        return rows.sort_by(compare);
    }
    let differing = rows.iter().fold(0, |bits, row| bits | (leading(row) ^ first));
    let high = u128::BITS - differing.leading_zeros(); // bits from here up are the same in all rows
    let wanted = (usize::BITS - rows.len().leading_zeros() + SPARE_BITS).next_multiple_of(DIGIT_BITS);
    let low = high.saturating_sub(wanted);
    scratch.clear();
    scratch.extend_from_slice(rows);
    let mut shift = low;
    while shift < high {
        pass(rows, scratch, |row| digit(leading(row) >> shift));
        std::mem::swap(rows, scratch);
        shift += DIGIT_BITS;
    }
    let same = |a: &T, b: &T| (leading(a) ^ leading(b)) >> low == 0;
    for group in rows.chunk_by_mut(same).filter(|group| group.len() > 1) {
        group.sort_by(&compare);
    }
}

fn digit(bits: u128) -> usize {
    bits as usize & (DIGITS - 1)
}

/// Distributes the rows by one digit, keeping the order of rows with the same.
pub(crate) fn pass<T: Copy>(rows: &[T], sorted: &mut [T], digit: impl Fn(&T) -> usize) {
    let mut places = [0_usize; DIGITS];
    for row in rows {
        places[digit(row)] += 1;
    }
    let mut next = 0;
    for place in &mut places {
        next += std::mem::replace(place, next);
    }
    for row in rows {
        let place = &mut places[digit(row)];
        sorted[*place] = *row;
        *place += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> impl FnMut() -> u64 {
        let mut state = 0x1234_5678_9ABC_DEF0_u64;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        }
    }

    fn check_pairs(mut rows: Vec<(u64, u64)>) {
        let mut expected = rows.clone();
        expected.sort_by_key(|row| row.0);
        sort_pairs(&mut rows, &mut Vec::new());
        assert!(rows == expected);
    }

    #[test]
    fn pairs_come_out_in_the_order_of_a_stable_sort() {
        let mut next = random();
        for count in [0, 1, 2, 1_999, 2_000, 50_000] {
            check_pairs((0..count).map(|place| (next(), place)).collect());
            check_pairs((0..count).map(|place| (next() % 1_000, place)).collect());
            check_pairs((0..count).map(|place| (7, place)).collect());
            check_pairs((0..count).map(|place| (u64::MAX - place, place)).collect());
            check_pairs((0..count).map(|place| (((next() % 3) << 61) | (next() % 100), place)).collect());
        }
    }

    #[test]
    fn wide_keys_come_out_in_the_order_of_a_stable_sort() {
        let mut next = random();
        for mask in [u128::MAX, 0xFFFF, 0xFF << 120, (0xFF << 120) | 0xFFFF] {
            let key = |high: u64, low: u64| (u128::from(high) << 64 | u128::from(low)) & mask;
            let mut rows: Vec<(u128, u64)> = (0..50_000).map(|place| (key(next(), next()), place)).collect();
            let mut expected = rows.clone();
            expected.sort_by_key(|row| row.0);
            sort_wide(&mut rows, &mut Vec::new());
            assert!(rows == expected);
        }
    }

    #[test]
    fn encoded_rows_come_out_in_the_order_of_their_key_bytes() {
        let mut next = random();
        for key_size in [1, 8, 16, 20, 24] {
            let mut row = || {
                let mut row = [0; 24];
                row[..8].copy_from_slice(&(next() % 50).to_be_bytes());
                row[8..16].copy_from_slice(&(next() % 3).to_be_bytes());
                row[16..].copy_from_slice(&next().to_be_bytes());
                row
            };
            let mut rows: Vec<[u8; 24]> = (0..20_000).map(|_| row()).collect();
            let mut expected = rows.clone();
            expected.sort_by(|a, b| a[..key_size].cmp(&b[..key_size]));
            sort_rows(&mut rows, key_size, &mut Vec::new());
            assert!(rows == expected);
        }
    }
}
