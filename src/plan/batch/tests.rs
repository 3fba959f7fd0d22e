use super::*;
use proptest::prelude::*;

fn parse(text: &str, arguments: &[&str]) -> Result<Batch, BatchError> {
    let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
    Batch::parse(text, &arguments, BatchOptions::default())
}

fn shape(text: &str) -> String {
    parse(text, &[]).unwrap().to_words().0
}

#[test]
fn separators_collapse_and_words_have_any_case() {
    for (text, canonical) in [
        ("backup_purge", "backup_purge"),
        ("Backup__PURGE_", "backup_purge"),
        ("_pre bkp\tpost", "pre_bkp_post"),
        ("pre+[bkp-verify]_post", "pre+[bkp-verify]_post"),
        (
            "pre_and_groupIn_bkp_or_verify_groupOut_post",
            "pre+[bkp-verify]_post",
        ),
        ("[pre bkp post]", "[pre_bkp_post]"),
        ("pre_+_bkp", "pre+bkp"),
        ("[[status]]cleanup", "[[status]]_cleanup"),
        (
            "purgeFull_purgeIncr_purgeAuto",
            "purgefull_purgeincr_purgeauto",
        ),
    ] {
        assert_eq!(shape(text), canonical, "{text}");
    }
}

#[test]
fn faults_are_told_with_their_place() {
    for (text, message) in [
        ("", "the batch is empty"),
        ("__", "the batch is empty"),
        ("+bkp", "a condition with no command before it at column 1"),
        ("pre+", "a condition with no command after it at column 4"),
        (
            "pre_[-bkp]",
            "a condition with no command before it at column 6",
        ),
        ("[pre+]", "a condition with no command after it at column 5"),
        ("pre+-bkp", "two conditions in a row at column 5"),
        ("[pre_bkp", "[ without ] at column 1"),
        ("pre]_bkp", "] without [ at column 4"),
        ("pre_[]", "an empty group at column 5"),
        ("bakup", "unknown command \"bakup\" at column 1"),
        (
            "backup_history",
            "history is no part of a batch: it stands alone at column 8",
        ),
    ] {
        assert_eq!(
            parse(text, &[]).unwrap_err().to_string(),
            message,
            "{text:?}"
        );
    }
    let error = parse("pre_bakup", &[]).unwrap_err();
    assert_eq!(error.help().as_deref(), Some("did you mean backup?"));
    assert_eq!(error.marked().unwrap(), "pre_bakup\n    ^^^^^");
}

#[test]
fn arguments_find_the_command_that_takes_them() {
    let commands = |text: &str, arguments: &[&str]| -> Vec<Command> {
        parse(text, arguments)
            .unwrap()
            .commands()
            .into_iter()
            .cloned()
            .collect()
    };
    let time = |text: &str| TimeText::parse(text, ':').ok();
    assert_eq!(
        commands("backup_purge", &["1M"]),
        [Command::Backup, Command::Purge(time("1M"))]
    );
    assert_eq!(
        commands("purge_purgeFull", &["1M", "3"]),
        [Command::Purge(time("1M")), Command::PurgeFull(Some(3))]
    );
    assert_eq!(
        commands("verify_purge", &["-", "1M"]),
        [Command::Verify(None), Command::Purge(time("1M"))]
    );
    assert_eq!(
        commands("verify_fetch", &["etc/./hosts", "/tmp/h"]),
        [
            Command::Verify(None),
            Command::Fetch {
                path: "etc/hosts".into(),
                destination: "/tmp/h".into(),
                time: None
            }
        ]
    );
    assert_eq!(
        commands("restore", &["/tmp/r", "3D"]),
        [Command::Restore {
            destination: "/tmp/r".into(),
            time: time("3D")
        }]
    );
    assert_eq!(commands("diff", &["3D"]), [Command::Diff(time("3D"), None)]);
}

#[test]
fn arguments_without_a_command_are_refused() {
    for (text, arguments, message) in [
        (
            "backup",
            &["1M"][..],
            "no command of this batch takes the argument \"1M\"",
        ),
        (
            "purge",
            &["1 parsec"],
            "no command of this batch takes the argument \"1 parsec\"",
        ),
        (
            "purge",
            &["1M", "2M"],
            "no command of this batch takes the argument \"2M\"",
        ),
        (
            "verify_purge",
            &["1M"],
            "\"1M\" could be for verify or for purge",
        ),
        (
            "purge_purgeFull",
            &["3"],
            "\"3\" could be for purge or for purgefull",
        ),
        (
            "purge_purge",
            &["1M"],
            "\"1M\" could be for purge or for purge",
        ),
        ("restore", &[], "restore needs a local path"),
        ("fetch", &["a"], "fetch needs a local path"),
        ("fetch", &["../a", "b"], "\"../a\" leads out of the source"),
        ("find", &[""], "find needs a pattern"),
        ("versions", &[], "versions needs a path inside the source"),
        (
            "versions",
            &["a/../b"],
            "\"a/../b\" leads out of the source",
        ),
    ] {
        assert_eq!(
            parse(text, arguments).unwrap_err().to_string(),
            message,
            "{text} {arguments:?}"
        );
    }
    let help = |text, arguments: &[&str]| parse(text, arguments).unwrap_err().help();
    for (text, arguments, said) in [
        ("restore", &[][..], "write dupr PROFILE restore LOCAL [AGE]"),
        (
            "backup",
            &["stray"],
            "`dupr help backup` tells what it takes",
        ),
        ("zzzzzzzz", &[], "`dupr help` lists the commands"),
        (
            "schedule",
            &[],
            "write dupr schedule …; `dupr help schedule` tells of it",
        ),
    ] {
        assert_eq!(help(text, arguments).as_deref(), Some(said));
    }
}

#[test]
fn options_without_a_command_are_refused() {
    let force = BatchOptions {
        force: true,
        ..BatchOptions::default()
    };
    assert!(Batch::parse("backup_purge", &[], force).is_ok());
    let error = Batch::parse("backup", &[], force).unwrap_err();
    assert_eq!(error.to_string(), "no command of this batch takes --force");
    let compare = BatchOptions {
        compare_data: true,
        ..BatchOptions::default()
    };
    assert!(Batch::parse("backup_verify", &[], compare).is_ok());
    assert!(Batch::parse("backup", &[], compare).is_err());
    let all = BatchOptions {
        all: true,
        ..BatchOptions::default()
    };
    assert!(Batch::parse("backup_check", &[], all).is_ok());
    assert!(Batch::parse("backup", &[], all).is_err());
    let overwrite = BatchOptions {
        overwrite: Some(Overwrite::Older),
        ..BatchOptions::default()
    };
    assert!(Batch::parse("restore", &["/x".to_owned()], overwrite).is_ok());
    assert!(Batch::parse("backup_check", &[], overwrite).is_err());
}

#[test]
fn hooks_name_words_of_the_language() {
    for word in crate::profile::settings::HOOKED_WORDS {
        assert!(WORDS.iter().any(|(text, _)| text == word), "{word}");
    }
}

fn any_time() -> impl Strategy<Value = Option<TimeText>> {
    proptest::option::of("[1-9][0-9]?[smhDWMY]".prop_map(|t| TimeText::parse(&t, ':').unwrap()))
}

fn any_path() -> impl Strategy<Value = PathBuf> {
    "[a-z]{1,4}(/[a-z.]{1,3}x)?".prop_map(PathBuf::from)
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        prop_oneof![
            Just(Command::Backup),
            Just(Command::Pre),
            Just(Command::Bkp),
            Just(Command::Full),
            Just(Command::Incr),
            Just(Command::Post),
            Just(Command::PurgeAuto),
            Just(Command::Cleanup),
            Just(Command::Check),
            Just(Command::Status),
            Just(Command::Sync),
        ],
        any_time().prop_map(Command::Purge),
        any_time().prop_map(Command::Verify),
        any_time().prop_map(Command::List),
        proptest::option::of(1u32..99).prop_map(Command::PurgeFull),
        proptest::option::of(1u32..99).prop_map(Command::PurgeIncr),
        "[a-z*]{1,6}".prop_map(Command::Find),
        any_path().prop_map(Command::Versions),
        (any_time(), any_time()).prop_map(|(a, b)| Command::Diff(a, b)),
        (any_path(), any_time())
            .prop_map(|(destination, time)| Command::Restore { destination, time }),
        (any_path(), any_path(), any_time()).prop_map(|(path, local, time)| Command::VerifyPath {
            path,
            local,
            time
        }),
        (any_path(), any_path(), any_time()).prop_map(|(path, destination, time)| Command::Fetch {
            path,
            destination,
            time
        }),
    ]
}

fn any_nodes() -> impl Strategy<Value = Vec<BatchNode>> {
    let when = prop_oneof![Just(When::Always), Just(When::IfOk), Just(When::IfFailed)];
    let leaf = any_command().prop_map(BatchItem::Command);
    let item = leaf.prop_recursive(3, 12, 4, move |inner| {
        let node = (when.clone(), inner).prop_map(|(when, item)| BatchNode { when, item });
        proptest::collection::vec(node, 1..4)
            .prop_map(|nodes| BatchItem::Group(first_always(nodes)))
    });
    let when = prop_oneof![Just(When::Always), Just(When::IfOk), Just(When::IfFailed)];
    let node = (when, item).prop_map(|(when, item)| BatchNode { when, item });
    proptest::collection::vec(node, 1..5).prop_map(first_always)
}

fn first_always(mut nodes: Vec<BatchNode>) -> Vec<BatchNode> {
    if let Some(first) = nodes.first_mut() {
        first.when = When::Always;
    }
    nodes
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(nodes in any_nodes()) {
        let batch = Batch { text: String::new(), nodes, options: BatchOptions::default() };
        let (text, arguments) = batch.to_words();
        let again = Batch::parse(&text, &arguments, BatchOptions::default());
        prop_assert_eq!(again.map(|b| b.nodes), Ok(batch.nodes), "{} {:?}", text, arguments);
    }

    #[test]
    fn any_text_is_a_batch_or_an_error(
        text in "\\PC{0,40}|[\\[\\]_+a-z -]{0,40}|((pre|bkp|purge|and|groupin|restore)[\\[\\]_+-]?){0,12}",
        arguments in proptest::collection::vec("\\PC{0,8}|[0-9DMY-]{0,3}", 0..4),
    ) {
        if let Err(error) = Batch::parse(&text, &arguments, BatchOptions::default()) {
            let _ = (error.to_string(), error.marked());
        }
    }
}
