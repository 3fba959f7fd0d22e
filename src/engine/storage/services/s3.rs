//! Buckets of S3 and of everything that speaks its protocol, Google's and Backblaze's storage too, through opendal.
//!
//! An object appears when its upload is completed, so names are final from the start and no right to delete is
//! needed. The bucket must exist. Credentials come from the environment handed down; opendal looks nowhere itself
//! unless asked.

mod archive;
mod keys;
mod region;

pub(super) use archive::Archive;
pub(super) use region::Regional;

use super::super::settings;
use super::super::transfer::Transfer;
use super::super::url::Server;
use super::super::{Location, StorageOptions};
use super::cloud::{CloudStorage, Cold, answer_of, kind_of, operator};
use super::http;
use super::signed::Further;
use super::sums::{self, Compared, DIFFERS};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use ::http::Method;
use opendal::HttpTransporter;
use opendal::services::S3;
use region::{Listening, Told};
use reqsign_aws_v4::{RequestSigner, StaticCredentialProvider};
use std::sync::Arc;

/// Where objects lie, and what is particular about the service.
pub(super) struct Place<'a> {
    bucket: &'a str,
    prefix: &'a str,
    service: &'static str,
    /// A server that came with the URL.
    server: Option<String>,
    /// Used unless an option names another.
    endpoint: Option<&'static str>,
    /// Variables with an endpoint, the most important first.
    endpoints: &'static [&'static str],
    /// Variables with the id of a key and with the key itself.
    credentials: [&'static str; 2],
    /// A key that came with the URL.
    key: (Option<&'a str>, Option<Secret>),
    /// Sends requests, and proves by itself who asks.
    proves: Option<HttpTransporter>,
}

impl<'a> Place<'a> {
    /// A bucket of Amazon, or of the server an option names.
    pub(super) fn amazon(bucket: &'a str, prefix: &'a str) -> Self {
        Self {
            bucket,
            prefix,
            service: "s3",
            server: None,
            endpoint: None,
            endpoints: &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"],
            credentials: ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
            key: (None, None),
            proves: None,
        }
    }

    /// The same with a transport that proves who asks: nothing is signed.
    pub(super) fn with_token(self, proves: HttpTransporter) -> Self {
        Self {
            proves: Some(proves),
            ..self
        }
    }

    /// A bucket of Google Cloud Storage, with a key for interoperability.
    // Source: "Interoperability with other storage providers" of the service's documentation.
    pub(super) fn google(bucket: &'a str, prefix: &'a str) -> Self {
        Self {
            service: "gs",
            endpoint: Some("https://storage.googleapis.com"),
            endpoints: &[],
            credentials: ["GS_ACCESS_KEY_ID", "GS_SECRET_ACCESS_KEY"],
            ..Self::amazon(bucket, prefix)
        }
    }

    /// A bucket of Backblaze B2, with an application key.
    pub(super) fn backblaze(
        bucket: &'a str,
        prefix: &'a str,
        key_id: Option<&'a str>,
        key: Option<Secret>,
    ) -> Self {
        Self {
            service: "b2",
            endpoints: &["B2_S3_ENDPOINT"],
            credentials: ["B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY"],
            key: (key_id, key),
            ..Self::amazon(bucket, prefix)
        }
    }

    /// The same at a server that the URL names.
    pub(super) fn at(self, server: Option<&Server>) -> Self {
        let address = |server: &Server| {
            let port = server.port.map(|port| format!(":{port}"));
            format!(
                "https://{}{}",
                server.host_of_url(),
                port.unwrap_or_default()
            )
        };
        Self {
            server: server.map(address),
            ..self
        }
    }

    /// The server, unless it is Amazon's, or only Backblaze knows it.
    pub(super) fn endpoint<'b>(&'b self, options: &'b StorageOptions) -> Option<&'b str> {
        let mut variables = self.endpoints.iter();
        options
            .setting("endpoint")
            .or(self.server.as_deref())
            .or_else(|| variables.find_map(|name| options.environment.get(name)))
            .or(self.endpoint)
    }

    /// Id and key, as far as the URL and the variables tell.
    pub(super) fn keys<'b>(
        &'b self,
        options: &'b StorageOptions,
    ) -> Result<(Option<&'b str>, Option<&'b str>)> {
        let [id, key] = self.credentials.map(|name| options.environment.get(name));
        let own = self.key.1.as_ref().map(Secret::expose);
        let own = own.map(std::str::from_utf8).transpose().map_err(|_| {
            let text = format!("the key for {} is not UTF-8", self.service);
            Error::new(ErrorKind::Usage, text)
        })?;
        Ok((self.key.0.or(id), own.or(key)))
    }

    /// The region that goes into signatures.
    fn region<'b>(&'b self, options: &'b StorageOptions, endpoint: Option<&'b str>) -> &'b str {
        let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
        let variable = || variables.iter().find_map(|n| options.environment.get(n));
        let by_itself = || match self.service {
            "s3" => endpoint.and_then(of_amazon).or_else(variable),
            // The second label of `s3.eu-central-003.backblazeb2.com`.
            "b2" => endpoint.and_then(|url| url.split('.').nth(1)),
            _ => Some("auto"),
        };
        let region = options.setting("region").or_else(by_itself);
        region.unwrap_or("us-east-1")
    }
}

/// The region in the name of a server of Amazon's: `s3.eu-central-1.amazonaws.com`, `s3-eu-west-1.amazonaws.com`.
fn of_amazon(endpoint: &str) -> Option<&str> {
    let host = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, host)| host);
    let host = host.trim_end_matches('/').trim_end_matches(".cn");
    let name = host.strip_suffix(".amazonaws.com")?.strip_prefix("s3")?;
    let region = name.rsplit('.').next()?.trim_start_matches('-');
    // `s3-external-1` is another name of the first region.
    (region.matches('-').count() > 1).then_some(region)
}

/// Objects of one bucket below one prefix.
///
/// # Errors
/// `Usage` for settings the service does not have; `Denied` without credentials.
pub(super) fn open(
    place: &Place<'_>,
    location: Location,
    options: &StorageOptions,
    transfer: Arc<Transfer>,
) -> Result<CloudStorage> {
    open_listening(place, None, location, options, transfer)
}

/// The same, and whoever wants to know is told the region that a server names.
fn open_listening(
    place: &Place<'_>,
    told: Option<Told>,
    location: Location,
    options: &StorageOptions,
    transfer: Arc<Transfer>,
) -> Result<CloudStorage> {
    options.allow_only(place.service, settings::S3)?;
    let (service, credentials) = (place.service, place.credentials);
    let explain = {
        let bucket = place.bucket.to_string();
        move |error| explain(error, service, &bucket, credentials)
    };
    let transport = match (&place.proves, options.setting("kms-grant")) {
        (Some(proves), _) => Some(proves.clone()),
        (None, Some(grant)) => Some(with_grant(grant, place, options)?),
        (None, None) => http::transport(options)?,
    };
    // One that is none on purpose, and buckets of the kind whose tags are no hashes.
    let has_sums = options.setting("checksum") != Some("none") && !place.bucket.ends_with("--x-s3");
    let transport = match has_sums {
        true => {
            let inner = transport.unwrap_or_default();
            Some(HttpTransporter::new(Compared::new(inner, sums::Told::Etag)))
        }
        false => transport,
    };
    let transport = match told {
        Some(told) => {
            let inner = transport.unwrap_or_default();
            Some(HttpTransporter::new(Listening::new(inner, told)))
        }
        None => transport,
    };
    let build = |class: Option<&str>| {
        let mut service = configure(place, options)?;
        if let Some(class) = class {
            service = service.default_storage_class(class);
        }
        operator(service, transport.clone(), &transfer, &explain)
    };
    let class = options
        .setting("storage-class")
        .filter(|class| !class.eq_ignore_ascii_case("standard"));
    let standard = build(None)?;
    let classed = class
        .map(|class| build(Some(&class.to_ascii_uppercase())))
        .transpose()?;
    let storage = CloudStorage::new(standard, location, Arc::clone(&transfer), Box::new(explain));
    let mut storage = storage.with_parts(options)?;
    if place.service == "s3" {
        let path_style = path_style(place, options)?;
        let archive = Archive::new(place, options, path_style, transfer)?;
        storage = storage.with_archive(Cold::S3(archive));
    }
    Ok(match classed {
        Some(classed) => storage.with_class(classed, options.standard_names),
        None => storage,
    })
}

/// Gives whoever `grant` names full control of each object that is made.
// Source: x-amz-grant-full-control of PutObject and CreateMultipartUpload.
fn with_grant(grant: &str, place: &Place<'_>, options: &StorageOptions) -> Result<HttpTransporter> {
    let (Some(id), Some(key)) = place.keys(options)? else {
        let text = "the option `kms-grant` needs keys that are in variables";
        return Err(Error::new(ErrorKind::Usage, text));
    };
    let keys = StaticCredentialProvider::new(id, key);
    let keys = match options.environment.get("AWS_SESSION_TOKEN") {
        Some(token) if place.service == "s3" => keys.with_session_token(token),
        _ => keys,
    };
    let region = place.region(options, place.endpoint(options));
    let makes_object = |method: &Method, query: &str| match *method {
        Method::PUT => !query.contains("partNumber="),
        Method::POST => query.starts_with("uploads"),
        _ => false,
    };
    let signature = RequestSigner::new("s3", region);
    let transport = Further::new(options, keys, signature, makes_object)?;
    Ok(HttpTransporter::new(
        transport.with("x-amz-grant-full-control", grant)?,
    ))
}

/// Whether the bucket stands in the path of addresses, not in the name of the host.
fn path_style(place: &Place<'_>, options: &StorageOptions) -> Result<bool> {
    match options.setting("path-style") {
        // Stores of one's own seldom have a host name per bucket; a dot in a bucket's name breaks its certificate.
        None => Ok(place.endpoint(options).is_some() || place.bucket.contains('.')),
        Some("true" | "yes") => Ok(true),
        Some("false" | "no") => Ok(false),
        Some(other) => {
            let known = "true or false";
            Err(bad_setting(place.service, "path-style", other, known))
        }
    }
}

/// The service as the options want it, without storage class.
fn configure(place: &Place<'_>, options: &StorageOptions) -> Result<S3> {
    let (bucket, prefix) = (place.bucket, place.prefix);
    let environment = &options.environment;
    let endpoint = place.endpoint(options);
    let mut service = S3::default()
        .bucket(bucket)
        .root(&format!("/{prefix}"))
        .region(place.region(options, endpoint));
    if let Some(endpoint) = endpoint {
        service = service.endpoint(endpoint);
    }
    if !path_style(place, options)? {
        service = service.enable_virtual_host_style();
    }
    match options.setting("checksum") {
        None | Some("none") => {}
        Some(algorithm @ ("crc32c" | "md5")) => service = service.checksum_algorithm(algorithm),
        Some(other) => {
            return Err(bad_setting(
                place.service,
                "checksum",
                other,
                "none, crc32c or md5",
            ));
        }
    }
    service = match (options.setting("encryption"), options.setting("kms-key")) {
        (None | Some("none"), None) => service,
        (Some("s3"), None) => service.server_side_encryption_with_s3_key(),
        (None | Some("kms"), Some(key)) => {
            service.server_side_encryption_with_customer_managed_kms_key(key)
        }
        (Some("kms"), None) => service.server_side_encryption_with_aws_managed_kms_key(),
        (Some(other), _) => {
            return Err(bad_setting(
                place.service,
                "encryption",
                other,
                "none, s3 or kms",
            ));
        }
    };
    if place.proves.is_some() {
        return Ok(unsigned(service));
    }
    let source = options.setting("credentials").unwrap_or("environment");
    match source {
        "anonymous" => {
            return Ok(unsigned(service));
        }
        "instance" => {}
        "chain" => service = service.disable_ec2_metadata(),
        "environment" => service = service.disable_config_load().disable_ec2_metadata(),
        other => {
            return Err(bad_setting(
                place.service,
                "credentials",
                other,
                "environment, chain, instance or anonymous",
            ));
        }
    }
    match place.keys(options)? {
        (Some(id), Some(secret)) => {
            service = service.access_key_id(id).secret_access_key(secret);
            if let Some(token) = environment.get("AWS_SESSION_TOKEN")
                && place.service == "s3"
            {
                service = service.session_token(token);
            }
        }
        _ if source == "environment" => {
            let text = format!("no credentials for {}", place.service);
            let [id_name, key_name] = place.credentials;
            let mut hint = format!("set {id_name} and {key_name}");
            hint += match place.service {
                "s3" => ", or the option `credentials = \"chain\"` to use ~/.aws",
                "gs" => ", or GOOGLE_APPLICATION_CREDENTIALS to the key of a service account",
                _ => "",
            };
            return Err(Error::new(ErrorKind::Denied, text).with_hint(hint));
        }
        _ => {}
    }
    Ok(service)
}

/// The service for requests that nobody signs here.
fn unsigned(service: S3) -> S3 {
    let service = service.skip_signature();
    service.disable_config_load().disable_ec2_metadata()
}

fn bad_setting(service: &str, name: &str, value: &str, known: &str) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("the {service} option `{name}` cannot be {value:?}"),
    )
    .with_hint(format!("it can be {known}"))
}

/// Says in one line what the service answered, with a kind and, where it helps, a way out.
fn explain(
    error: opendal::Error,
    service: &str,
    bucket: &str,
    [id_name, key_name]: [&str; 2],
) -> Error {
    let cause = std::error::Error::source(&error);
    if let Some(own) = cause.and_then(|cause| cause.downcast_ref::<Error>()) {
        let text = own.to_string();
        return match own.hint() {
            Some(hint) => Error::new(own.kind(), text).with_hint(hint),
            None => Error::new(own.kind(), text),
        };
    }
    let answer = answer_of(&error);
    let has = |word: &str| answer.contains(word);
    let kind = match error.kind() {
        _ if has("NoSuchBucket") => ErrorKind::NotFound,
        _ if has("QuotaExceeded") || has("StorageFull") || has("InsufficientStorage") => {
            ErrorKind::Full
        }
        // What Google says to a token it does not know, and to nobody.
        _ if has("AuthenticationRequired") => ErrorKind::Denied,
        // Two who put the same name, each only if it is absent.
        _ if has("ConditionalRequestConflict") => ErrorKind::Locked,
        _ if has("NotImplemented") || has("InvalidArgument") || has("InvalidRequest") => {
            ErrorKind::Unsupported
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
        Some(format!("check {id_name} and {key_name}"))
    } else if has(DIFFERS) {
        let hint = "if the tags of this store are no hashes, set the option `checksum` to none";
        Some(hint.to_string())
    } else if service == "gs" && kind == ErrorKind::Denied {
        Some("may this account list, read and write the objects of the bucket?".to_string())
    } else if has("RequestTimeTooSkewed") {
        Some("set the clock of this machine".to_string())
    } else if has("InvalidObjectState") {
        Some(
            "the object is in an archive class: `dupr thaw PROFILE` orders what a restore needs"
                .to_string(),
        )
    } else {
        None
    };
    let error = Error::new(kind, format!("{service}: {answer}"));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::storage::{Place, TargetUrl, open};

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
    fn servers_of_amazon_name_their_region() {
        for (endpoint, region) in [
            (
                "https://s3.eu-central-1.amazonaws.com",
                Some("eu-central-1"),
            ),
            ("http://s3-eu-west-1.amazonaws.com/", Some("eu-west-1")),
            (
                "https://s3.dualstack.us-gov-west-1.amazonaws.com",
                Some("us-gov-west-1"),
            ),
            ("https://s3.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("https://s3.amazonaws.com", None),
            ("https://s3-external-1.amazonaws.com", None),
            ("https://s3.eu-central-1.example.com", None),
        ] {
            assert_eq!(of_amazon(endpoint), region, "{endpoint}");
        }
        let url = TargetUrl::parse("s3://s3-eu-west-1.amazonaws.com/b/p").expect("URL");
        let Place::S3 { server, .. } = url.place() else {
            panic!("{url:?}");
        };
        let options = options(&[], &[("AWS_REGION", "us-east-2")]);
        let place = super::Place::amazon("b", "p/").at(server.as_ref());
        let endpoint = place.endpoint(&options);
        assert_eq!(endpoint, Some("https://s3-eu-west-1.amazonaws.com"));
        assert_eq!(place.region(&options, endpoint), "eu-west-1");
    }

    #[test]
    fn google_and_backblaze_have_their_own_keys_and_servers() {
        let at = |url: &str, options: &StorageOptions| {
            open(&TargetUrl::parse(url).expect("URL"), options).map(|_| ())
        };
        let error = at("gs://bucket", &options(&[], KEYS)).expect_err("no keys of Google's");
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.hint().is_some_and(|h| h.contains("GS_ACCESS_KEY_ID")));
        let keys = &[("GS_ACCESS_KEY_ID", "i"), ("GS_SECRET_ACCESS_KEY", "s")];
        at("gs://bucket/x", &options(&[], keys)).expect("opens");

        at("b2://id:key@bucket", &options(&[], &[])).expect("asks for the server later");
        let error = at("b2://id:key@bucket", &options(&[("regoin", "x")], &[])).expect_err("wrong");
        assert_eq!(error.kind(), ErrorKind::Usage);
        let anonymous = [("credentials", "anonymous")];
        let error = at("b2://bucket", &options(&anonymous, &[])).expect_err("whom to ask?");
        assert_eq!(error.kind(), ErrorKind::Usage);
        let server = "https://s3.eu-central-003.backblazeb2.com";
        at("b2://id:key@bucket", &options(&[("endpoint", server)], &[])).expect("opens");
        let of_server = &options(&[("endpoint", server)], &[]);
        let place = super::Place::backblaze("b", "", None, None);
        let endpoint = place.endpoint(of_server);
        assert_eq!(place.region(of_server, endpoint), "eu-central-003");
        let error = at("b2://bucket", of_server).expect_err("no key");
        assert!(
            error
                .hint()
                .is_some_and(|h| h.contains("B2_APPLICATION_KEY"))
        );
    }

    fn explained(error: opendal::Error) -> Error {
        explain(error, "s3", "b", ["ID", "KEY"])
    }

    #[test]
    fn answers_are_one_line_with_a_kind() {
        let make = |kind, message: &str| explained(opendal::Error::new(kind, message));
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
        assert_eq!(explained(cut).kind(), ErrorKind::Unreachable);
    }
}
