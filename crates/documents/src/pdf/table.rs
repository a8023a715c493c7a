//! The table of postings: dealt to pages, and drawn.

use super::Job;
use super::page::{Align, BOTTOM, CELL, HEAD, LEFT, NOTE, RIGHT, Sheet, Style, TOP, Tags, group, table_top};
use super::type_setting::Typesetter;
use bank::statement::Line;
use krilla::tagging::{ArtifactType, TableHeaderScope, Tag};

const HEAD_HEIGHT: f32 = 20.0;
/// The first line of a row with what is above and below it.
const ROW_HEIGHT: f32 = 17.0;
/// Each further line of a description.
const LINE_HEIGHT: f32 = 10.5;

const VALUE_DATE_LEFT: f32 = LEFT + 72.0;
const DESCRIPTION_LEFT: f32 = LEFT + 144.0;
const AMOUNT_RIGHT: f32 = RIGHT - 92.0;
/// Between columns.
const GAP: f32 = 8.0;

/// A line of the statement as it will be drawn.
pub(super) struct Row<'a> {
    line: &'a Line,
    /// What it was, broken to the column; the first line is in full ink.
    description: Vec<String>,
    /// References, in quiet ink.
    notes: Vec<String>,
}

impl Row<'_> {
    #[expect(clippy::cast_precision_loss, reason = "a few lines")]
    fn height(&self) -> f32 {
        let further = self.description.len().saturating_sub(1) + self.notes.len();
        ROW_HEIGHT + further as f32 * LINE_HEIGHT
    }
}

/// Deals the lines to pages. There is always one page.
pub(super) fn pages<'a>(typesetter: &mut Typesetter, job: &Job<'a>) -> Vec<Vec<Row<'a>>> {
    let mut pages = vec![Vec::new()];
    let mut y = table_top(typesetter, job) + HEAD_HEIGHT;
    let figure = |line: &Line| job.locale.figure(line.amount, job.statement.currency);
    let widths = job.statement.lines.iter().map(|line| typesetter.set(&figure(line)).width);
    let width = AMOUNT_RIGHT - DESCRIPTION_LEFT - GAP - widths.fold(0.0, f32::max) * CELL.size;
    for line in &job.statement.lines {
        let row = row(typesetter, job, line, width);
        if BOTTOM < y + row.height() {
            pages.push(Vec::new());
            y = TOP + HEAD_HEIGHT;
        }
        y += row.height();
        if let Some(page) = pages.last_mut() {
            page.push(row);
        }
    }
    pages
}

fn row<'a>(typesetter: &mut Typesetter, job: &Job<'_>, line: &'a Line, width: f32) -> Row<'a> {
    let mut what = job.texts.kind(line.told_kind()).to_owned();
    if let Some(other) = line.counterparty {
        what.push_str(&format!(" {} {other}", if line.amount < 0 { job.texts.to } else { job.texts.from }));
    }
    if line.is_late {
        what.push_str(&format!(" ({})", job.texts.late));
    }
    let broken = |typesetter: &mut Typesetter, style: Style, text: &str| typesetter.broken(text, width / style.size);
    let description = broken(typesetter, CELL, &what);
    let notes = broken(typesetter, NOTE, line.reference.as_deref().unwrap_or_default());
    Row { line, description, notes }
}

/// Draws the rows of a page below `top`. The names of the columns are read aloud once, where the table begins.
pub(super) fn draw(
    sheet: &mut Sheet<'_, '_>,
    tags: &mut Tags,
    job: &Job<'_>,
    rows: &[Row<'_>],
    top: f32,
    is_first: bool,
) {
    head(sheet, tags, job, top, is_first);
    let (mut y, mut ends) = (top + HEAD_HEIGHT, Vec::with_capacity(rows.len()));
    for row in rows {
        draw_row(sheet, tags, job, row, y);
        y += row.height();
        ends.push(y);
    }
    sheet.rules(&ends, 0.3);
    if job.statement.lines.is_empty() {
        let nothing = sheet.text(CELL, Align::Left, LEFT, y + 14.0, job.texts.nothing);
        tags.closing([nothing]);
    }
}

fn head(sheet: &mut Sheet<'_, '_>, tags: &mut Tags, job: &Job<'_>, top: f32, is_first: bool) {
    let texts = job.texts;
    let names = [
        (Align::Left, LEFT, texts.booked),
        (Align::Left, VALUE_DATE_LEFT, texts.value_date),
        (Align::Left, DESCRIPTION_LEFT, texts.description),
        (Align::Right, AMOUNT_RIGHT, texts.amount),
        (Align::Right, RIGHT, texts.balance),
    ];
    let y = top + HEAD_HEIGHT - 7.0;
    let mut cells = Vec::new();
    for (align, x, name) in names {
        if is_first {
            let name = sheet.text(HEAD, align, x, y, name);
            cells.push(group(Tag::TH(TableHeaderScope::Column), [name]));
        } else {
            sheet.aside(ArtifactType::Header, HEAD, align, x, y, name);
        }
    }
    if is_first {
        tags.row(cells);
    }
    sheet.rule(top + HEAD_HEIGHT, 0.8);
}

fn draw_row(sheet: &mut Sheet<'_, '_>, tags: &mut Tags, job: &Job<'_>, row: &Row<'_>, top: f32) {
    let (line, currency) = (row.line, job.statement.currency);
    let y = top + 12.0;
    let booked = sheet.text(CELL, Align::Left, LEFT, y, &job.locale.day(line.booked_at.day()));
    let value_date = sheet.text(CELL, Align::Left, VALUE_DATE_LEFT, y, &job.locale.day(line.effective_at.day()));
    let (mut description, mut below) = (Vec::new(), y);
    for text in &row.description {
        description.push(sheet.text(CELL, Align::Left, DESCRIPTION_LEFT, below, text));
        below += LINE_HEIGHT;
    }
    for text in &row.notes {
        description.push(sheet.text(NOTE, Align::Left, DESCRIPTION_LEFT, below, text));
        below += LINE_HEIGHT;
    }
    let amount = sheet.text(CELL, Align::Right, AMOUNT_RIGHT, y, &job.locale.figure(line.amount, currency));
    let balance = sheet.text(CELL, Align::Right, RIGHT, y, &job.locale.figure(line.balance, currency));
    let cells = [vec![booked], vec![value_date], description, vec![amount], vec![balance]];
    tags.row(cells.into_iter().map(|cell| group(Tag::TD, cell)).collect());
}
