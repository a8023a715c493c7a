//! The files of a statement: a PDF for people, a CSV for spreadsheets, and an ISO 20022 camt.053 for programs. All three
//! are made of one [`Statement`](bank::statement::Statement), so they say the same; the same statement gives the same
//! bytes, on any machine and in any year.

pub mod archive;
pub mod camt;
pub mod csv;
pub mod pdf;
mod texts;

/// Who issues the statements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letterhead {
    /// The bank's name.
    pub name: String,
    /// Further lines under the name, such as an address; at most [`LETTERHEAD_LINES_MAX`] are shown.
    pub lines: Vec<String>,
}

/// Most lines under the bank's name.
pub const LETTERHEAD_LINES_MAX: usize = 4;
