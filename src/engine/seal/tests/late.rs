//! The first message of a seal, begun before its key is there.

use super::*;

#[test]
fn what_comes_before_the_key_is_in_the_message() {
    for compression in [Compression::None, Compression::Default] {
        for bytes in [0, 1, 100_000, 4 << 20, (4 << 20) + 1, 9 << 20] {
            let options = SealOptions {
                compression,
                ..symmetric("pw")
            };
            let data = noise(bytes);
            let file = sealed(&*open(&options).unwrap(), &data);
            let reader = open(&symmetric("pw")).unwrap();
            assert!(
                unseal(&*reader, Form::Gpg, &file).unwrap() == data,
                "{compression:?} {bytes}"
            );
        }
    }
}

#[test]
fn two_messages_may_be_begun_before_the_key_is_there() {
    let seal = open(&symmetric("pw")).unwrap();
    let (one, two) = (Sink::default(), Sink::default());
    let mut first = seal.seal(Form::Gpg, Box::new(one.clone())).unwrap();
    let mut second = seal.seal(Form::Gpg, Box::new(two.clone())).unwrap();
    first.write_all(b"one").unwrap();
    second.write_all(b"two").unwrap();
    second.finish().unwrap();
    first.finish().unwrap();
    let reader = open(&symmetric("pw")).unwrap();
    for (sink, content) in [(one, b"one"), (two, b"two")] {
        let file = sink.0.lock().unwrap().clone();
        assert_eq!(unseal(&*reader, Form::Gpg, &file).unwrap(), content);
    }
}
