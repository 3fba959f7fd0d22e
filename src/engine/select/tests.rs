use super::*;

fn select(root: &str, rules: &[&str]) -> Result<Selection, Error> {
    let rules = rules.iter().map(|rule| Rule::parse(rule).unwrap());
    Selection::builder(root.as_bytes()).extend(rules).build()
}

fn judge(selection: &Selection, path: &[u8], shape: Shape) -> Verdict {
    let path = PathIndex::new(path).unwrap();
    let contains = |_: &[u8]| false;
    selection.judge(&Candidate {
        path: &path,
        shape,
        mtime: 0,
        is_foreign: false,
        contains: &contains,
    })
}

#[test]
fn the_first_rule_that_decides_wins() {
    let selection = select("/r", &["+ /r/a/keep", "- /r/a", "- **/.cache"]).unwrap();
    assert_eq!(judge(&selection, b"a/keep", Shape::File), Verdict::Include);
    assert_eq!(judge(&selection, b"a", Shape::Dir), Verdict::Scan);
    assert_eq!(judge(&selection, b"a/other", Shape::File), Verdict::Exclude);
    assert_eq!(judge(&selection, b"b/.cache", Shape::Dir), Verdict::Exclude);
    assert_eq!(judge(&selection, b"b", Shape::Dir), Verdict::Include);
}

#[test]
fn names_that_are_not_utf8_count_by_the_byte() {
    let selection = select("/r", &["- /r/a?", "- /r/é?"]).unwrap();
    assert_eq!(judge(&selection, b"a\xff", Shape::File), Verdict::Exclude);
    assert_eq!(
        judge(&selection, b"a\xff\xfe", Shape::File),
        Verdict::Include
    );
    assert_eq!(
        judge(&selection, b"a\xc3\xa9", Shape::File),
        Verdict::Exclude
    );
    assert_eq!(
        judge(&selection, b"\xc3\xa9\xc3", Shape::File),
        Verdict::Exclude
    );
    let raw = Rule::Pattern(Action::Exclude, b"/r/\xff".to_vec());
    let selection = Selection::builder(b"/r").add(raw).build().unwrap();
    assert_eq!(judge(&selection, b"\xff", Shape::File), Verdict::Exclude);
    assert_eq!(judge(&selection, b"\xfe", Shape::File), Verdict::Include);
}

#[test]
fn the_source_is_spelled_without_detours() {
    for (typed, spelled) in [
        ("/", "/"),
        ("//a/", "/a"),
        ("./src/.", "src"),
        (".", "."),
        ("./", "."),
        ("a/../b", "a/../b"),
        ("", "."),
    ] {
        assert_eq!(canonical(typed.as_bytes()), spelled.as_bytes());
    }
    let everywhere = select("/", &["- /usr"]).unwrap();
    assert_eq!(judge(&everywhere, b"usr", Shape::Dir), Verdict::Exclude);
    let here = select(".", &["- ./usr"]).unwrap();
    assert_eq!(judge(&here, b"usr", Shape::Dir), Verdict::Exclude);
}

#[test]
fn rules_for_an_archive_are_relative() {
    let build = |pattern: &str| {
        let rules = [
            Rule::Pattern(Action::Include, pattern.as_bytes().to_vec()),
            Rule::Pattern(Action::Exclude, b"**".to_vec()),
        ];
        Selection::archive_builder().extend(rules).build()
    };
    let selection = build("./dir/sub").unwrap();
    assert_eq!(judge(&selection, b"dir", Shape::Dir), Verdict::Scan);
    assert_eq!(
        judge(&selection, b"dir/sub/x", Shape::File),
        Verdict::Include
    );
    assert_eq!(judge(&selection, b"other", Shape::File), Verdict::Exclude);
    for bad in ["/dir", "dir/../x", "dir/./x"] {
        assert!(matches!(build(bad), Err(Error::FilePrefix { .. })), "{bad}");
    }
    for rule in [
        Rule::ExcludeForeign,
        Rule::ExcludeIfPresent(b"x".to_vec()),
        Rule::FilesFrom(b"x".to_vec()),
    ] {
        let built = Selection::archive_builder().add(rule).build();
        assert!(matches!(built, Err(Error::NotForArchives(_))));
    }
}

#[test]
fn expressions_that_cannot_be_used_are_named() {
    for bad in ["(?<=a*)b", "(a", r"\q"] {
        let rule = Rule::Regexp(Action::Exclude, bad.as_bytes().to_vec());
        let error = Selection::builder(b"/r").add(rule).build().unwrap_err();
        assert!(
            matches!(&error, Error::Regexp { pattern, reason } if pattern == bad && !reason.contains('\n'))
        );
        let error = crate::engine::Error::from(error);
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.hint().is_some());
    }
}

#[test]
fn files_older_than_a_time_and_foreign_ones_are_left_out() {
    let rules = [Rule::ExcludeOlderThan(Timestamp(100)), Rule::ExcludeForeign];
    let selection = Selection::builder(b"/r").extend(rules).build().unwrap();
    let path = PathIndex::new(b"x").unwrap();
    let contains = |_: &[u8]| false;
    let judge = |shape, mtime, is_foreign| {
        selection.judge(&Candidate {
            path: &path,
            shape,
            mtime,
            is_foreign,
            contains: &contains,
        })
    };
    assert_eq!(judge(Shape::File, 99, false), Verdict::Exclude);
    assert_eq!(judge(Shape::File, 100, false), Verdict::Include);
    assert_eq!(judge(Shape::Dir, 99, false), Verdict::Include);
    assert_eq!(judge(Shape::Dir, 99, true), Verdict::Exclude);
}
