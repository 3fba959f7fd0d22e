//! Records of PAX extended headers: `"<length> <key>=<value>\n"`, where the length counts the whole record.

/// Records to be written, in the order they are added.
#[derive(Default)]
pub(super) struct Records {
    payload: Vec<u8>,
    binary: bool,
}

impl Records {
    /// Adds a text, if it is not plain ASCII or longer than its field of the ustar header.
    pub(super) fn text(&mut self, key: &str, value: &[u8], field_bytes: usize) {
        if value.is_ascii() && value.len() <= field_bytes {
            return;
        }
        self.binary |= std::str::from_utf8(value).is_err();
        self.record(key, value);
    }

    /// Adds a number.
    pub(super) fn number(&mut self, key: &str, value: i64) {
        self.record(key, value.to_string().as_bytes());
    }

    /// The payload of the header; empty if it is not needed.
    pub(super) fn finish(self) -> Vec<u8> {
        if !self.binary {
            return self.payload;
        }
        // Says that the values are raw bytes instead of UTF-8.
        let mut payload = b"21 hdrcharset=BINARY\n".to_vec();
        payload.extend_from_slice(&self.payload);
        payload
    }

    fn record(&mut self, key: &str, value: &[u8]) {
        // Blank, equals sign and line end.
        let rest = key.len() + value.len() + 3;
        let mut length = rest;
        loop {
            let with_digits = rest + length.to_string().len();
            if with_digits == length {
                break;
            }
            length = with_digits;
        }
        self.payload
            .extend_from_slice(format!("{length} {key}=").as_bytes());
        self.payload.extend_from_slice(value);
        self.payload.push(b'\n');
    }
}

/// What extended headers say of a member. An empty value means: as the ustar header says.
#[derive(Default)]
pub(super) struct Overrides<'a> {
    pub(super) path: Option<&'a [u8]>,
    pub(super) link: Option<&'a [u8]>,
    pub(super) uname: Option<&'a [u8]>,
    pub(super) gname: Option<&'a [u8]>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) size: Option<i64>,
    pub(super) mtime: Option<i64>,
}

impl<'a> Overrides<'a> {
    /// Reads records; those with other keys are ignored. `hdrcharset` needs no care: texts are raw bytes here.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn read(&mut self, mut payload: &'a [u8]) -> Result<(), &'static str> {
        const BAD_RECORD: &str = "malformed record";
        // A NUL ends the records of writers that pad.
        while payload.first().is_some_and(|b| *b != 0) {
            let blank = payload
                .iter()
                .take(20)
                .position(|b| *b == b' ')
                .ok_or(BAD_RECORD)?;
            let (digits, after) = payload.split_at(blank);
            let length = unsigned(digits).ok_or(BAD_RECORD)?;
            let body = usize::try_from(length)
                .ok()
                .and_then(|l| l.checked_sub(blank + 1));
            let body = body.ok_or(BAD_RECORD)?;
            let after = after.get(1..).ok_or(BAD_RECORD)?;
            let (record, rest) = after.split_at_checked(body).ok_or(BAD_RECORD)?;
            let record = record.strip_suffix(b"\n").ok_or(BAD_RECORD)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or(BAD_RECORD)?;
            self.apply(&record[..equals], &record[equals + 1..])?;
            payload = rest;
        }
        Ok(())
    }

    fn apply(&mut self, key: &[u8], value: &'a [u8]) -> Result<(), &'static str> {
        let text = (!value.is_empty()).then_some(value);
        let number = |bad| match value {
            b"" => Ok(None),
            digits => unsigned(digits).map(Some).ok_or(bad),
        };
        match key {
            b"path" => self.path = text,
            b"linkpath" => self.link = text,
            b"uname" => self.uname = text,
            b"gname" => self.gname = text,
            b"uid" => self.uid = number("bad uid")?,
            b"gid" => self.gid = number("bad gid")?,
            b"size" => self.size = number("bad size")?,
            b"mtime" if value.is_empty() => self.mtime = None,
            b"mtime" => self.mtime = Some(whole_seconds(value).ok_or("bad mtime")?),
            key if key.starts_with(b"GNU.sparse.") => return Err("sparse file"),
            _ => {}
        }
        Ok(())
    }
}

fn unsigned(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Seconds with optional sign and fraction, truncated toward the past.
fn whole_seconds(text: &[u8]) -> Option<i64> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |b| *b == b'.');
    let seconds = unsigned(parts.next()?)?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let part_of_second = i64::from(fraction.iter().any(|b| *b != b'0'));
    Some(if negative {
        -seconds - part_of_second
    } else {
        seconds
    })
}
