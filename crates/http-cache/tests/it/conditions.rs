//! RFC 9110 section 13 and RFC 9111 section 4.3: conditions of clients and of our own.

use http_cache::{Answer, Bypass, Decision, Forward};

use crate::bench::{Fields, at, bench, fields, get};

const FRESH: Fields<'_> =
    &[("cache-control", "max-age=100"), ("etag", "\"abc\""), ("last-modified", "@-3000"), ("date", "@0")];

fn answer(response: Fields<'_>, request: Fields<'_>) -> Option<Answer> {
    match bench().ask(&[bench().stored(&[], response)], 3, request) {
        Decision::Fresh(hit) => Some(hit.answer),
        _ => None,
    }
}

#[test]
fn if_none_match() {
    for (tag, list, same) in [
        ("\"abc\"", "\"abc\"", true),
        ("\"abc\"", "\"1\", \"abc\", \"2\"", true),
        ("\"abc\"", "*", true),
        ("\"abc\"", "W/\"abc\"", true),
        ("W/\"abc\"", "\"abc\"", true),
        ("\"abc\"", "abc", true),
        ("abc", "\"abc\"", true),
        ("\"abc\"", "\"abcd\"", false),
        ("\"a,b\"", "\"a,b\"", true),
        ("\"abc\u{fc}\"", "\"abc\u{fc}\"", true),
    ] {
        let response = [("cache-control", "max-age=100"), ("etag", tag)];
        let expected = if same { Answer::NotModified } else { Answer::Whole };
        assert_eq!(answer(&response, &[("if-none-match", list)]), Some(expected), "{tag} {list}");
    }
}

#[test]
fn if_modified_since() {
    for (since, expected) in [
        ("@-3000", Answer::NotModified),
        ("@-2000", Answer::NotModified),
        ("@-3001", Answer::Whole),
        ("nonsense", Answer::Whole),
    ] {
        assert_eq!(answer(FRESH, &[("if-modified-since", since)]), Some(expected), "{since}");
    }
    let both: Fields<'_> = &[("if-none-match", "\"x\""), ("if-modified-since", "@0")];
    assert_eq!(answer(FRESH, both), Some(Answer::Whole), "a tag goes before a date");
    let no_date_of_change: Fields<'_> = &[("cache-control", "max-age=100"), ("date", "@0")];
    assert_eq!(answer(no_date_of_change, &[("if-modified-since", "@0")]), Some(Answer::NotModified));
    assert_eq!(answer(no_date_of_change, &[("if-modified-since", "@-3000")]), Some(Answer::Whole));
}

#[test]
fn a_304_has_the_fields_that_matter() {
    let stored = bench().stored(&[], FRESH);
    let Decision::Fresh(hit) = bench().ask(std::slice::from_ref(&stored), 3, &[("if-none-match", "\"abc\"")]) else {
        panic!("not fresh")
    };
    let (status, headers) = stored.reply(&hit);
    assert_eq!((status.as_u16(), &headers["etag"], &headers["age"]), (304, &"\"abc\"".parse().unwrap(), &3.into()));
    assert!(!headers.contains_key("last-modified"));
}

#[test]
fn what_only_the_origin_can_refuse_goes_there() {
    for (request, expected) in [
        (("if-match", "\"abc\""), Some(Answer::Whole)),
        (("if-unmodified-since", "@-3000"), Some(Answer::Whole)),
        (("if-match", "\"x\""), None),
        (("if-match", "W/\"abc\""), None),
        (("if-unmodified-since", "@-3001"), None),
    ] {
        assert_eq!(answer(FRESH, &[request]), expected, "{request:?}");
    }
    let decision = bench().ask(&[bench().stored(&[], FRESH)], 3, &[("if-match", "\"x\"")]);
    assert_eq!(decision, Decision::Bypass(Bypass::Precondition));
}

#[test]
fn stale_is_revalidated_with_all_validators() {
    let stored = bench().stored(&[], FRESH);
    let Decision::Revalidate(conditions, Forward::Stale) = bench().ask(&[stored], 100, &[("if-none-match", "\"x\"")])
    else {
        panic!("not revalidated")
    };
    let mut headers = fields(&[("if-none-match", "\"x\""), ("range", "bytes=0-1"), ("accept", "*/*")]);
    conditions.apply(&mut headers);
    let modified = crate::bench::date(-3000);
    let expected = fields(&[("accept", "*/*"), ("if-none-match", "\"abc\""), ("if-modified-since", &modified)]);
    assert_eq!(headers, expected);
}

#[test]
fn a_variant_that_does_not_fit_offers_its_tag() {
    let response: Fields<'_> = &[("cache-control", "max-age=1"), ("etag", "\"a\""), ("vary", "x")];
    let stored = [bench().stored(&[("x", "1")], response)];
    let Decision::Revalidate(conditions, Forward::VaryMiss) = bench().ask(&stored, 0, &[("x", "2")]) else {
        panic!("no conditions")
    };
    assert_eq!(conditions.if_none_match.as_ref().unwrap(), "\"a\"");
    let request = fields(&[("x", "2")]);
    let refreshed = bench().0.on_304(&get(&request), &stored, &fields(&[("etag", "\"a\"")]), at(5), at(5)).unwrap();
    assert_eq!((refreshed.variant, refreshed.keep), (0, true));
}
