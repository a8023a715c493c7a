//! The section `statements` of the configuration.

use serde::Deserialize;
use std::path::PathBuf;

/// What statements look like, and where they are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Statements {
    /// The bank's name at the top.
    pub(crate) bank: String,
    /// Lines opposite of it, such as an address.
    pub(crate) lines: Vec<String>,
    /// Files of fonts for what the built-in ones lack, which have Latin, Greek and Cyrillic.
    pub(crate) fonts: Fonts,
    /// Where files are kept; the folder `objects` in the data folder without it.
    pub(crate) folder: Option<PathBuf>,
    /// For how many seconds a link to a file is good.
    pub(crate) link_s: u64,
    /// How customers reach this bank, such as `https://bank.example`: what links begin with. Without it, as whoever asked
    /// for the link did.
    pub(crate) public_url: Option<String>,
}

impl Default for Statements {
    fn default() -> Statements {
        let (lines, fonts, folder, public_url) = Default::default();
        Statements { bank: "Florin".into(), lines, fonts, folder, link_s: 900, public_url }
    }
}

/// Files: a list, or one text with a file name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fonts(pub(crate) Vec<PathBuf>);

impl<'de> Deserialize<'de> for Fonts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Fonts, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMany {
            One(PathBuf),
            Many(Vec<PathBuf>),
        }
        match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(file) => Ok(Fonts(vec![file])),
            OneOrMany::Many(files) => Ok(Fonts(files)),
        }
    }
}
