//! Where duplicity is wrong and dupr differs on purpose: the table in docs/duplicity.md.

use super::{Bench, Called, listing};
use crate::support::programs::Program;

fn dupr(bench: &Bench, words: &[&str]) -> Called {
    bench.plain(Program::Dupr, "cache", words).expect("dupr")
}

#[test]
fn a_missing_volume_is_told_and_never_built_upon() {
    let bench = Bench::new("missing");
    let url = bench.url("t");
    let made = dupr(
        &bench,
        &["full", "src", &url, "--current-time", "1700000000"],
    );
    assert_eq!(made.code, 0);
    let volume = bench.names("t").into_iter().find(|n| n.contains(".vol1."));
    std::fs::remove_file(bench.path("t").join(volume.expect("volume"))).expect("remove");
    let status = dupr(&bench, &["collection-status", &url]);
    assert!(
        status.code == 0 && status.out.contains("volume 1 is missing"),
        "{}",
        status.out
    );
    let before = bench.names("t");
    let time = ["--current-time", "1700100000"];
    let inc = dupr(&bench, &[&["inc", "src", &url], &time[..]].concat());
    assert_eq!((inc.code, bench.names("t")), (17, before), "{}", inc.err);
    let backup = dupr(&bench, &[&["backup", "src", &url], &time[..]].concat());
    assert!(
        backup.code == 0 && backup.out.contains("switching to full"),
        "{}",
        backup.out
    );
    assert_eq!(dupr(&bench, &["restore", &url, "out"]).code, 0);
    assert_eq!(listing(&bench.path("out")), listing(&bench.path("src")));
    let lost = dupr(&bench, &["restore", &url, "lost", "-t", "1700000000"]);
    assert_eq!(lost.code, 1, "{}", lost.out);
    assert!(
        lost.out.contains("IGNORED_ERROR") && !lost.out.contains("complete."),
        "{}",
        lost.out
    );
}

#[test]
fn a_wrong_passphrase_and_a_wrong_clock_write_nothing() {
    let bench = Bench::new("wrong");
    let url = bench.url("t");
    let call = |words: &[&str], passphrase: &str| {
        let env = [("PASSPHRASE", passphrase)];
        bench
            .call(Program::Dupr, "cache", words, "", &env)
            .expect("dupr")
    };
    let full = ["full", "src", url.as_str(), "--current-time", "1700000000"];
    assert_eq!(call(&full, "right").code, 0);
    let before = bench.names("t");
    let inc = ["inc", "src", url.as_str(), "--current-time", "1700100000"];
    assert_eq!(call(&inc, "wrong").code, 31);
    let early = ["inc", "src", url.as_str(), "--current-time", "1600000000"];
    assert_eq!(call(&early, "right").code, 30);
    assert_eq!(bench.names("t"), before);
    assert_eq!(call(&inc, "right").code, 0);
}

#[test]
fn runs_that_follow_at_once_wait_for_the_next_second() {
    let bench = Bench::new("atonce");
    let url = bench.url("t");
    for _ in 0..3 {
        let made = dupr(&bench, &["backup", "src", &url]);
        assert_eq!(made.code, 0, "{}", made.err);
    }
    let status = dupr(&bench, &["collection-status", &url]);
    assert!(
        status.out.contains("Number of contained backup sets: 3"),
        "{}",
        status.out
    );
}

#[test]
fn restore_merges_with_force_and_takes_a_folder_with_its_slash() {
    let bench = Bench::new("merge");
    let url = bench.url("t");
    assert_eq!(dupr(&bench, &["full", "src", &url]).code, 0);
    std::fs::create_dir(bench.path("out")).expect("dir");
    bench.write("out/mine", "kept\n");
    assert_eq!(
        dupr(&bench, &["restore", &url, "out", "-r", "dir/"]).code,
        11
    );
    assert_eq!(
        dupr(&bench, &["restore", &url, "out", "-r", "dir/", "--force"]).code,
        0
    );
    assert_eq!(bench.names("out"), ["big", "mine", "sub", "two"]);
    let odd = "$HOME/cache";
    let env = [("HOME", bench.path("home").display().to_string())];
    let env = env
        .iter()
        .map(|(k, v)| (*k, v.as_str()))
        .collect::<Vec<_>>();
    let words = ["collection-status", &url, "--no-encryption", "-vi"];
    let words = Program::Dupr
        .words()
        .expect("dupr")
        .into_iter()
        .skip(1)
        .chain(words.map(str::to_owned));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dupr"));
    let called = bench.run(
        command
            .args(words)
            .args(["--archive-dir", odd, "--name", "n"]),
        "",
        &env,
    );
    let expected = format!(
        "Using archive dir: {}",
        bench.path("home/cache/n").display()
    );
    assert!(called.out.contains(&expected), "{}", called.out);
}
