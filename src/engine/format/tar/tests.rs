use super::*;
use proptest::prelude::*;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

fn file(name: &[u8], size: u64) -> TarHeader {
    let meta = Metadata {
        mode: 0o644,
        uid: 1000,
        gid: 100,
        mtime: 1_700_000_000,
        ..Metadata::default()
    };
    TarHeader {
        name: name.to_vec(),
        kind: Kind::File,
        meta,
        size,
    }
}

/// Members with all that makes the dialect interesting.
fn members() -> Vec<TarHeader> {
    let with = |name: &[u8], kind: Kind, size: u64, change: &dyn Fn(&mut Metadata)| {
        let mut header = file(name, size);
        header.kind = kind;
        change(&mut header.meta);
        header
    };
    let keep = |_: &mut Metadata| {};
    let long = |c: &str, n: usize| c.repeat(n).into_bytes();
    let owner = |meta: &mut Metadata| {
        meta.uname = Arc::from(b"ada".as_slice());
        meta.gname = Arc::from("gr\u{fc}ppe".as_bytes());
    };
    let symlink = |text: &[u8]| Kind::Symlink(text.into());
    vec![
        with(b"snapshot/./", Kind::Dir, 0, &|m| m.mode = 0o41755),
        with(b"snapshot/a.txt", Kind::File, 6, &owner),
        with(b"snapshot/\xff\xfelatin", Kind::File, 0, &keep),
        with(
            "snapshot/\u{fc}n\u{ef}code \u{1f600}".as_bytes(),
            Kind::File,
            512,
            &keep,
        ),
        with(
            b"snapshot/broken \xe2\x82 \xed\xa0\x80 \xf0\x9f utf-8",
            Kind::File,
            513,
            &keep,
        ),
        with(b"snapshot/bad link", symlink(b"t\xffo"), 0, &keep),
        with(b"snapshot/link", symlink(b"../..//x"), 0, &|m| {
            m.mode = 0o777
        }),
        with(b"snapshot/long link", symlink(&long("l/", 80)), 0, &keep),
        with(&long("n", 99), Kind::File, 1, &keep),
        with(&long("n", 100), Kind::File, 1, &keep),
        with(&long("n", 101), Kind::File, 1, &keep),
        with(
            &[long("d", 98), b"/".to_vec()].concat(),
            Kind::Dir,
            0,
            &keep,
        ),
        with(
            &[long("d", 100), b"/".to_vec()].concat(),
            Kind::Dir,
            0,
            &keep,
        ),
        with(&long("\u{fc}", 120), Kind::File, 3, &keep),
        with(&long("x/", 2000), Kind::Dir, 0, &keep),
        with(b"uid", Kind::File, 0, &|m| {
            (m.uid, m.gid) = (2_097_151, 2_097_152)
        }),
        with(b"nobody", Kind::File, 0, &|m| {
            (m.uid, m.gid) = (u32::MAX - 1, u32::MAX)
        }),
        with(b"old", Kind::File, 0, &|m| m.mtime = -1_000_000),
        with(b"epoch", Kind::File, 0, &|m| m.mtime = 0),
        with(b"far", Kind::File, 0, &|m| m.mtime = (1 << 33) - 1),
        with(b"farther", Kind::File, 0, &|m| m.mtime = 1 << 33),
        with(b"setuid", Kind::File, 0, &|m| m.mode = 0o7777),
        with(b"names", Kind::File, 0, &|m| {
            m.uname = long("u", 33).into();
            m.gname = long("\u{fc}", 31).into();
        }),
        with(b"bad owner", Kind::File, 0, &|m| {
            m.uname = Arc::from(b"\xff".as_slice())
        }),
        with(b"fifo", Kind::Fifo, 0, &keep),
        with(
            b"blk",
            Kind::BlockDevice {
                major: 7,
                minor: 300,
            },
            0,
            &|m| m.mode = 0o640,
        ),
        with(
            b"chr",
            Kind::CharDevice {
                major: 4095,
                minor: 1_048_575,
            },
            0,
            &keep,
        ),
        TarHeader {
            name: b"deleted/gone".to_vec(),
            ..TarHeader::default()
        },
    ]
}

fn written(members: &[TarHeader]) -> Vec<u8> {
    let mut out = Vec::new();
    for m in members {
        write_header(&mut out, &m.name, &m.kind, &m.meta, m.size);
        out.resize(out.len() + m.size as usize, b'#');
        append_padding(&mut out, m.size);
    }
    out
}

fn read_all(bytes: &[u8]) -> Result<Vec<(TarHeader, Vec<u8>)>, Error> {
    let mut reader = TarReader::new(bytes);
    let mut all = Vec::new();
    while let Some(header) = reader.next_header()? {
        let header = header.clone();
        let mut data = Vec::new();
        reader.read_to_end(&mut data)?;
        all.push((header, data));
    }
    Ok(all)
}

/// Members as Python's tarfile writes them. Needs `python3`.
fn by_python(format: &str, members: &[TarHeader]) -> Vec<u8> {
    const SCRIPT: &str = r##"
import sys, tarfile
text = lambda h: bytes.fromhex(h).decode("utf-8", "surrogateescape")
form = getattr(tarfile, sys.argv[1])
for line in sys.stdin:
    name, kind, link, uname, gname, *numbers = line.rstrip("\n").split("|")
    ti = tarfile.TarInfo(text(name))
    ti.type, ti.linkname, ti.uname, ti.gname = kind.encode(), text(link), text(uname), text(gname)
    ti.mode, ti.uid, ti.gid, ti.mtime, ti.size, ti.devmajor, ti.devminor = map(int, numbers)
    sys.stdout.buffer.write(ti.tobuf(form, "utf-8", "surrogateescape"))
    sys.stdout.buffer.write(b"#" * ti.size + bytes(-ti.size % 512))
"##;
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut input = String::new();
    for TarHeader {
        name,
        kind,
        meta,
        size,
    } in members
    {
        let (typeflag, link, (major, minor)): (_, &[u8], _) = match kind {
            Kind::File => (0, b"", (0, 0)),
            Kind::Symlink(text) => (2, text, (0, 0)),
            Kind::CharDevice { major, minor } => (3, b"", (*major, *minor)),
            Kind::BlockDevice { major, minor } => (4, b"", (*major, *minor)),
            Kind::Dir => (5, b"", (0, 0)),
            Kind::Fifo => (6, b"", (0, 0)),
        };
        let texts = [name.as_slice(), link, &meta.uname, &meta.gname].map(hex);
        let [name, link, uname, gname] = texts;
        let Metadata {
            mode,
            uid,
            gid,
            mtime,
            ..
        } = meta;
        input += &format!(
            "{name}|{typeflag}|{link}|{uname}|{gname}|{mode}|{uid}|{gid}|{mtime}|{size}|{major}|{minor}\n"
        );
    }
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT, format])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs python3");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "python3 failed");
    output.stdout
}

#[test]
fn headers_are_those_of_python() {
    for member in members() {
        let member = [member];
        let (ours, theirs) = (written(&member), by_python("PAX_FORMAT", &member));
        assert!(
            ours == theirs,
            "{:?}\nours   {}\ntheirs {}",
            member,
            ours.escape_ascii(),
            theirs.escape_ascii()
        );
    }
}

#[test]
fn what_python_writes_in_any_format_is_read() {
    let mut expected = members();
    expected[0].meta.mode = 0o1755;
    for format in ["PAX_FORMAT", "GNU_FORMAT"] {
        let read = read_all(&by_python(format, &expected)).unwrap();
        assert_eq!(read.len(), expected.len());
        for (mut member, (header, data)) in expected.clone().into_iter().zip(read) {
            if format == "GNU_FORMAT" {
                // No extension exists for these.
                let cut = |t: &Arc<[u8]>| Arc::from(&t[..t.len().min(32)]);
                member.meta.uname = cut(&member.meta.uname);
                member.meta.gname = cut(&member.meta.gname);
            }
            assert_eq!(header, member, "{format}");
            assert_eq!(data, vec![b'#'; member.size as usize]);
        }
    }
    let prefixed = [file(&b"d/".repeat(100), 1)];
    let read = read_all(&by_python("USTAR_FORMAT", &prefixed)).unwrap();
    assert_eq!(read[0].0.name, b"d/".repeat(100));
}

#[test]
fn numbers_python_cannot_write_are_read_back() {
    let mut device = file(b"dev", 0);
    device.kind = Kind::CharDevice {
        major: u32::MAX,
        minor: 1 << 21,
    };
    let huge = TarHeader {
        size: 1 << 40,
        ..file(b"huge", 0)
    };
    let mut out = Vec::new();
    for m in [&device, &huge] {
        write_header(&mut out, &m.name, &m.kind, &m.meta, m.size);
    }
    let mut reader = TarReader::new(out.as_slice());
    assert_eq!(reader.next_header().unwrap(), Some(&device));
    assert_eq!(reader.next_header().unwrap(), Some(&huge));
    assert!(matches!(reader.next_header(), Err(Error::Truncated { .. })));
}

#[test]
fn data_left_unread_is_skipped() {
    let all = [file(b"a", 70_000), file(b"b", 200_000), file(b"c", 5)];
    let bytes = written(&all);
    let mut reader = TarReader::new(bytes.as_slice());
    reader.next_header().unwrap();
    assert_eq!(reader.next_header().unwrap().unwrap().name, b"b");
    reader.read_exact(&mut [0; 1000]).unwrap();
    assert_eq!(reader.next_header().unwrap().unwrap().name, b"c");
    let mut data = Vec::new();
    reader.read_to_end(&mut data).unwrap();
    assert_eq!(data, b"#####");
    assert!(reader.next_header().unwrap().is_none());
    assert!(reader.next_header().unwrap().is_none());
}

#[test]
fn end_is_one_zero_block_or_the_end_of_input() {
    let mut bytes = written(&[file(b"a", 600)]);
    assert_eq!(read_all(&bytes).unwrap().len(), 1);
    bytes.extend([0; TAR_BLOCK_BYTES]);
    assert_eq!(read_all(&bytes).unwrap().len(), 1);
    bytes.extend(b"rubbish that gpg volumes have here");
    let mut reader = TarReader::new(bytes.as_slice());
    reader.next_header().unwrap();
    assert!(reader.next_header().unwrap().is_none());
    assert_eq!(reader.drain().unwrap(), 34);
    assert!(read_all(b"").unwrap().is_empty());
}

#[test]
fn every_cut_inside_a_member_is_an_error() {
    let bytes = written(&[file(&b"n".repeat(200), 600)]);
    for length in (1..bytes.len()).filter(|l| l % 97 == 0 || l % 512 == 0) {
        assert!(
            matches!(
                read_all(&bytes[..length]),
                Err(Error::Truncated { .. } | Error::Io(_))
            ),
            "{length}"
        );
    }
}

/// A header with one field replaced and the checksum set right again.
fn patched(header: &TarHeader, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_header(
        &mut out,
        &header.name,
        &header.kind,
        &header.meta,
        header.size,
    );
    out[at..at + bytes.len()].copy_from_slice(bytes);
    out[148..156].fill(b' ');
    let sum: u32 = out[..512].iter().map(|b| u32::from(*b)).sum();
    out[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out
}

#[test]
fn members_that_read_in_two_ways_are_refused() {
    let a = file(b"a", 0);
    let error = |bytes: Vec<u8>| read_all(&bytes).unwrap_err().to_string();
    for typeflag in b"1SMVDNXA" {
        let text = error(patched(&a, 156, &[*typeflag]));
        assert!(text.starts_with("unsupported type"), "{text}");
    }
    let dir = TarHeader {
        kind: Kind::Dir,
        ..a.clone()
    };
    assert!(error(patched(&dir, 124, b"00000000001")).starts_with("data for a member"));
    assert!(error(patched(&a, 124, b"0000000000z")).starts_with("bad size"));
    assert!(error(patched(&a, 124, &[0xff; 12])).starts_with("bad size"));
    assert!(error(patched(&a, 108, &[0x80, 0, 0, 0xff, 0, 0, 0, 0])).starts_with("bad uid"));
    let mut wrong = written(std::slice::from_ref(&a));
    wrong[0] = b'b';
    assert!(error(wrong).starts_with("wrong checksum"));

    let extension = |typeflag: u8, payload: &[u8]| {
        let meta = Metadata::default();
        let mut out = Vec::new();
        write_header(&mut out, b"x", &Kind::File, &meta, payload.len() as u64);
        let mut out = patched(
            &TarHeader {
                name: b"x".to_vec(),
                size: payload.len() as u64,
                ..TarHeader::default()
            },
            156,
            &[typeflag],
        );
        out.extend_from_slice(payload);
        append_padding(&mut out, payload.len() as u64);
        out
    };
    let plain = written(std::slice::from_ref(&a));
    let join = |parts: &[&[u8]]| parts.concat();
    let path = extension(b'x', b"10 path=q\n");
    assert_eq!(read_all(&join(&[&path, &plain])).unwrap()[0].0.name, b"q");
    let long = extension(b'L', b"q\0");
    assert_eq!(read_all(&join(&[&long, &plain])).unwrap()[0].0.name, b"q");
    for bad in [
        join(&[&path, &path, &plain]),
        join(&[&long, &long, &plain]),
        join(&[&path, &long, &plain]),
        join(&[&extension(b'x', b"8 path=q\n"), &plain]),
        join(&[&extension(b'x', b"99 path=q\n"), &plain]),
        join(&[
            &extension(b'x', b"99999999999999999999999 path=q\n"),
            &plain,
        ]),
        join(&[&extension(b'x', b"1 \n"), &plain]),
        join(&[&extension(b'x', b"0 "), &plain]),
        join(&[&extension(b'x', b"size"), &plain]),
        join(&[&extension(b'x', b"11 size=-1\n"), &plain]),
        join(&[&extension(b'x', b"12 mtime=x\n"), &plain]),
        join(&[&extension(b'x', b"22 GNU.sparse.major=1\n"), &plain]),
        join(&[&extension(b'g', &[b'1'; 5000]), &plain]),
    ] {
        assert!(error(bad).starts_with("bad extension"));
    }
    assert!(matches!(read_all(&path), Err(Error::Truncated { .. })));
    let too_long = patched(
        &TarHeader {
            size: EXTENSION_BYTES_MAX + 1,
            ..a
        },
        156,
        b"x",
    );
    assert!(error(too_long).starts_with("bad extension"));
}

#[test]
fn pax_records_override_the_header() {
    let payload = b"21 hdrcharset=BINARY\n17 mtime=-12.250\n11 uid=070\n12 uname=ad\n12 comment=\n";
    let global = b"12 gname=al\n14 mtime=99.5\n";
    let block = |typeflag: u8, payload: &[u8]| {
        let header = TarHeader {
            size: payload.len() as u64,
            ..TarHeader::default()
        };
        let mut out = patched(&header, 156, &[typeflag]);
        out.extend_from_slice(payload);
        append_padding(&mut out, payload.len() as u64);
        out
    };
    let bytes = [
        block(b'g', global),
        block(b'x', payload),
        written(&[file(b"a", 0), file(b"b", 0)]),
    ];
    let read = read_all(&bytes.concat()).unwrap();
    let (a, b) = (&read[0].0, &read[1].0);
    assert_eq!(
        (a.meta.mtime, a.meta.uid, &*a.meta.uname, &*a.meta.gname),
        (-13, 70, b"ad".as_slice(), b"al".as_slice())
    );
    assert_eq!(
        (b.meta.mtime, b.meta.uid, &*b.meta.gname),
        (99, 1000, b"al".as_slice())
    );
}

#[test]
fn v7_directory_is_known_by_its_slash() {
    let mut v7 = patched(&file(b"dir/", 0), 156, &[0]);
    assert_eq!(read_all(&v7).unwrap()[0].0.kind, Kind::Dir);
    v7 = patched(&file(b"snapshot/", 0), 156, b"0");
    assert_eq!(read_all(&v7).unwrap()[0].0.kind, Kind::File);
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::File),
        Just(Kind::Dir),
        Just(Kind::Fifo),
        prop::collection::vec(1u8.., 1..200).prop_map(|text| Kind::Symlink(text.into())),
        any::<(u32, u32)>().prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        any::<(u32, u32)>().prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
    ]
}

prop_compose! {
    fn any_member()(
        name in prop::collection::vec(1u8.., 1..200),
        kind in any_kind(),
        (mode, uid, gid) in (0u32..0o10000, any::<u32>(), any::<u32>()),
        mtime in prop_oneof![any::<i64>(), -10i64..2_000_000_000],
        uname in prop::collection::vec(1u8.., 0..40),
        gname in "[a-z]{0,10}",
        size in 0u64..2000,
    ) -> TarHeader {
        let (uname, gname) = (uname.into(), gname.as_bytes().into());
        let meta = Metadata { mode, uid, gid, mtime: mtime.max(-i64::MAX), uname, gname };
        let size = if kind.is_file() { size } else { 0 };
        let slash: &[u8] = if kind.is_dir() { b"/" } else { b"" };
        TarHeader { name: [&name, slash].concat(), kind, meta, size }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(all in prop::collection::vec(any_member(), 0..5)) {
        let read = read_all(&written(&all)).unwrap();
        prop_assert_eq!(read.into_iter().map(|(h, _)| h).collect::<Vec<_>>(), all);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = read_all(&bytes);
    }

    #[test]
    fn damaged_members_are_read_without_panic(
        member in any_member(),
        at in 0usize..3000,
        bytes in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let tar = written(&[member]);
        let at = at % tar.len();
        let mut damaged = tar.clone();
        for (slot, byte) in damaged[at..].iter_mut().zip(bytes) {
            *slot = byte;
        }
        let _ = read_all(&damaged);
        // As above, behind a checksum that fits.
        let mut block = damaged[..512].to_vec();
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        damaged[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let _ = read_all(&damaged);
    }
}
