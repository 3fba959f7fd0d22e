//! What is taken out is what reading the whole volume gives, or nothing, whatever the list and the volume are.

use super::*;
use crate::engine::delta::block_len;
use crate::engine::entry::Kind;
use crate::engine::format::{difftar, sigtar};
use crate::engine::seal::{self, Compression, Encryption, Seal, SealOptions};
use crate::engine::secret::Secret;
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

type Tree = BTreeMap<PathIndex, (Kind, Vec<u8>)>;

fn path(text: &str) -> PathIndex {
    PathIndex::new(text.as_bytes()).unwrap()
}

fn entry_at(path: &PathIndex, kind: &Kind) -> Entry {
    Entry {
        path: path.clone(),
        kind: kind.clone(),
        meta: Metadata {
            mode: 0o640,
            uid: 3,
            gid: 4,
            mtime: 1_700_000_000,
            ..Metadata::default()
        },
        size: 0,
    }
}

fn noise(rng: &mut SmallRng, bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    rng.fill_bytes(&mut noise);
    noise
}

fn text(rng: &mut SmallRng, bytes: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < bytes {
        text.extend(format!("{} words, ", rng.next_u32() % 5000).bytes());
    }
    text.truncate(bytes);
    text
}

/// Some MiB, in which are volumes that hold other files under the same paths.
fn tree(seed: u64) -> Tree {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut tree = Tree::new();
    tree.insert(PathIndex::root(), (Kind::Dir, Vec::new()));
    for dir in 0..12 {
        let folder = path(&format!("d{dir:02}"));
        tree.insert(folder.clone(), (Kind::Dir, Vec::new()));
        tree.insert(
            folder.join(b"link"),
            (Kind::Symlink((*b"f1").into()), Vec::new()),
        );
        for file in 0..14 {
            let bytes = match rng.next_u32() % 12 {
                0 => 0,
                1 => BLOCK_BYTES,
                2 => 3 * BLOCK_BYTES,
                3 => 5 * BLOCK_BYTES - 1,
                _ => rng.next_u32() as usize % 60_000,
            };
            let content = match rng.next_u32() % 3 {
                0 => text(&mut rng, bytes),
                _ => noise(&mut rng, bytes),
            };
            tree.insert(
                folder.join(format!("f{file}").as_bytes()),
                (Kind::File, content),
            );
        }
    }
    let small = |n: usize| tree.keys().skip(n).step_by(3);
    let mut inner = Tree::new();
    for (n, path) in small(1).enumerate() {
        let content = b"the same again; ".repeat(60 * (n % 9));
        inner.insert(path.clone(), (Kind::File, content));
    }
    let inner = unpadded(&inner);
    // So well compressed that a stretch of it is stored in one piece.
    let packed = sealed(&*gzip(), &inner.repeat(20));
    for dir in ["d03", "d06", "d09"] {
        tree.insert(path(&format!("{dir}/f3-tar")), (Kind::File, inner.clone()));
        tree.insert(path(&format!("{dir}/f3-gz")), (Kind::File, packed.clone()));
    }
    tree
}

fn volume(tree: &Tree) -> Vec<u8> {
    let mut out = unpadded(tree);
    out.resize(out.len() + difftar::end_padding(out.len() as u64), 0);
    out
}

fn unpadded(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, (kind, content)) in tree {
        let entry = entry_at(path, kind);
        match kind {
            Kind::File if content.len() < BLOCK_BYTES => {
                append_single(&mut out, DiffKind::Snapshot, &entry, content);
            }
            Kind::File => {
                let blocks = content.chunks(BLOCK_BYTES).chain([&b""[..]]);
                let count = content.len() / BLOCK_BYTES + 1;
                for (number, block) in (1..).zip(blocks.take(count)) {
                    append_block(&mut out, DiffKind::Snapshot, &entry, number, block);
                }
            }
            _ => append_entry(&mut out, &entry),
        }
    }
    out
}

fn signed_state(entry: Entry, content: &[u8]) -> SigState {
    if !entry.kind.is_file() {
        return SigState::Other {
            kind: entry.kind,
            meta: entry.meta,
        };
    }
    let mut builder = SignatureBuilder::new(block_len(content.len() as u64, Some(2048)));
    builder.push(content);
    SigState::File {
        meta: entry.meta,
        signature: builder.finish(),
    }
}

fn signed(tree: &Tree, wanted: &PathIndex) -> Vec<SigEntry> {
    let within = tree.iter().filter(|(path, _)| path.is_within(wanted));
    within
        .map(|(path, (kind, content))| SigEntry {
            path: path.clone(),
            state: signed_state(entry_at(path, kind), content),
        })
        .collect()
}

fn gzip() -> Box<dyn Seal> {
    seal::open(&SealOptions {
        compression: Compression::Fast,
        threads: 2,
        ..SealOptions::default()
    })
    .unwrap()
}

fn gpg() -> Box<dyn Seal> {
    seal::open(&SealOptions {
        encryption: Encryption::Symmetric {
            passphrase: Secret::new("a passphrase"),
            sign: None,
        },
        compression: Compression::Fast,
        threads: 2,
        ..SealOptions::default()
    })
    .unwrap()
}

fn sealed(seal: &dyn Seal, plain: &[u8]) -> Vec<u8> {
    let file = file_of(&[]);
    let mut writer = seal
        .seal(seal.form(), Box::new(file.try_clone().unwrap()))
        .unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap();
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn file_of(bytes: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

struct Bench {
    tree: Tree,
    plain: Vec<u8>,
    /// Each with what opens it.
    sealed: [(Box<dyn Seal>, Vec<u8>); 2],
}

impl Bench {
    fn new(seed: u64) -> Self {
        let tree = tree(seed);
        let plain = volume(&tree);
        let sealed = [gzip(), gpg()].map(|seal| {
            let bytes = sealed(&*seal, &plain);
            (seal, bytes)
        });
        Self {
            tree,
            plain,
            sealed,
        }
    }

    fn expected(&self, wanted: &PathIndex) -> Vec<(Member, Vec<u8>)> {
        let mut all = members(&self.plain[..]);
        all.retain(|(member, _)| member.path.is_within(wanted));
        all
    }

    fn paths(&self) -> Vec<PathIndex> {
        self.tree.keys().skip(1).cloned().collect()
    }
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| Bench::new(1));

fn members(volume: impl Read) -> Vec<(Member, Vec<u8>)> {
    let mut reader = DifftarReader::new(volume);
    let mut all = Vec::new();
    while let Some(member) = reader.next_member().unwrap() {
        let mut data = Vec::new();
        reader.read_to_end(&mut data).unwrap();
        all.push((member, data));
    }
    all
}

fn taken(
    (seal, bytes): (&dyn Seal, &[u8]),
    wanted: &PathIndex,
    signed: Vec<SigEntry>,
) -> Option<Vec<(Member, Vec<u8>)>> {
    let middle = seal.middle(seal.form(), file_of(bytes))?;
    let found = take_out(&middle, wanted, || Some(signed), &std::env::temp_dir())?;
    Some(members(found))
}

#[test]
fn what_is_taken_out_is_what_reading_it_all_gives() {
    let bench = &*BENCH;
    assert!(bench.plain.len() > 6 << 20, "{}", bench.plain.len());
    for (seal, bytes) in &bench.sealed {
        let (mut found, mut tried) = (0, 0);
        for wanted in bench.paths().iter().step_by(5) {
            tried += 1;
            let signed = signed(&bench.tree, wanted);
            if let Some(taken) = taken((&**seal, &bytes[..]), wanted, signed) {
                found += 1;
                assert!(taken == bench.expected(wanted), "{wanted}");
            }
        }
        // Not before the first restart point, not where nothing comes behind it, and not where marks inside mislead.
        assert!(found * 2 > tried, "{:?} {found} of {tried}", seal.form());
    }
}

#[test]
fn a_path_that_is_not_there_is_not_found() {
    let bench = &*BENCH;
    let (seal, bytes) = &bench.sealed[0];
    let wanted = path("d07/f3-none");
    let mut signed = signed(&bench.tree, &path("d07/f3"));
    signed[0].path = wanted.clone();
    assert!(taken((&**seal, &bytes[..]), &wanted, signed).is_none());
}

#[test]
fn lists_are_cut_out_of_the_sigtar() {
    let bench = &*BENCH;
    let mut all = Vec::new();
    for entry in signed(&bench.tree, &PathIndex::root()) {
        let kind = &bench.tree[&entry.path].0;
        match &entry.state {
            SigState::File { signature, .. } => {
                sigtar::append_signature(&mut all, &entry_at(&entry.path, kind), signature);
            }
            _ => sigtar::append_snapshot(&mut all, &entry_at(&entry.path, kind)),
        }
    }
    all.resize(all.len() + sigtar::end_padding(all.len() as u64), 0);
    for wanted in ["d05", "d05/f7", "d03/f3-gz", "d05/link"].map(path) {
        let found = signed_within(SigtarReader::new(&all[..]), &wanted);
        assert_eq!(found, Some(signed(&bench.tree, &wanted)), "{wanted}");
    }
    assert!(signed_within(SigtarReader::new(&all[..]), &path("d05/f")).is_none());
    assert!(signed_within(SigtarReader::new(&all[..all.len() / 2]), &path("d11")).is_none());
}

#[test]
fn too_much_is_not_taken_out() {
    let huge = entry_at(&path("huge"), &Kind::File);
    let mut all = Vec::new();
    let mut signature = SignatureBuilder::new(1 << 20).finish();
    signature.resize(signature.len() + 12 * 33, 0);
    sigtar::append_signature(&mut all, &huge, &signature);
    assert!(signed_within(SigtarReader::new(&all[..]), &path("huge")).is_none());
}

/// What may be wrong with a list.
#[derive(Debug, Clone)]
enum Wrong {
    Nothing,
    Gone(prop::sample::Index),
    Twice(prop::sample::Index),
    /// The state of another path.
    Of(prop::sample::Index, prop::sample::Index),
    Flipped(prop::sample::Index, prop::sample::Index),
    Later(prop::sample::Index, i64),
    Renamed(prop::sample::Index),
    Reversed,
    OfAnotherPath(prop::sample::Index),
}

fn wrong() -> impl Strategy<Value = Wrong> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        Just(Wrong::Nothing),
        at().prop_map(Wrong::Gone),
        at().prop_map(Wrong::Twice),
        (at(), at()).prop_map(|(at, of)| Wrong::Of(at, of)),
        (at(), at()).prop_map(|(at, bit)| Wrong::Flipped(at, bit)),
        (at(), -2i64..2).prop_map(|(at, by)| Wrong::Later(at, by)),
        at().prop_map(Wrong::Renamed),
        Just(Wrong::Reversed),
        at().prop_map(Wrong::OfAnotherPath),
    ]
}

fn made_wrong(mut list: Vec<SigEntry>, wrong: &Wrong, all: &Tree) -> Vec<SigEntry> {
    let paths: Vec<&PathIndex> = all.keys().collect();
    let len = list.len();
    match wrong {
        Wrong::Nothing => {}
        Wrong::Gone(at) => drop(list.remove(at.index(len))),
        Wrong::Twice(at) => list.insert(at.index(len), list[at.index(len)].clone()),
        Wrong::Of(at, of) => {
            let (kind, content) = &all[paths[of.index(paths.len())]];
            let entry = entry_at(&list[at.index(len)].path, kind);
            list[at.index(len)].state = signed_state(entry, content);
        }
        Wrong::Flipped(at, bit) => {
            if let SigState::File { signature, .. } = &mut list[at.index(len)].state {
                let bit = bit.index(signature.len() * 8);
                signature[bit / 8] ^= 1 << (bit % 8);
            }
        }
        Wrong::Later(at, by) => match &mut list[at.index(len)].state {
            SigState::File { meta, .. } | SigState::Other { meta, .. } => meta.mtime += by,
            SigState::Deleted => {}
        },
        Wrong::Renamed(at) => {
            let entry = &mut list[at.index(len)];
            entry.path = entry.path.join(b"more");
        }
        Wrong::Reversed => list.reverse(),
        Wrong::OfAnotherPath(of) => return signed(all, paths[of.index(paths.len())]),
    }
    list
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_list_gives_anything_else(
        wanted in any::<prop::sample::Index>(),
        form in 0usize..2,
        fault in wrong(),
    ) {
        let bench = &*BENCH;
        let paths = bench.paths();
        let wanted = &paths[wanted.index(paths.len())];
        let list = made_wrong(signed(&bench.tree, wanted), &fault, &bench.tree);
        let (seal, bytes) = &bench.sealed[form];
        if let Some(taken) = taken((&**seal, &bytes[..]), wanted, list) {
            prop_assert!(taken == bench.expected(wanted), "{}", wanted);
        }
    }

    #[test]
    fn no_damage_gives_anything_else(
        wanted in any::<prop::sample::Index>(),
        form in 0usize..2,
        flips in prop::collection::vec(any::<prop::sample::Index>(), 1..200),
        cut in any::<prop::sample::Index>(),
        zeros in any::<prop::sample::Index>(),
    ) {
        let bench = &*BENCH;
        let paths = bench.paths();
        let wanted = &paths[wanted.index(paths.len())];
        let (seal, bytes) = &bench.sealed[form];
        let mut bytes = bytes.clone();
        for bit in flips {
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let zeros = zeros.index(bytes.len());
        bytes[zeros..].iter_mut().take(50_000).for_each(|b| *b = 0);
        bytes.truncate(bytes.len() / 2 + cut.index(bytes.len() / 2));
        if let Some(taken) = taken((&**seal, &bytes[..]), wanted, signed(&bench.tree, wanted)) {
            prop_assert!(taken == bench.expected(wanted), "{}", wanted);
        }
    }
}

#[test]
fn the_list_of_another_set_gives_what_is_there_or_nothing() {
    let other = tree(2);
    let bench = &*BENCH;
    for (seal, bytes) in &bench.sealed {
        for wanted in bench.paths().iter().step_by(11) {
            let list = signed(&other, wanted);
            if let Some(taken) = taken((&**seal, &bytes[..]), wanted, list) {
                assert!(taken == bench.expected(wanted), "{wanted}");
            }
        }
    }
}
