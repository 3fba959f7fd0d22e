//! Profiles made from what other front ends of duplicity were told: the chain those began goes on.

use crate::support::home::Home;
use std::fs;

#[test]
fn settings_of_deja_dup_go_on_with_its_chain() {
    let home = Home::new("deja-dup");
    let at = |name: &str| home.path().join(name).display().to_string();
    let docs = at("src");
    // The call of Déjà Dup 44, as far as it concerns the set.
    let mut call = home.command(&["duplicity", "full"]);
    call.env("PASSPHRASE", "of the keyring")
        .arg(format!("--include={docs}"))
        .args(["--exclude=**", "--exclude-if-present=CACHEDIR.TAG", "/"])
        .arg(format!("gio+file://{}", at("disk")));
    assert!(call.output().expect("dupr runs").status.success());
    let settings = format!(
        "[/]\nbackend='local'\nallow-metered=true\ninclude-list=['{docs}']\nexclude-list=@as []\nfancy-new=true\n\n[local]\nfolder='disk'\n"
    );
    fs::write(home.path().join("settings"), settings).expect("settings");
    let imported = home.expect(0, &["import", "deja-dup", "settings"]);
    assert!(
        imported
            .stderr
            .contains("fancy-new: true has no counterpart"),
        "{}",
        imported.stderr
    );
    fs::create_dir(home.path().join("bin")).expect("folder");
    home.script("bin/secret-tool", "printf 'of the keyring'");
    let path = format!("{}:{}", at("bin"), std::env::var("PATH").expect("PATH"));
    let run = |words: &[&str]| {
        let called = home
            .command(words)
            .env("PATH", &path)
            .output()
            .expect("dupr");
        let text = String::from_utf8_lossy(&called.stderr).into_owned();
        assert!(called.status.success(), "{words:?}: {text}");
        String::from_utf8_lossy(&called.stdout).into_owned()
    };
    home.write("one", "changed\n");
    let set = run(&["deja-dup", "incr"]);
    assert!(set.contains("set       incremental"), "{set}");
    let inside = format!("{}/one", docs.trim_start_matches('/'));
    run(&["deja-dup", "fetch", &inside, "back"]);
    let back = fs::read_to_string(home.path().join("back")).expect("restored");
    assert_eq!(back, "changed\n");
}

#[test]
fn a_script_goes_on_as_a_profile() {
    let home = Home::new("script");
    let source = home.source().display().to_string();
    let text = format!(
        "#!/bin/sh\nexport PASSPHRASE=s3cret\nT=file://{}\nduplicity --volsize 5 --exclude '**/two' {source} $T\nduplicity remove-older-than 1Y --force $T\nlogger done\n",
        home.target().display(),
    );
    fs::write(home.path().join("nightly.sh"), text).expect("script");
    let mut call = home.command(&["duplicity", "full", "--exclude", "**/two", &source]);
    call.env("PASSPHRASE", "s3cret")
        .arg(format!("file://{}", home.target().display()));
    assert!(call.output().expect("dupr runs").status.success());
    let shown = home.expect(0, &["import", "script", "nightly.sh", "--plan"]);
    assert!(!shown.stdout.contains("s3cret"), "{}", shown.stdout);
    let imported = home.expect(0, &["import", "script", "nightly.sh"]);
    assert!(
        imported.stderr.contains("line 6: logger"),
        "{}",
        imported.stderr
    );
    home.write("one", "changed\n");
    home.write("two", "left out\n");
    let run = home.expect(0, &["nightly"]);
    assert!(
        run.stdout.contains("set       incremental"),
        "{}",
        run.stdout
    );
    home.expect(0, &["nightly", "restore", "back"]);
    let back = home.path().join("back");
    assert_eq!(
        fs::read_to_string(back.join("one")).expect("restored"),
        "changed\n"
    );
    assert!(!back.join("two").exists());
}
