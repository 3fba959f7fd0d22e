//! A run is killed in the middle; another program, or the same, makes the next set. Nothing saved before is lost, and the new
//! set is whole, whether it went on with the broken one or began anew.

use super::site::{FIRST, Mode, Site};
use super::{Counts, finish};
use crate::support::keyring::Keyring;
use crate::support::programs::{Program, WithEnv};
use crate::support::tree::Tree;
use crate::support::weirdtree::WeirdTree;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A run that is not dead by then is not going to be killed any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// One schedule.
pub fn killed(seed: u64, programs: &[Program], keyring: &Keyring) -> Result<Counts, String> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let modes = [Mode::Plain, Mode::Gzip, Mode::Symmetric, Mode::Signed];
    let mut site = Site::new(
        *modes.choose(&mut dice).expect("not empty"),
        keyring,
        programs,
    );
    site.volume_size = Some(1);
    site.shared = dice.random_range(0..2) == 0;
    let run = |site: &mut Site| {
        let entries = dice.random_range(5..30);
        let mut tree = WeirdTree::create(&site.scratch.join("src"), seed, entries, 0);
        let mut time = FIRST;
        let first = dice.random_range(0..3) > 0;
        if first {
            let writer = site.anybody(&mut dice);
            site.back_up(writer, true, time)?;
            site.states.push((time, Tree::read(tree.root())));
            time += 1000;
            tree.edit(10);
        }
        tree.grow(5_500_000);
        let victim = site.anybody(&mut dice);
        kill(site, victim, !first, time, dice.random_range(0..6))?;
        let broken = time;
        time += 1000;
        let writer = site.anybody(&mut dice);
        site.back_up(writer, !first, time)?;
        site.states.push((time, Tree::read(tree.root())));
        site.all_restore(site.states.len() - 1, &mut dice)?;
        time += 1000;
        tree.edit(10);
        let writer = site.anybody(&mut dice);
        site.back_up(writer, false, time)?;
        site.states.push((time, Tree::read(tree.root())));
        site.all_restore(site.states.len() - 1, &mut dice)?;
        // A run that goes on with a broken set keeps its time. At times within a full that was broken and begun anew,
        // duplicity 3.2.1 dies: it counts sets without a manifest as chains.
        if first {
            site.states[1].0 = broken;
        }
        site.all_restore(0, &mut dice)
    };
    finish(run, site, seed)
}

/// Starts a backup and kills it when so many more volumes are at the target.
fn kill(
    site: &mut Site,
    victim: Program,
    full: bool,
    time: u64,
    volumes: usize,
) -> Result<(), String> {
    let cache = site.cache(victim);
    let words = site.backup_words(full, time);
    let line = site.line(victim, &cache, &words);
    let target = site.scratch.join("target");
    let count = || {
        let names = std::fs::read_dir(&target).into_iter().flatten().flatten();
        names
            .filter(|e| e.file_name().to_string_lossy().contains(".difftar"))
            .count()
    };
    let before = count();
    let mut command = std::process::Command::new(&line[0]);
    command
        .args(&line[1..])
        .current_dir(site.scratch.path())
        .with_env(&site.env);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|e| format!("cannot start {line:?}: {e}"))?;
    let started = Instant::now();
    let mut end = "done before it could be killed";
    loop {
        if child.try_wait().map_err(|e| e.to_string())?.is_some() {
            break;
        }
        if count() >= before + volumes || started.elapsed() > PATIENCE {
            child
                .kill()
                .and_then(|()| child.wait())
                .map_err(|e| e.to_string())?;
            end = "killed";
            site.killed += 1;
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    site.story.push(format!(
        "{} [{cache}] {} ({end}, volume {volumes})",
        victim.name(),
        words.join(" ")
    ));
    Ok(())
}
