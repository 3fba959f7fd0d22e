//! Objects longer than the service takes in one piece: segments in a container beside, and a manifest that names them.
//!
//! The manifest is the object: it appears when all segments are there, and is read as one. Of the two kinds there are, the
//! one that lists its segments with their hashes is written; both are read and removed.

use super::super::web::header;
use super::{SwiftStorage, address};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::names;
use percent_encoding::percent_decode_str;
use reqwest::header::{ACCEPT, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::Path;

/// Segments an object may have.
// Source: `max_manifest_segments` of the service.
const MAX_SEGMENTS: u64 = 1000;

impl SwiftStorage {
    /// Stores the segments in a container of their own, and then the manifest, by which the object is there.
    // Source: "Static Large Objects" of the service's documentation. The other container is where swiftclient puts them.
    pub(super) async fn put_segments(
        &self,
        name: &str,
        path: &str,
        from: &Path,
        bytes: u64,
        claims: bool,
    ) -> Result<()> {
        if bytes.div_ceil(self.segment) > MAX_SEGMENTS {
            let text = format!("{name} would have more than {MAX_SEGMENTS} segments");
            return Err(
                Error::new(ErrorKind::Unsupported, text).with_hint("make `segment-mb` larger")
            );
        }
        let container = format!("{}_segments", self.container);
        let folder = format!("{}{name}/{:016x}", self.prefix, names::random());
        let (mut segments, mut paths) = (Vec::new(), Vec::new());
        let outcome = async {
            let mut start = 0;
            while start < bytes {
                let length = self.segment.min(bytes - start);
                let segment = format!("{folder}/{:08}", segments.len());
                let at = address(&container, &segment);
                paths.push(at.clone());
                let md5 = self
                    .store(&container, &at, from, (start, length), false)
                    .await?;
                let segment = format!("/{container}/{segment}");
                segments.push(json!({ "path": segment, "size_bytes": length, "etag": md5 }));
                start += length;
            }
            self.put_manifest(path, &Value::from(segments).to_string(), claims)
                .await
        }
        .await;
        if outcome.is_err() {
            // Segments nobody names cost money; this is the only chance.
            let _ = self.remove(&paths).await;
        }
        outcome
    }

    async fn put_manifest(&self, path: &str, manifest: &str, claims: bool) -> Result<()> {
        let path = format!("{path}?multipart-manifest=put");
        let mut made = false;
        loop {
            let response = self
                .ask(Method::PUT, &path, |request| {
                    let request = request.body(manifest.to_string());
                    match claims {
                        true => request.header(IF_NONE_MATCH, "*"),
                        false => request,
                    }
                })
                .await?;
            match response.status() {
                StatusCode::NOT_FOUND if !std::mem::replace(&mut made, true) => {
                    self.make(&self.container).await?;
                }
                StatusCode::PRECONDITION_FAILED | StatusCode::ACCEPTED if claims => {
                    return Err(Error::new(ErrorKind::Locked, "the name is taken"));
                }
                _ => return self.done("a manifest", &response),
            }
        }
    }

    /// Removes an object with the segments its manifest names.
    // Source: the service answers with 200 in any case, and says in the body how it went.
    pub(super) async fn delete_whole(&self, path: &str) -> Result<()> {
        let path = format!("{path}?multipart-manifest=delete");
        let response = self
            .ask(Method::DELETE, &path, |request| {
                request.header(ACCEPT, "application/json")
            })
            .await?;
        self.done("a removal", &response)?;
        let answer = self.web.json(response).await?;
        match answer["Response Status"].as_str() {
            Some(status) if status.starts_with('2') || status.starts_with("404") => Ok(()),
            status => {
                let status = status.unwrap_or("nothing");
                let text = format!("{}: a removal ended with {status}", self.service);
                Err(Error::new(ErrorKind::Io, text))
            }
        }
    }

    /// Paths of the segments of an object. None if it is stored whole or absent, or does not tell.
    pub(super) async fn segments_of(&self, name: &str) -> Result<Vec<String>> {
        let Some(head) = self.head(name).await? else {
            return Ok(Vec::new());
        };
        if let Some(prefix) = header(head.headers(), "x-object-manifest") {
            return self.segments_that_begin(prefix).await;
        }
        if header(head.headers(), "x-static-large-object").is_none() {
            return Ok(Vec::new());
        }
        let path = format!("{}?multipart-manifest=get", self.path_of(name));
        let response = self.ask(Method::GET, &path, |request| request).await?;
        // OVH's archive may have sealed it.
        if !response.status().is_success() {
            return Ok(Vec::new());
        }
        let manifest = self.web.json(response).await?;
        let segments = manifest.as_array().into_iter().flatten();
        let path = |segment: &Value| {
            let path = segment["name"].as_str()?.strip_prefix('/')?;
            let (container, name) = path.split_once('/')?;
            Some(address(container, name))
        };
        Ok(segments.filter_map(path).collect())
    }

    /// Paths of the segments of an object that is whatever begins with a prefix: a container and the start of a name.
    // COMPAT(dup all): --mp-segment-size makes such objects ("Dynamic Large Objects") with older versions of swiftclient.
    pub(super) async fn segments_that_begin(&self, prefix: &str) -> Result<Vec<String>> {
        let decoded = percent_decode_str(prefix).decode_utf8_lossy();
        let Some((container, prefix)) = decoded.split_once('/') else {
            return Ok(Vec::new());
        };
        let rows = self.rows(container, prefix, "").await?;
        let path = |(name, _): (String, u64)| address(container, &name);
        Ok(rows.into_iter().map(path).collect())
    }

    /// Removes objects by their paths.
    pub(super) async fn remove(&self, paths: &[String]) -> Result<()> {
        for path in paths {
            self.ask(Method::DELETE, path, |request| request).await?;
        }
        Ok(())
    }
}
