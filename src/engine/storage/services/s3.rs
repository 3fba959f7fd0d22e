//! Buckets of S3 and of everything that speaks its protocol, through opendal.
//!
//! An object appears when its upload is completed, so names are final from the start and no right to delete is
//! needed. Large objects go in parts, several at a time, read from the file as they are sent. The bucket must
//! exist. Credentials come from the environment handed down; opendal looks nowhere itself unless asked.

use super::super::names;
use super::super::runtime;
use super::super::transfer::Transfer;
use super::super::{Location, Object, Storage, StorageOptions};
use crate::engine::error::{Error, ErrorKind, Result};
use futures_core::Stream;
use opendal::raw::BoxedStaticFuture;
use opendal::services::S3;
use opendal::{EntryMode, Execute, Executor, Operator};
use std::future::poll_fn;
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Length of a part of a large object; S3 wants at least 5 MiB.
const PART: u64 = 8 << 20;

/// Parts in flight per upload.
const PARTS_AT_ONCE: usize = 4;

/// Parts an object may have.
// Source: S3 allows 10,000; some stores that speak its protocol allow fewer.
const MAX_PARTS: u64 = 1000;

/// Bytes taken from a download at a time.
const PIECE: usize = 1 << 20;

/// Slowest line on which a part may still be under way; below it the peer counts as silent.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 << 10;

const SETTINGS: &[&str] = &[
    "endpoint",
    "region",
    "path-style",
    "storage-class",
    "credentials",
    "checksum",
    "encryption",
    "kms-key",
];

/// Objects of one bucket below one prefix.
pub(super) struct S3Storage {
    /// Puts in the standard class.
    standard: Operator,
    /// Puts in the class asked for; reading and listing know no classes.
    classed: Option<Operator>,
    standard_names: fn(&str) -> bool,
    bucket: String,
    location: Location,
    transfer: Arc<Transfer>,
}

impl S3Storage {
    pub(super) fn new(
        bucket: &str,
        prefix: &str,
        location: Location,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        options.allow_only("s3", SETTINGS)?;
        // Gives opendal its HTTP client; repeated calls do nothing.
        opendal::install_default();
        let runtime = runtime::get()?;
        let build = |class: Option<&str>| -> Result<Operator> {
            let mut service = configure(bucket, prefix, options)?;
            if let Some(class) = class {
                service = service.default_storage_class(class);
            }
            let operator = Operator::new(service).map_err(|e| explain(e, bucket))?;
            let context = operator
                .base_context()
                .with_executor(Executor::with(Parts(runtime)));
            Ok(operator.with_context(context))
        };
        let class = options
            .setting("storage-class")
            .filter(|class| !class.eq_ignore_ascii_case("standard"));
        Ok(Self {
            standard: build(None)?,
            classed: class
                .map(|class| build(Some(&class.to_ascii_uppercase())))
                .transpose()?,
            standard_names: options.standard_names,
            bucket: bucket.to_string(),
            location,
            transfer,
        })
    }

    /// Waits for an answer and translates its error.
    async fn answer<T>(&self, work: impl Future<Output = opendal::Result<T>>) -> Result<T> {
        self.transfer
            .answer(work)
            .await?
            .map_err(|e| explain(e, &self.bucket))
    }

    /// Waits until `bytes` can have been sent, even on the slowest line.
    async fn sent<T>(
        &self,
        bytes: u64,
        work: impl Future<Output = opendal::Result<T>>,
    ) -> Result<T> {
        let limit = self.transfer.timeout() + Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND);
        self.transfer
            .answer_within(limit, work)
            .await?
            .map_err(|e| explain(e, &self.bucket))
    }

    async fn put_parts(&self, operator: &Operator, name: &str, from: &Path) -> Result<()> {
        let mut upload = self.transfer.upload(from)?;
        let bytes = upload.len();
        if bytes <= PART {
            let whole = upload.next(PART as usize)?;
            return self
                .sent(bytes, operator.write(name, whole))
                .await
                .map(|_| ());
        }
        let part = PART.max(bytes.div_ceil(MAX_PARTS));
        let part_bytes = usize::try_from(part).map_err(|_| {
            Error::new(
                ErrorKind::Unsupported,
                format!("{name} is too large for this machine"),
            )
        })?;
        // A part can only be handed over when an earlier one is through.
        let in_flight = part * (PARTS_AT_ONCE as u64 + 1);
        let writer = operator
            .writer_with(name)
            .chunk(part_bytes)
            .concurrent(PARTS_AT_ONCE);
        let mut writer = self.answer(async { writer.await }).await?;
        let outcome = async {
            loop {
                let piece = upload.next(part_bytes)?;
                if piece.is_empty() {
                    break;
                }
                self.sent(in_flight, writer.write(piece)).await?;
            }
            self.sent(in_flight, writer.close()).await
        }
        .await;
        if outcome.is_err() {
            // Parts of an upload that was given up cost money until it is aborted; this is the only chance.
            let _ = self.answer(writer.abort()).await;
        }
        outcome.map(|_| ())
    }
}

impl Storage for S3Storage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.transfer.block_on(async {
            let lister = self.standard.lister_with("/");
            let mut lister = pin!(self.answer(async { lister.await }).await?);
            let mut objects = Vec::new();
            loop {
                let next = poll_fn(|cx| lister.as_mut().poll_next(cx));
                match self.answer(async { next.await.transpose() }).await? {
                    None => return Ok(objects),
                    Some(entry) if entry.metadata().mode() == EntryMode::FILE => {
                        objects.push(Object {
                            name: entry.name().to_string(),
                            size: entry.metadata().content_length(),
                        });
                    }
                    Some(_) => {}
                }
            }
        })
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        check(name)?;
        self.transfer.block_on(async {
            match self.answer(self.standard.stat(name)).await {
                Ok(meta) if meta.mode() == EntryMode::FILE => Ok(Some(Object {
                    name: name.to_string(),
                    size: meta.content_length(),
                })),
                Ok(_) => Ok(None),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        check(name)?;
        let mut download = self.transfer.download(to);
        self.transfer.block_on(async {
            let reader = self.answer(self.standard.reader(name)).await?;
            let mut reader = self.answer(reader.into_futures_async_read(..)).await?;
            loop {
                let piece = self.transfer.answer(reader.read_buffer(PIECE)).await?;
                let piece = piece.map_err(|e| explain_io(e, &self.bucket))?;
                if piece.is_empty() {
                    return Ok(download.bytes());
                }
                for part in piece {
                    download.push(&part)?;
                }
            }
        })
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        check(name)?;
        let operator = match &self.classed {
            Some(classed) if !(self.standard_names)(name) => classed,
            _ => &self.standard,
        };
        self.transfer.block_on(self.put_parts(operator, name, from))
    }

    fn delete(&self, name: &str) -> Result<()> {
        check(name)?;
        self.transfer.block_on(async {
            match self.answer(self.standard.delete(name)).await {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
    }
}

/// Sends the parts of an upload side by side; opendal has no executor of its own in this build.
struct Parts(&'static Runtime);

impl Execute for Parts {
    fn execute(&self, part: BoxedStaticFuture<()>) {
        self.0.spawn(part);
    }
}

/// The service as the options want it, without storage class.
fn configure(bucket: &str, prefix: &str, options: &StorageOptions) -> Result<S3> {
    let environment = &options.environment;
    let from_environment = |names: &[&str]| names.iter().find_map(|name| environment.get(name));
    let endpoint = options
        .setting("endpoint")
        .or_else(|| from_environment(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]));
    let region = options
        .setting("region")
        .or_else(|| from_environment(&["AWS_REGION", "AWS_DEFAULT_REGION"]))
        .unwrap_or("us-east-1");
    let mut service = S3::default()
        .bucket(bucket)
        .root(&format!("/{prefix}"))
        .region(region);
    if let Some(endpoint) = endpoint {
        service = service.endpoint(endpoint);
    }
    // Stores of one's own seldom have a host name per bucket; a dot in a bucket's name breaks its certificate.
    let path_style = match options.setting("path-style") {
        None => endpoint.is_some() || bucket.contains('.'),
        Some("true" | "yes") => true,
        Some("false" | "no") => false,
        Some(other) => return Err(bad_setting("path-style", other, "true or false")),
    };
    if !path_style {
        service = service.enable_virtual_host_style();
    }
    match options.setting("checksum") {
        None | Some("none") => {}
        Some(algorithm @ ("crc32c" | "md5")) => service = service.checksum_algorithm(algorithm),
        Some(other) => return Err(bad_setting("checksum", other, "none, crc32c or md5")),
    }
    service = match (options.setting("encryption"), options.setting("kms-key")) {
        (None | Some("none"), None) => service,
        (Some("s3"), None) => service.server_side_encryption_with_s3_key(),
        (None | Some("kms"), Some(key)) => {
            service.server_side_encryption_with_customer_managed_kms_key(key)
        }
        (Some("kms"), None) => service.server_side_encryption_with_aws_managed_kms_key(),
        (Some(other), _) => return Err(bad_setting("encryption", other, "none, s3 or kms")),
    };
    let source = options.setting("credentials").unwrap_or("environment");
    match source {
        "anonymous" => {
            return Ok(service
                .skip_signature()
                .disable_config_load()
                .disable_ec2_metadata());
        }
        "instance" => {}
        "chain" => service = service.disable_ec2_metadata(),
        "environment" => service = service.disable_config_load().disable_ec2_metadata(),
        other => {
            return Err(bad_setting(
                "credentials",
                other,
                "environment, chain, instance or anonymous",
            ));
        }
    }
    match (
        environment.get("AWS_ACCESS_KEY_ID"),
        environment.get("AWS_SECRET_ACCESS_KEY"),
    ) {
        (Some(id), Some(secret)) => {
            service = service.access_key_id(id).secret_access_key(secret);
            if let Some(token) = environment.get("AWS_SESSION_TOKEN") {
                service = service.session_token(token);
            }
        }
        _ if source == "environment" => {
            return Err(Error::new(ErrorKind::Denied, "no credentials for s3").with_hint(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the option `credentials = \"chain\"` to use \
                 ~/.aws",
            ));
        }
        _ => {}
    }
    Ok(service)
}

/// opendal trims blanks from the ends of a name, and would put it under another.
fn check(name: &str) -> Result<()> {
    names::check(name)?;
    if name.trim() == name {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("{name:?} has blanks at an end, which s3 targets do not keep"),
    ))
}

fn bad_setting(name: &str, value: &str, known: &str) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("the s3 option `{name}` cannot be {value:?}"),
    )
    .with_hint(format!("it can be {known}"))
}

/// Says in one line what the service answered, with a kind and, where it helps, a way out.
fn explain(error: opendal::Error, bucket: &str) -> Error {
    let answer = answer_of(&error);
    let has = |word: &str| answer.contains(word);
    let kind = match error.kind() {
        _ if has("NoSuchBucket") => ErrorKind::NotFound,
        _ if has("QuotaExceeded") || has("StorageFull") || has("InsufficientStorage") => {
            ErrorKind::Full
        }
        opendal::ErrorKind::NotFound => ErrorKind::NotFound,
        opendal::ErrorKind::PermissionDenied => ErrorKind::Denied,
        opendal::ErrorKind::RateLimited => ErrorKind::RateLimited,
        opendal::ErrorKind::ConfigInvalid => ErrorKind::Usage,
        opendal::ErrorKind::Unsupported => ErrorKind::Unsupported,
        _ if error.is_temporary() => ErrorKind::Unreachable,
        _ => ErrorKind::Io,
    };
    let hint = if has("NoSuchBucket") {
        Some(format!("create the bucket {bucket}, or correct its name"))
    } else if has("AuthorizationHeaderMalformed")
        || has("PermanentRedirect")
        || has("IllegalLocationConstraint")
    {
        Some("set the option `region` to the bucket's region".to_string())
    } else if has("SignatureDoesNotMatch") || has("InvalidAccessKeyId") {
        Some("check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_string())
    } else if has("RequestTimeTooSkewed") {
        Some("set the clock of this machine".to_string())
    } else if has("InvalidObjectState") {
        Some("the object is in an archive class: restore it at the service first".to_string())
    } else {
        None
    };
    let error = Error::new(kind, format!("s3: {answer}"));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The answer in one line, no longer than a line.
fn answer_of(error: &opendal::Error) -> String {
    let mut text = error.to_string();
    // The service's own words come last; what opendal puts before them is for its developers.
    if let Some((_, words)) = text.split_once(" => ") {
        text = words.to_string();
    }
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(300) {
        line.truncate(end);
        line.push('…');
    }
    line
}

fn explain_io(error: std::io::Error, bucket: &str) -> Error {
    match error.downcast::<opendal::Error>() {
        Ok(error) => explain(error, bucket),
        Err(error) => Error::from(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::storage::{TargetUrl, open};

    fn options(settings: &[(&str, &str)], environment: &[(&str, &str)]) -> StorageOptions {
        StorageOptions {
            settings: settings
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect(),
            environment: environment.iter().copied().collect(),
            ..StorageOptions::default()
        }
    }

    const KEYS: &[(&str, &str)] = &[
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];

    fn opened(options: &StorageOptions) -> Result<()> {
        open(&TargetUrl::parse("s3://bucket/x")?, options).map(|_| ())
    }

    #[test]
    fn settings_are_checked_before_the_network_is_asked() {
        opened(&options(
            &[("region", "mars-1"), ("storage-class", "glacier")],
            KEYS,
        ))
        .expect("any region");
        for bad in [
            ("regoin", "x"),
            ("path-style", "maybe"),
            ("checksum", "sha1"),
            ("credentials", "home"),
        ] {
            assert_eq!(
                opened(&options(&[bad], KEYS)).expect_err(bad.0).kind(),
                ErrorKind::Usage
            );
        }
    }

    #[test]
    fn missing_credentials_are_told_at_once() {
        let error = opened(&options(&[], &[])).expect_err("no keys");
        assert_eq!(error.kind(), ErrorKind::Denied);
        opened(&options(&[("credentials", "anonymous")], &[])).expect("needs none");
    }

    #[test]
    fn answers_are_one_line_with_a_kind() {
        let make = |kind, message: &str| explain(opendal::Error::new(kind, message), "b");
        let error = make(
            opendal::ErrorKind::ConfigInvalid,
            "S3Error { code: \"NoSuchBucket\",\n x }",
        );
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(!error.to_string().contains('\n'));
        assert!(error.hint().is_some_and(|hint| hint.contains("bucket b")));
        assert_eq!(
            make(opendal::ErrorKind::Unexpected, "XMinioStorageFull").kind(),
            ErrorKind::Full
        );
        assert_eq!(
            make(opendal::ErrorKind::RateLimited, "SlowDown").kind(),
            ErrorKind::RateLimited
        );
        let cut = opendal::Error::new(opendal::ErrorKind::Unexpected, "send http request")
            .set_temporary();
        assert_eq!(explain(cut, "b").kind(), ErrorKind::Unreachable);
    }
}
