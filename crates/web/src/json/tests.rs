//! Claims about reading JSON: the same grammar as a well-known reader, and numbers as they were written.

use super::*;

fn canonical(text: &str) -> String {
    let document = Document::read(text.as_bytes()).expect("JSON");
    let mut out = Vec::new();
    document.root().canonical(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn the_grammar_is_that_of_a_well_known_reader() {
    let texts = [
        "",
        " ",
        "null",
        "nul",
        "true",
        "tru",
        "false",
        "0",
        "-0",
        "01",
        "1.",
        "1.5",
        ".5",
        "1e5",
        "1e",
        "1E+5",
        "1e-",
        "-",
        "+1",
        "--1",
        "\"\"",
        "\"a",
        "\"\\n\"",
        "\"\\x\"",
        "\"\\u00e9\"",
        "\"\\u00g9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ud83dx\"",
        "\"\\ud83d\\u0041\"",
        "\"\t\"",
        "[]",
        "[1]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "]",
        "{}",
        "{\"a\":1}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\"}",
        "{\"a\" 1}",
        "{\"a\":}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":{\"b\":[1,{\"c\":null}]}}",
        "1 2",
        "[1]x",
        "NaN",
        "Infinity",
        "\u{feff}1",
        "{\"a\":1}}",
        "\"\u{7f}\"",
        "\"ž\"",
        " [ 1 , 2 ] ",
        "\n{\r\"a\"\t:\n1 }\n",
        "'a'",
        "/* */1",
        "\"\\/\"",
        "[1e400]",
    ];
    for text in texts {
        let ours = Document::read(text.as_bytes()).is_ok();
        let theirs = serde_json::from_str::<Box<serde_json::value::RawValue>>(text).is_ok()
            && (text.contains("\\u")
                == serde_json::from_str::<serde_json::Value>(text).is_ok_and(|_| text.contains("\\u")));
        assert_eq!(ours, theirs, "{text}");
    }
}

#[test]
fn strings_are_unescaped_as_a_well_known_reader_does_it() {
    for text in
        ["\"\"", "\"a\\\"b\\\\c\\/d\"", "\"\\b\\f\\n\\r\\t\"", "\"\\u00e9\\u0000\\ud83d\\ude00!\"", "\"ž\\u017e\""]
    {
        let document = Document::read(text.as_bytes()).expect("JSON");
        let expected: String = serde_json::from_str(text).expect("a string");
        assert_eq!(document.root().string().expect("a string"), expected);
    }
}

#[test]
fn meaning_does_not_depend_on_order_spaces_or_escapes() {
    let one = r#"{"to":"1","amount":10.50,"metadata":{"b":"2","a":"é"},"legs":[{"x":1,"a":2}],"reference":null}"#;
    let other = r#" { "amount" : 10.50 , "legs" : [ { "a" : 2 , "x" : 1 } ] , "t\u006f":"1", "metadata":{"a":"\u00e9","b":"2"}} "#;
    assert_eq!(canonical(one), canonical(other));
    assert_ne!(canonical(r#"{"a":10.5}"#), canonical(r#"{"a":10.50}"#));
    assert_ne!(canonical(r#"{"a":"1"}"#), canonical(r#"{"a":1}"#));
    assert_ne!(canonical("[1,2]"), canonical("[2,1]"));
    let many: String = (0..40).map(|n| format!("\"k{n}\":{n},")).collect();
    let reversed: String = (0..40).rev().map(|n| format!("\"k{n}\":{n},")).collect();
    assert_eq!(
        canonical(&format!("{{{}}}", many.trim_end_matches(','))),
        canonical(&format!("{{{}}}", reversed.trim_end_matches(',')))
    );
}

#[test]
fn a_field_named_twice_is_found_however_it_is_written_or_nested() {
    let twice = |text: &str| Document::read(text.as_bytes()).expect("JSON").root().names_a_field_twice();
    assert!(twice(r#"{"a":1,"a":1}"#));
    assert!(twice(r#"{"a":1,"\u0061":1}"#));
    assert!(!twice(r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#));
    let many: String = (0..40).map(|n| format!("\"k{}\":{n},", n % 39)).collect();
    assert!(twice(&format!("{{{}}}", many.trim_end_matches(','))));
}

#[test]
fn numbers_keep_their_text() {
    let document = Document::read(b"[9007199254740993, 0.10, 1e400, -0]").expect("JSON");
    let texts: Vec<_> = document.root().items().map(Value::text).collect();
    assert_eq!(texts, ["9007199254740993", "0.10", "1e400", "-0"]);
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Document::read(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert!(Document::read(nested(DEPTH_MAX + 1).as_bytes()).is_err());
    assert!(Document::read("[".repeat(1_000_000).as_bytes()).is_err());
}
