//! Cursors: where a list goes on, sealed against change.
//!
//! A cursor is what the bank gave back with the page before, and a keyed hash over it together with the path and the
//! filters it was made for. So it is of no use elsewhere, beside another filter, or changed; `limit` may change.

use crate::problem::{Code, Problem};
use bank::read::Positions;

const HASH_BYTES: usize = 32;
/// One byte says whether there is a position, eight say which.
const POSITION_BYTES: usize = 9;
/// As many as a bank may have shards.
const POSITIONS_MAX: usize = 1024;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Makes and reads the cursors of one bank.
#[derive(Clone)]
pub(crate) struct Cursors {
    secret: [u8; 32],
}

impl Cursors {
    /// The cursors under this secret.
    pub(crate) fn new(secret: [u8; 32]) -> Cursors {
        Cursors { secret }
    }

    /// The cursor for the page that starts here, of the list that `scope` (path and filters) names.
    pub(crate) fn write(&self, scope: &str, positions: &[Option<u64>]) -> String {
        let mut bytes = Vec::with_capacity(positions.len() * POSITION_BYTES + HASH_BYTES);
        for position in positions {
            bytes.push(u8::from(position.is_some()));
            bytes.extend_from_slice(&position.unwrap_or(0).to_le_bytes());
        }
        let hash = self.hash(scope, &bytes);
        bytes.extend_from_slice(hash.as_bytes());
        encode(&bytes)
    }

    /// Where the page starts that this cursor of the list `scope` asks for.
    ///
    /// # Errors
    /// `cursor_invalid` unless it is exactly what [`Cursors::write`] made for this list.
    pub(crate) fn read(&self, scope: &str, cursor: &str) -> Result<Positions, Problem> {
        let invalid = || {
            Problem::new(
                Code::CursorInvalid,
                "the cursor is not one of this list with these filters; start without one",
            )
        };
        if (POSITIONS_MAX * POSITION_BYTES + HASH_BYTES) * 2 < cursor.len() {
            return Err(invalid());
        }
        let bytes = decode(cursor).ok_or_else(invalid)?;
        let length = bytes.len().checked_sub(HASH_BYTES).ok_or_else(invalid)?;
        let (positions, hash) = bytes.split_at(length);
        let hash: [u8; HASH_BYTES] = hash.try_into().map_err(|_| invalid())?;
        // Comparing with a `blake3::Hash` takes the same time wherever they differ.
        if self.hash(scope, positions) != hash || encode(&bytes) != cursor {
            return Err(invalid());
        }
        positions.chunks_exact(POSITION_BYTES).map(|chunk| position(chunk).ok_or_else(invalid)).collect()
    }

    fn hash(&self, scope: &str, positions: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(&(scope.len() as u64).to_le_bytes());
        hasher.update(scope.as_bytes());
        hasher.update(positions);
        hasher.finalize()
    }
}

fn position(chunk: &[u8]) -> Option<Option<u64>> {
    let (flag, number) = chunk.split_first()?;
    let number = u64::from_le_bytes(number.try_into().ok()?);
    Some((*flag == 1).then_some(number))
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 3);
    for chunk in bytes.chunks(3) {
        let mut padded = [0; 3];
        padded[..chunk.len()].copy_from_slice(chunk);
        let group = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for index in 0..=chunk.len() {
            let sextet = (group >> (18 - 6 * index)) & 0x3f;
            text.push(char::from(ALPHABET[sextet as usize]));
        }
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.as_bytes().chunks(4) {
        let mut group = 0u32;
        for (index, character) in chunk.iter().enumerate() {
            let sextet = ALPHABET.iter().position(|known| known == character)?;
            group |= u32::try_from(sextet).ok()? << (18 - 6 * index);
        }
        let count = chunk.len().checked_sub(1).filter(|count| 0 < *count)?;
        bytes.extend_from_slice(&group.to_be_bytes()[1..=count]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_where_it_was_made_and_nowhere_else() {
        let cursors = Cursors::new([7; 32]);
        for positions in [vec![], vec![Some(5)], vec![None, Some(u64::MAX), Some(0)]] {
            let cursor = cursors.write("/a?side=debit", &positions);
            assert!(cursor.bytes().all(|byte| ALPHABET.contains(&byte)));
            assert_eq!(cursors.read("/a?side=debit", &cursor).expect("valid"), positions);
            assert!(cursors.read("/a?side=credit", &cursor).is_err());
            assert!(Cursors::new([8; 32]).read("/a?side=debit", &cursor).is_err());
        }
    }

    #[test]
    fn any_changed_character_makes_a_cursor_invalid() {
        let cursors = Cursors::new([7; 32]);
        let cursor = cursors.write("/a", &[Some(42)]);
        for index in 0..cursor.len() {
            for replacement in ["A", "B", "_", "", "AA", "="] {
                let changed = format!("{}{replacement}{}", &cursor[..index], &cursor[index + 1..]);
                assert!(changed == cursor || cursors.read("/a", &changed).is_err(), "{changed}");
            }
        }
        assert!(cursors.read("/a", "").is_err());
        assert!(cursors.read("/a", "ž").is_err());
    }
}
