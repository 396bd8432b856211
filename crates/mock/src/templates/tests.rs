#![allow(clippy::unwrap_used)]

use super::*;
use crate::MessagePattern;

/// 2024-01-15T10:30:00Z.
const NOW_MS: i64 = 1_705_314_600_000;

fn expanded(text: &str) -> String {
    let template = Template::parse(text, &KnownCaptures::default()).unwrap();
    Expander::new(1).expand(&template, NOW_MS, &Captures::default())
}

fn refused(text: &str) -> (usize, TemplateErrorKind) {
    let error = Template::parse(text, &KnownCaptures::default()).unwrap_err();
    (error.column, error.kind)
}

#[test]
fn each_uuid_is_its_own_and_of_version_4() {
    let text = expanded("{{uuid}} {{ uuid }}");
    let (first, second) = text.split_once(' ').unwrap();
    assert_ne!(first, second);
    let form = MessagePattern::regex("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$");
    let form = form.unwrap();
    assert!(form.matches(first) && form.matches(second), "{text}");
}

#[test]
fn a_seed_repeats_a_text_and_another_does_not() {
    let template = Template::parse("{{uuid}}{{randInt 0 1000000}}", &KnownCaptures::default()).unwrap();
    let text = |seed| Expander::new(seed).expand(&template, NOW_MS, &Captures::default());
    assert_eq!(text(3), text(3));
    assert_ne!(text(3), text(4));
}

#[test]
fn now_is_moved_by_every_unit() {
    assert_eq!(expanded("{{now}}"), "2024-01-15T10:30:00Z");
    assert_eq!(expanded("{{now+90s}}"), "2024-01-15T10:31:30Z");
    assert_eq!(expanded("{{now+1m}}"), "2024-01-15T10:31:00Z");
    assert_eq!(expanded("{{now - 1h}}"), "2024-01-15T09:30:00Z");
    assert_eq!(expanded("{{now-15d}}"), "2023-12-31T10:30:00Z");
}

#[test]
fn random_numbers_stay_in_their_range_and_differ() {
    let text = expanded(&"{{randInt -2 3}} ".repeat(200));
    let drawn: std::collections::BTreeSet<i64> =
        text.split_whitespace().map(|it| it.parse().unwrap()).collect();
    assert_eq!(drawn, (-2..=3).collect());
}

#[test]
fn braces_of_json_are_not_those_of_tokens() {
    assert_eq!(expanded(r#"{"data":{{randInt 7 7}}}"#), r#"{"data":7}"#);
    assert_eq!(expanded(r#"{"a":{"b":{{randInt 7 7}}}}"#), r#"{"a":{"b":7}}"#);
    assert_eq!(expanded("{{{randInt 7 7}}}"), "{7}");
    assert_eq!(expanded(r#"{"a":{}}"#), r#"{"a":{}}"#);
    assert_eq!(expanded(r"\{{uuid}} \{{{ {{randInt 7 7}}"), "{{uuid}} {{{ 7");
}

#[test]
fn errors_name_the_character_at_which_the_token_begins() {
    assert_eq!(refused("é {{uid}}"), (3, TemplateErrorKind::Unknown("uid".to_owned())));
    assert_eq!(refused("{{uuid}} {{uuid"), (10, TemplateErrorKind::Unclosed));
    assert_eq!(refused("{{{now+1y}}"), (2, TemplateErrorKind::Now));
    assert_eq!(refused("{{now+-1h}}"), (1, TemplateErrorKind::Now));
    assert_eq!(refused("{{now+}}"), (1, TemplateErrorKind::Now));
    assert_eq!(refused("{{nowhere}}"), (1, TemplateErrorKind::Unknown("nowhere".to_owned())));
    assert_eq!(refused("{{randInt 5 1}}"), (1, TemplateErrorKind::RandInt));
    assert_eq!(refused("{{randInt 5}}"), (1, TemplateErrorKind::RandInt));
    assert_eq!(refused("{{randInt 1 2 3}}"), (1, TemplateErrorKind::RandInt));
    assert_eq!(refused("{{}}"), (1, TemplateErrorKind::Unknown(String::new())));
    assert_eq!(refused("{{1}}"), (1, TemplateErrorKind::Number(1)));
    let error = Template::parse("{{uid}}", &KnownCaptures::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "at character 1 of the text: {{uid}} is no token, nor the name of a capture; \
         write \\{{ for braces that are none"
    );
}

#[test]
fn now_is_moved_by_a_hundred_years_and_no_more() {
    assert_eq!(expanded("{{now+36525d}}"), "2124-01-16T10:30:00Z");
    assert_eq!(refused("{{now+36526d}}").1, TemplateErrorKind::Now);
    assert_eq!(refused("{{now-99999999999999999999d}}").1, TemplateErrorKind::Now);
}

#[test]
fn captures_fill_their_tokens_and_are_known_beforehand() {
    let pattern = MessagePattern::regex("^LOGIN (?<user>\\w+)$").unwrap();
    let mut known = KnownCaptures::default();
    known.add(&pattern);
    let template = Template::parse("{{0}}: {{user}} {{1}}", &known).unwrap();
    let captures = pattern.captures("LOGIN ada").unwrap();
    assert_eq!(Expander::new(0).expand(&template, 0, &captures), "LOGIN ada: ada ada");
    assert_eq!(Expander::new(0).expand(&template, 0, &Captures::default()), ":  ");
    assert_eq!(Template::parse("{{2}}", &known).unwrap_err().kind, TemplateErrorKind::Number(2));
}

#[test]
fn tokens_are_bounded_in_number() {
    let most = "{{now}}".repeat(MAX_TEXT_TOKENS);
    assert_eq!(expanded(&most).len(), 20 * MAX_TEXT_TOKENS);
    assert_eq!(refused(&format!("{most}{{{{now}}}}")).1, TemplateErrorKind::TooMany);
}

#[cfg(not(feature = "data-faker"))]
#[test]
fn fakes_say_which_feature_they_need() {
    assert_eq!(refused("{{faker.name}}").1, TemplateErrorKind::NoFakes);
}

#[cfg(feature = "data-faker")]
#[test]
fn fakes_are_repeated_by_the_seed_and_each_is_its_own() {
    let text = expanded("{{faker.email}} {{faker.email}}");
    let (first, second) = text.split_once(' ').unwrap();
    assert!(first.contains('@') && second.contains('@') && first != second, "{text}");
    assert_eq!(text, expanded("{{faker.email}} {{faker.email}}"));
    assert_eq!(refused("{{faker.nothing}}").1, TemplateErrorKind::Unknown("faker.nothing".to_owned()));
}
