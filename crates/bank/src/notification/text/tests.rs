//! The words of messages, and what is wrong with a bank's own.

use super::*;

fn facts() -> Facts {
    Facts {
        account: Some("9001".into()),
        currency: Some("USD".into()),
        amount: Some(100_000),
        balance: Some(500_000),
        available: Some(450_000),
        other_account: Some("9002".into()),
        ..Facts::default()
    }
}

fn write(tag: &str, kind: Kind, facts: &Facts) -> Written {
    let texts = Texts::new("Florin", &[]).expect("texts");
    texts.write(Locale::of(tag), kind, facts, &Known::default()).expect("a text")
}

#[test]
fn the_english_texts_are_those_that_were_agreed() {
    let deposit = write("en", Kind::Deposit, &facts());
    assert_eq!(deposit.subject, "Transaction Confirmation");
    assert_eq!(deposit.text, "Your deposit of $1,000.00 was successful. Your new balance is $5,000.00.");
    let withdrawal = write("en", Kind::Withdrawal, &Facts { amount: Some(50_000), ..facts() });
    assert_eq!(withdrawal.text, "Alert: $500.00 withdrawn from your account. Available balance: $4,500.00.");
    let pending = write("en", Kind::TransferPending, &facts());
    assert_eq!(pending.text, "Money sent! We're updating the recipient's balance now.");
    let completed = write("en", Kind::TransferCompleted, &facts());
    assert_eq!(completed.text, "Success! Your transfer to 9002 is complete.");
}

#[test]
fn what_failed_is_never_called_complete_in_any_language() {
    let completed = ["complete", "Success", "dokončen", "abgeschlossen", "ολοκληρώθηκε", "完了"];
    for (language, _, _) in LANGUAGES {
        let texts = Texts::new("Florin", &[]).expect("texts");
        let known = Known { first_message: "2026-11-21T10:05:00Z".parse().ok(), ..Known::default() };
        let written = texts.write(Locale::of(language), Kind::TransferFailed, &facts(), &known).expect("a text");
        for word in completed {
            assert!(!written.text.contains(word) && !written.subject.contains(word), "{written:?}");
        }
        assert!(written.text.contains("10:05 UTC"), "it names the first message: {written:?}");
        let first = write(language, Kind::TransferPending, &facts()).text;
        assert!(written.text.contains(&first), "{language}: {written:?} quotes {first:?}");
    }
}

#[test]
fn where_a_transfer_went_to_several_no_text_leaves_a_gap() {
    let nobody = Facts { other_account: None, ..facts() };
    assert_eq!(write("en", Kind::TransferCompleted, &nobody).text, "Success! Your transfer is complete.");
    for (language, _, _) in LANGUAGES {
        for kind in [Kind::TransferCompleted, Kind::TransferFailed] {
            assert!(write(language, kind, &facts()).text.contains("9002"), "{language}");
            let text = write(language, kind, &nobody).text;
            assert!(!text.contains("  ") && !text.starts_with("への"), "{language}: {text}");
        }
    }
}

#[test]
fn every_language_has_every_kind_with_figures_as_it_writes_them() {
    for (language, _, file) in LANGUAGES {
        assert_eq!(sections(file).expect("sections").len(), Kind::ALL.len(), "{language}");
    }
    let euro = Facts { currency: Some("EUR".into()), ..facts() };
    assert!(write("de-AT", Kind::Deposit, &euro).text.contains("1\u{a0}000,00\u{a0}€"));
    assert!(write("cs", Kind::Deposit, &euro).text.contains("1\u{a0}000,00\u{a0}€"));
    assert!(write("el", Kind::Deposit, &euro).text.contains("1.000,00\u{a0}€"));
    assert!(write("ja", Kind::Deposit, &euro).text.contains("€1,000.00"));
    assert!(write("fr", Kind::Deposit, &euro).text.starts_with("Your deposit of €1,000.00"));
}

#[test]
fn a_bank_replaces_one_text_and_keeps_the_others() {
    let own = "[deposit]\nPaid in at {{ bank }}\nHello{% for _ in range(1) %},{% endfor %}\n\n{{ amount }} came in.\n"
        .to_owned();
    let texts = Texts::new("Example Bank", &[("en".into(), own)]).expect("texts");
    let write = |kind| texts.write(Locale::of("en"), kind, &facts(), &Known::default()).expect("a text");
    assert_eq!(write(Kind::Deposit).subject, "Paid in at Example Bank");
    assert_eq!(write(Kind::Deposit).text, "Hello,\n\n$1,000.00 came in.");
    assert_eq!(write(Kind::TransferPending).text, "Money sent! We're updating the recipient's balance now.");
}

#[test]
fn a_template_may_set_names_of_its_own_and_quote_a_first_message_that_was_never_sent() {
    let set =
        "[deposit]\nX\n{% if credited %}{% set way = \"in\" %}{% else %}{% set way = \"out\" %}{% endif %}{{ way }}\n";
    let quoted = "[transfer_failed]\nX\nIt failed. {{ first_text }}\n";
    let texts = Texts::new("Florin", &[("en".into(), format!("{set}{quoted}"))]).expect("texts");
    let write = |kind| texts.write(Locale::of("en"), kind, &facts(), &Known::default()).expect("a text").text;
    assert!(["in", "out"].contains(&&*write(Kind::Deposit)));
    assert_eq!(write(Kind::TransferFailed), "It failed. ");
}

#[test]
fn a_wrong_template_is_refused_with_its_place() {
    for (language, file, words) in [
        ("en", "[deposit]\nX\n{{ amuont }}\n", ["en.txt, [deposit]: there is no `amuont`", "amount"]),
        ("en", "[deposit]\nX\n{% if %}\n", ["en.txt", "[deposit]"]),
        ("en", "[deposit]\nX\n", ["[deposit]", "a text below it"]),
        ("en", "[depsoit]\nX\nY\n", ["en.txt", "[depsoit]"]),
        ("fr", "[deposit]\nX\nY\n", ["fr.txt", "no language"]),
        (
            "en",
            "[deposit]\nX\n{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}\n",
            ["en.txt, [deposit]", "ran out of fuel"],
        ),
    ] {
        let error = Texts::new("Florin", &[(language.to_owned(), file.to_owned())]).expect_err("a refusal");
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}
