//! Every option of duplicity 0.8 to 3.2, and what dupr does with it: [`TABLE`] is the one place, `--help` is printed from it.
//!
//! Options are never unknown. Those without effect say so in one line; those that are gone name what to use instead.

mod table;

pub use table::TABLE;

/// Values an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// None.
    Flag,
    /// One.
    Value,
    /// Two.
    Pair,
    /// None today, one in duplicity 1.x: takes the next word if that is neither an option nor needed elsewhere.
    Either,
}

/// What becomes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It works.
    Honored,
    /// It works, and another way of saying it is preferred: this.
    Renamed(&'static str),
    /// It asks for what is done anyway.
    Always(&'static str),
    /// Accepted without effect, and why.
    Ignored(&'static str),
    /// duplicity dropped it, or what it was for is dead: accepted without effect, with a warning that says what to
    /// use.
    Gone(&'static str),
}

impl Effect {
    /// What to say when the option is given, if anything; and whether as a warning.
    pub fn remark(self) -> Option<(&'static str, bool)> {
        match self {
            Effect::Honored | Effect::Always(_) => None,
            Effect::Ignored(why) => Some((why, false)),
            Effect::Renamed(why) | Effect::Gone(why) => Some((why, true)),
        }
    }
}

/// Which part of the help an option stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// General.
    General,
    /// What is printed and logged.
    Logging,
    /// How a backup is made.
    Backup,
    /// Encryption and signatures.
    Encryption,
    /// What is backed up or compared.
    Selection,
    /// Restore, verify, status.
    Restore,
    /// Reaching the target.
    Storage,
    /// For tests of duplicity itself; not in its help.
    Hidden,
}

impl Group {
    /// Those of the help and the manual page, in their order.
    pub const SHOWN: [Group; 7] = [
        Group::General,
        Group::Logging,
        Group::Backup,
        Group::Encryption,
        Group::Selection,
        Group::Restore,
        Group::Storage,
    ];

    /// Heading in the help.
    pub fn title(self) -> &'static str {
        match self {
            Group::General => "General",
            Group::Logging => "Output",
            Group::Backup => "Backup",
            Group::Encryption => "Encryption",
            Group::Selection => "Selection",
            Group::Restore => "Restore, verify, status",
            Group::Storage => "Target",
            Group::Hidden => "For tests",
        }
    }
}

/// An option.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Long name without dashes.
    pub name: &'static str,
    /// The option it is another name of; its own name otherwise.
    pub means: &'static str,
    /// Short name.
    pub short: Option<char>,
    /// Values it takes.
    pub arity: Arity,
    /// What becomes of it.
    pub effect: Effect,
    /// Where it stands in the help.
    pub group: Group,
}

/// The option of this name, in full or abbreviated to a unique beginning.
///
/// # Errors
/// All candidates if there are several; none if the name is not known.
pub fn find(name: &str) -> Result<&'static Flag, Vec<&'static str>> {
    if let Some(flag) = TABLE.iter().find(|f| f.name == name) {
        return Ok(flag);
    }
    let found: Vec<&Flag> = TABLE.iter().filter(|f| f.name.starts_with(name)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        // One option under several names is not ambiguous.
        [one, rest @ ..]
            if rest
                .iter()
                .all(|f| f.means == one.means && f.arity == one.arity) =>
        {
            Ok(one)
        }
        many => Err(many.iter().map(|f| f.name).collect()),
    }
}

/// The option of this letter.
pub fn find_short(letter: char) -> Option<&'static Flag> {
    TABLE.iter().find(|f| f.short == Some(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_meanings_exist() {
        for (i, f) in TABLE.iter().enumerate() {
            assert!(
                TABLE.iter().skip(i + 1).all(|g| g.name != f.name),
                "{}",
                f.name
            );
            assert!(
                TABLE
                    .iter()
                    .any(|g| g.name == f.means && g.arity == f.arity),
                "{}",
                f.means
            );
        }
    }

    #[test]
    fn abbreviations_are_unique_beginnings() {
        assert_eq!(find("no-enc").unwrap().name, "no-encryption");
        assert_eq!(find("include").unwrap().name, "include");
        assert_eq!(find("file-to").unwrap().means, "path-to-restore");
        assert_eq!(find("no-restore").unwrap().name, "no-restore-ownership");
        assert!(find("exclude-").unwrap_err().len() > 2);
        assert!(find("nonsense").unwrap_err().is_empty());
    }

    #[test]
    fn remarks_are_one_line() {
        for flag in TABLE {
            if let Some((text, _)) = flag.effect.remark() {
                assert!(!text.is_empty() && !text.contains('\n'), "{}", flag.name);
            }
        }
    }
}
