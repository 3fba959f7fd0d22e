//! Who signs the requests that are made beside opendal: keys that are in variables, or wherever opendal finds its own.

use super::Place;
use crate::engine::error::Result;
use crate::engine::storage::StorageOptions;
use crate::engine::storage::services::http;
use reqsign_aws_v4::{
    Credential, DefaultCredentialProvider, RequestSigner, StaticCredentialProvider,
};
use reqsign_core::{Context, Error, FileRead, Signer, StaticEnv};

/// Reads what the chain of credentials looks at.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> std::result::Result<Vec<u8>, Error> {
        std::fs::read(path).map_err(|e| Error::unexpected("cannot read a file").with_source(e))
    }
}

/// `None` if nobody is to sign.
///
/// # Errors
/// What preparing the client reports.
pub(super) fn signer(
    place: &Place<'_>,
    options: &StorageOptions,
    region: &str,
) -> Result<Option<Signer<Credential>>> {
    let signature = RequestSigner::new("s3", region);
    if let (Some(id), Some(key)) = place.keys(options)? {
        let keys = StaticCredentialProvider::new(id, key);
        let keys = match options.environment.get("AWS_SESSION_TOKEN") {
            Some(token) => keys.with_session_token(token),
            None => keys,
        };
        return Ok(Some(Signer::new(Context::new(), keys, signature)));
    }
    let chain = match options.setting("credentials") {
        Some("chain") => DefaultCredentialProvider::builder().no_imds().build(),
        Some("instance") => DefaultCredentialProvider::builder().build(),
        _ => return Ok(None),
    };
    let environment = StaticEnv {
        home_dir: options.environment.get("HOME").map(Into::into),
        envs: options.environment.texts().collect(),
    };
    let context = Context::new()
        .with_file_read(Files)
        .with_env(environment)
        .with_http_send(http::transport(options)?.unwrap_or_default());
    Ok(Some(Signer::new(context, chain, signature)))
}
