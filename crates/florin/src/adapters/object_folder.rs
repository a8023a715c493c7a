//! A folder as the place where files for customers are kept. Each is there whole and durable, or not at all.

use crate::adapters::object_name::is_object_name;
use bank::ports::{Boxed, ObjectStore};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Fault;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct ObjectFolder {
    folder: Arc<Path>,
}

impl ObjectFolder {
    /// Objects in this folder, which need not be there yet.
    pub(crate) fn new(folder: PathBuf) -> ObjectFolder {
        ObjectFolder { folder: folder.into() }
    }

    async fn run<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&ObjectFolder, &Path) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, Fault> {
        let failed = |error: &dyn std::fmt::Display| Fault::Unavailable {
            reason: format!("the object {name} in {}: {error}", self.folder.display()),
        };
        let Some(path) = self.path(name) else { return Err(failed(&"such a name is not allowed")) };
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&this, &path)).await;
        done.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }

    /// Names come from links too: nothing in them leads out of the folder.
    fn path(&self, name: &str) -> Option<PathBuf> {
        is_object_name(name).then(|| self.folder.join(name.trim_end_matches('/')))
    }

    fn store(&self, path: &Path, bytes: &[u8]) -> Result<bool> {
        let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
        self.make(folder)?;
        if path.exists() {
            return Ok(false);
        }
        let aside = aside(folder)?;
        let written = write(&aside, bytes).and_then(|()| std::fs::hard_link(&aside, path));
        // A link, unlike a new name, never takes the place of what somebody else stored meanwhile.
        match std::fs::remove_file(&aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match written {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            written => written.and_then(|()| File::open(folder)?.sync_all()).map(|()| true),
        }
    }

    /// Objects of one folder that is not there yet: written aside and synced all together, and given their name in one step.
    /// False if the folder is there.
    fn store_folder(&self, folder: &Path, objects: &[(PathBuf, Vec<u8>)]) -> Result<bool> {
        let above = folder.parent().ok_or(ErrorKind::InvalidInput)?;
        self.make(above)?;
        if folder.exists() {
            return Ok(false);
        }
        let aside = aside(above)?;
        let filled = fill(&aside, objects).and_then(|()| std::fs::rename(&aside, folder));
        match filled {
            Ok(()) => File::open(above)?.sync_all().map(|()| true),
            Err(error) => {
                // What is left aside was never an object.
                _ = std::fs::remove_dir_all(&aside);
                let is_there = matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists);
                if is_there { Ok(false) } else { Err(error) }
            }
        }
    }

    fn store_together(&self, objects: &[(PathBuf, Vec<u8>)]) -> Result<bool> {
        let folder = objects.first().and_then(|(path, _)| path.parent());
        let is_one_folder = objects.iter().all(|(path, _)| path.parent() == folder);
        if let Some(folder) = folder.filter(|_| is_one_folder)
            && self.store_folder(folder, objects)?
        {
            return Ok(true);
        }
        for (index, (path, bytes)) in objects.iter().enumerate() {
            if !self.store(path, bytes)? && index == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A folder and those above it, each synced into the one above.
    fn make(&self, folder: &Path) -> Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.make(above)?;
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => File::open(above)?.sync_all(),
        }
    }
}

/// A name that nobody else writes to, on whichever machine that has this folder.
fn aside(folder: &Path) -> Result<PathBuf> {
    let mut drawn = [0; 16];
    getrandom::fill(&mut drawn).map_err(|error| Error::other(format!("no randomness: {error}")))?;
    Ok(folder.join(format!(".{:032x}.aside", u128::from_le_bytes(drawn))))
}

fn write(aside: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(aside)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A new folder with these files, all of it synced.
fn fill(folder: &Path, objects: &[(PathBuf, Vec<u8>)]) -> Result<()> {
    DirBuilder::new().mode(0o700).create(folder)?;
    for (path, bytes) in objects {
        write(&folder.join(path.file_name().ok_or(ErrorKind::InvalidInput)?), bytes)?;
    }
    File::open(folder)?.sync_all()
}

fn list(path: &Path, name: &str, names: &mut Vec<String>) -> Result<()> {
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let file = entry.file_name().into_string().map_err(|_| Error::from(ErrorKind::InvalidData))?;
        let below = format!("{name}/{file}");
        match entry.file_type()?.is_dir() {
            _ if file.starts_with('.') => {}
            true => list(&entry.path(), &below, names)?,
            false => names.push(below),
        }
    }
    Ok(())
}

impl ObjectStore for ObjectFolder {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Vec<u8>) -> Boxed<'a, std::result::Result<bool, Fault>> {
        Box::pin(self.run(name, move |this, path| this.store(path, &bytes)))
    }

    fn put_together(&self, objects: Vec<(String, Vec<u8>)>) -> Boxed<'_, std::result::Result<bool, Fault>> {
        Box::pin(async move {
            let first = objects.first().map_or_else(String::new, |(name, _)| name.clone());
            let mut paths = Vec::with_capacity(objects.len());
            for (name, bytes) in objects {
                let refused = || Fault::Unavailable { reason: format!("an object cannot be called {name:?}") };
                paths.push((self.path(&name).ok_or_else(refused)?, bytes));
            }
            self.run(&first, move |this, _| this.store_together(&paths)).await
        })
    }

    fn get<'a>(&'a self, name: &'a str) -> Boxed<'a, std::result::Result<Option<Vec<u8>>, Fault>> {
        Box::pin(self.run(name, |_, path| match std::fs::read(path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            read => read.map(Some),
        }))
    }

    fn list<'a>(&'a self, folder: &'a str) -> Boxed<'a, std::result::Result<Vec<String>, Fault>> {
        let name = folder.trim_end_matches('/').to_owned();
        Box::pin(self.run(folder, move |_, path| {
            let mut names = Vec::new();
            list(path, &name, &mut names)?;
            names.sort_unstable();
            Ok(names)
        }))
    }

    fn link<'a>(&'a self, _: &'a str, _: u64) -> Boxed<'a, std::result::Result<Option<String>, Fault>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: Boxed<'_, std::result::Result<T, Fault>>) -> std::result::Result<T, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(future)
    }

    #[test]
    fn what_is_stored_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let objects = ObjectFolder::new(folder.path().join("objects"));
        assert_eq!(run(objects.get("7/2026-10/report.pdf")).expect("read"), None);
        assert!(run(objects.put_new("7/2026-10/report.pdf", b"one".to_vec())).expect("stored"));
        assert!(!run(objects.put_new("7/2026-10/report.pdf", b"two".to_vec())).expect("left"));
        assert!(run(objects.put_new("7/2026-11/report.pdf", b"three".to_vec())).expect("stored"));
        assert!(run(objects.put_new("77/2026-11/report.pdf", b"four".to_vec())).expect("stored"));
        assert_eq!(run(objects.get("7/2026-10/report.pdf")).expect("read").as_deref(), Some(b"one".as_slice()));
        assert_eq!(run(objects.list("7/")).expect("read"), ["7/2026-10/report.pdf", "7/2026-11/report.pdf"]);
        assert_eq!(run(objects.list("8/")).expect("read"), Vec::<String>::new());
    }

    fn three(month: &str, bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        ["json", "pdf", "xml"].map(|ending| (format!("7/{month}/report.{ending}"), bytes.to_vec())).into()
    }

    #[test]
    fn what_belongs_together_is_there_with_its_first_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let objects = ObjectFolder::new(folder.path().join("objects"));
        assert!(run(objects.put_together(three("2026-10", b"one"))).expect("stored"));
        assert!(!run(objects.put_together(three("2026-10", b"two"))).expect("left"));
        let names = ["json", "pdf", "xml"].map(|ending| format!("7/2026-10/report.{ending}"));
        assert_eq!(run(objects.list("7/")).expect("read"), names, "and nothing aside");
        assert_eq!(run(objects.get(&names[2])).expect("read").as_deref(), Some(b"one".as_slice()));
        // A folder that has something else takes what is new to it.
        assert!(run(objects.put_new("7/2026-11/other.pdf", b"three".to_vec())).expect("stored"));
        assert!(run(objects.put_together(three("2026-11", b"four"))).expect("stored"));
        assert!(run(objects.put_together(vec![("../x".into(), Vec::new())])).is_err());
        let left = |path: &Path| std::fs::read_dir(path).expect("a folder").count();
        assert_eq!(left(&folder.path().join("objects/7")), 2, "nothing is left aside");
    }

    #[test]
    fn of_many_who_store_what_belongs_together_one_does_all_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let objects = ObjectFolder::new(folder.path().to_owned());
        let store = |number: u8| {
            let objects = objects.clone();
            std::thread::spawn(move || run(objects.put_together(three("2026-10", &[number; 1000]))).expect("an answer"))
        };
        let stored = (0..8).map(store).collect::<Vec<_>>().into_iter().filter_map(|thread| thread.join().ok());
        assert_eq!(stored.filter(|stored| *stored).count(), 1);
        let kept = |ending| run(objects.get(&format!("7/2026-10/report.{ending}"))).expect("read").expect("an object");
        assert!(kept("json") == kept("pdf") && kept("pdf") == kept("xml"));
        assert_eq!(std::fs::read_dir(folder.path().join("7")).expect("a folder").count(), 1, "nothing is left aside");
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), "x").expect("written");
        let objects = ObjectFolder::new(folder.path().join("objects"));
        for name in ["../secret", "a/../../secret", "/secret", "", "a//b", "a/.b", "a\\b", "a\0b", "7/ü"] {
            assert!(run(objects.get(name)).is_err(), "{name}");
            assert!(run(objects.put_new(name, Vec::new())).is_err(), "{name}");
        }
    }

    #[test]
    fn of_many_who_store_the_same_name_one_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let objects = ObjectFolder::new(folder.path().to_owned());
        let store = |number: u8| {
            let objects = objects.clone();
            std::thread::spawn(move || run(objects.put_new("a/b", vec![number; 1000])).expect("an answer"))
        };
        let stored = (0..8).map(store).collect::<Vec<_>>().into_iter().filter_map(|thread| thread.join().ok());
        assert_eq!(stored.filter(|stored| *stored).count(), 1);
        let kept = run(objects.get("a/b")).expect("read").expect("an object");
        assert!(kept.len() == 1000 && kept.iter().all(|byte| *byte == kept[0]));
        assert_eq!(std::fs::read_dir(folder.path().join("a")).expect("a folder").count(), 1, "nothing is left aside");
    }
}
