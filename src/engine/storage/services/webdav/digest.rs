//! Digest authorization: a password that is proved, not sent. Source: RFC 7616 and RFC 2617.

use crate::engine::secret::Secret;
use crate::engine::storage::services::web::hex;
use md5::{Digest as _, Md5};
use sha2::Sha256;
use std::fmt::Write as _;

/// What a server asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// The password itself.
    Basic,
    /// A proof.
    Digest(Digest),
}

/// A request for a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digest {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The word for it, as the server wrote it.
    algorithm_word: Option<String>,
    /// Whether the hash is of the session.
    is_session: bool,
    /// Whether requests are counted.
    has_quality: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn hash(self, parts: &[&[u8]]) -> String {
        let text = parts.join(&b':');
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text)),
            Algorithm::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

impl Challenge {
    /// The best of what these headers offer; `None` for nothing that is known.
    pub(super) fn best<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut offers = headers.flat_map(offers);
        let mut best: Option<Challenge> = None;
        for offer in &mut offers {
            let better = match (&best, &offer) {
                (None, _) => true,
                (Some(Challenge::Basic), Challenge::Digest(_)) => true,
                (Some(Challenge::Digest(old)), Challenge::Digest(new)) => {
                    new.algorithm > old.algorithm
                }
                _ => false,
            };
            if better {
                best = Some(offer);
            }
        }
        best
    }
}

impl Digest {
    /// The value of `Authorization` for the request number `count` since this challenge.
    pub(super) fn answer(
        &self,
        (user, password): (&str, &Secret),
        (method, path): (&str, &str),
        count: u32,
        own: &str,
    ) -> String {
        let hash = |parts: &[&[u8]]| self.algorithm.hash(parts);
        let (nonce, count) = (self.nonce.as_bytes(), format!("{count:08x}"));
        let who = [user.as_bytes(), self.realm.as_bytes(), password.expose()];
        let mut who = hash(&who);
        if self.is_session {
            who = hash(&[who.as_bytes(), nonce, own.as_bytes()]);
        }
        let what = hash(&[method.as_bytes(), path.as_bytes()]);
        let proof = match self.has_quality {
            true => hash(&[
                who.as_bytes(),
                nonce,
                count.as_bytes(),
                own.as_bytes(),
                b"auth",
                what.as_bytes(),
            ]),
            false => hash(&[who.as_bytes(), nonce, what.as_bytes()]),
        };
        let mut text = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{proof}\"",
            quoted(user),
            quoted(&self.realm),
            quoted(&self.nonce),
            quoted(path)
        );
        if let Some(word) = &self.algorithm_word {
            let _ = write!(text, ", algorithm={word}");
        }
        if let Some(opaque) = &self.opaque {
            let _ = write!(text, ", opaque=\"{}\"", quoted(opaque));
        }
        if self.has_quality {
            let _ = write!(text, ", qop=auth, nc={count}, cnonce=\"{own}\"");
        }
        text
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The challenges of one header, of which there may be several, separated like their own parameters.
fn offers(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for piece in pieces(header) {
        let (head, value) = match piece.split_once('=') {
            Some((head, value)) => (head.trim(), Some(value.trim())),
            None => (piece.trim(), None),
        };
        // `Digest realm="x"` begins a challenge, and `nonce="y"` goes on with it.
        let (scheme, name) = match head.split_once(char::is_whitespace) {
            Some((scheme, name)) => (Some(scheme), Some(name.trim())),
            None if value.is_none() => (Some(head), None),
            None => (None, Some(head)),
        };
        if let Some(scheme) = scheme.filter(|scheme| !scheme.is_empty()) {
            found.push((scheme.to_ascii_lowercase(), Vec::new()));
        }
        if let (Some(name), Some(value), Some((_, parameters))) = (name, value, found.last_mut()) {
            parameters.push((name.to_ascii_lowercase(), unquoted(value)));
        }
    }
    let challenge = |(scheme, parameters): (String, Vec<(String, String)>)| {
        let get = |name: &str| {
            let found = parameters.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        match scheme.as_str() {
            "basic" => Some(Challenge::Basic),
            "digest" => {
                let word = get("algorithm");
                let lower = word.as_deref().unwrap_or("md5").to_ascii_lowercase();
                let (name, is_session) = match lower.strip_suffix("-sess") {
                    Some(name) => (name, true),
                    None => (lower.as_str(), false),
                };
                let algorithm = match name {
                    "md5" => Algorithm::Md5,
                    "sha-256" => Algorithm::Sha256,
                    _ => return None,
                };
                let quality = get("qop");
                let has_quality = quality.is_some();
                let mut qualities = quality.iter().flat_map(|words| words.split(','));
                if has_quality && !qualities.any(|word| word.trim().eq_ignore_ascii_case("auth")) {
                    return None;
                }
                Some(Challenge::Digest(Digest {
                    realm: get("realm").unwrap_or_default(),
                    nonce: get("nonce")?,
                    opaque: get("opaque"),
                    algorithm,
                    algorithm_word: word,
                    is_session,
                    has_quality,
                }))
            }
            _ => None,
        }
    };
    found.into_iter().filter_map(challenge).collect()
}

/// A header cut at its commas, but not at those in quotes.
fn pieces(header: &str) -> Vec<String> {
    let (mut pieces, mut piece) = (Vec::new(), String::new());
    let (mut inside, mut escaped) = (false, false);
    for c in header.chars() {
        match c {
            ',' if !inside => {
                pieces.push(std::mem::take(&mut piece));
                continue;
            }
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = inside && c == '\\' && !escaped;
        piece.push(c);
    }
    pieces.push(piece);
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) else {
        return value.to_string();
    };
    let (mut text, mut letters) = (String::new(), inner.chars());
    while let Some(c) = letters.next() {
        match c {
            '\\' => text.extend(letters.next()),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(headers: &[&str]) -> Option<Challenge> {
        Challenge::best(headers.iter().copied())
    }

    fn proof(header: &str) -> String {
        let Some(Challenge::Digest(digest)) = best(&[header]) else {
            panic!("{header}");
        };
        let secret = Secret::new("Circle of Life");
        let who = ("Mufasa", &secret);
        let own = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        digest.answer(who, ("GET", "/dir/index.html"), 1, own)
    }

    /// The examples of RFC 7616, section 3.9.1.
    #[test]
    fn proofs_are_those_of_the_standard() {
        let rest = r#"qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let header =
                format!(r#"Digest realm="http-auth@example.org", algorithm={algorithm}, {rest}"#);
            let answer = proof(&header);
            assert!(
                answer.contains(&format!("response=\"{response}\"")),
                "{answer}"
            );
            assert!(answer.contains("nc=00000001"), "{answer}");
            assert!(!answer.contains("Circle"), "{answer}");
        }
    }

    #[test]
    fn the_best_offer_is_taken() {
        let md5 = r#"Digest realm="a, b", nonce="x=y""#;
        let sha = r#"Digest realm="a \"b\"", nonce="z", algorithm=SHA-256, qop="auth""#;
        assert_eq!(best(&[r#"Basic realm="x""#]), Some(Challenge::Basic));
        assert_eq!(best(&["basic"]), Some(Challenge::Basic));
        for headers in [
            vec![md5, sha, "Basic realm=x"],
            vec!["Basic realm=\"x\"", sha, md5],
            vec![
                "Negotiate, Basic realm=\"x, y\", Digest realm=\"a \\\"b\\\"\", nonce=\"z\", algorithm=SHA-256, qop=\"auth\"",
            ],
        ] {
            let Some(Challenge::Digest(found)) = best(&headers) else {
                panic!("{headers:?}");
            };
            assert_eq!(found.algorithm, Algorithm::Sha256);
            assert_eq!(
                (found.realm.as_str(), found.nonce.as_str()),
                ("a \"b\"", "z")
            );
        }
        for none in [
            "Negotiate",
            "",
            "Digest realm=\"x\"",
            "Digest nonce=x, algorithm=SHA-512-256",
            "Digest nonce=x, qop=\"auth-int\"",
        ] {
            assert_eq!(best(&[none]), None, "{none}");
        }
    }
}
