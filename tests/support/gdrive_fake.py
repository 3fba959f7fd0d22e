"""A strict imitation of Google Drive, in memory, written from the public description of its interface, version 3.

argv: port, uses of an access token, entries of a listing's page, longest part in bytes, public key, file for a log.
The service account is `robot@project.iam.gserviceaccount.com`; a user's refresh token is `1//refresh`, of the client
`id.apps.googleusercontent.com` with the secret `secret`. What the description does not have is refused with 400. Times of
creation are those at which an upload began, which no claim may rely on. `partial` in a name: 256 KiB of the first part are kept.
Files below `guarded` can be put into the trash, and not removed.
"""
import sys

sys.dont_write_bytecode = True
import hashlib
import re
import time
from email.utils import formatdate

from imitation import Deaf, Faults, Handler, Refused, Tokens, field, lock, now, serve, signed

port, uses, rows, longest = map(int, sys.argv[1:5])
public_key = sys.argv[5]
BASE = "http://127.0.0.1:%d" % port
EMAIL = "robot@project.iam.gserviceaccount.com"
FOLDER = "application/vnd.google-apps.folder"
GRANULE = 256 * 1024
tokens, faults = Tokens(uses), Faults()
items, sessions, pages, given, looks = {}, {}, {}, set(), {}


def refused(status, reason, message="no", **headers):
    error = {"domain": "global", "reason": reason, "message": message}
    return Refused(status, {"error": {"code": status, "message": message, "errors": [error]}}, **headers)


def missing(name="."):
    return refused(404, "notFound", "File not found: %s." % name)


class Item:
    def __init__(self, properties, body):
        self.id, self.name = properties["id"], properties["name"]
        self.mime = properties.get("mimeType", "application/octet-stream")
        self.parents = properties.get("parents", ["0root"])
        self.marks = dict(properties.get("properties", {}))
        self.created = self.modified = now()
        self.trashed, self.body = False, body

    def shown(self, fields):
        all = {"id": self.id, "name": self.name, "mimeType": self.mime, "createdTime": self.created, "trashed": self.trashed,
               "modifiedTime": self.modified, "parents": self.parents}
        if self.mime != FOLDER:
            all.update(size=str(len(self.body)), md5Checksum=hashlib.md5(self.body).hexdigest())
        wanted = fields.split(",") if fields else ["id", "name", "mimeType"]
        if set(wanted) - {"id", "name", "mimeType", "createdTime", "trashed", "modifiedTime", "parents", "size", "md5Checksum"}:
            raise refused(400, "invalidParameter", "Invalid field selection")
        return {name: all[name] for name in wanted if name in all}


items["0root"] = Item({"id": "0root", "name": "My Drive", "mimeType": FOLDER, "parents": []}, None)
items["0Ashared"] = Item({"id": "0Ashared", "name": "Team", "mimeType": FOLDER, "parents": []}, None)


def real(id):
    return "0root" if id == "root" else id


def of(id):
    item = items.get(real(id))
    if item is None:
        raise missing(id)
    return item


TERMS = [
    (r"name = '((?:[^'\\]|\\['\\])*)'", lambda value: lambda item: item.name.lower() == value.lower()),
    (r"'((?:[^'\\]|\\['\\])*)' in parents", lambda value: lambda item: real(value) in item.parents),
    (r"mimeType = '([^'\\]*)'", lambda value: lambda item: item.mime == value),
    (r"trashed = (false)", lambda value: lambda item: not item.trashed),
    (r"properties has \{ key='dupr-claim' and value='([0-9a-f]{32})' \}", lambda value: lambda item: item.marks.get("dupr-claim") == value),
]


def test_of(query):
    """What a search means: terms with `and`, and one pair in brackets with `or`."""
    tests = []

    def term(rest):
        for pattern, meaning in TERMS:
            found = re.match(pattern, rest)
            if found:
                value = re.sub(r"\\(.)", r"\1", found[1])
                if " in parents" in found[0]:
                    of(value)
                return meaning(value), rest[found.end():]
        raise refused(400, "invalid", "Invalid Value: " + rest)

    while True:
        if query.startswith("("):
            one, query = term(query[1:])
            if not query.startswith(" or "):
                raise refused(400, "invalid", "Invalid Value")
            other, query = term(query[4:])
            if not query.startswith(")"):
                raise refused(400, "invalid", "Invalid Value")
            query = query[1:]
            tests.append(lambda item, one=one, other=other: one(item) or other(item))
        else:
            test, query = term(query)
            tests.append(test)
        if not query:
            return lambda item: all(test(item) for test in tests)
        if not query.startswith(" and "):
            raise refused(400, "invalid", "Invalid Value")
        query = query[5:]


class Drive(Handler):
    def take(self, path):
        if path == "/token":
            return 200, self.token(), {}
        if path == "/control":
            return 200, self.control(field(self.query, ["names", "double", "stale"])), {}
        self.access = tokens.take(self.headers.get("Authorization"), {"error": {"code": 401, "errors": [{"reason": "authError"}]}})
        if path == "/upload/session":
            return self.part()
        found = re.fullmatch(r"(/upload)?/drive/v3/files(?:/([^/]+))?", path)
        if not found:
            raise missing()
        upload, id = found[1], found[2]
        with lock:
            if upload:
                return self.begin(id)
            if id == "generateIds" and self.command == "GET":
                query = field(self.query, ["count", "space"])
                ids = ["1%031x" % (len(given) + n) for n in range(int(query["count"]))]
                given.update(ids)
                return 200, {"ids": ids, "space": "drive", "kind": "drive#generatedIds"}, {}
            common = ["supportsAllDrives", "fields"]
            if id is None and self.command == "GET":
                return self.search()
            if id is None and self.command == "POST":
                query = field(self.query, common)
                properties = self.json()
                if set(properties) - {"name", "mimeType", "parents"} or properties["mimeType"] != FOLDER:
                    raise refused(400, "invalid")
                properties["id"] = "folder-%d" % len(items)
                return 200, self.kept(properties, None).shown(query.get("fields")), {}
            item = of(id)
            query = field(self.query, common + ["alt"])
            if query.get("supportsAllDrives") != "true" and "0Ashared" in item.parents:
                raise missing(id)
            if self.command == "GET" and query.get("alt") == "media":
                if item.mime == FOLDER:
                    raise refused(403, "fileNotDownloadable")
                return 200, item.body, {"Content_Type": item.mime, "cut": faults.once("short", item.name)}
            if self.command == "GET":
                return 200, item.shown(query.get("fields")), {}
            if self.command == "PATCH":
                return self.change(item, query)
            if self.command == "DELETE":
                if any(items[parent].name == "guarded" for parent in item.parents):
                    raise refused(403, "insufficientFilePermissions")
                del items[item.id]
                return 204, None, {}
        raise refused(400, "badRequest")

    def control(self, query):
        """What others do meanwhile: a second file of a name, a claim whose program has ended."""
        with lock:
            for name in query.get("double", "").split():
                there = next(item for item in items.values() if item.name == name)
                double = Item({"id": "double-%d" % len(items), "name": name, "parents": there.parents}, b"newer")
                double.modified = "2999-01-01T00:00:00.000Z"
                items[double.id] = double
            for name in query.get("stale", "").split():
                there = next(item for item in items.values() if item.name == name)
                marks = {"dupr-claim": hashlib.md5(b"claimed").hexdigest()}
                stale = Item({"id": "stale-%d" % len(items), "name": ".dupr-0123456789abcdef.tmp", "parents": there.parents,
                              "properties": marks}, b"stale")
                stale.created = stale.modified = "2020-01-01T00:00:00.000Z"
                items[stale.id] = stale
            return sorted(item.name for item in items.values() if item.mime != FOLDER and not item.trashed)

    def token(self):
        if self.command != "POST":
            raise Refused(404)
        form = self.form()
        user = {"grant_type": "refresh_token", "refresh_token": "1//refresh", "client_id": "id.apps.googleusercontent.com",
                "client_secret": "secret"}
        if form == user:
            return tokens.give()
        if set(form) != {"grant_type", "assertion"} or form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise Refused(401, {"error": "invalid_client", "error_description": str(form)})
        head, claims = signed(form["assertion"], public_key)
        if head not in ({"alg": "RS256", "typ": "JWT", "kid": "key-1"}, {"alg": "RS256", "typ": "JWT"}):
            raise Refused(400, {"error": "invalid_grant"})
        seconds = time.time() + AHEAD
        if set(claims) != {"iss", "scope", "aud", "iat", "exp"} or claims["scope"] != "https://www.googleapis.com/auth/drive":
            raise Refused(400, {"error": "invalid_scope"})
        if claims["iss"] != EMAIL or claims["aud"] != BASE + "/token":
            raise Refused(400, {"error": "invalid_grant"})
        if not (seconds - 300 < claims["iat"] <= seconds + 60 and claims["iat"] < claims["exp"] <= claims["iat"] + 3600):
            raise Refused(400, {"error": "invalid_grant", "error_description": "Invalid JWT: Token must be a short-lived token"})
        return tokens.give()

    def date_time_string(self, timestamp=None):
        # The clock here is not that of the machine.
        return formatdate(time.time() + AHEAD, usegmt=True)

    def search(self):
        query = field(self.query, ["supportsAllDrives", "includeItemsFromAllDrives", "spaces", "pageSize", "q", "fields", "corpora",
                                   "driveId", "pageToken"])
        if (query.get("corpora") == "drive") != ("driveId" in query) or query.get("driveId", "0Ashared") != "0Ashared":
            raise refused(400, "invalid")
        if query.get("includeItemsFromAllDrives") != query.get("supportsAllDrives"):
            raise refused(403, "invalid")
        if not 1 <= int(query.get("pageSize", 100)) <= 1000:
            raise refused(400, "invalidParameter")
        fields = re.fullmatch(r"nextPageToken,incompleteSearch,files\((.*)\)", query["fields"])
        test = test_of(query["q"])
        if "pageToken" in query:
            found = pages.pop(query["pageToken"])
        else:
            found = [id for id, item in sorted(items.items()) if test(item) and self.is_seen(item)]
        answer = {"files": [items[id].shown(fields[1]) for id in found[:rows] if id in items], "incompleteSearch": False}
        if len(found) > rows:
            answer["nextPageToken"] = "page-%d~" % len(pages)
            while answer["nextPageToken"] in pages:
                answer["nextPageToken"] += "~"
            pages[answer["nextPageToken"]] = found[rows:]
        return 200, answer, {}

    def is_seen(self, item):
        if "late" not in item.name:
            return True
        looks[item.id] = looks.get(item.id, 0) + 1
        return looks[item.id] > 3

    def kept(self, properties, body):
        for parent in properties.get("parents", []):
            if of(parent).mime != FOLDER:
                raise refused(403, "parentNotAFolder")
        properties["parents"] = [real(parent) for parent in properties["parents"]]
        item = Item(properties, body)
        items[item.id] = item
        return item

    def change(self, item, query):
        change = self.json()
        if set(change) - {"name", "properties", "trashed"}:
            raise refused(400, "fieldNotWritable")
        item.name = change.get("name", item.name)
        item.trashed = change.get("trashed", item.trashed)
        for key, value in change.get("properties", {}).items():
            if value is None:
                item.marks.pop(key, None)
            else:
                item.marks[key] = value
        item.modified = now()
        return 200, item.shown(query.get("fields")), {}

    def begin(self, id):
        query = field(self.query, ["supportsAllDrives", "uploadType", "fields"])
        if query.get("uploadType") != "resumable" or self.command != ("PATCH" if id else "POST"):
            raise refused(400, "badRequest")
        if self.headers.get("Content-Type") != "application/json; charset=UTF-8":
            raise refused(400, "badContent")
        size = int(self.headers["X-Upload-Content-Length"])
        properties = self.json()
        if id:
            name = of(id).name
            if properties:
                raise refused(400, "fieldNotWritable")
        else:
            if set(properties) - {"id", "name", "parents", "properties"} or len(properties["parents"]) != 1:
                raise refused(400, "invalid")
            of(properties["parents"][0])
            if properties["id"] in items:
                raise refused(409, "fileIdInUse", "A file already exists with the provided ID.")
            if properties["id"] not in given:
                raise refused(400, "invalid", "The provided file ID is not usable.")
            for key, value in properties.get("properties", {}).items():
                if len((key + value).encode()) > 124:
                    raise refused(403, "propertyTooLong")
            name = properties["name"]
            properties["parents"] = [real(parent) for parent in properties["parents"]]
        if "over quota" in name:
            raise refused(403, "storageQuotaExceeded", "The user's Drive storage quota has been exceeded.")
        wait = faults.wait(name)
        if wait:
            raise refused(403, "userRateLimitExceeded", "User Rate Limit Exceeded", Retry_After=wait)
        session = "s%d" % len(sessions)
        sessions[session] = {"id": id, "item": Item(dict(properties, id=properties.get("id", id), name=name), b""), "size": size,
                             "body": b"", "fields": query.get("fields")}
        return 200, None, {"Location": "%s/upload/session?upload_id=%s" % (BASE_OF(self), session)}

    def part(self):
        session = sessions.get(field(self.query, ["upload_id"])["upload_id"])
        if session is None or self.command != "PUT":
            raise missing()
        name, size = session["item"].name, session["size"]
        if self.unread > longest:
            raise refused(413, "uploadTooLarge")
        if faults.once("expired", name):
            tokens.end(self.access)
            raise Refused(401, {"error": {"code": 401}})
        body = self.body()
        range = self.headers.get("Content-Range")
        with lock:
            start = len(session["body"])
            if size == 0:
                if range is not None or body:
                    raise refused(400, "badRequest")
            else:
                if range != "bytes %d-%d/%d" % (start, start + len(body) - 1, size):
                    raise Refused(400, {"error": {"code": 400, "message": "Failed to parse Content-Range header."}})
                if start + len(body) < size and len(body) % GRANULE:
                    raise refused(400, "badRequest", "parts are multiples of 256 KiB")
                if start + len(body) < size and faults.once("partial", name):
                    body = body[:GRANULE]
                session["body"] += body
            if len(session["body"]) < size:
                return 308, None, {"Range": "bytes=0-%d" % (len(session["body"]) - 1)}
            return self.end(session)

    def end(self, session):
        item, body = session["item"], session["body"]
        if faults.once("torn", item.name):
            body = body[:-1] + bytes([body[-1] ^ 1])
        if session["id"]:
            there = of(session["id"])
            there.body, there.modified, item = body, now(), there
        else:
            if item.id in items:
                raise refused(409, "fileIdInUse")
            item.body = body
            item.modified = now()
            items[item.id] = item
        shown = item.shown(session["fields"])
        if faults.once("lost", item.name):
            del items[item.id]
        del session
        if faults.once("deaf", item.name):
            raise Deaf
        return 200, shown, {}


def BASE_OF(handler):
    # Whoever stands between is part of the address.
    return "http://" + handler.headers["Host"]


# Seconds the clock of the service is ahead.
AHEAD = 900
serve(port, Drive, sys.argv[6])
