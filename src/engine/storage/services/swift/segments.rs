//! Objects longer than the service takes in one piece: segments in a container beside, and a manifest that names them.
//!
//! The manifest is the object: it appears when all segments are there, and is read as one. Of the two kinds there are, the
//! one that lists its segments with their hashes is written; both are read and removed.

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
        let mut segments = Vec::new();
        let outcome = async {
            let mut start = 0;
            while start < bytes {
                let length = self.segment.min(bytes - start);
                let segment = format!("{folder}/{:08}", segments.len());
                segments.push((segment.clone(), length, None));
                let at = address(&container, &segment);
                let md5 = self
                    .store(&container, &at, from, (start, length), false)
                    .await?;
                if let Some(last) = segments.last_mut() {
                    last.2 = Some(md5);
                }
                start += length;
            }
            let manifest: Vec<Value> = segments
                .iter()
                .map(|(segment, length, md5)| {
                    json!({ "path": format!("/{container}/{segment}"), "size_bytes": length, "etag": md5 })
                })
                .collect();
            self.put_manifest(path, &Value::from(manifest).to_string(), claims)
                .await
        }
        .await;
        if outcome.is_err() {
            // Segments nobody names cost money; this is the only chance.
            for (segment, ..) in &segments {
                let at = address(&container, segment);
                let _ = self.ask(Method::DELETE, &at, |request| request).await;
            }
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
                StatusCode::PRECONDITION_FAILED if claims => {
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

    /// Removes the segments of an object that is what begins with a prefix.
    // COMPAT(dup all): --mp-segment-size makes such objects ("Dynamic Large Objects").
    pub(super) async fn delete_segments(&self, manifest: &str) -> Result<()> {
        let decoded = percent_decode_str(manifest).decode_utf8_lossy();
        let Some((container, prefix)) = decoded.split_once('/') else {
            return Ok(());
        };
        for (segment, _) in self.rows(container, prefix, "").await? {
            let path = address(container, &segment);
            self.ask(Method::DELETE, &path, |request| request).await?;
        }
        Ok(())
    }
}
