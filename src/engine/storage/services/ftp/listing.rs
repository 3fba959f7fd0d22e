//! Lines of directory listings: MLSD of RFC 3659, and the two dialects of LIST that servers without it speak.

use std::str::FromStr;

/// An entry of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Its length; of a link, or where the server does not say, unknown.
    pub(super) size: Option<u64>,
    /// When it was written, by the server's clock, as `YYYYMMDDhhmmss`; MLSD alone tells.
    pub(super) modified: Option<String>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Link,
    Other,
}

/// Reads a line of MLSD: `type=file;size=1024;modify=20261120215218; name`.
pub(super) fn mlsd(line: &str) -> Option<Listed> {
    let (facts, name) = line.split_once(' ')?;
    let mut listed = Listed {
        name: name.to_string(),
        kind: Kind::Other,
        size: None,
        modified: None,
    };
    for fact in facts.split(';') {
        let Some((fact, value)) = fact.split_once('=') else {
            continue;
        };
        match fact.to_ascii_lowercase().as_str() {
            "type" => {
                let value = value.to_ascii_lowercase();
                listed.kind = match value.as_str() {
                    "file" => Kind::File,
                    // Source: proftpd and pure-ftpd say `OS.unix=symlink` and `OS.unix=slink:…`.
                    link if link.starts_with("os.unix=s") => Kind::Link,
                    _ => Kind::Other,
                };
            }
            "size" => listed.size = value.parse().ok(),
            "modify" => listed.modified = value.get(..14).map(str::to_string),
            _ => {}
        }
    }
    plain(listed)
}

/// Reads a line of LIST, as `ls -l` or as MS-DOS writes it; anything else, such as a total, is none.
pub(super) fn list(line: &str) -> Option<Listed> {
    plain(unix(line).or_else(|| dos(line))?)
}

/// `-rw-r--r-- 1 ada users 1024 Nov 20 21:52 name`; the group may be missing.
fn unix(line: &str) -> Option<Listed> {
    let kind = match line.as_bytes().first()? {
        b'-' => Kind::File,
        b'l' => Kind::Link,
        b'd' | b'b' | b'c' | b'p' | b's' => Kind::Other,
        _ => return None,
    };
    let mut rest = line;
    let mut fields: Vec<&str> = Vec::new();
    loop {
        let (field, after) = rest.trim_start_matches(' ').split_once(' ')?;
        rest = after;
        fields.push(field);
        // The last of month, day, and time or year ends the fields.
        if let [.., size, month, day, when] = fields.as_slice()
            && fields.len() >= 7
            && is_month(month)
            && day.parse::<u8>().is_ok()
            && (when.contains(':') || when.parse::<u16>().is_ok())
        {
            let name = match kind {
                Kind::Link => rest.split(" -> ").next().unwrap_or(rest),
                _ => rest,
            };
            return Some(Listed {
                name: name.to_string(),
                kind,
                size: number(size).filter(|_| kind == Kind::File),
                modified: None,
            });
        }
        if fields.len() > 9 {
            return None;
        }
    }
}

fn is_month(word: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    MONTHS.contains(&word.to_ascii_lowercase().as_str())
}

/// `11-20-26  09:52PM             1024 name`
fn dos(line: &str) -> Option<Listed> {
    let (date, rest) = line.split_once(' ')?;
    let (time, rest) = rest.trim_start().split_once(' ')?;
    let (size, name) = rest.trim_start().split_once(' ')?;
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    if digits(date) < 6 || date.matches('-').count() != 2 || !time.contains(':') {
        return None;
    }
    let kind = if size.eq_ignore_ascii_case("<dir>") {
        Kind::Other
    } else {
        Kind::File
    };
    let name = match kind {
        Kind::Other => name.trim_start(),
        _ => name,
    };
    Some(Listed {
        name: name.to_string(),
        kind,
        size: number(size),
        modified: None,
    })
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// An entry with a name that is text; others are nobody's objects.
fn plain(listed: Listed) -> Option<Listed> {
    let is_text = !listed.name.is_empty() && !listed.name.contains(char::REPLACEMENT_CHARACTER);
    is_text.then_some(listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(listed: Option<Listed>) -> Option<(String, Kind, Option<u64>)> {
        listed.map(|l| (l.name, l.kind, l.size))
    }

    fn entry(name: &str, kind: Kind, size: Option<u64>) -> Option<(String, Kind, Option<u64>)> {
        Some((name.to_string(), kind, size))
    }

    #[test]
    fn mlsd_tells_name_kind_and_size() {
        let read = |line| parts(mlsd(line));
        assert_eq!(
            read("modify=20261120215218;perm=adfrw;size=1024;type=file;unique=1; a  b "),
            entry("a  b ", Kind::File, Some(1024))
        );
        assert_eq!(
            read("Type=OS.unix=symlink;Size=4; l"),
            entry("l", Kind::Link, Some(4))
        );
        assert_eq!(
            read("type=cdir;sizd=4096; ."),
            entry(".", Kind::Other, None)
        );
        assert_eq!(read("type=file;size=1; latin-\u{fffd}"), None);
        assert_eq!(read("nonsense"), None);
        let listed = mlsd("type=file;modify=20261120215218.123; x").expect("valid");
        assert_eq!(listed.modified.as_deref(), Some("20261120215218"));
    }

    #[test]
    fn list_is_read_in_two_dialects() {
        let read = |line| parts(list(line));
        assert_eq!(
            read("-rw-r--r--   1 ada      users        1024 Nov 20 21:52 a  b "),
            entry("a  b ", Kind::File, Some(1024))
        );
        assert_eq!(
            read("-rw-r--r--   1 ada 1024 Nov  2  2026 May 1 12:00 x"),
            entry("May 1 12:00 x", Kind::File, Some(1024))
        );
        assert_eq!(
            read("lrwxrwxrwx 1 ada users 3 Jan 10 2026 link -> the file"),
            entry("link", Kind::Link, None)
        );
        assert_eq!(
            read("drwxr-xr-x 2 ada users 4096 Jan 10 2026 dir"),
            entry("dir", Kind::Other, None)
        );
        assert_eq!(
            read("11-20-26  09:52PM             1024 a b"),
            entry("a b", Kind::File, Some(1024))
        );
        assert_eq!(
            read("11-20-26  09:52PM       <DIR>          sub"),
            entry("sub", Kind::Other, None)
        );
        assert_eq!(read("total 12"), None);
    }

    proptest! {
        #[test]
        fn any_line_ends(line in ".{0,120}") {
            let _ = (mlsd(&line), list(&line));
        }
    }
}
