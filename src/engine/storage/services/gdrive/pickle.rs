//! Texts out of objects that Python has written to a file.
//!
//! duplicity keeps a user's credentials as a pickle, which is a program that makes objects. It is not run here: its texts are
//! read in their order, and an attribute is a name with a text behind it.

use std::collections::BTreeMap;

/// One thing a pickle puts on its stack, as far as it matters.
type Item = Option<String>;

/// Attributes that are texts, by their names. What is no pickle has none.
pub(super) fn attributes(bytes: &[u8]) -> BTreeMap<String, String> {
    let items = items(bytes).unwrap_or_default();
    let pairs = items.windows(2).filter_map(|pair| match pair {
        [Some(name), Some(value)] if name.starts_with('_') => Some((name.clone(), value.clone())),
        _ => None,
    });
    pairs.collect()
}

/// What comes, in its order; `None` for bytes that end too early or are of no form Python writes.
fn items(mut rest: &[u8]) -> Option<Vec<Item>> {
    let mut items: Vec<Item> = Vec::new();
    // What may be named again.
    let mut memo: Vec<Item> = Vec::new();
    while let Some((&code, after)) = rest.split_first() {
        rest = after;
        let mut take = |bytes: usize| {
            let (taken, after) = rest.split_at_checked(bytes)?;
            rest = after;
            Some(taken)
        };
        match code {
            // A text, its length in one, four or eight bytes.
            0x8c => {
                let bytes = usize::from(take(1)?[0]);
                items.push(String::from_utf8(take(bytes)?.to_vec()).ok());
            }
            b'X' => {
                let bytes = u32::from_le_bytes(take(4)?.try_into().ok()?);
                items.push(String::from_utf8(take(bytes as usize)?.to_vec()).ok());
            }
            0x8d => {
                let bytes = u64::from_le_bytes(take(8)?.try_into().ok()?);
                items.push(String::from_utf8(take(usize::try_from(bytes).ok()?)?.to_vec()).ok());
            }
            0x94 => memo.push(items.last().cloned().flatten()),
            // What was put under a number before.
            b'h' => {
                let number = usize::from(take(1)?[0]);
                items.push(memo.get(number).cloned().flatten());
            }
            b'j' => {
                let number = u32::from_le_bytes(take(4)?.try_into().ok()?);
                items.push(memo.get(number as usize).cloned().flatten());
            }
            b'q' | 0x80 => {
                if code == b'q' {
                    memo.push(items.last().cloned().flatten());
                }
                take(1)?;
            }
            b'r' => {
                memo.push(items.last().cloned().flatten());
                take(4)?;
            }
            // The length of what follows.
            0x95 => {
                take(8)?;
            }
            // Bytes and numbers.
            b'C' | 0x8a => {
                let bytes = usize::from(take(1)?[0]);
                take(bytes)?;
                items.push(None);
            }
            b'B' => {
                let bytes = u32::from_le_bytes(take(4)?.try_into().ok()?);
                take(bytes as usize)?;
                items.push(None);
            }
            b'K' => {
                take(1)?;
                items.push(None);
            }
            b'M' => {
                take(2)?;
                items.push(None);
            }
            b'J' => {
                take(4)?;
                items.push(None);
            }
            b'G' => {
                take(8)?;
                items.push(None);
            }
            // Nothing, true, false, empty collections.
            b'N' | 0x88 | 0x89 | b'}' | b']' | b')' | 0x8f => items.push(None),
            b'.' => return Some(items),
            // Marks, and what is made of what is on the stack.
            b'('
            | b'u'
            | b's'
            | b'b'
            | b'R'
            | b'a'
            | b'e'
            | b't'
            | 0x81
            | 0x85..=0x87
            | 0x90
            | 0x91
            | 0x92
            | 0x93 => {}
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use proptest::prelude::*;

    /// `Credentials` as google-auth has them, written by Python 3.11: protocol 4.
    const KEPT: &str = "gASV5AEAAAAAAACMGWdvb2dsZS5vYXV0aDIuY3JlZGVudGlhbHOUjAtDcmVkZW50aWFsc5STlCmBlH2UKIwFdG9rZW6UjAZ5YTI5\
        LniUjAZleHBpcnmUjAhkYXRldGltZZSMCGRhdGV0aW1llJOUQwoH6gECAwQFAAKmlIWUUpSMEV9xdW90YV9wcm9qZWN0X2lklE6M\
        D190cnVzdF9ib3VuZGFyeZR9lCiMCWxvY2F0aW9uc5RdlIwBbpRKAAABAIwBZpRHP/gAAAAAAACMAWKUiHWMDl9yZWZyZXNoX3Rv\
        a2VulIwKMS8vcmVmcmVzaJSMCV9pZF90b2tlbpROjAdfc2NvcGVzlF2UjCpodHRwczovL3d3dy5nb29nbGVhcGlzLmNvbS9hdXRo\
        L2RyaXZlLmZpbGWUYYwKX3Rva2VuX3VyaZSMI2h0dHBzOi8vb2F1dGgyLmdvb2dsZWFwaXMuY29tL3Rva2VulIwKX2NsaWVudF9p\
        ZJSMHWlkLmFwcHMuZ29vZ2xldXNlcmNvbnRlbnQuY29tlIwOX2NsaWVudF9zZWNyZXSUjAZzZWNyZXSUjAZfYWdhaW6UaCGMEF91\
        bml2ZXJzZV9kb21haW6UjA5nb29nbGVhcGlzLmNvbZSMAl9ulEr7////dWIu";

    #[test]
    fn attributes_are_read() {
        let bytes = base64::engine::general_purpose::STANDARD.decode(KEPT);
        let found = attributes(&bytes.expect("base64"));
        let get = |name: &str| found.get(name).map(String::as_str);
        assert_eq!(get("_refresh_token"), Some("1//refresh"));
        assert_eq!(get("_client_id"), Some("id.apps.googleusercontent.com"));
        assert_eq!(get("_client_secret"), Some("secret"));
        assert_eq!(get("_id_token"), None);
        assert_eq!(get("_again"), Some("secret"));
    }

    proptest! {
        #[test]
        fn nonsense_is_survived(bytes: Vec<u8>) {
            attributes(&bytes);
        }
    }
}
