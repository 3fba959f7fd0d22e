//! dupr by a profile and by duplicity's command line, in turns with real duplicities on one chain. A profile has no word for the
//! time, so everybody goes by the clock, and nobody makes a set in a second that has one.

use super::site::{Mode, Site};
use super::{Counts, finish};
use crate::support::keyring::Keyring;
use crate::support::programs::{self, Program};
use crate::support::tree::Tree;
use crate::support::weirdtree::WeirdTree;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

/// One schedule.
pub fn profiles(seed: u64, programs: &[Program], keyring: &Keyring) -> Result<Counts, String> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut site = Site::new(
        *Mode::ALL.choose(&mut dice).expect("not empty"),
        keyring,
        programs,
    );
    site.volume_size = (dice.random_range(0..4) == 0).then_some(1);
    site.shared = dice.random_range(0..2) == 0;
    // A profile knows its source by its whole path.
    site.source = site.scratch.join("src").display().to_string();
    let run = |site: &mut Site| {
        let bulk = site.volume_size.map_or(0, |_| 2_000_000);
        let entries = dice.random_range(0..50);
        let mut tree = WeirdTree::create(&site.scratch.join("src"), seed, entries, bulk);
        for step in 0..dice.random_range(2..=4) {
            if step > 0 {
                tree.edit(dice.random_range(1..25));
            }
            let full = step == 0 || dice.random_range(0..8) == 0;
            let time = next_second(site);
            // Of two sets one is made by the profile.
            if dice.random_range(0..2) == 0 {
                by_profile(site, &[if full { "full" } else { "incr" }])?;
            } else {
                let writer = site.anybody(&mut dice);
                site.back_up(writer, full, time)?;
            }
            let newest = site.newest_set().unwrap_or(0);
            if newest < time {
                return Err(format!("no new set: the newest is of {newest}"));
            }
            site.states.push((newest, Tree::read(tree.root())));
        }
        site.all_restore(site.states.len() - 1, &mut dice)?;
        by_profile(site, &["verify"])?;
        let any = dice.random_range(0..site.states.len());
        site.all_restore(any, &mut dice)?;
        let (time, tree) = &site.states[any];
        let (time, tree) = (*time, tree.clone());
        let to = site.scratch.join("by-profile");
        by_profile(
            site,
            &["restore", &to.display().to_string(), &time.to_string()],
        )?;
        site.compared += tree.0.len();
        tree.compare(&to)
    };
    finish(run, site, seed)
}

/// Waits until no set has the time of the clock.
fn next_second(site: &Site) -> u64 {
    loop {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs());
        if site.newest_set().is_none_or(|newest| newest < now) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs the profile of the site.
fn by_profile(site: &mut Site, words: &[&str]) -> Result<String, String> {
    let path = site.scratch.join("it.toml");
    std::fs::write(&path, profile(site)).map_err(|e| e.to_string())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        .map_err(|e| e.to_string())?;
    let mut line = Program::Dupr.words().expect("it takes part");
    line.truncate(1);
    line.push(path.display().to_string());
    line.extend(words.iter().map(|w| w.to_string()));
    site.story.push(format!("dupr it.toml {}", words.join(" ")));
    programs::run(&line, site.scratch.path(), &site.env)
}

/// A tree may have lost all it had: that is no unmounted disk here.
fn profile(site: &Site) -> String {
    let target = site.scratch.join("target");
    let (encrypt, sign) = (&site.keyring.encrypt, &site.keyring.sign);
    let passphrase = "passphrase = { env = \"PASSPHRASE\" }\n";
    let recipient = format!("encrypt-to = [{encrypt:?}]\n");
    let signer =
        format!("sign-with = {sign:?}\nsign-passphrase = {{ env = \"SIGN_PASSPHRASE\" }}\n");
    let keys = match site.mode {
        Mode::Plain => "encryption = \"none\"\ncompression = \"none\"\n".to_owned(),
        Mode::Gzip => "encryption = \"none\"\n".to_owned(),
        Mode::Symmetric => passphrase.to_owned(),
        Mode::Public => format!("{recipient}{passphrase}"),
        Mode::Signed => format!("{recipient}{signer}{passphrase}"),
        Mode::SignedSymmetric => format!("{signer}{passphrase}"),
        Mode::Hidden => format!("{recipient}hidden = true\n{passphrase}"),
    };
    let size = site
        .volume_size
        .map_or(String::new(), |n| format!("volume-size = \"{n} MiB\"\n"));
    format!(
        "version = 1\ntarget = \"file://{}\"\n[source]\npath = {:?}\nmust-exist = false\n[keys]\n{keys}[backup]\nname = \"x\"\narchive-dir = {:?}\n{size}",
        target.display(),
        site.source,
        site.scratch.join(site.cache(Program::Dupr)),
    )
}
