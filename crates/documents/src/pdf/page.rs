//! What stands on a page: text at a place, rules, and the parts of the first page above the table.

use super::Job;
use super::type_setting::Typesetter;
use crate::LETTERHEAD_LINES_MAX;
use krilla::color::rgb;
use krilla::geom::{PathBuilder, Point};
use krilla::num::NormalizedF32;
use krilla::paint::{Fill, LineJoin, Paint, Stroke};
use krilla::surface::Surface;
use krilla::tagging::{Artifact, ArtifactType, ContentTag, Identifier, Node, SpanTag, Tag, TagGroup};
use std::num::NonZeroU16;

/// A4 in points.
pub(super) const PAGE_WIDTH: f32 = 595.28;
pub(super) const PAGE_HEIGHT: f32 = 841.89;
pub(super) const LEFT: f32 = 50.0;
pub(super) const RIGHT: f32 = PAGE_WIDTH - 50.0;
/// Where the table begins on every page but the first.
pub(super) const TOP: f32 = 60.0;
/// Below this nothing but the footer stands.
pub(super) const BOTTOM: f32 = PAGE_HEIGHT - 60.0;
/// Where the table begins on the first page, if the holder's name fits one line.
const TABLE_TOP: f32 = 270.0;

const INK: (u8, u8, u8) = (24, 28, 36);
const QUIET: (u8, u8, u8) = (96, 102, 114);
const RULE: (u8, u8, u8) = (206, 210, 216);
const ACCENT: (u8, u8, u8) = (18, 74, 122);

/// How a text is drawn.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) size: f32,
    color: (u8, u8, u8),
    is_strong: bool,
}

const fn plain(size: f32, color: (u8, u8, u8)) -> Style {
    Style { size, color, is_strong: false }
}

const fn strong(size: f32, color: (u8, u8, u8)) -> Style {
    Style { size, color, is_strong: true }
}

pub(super) const BANK: Style = strong(13.0, ACCENT);
pub(super) const TITLE: Style = strong(20.0, INK);
pub(super) const LABEL: Style = plain(7.5, QUIET);
pub(super) const VALUE: Style = plain(10.0, INK);
pub(super) const FIGURE: Style = strong(10.0, INK);
pub(super) const HEAD: Style = strong(8.0, QUIET);
pub(super) const CELL: Style = plain(9.0, INK);
pub(super) const NOTE: Style = plain(8.0, QUIET);

/// How much wider the strokes of strong text are, in units of the font's size. It is drawn with an outline, in whatever script,
/// as a font of its own would be embedded in each statement and take a tenth of the time to make it.
const STRONG: f32 = 0.035;

/// On which side of its place a text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A page that is being drawn.
pub(super) struct Sheet<'a, 'b> {
    pub(super) surface: Surface<'a>,
    pub(super) typesetter: &'b mut Typesetter,
}

impl Sheet<'_, '_> {
    /// Draws a text on a base line, as part of what is read aloud.
    pub(super) fn text(&mut self, style: Style, align: Align, x: f32, y: f32, text: &str) -> Option<Identifier> {
        if text.is_empty() {
            return None;
        }
        let identifier = self.surface.start_tagged(ContentTag::Span(SpanTag::empty()));
        self.draw(style, align, x, y, text);
        self.surface.end_tagged();
        Some(identifier)
    }

    /// Draws a text that is not read aloud: it was said before, or says only where one is.
    pub(super) fn aside(&mut self, kind: ArtifactType, style: Style, align: Align, x: f32, y: f32, text: &str) {
        self.surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(kind)));
        self.draw(style, align, x, y, text);
        self.surface.end_tagged();
    }

    fn draw(&mut self, style: Style, align: Align, x: f32, y: f32, text: &str) {
        let shaped = self.typesetter.set(text);
        let mut x = if align == Align::Right { x - shaped.width * style.size } else { x };
        let (red, green, blue) = style.color;
        let paint = Paint::from(rgb::Color::new(red, green, blue));
        let (width, line_join) = (STRONG * style.size, LineJoin::Round);
        let outline = Stroke { paint: paint.clone(), width, line_join, ..Stroke::default() };
        self.surface.set_stroke(style.is_strong.then_some(outline));
        self.surface.set_fill(Some(Fill { paint, opacity: NormalizedF32::ONE, ..Fill::default() }));
        for run in &shaped.runs {
            let start = Point::from_xy(x, y);
            self.surface.draw_glyphs(start, &run.glyphs, run.font.clone(), &run.text, style.size, false);
            x += run.width * style.size;
        }
    }

    /// A line over the whole width.
    pub(super) fn rule(&mut self, y: f32, width: f32) {
        self.rules(&[y], width);
    }

    /// Lines over the whole width, drawn as one.
    pub(super) fn rules(&mut self, places: &[f32], width: f32) {
        let (red, green, blue) = RULE;
        let mut path = PathBuilder::new();
        for y in places {
            path.move_to(LEFT, *y);
            path.line_to(RIGHT, *y);
        }
        let Some(path) = path.finish() else { return };
        self.surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout)));
        self.surface.set_fill(None);
        let paint = rgb::Color::new(red, green, blue).into();
        self.surface.set_stroke(Some(Stroke { paint, width, ..Stroke::default() }));
        self.surface.draw_path(&path);
        self.surface.end_tagged();
    }
}

/// What is read aloud, in its order.
#[derive(Default)]
pub(super) struct Tags {
    before: Vec<Node>,
    rows: Vec<Node>,
    after: Vec<Node>,
}

impl Tags {
    fn paragraph(&mut self, identifiers: impl IntoIterator<Item = Option<Identifier>>) {
        let group = group(Tag::P, identifiers);
        self.before.push(group.into());
    }

    pub(super) fn row(&mut self, cells: Vec<TagGroup>) {
        let nodes = cells.into_iter().map(Node::from).collect();
        self.rows.push(TagGroup::with_children(Tag::TR, nodes).into());
    }

    pub(super) fn closing(&mut self, identifiers: impl IntoIterator<Item = Option<Identifier>>) {
        self.after.push(group(Tag::P, identifiers).into());
    }

    pub(super) fn into_nodes(self) -> Vec<Node> {
        let table = TagGroup::with_children(Tag::Table, self.rows);
        self.before.into_iter().chain([table.into()]).chain(self.after).collect()
    }
}

/// A group of texts.
pub(super) fn group(
    tag: impl Into<krilla::tagging::TagKind>,
    identifiers: impl IntoIterator<Item = Option<Identifier>>,
) -> TagGroup {
    TagGroup::with_children(tag, identifiers.into_iter().flatten().map(Node::from).collect())
}

/// The first page down to the table; returns where that begins.
pub(super) fn opening(sheet: &mut Sheet<'_, '_>, tags: &mut Tags, job: &Job<'_>) -> f32 {
    let (texts, statement) = (job.texts, job.statement);
    letterhead(sheet, tags, job);
    let title = sheet.text(TITLE, Align::Left, LEFT, 132.0, texts.title);
    let heading = Tag::Hn(NonZeroU16::MIN, Some(texts.title.to_owned()));
    tags.before.push(group(heading, [title]).into());

    let period = format!("{} – {}", job.locale.day(statement.month.first_day()), job.locale.day(statement.last_day()));
    let mut y = 160.0;
    let (names, added) = holder(sheet.typesetter, job);
    let account = [statement.account.to_string()];
    detail(sheet, tags, (LEFT, y), texts.holder, &names);
    detail(sheet, tags, (LEFT + 270.0, y), texts.account, &account);
    y += 32.0 + added;
    detail(sheet, tags, (LEFT, y), texts.period, &[period]);
    detail(sheet, tags, (LEFT + 270.0, y), texts.currency, &[statement.currency.code().to_owned()]);

    y += 30.0;
    sheet.rule(y, 0.8);
    let totals = [
        (texts.opening, statement.opening),
        (texts.credits, statement.totals.credits),
        (texts.debits, -statement.totals.debits),
        (texts.interest, statement.totals.interest),
        (texts.fees, -statement.totals.fees),
        (texts.closing, statement.closing),
    ];
    for (right, (label, minor_units)) in TOTALS_RIGHT.into_iter().zip(totals) {
        let figure = job.locale.figure(minor_units, statement.currency);
        let label = sheet.text(LABEL, Align::Right, right, y + 14.0, label);
        let figure = sheet.text(FIGURE, Align::Right, right, y + 27.0, &figure);
        tags.paragraph([label, figure]);
    }
    sheet.rule(y + 36.0, 0.8);
    table_top(sheet.typesetter, job)
}

/// Where the table begins on the first page.
pub(super) fn table_top(typesetter: &mut Typesetter, job: &Job<'_>) -> f32 {
    TABLE_TOP + holder(typesetter, job).1
}

/// The holder's name in lines, and what those after the first add to the page.
#[expect(clippy::cast_precision_loss, reason = "a few lines")]
fn holder(typesetter: &mut Typesetter, job: &Job<'_>) -> (Vec<String>, f32) {
    let name = job.statement.holder.as_deref().unwrap_or_default();
    let lines = typesetter.broken(name, HOLDER_WIDTH / VALUE.size);
    let added = lines.len().saturating_sub(1) as f32 * VALUE_HEIGHT;
    (lines, added)
}

const HOLDER_WIDTH: f32 = 250.0;
/// From line to line of a value.
const VALUE_HEIGHT: f32 = 12.0;

/// Where the six totals end.
const TOTALS_RIGHT: [f32; 6] = [LEFT + 86.0, LEFT + 172.0, LEFT + 258.0, LEFT + 328.0, LEFT + 398.0, RIGHT];

fn letterhead(sheet: &mut Sheet<'_, '_>, tags: &mut Tags, job: &Job<'_>) {
    let name = sheet.text(BANK, Align::Left, LEFT, 58.0, &job.letterhead.name);
    if name.is_some() {
        tags.paragraph([name]);
    }
    let mut y = 50.0;
    for line in job.letterhead.lines.iter().take(LETTERHEAD_LINES_MAX) {
        let line = sheet.text(NOTE, Align::Right, RIGHT, y, line);
        if line.is_some() {
            tags.paragraph([line]);
        }
        y += 11.0;
    }
    sheet.rule(92.0, 0.8);
}

fn detail(sheet: &mut Sheet<'_, '_>, tags: &mut Tags, (x, y): (f32, f32), label: &str, values: &[String]) {
    if values.is_empty() {
        return;
    }
    let mut identifiers = vec![sheet.text(LABEL, Align::Left, x, y, label)];
    let mut below = y + 13.0;
    for value in values {
        identifiers.push(sheet.text(VALUE, Align::Left, x, below, value));
        below += VALUE_HEIGHT;
    }
    tags.paragraph(identifiers);
}

/// Whose statement this is, and which page.
pub(super) fn footer(sheet: &mut Sheet<'_, '_>, job: &Job<'_>, number: usize, count: usize) {
    let y = PAGE_HEIGHT - 36.0;
    let Job { statement, letterhead, texts, .. } = job;
    let parts = [letterhead.name.as_str(), &statement.account.to_string(), &statement.month.to_string()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    sheet.rule(y - 12.0, 0.5);
    sheet.aside(ArtifactType::Footer, LABEL, Align::Left, LEFT, y, &parts.join("  ·  "));
    sheet.aside(ArtifactType::Footer, LABEL, Align::Right, RIGHT, y, &texts.page(number, count));
}
