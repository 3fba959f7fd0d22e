//! What a run says without a terminal: a signal asks it how far it is, and changes nothing; many lost entries are told briefly.

use crate::support::home::Home;
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_signal_asks_how_far_a_run_is() {
    let home = Home::new("progress");
    let at = |name: &str| home.path().join(name);
    // A backup that stops in its middle until it is let go.
    let script = home.script(
        "hold",
        &format!(
            "cd {}\nseq 300000\ntouch begun\nfor i in $(seq 1200); do [ -e go ] && exit 0; sleep 0.1; done; exit 1",
            home.path().display()
        ),
    );
    home.raw_profile(
        "held",
        &format!(
            "version = 1\ntarget = \"file://{}\"\npassphrase = {{ file = {:?} }}\n[source]\npath = {:?}\n\
             [[source.dump]]\nname = \"waits\"\nkind = \"command\"\ncommand = [{script:?}]\n",
            home.target().display(),
            at("pass"),
            home.source(),
        ),
    );
    let answer = Regex::new(r"(?m)^\S+Z backup full  \d+ entries.* MiB").expect("regex");
    for more in [&[][..], &["-q"]] {
        let _ = (fs::remove_file(at("begun")), fs::remove_file(at("go")));
        let said = fs::File::create(at("said")).expect("file");
        let mut run = home
            .command(&[&["held", "full"][..], more].concat())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .expect("dupr");
        let id = Pid::from_child(&run);
        let text = || fs::read_to_string(at("said")).unwrap_or_default();
        let since = Instant::now();
        // What the program has printed is counted a moment later.
        while !answer.is_match(&text()) {
            assert!(since.elapsed() < Duration::from_secs(100), "{}", text());
            assert!(run.try_wait().expect("wait").is_none(), "{}", text());
            if at("begun").exists() {
                kill_process(id, Signal::USR1).expect("signal");
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        fs::write(at("go"), "").expect("go");
        assert!(run.wait().expect("wait").success(), "{}", text());
        // Who is to be quiet says nothing but what was asked for.
        let others = text()
            .lines()
            .filter(|l| !l.contains(" backup full  "))
            .count();
        assert_eq!(others == 0, !more.is_empty(), "{}", text());
    }
    assert_eq!(home.history("held").len(), 2);
    home.expect(0, &["held", "verify"]);
}

#[test]
fn many_lost_entries_are_named_in_part_and_counted() {
    let home = Home::new("progress-lost");
    for n in 0..40 {
        home.write(&format!("sub/{n:02}"), "content");
    }
    home.profile("home", "");
    home.expect(0, &["home", "backup"]);
    let stored = home.stored();
    let is_volume = |p: &&std::path::PathBuf| p.display().to_string().contains("vol1");
    fs::remove_file(stored.iter().find(is_volume).expect("a volume")).expect("lost");

    // The root, what the source began with, `sub` and the 40 in it.
    let log = home.path().join("run.log");
    let log_file = log.to_str().expect("text");
    let run = home.expect(14, &["home", "verify", "--log-file", log_file]);
    let problems = |text: &str| text.lines().filter(|l| l.contains(" problem: ")).count();
    let lost = fs::read_to_string(&log).expect("log");
    let lost = lost.lines().filter(|l| l.contains(" lost volume")).count();
    assert!(lost > 40, "{lost}");
    assert_eq!(problems(&run.stderr), 21, "{}", run.stderr);
    let others = format!(
        " problem: {} more entries are lost; -v names all of them",
        lost - 20
    );
    assert!(run.stderr.contains(&others), "{}", run.stderr);
    let loud = home.expect(14, &["home", "verify", "-v"]).stderr;
    assert_eq!(problems(&loud), lost, "{loud}");

    let back = home.path().join("back");
    let one = home.expect(
        14,
        &["home", "fetch", "sub/07", back.to_str().expect("text")],
    );
    assert_eq!(problems(&one.stderr), 1, "{}", one.stderr);
    let brief = "1 entry is lost, the rest";
    assert!(one.stderr.contains(brief), "{}", one.stderr);
}
