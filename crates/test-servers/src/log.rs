//! What a server prints, kept in a file. Its end is shown when the test that holds it fails.

use std::fs::File;
use std::path::PathBuf;

/// Lines that are shown of a log.
const SHOWN: usize = 200;

/// The log of a server, which may be started several times.
#[derive(Debug)]
pub struct Log {
    what: &'static str,
    path: PathBuf,
}

impl Log {
    /// A log of what `what` prints, in a file there.
    pub fn new(what: &'static str, path: PathBuf) -> Log {
        Log { what, path }
    }

    /// The file, to be written to from its end on.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub fn file(&self) -> File {
        File::options().create(true).append(true).open(&self.path).expect("a file to write")
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = std::fs::read(&self.path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("the end of what {} printed:", self.what);
            lines.iter().skip(lines.len().saturating_sub(SHOWN)).for_each(|line| eprintln!("{line}"));
        }
    }
}
