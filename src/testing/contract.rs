//! What every storage must do, as one suite.
//!
//! A service is trusted once [`run`] passes against a real server of it. The target must be empty; it is empty again
//! afterwards. A broken promise is a panic that says which.

use crate::engine::error::{ErrorKind, Result};
use crate::engine::storage::trial::noise;
use crate::engine::storage::{Grower, Object, Storage};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Names no service may stumble over: legal in a file system, special in URLs, shells and XML.
const ODD_NAMES: &[&str] = &[
    "a b",
    "a+b",
    "100%",
    "%41",
    "a#b",
    "a?b=c",
    "a&b<c>",
    "Äpfel-é",
    "日本",
    "quote'\"`$(id)",
    "back\\slash",
    ";semi:colon",
    "star*[x]",
    "-dash",
    "..dots..",
    "duplicity-full.20261120T215218Z.vol1.difftar.gpg",
];

/// The whole contract but long listings.
pub fn run(storage: &dyn Storage) {
    run_but(storage, &[]);
}

/// The whole contract at a service that cannot keep some of the odd names: those it must refuse.
pub fn run_but(storage: &dyn Storage, refused: &[&str]) {
    let suite = Suite {
        storage,
        dir: TempDir::new().expect("temp dir"),
    };
    suite.an_unknown_target_is_empty();
    suite.what_is_put_can_be_got();
    suite.a_second_put_replaces();
    suite.what_grows_is_put_when_it_is_whole();
    suite.claims_of_many(3);
    suite.odd_names(refused);
    suite.what_is_absent();
    suite.names_that_are_none();
    suite.many_threads();
    suite.nothing_is_left();
}

/// Of many who claim a name at the same time one gets it. Not every service can tell, so it is no part of the contract.
pub fn exclusive_claims(storage: &dyn Storage) {
    let suite = Suite {
        storage,
        dir: TempDir::new().expect("temp dir"),
    };
    for _ in 0..5 {
        assert_eq!(suite.claims_of_many(8), 1, "claims that succeeded");
    }
}

/// Puts `objects` tiny objects and lists them: more than the 1,000 of a page show paging. Slow at a server.
pub fn long_listing(storage: &dyn Storage, objects: usize) {
    let suite = Suite {
        storage,
        dir: TempDir::new().expect("temp dir"),
    };
    let names: Vec<String> = (0..objects).map(|n| format!("object-{n:05}")).collect();
    let source = suite.file(b"x");
    suite.in_threads(&names, |name| storage.put(name, &source).expect("put"));
    let listed = suite.listing();
    assert_eq!(
        listed.len(),
        objects,
        "a listing has an end that is missing"
    );
    assert!(
        names.iter().all(|name| listed.get(name) == Some(&1)),
        "a listing has other names or sizes"
    );
    suite.in_threads(&names, |name| storage.delete(name).expect("delete"));
    suite.nothing_is_left();
}

struct Suite<'a> {
    storage: &'a dyn Storage,
    dir: TempDir,
}

impl Suite<'_> {
    fn file(&self, bytes: &[u8]) -> PathBuf {
        let (file, path) = tempfile::NamedTempFile::new_in(self.dir.path())
            .expect("temp file")
            .keep()
            .expect("temp file");
        drop(file);
        std::fs::write(&path, bytes).expect("source");
        path
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.file(bytes);
        self.storage
            .put(name, &path)
            .unwrap_or_else(|e| panic!("cannot put {name:?}: {e}"));
        std::fs::remove_file(path).expect("put leaves its source alone");
    }

    fn get(&self, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let count = self
            .storage
            .get(name, &mut bytes)
            .unwrap_or_else(|e| panic!("cannot get {name:?}: {e}"));
        assert_eq!(
            count,
            bytes.len() as u64,
            "get returns the number of bytes it delivered"
        );
        if let Some(mut object) = self.open_local(name) {
            let mut there = Vec::new();
            object.read_to_end(&mut there).expect("a local object");
            assert!(there == bytes, "{name:?} is the same where it lies");
        }
        bytes
    }

    fn open_local(&self, name: &str) -> Option<File> {
        let object = self.storage.open_local(name);
        let object = object.unwrap_or_else(|e| panic!("cannot open {name:?} where it lies: {e}"));
        object.map(|object| object.file)
    }

    fn size(&self, name: &str) -> Option<u64> {
        let object = self
            .storage
            .stat(name)
            .unwrap_or_else(|e| panic!("cannot stat {name:?}: {e}"))?;
        assert_eq!(object.name, name, "stat returns the name it was asked for");
        Some(object.size)
    }

    fn listing(&self) -> BTreeMap<String, u64> {
        let objects = self.storage.list().expect("list");
        let count = objects.len();
        let map: BTreeMap<_, _> = objects
            .into_iter()
            .map(|Object { name, size }| (name, size))
            .collect();
        assert_eq!(map.len(), count, "a listing names an object twice");
        map
    }

    fn in_threads(&self, names: &[String], work: impl Fn(&str) + Sync) {
        thread::scope(|scope| {
            for share in names.chunks(names.len().div_ceil(8).max(1)) {
                let work = &work;
                scope.spawn(move || share.iter().for_each(|name| work(name)));
            }
        });
    }

    fn an_unknown_target_is_empty(&self) {
        assert_eq!(
            self.listing(),
            BTreeMap::new(),
            "the contract starts with an empty target"
        );
    }

    fn what_is_put_can_be_got(&self) {
        // The last two need several parts or requests and end within one.
        for bytes in [0, 1, 65_536, 1_000_003, 20 * 1024 * 1024 + 17] {
            let content = noise(bytes, 1);
            let name = format!("size-{bytes}");
            self.put(&name, &content);
            assert_eq!(
                self.size(&name),
                Some(bytes as u64),
                "stat shows a finished put of {bytes} bytes"
            );
            assert_eq!(
                self.listing().get(&name),
                Some(&(bytes as u64)),
                "list shows a finished put of {bytes} bytes"
            );
            assert!(
                self.get(&name) == content,
                "{bytes} bytes come back as they were"
            );
        }
        assert_eq!(
            self.listing().len(),
            5,
            "nothing but the objects is visible"
        );
        for name in self.listing().keys() {
            self.storage.delete(name).expect("delete");
            assert_eq!(self.size(name), None, "stat shows no finished delete");
        }
    }

    fn a_second_put_replaces(&self) {
        let (long, short) = (noise(300_000, 2), noise(1000, 3));
        for content in [&long, &short, &long] {
            let before = self
                .size("twice")
                .and_then(|bytes| Some((bytes, self.open_local("twice")?)));
            self.put("twice", content);
            if let Some((bytes, mut open)) = before {
                let mut there = Vec::new();
                open.read_to_end(&mut there).expect("a local object");
                let old = if bytes == 1000 { &short } else { &long };
                assert!(&there == old, "an open object is replaced, not changed");
            }
            assert!(
                &self.get("twice") == content,
                "the newest put is the one that is read"
            );
            assert_eq!(
                self.listing(),
                BTreeMap::from([("twice".to_string(), content.len() as u64)])
            );
        }
        self.storage
            .put_settled("twice", &self.file(&short))
            .expect("put of a settled file");
        assert!(self.get("twice") == short, "a settled put replaces as well");
        let refused = self.storage.claim("twice", &self.file(&long));
        assert_eq!(refused.expect_err("it is taken").kind(), ErrorKind::Locked);
        assert!(self.get("twice") == short, "what is there stays");
        self.storage.delete("twice").expect("delete");
        self.storage
            .claim("twice", &self.file(&long))
            .expect("nobody has it");
        assert!(self.get("twice") == long);
        self.storage.delete("twice").expect("delete");
    }

    fn what_grows_is_put_when_it_is_whole(&self) {
        let content = noise(20 * 1024 * 1024 + 17, 4);
        // Below one part of a service that has parts, and several of them.
        for (bytes, claimed) in [
            (100_000, false),
            (content.len(), true),
            (content.len(), false),
        ] {
            let whole = self.grow(&content[..bytes], claimed, true);
            whole.unwrap_or_else(|e| panic!("put of {bytes} growing bytes: {e}"));
            assert!(self.get("growing") == content[..bytes], "{bytes} bytes");
            if claimed {
                let refused = self.grow(&content, true, true);
                assert_eq!(refused.expect_err("it is taken").kind(), ErrorKind::Locked);
                self.grow(&content, false, false).expect_err("given up");
                assert!(self.get("growing") == content, "what is there stays");
            }
            self.storage.delete("growing").expect("delete");
            for claimed in [false, true] {
                let given_up = self.grow(&content[..bytes], claimed, false);
                given_up.expect_err("a file that was given up");
                self.nothing_is_left();
            }
        }
    }

    /// Puts a file while it is written; its writer gives it up before its end, or ends it.
    fn grow(&self, content: &[u8], claimed: bool, to_its_end: bool) -> Result<()> {
        let path = self.file(b"");
        let grower = Grower::new(&path, content.len() as u64);
        let growing = grower.growing();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = File::create(&path).expect("file");
                for piece in content.chunks(content.len() / 5 + 1) {
                    file.write_all(piece).expect("written");
                    // Its upload may have failed.
                    let _ = grower.growing().grew(piece.len());
                    thread::sleep(Duration::from_millis(10));
                }
                match to_its_end {
                    true => grower.finish(),
                    false => drop(grower),
                }
            });
            self.storage.put_growing("growing", &growing, claimed)
        })
    }

    /// Ends with one object, put by one who was not refused; gives back how many were not. A server may stumble over
    /// so many at once, and say so.
    fn claims_of_many(&self, many: usize) -> usize {
        let names: Vec<String> = (0..many).map(|n| format!("claimant {n}")).collect();
        let won = std::sync::Mutex::new(Vec::new());
        self.in_threads(&names, |name| {
            match self.storage.claim("claimed", &self.file(name.as_bytes())) {
                Err(e) if e.kind() == ErrorKind::Locked => {}
                Err(e) if !e.kind().is_retryable() => panic!("claim: {e}"),
                _ => won.lock().expect("lock").push(name.to_string()),
            }
        });
        let mut won = won.into_inner().expect("lock");
        won.sort();
        let there = String::from_utf8(self.get("claimed")).expect("text");
        assert!(won.contains(&there), "{there:?} is there, won: {won:?}");
        self.storage.delete("claimed").expect("delete");
        self.nothing_is_left();
        won.len()
    }

    fn odd_names(&self, refused: &[&str]) {
        let is_kept = |name: &&&str| !refused.contains(*name);
        for name in ODD_NAMES.iter().filter(is_kept) {
            self.put(name, name.as_bytes());
        }
        for name in refused {
            let error = self.storage.put(name, &self.file(b"x"));
            let error = error.expect_err("a name the service cannot keep");
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{name:?}: {error}");
        }
        let listed: Vec<String> = self.listing().into_keys().collect();
        let kept = ODD_NAMES.iter().filter(is_kept);
        let mut expected: Vec<String> = kept.map(|name| name.to_string()).collect();
        expected.sort();
        assert_eq!(listed, expected, "odd names are listed as they were put");
        for name in ODD_NAMES.iter().filter(is_kept) {
            assert_eq!(
                self.get(name),
                name.as_bytes(),
                "each odd name has its own object"
            );
            assert_eq!(self.size(name), Some(name.len() as u64));
            self.storage.delete(name).expect("delete");
        }
        self.nothing_is_left();
    }

    fn what_is_absent(&self) {
        assert_eq!(self.size("absent"), None);
        let error = self
            .storage
            .get("absent", &mut Vec::new())
            .expect_err("get of an absent object");
        assert_eq!(
            error.kind(),
            ErrorKind::NotFound,
            "get of an absent object: {error}"
        );
        match self.storage.open_local("absent") {
            Ok(None) => {}
            Ok(Some(object)) => panic!("an absent object is open: {object:?}"),
            Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound, "{e}"),
        }
        self.storage
            .delete("absent")
            .expect("deleting what is absent is a success");
    }

    fn names_that_are_none(&self) {
        let source = self.file(b"x");
        for name in ["", ".", "..", "a/b", "/a", "../a", "a\0b"] {
            self.storage.put(name, &source).expect_err(name);
            self.storage.get(name, &mut Vec::new()).expect_err(name);
            self.storage.delete(name).expect_err(name);
            let open = self.storage.open_local(name);
            assert!(matches!(open, Ok(None) | Err(_)), "{name:?}");
        }
        self.nothing_is_left();
    }

    fn many_threads(&self) {
        let names: Vec<String> = (0..24).map(|n| format!("parallel-{n}")).collect();
        let content = |name: &str| noise(200_000 + name.len(), name.bytes().map(u64::from).sum());
        self.in_threads(&names, |name| {
            self.put(name, &content(name));
            assert!(
                self.get(name) == content(name),
                "{name} is mixed up with another object"
            );
            assert!(
                self.listing().contains_key(name),
                "{name} is missing from a listing after its put"
            );
        });
        assert_eq!(
            self.listing().len(),
            names.len(),
            "every parallel put is listed, and nothing else"
        );
        self.in_threads(&names, |name| self.storage.delete(name).expect("delete"));
    }

    fn nothing_is_left(&self) {
        assert_eq!(self.listing(), BTreeMap::new(), "the target is empty again");
    }
}
