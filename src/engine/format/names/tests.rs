use super::*;
use proptest::prelude::*;

fn full(secs: i64, kind: FileKind, form: Form) -> Option<FileName> {
    let set = SetId::Full {
        time: Timestamp(secs),
    };
    Some(FileName {
        set,
        kind,
        form,
        partial: false,
    })
}

fn inc(start: i64, end: i64, kind: FileKind, form: Form) -> Option<FileName> {
    let set = SetId::Incremental {
        start: Timestamp(start),
        end: Timestamp(end),
    };
    Some(FileName {
        set,
        kind,
        form,
        partial: false,
    })
}

fn partial(name: Option<FileName>) -> Option<FileName> {
    name.map(|n| FileName { partial: true, ..n })
}

/// The table of the reference, with what duplicity 3.2.1 says, and where we differ on purpose.
#[test]
fn names_written_by_any_version_are_read() {
    use FileKind::{Manifest, Signature, Stats, Volume};
    use Form::{Cms, Gpg, Gzip, Plain};
    const T: i64 = 1_795_211_663;
    const OLD: i64 = 1_028_632_920;
    let table = [
        (
            "duplicity-full.20261120T215423Z.vol1.difftar",
            full(T, Volume(1), Plain),
        ),
        (
            "duplicity-full.20261120T215423Z.vol01.difftar",
            full(T, Volume(1), Plain),
        ),
        (
            "duplicity-full.20261120t215423z.manifest",
            full(T, Manifest, Plain),
        ),
        (
            "duplicity-full.20261120T215423Z.vol1.difftar.gz.gpg",
            full(T, Volume(1), Gpg),
        ),
        (
            "duplicity-full.20261120T215423Z.manifest.gpg",
            full(T, Manifest, Gpg),
        ),
        (
            "duplicity-full.20261120T215423Z.manifest.p7m",
            full(T, Manifest, Cms),
        ),
        (
            "duplicity-full-signatures.20261120T215423Z.sigtar.p7m",
            full(T, Signature, Cms),
        ),
        (
            "duplicity-full.20261120T215423Z.manifest.part",
            partial(full(T, Manifest, Plain)),
        ),
        (
            "duplicity-full-signatures.20261120T215423Z.sigtar.part.gz",
            partial(full(T, Signature, Gzip)),
        ),
        (
            "duplicity-inc.20261120T215423Z.to.20261120T215541Z.vol12.difftar.gz",
            inc(T, 1_795_211_741, Volume(12), Gzip),
        ),
        (
            "duplicity-new-signatures.20261120T215423Z.to.20261120T215541Z.sigtar",
            inc(T, 1_795_211_741, Signature, Plain),
        ),
        (
            "duplicity-full.2002-08-06T04:22:00-07:00.vol1.difftar.gpg",
            full(OLD, Volume(1), Gpg),
        ),
        ("df.10j4n9.1.dt.g", full(61_358_661, Volume(1), Gpg)),
        ("df.10j4n9.1.dt.p7m", full(61_358_661, Volume(1), Cms)),
        ("df.10j4n9.m.p7m", full(61_358_661, Manifest, Cms)),
        ("df.10j4n9.m.p", partial(full(61_358_661, Manifest, Plain))),
        (
            "di.10j4n9.10j4na.a.dt.z",
            inc(61_358_661, 61_358_662, Volume(10), Gzip),
        ),
        (
            "dns.10j4n9.10j4na.st.p",
            partial(inc(61_358_661, 61_358_662, Signature, Plain)),
        ),
        ("dfst.10j4n9.jst", full(61_358_661, Stats, Plain)),
        (
            "dist.10j4n9.to.10j4na.jst",
            inc(61_358_661, 61_358_662, Stats, Plain),
        ),
        (
            "duplicity-full.20261120T215423Z.jsonstat.gz",
            full(T, Stats, Gzip),
        ),
        (
            "duplicity-full.20261120T215423Z.jsonstat.part",
            partial(full(T, Stats, Plain)),
        ),
        (
            "duplicity-full.1234567.manifest",
            full(1_234_567, Manifest, Plain),
        ),
        (
            "duplicity-full.2026-11-20.manifest",
            full(1_795_132_800, Manifest, Plain),
        ),
        (
            "duplicity-full.1-2-1999.manifest",
            full(915_235_200, Manifest, Plain),
        ),
        (
            "duplicity-full.20261120Z.manifest",
            full(1_795_132_800, Manifest, Plain),
        ),
        (
            "duplicity-full.2026-02-31T21:00:00Z.manifest",
            full(1_772_571_600, Manifest, Plain),
        ),
        (
            "duplicity-full.2026-11-20T21:54:23+05:30.manifest",
            full(1_795_191_863, Manifest, Plain),
        ),
        (
            "duplicity-full.1901-11-20T21:54:06Z.manifest",
            full(-2_149_466_754, Manifest, Plain),
        ),
        (
            "duplicity-full.2099-11-20T21:54:06Z.manifest",
            full(4_098_894_846, Manifest, Plain),
        ),
    ];
    let naming = Naming::default();
    for (name, expected) in table {
        assert_eq!(naming.parse(name), expected, "{name}");
    }
}

#[test]
fn names_of_no_version_are_strangers() {
    let strangers = [
        "",
        "lockfile",
        "xduplicity-full.20261120T215423Z.manifest",
        "duplicity-FULL.20261120T215423Z.manifest",
        "duplicity-full.garbage.manifest",
        "duplicity-full..manifest",
        "duplicity-full.NOW.manifest",
        "duplicity-full.19700101T000000Z.manifest",
        "duplicity-full.0.manifest",
        "duplicity-full.2002-08-06T04_22_00-07_00.vol1.difftar.gpg",
        "duplicity-full.2026-11-20T24:00:00Z.manifest",
        "duplicity-full.20261120T216000Z.manifest",
        "duplicity-full.20261320T215423Z.manifest",
        "duplicity-full.20261100T215423Z.manifest",
        "duplicity-full.1900-11-20T21:54:06Z.manifest",
        "duplicity-full.2100-11-20T21:54:06Z.manifest",
        "duplicity-full.2026-11-20T21:54:06+2:00.manifest",
        "duplicity-full.99999999999999999999.manifest",
        "duplicity-full.20261120T215423Z.vol+1.difftar",
        "duplicity-full.20261120T215423Z.vol1.difftarx",
        "duplicity-inc.20261120T215423Z.to.19700101T000000Z.manifest",
        "duplicity-inc.20261120T215423Z.manifest",
        "df.TOTMK5.m",
        "df.0.m",
        "dist.10j4n9.10j4na.jst",
        // The original takes all of the following for files of the set.
        "duplicity-full.20261120T215423Z.vol0.difftar",
        "duplicity-full.20261120T215423Z.vol99999999999.difftar",
        "duplicity-full.20261120T215423Z.vol1.difftar.",
        "duplicity-full.20261120T215423Z.vol1.difftar.part",
        "duplicity-full.20261120T215423Z.vol1.difftar.par2",
        "duplicity-full.20261120T215423Z.vol1.difftar.gpg.vol000+01.par2",
        "duplicity-full.20261120T215423Z.vol1.difftar.zst",
        "duplicity-full.20261120T215423Z.vol1.difftar.gpg.tmp",
        "duplicity-full.20261120T215423Z.manifest.foo",
        "duplicity-full.20261120T215423Z.manifest.partx",
        "duplicity-full.20261120T215423Z.manifest.p",
        "duplicity-full.20261120T215423Z.manifest.GPG",
        "duplicity-full-signatures.20261120T215423Z.sigtarp7m",
        "duplicity-full-signatures.20261120T215423Z.sigtar.gz.p7m",
        "duplicity-full-signatures.20261120T215423Z.sigtar.gpg.gz",
        "duplicity-full.3D.manifest",
        "duplicity-full.2026-11-20T21:54:62Z.manifest",
        "df.totmk5.m.part",
    ];
    for name in strangers {
        assert_eq!(Naming::default().parse(name), None, "{name}");
    }
}

#[test]
fn prefixes_are_literal_and_tell_the_kinds_apart() {
    let naming = Naming {
        prefix: "P.*".into(),
        archive: "A+".into(),
        manifest: "M".into(),
        signature: "S".into(),
        stats: "J".into(),
        ..Naming::default()
    };
    let manifest = full(1_795_211_663, FileKind::Manifest, Form::Plain).unwrap();
    let name = "P.*Mduplicity-full.20261120T215423Z.manifest";
    assert_eq!(naming.format(&manifest), name);
    assert_eq!(naming.parse(name), Some(manifest));
    assert_eq!(
        naming.parse("PxxMduplicity-full.20261120T215423Z.manifest"),
        None
    );
    assert_eq!(
        naming.parse("P.*A+duplicity-full.20261120T215423Z.manifest"),
        None
    );
    let volume = naming.parse("P.*A+df.totmk5.1z.dt.z").unwrap();
    assert_eq!(volume.kind, FileKind::Volume(71));
}

#[test]
fn old_names_keep_their_separator() {
    let naming = Naming {
        time_separator: '_',
        style: NameStyle::Old,
        ..Naming::default()
    };
    let manifest = full(1_795_211_663, FileKind::Manifest, Form::Gpg).unwrap();
    let name = "duplicity-full.2026-11-20T21_54_23Z.manifest.gpg";
    assert_eq!(naming.format(&manifest), name);
    assert_eq!(naming.parse(name), Some(manifest));
    assert_eq!(
        naming.parse("duplicity-full.2026-11-20T21:54:23Z.manifest.gpg"),
        None
    );
    let west = "duplicity-full.2026-11-20T14_54_23-07_00.manifest.gpg";
    assert_eq!(naming.parse(west), Some(manifest));
}

#[test]
fn copies_in_the_archive_dir_have_fixed_forms() {
    let naming = Naming::default();
    let t = 1_795_211_663;
    let local = |kind, form| naming.local(&full(t, kind, form).unwrap());
    let manifest = "duplicity-full.20261120T215423Z.manifest";
    let sigtar = "duplicity-full-signatures.20261120T215423Z.sigtar";
    assert_eq!(local(FileKind::Manifest, Form::Gpg), manifest);
    assert_eq!(
        local(FileKind::Signature, Form::Gpg),
        format!("{sigtar}.gz")
    );
    assert_eq!(
        local(FileKind::Signature, Form::Plain),
        format!("{sigtar}.gz")
    );
    let part = partial(full(t, FileKind::Signature, Form::Gpg)).unwrap();
    assert_eq!(naming.local(&part), format!("{sigtar}.part"));
}

prop_compose! {
    fn any_file()(
        start in 1i64..4_102_444_800,
        end in 1i64..4_102_444_800,
        is_full in any::<bool>(),
        kind in prop_oneof![
            (1u32..).prop_map(FileKind::Volume),
            Just(FileKind::Manifest),
            Just(FileKind::Signature),
            Just(FileKind::Stats),
        ],
        form in prop_oneof![Just(Form::Plain), Just(Form::Gzip), Just(Form::Cms), Just(Form::Gpg)],
        partial in any::<bool>(),
    ) -> FileName {
        let (start, time) = (Timestamp(start), Timestamp(end));
        let set = if is_full { SetId::Full { time } } else { SetId::Incremental { start, end: time } };
        FileName { set, kind, form, partial: partial && !matches!(kind, FileKind::Volume(_)) }
    }
}

prop_compose! {
    fn any_naming()(
        prefixes in prop::array::uniform5("[a-z.*-]{0,4}"),
        style in prop_oneof![Just(NameStyle::Long), Just(NameStyle::Short), Just(NameStyle::Old)],
        time_separator in prop_oneof![Just(':'), Just('_'), Just('·')],
    ) -> Naming {
        let [prefix, archive, manifest, signature, stats] = prefixes;
        Naming { prefix, archive, manifest, signature, stats, time_separator, style }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(naming in any_naming(), file in any_file()) {
        prop_assert_eq!(naming.parse(&naming.format(&file)), Some(file));
    }

    #[test]
    fn any_text_is_read_without_panic(
        start in "(duplicity-(full|inc|full-signatures|new-signatures)\\.|d(f|i|fs|ns|fst|ist)\\.)?",
        rest in "[0-9a-zTZ:+./ü-]{0,40}",
        end in "(\\.vol1)?(\\.(difftar|manifest|sigtar|jsonstat|dt|m|st|jst))?[.a-z]{0,6}",
    ) {
        let naming = Naming::default();
        if let Some(file) = naming.parse(&format!("{start}{rest}{end}")) {
            prop_assert!(file.set.time() != Timestamp(0));
        }
        naming.parse(&rest);
    }
}
