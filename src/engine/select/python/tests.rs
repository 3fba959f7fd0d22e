use super::super::regexp::Regexp;
use super::super::rule::Case;
use super::*;
use proptest::prelude::*;

fn found(pattern: &str, text: &str) -> bool {
    Regexp::from_python(pattern, Case::Strict)
        .unwrap_or_else(|e| panic!("{e}"))
        .is_found(text, false)
}

#[test]
fn what_python_finds() {
    // Each line was asked of Python 3.11.
    for (pattern, text, expected) in [
        ("a$", "a\n", true),
        ("a$", "a\nb", false),
        (r"a\Z", "a\n", false),
        ("(a$|x)\n", "a\n", true),
        ("(?m)^b$", "a\nb\nc", true),
        ("a.c", "a\nc", false),
        ("(?s)a.c", "a\nc", true),
        ("[[a]b", "[b", true),
        ("[]x]", "]", true),
        ("[^]x]", "]", false),
        ("[a-]", "-", true),
        (r"[\]]", "]", true),
        (r"[\b]", "\u{8}", true),
        (r"[\w-]+\.", "a-.", true),
        (r"[^\W\d]", "5", false),
        (r"[^\W\d]", "b", true),
        ("a{,2}b", "b", true),
        ("{a}", "{a}", true),
        ("a{x}", "a{x}", true),
        ("a{}", "a{}", true),
        (r"\101\x42\u0043\0", "ABC\0", true),
        (r"\<\é", "<é", true),
        ("(?!a)b", "b", true),
        ("x(?!y)", "xy", false),
        ("(?<=/)a", "/a", true),
        ("(?<!/)a", "/a", false),
        (r"(a)\1", "aa", true),
        (r"(?P<n>a|b)(?P=n)", "ab", false),
        ("(a)?(?(1)b|c)$", "ab", true),
        ("^(a)?(?(1)b|c)$", "b", false),
        ("(?>a*)a", "aaa", false),
        ("a*+a", "aaa", false),
        (r"\bfoo\b", "a foo.", true),
        (r"\bfoo", "afoo", false),
        (r"a\B", "ab", true),
        ("(?i)É", "é", true),
        ("(?i:a)b", "AB", false),
        ("(?i)a(?-i:b)", "AB", false),
        ("(?ai)é", "É", false),
        ("(?i)i", "İ", true),
        ("(?i)[^i]", "ı", false),
        ("(?x) a b # c", "ab", true),
        ("(?# c)ab", "ab", true),
        (r"\w", "²", true),
        (r"\w", "\u{301}", false),
        (r"\s", "\u{1c}", true),
        ("", "", true),
    ] {
        assert_eq!(found(pattern, text), expected, "{pattern:?} {text:?}");
    }
}

#[test]
fn what_python_refuses() {
    for bad in [
        "*",
        "a**",
        "^*",
        "(",
        ")",
        "(?",
        "(?P",
        "(?P<",
        "(?Px)",
        "(?P<1>a)",
        "(?P=x)",
        "(?z)",
        "a(?i)b",
        "(?L)a",
        "(?au)a",
        "(?i-i:a)",
        "(?-a:a)",
        "(?i",
        r"\q",
        r"[\q]",
        r"\1",
        r"(\1)",
        r"(a)\2",
        "[",
        "[]",
        "[a",
        "[b-a]",
        r"[a-\d]",
        "a{2,1}",
        "(?<=a*)b",
        "(?<=a|bc)",
        r"(?<=(a)\1)",
        "(?(1)a)",
        "(?(0)a)",
        "(?(x)a)",
        "(a)(?(1)a|b|c)",
        r"\400",
        r"\x4",
        r"\u12",
        r"\U00110000",
        "\\",
        "(?#",
        "(?P<a>x)(?P<a>y)",
        "a{5000000000}",
        "(?t:a)",
        "a|*",
    ] {
        assert!(translate(bad, false).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_an_expression_or_an_error(pattern in r"(\(\?|[\[\]{}()a,1?*+|:=!<>iP#$^\\&.-]){0,12}") {
        let _ = Regexp::from_python(&pattern, Case::Ignore);
    }

    #[test]
    fn what_has_no_syntax_is_found_in_itself(text in r"[a-zA-Zé /_%&~<>=!:;@'-]{1,12}") {
        prop_assert!(found(&text, &text));
    }
}
