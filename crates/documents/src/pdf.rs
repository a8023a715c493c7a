//! A statement as PDF: tagged, archival (PDF/A-2a) and accessible (PDF/UA-1), with its fonts embedded. The library refuses
//! to write what does not conform.
//!
//! 1. Every line of the table is broken to its column and measured.
//! 2. The lines are dealt to pages; how many there are is known before the first is drawn.
//! 3. The pages are drawn from top to bottom, in the order in which they are read aloud.

mod page;
mod table;
mod type_setting;

use crate::Letterhead;
use crate::texts::Texts;
use bank::locale::{Language, Locale};
use bank::statement::Statement;
use krilla::Document;
use krilla::configure::{Accessibility, Archival, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::geom::Point;
use krilla::metadata::{DateTime, Metadata};
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::tagging::TagTree;
use krilla::{SerializeSettings, error::KrillaError};
use page::{PAGE_HEIGHT, PAGE_WIDTH, Sheet, Tags};
pub use type_setting::{FontError, Typesetter};

/// Why there is no PDF.
#[derive(Debug, thiserror::Error)]
#[error("the statement cannot be written as PDF/A: {0}")]
pub struct PdfError(String);

fn refused(error: KrillaError) -> PdfError {
    PdfError(format!("{error:?}"))
}

/// What the drawing of one statement needs.
struct Job<'a> {
    statement: &'a Statement,
    letterhead: &'a Letterhead,
    texts: &'static Texts,
    locale: &'static Locale,
}

/// The file, in the customer's language; in English where there is none such or its characters are in no font.
///
/// # Errors
/// What the standards refuse; a font that lacks what they ask for is refused when it is loaded.
pub fn write(typesetter: &mut Typesetter, statement: &Statement, letterhead: &Letterhead) -> Result<Vec<u8>, PdfError> {
    let locale = Locale::of(statement.locale.as_deref().unwrap_or_default());
    let texts = Texts::of(locale.language);
    // Without the fonts for a language its texts would be question marks.
    let texts = if typesetter.knows(texts.title) { texts } else { Texts::of(Language::English) };
    let job = Job { statement, letterhead, texts, locale };
    let pages = table::pages(typesetter, &job);
    let configuration = ConfigurationBuilder::new()
        .with_archival_validator(Archival::A2_A)
        .with_accessibility_validator(Accessibility::UA1)
        .finish()
        .map_err(|error| PdfError(format!("{error:?}")))?;
    let settings = SerializeSettings { configuration, ..SerializeSettings::default() };
    let mut document = Document::new_with(settings);
    document.set_metadata(metadata(&job));
    let size = PageSettings::from_wh(PAGE_WIDTH, PAGE_HEIGHT).ok_or_else(|| PdfError("the size of a page".into()))?;
    let mut tags = Tags::default();
    for (index, rows) in pages.iter().enumerate() {
        let mut page = document.start_page_with(size.clone());
        let mut sheet = Sheet { surface: page.surface(), typesetter };
        let top = if index == 0 { page::opening(&mut sheet, &mut tags, &job) } else { page::TOP };
        table::draw(&mut sheet, &mut tags, &job, rows, top, index == 0);
        page::footer(&mut sheet, &job, index + 1, pages.len());
        drop(sheet);
        page.finish();
    }
    let mut tree = TagTree::new().with_lang(Some(job.texts.tag.to_owned()));
    tags.into_nodes().into_iter().for_each(|node| tree.push(node));
    document.set_tag_tree(tree);
    document.set_outline(outline(&job));
    document.finish().map_err(refused)
}

/// PDF/UA asks for one, even where there is only one place to go to.
fn outline(job: &Job<'_>) -> Outline {
    let top = XyzDestination::new(0, Point::from_xy(0.0, 0.0));
    let mut outline = Outline::new();
    outline.push_child(OutlineNode::new(job.texts.title.to_owned(), top));
    outline
}

fn metadata(job: &Job<'_>) -> Metadata {
    let Job { statement, letterhead, texts, .. } = job;
    let title = format!("{} {} {}", texts.title, statement.account, statement.month);
    let metadata = Metadata::new()
        .title(title)
        .language(texts.tag.to_owned())
        .creator("Florin".to_owned())
        .document_id(format!("{}/{}/{}", statement.account, statement.month, statement.version))
        .creation_date(date_time(statement));
    if letterhead.name.is_empty() { metadata } else { metadata.authors(vec![letterhead.name.clone()]) }
}

/// When the statement tells what it tells; the clock has no part in it.
fn date_time(statement: &Statement) -> DateTime {
    let (year, month, day) = statement.as_of.day().date();
    let seconds = statement.as_of.microseconds() / 1_000_000 % 86_400;
    let part = |part: u64| u8::try_from(part).unwrap_or_default();
    DateTime::new(u16::try_from(year).unwrap_or_default())
        .month(part(month.into()))
        .day(part(day.into()))
        .hour(part(seconds / 3600))
        .minute(part(seconds / 60 % 60))
        .second(part(seconds % 60))
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}
