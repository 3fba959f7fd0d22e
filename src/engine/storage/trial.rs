//! Puts a target of the user's to the test: the promises of a [`Storage`], tried one after the other with small objects
//! of names that nobody else has, which are removed in the end.
//!
//! The contract suite of the tests is stricter; this is what can be asked of a place that holds backups already.

use super::names::random;
use super::{Object, Storage};
use crate::engine::error::{Error, ErrorKind, Result};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

/// How a promise was kept.
#[derive(Debug)]
pub struct Finding {
    /// What a target promises.
    pub promise: &'static str,
    /// What was seen, or what went wrong.
    pub outcome: Result<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// Length of the large object in bytes: more than a part of an upload in parts.
const LARGE: usize = 9 * 1024 * 1024 + 17;

/// Who uploads at the same time.
const THREADS: usize = 4;

/// What file systems allow and URLs, shells and XML do not like. Sets have no such names, unless a prefix gives them one.
const ODD: &[&str] = &[
    "a b", "a+b", "100%", "%41", "a#b", "a?b=c", "a&b<c>", "é", "q'\"`", "b\\s", ";s",
];

/// Tries a target. `tell` hears of each promise as soon as it was tried. Objects that are there stay as they are.
///
/// # Errors
/// No room for files of its own in `temp_dir`. What is wrong with the target stands in the findings.
pub fn try_out(
    storage: &dyn Storage,
    temp_dir: &Path,
    mut tell: impl FnMut(&Finding),
) -> Result<Vec<Finding>> {
    let dir = TempDir::new_in(temp_dir).map_err(|e| Error::io("make a folder in", temp_dir, e))?;
    let trial = Trial {
        storage,
        dir,
        start: format!("dupr-test-{:016x}-", random()),
    };
    let mut findings: Vec<Finding> = Vec::new();
    for (promise, check) in Trial::PROMISES {
        let begun = Instant::now();
        let outcome = check(&trial);
        let finding = Finding {
            promise,
            outcome,
            millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        tell(&finding);
        // A target that cannot be reached breaks all other promises as well, each after long pauses.
        let hopeless = |e: &Error| {
            let at_once = matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::Unreachable);
            at_once || findings.is_empty()
        };
        let ends = finding.outcome.as_ref().is_err_and(hopeless);
        findings.push(finding);
        if ends {
            break;
        }
    }
    // Whatever a broken promise left. Names of others are never touched.
    for name in trial.own().unwrap_or_default() {
        let _ = storage.delete(&name);
    }
    Ok(findings)
}

/// What is tried, in this order.
pub fn promises() -> impl Iterator<Item = &'static str> {
    Trial::PROMISES.iter().map(|(promise, _)| *promise)
}

struct Trial<'a> {
    storage: &'a dyn Storage,
    dir: TempDir,
    /// How every name begins. Not as those of the format do.
    start: String,
}

/// A promise was broken.
fn broken(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, text)
}

/// Tries one promise; tells what was seen.
type Check<'a> = fn(&Trial<'a>) -> Result<String>;

impl<'a> Trial<'a> {
    /// What is tried, in this order; each leaves its objects to the last.
    const PROMISES: [(&'static str, Check<'a>); 9] = [
        ("can be listed", Self::lists),
        ("keeps what is put", Self::keeps),
        ("keeps what is large", Self::keeps_large),
        ("replaces", Self::replaces),
        ("knows what is absent", Self::knows_absence),
        ("guards a name that is taken", Self::guards),
        ("does several things at once", Self::does_many),
        ("keeps odd names", Self::keeps_odd_names),
        ("removes", Self::removes),
    ];

    fn name(&self, end: &str) -> String {
        format!("{}{end}", self.start)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let mut file = tempfile::NamedTempFile::new_in(self.dir.path())
            .map_err(|e| Error::io("make a file in", self.dir.path(), e))?;
        file.write_all(bytes)
            .map_err(|e| Error::io("write", self.dir.path(), e))?;
        let kept = file.keep();
        kept.map(|(_, path)| path)
            .map_err(|e| Error::io("keep a file for", Path::new(name), e.error))
    }

    fn put(&self, end: &str, bytes: &[u8]) -> Result<()> {
        let path = self.file(end, bytes)?;
        let put = self.storage.put(&self.name(end), &path);
        let _ = std::fs::remove_file(path);
        put
    }

    /// What is there under a name must be these bytes, however one looks.
    fn must_be(&self, end: &str, bytes: &[u8]) -> Result<()> {
        let name = self.name(end);
        let mut got = Vec::new();
        self.storage.get(&name, &mut got)?;
        if got != bytes {
            let text = format!(
                "{end:?} comes back as {} other bytes of {}",
                got.len(),
                bytes.len()
            );
            return Err(broken(text));
        }
        let size = self.storage.stat(&name)?.map(|object| object.size);
        if size != Some(bytes.len() as u64) {
            return Err(broken(format!(
                "{end:?} has {} bytes and shows {size:?}",
                bytes.len()
            )));
        }
        Ok(())
    }

    /// The trial's own objects.
    fn own_objects(&self) -> Result<Vec<Object>> {
        let mut all = self.storage.list()?;
        all.retain(|object| object.name.starts_with(&self.start));
        Ok(all)
    }

    fn own(&self) -> Result<Vec<String>> {
        Ok(self.own_objects()?.into_iter().map(|o| o.name).collect())
    }

    fn lists(&self) -> Result<String> {
        let objects = self.storage.list()?;
        Ok(format!("{} objects there", objects.len()))
    }

    fn keeps(&self) -> Result<String> {
        for bytes in [0, 1, 65_537] {
            let end = format!("size-{bytes}");
            let content = noise(bytes, 1);
            self.put(&end, &content)?;
            self.must_be(&end, &content)?;
            let name = self.name(&end);
            let listed = self.own_objects()?.into_iter().find(|o| o.name == name);
            if listed.map(|object| object.size) != Some(bytes as u64) {
                return Err(broken(format!("{end:?} is not listed with its size")));
            }
        }
        Ok("0, 1 and 65,537 bytes come back, and are listed".into())
    }

    fn keeps_large(&self) -> Result<String> {
        let content = noise(LARGE, 2);
        let begun = Instant::now();
        self.put("large", &content)?;
        let put = begun.elapsed();
        self.must_be("large", &content)?;
        let got = begun.elapsed().saturating_sub(put);
        let rate = |time: std::time::Duration| LARGE as f64 / 1e6 / time.as_secs_f64().max(1e-3);
        Ok(format!(
            "9 MiB there with {:.1} MB/s, back with {:.1} MB/s",
            rate(put),
            rate(got)
        ))
    }

    fn replaces(&self) -> Result<String> {
        for (bytes, seed) in [(3000, 3), (10, 4), (2000, 5)] {
            let content = noise(bytes, seed);
            self.put("twice", &content)?;
            self.must_be("twice", &content)?;
        }
        Ok("the newest is what is there".into())
    }

    fn knows_absence(&self) -> Result<String> {
        let name = self.name("absent");
        if self.storage.stat(&name)?.is_some() {
            return Err(broken("shows an object nobody has put"));
        }
        match self.storage.get(&name, &mut Vec::new()) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(broken("gives an object nobody has put")),
        }
        self.storage.delete(&name)?;
        Ok("what is not there is said not to be".into())
    }

    fn guards(&self) -> Result<String> {
        let first = self.file("first", b"first")?;
        let second = self.file("second", b"second")?;
        let name = self.name("taken");
        self.storage.claim(&name, &first)?;
        match self.storage.claim(&name, &second) {
            Err(error) if error.kind() == ErrorKind::Locked => {}
            Err(error) => return Err(error),
            Ok(()) => return Err(broken("two were given the same name")),
        }
        self.must_be("taken", b"first")?;
        let contested = self.name("contested");
        let won = self.all_at_once(|_| match self.storage.claim(&contested, &second) {
            Err(error) if error.kind() == ErrorKind::Locked => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(true),
        })?;
        let winners = won.into_iter().filter(|won| *won).count();
        Ok(match winners {
            1 => format!("one of {THREADS} at once got it"),
            _ => format!("one by one; of {THREADS} at once {winners} got it"),
        })
    }

    fn does_many(&self) -> Result<String> {
        self.all_at_once(|n| {
            let (end, content) = (format!("parallel-{n}"), noise(300_000 + n, n as u64));
            self.put(&end, &content)?;
            self.must_be(&end, &content)
        })?;
        Ok(format!("{THREADS} uploads and downloads"))
    }

    fn keeps_odd_names(&self) -> Result<String> {
        let mut refused = Vec::new();
        for odd in ODD {
            match self.put(odd, odd.as_bytes()) {
                Err(error) if error.kind() == ErrorKind::Unsupported => refused.push(*odd),
                Err(error) => return Err(error),
                Ok(()) => {}
            }
        }
        let listed = self.own()?;
        for odd in ODD.iter().filter(|odd| !refused.contains(odd)) {
            self.must_be(odd, odd.as_bytes())?;
            if !listed.contains(&self.name(odd)) {
                return Err(broken(format!("{odd:?} is not listed")));
            }
        }
        Ok(match refused.as_slice() {
            [] => format!("all {}", ODD.len()),
            refused => format!("all but {}, which it refuses", refused.join("  ")),
        })
    }

    fn removes(&self) -> Result<String> {
        let own = self.own()?;
        for name in &own {
            self.storage.delete(name)?;
            if self.storage.stat(name)?.is_some() {
                return Err(broken(format!("{name} is there after it was removed")));
            }
        }
        match self.own()?.as_slice() {
            [] => Ok(format!("{} objects, none is left", own.len())),
            left => Err(broken(format!("{} objects are left", left.len()))),
        }
    }

    /// Does `work` in several threads; the first error counts.
    fn all_at_once<T: Send>(&self, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
        let work = &work;
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || work(n))).collect();
            all.into_iter()
                .map(|thread| {
                    let ended = thread.join();
                    ended.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "a thread died")))
                })
                .collect()
        })
    }
}

/// Bytes that do not compress and differ by seed.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fault, FaultyStorage, MemoryStorage, Operation};

    fn tried(storage: &dyn Storage) -> Vec<Finding> {
        try_out(storage, &std::env::temp_dir(), |_| {}).expect("room for files")
    }

    fn broken_promises(findings: &[Finding]) -> Vec<&str> {
        let broken = findings.iter().filter(|f| f.outcome.is_err());
        broken.map(|f| f.promise).collect()
    }

    #[test]
    fn a_good_target_keeps_every_promise_and_what_it_held() {
        let memory = MemoryStorage::new();
        memory.insert("duplicity-full.20261120T000000Z.manifest", b"x");
        let findings = tried(&memory);
        assert_eq!(
            broken_promises(&findings),
            Vec::<&str>::new(),
            "{findings:?}"
        );
        assert_eq!(findings.len(), Trial::PROMISES.len());
        assert_eq!(memory.names(), ["duplicity-full.20261120T000000Z.manifest"]);
    }

    #[test]
    fn a_broken_promise_is_named_and_leaves_nothing() {
        for (fault, promise) in [
            (
                FaultyStorage::new(MemoryStorage::new()).fail(
                    Operation::Put,
                    4,
                    Fault::Truncate(1 << 20),
                ),
                "keeps what is large",
            ),
            (
                FaultyStorage::new(MemoryStorage::new()).fail(Operation::List, 2, Fault::Drop),
                "keeps what is put",
            ),
        ] {
            let findings = tried(&fault);
            assert_eq!(broken_promises(&findings), [promise], "{findings:?}");
            assert_eq!(fault.unfired(), Vec::<String>::new());
            assert_eq!(fault.inner().names(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_target_out_of_reach_is_tried_once() {
        let faulty = FaultyStorage::new(MemoryStorage::new()).fail_from(1, ErrorKind::Unreachable);
        assert_eq!(broken_promises(&tried(&faulty)), ["can be listed"]);
    }
}
