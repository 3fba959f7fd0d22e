//! Random trees and random rules for them, with a liking for corners.

use super::latin1;
use crate::support::programs;
use dupr::engine::Timestamp;
use dupr::engine::select::{Action, Case, Mode, Rule};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rustix::fs::{CWD, FileType, Timespec, Timestamps};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

#[rustfmt::skip]
const NAMES: &[&str] = &[
    "a", "b", "c", "ab", "A", "B.txt", "a.py", "b.py", "foo", ".mark", ".hidden", "a b", "[a]", "[b", "x]y", "x\\y", "x#y",
    "#x", "a*b", "q?", "{a,b}", "a\nb", "a\n", "é", "Ä", "ä", "İ", "ı", "I", "i", "straße", "STRASSE", "k", "\u{212a}", "$",
    "^a", "a+", "(", "|", "'q'", "\"", "- a", "+", "~", "&&", "a-z", "!", " ", "\t", "a\r", "1", "12", "²", "..a", "...",
    "ignorecase:a", "😀", "a\u{301}",
];
/// Names that are not UTF-8.
const RAW_NAMES: &[&[u8]] = &[b"\xff", b"\xff\xfe", b"a\xe2\x82", b"\x80"];

#[rustfmt::skip]
const PIECES: &[&str] = &[
    "*", "*", "*", "?", "**", "**", "[ab]", "[!a]", "[^c]", "[a-c]", "[]x]", "[[]", "[", "]", "[é-ü]", "[A-Z]", "\\", "[\\]", "-",
    "[-y]", "[b-a]", "[!/]", "[a&&b]", "{a,b}", "$", "^", "(", "+", ".", ".py", "[!]", "[!!]", "[^]a]", "[a-]", "[--a]", "[\\d]",
    "[[:alpha:]]", "***", "[i]", "I", "ß",
];

/// Makes a random tree at `root`, which must not exist, and gives its paths back. The root is the first.
///
/// Beside it comes a folder for links to lead to. None leads back into the tree: duplicity goes round forty times then.
pub fn make_tree(root: &Path, dice: &mut SmallRng) -> Vec<Vec<u8>> {
    fs::create_dir(root).expect("an empty scratch folder");
    let outside = root.with_file_name("outside");
    fs::create_dir(&outside).expect("an empty scratch folder");
    fs::write(outside.join("a.py"), "x").expect("a file");
    let mut paths = vec![Vec::new()];
    let mut dirs = vec![Vec::new()];
    let mut leaves: Vec<Vec<u8>> = Vec::new();
    // Few names, so that the same ones are met again and again.
    let known = NAMES.iter().map(|n| n.as_bytes());
    let all = known.chain(RAW_NAMES.iter().copied());
    let some = dice.random_range(4..14);
    let names: Vec<&[u8]> = all.choose_multiple(dice, some);
    for _ in 0..dice.random_range(4..32) {
        let parent: &Vec<u8> = dirs.choose(dice).expect("the root");
        let name = *names.choose(dice).expect("not empty");
        let path = join(parent, name);
        if paths.contains(&path) || path.iter().filter(|b| **b == b'/').count() > 4 {
            continue;
        }
        let at = root.join(OsStr::from_bytes(&path));
        match dice.random_range(0..20) {
            0..8 => {
                fs::create_dir(&at).expect("a folder");
                dirs.push(path.clone());
            }
            8 => {
                // To a file, to nowhere, or to a folder that may hold something.
                let target = match dice.random_range(0..3) {
                    0 => leaves.choose(dice).map(|l| root.join(OsStr::from_bytes(l))),
                    1 => Some(outside.clone()),
                    _ => None,
                };
                let target = target.unwrap_or_else(|| "nowhere".into());
                std::os::unix::fs::symlink(target, &at).expect("a link");
            }
            9 => rustix::fs::mkfifoat(CWD, &at, 0o600.into()).expect("a fifo"),
            10 if programs::is_root() => {
                let (kind, major) = *[(FileType::CharacterDevice, 1), (FileType::BlockDevice, 7)]
                    .choose(dice)
                    .expect("two");
                let device = rustix::fs::makedev(major, 3);
                rustix::fs::mknodat(CWD, &at, kind, 0o600.into(), device).expect("a device");
            }
            // A path may be too long for a socket.
            11 => drop(UnixListener::bind(&at)),
            _ => {
                let file = fs::File::create(&at).expect("a file");
                stamp(&file, 1000 * dice.random_range(0..3));
                leaves.push(path.clone());
            }
        }
        paths.push(path);
    }
    paths
}

/// Sets a modification time.
pub fn stamp(file: &fs::File, seconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 500_000_000,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::futimens(file, &times).expect("a time");
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        name.to_vec()
    } else {
        [parent, b"/", name].concat()
    }
}

/// An option of the command line and its value; for lists, what is in the file.
pub type Opt = (&'static str, Vec<u8>);

/// Random options for a source that is spelled `root` and holds `paths`.
pub fn options(root: &[u8], paths: &[Vec<u8>], null: bool, dice: &mut SmallRng) -> Vec<Opt> {
    let mut options = Vec::new();
    let sign = |dice: &mut SmallRng, yes, no| if dice.random() { yes } else { no };
    for _ in 0..*[1, 1, 2, 2, 3, 4, 6].choose(dice).expect("some") {
        options.push(match dice.random_range(0..100) {
            0..35 => ("exclude", pattern(root, paths, dice)),
            35..65 => ("include", pattern(root, paths, dice)),
            65..72 => (
                sign(dice, "exclude-regexp", "include-regexp"),
                super::expressions::quick_expression(dice).into_bytes(),
            ),
            72..82 => (
                sign(dice, "exclude-filelist", "include-filelist"),
                filelist(root, paths, null, dice),
            ),
            82..86 => (
                "exclude-if-present",
                name_of(paths.choose(dice).expect("the root")),
            ),
            86..88 => (
                "exclude-older-than",
                dice.random_range(0..2500).to_string().into_bytes(),
            ),
            88 => ("exclude-device-files", Vec::new()),
            89 => ("exclude-other-filesystems", Vec::new()),
            90..93 => ("files-from", files_from(paths, null, dice)),
            _ => {
                let filters = [
                    "filter-literal",
                    "filter-regexp",
                    "filter-globbing",
                    "filter-ignorecase",
                    "filter-strictcase",
                ];
                (*filters.choose(dice).expect("five"), Vec::new())
            }
        });
    }
    // Most of what chance writes is refused, or selects all: an exclude at the end makes it worth comparing.
    if dice.random_range(0..10) < 7 {
        let last = match dice.random_range(0..4) {
            0 => b"**".to_vec(),
            1 => root.to_vec(),
            2 => [root, b"/*"].concat(),
            _ => pattern(root, paths, dice),
        };
        options.push(("exclude", last));
    }
    options
}

/// The last component, or something a folder may hold.
fn name_of(path: &[u8]) -> Vec<u8> {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    if name.is_empty() {
        b".mark".to_vec()
    } else {
        name.to_vec()
    }
}

fn component(dice: &mut SmallRng) -> String {
    let count = *[1, 1, 1, 2, 2, 3].choose(dice).expect("some");
    let piece = |dice: &mut SmallRng| {
        *if dice.random() {
            PIECES.choose(dice)
        } else {
            NAMES.choose(dice)
        }
        .expect("some")
    };
    (0..count).map(|_| piece(dice)).collect()
}

fn components(dice: &mut SmallRng) -> Vec<u8> {
    let count = *[1, 1, 2, 2, 3].choose(dice).expect("some");
    (0..count)
        .map(|_| component(dice))
        .collect::<Vec<_>>()
        .join("/")
        .into_bytes()
}

/// A shell pattern: a path with parts of it blurred, or pieces put together.
fn pattern(root: &[u8], paths: &[Vec<u8>], dice: &mut SmallRng) -> Vec<u8> {
    let base = if root == b"/" { b"" } else { root };
    let mut text = match dice.random_range(0..20) {
        0..9 => {
            let path = paths.choose(dice).expect("the root");
            let mut text = if path.is_empty() {
                root.to_vec()
            } else {
                join(base, path)
            };
            for _ in 0..*[0, 0, 1, 2].choose(dice).expect("some") {
                let from = dice.random_range(base.len().min(text.len())..=text.len());
                let to = (from + *[0, 1, 1, 2].choose(dice).expect("some")).min(text.len());
                let blur = *["*", "?", "**", "[!/]", "[a-z]", "/", "a", "", "[^a]"]
                    .choose(dice)
                    .expect("some");
                text.splice(from..to, blur.bytes());
            }
            text
        }
        9..15 => join(base, &components(dice)),
        15..19 => [b"**".as_slice(), sign(dice, b"/", b""), &components(dice)].concat(),
        _ => components(dice),
    };
    if dice.random_range(0..8) == 0 {
        text.push(b'/');
    }
    if dice.random_range(0..10) == 0 {
        let upper = || String::from_utf8(text.clone()).map(|t| t.to_uppercase().into_bytes());
        let body = if dice.random() {
            text.clone()
        } else {
            upper().unwrap_or_else(|_| text.clone())
        };
        text = [sign(dice, b"ignorecase:", b"IgnoreCase:"), &body].concat();
    }
    // No argument holds a NUL.
    text.retain(|b| *b != 0);
    text
}

fn sign<'a>(dice: &mut SmallRng, yes: &'a [u8], no: &'a [u8]) -> &'a [u8] {
    if dice.random() { yes } else { no }
}

fn filelist(root: &[u8], paths: &[Vec<u8>], null: bool, dice: &mut SmallRng) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for _ in 0..dice.random_range(0..5) {
        let text = pattern(root, paths, dice);
        let around = *[
            "{}", "{}", "'{}'", "\"{}\"", "{} ", "\t{}", "'{}\"", "{}\r", "\u{a0}{}", "{}\u{1f}",
            "'",
        ]
        .choose(dice)
        .expect("some");
        let front = *[
            "", "", "+ ", "- ", " ", " - ", "+", "-", "+  ", "#", "+ #", "-\t",
        ]
        .choose(dice)
        .expect("some");
        let (before, after) = around.split_once("{}").unwrap_or((around, ""));
        lines.push([front.as_bytes(), before.as_bytes(), &text, after.as_bytes()].concat());
    }
    if dice.random_range(0..3) == 0 {
        let at = dice.random_range(0..=lines.len());
        lines.insert(at, sign(dice, b"  ", b"# comment").to_vec());
    }
    lines.join(separator(null, dice))
}

fn files_from(paths: &[Vec<u8>], null: bool, dice: &mut SmallRng) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for _ in 0..dice.random_range(0..6) {
        let mut path = paths.choose(dice).expect("the root").clone();
        match dice.random_range(0..40) {
            0 => path.extend(b"/missing"),
            1 => path.push(b'/'),
            2 => path.splice(0..0, *b"./").for_each(drop),
            3 => path.extend(b"/../a"),
            4 => path.insert(0, b'/'),
            5 => path.extend(b"//a"),
            _ => {}
        }
        lines.push(path);
    }
    lines.join(separator(null, dice))
}

/// What stands between lines; now and then what does not separate them.
fn separator(null: bool, dice: &mut SmallRng) -> &'static [u8] {
    let some: &[&[u8]] = match null {
        true => &[b"\0", b"\0", b"\0", b"\0\0", b"\n"],
        false => &[b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\n\n"],
    };
    some.choose(dice).expect("some")
}

/// An option as a rule of dupr's.
pub fn rule((name, value): &Opt) -> Rule {
    let value = value.clone();
    match *name {
        "include" => Rule::Pattern(Action::Include, value),
        "exclude" => Rule::Pattern(Action::Exclude, value),
        "include-regexp" => Rule::Regexp(Action::Include, value),
        "exclude-regexp" => Rule::Regexp(Action::Exclude, value),
        "include-filelist" => Rule::Filelist(Action::Include, value),
        "exclude-filelist" => Rule::Filelist(Action::Exclude, value),
        "exclude-if-present" => Rule::ExcludeIfPresent(value),
        "exclude-device-files" => Rule::ExcludeDevices,
        "exclude-other-filesystems" => Rule::ExcludeForeign,
        "exclude-older-than" => {
            let seconds = String::from_utf8(value).ok().and_then(|v| v.parse().ok());
            Rule::ExcludeOlderThan(Timestamp(seconds.expect("digits")))
        }
        "files-from" => Rule::FilesFrom(value),
        "filter-literal" => Rule::Mode(Mode::Literal),
        "filter-globbing" => Rule::Mode(Mode::Glob),
        "filter-regexp" => Rule::Mode(Mode::Regexp),
        "filter-ignorecase" => Rule::Case(Case::Ignore),
        "filter-strictcase" => Rule::Case(Case::Strict),
        other => panic!("no option of selection: {other}"),
    }
}

/// Options as the oracle reads them.
pub fn asked(options: &[Opt]) -> Value {
    options
        .iter()
        .map(|(name, value)| json!([name, latin1(value)]))
        .collect()
}
