"""A strict imitation of Google Cloud Storage's XML interface, in memory, written from its public description, for whoever shows a token.

argv: port, uses of an access token, entries of a listing's page, public key, file for a log.
The service account is `robot@project.iam.gserviceaccount.com`; a user's refresh token is `1//refresh`, of the client
`id.apps.googleusercontent.com` with the secret `secret`. The bucket is `bucket`. Words of Amazon, signatures, and headers that the
description does not have are refused with 400; so are conditions of uploads in parts.
"""
import sys

sys.dont_write_bytecode = True
import base64
import hashlib
import re
import time
from email.utils import formatdate
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from imitation import Deaf, Faults, Handler, Refused, Tokens, field, lock, serve, signed

port, uses, rows = map(int, sys.argv[1:4])
public_key = sys.argv[4]
BASE = "http://127.0.0.1:%d" % port
EMAIL = "robot@project.iam.gserviceaccount.com"
# Seconds the clock of the service is ahead.
AHEAD = 900
CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")
LEAST_PART = 5 << 20
USUAL = {"host", "authorization", "accept", "accept-encoding", "user-agent", "content-length", "content-type", "content-md5", "range",
         "connection", "transfer-encoding"}
tokens, faults = Tokens(uses), Faults()
objects, uploads, pages = {}, {}, {}


def xml(status, text, **headers):
    body = ("<?xml version='1.0' encoding='UTF-8'?>" + text).encode()
    return status, body, {"Content_Type": "application/xml; charset=UTF-8", **headers}


def refused(status, code, message="no", **headers):
    body = xml(status, "<Error><Code>%s</Code><Message>%s</Message></Error>" % (code, escape(message)))
    return Refused(status, body[1], Content_Type="application/xml; charset=UTF-8", **headers)


class Kept:
    def __init__(self, body, tier, is_whole):
        self.body, self.tier = body, tier
        self.at = formatdate(time.time() + AHEAD, usegmt=True)
        self.etag = '"%s"' % (hashlib.md5(body).hexdigest() if is_whole else "not-of-md5-%d" % len(uploads))


class Storage(Handler):
    def take(self, path):
        if path == "/token":
            return 200, self.token(), {}
        if path == "/control":
            with lock:
                return 200, [[name, kept.tier] for name, kept in sorted(objects.items())], {}
        for name in self.headers:
            if name.lower().startswith("x-amz-"):
                raise refused(400, "InvalidArgument", name)
        self.access = tokens.take(self.headers.get("Authorization"), None) if self.is_known() else None
        bucket, _, key = path.lstrip("/").partition("/")
        if bucket != "bucket":
            raise refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        if not key:
            return self.listing()
        if "over quota" in key:
            raise refused(403, "AccessDenied", "robot does not have storage.objects.create access")
        query = self.query.partition("&")[0].partition("=")[0]
        asked = (self.command, query)
        if asked == ("POST", "uploads"):
            return self.begin(key)
        if asked == ("POST", "uploadId"):
            return self.complete(key)
        if asked == ("PUT", "partNumber"):
            return self.part(key)
        if asked == ("DELETE", "uploadId"):
            self.only()
            with lock:
                uploads.pop(field(self.query, ["uploadId"])["uploadId"], None)
            return 204, None, {}
        if self.query:
            raise refused(400, "InvalidArgument", self.query)
        if self.command == "PUT":
            return self.put(key)
        if self.command == "DELETE":
            self.only()
            with lock:
                if objects.pop(key, None) is None:
                    raise refused(404, "NoSuchKey", "The specified key does not exist.")
            return 204, None, {}
        if self.command in ("GET", "HEAD"):
            return self.get(key)
        raise refused(400, "InvalidArgument")

    def is_known(self):
        given = self.headers.get("Authorization") or ""
        if not given.startswith("Bearer ") or not tokens.left.get(given.removeprefix("Bearer ")):
            raise refused(401, "AuthenticationRequired", "Authentication required.")
        return True

    def only(self, *more):
        """Headers of this kind of request, and those that any has."""
        known = USUAL | set(more)
        for name in self.headers:
            if name.lower() not in known:
                raise refused(400, "NotImplemented", "A header you provided implies functionality that is not implemented: " + name)

    def date_time_string(self, timestamp=None):
        return formatdate(time.time() + AHEAD, usegmt=True)

    def token(self):
        if self.command != "POST":
            raise Refused(404)
        form = self.form()
        user = {"grant_type": "refresh_token", "refresh_token": "1//refresh", "client_id": "id.apps.googleusercontent.com",
                "client_secret": "secret"}
        if form == user:
            return tokens.give()
        if set(form) != {"grant_type", "assertion"} or form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise Refused(401, {"error": "invalid_client", "error_description": "no"})
        head, claims = signed(form["assertion"], public_key)
        if head != {"alg": "RS256", "typ": "JWT", "kid": "key-1"}:
            raise Refused(400, {"error": "invalid_grant"})
        seconds = time.time() + AHEAD
        if set(claims) != {"iss", "scope", "aud", "iat", "exp"}:
            raise Refused(400, {"error": "invalid_request"})
        if claims["scope"] != "https://www.googleapis.com/auth/devstorage.read_write":
            raise Refused(400, {"error": "invalid_scope"})
        if claims["iss"] != EMAIL or claims["aud"] != BASE + "/token":
            raise Refused(400, {"error": "invalid_grant"})
        if not (seconds - 300 < claims["iat"] <= seconds + 60 and claims["iat"] < claims["exp"] <= claims["iat"] + 3600):
            raise Refused(400, {"error": "invalid_grant", "error_description": "Invalid JWT: Token must be a short-lived token"})
        return tokens.give()

    def listing(self):
        self.only()
        query = field(self.query, ["list-type", "prefix", "delimiter", "continuation-token", "max-keys", "start-after"])
        if self.command != "GET" or query.get("list-type") != "2" or query.get("delimiter", "/") != "/":
            raise refused(400, "InvalidArgument")
        prefix = query.get("prefix", "")
        with lock:
            if "continuation-token" in query:
                names = pages.pop(query["continuation-token"], None)
                if names is None:
                    raise refused(400, "InvalidArgument", "no such page")
            else:
                names = [name for name in sorted(objects) if name.startswith(prefix)]
                if "delimiter" in query:
                    names = [name for name in names if "/" not in name[len(prefix):]]
            shown, rest, more = names[:rows], names[rows:], ""
            if rest:
                page = "page %d=" % len(pages)
                while page in pages:
                    page += "="
                pages[page] = rest
                more = "<NextContinuationToken>%s</NextContinuationToken>" % page
            contents = "".join("<Contents><Key>%s</Key><Generation>1</Generation><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                               "<ETag>%s</ETag><Size>%d</Size></Contents>" % (escape(name), escape(objects[name].etag), len(objects[name].body))
                               for name in shown if name in objects)
        return xml(200, "<ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'><Name>bucket</Name><Prefix>%s</Prefix>"
                        "<IsTruncated>%s</IsTruncated>%s%s</ListBucketResult>" % (escape(prefix), "true" if rest else "false", more, contents))

    def get(self, key):
        self.only("if-match", "if-none-match")
        with lock:
            kept = objects.get(key)
        if kept is None:
            raise refused(404, "NoSuchKey", "The specified key does not exist.")
        body, status, headers = kept.body, 200, {"ETag": kept.etag, "Last_Modified": kept.at, "Content_Type": "application/octet-stream", "x_goog_generation": 1}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked:
            start, end = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
            if start >= len(body):
                raise refused(416, "InvalidRange")
            headers["Content_Range"] = "bytes %d-%d/%d" % (start, end, len(body))
            body, status = body[start:end + 1], 206
        return status, body, {**headers, "cut": self.command == "GET" and faults.once("short", key)}

    def tier(self):
        tier = self.headers.get("x-goog-storage-class", "STANDARD")
        if tier not in CLASSES:
            raise refused(400, "InvalidStorageClass")
        return tier

    def troubled(self, key):
        wait = faults.wait(key)
        if wait:
            raise refused(503, "ServiceUnavailable", Retry_After=wait)
        if faults.once("expired", key):
            tokens.end(self.access)
            raise refused(401, "AuthenticationRequired")

    def length(self):
        if "Content-Length" not in self.headers:
            raise refused(411, "MissingContentLength")

    def whole(self, key):
        body = self.body()
        sum = self.headers.get("Content-MD5")
        if sum and base64.b64decode(sum) != hashlib.md5(body).digest():
            raise refused(400, "BadDigest")
        if body and faults.once("torn", key):
            body = body[:-1] + bytes([body[-1] ^ 1])
        return body

    def put(self, key):
        self.only("x-goog-storage-class", "x-goog-if-generation-match", "x-goog-encryption-kms-key-name")
        self.length()
        self.troubled(key)
        tier, condition = self.tier(), self.headers.get("x-goog-if-generation-match")
        if condition not in (None, "0"):
            raise refused(400, "InvalidArgument")
        kept = Kept(self.whole(key), tier, True)
        with lock:
            if condition and key in objects:
                raise refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
            if not faults.once("lost", key):
                objects[key] = kept
        if faults.once("deaf", key):
            raise Deaf
        return 200, b"", {"ETag": kept.etag, "x_goog_generation": 1}

    def begin(self, key):
        self.only("x-goog-storage-class", "x-goog-encryption-kms-key-name")
        self.length()
        self.troubled(key)
        with lock:
            upload = "upload-%d" % len(uploads)
            uploads[upload] = {"key": key, "tier": self.tier(), "parts": {}}
        return xml(200, "<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>%s</Key><UploadId>%s</UploadId>"
                        "</InitiateMultipartUploadResult>" % (escape(key), upload))

    def upload(self, key, query):
        upload = uploads.get(query["uploadId"])
        if upload is None or upload["key"] != key:
            raise refused(404, "NoSuchUpload")
        return upload

    def part(self, key):
        self.only()
        self.length()
        query = field(self.query, ["partNumber", "uploadId"])
        self.upload(key, query)
        body = self.whole(key)
        if not 1 <= int(query["partNumber"]) <= 10000:
            raise refused(400, "InvalidArgument")
        with lock:
            self.upload(key, query)["parts"][int(query["partNumber"])] = body
        return 200, b"", {"ETag": '"%s"' % hashlib.md5(body).hexdigest()}

    def complete(self, key):
        self.only()
        self.length()
        query = field(self.query, ["uploadId"])
        asked = ElementTree.fromstring(self.body())
        with lock:
            upload = self.upload(key, query)
            parts, last = b"", 0
            for part in asked:
                if {child.tag.rpartition("}")[2] for child in part} != {"PartNumber", "ETag"}:
                    raise refused(400, "InvalidArgument", "unknown element")
                number, etag = (next(c.text for c in part if c.tag.endswith(tag)) for tag in ("PartNumber", "ETag"))
                body = upload["parts"].get(int(number))
                if body is None or etag.strip('"') != hashlib.md5(body).hexdigest() or int(number) <= last:
                    raise refused(400, "InvalidPart")
                last = int(number)
                if part is not asked[-1] and len(body) < LEAST_PART:
                    raise refused(400, "EntityTooSmall")
                parts += body
            kept = Kept(parts, upload["tier"], False)
            if not faults.once("lost", key):
                objects[key] = kept
            uploads[query["uploadId"]] = {"key": None, "parts": {}, "tier": ""}
        if faults.once("deaf", key):
            raise Deaf
        return xml(200, "<CompleteMultipartUploadResult><Bucket>bucket</Bucket><Key>%s</Key><ETag>%s</ETag>"
                        "</CompleteMultipartUploadResult>" % (escape(key), escape(kept.etag)))


serve(port, Storage, sys.argv[5])
