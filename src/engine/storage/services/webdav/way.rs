//! How requests reach a WebDAV server: who asks, and where the server sends one.
//!
//! A server that wants a proof of the password gets no password: over plain HTTP nothing is said before it has asked. A
//! server may send requests on, within itself and from HTTP to HTTPS; others get them without authorization and without
//! the user's own headers, and never in the open what was encrypted.

use super::digest::Challenge;
use crate::engine::secret::Secret;
use crate::engine::storage::names::random;
use ::http::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use ::http::request::Parts;
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opendal::{Buffer, HttpBody, HttpTransport, HttpTransporter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How often a request is sent on.
const MOST_HOPS: usize = 5;

/// Name and password.
pub(super) struct Who {
    pub(super) user: String,
    pub(super) password: Secret,
}

/// A transport with authorization, that follows where it is sent.
pub(super) struct Way {
    inner: HttpTransporter,
    /// What the user wants said with each request; may be secret.
    headers: HeaderMap,
    who: Option<Who>,
    known: Mutex<Known>,
}

/// What the server has said so far.
#[derive(Default)]
struct Known {
    challenge: Option<Challenge>,
    /// Requests since that challenge.
    count: u32,
    /// Whether an upload broke off, perhaps because the proof has run out.
    in_doubt: bool,
    /// Whether it speaks HTTPS as well, and wants it.
    secure: Option<(String, String)>,
}

impl Way {
    pub(super) fn new(inner: HttpTransporter, headers: HeaderMap, who: Option<Who>) -> Self {
        Self {
            inner,
            headers,
            who,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What proves who asks, if that is known; `sooner` says it without being asked.
    fn authorization(&self, method: &Method, uri: &Uri, sooner: bool) -> Option<HeaderValue> {
        let who = self.who.as_ref()?;
        let mut known = self.known();
        let text = match &known.challenge {
            Some(Challenge::Digest(digest)) => {
                let digest = digest.clone();
                known.count = known.count.saturating_add(1);
                let path = uri.path_and_query().map_or("/", |path| path.as_str());
                let own = format!("{:016x}{:016x}", random(), random());
                let what = (method.as_str(), path);
                digest.answer((&who.user, &who.password), what, known.count, &own)
            }
            None if !sooner => return None,
            Some(Challenge::Basic) | None => {
                let pair = [who.user.as_bytes(), b":", who.password.expose()].concat();
                format!("Basic {}", STANDARD.encode(pair))
            }
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Sends a request to a server that is trusted with the password; once more when it asks for it anew.
    async fn ask(&self, head: &Parts, body: &Buffer) -> opendal::Result<Response<HttpBody>> {
        let mut is_first = true;
        loop {
            let response = self.send(self.authorized(head), body.clone()).await?;
            let is_refused = response.status() == StatusCode::UNAUTHORIZED;
            if !is_refused || !self.learn(response.headers()) || !std::mem::take(&mut is_first) {
                return Ok(response);
            }
        }
    }

    /// Adds what the user wants said; what the request itself says goes before.
    fn add_headers(&self, head: &mut Parts) {
        for name in self.headers.keys() {
            if head.headers.contains_key(name) {
                continue;
            }
            for value in self.headers.get_all(name) {
                head.headers.append(name, value.clone());
            }
        }
    }

    /// Whether the server may want another authorization than it would get.
    fn is_unsure(&self, is_secure: bool) -> bool {
        let known = self.known();
        known.in_doubt || (known.challenge.is_none() && !is_secure)
    }

    /// Asks for the collection above to be made, which is there.
    async fn be_asked(&self, head: &Parts) -> opendal::Result<()> {
        let path = head.uri.path();
        let above = path.rsplit_once('/').map_or("/", |(above, _)| above);
        let Some(uri) = moved(&head.uri, &format!("{above}/")) else {
            return Ok(());
        };
        let Ok(method) = Method::from_bytes(b"MKCOL") else {
            return Ok(());
        };
        let mut question = Request::new(()).into_parts().0;
        (question.method, question.uri) = (method, uri);
        self.add_headers(&mut question);
        let response = self.send(question, Buffer::new()).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.learn(response.headers());
        }
        Ok(())
    }

    /// Takes note of what the server asks for; `false` for nothing that can be given.
    fn learn(&self, headers: &HeaderMap) -> bool {
        if self.who.is_none() {
            return false;
        }
        let offers = headers.get_all(WWW_AUTHENTICATE).into_iter();
        let Some(challenge) = Challenge::best(offers.filter_map(|value| value.to_str().ok()))
        else {
            return false;
        };
        let mut known = self.known();
        known.challenge = Some(challenge);
        (known.count, known.in_doubt) = (0, false);
        true
    }

    async fn send(&self, head: Parts, body: Buffer) -> opendal::Result<Response<HttpBody>> {
        self.inner.fetch(Request::from_parts(head, body)).await
    }

    /// Where a request goes at first, after all that was heard so far.
    fn set_out(&self, head: &mut Parts) {
        let secure = self.known().secure.clone();
        if let Some((scheme, authority)) = secure {
            go(head, |uri| at(uri, &scheme, &authority));
        }
    }

    /// Goes where an answer sends a request; `false` if the answer is the last word.
    fn follow(
        &self,
        head: &mut Parts,
        is_trusted: &mut bool,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> opendal::Result<bool> {
        let target = match status.as_u16() {
            301 | 302 | 307 | 308 => headers.get(LOCATION),
            _ => None,
        };
        let target = target.and_then(|target| target.to_str().ok());
        let Some(next) = target.and_then(|target| moved(&head.uri, target)) else {
            return Ok(false);
        };
        match step(&head.uri, &next) {
            Step::Within if *is_trusted => {
                let from = head.uri.clone();
                go(head, |uri| followed(&from, &next, uri));
                head.uri = next;
            }
            Step::Secured if *is_trusted => {
                let whole = (|| {
                    Some((
                        next.scheme_str()?.to_string(),
                        next.authority()?.to_string(),
                    ))
                })();
                if let Some((scheme, authority)) = whole {
                    // For all that follows, if nothing but the way has changed.
                    if next.path() == head.uri.path() {
                        self.known().secure = Some((scheme.clone(), authority.clone()));
                    }
                    go(head, |uri| at(uri, &scheme, &authority));
                }
                head.uri = next;
            }
            Step::Opened => return Err(elsewhere(&next, "in the open")),
            _ if [Method::GET, Method::PUT].contains(&head.method) => {
                *is_trusted = false;
                head.headers.remove(AUTHORIZATION);
                head.uri = next;
            }
            _ => return Err(elsewhere(&next, "to another server")),
        }
        Ok(true)
    }

    /// Asks what authorization an upload needs, if it may need another than it would get: a server that refuses one may hang up
    /// in the middle of it, so it is asked by something short.
    pub(super) async fn before_upload(&self, head: &Parts) -> opendal::Result<()> {
        let is_secure = head.uri.scheme_str() == Some("https");
        if self.who.is_some() && self.is_unsure(is_secure) {
            self.be_asked(head).await?;
        }
        Ok(())
    }

    /// The same request with what proves who asks.
    pub(super) fn authorized(&self, head: &Parts) -> Parts {
        let mut head = head.clone();
        let is_secure = head.uri.scheme_str() == Some("https");
        self.add_headers(&mut head);
        if let Some(value) = self.authorization(&head.method, &head.uri, is_secure) {
            head.headers.insert(AUTHORIZATION, value);
        }
        head
    }

    /// Takes note of an upload that broke off.
    pub(super) fn doubt(&self) {
        if self.who.is_some() {
            self.known().in_doubt = true;
        }
    }
}

/// An upload on its way: where it goes, and whether the one who gets it is told who asks.
pub(super) struct Hop<'a> {
    way: &'a Way,
    pub(super) head: Parts,
    pub(super) is_trusted: bool,
    hops: usize,
    was_asked: bool,
}

impl<'a> Hop<'a> {
    /// Begins at this address.
    pub(super) fn new(way: &'a Way, uri: Uri) -> Self {
        let mut head = Request::new(()).into_parts().0;
        (head.method, head.uri) = (Method::PUT, uri);
        way.set_out(&mut head);
        Self {
            way,
            head,
            is_trusted: true,
            hops: 0,
            was_asked: false,
        }
    }

    /// Whether an answer means that the upload is to be sent once more, from the place that is set by then.
    ///
    /// # Errors
    /// It leads where nobody follows.
    pub(super) fn goes_on(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> opendal::Result<bool> {
        if self.is_trusted && status == StatusCode::UNAUTHORIZED {
            let learned = self.way.learn(headers);
            return Ok(learned && !std::mem::replace(&mut self.was_asked, true));
        }
        let (head, is_trusted) = (&mut self.head, &mut self.is_trusted);
        if !self.way.follow(head, is_trusted, status, headers)? {
            return Ok(false);
        }
        self.hops += 1;
        match self.hops < MOST_HOPS {
            true => Ok(true),
            false => Err(circles()),
        }
    }
}

/// The way as opendal takes it.
pub(super) struct Shared(pub(super) Arc<Way>);

impl HttpTransport for Shared {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let way = &self.0;
        let (mut head, body) = request.into_parts();
        let original = head.uri.clone();
        way.set_out(&mut head);
        let mut is_trusted = true;
        for _ in 0..MOST_HOPS {
            let mut response = match is_trusted {
                true => way.ask(&head, &body).await?,
                false => way.send(head.clone(), body.clone()).await?,
            };
            // opendal knows the answer by the request it made.
            response.extensions_mut().insert(original.clone());
            let (status, headers) = (response.status(), response.headers());
            if !way.follow(&mut head, &mut is_trusted, status, headers)? {
                return Ok(response);
            }
        }
        Err(circles())
    }
}

fn circles() -> opendal::Error {
    opendal::Error::new(
        opendal::ErrorKind::ConfigInvalid,
        "the server sends requests round in circles",
    )
}

/// Where a redirection leads.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// To the same server.
    Within,
    /// To the same host, by HTTPS instead of HTTP.
    Secured,
    /// From HTTPS to HTTP.
    Opened,
    /// To another server.
    Away,
}

fn step(from: &Uri, to: &Uri) -> Step {
    let is_secure = |uri: &Uri| uri.scheme_str() == Some("https");
    let port = |uri: &Uri| {
        let usual = if is_secure(uri) { 443 } else { 80 };
        uri.port_u16().unwrap_or(usual)
    };
    let same_host =
        from.host().map(str::to_ascii_lowercase) == to.host().map(str::to_ascii_lowercase);
    match (is_secure(from), is_secure(to)) {
        (true, false) => Step::Opened,
        (false, true) if same_host => Step::Secured,
        (a, b) if a == b && same_host && port(from) == port(to) => Step::Within,
        _ => Step::Away,
    }
}

/// The address that a redirection names; it may be a path alone.
fn moved(from: &Uri, target: &str) -> Option<Uri> {
    let base = reqwest::Url::parse(&from.to_string()).ok()?;
    let mut next = base.join(target).ok()?;
    next.set_fragment(None);
    // What is in front of an `@` is no business of the server's.
    let is_web = ["http", "https"].contains(&next.scheme());
    let is_plain = next.username().is_empty() && next.password().is_none();
    next.as_str().parse().ok().filter(|_| is_web && is_plain)
}

/// Changes where a request goes, and where it moves a file to.
fn go(head: &mut Parts, to: impl Fn(&Uri) -> Option<Uri>) {
    if let Some(uri) = to(&head.uri) {
        head.uri = uri;
    }
    let destination = head.headers.get("destination");
    let destination = destination.and_then(|value| value.to_str().ok()?.parse::<Uri>().ok());
    let destination = destination.and_then(|uri| to(&uri));
    if let Some(value) = destination.and_then(|uri| HeaderValue::from_str(&uri.to_string()).ok()) {
        head.headers.insert("destination", value);
    }
}

/// The same path at another server.
fn at(uri: &Uri, scheme: &str, authority: &str) -> Option<Uri> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let whole = Uri::builder().scheme(scheme).authority(authority);
    whole.path_and_query(path).build().ok()
}

/// Where another address leads if one leads to another: what differs at the beginning is changed in it, too.
fn followed(from: &Uri, to: &Uri, other: &Uri) -> Option<Uri> {
    let (mut old, mut new) = (from.path(), to.path());
    while let (Some((a, last)), Some((b, same))) = (old.rsplit_once('/'), new.rsplit_once('/')) {
        if last != same {
            break;
        }
        (old, new) = (a, b);
    }
    let rest = other.path().strip_prefix(old)?;
    moved(to, &format!("{new}{rest}")).filter(|_| rest.is_empty() || rest.starts_with('/'))
}

fn elsewhere(to: &Uri, how: &str) -> opendal::Error {
    let text = format!(
        "the server sends us {how}, to {}://{}; name that server in the URL if it is yours",
        to.scheme_str().unwrap_or_default(),
        to.authority().map(ToString::to_string).unwrap_or_default()
    );
    opendal::Error::new(opendal::ErrorKind::ConfigInvalid, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_are_judged_by_where_they_lead() {
        let from: Uri = "http://h:80/a/b".parse().expect("address");
        for (target, url, judged) in [
            ("/c", "http://h/c", Step::Within),
            ("c?d", "http://h/a/c?d", Step::Within),
            ("http://H/x", "http://h/x", Step::Within),
            ("https://h/a/b", "https://h/a/b", Step::Secured),
            ("https://h:8443/", "https://h:8443/", Step::Secured),
            ("http://h:81/", "http://h:81/", Step::Away),
            ("//other/", "http://other/", Step::Away),
            ("https://other/", "https://other/", Step::Away),
        ] {
            let next = moved(&from, target).expect(target);
            assert_eq!(next.to_string(), url);
            assert_eq!(step(&from, &next), judged, "{target}");
        }
        let secure: Uri = "https://h/a".parse().expect("address");
        let next = moved(&secure, "http://h/a").expect("address");
        assert_eq!(step(&secure, &next), Step::Opened);
        for none in ["ftp://h/", "http://u:p@h/", "http://["] {
            assert_eq!(moved(&from, none), None, "{none}");
        }
    }

    #[test]
    fn what_has_moved_is_moved_to_where_it_is() {
        let uri = |path: &str| -> Uri { format!("http://h{path}").parse().expect("address") };
        for (from, to, other, expected) in [
            ("/old/x/a", "/dav/x/a", "/old/x/b%20c", Some("/dav/x/b%20c")),
            ("/x/a", "/deep/er/x/a", "/x/b", Some("/deep/er/x/b")),
            ("/old/x/a", "/x/a", "/old/x/b", Some("/x/b")),
            ("/old/x/a", "/dav/x/a", "/older/b", None),
        ] {
            let found = followed(&uri(from), &uri(to), &uri(other));
            assert_eq!(found, expected.map(uri), "{from} {to} {other}");
        }
    }

    #[test]
    fn a_file_is_moved_where_the_request_goes() {
        let mut head = Request::new(()).into_parts().0;
        head.uri = "http://h/a".parse().expect("address");
        head.headers
            .insert("destination", HeaderValue::from_static("http://h/b%20c"));
        go(&mut head, |uri| at(uri, "https", "h:8443"));
        assert_eq!(head.uri.to_string(), "https://h:8443/a");
        assert_eq!(head.headers["destination"], "https://h:8443/b%20c");
    }
}
