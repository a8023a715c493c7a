//! Prints statements: PDF, CSV and camt.053, with the bank's letterhead and fonts from the configuration.

use crate::config;
use crate::failure::Failure;
use bank::ports::{Boxed, PrintedFiles, StatementPrinter};
use bank::statement::Statement;
use documents::pdf::Typesetter;
use documents::{Letterhead, archive, camt, csv, pdf};
use std::sync::{Arc, Mutex, PoisonError};
use store::Fault;
use tokio::sync::Semaphore;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    press: Arc<Press>,
    /// As many statements are printed at a time as there are processors; the others wait without a thread or memory.
    turns: Arc<Semaphore>,
}

#[derive(Debug)]
struct Press {
    letterhead: Letterhead,
    fonts: Vec<Vec<u8>>,
    /// Those not in use: each remembers what it has set, and one works for one statement at a time.
    typesetters: Mutex<Vec<Typesetter>>,
}

impl Printer {
    /// A printer as it is configured.
    ///
    /// # Errors
    /// Wrong usage for a font that cannot be read or used.
    pub(crate) fn new(config: &config::Statements) -> Result<Printer, Failure> {
        let mut fonts = Vec::new();
        for path in &config.fonts.0 {
            let unusable = |error: &dyn std::fmt::Display| {
                let next = "name files of TrueType or OpenType fonts in statements.fonts";
                Failure::usage(format!("the font {}: {error}", path.display()), next)
            };
            let font = std::fs::read(path).map_err(|error| unusable(&error))?;
            Typesetter::new(std::slice::from_ref(&font)).map_err(|error| unusable(&error))?;
            fonts.push(font);
        }
        let letterhead = Letterhead { name: config.bank.clone(), lines: config.lines.clone() };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let press = Press { letterhead, fonts, typesetters: Mutex::default() };
        Ok(Printer { press: Arc::new(press), turns: Arc::new(Semaphore::new(processors)) })
    }
}

impl Press {
    fn typesetters(&self) -> std::sync::MutexGuard<'_, Vec<Typesetter>> {
        self.typesetters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self, statement: &Statement, number: u32) -> Result<PrintedFiles, Fault> {
        let unprintable = |error: &dyn std::fmt::Display| {
            let (account, month) = (statement.account, statement.month);
            Fault::Corrupt { detail: format!("the statement of account {account} for {month}: {error}") }
        };
        let known = self.typesetters().pop();
        let mut typesetter = match known {
            Some(typesetter) => typesetter,
            None => Typesetter::new(&self.fonts).map_err(|error| unprintable(&error))?,
        };
        let pdf = pdf::write(&mut typesetter, statement, &self.letterhead).map_err(|error| unprintable(&error))?;
        self.typesetters().push(typesetter);
        let (csv, camt) = (csv::write(statement), camt::write(statement, &self.letterhead, number));
        Ok(vec![("pdf", pdf), ("csv", csv), ("xml", camt)])
    }
}

impl StatementPrinter for Printer {
    fn files(&self, statement: Arc<Statement>, number: u32) -> Boxed<'_, Result<PrintedFiles, Fault>> {
        let (press, turns) = (self.press.clone(), self.turns.clone());
        Box::pin(async move {
            let stopped =
                |error: &dyn std::fmt::Display| Fault::Unavailable { reason: format!("printing stopped: {error}") };
            let (account, month) = (statement.account, statement.month);
            let turn = turns.acquire_owned().await.map_err(|error| stopped(&error))?;
            // Who does not wait for it any more leaves it its turn until it is done.
            let printed = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                press.print(&statement, number)
            });
            printed.await.map_err(|error| match error.is_panic() {
                // It would do so again: others are printed meanwhile.
                true => Fault::Corrupt { detail: format!("the statement of account {account} for {month}: {error}") },
                false => stopped(&error),
            })?
        })
    }

    fn bundle(&self, files: Vec<(String, Vec<u8>)>) -> Result<(&'static str, Vec<u8>), Fault> {
        let failed = |error| Fault::Corrupt { detail: format!("files cannot be put together: {error}") };
        archive::write(&files).map(|bytes| ("zip", bytes)).map_err(failed)
    }
}
