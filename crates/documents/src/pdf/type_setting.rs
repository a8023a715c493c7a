//! Texts as glyphs: fonts, shaping, widths, and lines that fit a column.

use harfrust::{FontRef, ShapeOptions, ShapePlan, ShapePlanKey, ShaperData, UnicodeBuffer, script};
use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::MetadataProvider;
use skrifa::raw::TableProvider;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// The built-in font: Latin, Greek and Cyrillic.
const BUILT_IN: &[u8] = include_bytes!("../../fonts/NotoSans-Regular.ttf");

/// Most shaped texts that are kept. Days, kinds and many amounts come again and again.
const KEPT_MAX: usize = 4096;

/// What a character becomes that no font has.
const UNKNOWN: char = '?';

/// A font that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no TrueType or OpenType font that could be embedded")]
pub struct FontError;

struct Face {
    data: Arc<[u8]>,
    shaper: ShaperData,
    /// How texts of a script are shaped: one for each script that was met.
    plans: Vec<ShapePlan>,
    font: Font,
}

impl Face {
    fn new(data: Arc<[u8]>) -> Result<Face, FontError> {
        let read = font_of(&data).ok_or(FontError)?;
        // OpenType, OS/2, fsType: a restricted licence. Every file with such a font would be refused when it is made.
        if read.os2().is_ok_and(|table| table.fs_type() & 0xF == 2) {
            return Err(FontError);
        }
        let shaper = ShaperData::new(&read);
        let font = Font::new(data.to_vec().into(), 0).ok_or(FontError)?;
        Ok(Face { data, shaper, plans: Vec::new(), font })
    }
}

fn font_of(data: &[u8]) -> Option<FontRef<'_>> {
    FontRef::from_index(data, 0).ok()
}

/// A stretch of a text in one font.
pub(crate) struct Run {
    pub(crate) font: Font,
    pub(crate) text: String,
    pub(crate) glyphs: Vec<KrillaGlyph>,
    /// In units of the font's size.
    pub(crate) width: f32,
}

/// A text as glyphs.
pub(crate) struct Shaped {
    pub(crate) runs: Vec<Run>,
    /// In units of the font's size.
    pub(crate) width: f32,
}

/// Sets texts in the built-in font, and in further ones where that lacks a character. Keep it: fonts are read once, and
/// texts that were set are remembered.
pub struct Typesetter {
    faces: Vec<Face>,
    kept: HashMap<String, Arc<Shaped>>,
}

impl std::fmt::Debug for Typesetter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typesetter").field("fonts", &self.faces.len()).finish()
    }
}

impl Typesetter {
    /// A typesetter that has these fonts besides the built-in one, asked in their order; files in TrueType or OpenType.
    ///
    /// # Errors
    /// A file that is no such font.
    pub fn new(further: &[Vec<u8>]) -> Result<Typesetter, FontError> {
        let all = std::iter::once(BUILT_IN).chain(further.iter().map(Vec::as_slice));
        let faces = all.map(|data| Face::new(data.into())).collect::<Result<_, FontError>>()?;
        Ok(Typesetter { faces, kept: HashMap::new() })
    }

    /// The glyphs of a text.
    pub(crate) fn set(&mut self, text: &str) -> Arc<Shaped> {
        let Typesetter { faces, kept } = self;
        if let Some(known) = kept.get(text) {
            return known.clone();
        }
        let stretches = stretches(faces, text).into_iter();
        let runs: Vec<Run> = stretches.filter_map(|(place, text)| shape(&mut faces[place], text)).collect();
        let shaped = Arc::new(Shaped { width: runs.iter().map(|run| run.width).sum(), runs });
        if KEPT_MAX <= kept.len() {
            kept.clear();
        }
        kept.insert(text.to_owned(), shaped.clone());
        shaped
    }

    /// Whether the fonts have all characters of a text.
    pub(crate) fn knows(&self, text: &str) -> bool {
        !stretches(&self.faces, text).iter().any(|(_, stretch)| stretch.contains(UNKNOWN))
    }

    /// The text in lines that are no wider than this, in units of the font's size: broken between words, and within those
    /// that are wider by themselves.
    pub(crate) fn broken(&mut self, text: &str, width: f32) -> Vec<String> {
        // Most are short.
        let words: Vec<&str> = text.split(breaks).filter(|word| !word.is_empty()).collect();
        let whole = words.join(" ");
        if whole.is_empty() || self.set(&whole).width <= width {
            return Vec::from_iter((!whole.is_empty()).then_some(whole));
        }
        let mut lines: Vec<String> = Vec::new();
        for word in words {
            if let Some(last) = lines.last_mut() {
                let longer = format!("{last} {word}");
                if self.set(&longer).width <= width {
                    *last = longer;
                    continue;
                }
            }
            let mut rest = word;
            while width < self.set(rest).width {
                let fits = self.beginning(rest, width);
                lines.push(rest[..fits].to_owned());
                rest = &rest[fits..];
            }
            lines.push(rest.to_owned());
        }
        lines
    }

    /// How many bytes of a text fit; at least one character.
    fn beginning(&mut self, text: &str, width: f32) -> usize {
        let ends: Vec<usize> = text.char_indices().map(|(start, character)| start + character.len_utf8()).collect();
        let fit = ends.partition_point(|end| self.set(&text[..*end]).width <= width);
        ends[fit.saturating_sub(1)]
    }
}

/// Whether a line may be broken here. What controls something else than paper is no character to print either.
fn breaks(character: char) -> bool {
    character == ' ' || character.is_control()
}

/// It shows nothing, and an archival PDF may not name it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Whether a character means the same for ever: those for private use do not, and an archival PDF may not have them.
fn is_lasting(character: char) -> bool {
    !matches!(character, '\0' | '\u{e000}'..='\u{f8ff}' | '\u{fffe}' | '\u{ffff}' | '\u{f0000}'..)
}

/// The text in stretches of characters that the same font has, with its place.
fn stretches(faces: &[Face], text: &str) -> Vec<(usize, String)> {
    let maps: Vec<_> = faces.iter().map(|face| font_of(&face.data).map(|font| font.charmap())).collect();
    let knows = |place: usize, character: char| {
        maps[place].as_ref().is_some_and(|map| map.map(character).is_some_and(|glyph| glyph.to_u32() != 0))
    };
    let mut stretches: Vec<(usize, String)> = Vec::new();
    for character in text.chars().filter(|character| *character != BYTE_ORDER_MARK) {
        let found = (0..faces.len()).find(|place| is_lasting(character) && knows(*place, character));
        let (place, character) = found.map_or((0, UNKNOWN), |place| (place, character));
        match stretches.last_mut() {
            Some((last, stretch)) if *last == place => stretch.push(character),
            _ => stretches.push((place, character.into())),
        }
    }
    stretches
}

#[expect(clippy::cast_precision_loss, reason = "places on paper, a few thousand units at most")]
fn shape(face: &mut Face, text: String) -> Option<Run> {
    let font = font_of(&face.data)?;
    let shaper = face.shaper.shaper(&font).build();
    let mut buffer = UnicodeBuffer::new();
    buffer.push_str(&text);
    buffer.guess_segment_properties();
    // Digits alone are of no script.
    let script = Some(buffer.script()).filter(|script| *script != script::UNKNOWN);
    let key = ShapePlanKey::new(script, buffer.direction());
    let place = face.plans.iter().position(|plan| key.matches(plan)).unwrap_or(face.plans.len());
    if place == face.plans.len() {
        face.plans.push(ShapePlan::new(&shaper, buffer.direction(), script, None, &[]));
    }
    let shaped = shaper.shape(buffer, ShapeOptions::new().plan(face.plans.get(place)));
    let unit = face.font.units_per_em();
    let (infos, positions) = (shaped.glyph_infos(), shaped.glyph_positions());
    let mut starts: Vec<usize> = infos.iter().map(|info| info.cluster as usize).collect();
    starts.sort_unstable();
    let cluster = |start: usize| -> Range<usize> {
        let next = starts.partition_point(|known| *known <= start);
        start..starts.get(next).copied().unwrap_or(text.len())
    };
    let glyphs: Vec<KrillaGlyph> = infos
        .iter()
        .zip(positions)
        .map(|(info, position)| {
            KrillaGlyph::new(
                GlyphId::new(info.glyph_id),
                position.x_advance as f32 / unit,
                position.x_offset as f32 / unit,
                position.y_offset as f32 / unit,
                position.y_advance as f32 / unit,
                cluster(info.cluster as usize),
                None,
            )
        })
        .collect();
    let width = glyphs.iter().map(|glyph| glyph.x_advance).sum();
    Some(Run { font: face.font.clone(), text, glyphs, width })
}
