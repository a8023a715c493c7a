//! Little-endian integers at fixed places, and the two conversions between file offsets and lengths in memory.

const _: () = assert!(size_of::<usize>() >= size_of::<u64>(), "file offsets must fit in memory lengths");

/// A file offset or length as a length in memory.
#[expect(clippy::cast_possible_truncation, reason = "only 64-bit targets compile, see the assertion above")]
pub(crate) const fn length(value: u64) -> usize {
    value as usize
}

pub(crate) fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

pub(crate) fn get_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(get(bytes, at))
}

pub(crate) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(get(bytes, at))
}

pub(crate) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(get(bytes, at))
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
