//! Secrets stay secret.

use std::borrow::Cow;

use proptest::prelude::*;

use crate::contract::Masker;

fn masker(secrets: &[&str]) -> Masker {
    Masker::new(secrets.iter().map(|secret| (*secret).to_owned()))
}

fn in_chunks(masker: &mut Masker, text: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in text.chunks(size) {
        masker.feed(chunk, &mut out);
    }
    masker.finish(&mut out);
    out
}

#[test]
fn masks_values_and_their_usual_forms() {
    let table = [
        ("token=hunter22.", "token=***."),
        ("hunter2", "hunter2"),
        ("hunter22hunter22", "******"),
        (r#"{"k":"a\"b\\c/d"}"#, r#"{"k":"***"}"#),
        ("https://u:a%22b%5Cc%2Fd@host a%22b%5cc%2fd", "https://u:***@host ***"),
        ("> first line of the key\n> second line of the key", "> ***\n> ***"),
        ("nothing", "nothing"),
    ];
    let secrets = ["hunter22", "a\"b\\c/d", "first line of the key\nsecond line of the key\n"];
    let mut masker = masker(&secrets);
    for (text, expected) in table {
        assert_eq!(masker.mask_str(text), expected);
        for size in 1..text.len() {
            let masked = in_chunks(&mut masker, text.as_bytes(), size);
            assert_eq!(String::from_utf8(masked).unwrap(), expected, "chunks of {size}");
        }
    }
}

#[test]
fn longer_secrets_win_and_overlapping_ones_become_one() {
    let masker = masker(&["abcd", "abcdefgh", "ghijkl"]);
    assert_eq!(masker.mask_str("-abcdefgh-abcdefg-"), "-***-***efg-");
    assert_eq!(masker.mask_str("-abcdefghijkl-"), "-***-");
}

#[test]
fn leaves_short_values_alone() {
    let mut masker = masker(&["", "1", "yes", "\n\n"]);
    assert!(masker.is_empty());
    assert_eq!(in_chunks(&mut masker, b"yes: 1", 2), b"yes: 1");
    assert!(matches!(masker.mask_str("yes: 1"), Cow::Borrowed(_)));
}

#[test]
fn holds_back_no_more_than_it_has_to() {
    let mut masker = masker(&["0123456789"]);
    let mut out = Vec::new();
    masker.feed(b"some text 0123", &mut out);
    assert_eq!(out, b"some ");
    masker.feed(b"456789 and more", &mut out);
    assert_eq!(out, b"some text ***");
    masker.finish(&mut out);
    assert_eq!(out, b"some text *** and more");
}

#[test]
fn works_with_very_many_secrets() {
    let secrets: Vec<String> = (0..500).map(|n| format!("secret-{n:04}")).collect();
    let masker = Masker::new(secrets.iter().cloned());
    assert_eq!(masker.mask_str(&secrets.join(" ")), ["***"; 500].join(" "));
}

proptest! {
    #[test]
    fn no_secret_survives_any_chunking(
        secrets in prop::collection::vec("[abcé\"\n]{1,8}", 0..5),
        filler in prop::collection::vec("[abc é\"\n]{0,6}", 1..12),
        size in 1usize..40,
    ) {
        let mut text = String::new();
        for (at, filler) in filler.iter().enumerate() {
            text.push_str(filler);
            text.push_str(secrets.get(at % 6).map_or("", String::as_str));
        }
        let mut masker = Masker::new(secrets.clone());
        let masked = String::from_utf8(in_chunks(&mut masker, text.as_bytes(), size)).unwrap();
        for secret in secrets.iter().filter(|secret| secret.trim().len() >= 4) {
            prop_assert!(!masked.contains(secret), "{secret:?} in {masked:?}");
        }
        prop_assert_eq!(masker.mask_str(&text), masked);
    }

    #[test]
    fn other_text_is_unchanged(
        secrets in prop::collection::vec("[A-Z]{4,12}", 0..100),
        bytes in prop::collection::vec(any::<u8>().prop_map(|byte| byte.to_ascii_lowercase()), 0..400),
        size in 1usize..50,
    ) {
        let mut masker = Masker::new(secrets);
        prop_assert_eq!(in_chunks(&mut masker, &bytes, size), bytes);
    }
}
