//! The order in which rows enter a run: a stable radix sort for about a million fixed-size rows.

/// Sorts by the first number; rows with equal keys keep their order. `scratch` is grown as needed and can be reused.
pub fn sort_pairs(rows: &mut Vec<(u64, u64)>, scratch: &mut Vec<(u64, u64)>) {
    todo!()
}

/// Sorts by the first number; rows with equal keys keep their order.
pub fn sort_wide(rows: &mut Vec<(u128, u64)>, scratch: &mut Vec<(u128, u64)>) {
    todo!()
}

/// Sorts encoded rows by their first `key_size` bytes (as `memcmp` does); rows with equal keys keep their order.
pub fn sort_rows<const N: usize>(rows: &mut Vec<[u8; N]>, key_size: usize, scratch: &mut Vec<[u8; N]>) {
    todo!()
}
