//! The statements of several months of an account in one file.

use super::kept::{ENDINGS, Made, Manifest, Statements};
use crate::month::Month;
use ledger::ids::AccountId;
use store::Fault;

/// Most months of one file, so that its size is bounded: it is put together in memory.
pub const MONTHS_MAX: usize = 36;

/// Statements of several months in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Months {
    /// The name of the file.
    pub file: String,
    /// The statements it has, the earliest month first, of each month the latest.
    pub manifests: Vec<Manifest>,
}

/// What became of months that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MonthsMade {
    /// All there is to tell; `None` if there is nothing, or no such account of a customer.
    All(Option<Months>),
    /// Too many months are missing before; this one is to be made first.
    FarBefore(Month),
}

impl Statements {
    /// The statements of these months in one file, which is made now if it is not there. Those that are missing are made
    /// first; of a month that is not over, or of which there is nothing to tell, there is none.
    ///
    /// Its name says which statements it has, so it never changes: a further statement of a month makes another file.
    ///
    /// # Errors
    /// A fault as those of [`Statements::make`].
    pub async fn months(&self, account: AccountId, first: Month, last: Month) -> Result<MonthsMade, Fault> {
        let (mut manifests, mut month) = (Vec::new(), Some(first));
        while let Some(next) = month.filter(|month| *month <= last && manifests.len() < MONTHS_MAX) {
            match self.make(account, next, false).await? {
                Some(Made::Now(manifest) | Made::Before(manifest)) => manifests.push(manifest),
                Some(Made::Nothing | Made::TooEarly) => {}
                Some(Made::FarBefore(earlier)) => return Ok(MonthsMade::FarBefore(earlier)),
                None => return Ok(MonthsMade::All(None)),
            }
            month = next.next();
        }
        // By the months that it has: however they were asked for, the same statements are one file.
        let (Some(first), Some(last)) = (manifests.first(), manifests.last()) else { return Ok(MonthsMade::All(None)) };
        let (first, last) = (first.month, last.month);
        let beginning = format!("{account}/{first}_{last}/statements-{}", digest(&manifests));
        for known in self.objects().list(&format!("{account}/{first}_{last}/")).await? {
            if known.starts_with(&beginning) {
                return Ok(MonthsMade::All(Some(Months { file: known, manifests })));
            }
        }
        let mut files = Vec::with_capacity(manifests.len() * ENDINGS.len());
        for manifest in &manifests {
            for ending in ENDINGS {
                let name = manifest.file(ending);
                let lost = || Fault::Unavailable { reason: format!("the file {name} is not kept any more") };
                let bytes = self.file(&name).await?.ok_or_else(lost)?;
                let shown = name.split_once('/').map_or(name.as_str(), |(_, rest)| rest).replace('/', "-");
                files.push((shown, bytes));
            }
        }
        let (ending, bytes) = self.printer().bundle(files)?;
        let file = format!("{beginning}.{ending}");
        self.objects().put_new(&file, bytes).await?;
        Ok(MonthsMade::All(Some(Months { file, manifests })))
    }
}

/// Tells apart files of the same months with other statements.
fn digest(manifests: &[Manifest]) -> String {
    let mut hasher = blake3::Hasher::new();
    for manifest in manifests {
        hasher.update(format!("{}/{};", manifest.month, manifest.number).as_bytes());
    }
    hasher.finalize().to_hex()[..12].to_owned()
}
