//! Buckets of S3 and of everything that speaks its protocol, through opendal.
//!
//! An object appears when its upload is completed, so names are final from the start and no right to delete is
//! needed. The bucket must exist. Credentials come from the environment handed down; opendal looks nowhere itself
//! unless asked.

use super::super::transfer::Transfer;
use super::super::{Location, StorageOptions};
use super::cloud::{CloudStorage, answer_of, kind_of, operator};
use crate::engine::error::{Error, ErrorKind, Result};
use opendal::services::S3;
use std::sync::Arc;

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
///
/// # Errors
/// `Usage` for settings s3 does not have; `Denied` without credentials.
pub(super) fn open(
    bucket: &str,
    prefix: &str,
    location: Location,
    options: &StorageOptions,
    transfer: Arc<Transfer>,
) -> Result<CloudStorage> {
    options.allow_only("s3", SETTINGS)?;
    let build = |class: Option<&str>| {
        let mut service = configure(bucket, prefix, options)?;
        if let Some(class) = class {
            service = service.default_storage_class(class);
        }
        operator(service, |e| explain(e, bucket))
    };
    let class = options
        .setting("storage-class")
        .filter(|class| !class.eq_ignore_ascii_case("standard"));
    let standard = build(None)?;
    let classed = class
        .map(|class| build(Some(&class.to_ascii_uppercase())))
        .transpose()?;
    let bucket = bucket.to_string();
    let explain = Box::new(move |e| explain(e, &bucket));
    let storage = CloudStorage::new(standard, location, transfer, explain);
    Ok(match classed {
        Some(classed) => storage.with_class(classed, options.standard_names),
        None => storage,
    })
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
        _ => kind_of(&error),
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
