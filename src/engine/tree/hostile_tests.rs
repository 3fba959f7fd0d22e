//! Archives and neighbours that would have a restore write where it must not.

use super::write_tests::{Place, dir, entry, link, put};
use crate::engine::entry::Kind;
use crate::engine::error::ErrorKind;
use crate::engine::monitor::ProblemKind;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

#[test]
fn nothing_is_written_through_a_link_of_the_archive() {
    let place = Place::new();
    let outside = place.temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let mut writer = place.writer();
    writer.dir(&dir("")).unwrap();
    for (n, text) in ["../outside", outside.to_str().unwrap(), ".", ".."]
        .iter()
        .enumerate()
    {
        let name = format!("link{n}");
        writer.other(&link(&name, text)).unwrap();
        put(&mut writer, &format!("{name}/evil"), b"x");
        writer.dir(&dir(&format!("{name}/evil-dir"))).unwrap();
        put(&mut writer, &format!("{name}/evil-dir/x"), b"x");
        writer
            .other(&link(&format!("{name}/evil-link"), "/"))
            .unwrap();
        writer
            .fifo(&entry(&format!("{name}/fifo"), Kind::Fifo))
            .unwrap();
    }
    put(&mut writer, "plain", b"x");
    put(&mut writer, "plain/below", b"x");
    writer.finish().unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fs::read_dir(place.temp.path()).unwrap().count(), 2);
    assert_eq!(fs::read_dir(place.dest()).unwrap().count(), 5);
    assert!(
        place
            .heard()
            .iter()
            .all(|(kind, _)| *kind == ProblemKind::Refused)
    );
    assert_eq!(place.heard().len(), 4 * 5 + 1);
    assert!(!place.has_leftovers());
}

#[test]
fn a_directory_swapped_for_a_link_meanwhile_leads_nowhere() {
    let place = Place::new();
    let outside = place.temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let mut writer = place.writer();
    writer.dir(&dir("")).unwrap();
    writer.dir(&dir("a")).unwrap();
    put(&mut writer, "a/1", b"x");
    fs::rename(place.at("a"), place.at("moved")).unwrap();
    symlink(&outside, place.at("a")).unwrap();
    put(&mut writer, "a/2", b"x");
    writer.dir(&dir("a/d")).unwrap();
    put(&mut writer, "a/d/3", b"x");
    writer.finish().unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    // The handle goes where the directory went.
    assert!(place.at("moved/d/3").exists());
    assert_eq!(
        fs::metadata(place.at("moved")).unwrap().mode() & 0o7777,
        0o750
    );
}

#[test]
fn a_deep_directory_swapped_for_a_link_is_not_entered_again() {
    let place = Place::new();
    let outside = place.temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let before = fs::metadata(&outside).unwrap();
    let mut writer = place.writer();
    writer.dir(&dir("")).unwrap();
    let mut deep = String::from("a");
    writer.dir(&dir(&deep)).unwrap();
    for _ in 0..40 {
        deep.push_str("/a");
        writer.dir(&dir(&deep)).unwrap();
    }
    fs::rename(place.at("a/a"), place.at("moved")).unwrap();
    symlink(&outside, place.at("a/a")).unwrap();
    put(&mut writer, "a/a/z", b"x");
    put(&mut writer, "a/z", b"x");
    writer.finish().unwrap();
    let after = fs::metadata(&outside).unwrap();
    assert_eq!(
        (before.mode(), before.mtime()),
        (after.mode(), after.mtime())
    );
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(place.at("a/z").exists());
    let heard = place.heard();
    assert!(
        heard.contains(&(ProblemKind::Refused, "a/a/z".to_owned())),
        "{heard:?}"
    );
}

#[test]
fn deep_trees_come_back() {
    let place = Place::new();
    let mut writer = place.writer();
    writer.dir(&dir("")).unwrap();
    let mut deep = String::from("d");
    let mut files = Vec::new();
    writer.dir(&dir(&deep)).unwrap();
    for _ in 0..60 {
        files.push(format!("{deep}/z"));
        deep.push_str("/d");
        writer.dir(&dir(&deep)).unwrap();
    }
    for file in files.iter().rev() {
        put(&mut writer, file, b"x");
    }
    writer.finish().unwrap();
    assert_eq!(place.heard(), []);
    for file in &files {
        assert!(place.at(file).exists());
        let parent = fs::metadata(place.at(file).parent().unwrap()).unwrap();
        assert_eq!(
            (parent.mtime(), parent.mode() & 0o7777),
            (1_000_000_000, 0o750)
        );
    }
}

#[test]
fn entries_that_come_twice_or_out_of_order_are_refused() {
    let place = Place::new();
    let mut writer = place.writer();
    writer.dir(&dir("")).unwrap();
    writer.dir(&dir("b")).unwrap();
    for again in ["b", "a", ""] {
        assert_eq!(
            writer.other(&link(again, "/")).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
    }
    assert_eq!(
        writer.file(&entry("a", Kind::File)).err().unwrap().kind(),
        ErrorKind::Corrupt
    );
}

#[test]
fn what_somebody_puts_in_the_way_is_kept() {
    let place = Place::new();
    let mut writer = place.writer();
    writer.dir(&dir("")).unwrap();
    symlink("/etc", place.at("d")).unwrap();
    fs::write(place.at("f"), "theirs").unwrap();
    symlink("/etc/passwd", place.at("l")).unwrap();
    writer.dir(&dir("d")).unwrap();
    put(&mut writer, "f", b"ours");
    put(&mut writer, "l", b"ours");
    writer.finish().unwrap();
    let unwritable = |name: &str| (ProblemKind::Unwritable, name.to_owned());
    assert_eq!(
        place.heard(),
        [unwritable("d"), unwritable("f"), unwritable("l")]
    );
    assert_eq!(fs::read(place.at("f")).unwrap(), b"theirs");
    assert!(!place.has_leftovers());
}

#[test]
fn merging_replaces_what_is_in_the_way_and_follows_nothing() {
    let place = Place::new();
    let outside = place.temp.path().join("outside");
    fs::create_dir_all(outside.join("sub")).unwrap();
    fs::write(outside.join("target"), "theirs").unwrap();
    fs::create_dir_all(place.at("full/of")).unwrap();
    fs::write(place.at("kept"), "kept").unwrap();
    symlink("../outside/target", place.at("file")).unwrap();
    symlink("../outside/sub", place.at("dir")).unwrap();
    symlink("../outside/sub", place.at("implied")).unwrap();
    fs::write(place.at("link"), "was a file").unwrap();
    let mut writer = place.merging();
    writer.dir(&dir("")).unwrap();
    writer.dir(&dir("dir")).unwrap();
    put(&mut writer, "dir/x", b"new");
    put(&mut writer, "file", b"new");
    put(&mut writer, "full", b"new");
    put(&mut writer, "implied/x", b"new");
    writer.other(&link("link", "text")).unwrap();
    writer.finish().unwrap();
    assert_eq!(
        place.heard(),
        [
            (ProblemKind::Unwritable, "full".to_owned()),
            (ProblemKind::Refused, "implied/x".to_owned())
        ]
    );
    assert_eq!(fs::read(outside.join("target")).unwrap(), b"theirs");
    assert_eq!(fs::read_dir(outside.join("sub")).unwrap().count(), 0);
    assert_eq!(fs::read(place.at("file")).unwrap(), b"new");
    assert!(fs::symlink_metadata(place.at("dir")).unwrap().is_dir());
    assert_eq!(fs::read(place.at("kept")).unwrap(), b"kept");
    assert_eq!(fs::read_link(place.at("link")).unwrap(), Path::new("text"));
    assert!(!place.has_leftovers());
}
