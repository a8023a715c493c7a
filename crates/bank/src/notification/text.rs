//! The words of messages: templates for each kind and language, which a bank can replace one by one.
//!
//! A file of texts has sections: `[kind]` on a line of its own, then the subject, then the text until the next section.
//! Lines before the first section are remarks. Amounts come to templates as finished texts: none computes with money.

use super::kind::Kind;
use super::message::Facts;
use crate::locale::{Language, Locale};
use ledger::time::Timestamp;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use std::collections::{BTreeMap, BTreeSet};
use store::Fault;

/// Languages with texts, and the names of their files without the ending `txt`.
pub const LANGUAGES: [(&str, Language, &str); 5] = [
    ("en", Language::English, include_str!("texts/en.txt")),
    ("cs", Language::Czech, include_str!("texts/cs.txt")),
    ("de", Language::German, include_str!("texts/de.txt")),
    ("el", Language::Greek, include_str!("texts/el.txt")),
    ("ja", Language::Japanese, include_str!("texts/ja.txt")),
];

/// How much a template may do, so that none with a loop stops messages.
const FUEL: u64 = 100_000;
/// Longest subject and text in bytes: more than any mail needs, and less than any provider takes.
const SUBJECT_BYTES_MAX: usize = 512;
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// The templates of all kinds and languages.
#[derive(Debug)]
pub struct Texts {
    templates: Environment<'static>,
    bank: String,
}

/// A finished text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// One line.
    pub subject: String,
    /// The text itself.
    pub text: String,
}

/// What only whoever sends a message knows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What to call the account at the other end, if by anything else than its number.
    pub recipient: Option<String>,
    /// When the message was sent that this one corrects.
    pub first_message: Option<Timestamp>,
}

impl Texts {
    /// The texts of the bank of this name. Each replacement is a language's name, such as `cs`, and a file of texts; what it does not
    /// have stays as it is here.
    ///
    /// # Errors
    /// What is wrong with a replacement, and where: every template is tried once.
    pub fn new(bank: &str, replacements: &[(String, String)]) -> Result<Texts, String> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        templates.set_auto_escape_callback(|_| AutoEscape::None); // each channel escapes as it must
        templates.set_fuel(Some(FUEL));
        let known = LANGUAGES.iter().map(|(name, _, file)| (*name, *file));
        let replaced = replacements.iter().map(|(name, file)| (name.as_str(), file.as_str()));
        for (language, file) in known.chain(replaced) {
            if LANGUAGES.iter().all(|(name, _, _)| *name != language) {
                return Err(format!(
                    "{language}.txt: there is no language `{language}`; name the file after one of en, cs, de, el, ja"
                ));
            }
            for (kind, section) in sections(file).map_err(|error| format!("{language}.txt: {error}"))? {
                for (part, source) in [("subject", section.subject), ("text", section.text)] {
                    let name = format!("{language}/{}/{part}", kind.name());
                    let added = templates.add_template_owned(name, source);
                    added.map_err(|error| format!("{language}.txt, [{}]: {error:#}", kind.name()))?;
                }
            }
        }
        let texts = Texts { templates, bank: bank.to_owned() };
        texts.check_names()?;
        texts.try_all()?;
        Ok(texts)
    }

    /// Every name in a template is one that messages know, a function of the template language, or set there.
    fn check_names(&self) -> Result<(), String> {
        let context = self.context(Locale::of("en"), &samples(true), &Known::default());
        let names: BTreeSet<&str> = context.into_keys().collect();
        let functions: BTreeSet<&str> = self.templates.globals().map(|(name, _)| name).collect();
        for (template, source) in self.templates.templates() {
            let used: BTreeSet<String> = source.undeclared_variables(false).into_iter().collect();
            let is_known = |name: &str| names.contains(name) || functions.contains(name) || sets(source.source(), name);
            if let Some(unknown) = used.iter().find(|name| !is_known(name)) {
                let known = Vec::from_iter(names).join(", ");
                let (language, section) = template.split_once('/').unwrap_or_default();
                let kind = section.split('/').next().unwrap_or_default();
                return Err(format!("{language}.txt, [{kind}]: there is no `{unknown}`; there are {known}"));
            }
        }
        Ok(())
    }

    fn try_all(&self) -> Result<(), String> {
        let known = Known { recipient: None, first_message: Some(Timestamp::ZERO) };
        for (name, _, _) in LANGUAGES {
            for kind in Kind::ALL {
                for (facts, known) in [(samples(true), &known), (samples(false), &Known::default())] {
                    let written = self.write(Locale::of(name), *kind, &facts, known);
                    written.map_err(|fault| {
                        // It is the operator's file that is wrong, and nothing that is stored.
                        let what = if let Fault::Corrupt { detail } = fault { detail } else { fault.to_string() };
                        format!("{name}.txt, [{}]: {what}", kind.name())
                    })?;
                }
            }
        }
        Ok(())
    }

    /// What a message says to a reader of this locale.
    ///
    /// # Errors
    /// `Corrupt` where a template cannot say it.
    pub fn write(&self, locale: &Locale, kind: Kind, facts: &Facts, known: &Known) -> Result<Written, Fault> {
        let mut context = self.context(locale, facts, known);
        if kind == Kind::TransferFailed && known.first_message.is_some() {
            // A correction quotes what it corrects, in whatever words that was said.
            let first = Box::new(self.write(locale, Kind::TransferPending, facts, &Known::default())?);
            context.insert("first_text", Value::from(first.text));
        }
        let context = Value::from_pairs(context);
        let language = LANGUAGES.iter().find(|(_, language, _)| *language == locale.language).map_or("en", |row| row.0);
        let render = |part: &str, bytes_max: usize| {
            let name = format!("{language}/{}/{part}", kind.name());
            let template = self.templates.get_template(&name);
            let text = template.and_then(|template| template.render(&context));
            let failed = |error| Fault::Corrupt { detail: format!("the template {name}: {error:#}") };
            let text = text.map_err(failed)?;
            if bytes_max < text.len() {
                return Err(Fault::Corrupt { detail: format!("the template {name} made more than {bytes_max} bytes") });
            }
            Ok(text)
        };
        let subject = render("subject", SUBJECT_BYTES_MAX)?.replace(['\r', '\n'], " ");
        Ok(Written { subject, text: render("text", TEXT_BYTES_MAX)? })
    }

    fn context(&self, locale: &Locale, facts: &Facts, known: &Known) -> BTreeMap<&'static str, Value> {
        let mut context = BTreeMap::new();
        let currency = facts.currency();
        let amounts = [
            ("amount", facts.amount),
            ("balance", facts.balance),
            ("available", facts.available.or(facts.balance)),
            ("threshold", facts.threshold),
        ];
        for (name, amount) in amounts {
            let text = currency.zip(amount).map(|(currency, amount)| locale.amount(amount, currency));
            context.insert(name, text.map_or(Value::from(""), Value::from));
        }
        let recipient = known.recipient.as_ref().or(facts.other_account.as_ref());
        let texts = [
            ("account", facts.account.as_ref()),
            ("recipient", recipient),
            ("transfer", facts.transfer.as_ref()),
            ("hold", facts.hold.as_ref()),
            ("month", facts.month.as_ref()),
            ("code", facts.code.as_ref()),
            ("change", facts.change.as_ref()),
        ];
        for (name, text) in texts {
            context.insert(name, text.map_or(Value::from(""), |text| Value::from(text.as_str())));
        }
        context.insert("credited", Value::from(facts.credited.unwrap_or(false)));
        context.insert("bank", Value::from(self.bank.as_str()));
        let first = known.first_message.map(|at| format!("{} {}", locale.day(at.day()), &at.to_string()[11..16]));
        context.insert("first_text", Value::from(""));
        context.insert("first_message", first.map_or(Value::from(""), |at| Value::from(format!("{at} UTC"))));
        context
    }
}

/// Whether a template gives this name a value itself. The library takes what is set in a branch for unknown behind it.
fn sets(source: &str, name: &str) -> bool {
    let words = source.split(|character: char| !character.is_alphanumeric() && character != '_');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.windows(2).any(|pair| pair == ["set", name])
}

/// Facts with everything in them, or with as little as there may be.
fn samples(are_full: bool) -> Facts {
    let full = Facts {
        account: Some("1".into()),
        currency: Some("EUR".into()),
        amount: Some(1),
        balance: Some(1),
        available: Some(1),
        threshold: Some(1),
        credited: Some(true),
        other_account: Some("2".into()),
        ..Facts::default()
    };
    if are_full { full } else { Facts::default() }
}

struct Section {
    subject: String,
    text: String,
}

fn sections(file: &str) -> Result<Vec<(Kind, Section)>, String> {
    let mut sections: Vec<(Kind, Vec<&str>)> = Vec::new();
    for line in file.lines() {
        let heading = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match (heading, sections.last_mut()) {
            (Some(name), _) => {
                let kind = Kind::from_name(name);
                sections.push((kind.ok_or_else(|| format!("[{name}] is no kind of message"))?, Vec::new()));
            }
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    let section = |(kind, lines): (Kind, Vec<&str>)| {
        let mut lines = lines.into_iter().skip_while(|line| line.trim().is_empty());
        let subject = lines.next().unwrap_or_default().trim().to_owned();
        let text = lines.collect::<Vec<_>>().join("\n").trim().to_owned();
        if subject.is_empty() || text.is_empty() {
            return Err(format!("[{}] needs a subject, and a text below it", kind.name()));
        }
        Ok((kind, Section { subject, text }))
    };
    sections.into_iter().map(section).collect()
}

#[cfg(test)]
mod tests;
