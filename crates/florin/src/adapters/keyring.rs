//! The keyring as a file: the keys of sealed personal data, each wrapped by the master key, each to be destroyed alone.
//!
//! Promises: a key is on the disk before anybody gets it; a destroyed key's bytes are overwritten in place; a damaged
//! record is a fault, never another key and never "not there".
//!
//! The file, little-endian, in records of 128 bytes, so that none crosses a sector:
//!
//! | at | bytes | field of the header | | at | bytes | field of a key |
//! |---|---|---|---|---|---|---|
//! | 0 | 4 | CRC-32 of bytes 4..128 | | 0 | 4 | CRC-32 of bytes 4..128 |
//! | 4 | 4 | version, 1 | | 4 | 4 | state: 1 live, 2 destroyed |
//! | 8 | 8 | magic `FLORINKR` | | 8 | 16 | id: place in the file (8), random (8) |
//! | 16 | 12 | nonce | | 24 | 12 | nonce |
//! | 28 | 48 | 32 zeros, sealed: proves the master key | | 36 | 48 | key, sealed with its id |
//!
//! What a crash cut off at the end was never given to anybody; its place stays unused.

use super::secret_file;
use crate::failure::Failure;
use bank::ports::{Boxed, DataKey, KeyId, Keyring};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Fault;

const MAGIC: &[u8; 8] = b"FLORINKR";
const VERSION: u32 = 1;
const RECORD: usize = 128;
const SEALED: usize = 32 + 16;
const LIVE: u32 = 1;
const DESTROYED: u32 = 2;
/// Keys made ahead with one sync: a customer that registers alone waits for a sync once in so many times, and a crash
/// wastes at most 32 KiB.
const POOL: usize = 256;

/// See the module.
#[derive(Debug)]
pub(crate) struct KeyringFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    file: File,
    master: LessSafeKey,
    pool: Mutex<Pool>,
}

/// What was made ahead, and where the next record goes.
#[derive(Debug)]
struct Pool {
    ready: Vec<(KeyId, DataKey)>,
    next_place: u64,
    /// After a failed write or sync nothing is known of the end of the file.
    is_poisoned: bool,
}

impl KeyringFile {
    /// Opens the keyring of a data folder, or makes it and its master key when there is none.
    ///
    /// # Errors
    /// A fault that names the file and the way out.
    pub(crate) fn open(path: &Path, master_path: &Path) -> Result<KeyringFile, Failure> {
        let exists = path.try_exists().map_err(|error| refused("look for", path, &error))?;
        let master = if exists { read_master(master_path)? } else { make_master(master_path)? };
        let file = if exists { open_file(path)? } else { create_file(path, &master)? };
        let length = file.metadata().map_err(|error| refused("read", path, &error))?.len();
        let mut header = [0; RECORD];
        file.read_exact_at(&mut header, 0).map_err(|error| refused("read", path, &error))?;
        check_header(&header, &master, path, master_path)?;
        let next_place = length.div_ceil(RECORD as u64);
        let pool = Mutex::new(Pool { ready: Vec::new(), next_place, is_poisoned: false });
        Ok(KeyringFile { shared: Arc::new(Shared { path: path.into(), file, master, pool }) })
    }
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyState {
    /// It is there, and the master key opens it.
    Live,
    /// It was destroyed, so that what it sealed is forgotten.
    Destroyed,
    /// It is not in the keyring.
    Missing,
}

impl KeyringFile {
    /// Where a key stands.
    ///
    /// # Errors
    /// `Corrupt` for a damaged record or one that the master key does not open; `Unavailable` if it cannot be read.
    pub(crate) fn state(&self, id: KeyId) -> Result<KeyState, Fault> {
        match self.shared.read_record(id)?.filter(|record| record[8..24] == id.0) {
            None => Ok(KeyState::Missing),
            Some(record) if state_of(&record) == DESTROYED => Ok(KeyState::Destroyed),
            Some(_) => self.shared.read_key(id).map(|_| KeyState::Live),
        }
    }
}

impl Keyring for KeyringFile {
    fn fresh_keys(&self, count: usize) -> Boxed<'_, Result<Vec<(KeyId, DataKey)>, Fault>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            if let Some(keys) = shared.pool().take(count) {
                return Ok(keys);
            }
            in_background(move || shared.make_and_take(count)).await
        })
    }

    fn key(&self, id: KeyId) -> Boxed<'_, Result<Option<DataKey>, Fault>> {
        Box::pin(async move { self.shared.read_key(id) })
    }

    fn destroy(&self, id: KeyId) -> Boxed<'_, Result<(), Fault>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { in_background(move || shared.destroy(id)).await })
    }
}

/// Waits for the disk on a thread that may wait.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Fault::Unavailable { reason: format!("the keyring's task did not end: {error}") }),
    }
}

impl Pool {
    fn take(&mut self, count: usize) -> Option<Vec<(KeyId, DataKey)>> {
        let kept = self.ready.len().checked_sub(count)?;
        Some(self.ready.split_off(kept))
    }
}

impl Shared {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        // What a panicking thread leaves is either untouched or marked as poisoned by itself.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_and_take(&self, count: usize) -> Result<Vec<(KeyId, DataKey)>, Fault> {
        let mut pool = self.pool();
        if let Some(missing) = count.checked_sub(pool.ready.len()).filter(|missing| *missing != 0) {
            self.make_keys(&mut pool, missing.max(POOL))?;
        }
        pool.take(count).ok_or_else(|| Fault::Unavailable { reason: "the keyring made too few keys".into() })
    }

    /// Appends so many keys and syncs them; only then do they enter the pool.
    fn make_keys(&self, pool: &mut Pool, count: usize) -> Result<(), Fault> {
        if pool.is_poisoned {
            return Err(self.unavailable("a write to it failed; restart the bank"));
        }
        let mut records = Vec::with_capacity(count * RECORD);
        let mut keys = Vec::with_capacity(count);
        for place in (pool.next_place..).take(count) {
            let (mut id, mut key) = ([0; 16], [0; 32]);
            id[..8].copy_from_slice(&place.to_le_bytes());
            random(&mut id[8..]);
            random(&mut key);
            records.extend_from_slice(&self.encode(KeyId(id), &key));
            keys.push((KeyId(id), DataKey(key)));
        }
        pool.is_poisoned = true;
        let written = self.file.write_all_at(&records, pool.next_place * RECORD as u64);
        written.and_then(|()| self.file.sync_data()).map_err(|error| self.unavailable(&error.to_string()))?;
        pool.is_poisoned = false;
        pool.next_place += count as u64;
        pool.ready.append(&mut keys);
        Ok(())
    }

    fn read_key(&self, id: KeyId) -> Result<Option<DataKey>, Fault> {
        let Some(record) = self.read_record(id)? else { return Ok(None) };
        if record[8..24] != id.0 || state_of(&record) == DESTROYED {
            return Ok(None);
        }
        match unseal(&self.master, &id.0, &record[24..36], &record[36..36 + SEALED]) {
            Some(key) => Ok(Some(DataKey(key))),
            None => Err(self.corrupt(place_of(id), "the master key does not open it")),
        }
    }

    fn destroy(&self, id: KeyId) -> Result<(), Fault> {
        let mut pool = self.pool();
        let is_there = self.read_record(id)?.is_some_and(|record| record[8..24] == id.0 && state_of(&record) == LIVE);
        if !is_there {
            return Ok(());
        }
        if pool.is_poisoned {
            return Err(self.unavailable("a write to it failed; restart the bank"));
        }
        let mut record = [0; RECORD];
        record[4..8].copy_from_slice(&DESTROYED.to_le_bytes());
        record[8..24].copy_from_slice(&id.0);
        stamp(&mut record);
        pool.is_poisoned = true;
        let written = self.file.write_all_at(&record, place_of(id) * RECORD as u64);
        written.and_then(|()| self.file.sync_data()).map_err(|error| self.unavailable(&error.to_string()))?;
        pool.is_poisoned = false;
        Ok(())
    }

    /// The record at an id's place, whoever's it is; `None` beyond the end and where a crash left a gap.
    fn read_record(&self, id: KeyId) -> Result<Option<[u8; RECORD]>, Fault> {
        let place = place_of(id);
        let mut record = [0; RECORD];
        let Some(offset) = place.checked_mul(RECORD as u64).filter(|offset| *offset != 0) else { return Ok(None) };
        match self.file.read_exact_at(&mut record, offset) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(self.unavailable(&error.to_string())),
            Ok(()) => {}
        }
        if record == [0; RECORD] {
            return Ok(None);
        }
        if !is_stamped(&record) || !matches!(state_of(&record), LIVE | DESTROYED) {
            return Err(self.corrupt(place, "it does not match its checksum"));
        }
        Ok(Some(record))
    }

    fn encode(&self, id: KeyId, key: &[u8; 32]) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        record[4..8].copy_from_slice(&LIVE.to_le_bytes());
        record[8..24].copy_from_slice(&id.0);
        let (nonce, sealed) = seal(&self.master, &id.0, key);
        record[24..36].copy_from_slice(&nonce);
        record[36..36 + SEALED].copy_from_slice(&sealed);
        stamp(&mut record);
        record
    }

    fn unavailable(&self, reason: &str) -> Fault {
        Fault::Unavailable { reason: format!("the keyring {} cannot be used: {reason}", self.path.display()) }
    }

    fn corrupt(&self, place: u64, what: &str) -> Fault {
        Fault::Corrupt { detail: format!("record {place} of the keyring {}: {what}", self.path.display()) }
    }
}

fn place_of(id: KeyId) -> u64 {
    let [place, ..] = *id.0.as_chunks::<8>().0 else { return 0 };
    u64::from_le_bytes(place)
}

fn state_of(record: &[u8; RECORD]) -> u32 {
    u32::from_le_bytes([record[4], record[5], record[6], record[7]])
}

fn stamp(record: &mut [u8; RECORD]) {
    let checksum = crc32fast::hash(&record[4..]);
    record[..4].copy_from_slice(&checksum.to_le_bytes());
}

fn is_stamped(record: &[u8; RECORD]) -> bool {
    record[..4] == crc32fast::hash(&record[4..]).to_le_bytes()
}

fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("a machine without randomness cannot run a bank");
}

fn seal(master: &LessSafeKey, bound_to: &[u8], key: &[u8; 32]) -> ([u8; NONCE_LEN], Vec<u8>) {
    let mut nonce = [0; NONCE_LEN];
    random(&mut nonce);
    let mut sealed = key.to_vec();
    master
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to), &mut sealed)
        .expect("32 bytes are never too long to seal");
    (nonce, sealed)
}

fn unseal(master: &LessSafeKey, bound_to: &[u8], nonce: &[u8], sealed: &[u8]) -> Option<[u8; 32]> {
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut opened = sealed.to_vec();
    let plain = master.open_in_place(nonce, Aad::from(bound_to), &mut opened).ok()?;
    (*plain).try_into().ok()
}

fn create_file(path: &Path, master: &LessSafeKey) -> Result<File, Failure> {
    let mut header = [0; RECORD];
    header[4..8].copy_from_slice(&VERSION.to_le_bytes());
    header[8..16].copy_from_slice(MAGIC);
    let (nonce, sealed) = seal(master, MAGIC, &[0; 32]);
    header[16..28].copy_from_slice(&nonce);
    header[28..28 + SEALED].copy_from_slice(&sealed);
    stamp(&mut header);
    secret_file::create(path, &header)?;
    open_file(path)
}

fn open_file(path: &Path) -> Result<File, Failure> {
    OpenOptions::new().read(true).write(true).open(path).map_err(|error| refused("open", path, &error))
}

fn check_header(header: &[u8; RECORD], master: &LessSafeKey, path: &Path, master_path: &Path) -> Result<(), Failure> {
    let restore = "restore it from a backup";
    if !is_stamped(header) || header[8..16] != *MAGIC {
        return Err(Failure::fault(format!("the keyring {} is damaged at its beginning", path.display()), restore));
    }
    let version = state_of(header);
    if VERSION < version {
        let what =
            format!("the keyring {} has format version {version}, this program knows up to {VERSION}", path.display());
        return Err(Failure::fault(what, "use a newer program"));
    }
    match unseal(master, MAGIC, &header[16..28], &header[28..28 + SEALED]) {
        Some(_) => Ok(()),
        None => {
            let what =
                format!("the master key in {} does not fit the keyring {}", master_path.display(), path.display());
            Err(Failure::fault(what, "put the master key back that the keyring was made with"))
        }
    }
}

fn make_master(path: &Path) -> Result<LessSafeKey, Failure> {
    if path.exists() {
        return read_master(path);
    }
    let mut bytes = [0; 32];
    random(&mut bytes);
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push('\n');
    secret_file::create(path, text.as_bytes())?;
    read_master(path)
}

fn read_master(path: &Path) -> Result<LessSafeKey, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| refused("read the master key", path, &error))?;
    let bytes: Option<Vec<u8>> = text.trim().as_bytes().chunks(2).map(hexadecimal).collect();
    let key = bytes.and_then(|bytes| UnboundKey::new(&AES_256_GCM, &bytes).ok());
    key.map(LessSafeKey::new).ok_or_else(|| {
        let what = format!("the master key in {} is not 64 hexadecimal digits", path.display());
        Failure::fault(what, "put the master key back that the keyring was made with")
    })
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(value(*high)? << 4 | value(*low)?)
}

fn refused(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::fault(format!("cannot {verb} {}: {error}", path.display()), "check the file and its permissions")
}

pub(crate) mod table;
#[cfg(test)]
mod tests;
