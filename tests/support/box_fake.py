"""A strict imitation of Box, in memory, written from the public description of its interface, version 2.0.

argv: port, uses of an access token, entries of a listing's page, length of a part, public key, file for a log. The app is `client` with
the secret `secret`, its key `key-1`, its enterprise `1234567`. What the description does not have is refused with 400. Contents lie at
another address, which needs no token and takes none. The first commit of each session is not ready.
"""
import sys

sys.dont_write_bytecode = True
import base64
import hashlib
import json
import re
import time
from email.utils import formatdate

from imitation import Deaf, Faults, Handler, Refused, Tokens, field, lock, serve, signed

port, uses, rows, part_size = map(int, sys.argv[1:5])
public_key = sys.argv[5]
SMALLEST = 20_000_000
AHEAD = 900
tokens, faults = Tokens(uses), Faults()
items, sessions, seen = {}, {}, set()


def refused(status, code, message="no", info=None, **headers):
    error = {"type": "error", "status": status, "code": code, "message": message, "request_id": "r"}
    if info:
        error["context_info"] = info
    return Refused(status, error, **headers)


class Item:
    def __init__(self, name, parent, body):
        self.id, self.name, self.parent, self.body = str(1000 + len(items)), name, parent, body

    def shown(self):
        if self.body is None:
            return {"type": "folder", "id": self.id, "name": self.name}
        return {"type": "file", "id": self.id, "name": self.name, "size": len(self.body), "sha1": hashlib.sha1(self.body).hexdigest(),
                "etag": "0"}


items["0"] = Item("All Files", None, None)
items["0"].id = "0"


def of(id, folder=False):
    item = items.get(id)
    if item is None or (item.body is None) != folder:
        raise refused(404, "not_found", "Not Found")
    return item


def may_be(name, parent):
    """A new item of this name may be in the folder."""
    of(parent, folder=True)
    if not name or "\\" in name or "/" in name or name != name.strip() or len(name) > 255 or name in (".", ".."):
        raise refused(400, "item_name_invalid")
    if "over quota" in name:
        raise refused(403, "storage_limit_exceeded", "Account storage limit reached")
    for item in items.values():
        if item.parent == parent and item.name.lower() == name.lower():
            shown = item.shown()
            shown.pop("size", None)
            raise refused(409, "item_name_in_use", "Item with the same name already exists",
                          {"conflicts": shown if item.body is not None else [shown]})


class BoxAccount(Handler):
    def date_time_string(self, timestamp=None):
        return formatdate(time.time() + AHEAD, usegmt=True)

    def take(self, path):
        if path == "/oauth2/token":
            return 200, self.token(), {}
        found = re.fullmatch(r"/2\.0/contents/(\d+)", path)
        if found:
            if "Authorization" in self.headers:
                raise refused(400, "bad_request")
            with lock:
                item = of(found[1])
                return 200, item.body, {"Content_Type": "application/octet-stream", "cut": faults.once("short", item.name)}
        self.access = tokens.take(self.headers.get("Authorization"), None)
        for method, pattern, call in (
            ("GET", r"/2\.0/folders/(\d+)/items", self.listing),
            ("POST", r"/2\.0/folders()", self.make),
            ("OPTIONS", r"/2\.0/files/content()", self.check),
            ("GET", r"/2\.0/files/(\d+)", self.look),
            ("DELETE", r"/2\.0/files/(\d+)", self.remove),
            ("GET", r"/2\.0/files/(\d+)/content", self.content),
            ("POST", r"/api/2\.0/files(?:/(\d+))?/content", self.whole),
            ("POST", r"/api/2\.0/files(?:/(\d+))?/upload_sessions", self.begin),
            ("PUT", r"/api/2\.0/files/upload_sessions/(\w+)", self.part),
            ("DELETE", r"/api/2\.0/files/upload_sessions/(\w+)", self.give_up),
            ("POST", r"/api/2\.0/files/upload_sessions/(\w+)/commit", self.commit),
        ):
            found = re.fullmatch(pattern, path)
            if found and method == self.command:
                return call(found[1])
        raise refused(405, "method_not_allowed")

    def token(self):
        if self.command != "POST":
            raise Refused(404)
        form = self.form()
        wanted = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_id": "client", "client_secret": "secret"}
        assertion = form.pop("assertion", "")
        if form != wanted:
            raise Refused(400, {"error": "invalid_client", "error_description": str(form)})
        head, claims = signed(assertion, public_key)
        seconds = time.time() + AHEAD
        if head != {"alg": "RS256", "typ": "JWT", "kid": "key-1"}:
            raise Refused(400, {"error": "invalid_grant"})
        if set(claims) != {"iss", "sub", "box_sub_type", "aud", "jti", "exp"} or not 16 <= len(claims["jti"]) <= 128:
            raise Refused(400, {"error": "invalid_grant"})
        if (claims["iss"], claims["sub"], claims["box_sub_type"]) != ("client", "1234567", "enterprise"):
            raise Refused(400, {"error": "invalid_grant"})
        with lock:
            if claims["aud"] != "https://api.box.com/oauth2/token" or claims["jti"] in seen:
                raise Refused(400, {"error": "invalid_grant", "error_description": "jti"})
            seen.add(claims["jti"])
        # A machine that is busy is no reason to fail.
        if not seconds - 30 < claims["exp"] <= seconds + 60:
            raise Refused(400, {"error": "invalid_grant", "error_description": "exp"})
        return tokens.give()

    def listing(self, id):
        query = field(self.query, ["fields", "limit", "usemarker", "marker"])
        if query.get("fields") != "id,type,name,size,sha1" or query.get("usemarker") != "true" or not 1 <= int(query["limit"]) <= 1000:
            raise refused(400, "bad_request")
        with lock:
            of(id, folder=True)
            below = sorted((item.name, item.shown()) for item in items.values() if item.parent == id)
        # Names may come and go between two pages: the next one begins behind a name.
        below = [item for item in below if item[0] > query.get("marker", "")]
        answer = {"entries": [shown for _, shown in below[:rows]], "limit": rows}
        answer["next_marker"] = below[rows - 1][0] if len(below) > rows else ""
        return 200, answer, {}

    def make(self, _):
        field(self.query, ["fields"])
        folder = self.json()
        if set(folder) != {"name", "parent"}:
            raise refused(400, "bad_request")
        with lock:
            may_be(folder["name"], folder["parent"]["id"])
            return 201, self.kept(Item(folder["name"], folder["parent"]["id"], None)), {}

    def kept(self, item):
        items[item.id] = item
        return item.shown()

    def check(self, _):
        file = self.json()
        if set(file) != {"name", "parent", "size"}:
            raise refused(400, "bad_request")
        with lock:
            if "over quota" not in file["name"]:
                may_be(file["name"], file["parent"]["id"])
        return 200, {"upload_url": "https://upload.box.com/", "upload_token": None}, {}

    def look(self, id):
        field(self.query, ["fields"])
        with lock:
            return 200, of(id).shown(), {}

    def remove(self, id):
        with lock:
            of(id)
            # Ids are not used again.
            items[id].parent, items[id].body = "trash", None
        return 204, None, {}

    def content(self, id):
        with lock:
            of(id)
        return 302, None, {"Location": "http://%s/2.0/contents/%s" % (self.headers["Host"], id)}

    def ready(self, name):
        wait = faults.wait(name)
        if wait:
            raise refused(429, "rate_limit_exceeded", Retry_After=wait)
        if faults.once("expired", name):
            tokens.end(self.access)
            raise Refused(401)

    def end(self, id, name, parent, body):
        if faults.once("torn", name):
            body = body[:-1] + bytes([body[-1] ^ 1])
        if id:
            of(id).body, item = body, items[id]
        else:
            may_be(name, parent)
            item = Item(name, parent, body)
            items[item.id] = item
        answer = {"total_count": 1, "entries": [item.shown()]}
        if faults.once("lost", name):
            item.parent, item.body = "trash", None
        if faults.once("deaf", name):
            raise Deaf
        return 201, answer, {}

    def whole(self, id):
        kind = re.fullmatch(r"multipart/form-data; boundary=([\w-]+)", self.headers.get("Content-Type", ""))
        if not kind or self.unread > 50 << 20:
            raise refused(400, "bad_request")
        body = self.body()
        border = b"--" + kind[1].encode()
        form = re.fullmatch(
            border + rb'\r\nContent-Disposition: form-data; name="attributes"\r\n\r\n(.*?)\r\n' + border
            + rb'\r\nContent-Disposition: form-data; name="file"; filename="[^"]+"\r\nContent-Type: application/octet-stream\r\n\r\n(.*)\r\n'
            + border + rb"--\r\n", body, re.DOTALL)
        if not form:
            raise refused(400, "bad_request", "the form")
        attributes, body = json.loads(form[1]), form[2]
        if self.headers.get("Content-MD5") != hashlib.sha1(body).hexdigest():
            raise refused(412, "precondition_failed")
        with lock:
            if id:
                name, parent = of(id).name, None
            else:
                if set(attributes) != {"name", "parent"}:
                    raise refused(400, "bad_request")
                name, parent = attributes["name"], attributes["parent"]["id"]
                may_be(name, parent)
            self.ready(name)
            return self.end(id, name, parent, body)

    def begin(self, id):
        file = self.json()
        if set(file) != ({"file_size"} if id else {"folder_id", "file_name", "file_size"}):
            raise refused(400, "bad_request")
        if file["file_size"] < SMALLEST:
            raise refused(400, "file_size_too_small")
        with lock:
            if id:
                name, parent = of(id).name, None
            else:
                name, parent = file["file_name"], file["folder_id"]
                may_be(name, parent)
            wait = faults.wait(name)
            if wait:
                raise refused(429, "rate_limit_exceeded", Retry_After=wait)
            session = "S%d" % len(sessions)
            sessions[session] = {"id": id, "name": name, "parent": parent, "size": file["file_size"], "parts": [], "body": b"", "asked": 0}
        return 201, {"id": session, "type": "upload_session", "part_size": part_size, "num_parts_processed": 0}, {}

    def session(self, id):
        if sessions.get(id) is None:
            raise refused(404, "not_found")
        return sessions[id]

    def part(self, id):
        session = self.session(id)
        if faults.once("expired", session["name"]):
            tokens.end(self.access)
            raise Refused(401)
        body = self.body()
        if self.headers.get("Content-Type") != "application/octet-stream":
            raise refused(400, "bad_request")
        hash = hashlib.sha1(body)
        if self.headers.get("Digest") != "sha=" + base64.b64encode(hash.digest()).decode():
            raise refused(412, "precondition_failed")
        with lock:
            start, size = len(session["body"]), session["size"]
            if self.headers.get("Content-Range") != "bytes %d-%d/%d" % (start, start + len(body) - 1, size) or start + len(body) > size:
                raise refused(416, "range_not_satisfiable")
            if len(body) != part_size and start + len(body) != size:
                raise refused(400, "bad_request", "parts have one length")
            part = {"part_id": "%08X" % len(session["parts"]), "offset": start, "size": len(body), "sha1": hash.hexdigest()}
            session["parts"].append(part)
            session["body"] += body
        return 200, {"part": part}, {}

    def give_up(self, id):
        self.session(id)
        sessions[id] = None
        return 204, None, {}

    def commit(self, id):
        session, commit = self.session(id), self.json()
        with lock:
            hash = "sha=" + base64.b64encode(hashlib.sha1(session["body"]).digest()).decode()
            if self.headers.get("Digest") != hash or commit != {"parts": session["parts"]} or len(session["body"]) != session["size"]:
                raise refused(400, "bad_digest")
            session["asked"] += 1
            if session["asked"] == 1:
                return 202, None, {"Retry_After": 1}
            sessions[id] = None
            return self.end(session["id"], session["name"], session["parent"], session["body"])


serve(port, BoxAccount, sys.argv[6])
