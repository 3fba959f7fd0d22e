//! Real servers on loopback, in temp dirs, stopped when dropped.
//!
//! A missing program is a failed test with a hint, never a skipped one.

mod apache;
mod clouds;
mod databases;
mod drives;
mod files;
mod mailboxes;
mod network;
mod openstack;
mod socks;
mod sshd;
mod tools;

pub use apache::Apache;
pub use clouds::{Backblaze, Dropbox, Keystone, Region};
pub use databases::{Database, PASSWORD as DATABASE_PASSWORD};
pub use drives::{BoxAccount, GoogleDrive, GoogleStorage, OneDrive};
pub use files::{Dav, Rclone, Rsyncd};
pub use mailboxes::Dovecot;
pub use network::{Azurite, Ftpd, Tls};
pub use openstack::{Identity, Swift};
pub use socks::Socks;
pub use sshd::{Agent, Sshd};
pub use tools::{Share, StandIns, Tahoe};

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A child process that ends with its owner.
pub struct Process(Child);

impl Process {
    /// Starts a program; its output goes to the file `log`.
    pub fn start(command: &mut Command, log: &Path, install: &str) -> Self {
        let log = File::create(log).expect("log file");
        let errors = log.try_clone().expect("log file");
        let name = command.get_program().to_string_lossy().into_owned();
        match command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
        {
            Ok(child) => Self(child),
            Err(error) => panic!("cannot start {name}: {error}; {install}"),
        }
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that no other server of these tests gets, now or later, and that the system gives to nobody by itself: between this look and the
/// start of the server somebody else's could answer in its place.
fn free_port() -> u16 {
    const PORTS: std::ops::Range<u32> = 12_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Another run of the tests beside this one begins elsewhere.
    let first = std::process::id().wrapping_mul(997);
    loop {
        let next = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + next % (PORTS.end - PORTS.start);
        let port = u16::try_from(port).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Ports in a row, all as [`free_port`] gives them.
fn free_ports(count: u16) -> Vec<u16> {
    loop {
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        if ports.windows(2).all(|two| two[1] == two[0] + 1) {
            return ports;
        }
    }
}

/// Starts a server on a free port; tries another if somebody else was faster.
fn serve(log: &Path, install: &str, command: impl Fn(u16) -> Command) -> (Process, u16) {
    serve_at("127.0.0.1", log, install, command)
}

/// The same on this address.
fn serve_at(
    host: &str,
    log: &Path,
    install: &str,
    command: impl Fn(u16) -> Command,
) -> (Process, u16) {
    for _ in 0..5 {
        let port = free_port();
        let mut process = Process::start(&mut command(port), log, install);
        let start = Instant::now();
        loop {
            if TcpStream::connect((host, port)).is_ok() {
                return (process, port);
            }
            if process.0.try_wait().expect("child").is_some() {
                break;
            }
            assert!(
                start.elapsed() < Duration::from_secs(180),
                "no server on port {port}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
    panic!(
        "the server does not start: {}",
        fs::read_to_string(log).unwrap_or_default()
    );
}

/// A server of the S3 protocol with one bucket, `bucket`.
pub struct S3 {
    _process: Process,
    dir: TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Key id it accepts.
    pub key_id: String,
    /// Secret it accepts.
    pub secret: String,
}

/// Makes the bucket and one user who may do anything in it, and give roles; prints his keys. Four calls, as below.
const MOTO_SETUP: &str = r#"
import sys, json, boto3
at = dict(endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
boto3.client("s3", **at).create_bucket(Bucket="bucket")
iam = boto3.client("iam", **at)
iam.create_user(UserName="u")
allow = {"Effect": "Allow", "Action": ["s3:*", "iam:*", "sts:*"], "Resource": "*"}
policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=policy)
key = iam.create_access_key(UserName="u")["AccessKey"]
print(key["AccessKeyId"], key["SecretAccessKey"])
"#;

/// Prints the grants of each object below a prefix, a line each.
const MOTO_GRANTS: &str = r#"
import sys, boto3
end, id, key, prefix = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=end, region_name="us-east-1", aws_access_key_id=id, aws_secret_access_key=key)
for found in s3.list_objects_v2(Bucket="bucket", Prefix=prefix)["Contents"]:
    for grant in s3.get_object_acl(Bucket="bucket", Key=found["Key"])["Grants"]:
        print(found["Key"], grant["Permission"], grant["Grantee"].get("ID"))
"#;

/// Prints class, encryption and key of each object below a prefix, a line each, the name last.
const MOTO_HEADS: &str = r#"
import sys, boto3
end, id, key, prefix = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=end, region_name="us-east-1", aws_access_key_id=id, aws_secret_access_key=key)
for found in s3.list_objects_v2(Bucket="bucket", Prefix=prefix)["Contents"]:
    head = s3.head_object(Bucket="bucket", Key=found["Key"])
    words = [head.get("StorageClass", "STANDARD"), head.get("ServerSideEncryption", "-"), head.get("SSEKMSKeyId", "-")]
    print(*words, found["Key"])
"#;

/// Prints keys that hold for a while, with their token.
const MOTO_SESSION: &str = r#"
import sys, json, boto3
end, id, key = sys.argv[1:]
at = dict(endpoint_url=end, region_name="us-east-1", aws_access_key_id=id, aws_secret_access_key=key)
iam = boto3.client("iam", **at)
allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))["Role"]
iam.put_role_policy(RoleName="r", PolicyName="all", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
held = boto3.client("sts", **at).assume_role(RoleArn=role["Arn"], RoleSessionName="session")["Credentials"]
print(held["AccessKeyId"], held["SecretAccessKey"], held["SessionToken"])
"#;

/// Makes a bucket `locked` whose objects stay for 30 days, and from which nobody may remove one.
const MOTO_LOCK: &str = r#"
import sys, json, boto3
end, id, key = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=end, region_name="us-east-1", aws_access_key_id=id, aws_secret_access_key=key)
s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
keep = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
s3.put_object_lock_configuration(Bucket="locked", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": keep})
deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::locked/*"}
s3.put_bucket_policy(Bucket="locked", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
"#;

/// Counts uploads in parts that nobody has ended.
const MOTO_UPLOADS: &str = r#"
import sys, boto3
end, id, key = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=end, region_name="us-east-1", aws_access_key_id=id, aws_secret_access_key=key)
print(len(s3.list_multipart_uploads(Bucket="bucket").get("Uploads", [])))
"#;

/// What is left of the first content of an object of `locked`, after an attempt to remove it.
const MOTO_FIRST: &str = r#"
import sys, boto3, botocore
end, id, key, name = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=end, region_name="us-east-1", aws_access_key_id=id, aws_secret_access_key=key)
versions = [v for v in s3.list_object_versions(Bucket="locked", Prefix=name)["Versions"] if v["Key"] == name]
first = versions[-1]["VersionId"] # the newest comes first
try:
    s3.delete_object(Bucket="locked", Key=name, VersionId=first)
    sys.exit("it could be removed")
except botocore.exceptions.ClientError:
    pass
print(len(versions), s3.get_object(Bucket="locked", Key=name, VersionId=first)["ContentLength"])
"#;

/// Starts moto. Its check takes path and query as they were sent; S3 itself decodes them and encodes them anew
/// before it looks at the signature. And whether a name is taken it asks first and puts then: one after the other here. For a
/// locked bucket S3 takes the checksum itself, without the name of its kind.
const MOTO: &str = r#"
import sys, threading, urllib.parse as url
from moto.iam.access_control import S3IAMRequest
from moto.s3.responses import S3Response
from moto.server import main
from werkzeug.datastructures import Headers
plain = S3IAMRequest._create_aws_request
def decoded(self):
    request = plain(self)
    parts = url.urlsplit(request.url)
    pairs = url.parse_qsl(parts.query, keep_blank_values=True)
    query = url.urlencode(pairs, quote_via=url.quote, safe="-_.~")
    path = url.quote(url.unquote(parts.path), safe="/-_.~")
    request.url = url.urlunsplit(parts._replace(path=path, query=query))
    return request
S3IAMRequest._create_aws_request = decoded
turn, put = threading.Lock(), S3Response.put_object
def alone(self):
    with turn:
        return put(self)
S3Response.put_object = alone
answer = S3Response._key_response_put
def told(self, *words, **named):
    sum = self.headers.get("x-amz-checksum-crc32c")
    if sum and not self.headers.get("x-amz-sdk-checksum-algorithm"):
        self.headers = Headers([*self.headers.items(), ("x-amz-sdk-checksum-algorithm", "CRC32C")])
    return answer(self, *words, **named)
S3Response._key_response_put = told
main(sys.argv[1:])
"#;

/// A program of a test environment: below the folder `variable` names, else where `tests/setup` puts it, else where
/// the commands in the error texts put it.
fn installed(variable: &str, folders: [&str; 2], program: &str) -> PathBuf {
    let cache = match (
        std::env::var_os("DUPR_TEST_CACHE"),
        std::env::var_os("HOME"),
    ) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, home) => Path::new(&home.expect("HOME is set")).join(".cache/dupr-test"),
    };
    let mut places: Vec<PathBuf> = std::env::var_os(variable)
        .map(PathBuf::from)
        .into_iter()
        .collect();
    places.extend(folders.map(|folder| cache.join(folder)));
    let programs: Vec<PathBuf> = places
        .into_iter()
        .map(|place| place.join(program))
        .collect();
    let found = programs.iter().find(|program| program.exists());
    found.unwrap_or(&programs[programs.len() - 1]).clone()
}

impl S3 {
    /// moto: a broad imitation of S3 that verifies every signature with Amazon's own code.
    pub fn moto() -> Self {
        let python = installed("DUPR_TEST_VENV", ["services", "venv"], "bin/python");
        let dir = TempDir::new().expect("temp dir");
        let install = "python3 -m venv ~/.cache/dupr-test/venv && \
                       ~/.cache/dupr-test/venv/bin/pip install 'moto[server,s3]'";
        let (process, port) = serve(&dir.path().join("log"), install, |port| {
            let mut command = Command::new(&python);
            command.args(["-c", MOTO, "-H", "127.0.0.1", "-p", &port.to_string()]);
            // Calls that are believed before signatures count: those of the setup.
            command.env("INITIAL_NO_AUTH_ACTION_COUNT", "4");
            command
        });
        let setup = Command::new(&python)
            .args(["-c", MOTO_SETUP, &format!("http://127.0.0.1:{port}")])
            .output()
            .expect("python of the venv");
        let keys = String::from_utf8_lossy(&setup.stdout).into_owned();
        let Some((key_id, secret)) = keys.trim().split_once(' ') else {
            panic!(
                "moto cannot be set up: {}",
                String::from_utf8_lossy(&setup.stderr)
            );
        };
        Self {
            _process: process,
            dir,
            port,
            key_id: key_id.into(),
            secret: secret.into(),
        }
    }

    /// s3rver: a small store on disk, by other hands. It only parses signatures of version 4.
    pub fn s3rver() -> Self {
        let program = installed(
            "DUPR_TEST_NPM",
            ["s3rver", "npm"],
            "node_modules/.bin/s3rver",
        );
        let dir = TempDir::new().expect("temp dir");
        let install = "npm install --prefix ~/.cache/dupr-test/npm s3rver";
        let (process, port) = serve(&dir.path().join("log"), install, |port| {
            let mut command = Command::new(&program);
            command.arg("-d").arg(dir.path().join("data"));
            command.args([
                "-a",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "--configure-bucket",
                "bucket",
            ]);
            command
        });
        Self {
            _process: process,
            dir,
            port,
            key_id: "S3RVER".into(),
            secret: "S3RVER".into(),
        }
    }

    /// Who has which right to the objects below a prefix, as moto tells its owner.
    pub fn grants(&self, prefix: &str) -> String {
        self.python(MOTO_GRANTS, &[prefix])
    }

    /// Class, encryption and key of each object below a prefix of the bucket, and its name.
    pub fn heads(&self, prefix: &str) -> Vec<[String; 4]> {
        let told = self.python(MOTO_HEADS, &[prefix]);
        let row = |line: &str| {
            let mut words = line.splitn(4, ' ').map(str::to_string);
            std::array::from_fn(|_| words.next().unwrap_or_default())
        };
        told.lines().map(row).collect()
    }

    /// Keys that hold for a while: id, secret and token.
    pub fn session(&self) -> [String; 3] {
        let told = self.python(MOTO_SESSION, &[]);
        let mut words = told.trim().split(' ').map(str::to_string);
        std::array::from_fn(|_| words.next().expect("three words"))
    }

    /// Makes the bucket `locked`, from which nothing can be removed.
    pub fn lock(&self) {
        self.python(MOTO_LOCK, &[]);
    }

    /// How many uploads in parts nobody has ended.
    pub fn open_uploads(&self) -> usize {
        let said = self.python(MOTO_UPLOADS, &[]);
        said.trim().parse().expect("a number")
    }

    /// How many contents an object of that bucket has had, and the length of the first, which cannot be removed.
    pub fn first_of(&self, name: &str) -> (usize, u64) {
        let said = self.python(MOTO_FIRST, &[name]);
        let (count, length) = said.trim().split_once(' ').expect("two numbers");
        (
            count.parse().expect("a number"),
            length.parse().expect("a number"),
        )
    }

    fn python(&self, script: &str, words: &[&str]) -> String {
        let python = installed("DUPR_TEST_VENV", ["services", "venv"], "bin/python");
        let told = Command::new(python)
            .args(["-c", script, &self.endpoint(), &self.key_id, &self.secret])
            .args(words)
            .output()
            .expect("python of the venv");
        assert!(told.status.success(), "{told:?}");
        String::from_utf8_lossy(&told.stdout).into_owned()
    }

    /// What it logged: a line for each request.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// For the option `endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
