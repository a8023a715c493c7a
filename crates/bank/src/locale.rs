//! How amounts and days are written for a customer, by the language tag in the profile. Figures are made here from whole
//! minor units, so that no template ever computes with money.

use ledger::currency::Currency;
use ledger::time::Day;

/// Languages that texts exist in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// English, and whatever has no texts of its own.
    English,
    /// Czech.
    Czech,
    /// German.
    German,
    /// Greek.
    Greek,
    /// Japanese.
    Japanese,
}

/// How a customer reads figures. The rules are those of the Unicode CLDR for the language; regions that write otherwise
/// have an entry of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locale {
    /// What of a language tag it is for.
    pub tag: &'static str,
    /// The language of texts.
    pub language: Language,
    decimal: &'static str,
    group: &'static str,
    day: DayOrder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DayOrder {
    /// 21 Nov 2026
    Words,
    /// Nov 21, 2026
    WordsMonthFirst,
    /// 21. 11. 2026
    SpacedDots,
    /// 21.11.2026
    Dots,
    /// 21/11/2026
    Slashes,
    /// 2026/11/21
    YearFirst,
}

const fn locale(
    tag: &'static str,
    language: Language,
    decimal: &'static str,
    group: &'static str,
    day: DayOrder,
) -> Locale {
    Locale { tag, language, decimal, group, day }
}

/// Separates groups of digits where a line must not break.
const NARROW: &str = "\u{a0}";

/// Longer tags stand before the shorter ones that they begin with; the first is what everybody else gets.
const LOCALES: [Locale; 8] = [
    locale("en", Language::English, ".", ",", DayOrder::Words),
    locale("en-US", Language::English, ".", ",", DayOrder::WordsMonthFirst),
    locale("cs", Language::Czech, ",", NARROW, DayOrder::SpacedDots),
    locale("de-CH", Language::German, ".", "’", DayOrder::Dots),
    locale("de-AT", Language::German, ",", NARROW, DayOrder::Dots),
    locale("de", Language::German, ",", ".", DayOrder::Dots),
    locale("el", Language::Greek, ",", ".", DayOrder::Slashes),
    locale("ja", Language::Japanese, ".", ",", DayOrder::YearFirst),
];

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Locale {
    /// The locale of a language tag such as `cs-CZ`, in whatever case; English where there is none of that language.
    pub fn of(tag: &str) -> &'static Locale {
        let fits = |known: &&Locale| {
            let start = tag.get(..known.tag.len()).unwrap_or_default();
            let rest = tag.as_bytes().get(known.tag.len());
            start.eq_ignore_ascii_case(known.tag) && rest.is_none_or(|next| *next == b'-' || *next == b'_')
        };
        LOCALES.iter().filter(fits).max_by_key(|known| known.tag.len()).unwrap_or(&LOCALES[0])
    }

    /// A signed number of minor units with the currency's decimals, grouped, without the currency: `-1 234,50`.
    pub fn figure(&self, minor_units: i128, currency: Currency) -> String {
        let scale = usize::from(currency.scale());
        let digits = format!("{:0>width$}", minor_units.unsigned_abs(), width = scale + 1);
        let (whole, decimals) = digits.split_at(digits.len() - scale);
        let mut text = String::with_capacity(digits.len() * 2);
        if minor_units < 0 {
            text.push('-');
        }
        for (index, digit) in whole.chars().enumerate() {
            if index != 0 && (whole.len() - index).is_multiple_of(3) {
                text.push_str(self.group);
            }
            text.push(digit);
        }
        if scale != 0 {
            text.push_str(self.decimal);
            text.push_str(decimals);
        }
        text
    }

    /// A number of minor units with its currency, as the language writes it: `$1,000.00`, `1 000,00 Kč`. A sign is known
    /// only where it can mean nothing else; other currencies have their code.
    pub fn amount(&self, minor_units: i128, currency: Currency) -> String {
        let figure = self.figure(minor_units.abs(), currency);
        let minus = if minor_units < 0 { "-" } else { "" };
        let code = currency.code();
        let is_first = matches!(self.language, Language::English | Language::Japanese) || self.tag == "de-CH";
        let sign = match (code, self.language) {
            ("EUR", _) => Some("€"),
            ("USD", _) => Some("$"),
            ("GBP", _) => Some("£"),
            ("JPY", Language::Japanese | Language::English) => Some("¥"),
            ("CZK", Language::Czech) => Some("Kč"),
            _ => None,
        };
        match sign {
            Some(sign) if is_first && self.tag != "de-CH" => format!("{minus}{sign}{figure}"),
            _ if is_first => format!("{minus}{code}{NARROW}{figure}"),
            sign => format!("{minus}{figure}{NARROW}{}", sign.unwrap_or(code)),
        }
    }

    /// A day.
    pub fn day(&self, day: Day) -> String {
        let (year, month, day) = day.date();
        let name = MONTHS.get(month as usize - 1).copied().unwrap_or_default();
        match self.day {
            DayOrder::Words => format!("{day} {name} {year}"),
            DayOrder::WordsMonthFirst => format!("{name} {day}, {year}"),
            DayOrder::SpacedDots => format!("{day}.{NARROW}{month}.{NARROW}{year}"),
            DayOrder::Dots => format!("{day:02}.{month:02}.{year}"),
            DayOrder::Slashes => format!("{day}/{month}/{year}"),
            DayOrder::YearFirst => format!("{year}/{month:02}/{day:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().expect("a currency")
    }

    #[test]
    fn amounts_are_written_as_each_language_does() {
        let euro = currency("EUR");
        let of = |tag: &str| Locale::of(tag).figure(-123_456_789, euro);
        assert_eq!(of("en-GB"), "-1,234,567.89");
        assert_eq!(of("cs-CZ"), "-1\u{a0}234\u{a0}567,89");
        assert_eq!(of("de-DE"), "-1.234.567,89");
        assert_eq!(of("de-ch"), "-1’234’567.89");
        assert_eq!(of("el"), "-1.234.567,89");
        assert_eq!(of("ja-JP"), "-1,234,567.89");
        assert_eq!(of("den"), of("en"), "no language of ours");
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        let english = Locale::of("en");
        assert_eq!(english.figure(1_234_567, currency("JPY")), "1,234,567");
        assert_eq!(english.figure(7, currency("EUR")), "0.07");
        assert_eq!(english.figure(-5, currency("KWD")), "-0.005");
        assert_eq!(english.figure(0, currency("JPY")), "0");
        assert_eq!(english.figure(i128::from(u64::MAX), currency("EUR")), "184,467,440,737,095,516.15");
    }

    #[test]
    fn amounts_with_their_currency_are_written_as_each_language_does() {
        let of = |tag: &str, code: &str| Locale::of(tag).amount(-123_456, currency(code));
        assert_eq!(of("en-US", "USD"), "-$1,234.56");
        assert_eq!(of("en", "CZK"), "-CZK\u{a0}1,234.56");
        assert_eq!(of("cs", "CZK"), "-1\u{a0}234,56\u{a0}Kč");
        assert_eq!(of("cs", "CHF"), "-1\u{a0}234,56\u{a0}CHF");
        assert_eq!(of("de", "EUR"), "-1.234,56\u{a0}€");
        assert_eq!(of("de-CH", "CHF"), "-CHF\u{a0}1’234.56");
        assert_eq!(of("el", "EUR"), "-1.234,56\u{a0}€");
        assert_eq!(of("ja", "JPY"), "-¥123,456");
    }

    #[test]
    fn days_are_written_as_each_language_does() {
        let day = Day::from_date(2026, 11, 5).expect("a day");
        let days = ["en", "en-US", "cs", "de", "el", "ja", "xx"].map(|tag| Locale::of(tag).day(day));
        let expected = [
            "5 Nov 2026",
            "Nov 5, 2026",
            "5.\u{a0}11.\u{a0}2026",
            "05.11.2026",
            "5/11/2026",
            "2026/11/05",
            "5 Nov 2026",
        ];
        assert_eq!(days, expected);
    }
}
