//! Logins of OpenStack: the three there are, each giving the address of the account's storage and a token.
//!
//! 1 is Swift's own, by headers; 2 and 3 are Keystone's, by JSON, and give a catalog of services in which the storage is
//! looked up. Variables are those of duplicity, `SWIFT_…` or `PCA_…`. Secrets go nowhere but into the request.

use super::super::web::{Web, header};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use crate::engine::storage::StorageOptions;
use crate::engine::storage::notices::Notices;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// What a login gives.
pub(super) struct Session {
    /// Address of the account, without a slash at its end.
    pub(super) storage: String,
    /// Proves the login, for some hours.
    pub(super) token: HeaderValue,
}

/// How to log in.
#[derive(Debug)]
pub(super) struct Login {
    /// Start of the variables' names.
    prefix: &'static str,
    /// Where it is; versions 2 and 3 with their path.
    url: String,
    /// Name, or for version 3 its id.
    user: User,
    password: Secret,
    kind: Kind,
    /// The login to try where there is no such one, and whom to tell.
    next: Option<(Box<Login>, Notices)>,
}

#[derive(Debug)]
struct User {
    name: String,
    id: Option<String>,
}

#[derive(Debug)]
enum Kind {
    /// Headers.
    One,
    /// Keystone's second version.
    Two { tenant: Named, wanted: Wanted },
    /// Keystone's third version.
    Three {
        user_domain: Named,
        project: Named,
        project_domain: Named,
        wanted: Wanted,
    },
}

/// A thing by its id or by its name.
#[derive(Debug)]
enum Named {
    Id(String),
    Name(String),
}

impl Named {
    fn json(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Name(name) => json!({ "name": name }),
        }
    }
}

/// Which of the storage's addresses is wanted.
#[derive(Debug)]
struct Wanted {
    region: Option<String>,
    /// `public`, `internal` or `admin`.
    interface: String,
}

/// What the variables say.
pub(super) enum Given {
    /// Address and token were got elsewhere.
    Session(Session),
    /// Name and password.
    Login(Box<Login>),
}

impl Given {
    /// Reads variables that begin with `prefix`; without a version `default` counts.
    ///
    /// # Errors
    /// `Denied` without credentials; `Usage` for an unknown version, and without a project where one is needed.
    // COMPAT(dup all): the names, and that a token that is given comes before a login.
    pub(super) fn of(
        prefix: &'static str,
        default: &'static str,
        options: &StorageOptions,
    ) -> Result<Self> {
        let variable = |name: &str| options.environment.get(&format!("{prefix}_{name}"));
        if let (Some(storage), Some(token)) = (variable("PREAUTHURL"), variable("PREAUTHTOKEN")) {
            return Ok(Self::Session(session(storage, token)?));
        }
        let version = variable("AUTHVERSION").unwrap_or(default);
        let mut login = Login::of(prefix, version, options)?;
        // COMPAT(dup all): the version of OVH's archive is 2 by default, and OVH has had only the third for years.
        if prefix == "PCA" && matches!(login.kind, Kind::Two { .. }) {
            let mut next = Login::of(prefix, "3", options)?;
            let (base, version) = next.url.rsplit_once('/').unwrap_or_default();
            if version.starts_with("v2") {
                next.url = format!("{base}/v3");
            }
            login.next = Some((Box::new(next), options.notices.clone()));
        }
        Ok(Self::Login(Box::new(login)))
    }
}

impl Login {
    /// The login of this version that the variables describe.
    fn of(prefix: &'static str, version: &str, options: &StorageOptions) -> Result<Self> {
        let variable = |name: &str| options.environment.get(&format!("{prefix}_{name}"));
        let password = variable("PASSWORD").map(Secret::new);
        let (Some(user), Some(password), Some(url)) = (
            variable("USERNAME"),
            password.or_else(|| options.password.clone()),
            variable("AUTHURL"),
        ) else {
            let text = format!("no credentials for {}", prefix.to_lowercase());
            return Err(Error::new(ErrorKind::Denied, text).with_hint(format!(
                "set {prefix}_USERNAME, {prefix}_PASSWORD and {prefix}_AUTHURL"
            )));
        };
        let mut user = User {
            name: user.to_string(),
            id: None,
        };
        let named = |id: &[&str], name: &[&str]| {
            let first = |names: &[&str]| names.iter().find_map(|name| variable(name));
            let by_id = first(id).map(|id| Named::Id(id.to_string()));
            by_id.or_else(|| first(name).map(|name| Named::Name(name.to_string())))
        };
        // COMPAT(dup all): swiftclient takes `tenant:user` for both.
        let mut with_tenant = || {
            let (tenant, name) = user.name.split_once(':')?;
            let tenant = Named::Name(tenant.to_string());
            user.name = name.to_string();
            Some(tenant)
        };
        let missing = |what: &str| {
            let text = format!(
                "{}: version {version} of the login wants a {what}",
                prefix.to_lowercase()
            );
            Error::new(ErrorKind::Usage, text).with_hint(format!("set {prefix}_TENANTNAME"))
        };
        let interface = variable("ENDPOINT_TYPE").unwrap_or("public");
        let wanted = Wanted {
            region: variable("REGIONNAME").map(str::to_string),
            interface: interface.trim_end_matches("URL").to_string(),
        };
        let kind = match version.trim_start_matches('v') {
            "1" | "1.0" => Kind::One,
            "2" | "2.0" => Kind::Two {
                tenant: named(&["TENANTID"], &["TENANTNAME"])
                    .or_else(&mut with_tenant)
                    .ok_or_else(|| missing("tenant"))?,
                wanted,
            },
            "3" | "3.0" => {
                let project = named(&["PROJECT_ID", "TENANTID"], &["PROJECT_NAME", "TENANTNAME"])
                    .or_else(&mut with_tenant)
                    .ok_or_else(|| missing("project"))?;
                user.id = variable("USERID").map(str::to_string);
                // COMPAT(dup all): who names no domain means the one with the id `default`.
                let domain = |of: &str| {
                    let (id, name) = (format!("{of}_DOMAIN_ID"), format!("{of}_DOMAIN_NAME"));
                    named(&[id.as_str()], &[name.as_str()]).unwrap_or(Named::Id("default".into()))
                };
                Kind::Three {
                    user_domain: domain("USER"),
                    project,
                    project_domain: domain("PROJECT"),
                    wanted,
                }
            }
            _ => {
                let text = format!("{prefix}_AUTHVERSION cannot be {version:?}");
                return Err(Error::new(ErrorKind::Usage, text).with_hint("it can be 1, 2 or 3"));
            }
        };
        let url = match &kind {
            Kind::One => url.to_string(),
            Kind::Two { .. } => versioned(url, "v2.0"),
            Kind::Three { .. } => versioned(url, "v3"),
        };
        Ok(Self {
            prefix,
            url,
            user,
            password,
            kind,
            next: None,
        })
    }
}

/// The address with its version, if it has none.
// COMPAT(dup all): swiftclient does the same.
fn versioned(url: &str, version: &str) -> String {
    let url = url.trim_end_matches('/');
    let last = url.rsplit('/').next().unwrap_or_default();
    let digits = last.strip_prefix('v').unwrap_or_default();
    if digits.starts_with(|c: char| c.is_ascii_digit()) {
        url.to_string()
    } else {
        format!("{url}/{version}")
    }
}

fn session(storage: &str, token: &str) -> Result<Session> {
    let mut token = HeaderValue::from_str(token).map_err(|_| {
        Error::new(
            ErrorKind::Usage,
            "the token holds characters that cannot be sent",
        )
    })?;
    token.set_sensitive(true);
    Ok(Session {
        storage: storage.trim_end_matches('/').to_string(),
        token,
    })
}

impl Login {
    /// Logs in.
    ///
    /// # Errors
    /// `Denied` if it is refused; `Usage` if it is not there, or knows no storage.
    pub(super) async fn session(&self, web: &Web) -> Result<Session> {
        match &self.kind {
            Kind::One => self.by_headers(web).await,
            Kind::Two { tenant, wanted } => {
                let answer = self.by_json(web, "tokens", self.second(tenant)).await;
                if let (Err(error), Some((next, notices))) = (&answer, &self.next)
                    && error.kind() == ErrorKind::Usage
                {
                    let session = Box::pin(next.session(web)).await?;
                    let prefix = self.prefix;
                    notices.tell(format!(
                        "there is no login of version 2 at {}, and that of version 3 was used: set {prefix}_AUTHVERSION to 3",
                        self.url
                    ));
                    return Ok(session);
                }
                let answer = answer?;
                let access = &answer.1["access"];
                let storage = self.of_second(&access["serviceCatalog"], wanted)?;
                session(storage, access["token"]["id"].as_str().unwrap_or_default())
            }
            Kind::Three { wanted, .. } => {
                let (token, answer) = self.by_json(web, "auth/tokens", self.third()).await?;
                let storage = self.of_third(&answer["token"]["catalog"], wanted)?;
                session(storage, &token)
            }
        }
    }

    // Source: "Legacy authentication" of Swift's documentation; its answer has one of two names for the token.
    async fn by_headers(&self, web: &Web) -> Result<Session> {
        let mut key = HeaderValue::from_bytes(self.password.expose()).map_err(|_| {
            Error::new(
                ErrorKind::Usage,
                "the password for swift holds characters that cannot be sent",
            )
        })?;
        key.set_sensitive(true);
        let request = web.request(Method::GET, &self.url);
        let request = request
            .header("X-Auth-User", &self.user.name)
            .header("X-Auth-Key", key);
        let response = web.send(request).await?;
        if !response.status().is_success() {
            return Err(self.refused(web, response.status()));
        }
        let found = |name: &str| header(response.headers(), name);
        let token = found("x-storage-token").or_else(|| found("x-auth-token"));
        match (found("x-storage-url"), token) {
            (Some(storage), Some(token)) => session(storage, token),
            _ => Err(self.no_login()),
        }
    }

    /// Posts `body`; gives back the token of the head, if there is one, and the answer.
    async fn by_json(&self, web: &Web, path: &str, body: Value) -> Result<(String, Value)> {
        let request = web.request(Method::POST, &format!("{}/{path}", self.url));
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        let response = web.send(request).await?;
        if !response.status().is_success() {
            return Err(self.refused(web, response.status()));
        }
        let token = header(response.headers(), "x-subject-token");
        let token = token.unwrap_or_default().to_string();
        let answer = web.json(response).await.map_err(|_| self.no_login())?;
        Ok((token, answer))
    }

    // Source: POST /v2.0/tokens of the Identity API.
    fn second(&self, tenant: &Named) -> Value {
        let mut auth = json!({ "passwordCredentials": {
            "username": self.user.name,
            "password": self.password.expose_str().unwrap_or_default(),
        }});
        match tenant {
            Named::Id(id) => auth["tenantId"] = json!(id),
            Named::Name(name) => auth["tenantName"] = json!(name),
        }
        json!({ "auth": auth })
    }

    // Source: POST /v3/auth/tokens of the Identity API, "password authentication with scoped authorization".
    fn third(&self) -> Value {
        let Kind::Three {
            user_domain,
            project,
            project_domain,
            ..
        } = &self.kind
        else {
            return Value::Null;
        };
        let mut user = match &self.user.id {
            Some(id) => json!({ "id": id }),
            None => json!({ "name": self.user.name, "domain": user_domain.json() }),
        };
        user["password"] = json!(self.password.expose_str().unwrap_or_default());
        let mut scope = project.json();
        if matches!(project, Named::Name(_)) {
            scope["domain"] = project_domain.json();
        }
        json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": user } },
            "scope": { "project": scope },
        }})
    }

    fn of_second<'a>(&self, catalog: &'a Value, wanted: &Wanted) -> Result<&'a str> {
        let key = format!("{}URL", wanted.interface);
        let address = |endpoint: &'a Value| endpoint[key.as_str()].as_str();
        self.in_catalog(catalog, wanted, address)
    }

    fn of_third<'a>(&self, catalog: &'a Value, wanted: &Wanted) -> Result<&'a str> {
        let address = |endpoint: &'a Value| {
            let is_it = endpoint["interface"] == wanted.interface.as_str();
            endpoint["url"].as_str().filter(|_| is_it)
        };
        self.in_catalog(catalog, wanted, address)
    }

    /// The address of the storage in a catalog.
    fn in_catalog<'a>(
        &self,
        catalog: &'a Value,
        wanted: &Wanted,
        address: impl Fn(&'a Value) -> Option<&'a str>,
    ) -> Result<&'a str> {
        let services = catalog.as_array().into_iter().flatten();
        let storages = services.filter(|service| service["type"] == "object-store");
        let endpoints = storages.flat_map(|service| service["endpoints"].as_array());
        let in_region = |endpoint: &&Value| match &wanted.region {
            None => true,
            Some(region) => ["region", "region_id"]
                .iter()
                .any(|key| endpoint[*key] == region.as_str()),
        };
        let mut found = endpoints.flatten().filter(in_region).filter_map(address);
        found.next().ok_or_else(|| {
            let mut text = "the login names no object storage".to_string();
            if let Some(region) = &wanted.region {
                text += &format!(" in the region {region}");
            }
            let hint = format!("check {0}_REGIONNAME and {0}_TENANTNAME", self.prefix);
            Error::new(ErrorKind::Usage, text).with_hint(hint)
        })
    }

    fn refused(&self, web: &Web, status: StatusCode) -> Error {
        let error = web.refused("the login", status);
        let prefix = self.prefix;
        match status.as_u16() {
            401 | 403 => error.with_hint(format!(
                "check {prefix}_USERNAME and {prefix}_PASSWORD, and whose project that is"
            )),
            300..=399 | 404 | 405 => self.no_login(),
            _ => error,
        }
    }

    fn no_login(&self) -> Error {
        let text = format!("{}: there is no such login", self.prefix.to_lowercase());
        Error::new(ErrorKind::Usage, text).with_hint(format!(
            "check {0}_AUTHURL, and {0}_AUTHVERSION: 1, 2 or 3",
            self.prefix
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(variables: &[(&str, &str)]) -> Result<Login> {
        let mut options = StorageOptions::default();
        let usual = [
            ("USERNAME", "ada"),
            ("PASSWORD", "canary"),
            ("AUTHURL", "https://h:5000"),
        ];
        for (name, value) in usual.iter().chain(variables) {
            options.environment.set(format!("SWIFT_{name}"), *value);
        }
        match Given::of("SWIFT", "1", &options)? {
            Given::Login(login) => Ok(*login),
            Given::Session(_) => panic!("a login was given"),
        }
    }

    #[test]
    fn each_version_has_its_address() {
        for (version, url, expected) in [
            ("1", "https://h/auth/v1.0", "https://h/auth/v1.0"),
            ("2", "https://h:5000/", "https://h:5000/v2.0"),
            ("2.0", "https://h/v2.0/", "https://h/v2.0"),
            ("3", "https://h/identity", "https://h/identity/v3"),
            ("v3", "https://h/v3", "https://h/v3"),
        ] {
            let login = given(&[
                ("AUTHVERSION", version),
                ("AUTHURL", url),
                ("TENANTNAME", "t"),
            ]);
            assert_eq!(login.expect(version).url, expected);
        }
        let error = given(&[("AUTHVERSION", "4")]).expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::Usage);
        let error = given(&[("AUTHVERSION", "3")]).expect_err("whose project?");
        assert!(error.hint().is_some_and(|h| h.contains("SWIFT_TENANTNAME")));
    }

    #[test]
    fn the_second_version_asks_for_a_tenant() {
        for (variables, expected) in [
            (
                &[("TENANTNAME", "t")][..],
                json!({"tenantName": "t", "passwordCredentials": {"username": "ada", "password": "canary"}}),
            ),
            (
                &[("TENANTID", "7"), ("TENANTNAME", "t")],
                json!({"tenantId": "7", "passwordCredentials": {"username": "ada", "password": "canary"}}),
            ),
            (
                &[("USERNAME", "t:ada")],
                json!({"tenantName": "t", "passwordCredentials": {"username": "ada", "password": "canary"}}),
            ),
        ] {
            let login = given(&[variables, &[("AUTHVERSION", "2")]].concat()).expect("login");
            let Kind::Two { tenant, .. } = &login.kind else {
                panic!("{login:?}")
            };
            assert_eq!(login.second(tenant)["auth"], expected);
            assert!(!format!("{login:?}").contains("canary"));
        }
    }

    #[test]
    fn ovh_is_asked_for_the_third_version_behind_the_second() {
        for (url, next) in [
            ("https://auth.example/v2.0/", "https://auth.example/v3"),
            ("https://auth.example:5000", "https://auth.example:5000/v3"),
        ] {
            let mut options = StorageOptions::default();
            for (name, value) in [
                ("PCA_USERNAME", "ada"),
                ("PCA_PASSWORD", "canary"),
                ("PCA_TENANTNAME", "t"),
                ("PCA_AUTHURL", url),
            ] {
                options.environment.set(name, value);
            }
            let Given::Login(login) = Given::of("PCA", "2", &options).expect("login") else {
                panic!("a login was given");
            };
            let (third, _) = login.next.as_ref().expect("another one");
            assert_eq!(third.url, next);
            assert!(matches!(third.kind, Kind::Three { .. }), "{third:?}");
            options.environment.set("PCA_AUTHVERSION", "3");
            let Given::Login(login) = Given::of("PCA", "2", &options).expect("login") else {
                panic!("a login was given");
            };
            assert!(login.next.is_none());
        }
    }

    #[test]
    fn the_third_version_knows_domains_and_ids() {
        let asked = |variables: &[(&str, &str)]| {
            let all = [variables, &[("AUTHVERSION", "3")]].concat();
            given(&all).expect("login").third()["auth"].clone()
        };
        let auth = asked(&[
            ("TENANTNAME", "t"),
            ("PROJECT_NAME", "p"),
            ("USER_DOMAIN_NAME", "u"),
        ]);
        assert_eq!(
            auth["scope"],
            json!({"project": {"name": "p", "domain": {"id": "default"}}})
        );
        assert_eq!(
            auth["identity"],
            json!({"methods": ["password"], "password": {"user":
                {"name": "ada", "password": "canary", "domain": {"name": "u"}}}})
        );
        let auth = asked(&[("PROJECT_ID", "9"), ("USERID", "8")]);
        assert_eq!(auth["scope"], json!({"project": {"id": "9"}}));
        assert_eq!(
            auth["identity"]["password"]["user"],
            json!({"id": "8", "password": "canary"})
        );
    }

    #[test]
    fn the_storage_is_looked_up_by_region_and_interface() {
        let two = json!([{"type": "identity", "endpoints": [{"publicURL": "no"}]},
            {"type": "object-store", "endpoints": [
                {"region": "A", "publicURL": "pa", "internalURL": "ia"},
                {"region": "B", "publicURL": "pb", "internalURL": "ib"}]}]);
        let three = json!([{"type": "object-store", "endpoints": [
            {"interface": "internal", "region": "A", "url": "ia"},
            {"interface": "public", "region_id": "A", "url": "pa"},
            {"interface": "public", "region": "B", "url": "pb"},
            {"interface": "internal", "region": "B", "url": "ib"}]}]);
        for (variables, expected) in [
            (&[][..], Ok("pa")),
            (&[("REGIONNAME", "B")], Ok("pb")),
            (&[("ENDPOINT_TYPE", "internalURL")], Ok("ia")),
            (
                &[("ENDPOINT_TYPE", "internal"), ("REGIONNAME", "B")],
                Ok("ib"),
            ),
            (&[("REGIONNAME", "C")], Err(ErrorKind::Usage)),
        ] {
            for version in ["2", "3"] {
                let more = [("AUTHVERSION", version), ("TENANTNAME", "t")];
                let login = given(&[variables, &more].concat()).expect("login");
                let found = match &login.kind {
                    Kind::Two { wanted, .. } => login.of_second(&two, wanted),
                    Kind::Three { wanted, .. } => login.of_third(&three, wanted),
                    Kind::One => panic!("not asked for"),
                };
                assert_eq!(found.map_err(|e| e.kind()), expected, "{variables:?}");
            }
        }
    }

    #[test]
    fn credentials_are_asked_for_before_the_network_is() {
        let options = StorageOptions::default();
        let error = Given::of("PCA", "2", &options).err().expect("nothing");
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.hint().is_some_and(|h| h.contains("PCA_AUTHURL")));
        let options = StorageOptions {
            environment: [
                ("SWIFT_PREAUTHURL", "http://h/"),
                ("SWIFT_PREAUTHTOKEN", "canary"),
            ]
            .into_iter()
            .collect(),
            ..options
        };
        let Ok(Given::Session(session)) = Given::of("SWIFT", "1", &options) else {
            panic!("a session was given")
        };
        assert_eq!(session.storage, "http://h");
        assert!(!format!("{:?}", session.token).contains("canary"));
    }
}
