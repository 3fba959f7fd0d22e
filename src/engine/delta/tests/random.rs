//! Any content, any signature, any delta.

use super::*;
use proptest::prelude::*;

/// An edit: where, in thousandths of the content, how many bytes go, which bytes come.
fn any_edits() -> impl Strategy<Value = Vec<(usize, usize, Vec<u8>)>> {
    prop::collection::vec(
        (
            0usize..1000,
            0usize..3000,
            prop::collection::vec(any::<u8>(), 0..600),
        ),
        0..6,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn patching_with_a_delta_gives_the_new_content(
        seed: u64,
        length in 0usize..40_000,
        alphabet in 1u8..=255,
        block_len in prop_oneof![Just(512usize), 1usize..700],
        edits in any_edits(),
    ) {
        // Few different bytes make equal blocks and rolling sums that collide.
        let basis: Vec<u8> = random(seed, length).iter().map(|b| b % alphabet).collect();
        let mut new = basis.clone();
        for (place, remove, insert) in edits {
            let at = new.len() * place / 1000;
            let end = (at + remove).min(new.len());
            new.splice(at..end, insert);
        }
        let delta = delta(&basis, &new, block_len);
        prop_assert!(patched(&basis, &delta).unwrap() == new);
        let mut theirs = Vec::new();
        fast_rsync::apply(&basis, &delta, &mut theirs).unwrap();
        prop_assert!(theirs == new);
    }

    #[test]
    fn any_signature_is_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), new: Vec<u8>) {
        let _ = SignatureIndex::parse(&bytes);
        for (slot, byte) in bytes.iter_mut().zip([0x72, 0x73, 0x01, 0x36, 0, 0, 0]) {
            *slot = byte;
        }
        if let Ok(index) = SignatureIndex::parse(&bytes) {
            DeltaReader::new(Arc::new(index), new.as_slice()).read_to_end(&mut Vec::new()).unwrap();
        }
    }

    #[test]
    fn copies_in_any_order_come_out_of_a_basis_that_passes(
        copies in prop::collection::vec((0u64..5000, 0u64..3000), 0..20),
    ) {
        let mut delta = DELTA_MAGIC.to_be_bytes().to_vec();
        for (offset, length) in copies {
            command::write_copy(&mut delta, offset, length);
            command::write_literal(&mut delta, b"between");
        }
        delta.push(command::END);
        // Some of them lie outside.
        let _ = patched(&random(9, 6000), &delta);
    }

    #[test]
    fn any_delta_is_read_without_panic(commands: Vec<u8>, basis: Vec<u8>) {
        let delta = [&DELTA_MAGIC.to_be_bytes(), commands.as_slice()].concat();
        let mut out = Vec::new();
        let result = patch(&mut Cursor::new(&basis), delta.as_slice(), &mut out, 100_000);
        prop_assert!(out.len() <= 100_000);
        if let Ok(bytes) = result {
            prop_assert_eq!(bytes, out.len() as u64);
        }
    }
}
