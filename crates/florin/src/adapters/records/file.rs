//! Records in one file of the data folder, `records`, which is a database of the library redb.
//!
//! Promises: the changes of one call are there whole or not at all, whenever the process or the machine dies, and durable
//! before their caller hears of them. Calls that come together share one commit. After a disk that was full or failed for a
//! moment, the records go on by themselves.

use crate::failure::Failure;
use bank::ports::{Boxed, Expected, Record, RecordChange, Records};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::error::Error;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use store::Fault;
use tokio::sync::{mpsc, oneshot};

const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// Calls that wait for the writer at most; more wait to get there.
const WAITING_MAX: usize = 1024;
/// Calls that share a commit at most.
const TOGETHER_MAX: usize = 256;

/// See the module.
#[derive(Debug)]
pub(crate) struct RecordFile {
    kept: Arc<Kept>,
    /// `None` once it is told to stop.
    writer: Option<mpsc::Sender<Asked>>,
    thread: Option<JoinHandle<()>>,
}

/// Closes the file before it is over, so that it can be opened again.
impl Drop for RecordFile {
    fn drop(&mut self) {
        self.writer = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of the records panicked");
        }
    }
}

/// The file.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    /// `None` after it failed, until it is opened again: the library does nothing more with a file that failed once.
    database: RwLock<Option<Database>>,
}

impl Kept {
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let open = self.database.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map_or(Err(redb::Error::PreviousIo), work)
    }

    /// Opens it anew; what was durable is there.
    fn reopen(&self) -> Result<(), redb::Error> {
        let mut open = self.database.write().unwrap_or_else(PoisonError::into_inner);
        *open = None; // two at a time may not have it open
        *open = Some(Database::open(&self.path)?);
        Ok(())
    }
}

/// Changes that are asked for, and where the answer goes.
struct Asked {
    changes: Vec<RecordChange>,
    answer: oneshot::Sender<Result<bool, Fault>>,
}

impl RecordFile {
    /// Opens the records of a data folder, or makes them where there are none.
    ///
    /// # Errors
    /// A file that cannot be read, or that is damaged.
    pub(crate) fn open(folder: &Path) -> Result<RecordFile, Failure> {
        let path = folder.join("records");
        let failed = |error: &dyn Display| {
            let what = format!("cannot open the records {}: {error}", path.display());
            Failure::fault(what, "check permissions and room; put the file back from the backup if it is damaged")
        };
        if !path.exists() {
            make(folder, &path).map_err(|error| failed(&error))?;
        }
        let database = Database::open(&path).map_err(|error| failed(&error))?;
        let kept = Arc::new(Kept { path: path.clone(), database: RwLock::new(Some(database)) });
        let (writer, asked) = mpsc::channel(WAITING_MAX);
        let written = kept.clone();
        let thread = std::thread::Builder::new()
            .name("florin-records".into())
            .spawn(move || write_all(&written, asked))
            .map_err(|error| failed(&error))?;
        Ok(RecordFile { kept, writer: Some(writer), thread: Some(thread) })
    }

    /// Reads off the threads that answer requests: what is not in memory comes from the disk.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Fault> {
        let kept = self.kept.clone();
        let done = tokio::task::spawn_blocking(move || kept.with(work)).await;
        done.map_err(|error| unavailable(&error))?.map_err(|error| unavailable(&error))
    }
}

impl Records for RecordFile {
    fn get<'a>(&'a self, key: &'a str) -> Boxed<'a, Result<Option<Vec<u8>>, Fault>> {
        let key = key.to_owned();
        Box::pin(self.read(move |database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            Ok(table.get(key.as_str())?.map(|value| value.value().to_vec()))
        }))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        count: usize,
    ) -> Boxed<'a, Result<Vec<Record>, Fault>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        Box::pin(self.read(move |database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            let first = after.as_deref().filter(|after| prefix.as_str() <= *after).unwrap_or(&prefix);
            let mut found = Vec::new();
            for record in table.range(first..)? {
                let (key, value) = record?;
                let key = key.value();
                if !key.starts_with(&prefix) || found.len() == count {
                    break;
                }
                if after.as_deref() != Some(key) {
                    found.push((key.to_owned(), value.value().to_vec()));
                }
            }
            Ok(found)
        }))
    }

    fn change(&self, changes: Vec<RecordChange>) -> Boxed<'_, Result<bool, Fault>> {
        Box::pin(async move {
            bank::records::distinct(&changes)?;
            let (answer, answered) = oneshot::channel();
            let stopped = || unavailable(&"their writer has stopped");
            let writer = self.writer.as_ref().ok_or_else(stopped)?;
            writer.send(Asked { changes, answer }).await.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        })
    }
}

/// Makes an empty file of records under another name first: a process that dies meanwhile leaves none that cannot be opened.
fn make(folder: &Path, path: &Path) -> Result<(), Box<dyn Error>> {
    let aside = folder.join("records.new");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    drop(file);
    let database = Database::create(&aside)?;
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?;
    transaction.commit()?;
    drop(database);
    std::fs::rename(&aside, path)?;
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// Makes what is asked for until nobody can ask any more.
fn write_all(kept: &Kept, mut asked: mpsc::Receiver<Asked>) {
    let mut together = Vec::new();
    while asked.blocking_recv_many(&mut together, TOGETHER_MAX) != 0 {
        let made = kept.with(|database| write(database, &together));
        if let Err(error) = &made {
            tracing::error!("the records {} failed: {error}", kept.path.display());
            if let Err(error) = kept.reopen() {
                tracing::error!("the records {} cannot be opened again: {error}", kept.path.display());
            }
        }
        for (place, asked) in together.drain(..).enumerate() {
            let answer = match &made {
                Ok(made) => Ok(made.get(place).copied().unwrap_or(false)),
                Err(error) => Err(unavailable(error)),
            };
            // Whoever asked may have gone; what was asked is done all the same.
            _ = asked.answer.send(answer);
        }
    }
}

/// One commit of all calls, in their order; which of them were made.
fn write(database: &Database, together: &[Asked]) -> Result<Vec<bool>, redb::Error> {
    let transaction = database.begin_write()?;
    let mut made = Vec::with_capacity(together.len());
    {
        let mut table = transaction.open_table(TABLE)?;
        for asked in together {
            let mut holds = true;
            for change in &asked.changes {
                let is = table.get(change.key.as_str())?;
                holds &= match &change.expected {
                    Expected::Anything => true,
                    Expected::Absent => is.is_none(),
                    Expected::Exactly(value) => is.is_some_and(|is| is.value() == value.as_slice()),
                };
            }
            for change in asked.changes.iter().filter(|_| holds) {
                match &change.value {
                    Some(value) => table.insert(change.key.as_str(), value.as_slice())?,
                    None => table.remove(change.key.as_str())?,
                };
            }
            made.push(holds);
        }
    }
    transaction.commit()?;
    Ok(made)
}

fn unavailable(error: &dyn Display) -> Fault {
    Fault::Unavailable { reason: format!("the records beside the journal: {error}") }
}
