//! File names: any text is read, and what is understood survives being written.
#![no_main]

use dupr::engine::format::names::{NameStyle, Naming};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &str| {
    let naming = Naming::default();
    let Some(file) = naming.parse(name) else {
        return;
    };
    // Only these years have a form in long and old names; short ones cannot tell times before 1970.
    if !(1..4_102_444_800).contains(&file.set.time().as_secs())
        || file
            .set
            .basis()
            .is_some_and(|t| !(1..4_102_444_800).contains(&t.as_secs()))
    {
        return;
    }
    for style in [NameStyle::Long, NameStyle::Short, NameStyle::Old] {
        let naming = Naming {
            style,
            ..Naming::default()
        };
        assert_eq!(naming.parse(&naming.format(&file)), Some(file));
    }
});
