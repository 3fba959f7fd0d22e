"""A strict imitation of OneDrive, in memory, written from the public description of Microsoft Graph, version 1.0.

argv: port, uses of an access token, entries of a listing's page, longest part in bytes, file for a log. The client is `client`; its
first refresh token is `refresh-0`, and each login gives the next one: those hold that are at most two older than the newest with which anybody logged in. What the description does not have is
refused with 400. Contents lie at another address, which needs no token and takes none. `partial` in a name: 320 KiB of the first part
are kept.
"""
import sys

sys.dont_write_bytecode = True
import base64
import re
import urllib.parse as url

from imitation import Deaf, Faults, Handler, Refused, Tokens, field, lock, serve

port, uses, rows, longest = map(int, sys.argv[1:5])
GRANULE = 320 * 1024
tokens, faults = Tokens(uses), Faults()
refresh = [0]
used = [0]
# Path in lower case: (path, content or None for a folder).
items, sessions = {"": ("", None)}, {}
ODD = set('"*:<>?\\|')


def refused(status, code, message="no", **headers):
    return Refused(status, {"error": {"code": code, "message": message, "innerError": {}}}, **headers)


def xor_hash(body):
    # After 160 bytes all begins anew.
    folded, ring = 0, 0
    for start in range(0, len(body), 160):
        folded ^= int.from_bytes(body[start:start + 160], "little")
    for n, byte in enumerate(folded.to_bytes(160, "little")):
        at = n * 11 % 160
        wide = byte << at
        ring ^= (wide & (1 << 160) - 1) | wide >> 160
    ring ^= len(body) << 96
    return base64.b64encode(ring.to_bytes(20, "little")).decode()


def shown(path, body):
    item = {"id": "id-" + path.lower(), "name": path.rsplit("/", 1)[-1], "size": len(body or b"")}
    item.update({"folder": {"childCount": 0}} if body is None else {"file": {"hashes": {"quickXorHash": xor_hash(body)}}})
    return item


def parent(path):
    return path.rpartition("/")[0]


class Graph(Handler):
    def take(self, _):
        # Read before anything is locked: a line may be slow.
        self.sent = self.body() if self.command == "PUT" and self.unread <= 60 << 20 else b""
        self.bytes = len(self.sent) + self.unread
        # Names hold escaped slashes nowhere, but escaped anything else.
        path = self.path.partition("?")[0]
        if path == "/common/oauth2/v2.0/token":
            return 200, self.token(), {}
        if path.startswith("/session/") or path.startswith("/content/"):
            if "Authorization" in self.headers:
                raise refused(401, "unauthenticated")
            with lock:
                return getattr(self, path.split("/")[1])(url.unquote(path.split("/", 2)[2]))
        self.access = tokens.take(self.headers.get("Authorization"), {"error": {"code": "InvalidAuthenticationToken"}})
        found = re.fullmatch(r"/v1\.0/me/drive/root(?::/([^:]+))?(?::?/(content|children|createUploadSession))?", path)
        if not found or (found[1] and found[2] and ":/" + found[2] not in path):
            raise refused(400, "invalidRequest")
        path = "/".join(url.unquote(part) for part in (found[1] or "").split("/"))
        if any(set(part) & ODD or part != part.strip() or part.endswith(".") for part in path.split("/")):
            raise refused(400, "invalidRequest", "The provided name cannot contain any of the following characters")
        with lock:
            if found[2] == "children":
                return self.children(path)
            if found[2] == "createUploadSession":
                return self.begin(path)
            if found[2] == "content" and self.command == "PUT":
                return self.small(path)
            self.there(path)
            if found[2] == "content" and self.command == "GET":
                return 302, None, {"Location": "%s/content/%s" % (self.base(), url.quote(path, safe=""))}
            if found[2] is None and self.command == "GET":
                field(self.query, ["$select"])
                return 200, shown(*items[path.lower()]), {}
            if found[2] is None and self.command == "DELETE" and path:
                for below in [other for other in items if other == path.lower() or other.startswith(path.lower() + "/")]:
                    del items[below]
                return 204, None, {}
        raise refused(400, "invalidRequest")

    def base(self):
        return "http://" + self.headers["Host"]

    def there(self, path):
        if path.lower() not in items:
            raise refused(404, "itemNotFound", "The resource could not be found.")
        return items[path.lower()]

    def token(self):
        form = self.form()
        held = ["refresh-%d" % n for n in range(max(0, used[0] - 2), refresh[0] + 1)]
        if set(form) != {"grant_type", "refresh_token", "client_id"} or form["grant_type"] != "refresh_token":
            raise Refused(400, {"error": "invalid_request"})
        if form["client_id"] != "client":
            raise Refused(400, {"error": "unauthorized_client"})
        with lock:
            if form["refresh_token"] not in held:
                raise Refused(400, {"error": "invalid_grant", "error_description": "expired " + form["refresh_token"]})
            used[0] = max(used[0], int(form["refresh_token"].split("-")[1]))
            refresh[0] += 1
            return dict(tokens.give(), refresh_token="refresh-%d" % refresh[0], scope="Files.ReadWrite User.Read")

    def children(self, path):
        if self.command == "POST":
            if self.there(path)[1] is not None:
                raise refused(400, "invalidRequest")
            folder = self.json()
            if set(folder) != {"name", "folder", "@microsoft.graph.conflictBehavior"} or folder["folder"] != {}:
                raise refused(400, "invalidRequest")
            name = (path + "/" + folder["name"]).lstrip("/")
            if name.lower() in items:
                raise refused(409, "nameAlreadyExists", "The specified item name already exists.")
            items[name.lower()] = (name, None)
            return 201, shown(*items[name.lower()]), {}
        query = field(self.query, ["$select", "$top", "$skiptoken"])
        self.there(path)
        below = [item for name, item in sorted(items.items()) if name and parent(name) == path.lower()]
        # Names may come and go between two pages: the next one begins behind a name.
        below = [item for item in below if item[0].lower() > query.get("$skiptoken", "")]
        answer = {"value": [shown(*item) for item in below[:rows]]}
        if len(below) > rows:
            last = url.quote(below[rows - 1][0].lower(), safe="")
            answer["@odata.nextLink"] = "%s%s?$skiptoken=%s" % (self.base(), self.path.partition("?")[0], last)
        return 200, answer, {}

    def behaves(self, path, behavior):
        if behavior not in ("replace", "fail"):
            raise refused(400, "invalidRequest")
        if self.there(parent(path))[1] is not None:
            raise refused(400, "invalidRequest")
        if behavior == "fail" and path.lower() in items:
            raise refused(409, "nameAlreadyExists", "An item with the same name already exists.")
        if "over quota" in path:
            raise refused(507, "quotaLimitReached")
        wait = faults.wait(path)
        if wait:
            raise refused(429, "activityLimitReached", Retry_After=wait)

    def end(self, path, body):
        if faults.once("torn", path):
            body = body[:-1] + bytes([body[-1] ^ 1])
        is_new = path.lower() not in items
        items[path.lower()] = (path, body)
        answer = shown(path, body)
        if faults.once("lost", path):
            del items[path.lower()]
        if faults.once("deaf", path):
            raise Deaf
        return 201 if is_new else 200, answer, {}

    def small(self, path):
        query = field(self.query, ["@microsoft.graph.conflictBehavior"])
        if self.bytes > 4 << 20 or self.headers.get("Content-Type") != "application/octet-stream":
            raise refused(413, "invalidRequest")
        self.behaves(path, query.get("@microsoft.graph.conflictBehavior", "replace"))
        return self.end(path, self.sent)

    def begin(self, path):
        if self.command != "POST":
            raise refused(400, "invalidRequest")
        item = self.json()
        if set(item) != {"item"} or set(item["item"]) != {"@microsoft.graph.conflictBehavior"}:
            raise refused(400, "invalidRequest")
        behavior = item["item"]["@microsoft.graph.conflictBehavior"]
        self.behaves(path, behavior)
        name = "s%d" % len(sessions)
        sessions[name] = [path, behavior, b"", self.access]
        return 200, {"uploadUrl": "%s/session/%s" % (self.base(), name), "expirationDateTime": "2099-01-01T00:00:00.000Z"}, {}

    def session(self, name):
        if sessions.get(name) is None:
            raise refused(404, "itemNotFound", "The upload session was not found")
        path, behavior, kept, access = sessions[name]
        if self.command == "DELETE":
            sessions[name] = None
            return 204, None, {}
        if self.command != "PUT" or self.bytes > min(longest, 60 << 20):
            raise refused(400, "invalidRequest")
        if faults.once("expired", path):
            tokens.end(access)
            sessions[name] = None
            raise refused(404, "itemNotFound")
        body = self.sent
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", self.headers.get("Content-Range", ""))
        if not found:
            raise refused(400, "invalidRequest", "Content-Range")
        first, last, size = map(int, found.groups())
        if first != len(kept) or last - first + 1 != len(body) or last >= size:
            raise refused(416, "invalidRange", "Optimistic concurrency failure during fragmented upload")
        if last + 1 < size and len(body) % GRANULE:
            raise refused(400, "invalidRequest", "fragments are multiples of 320 KiB")
        if last + 1 < size and faults.once("partial", path):
            body = body[:GRANULE]
        kept += body
        sessions[name][2] = kept
        if len(kept) < size:
            return 202, {"expirationDateTime": "2099-01-01T00:00:00.000Z", "nextExpectedRanges": ["%d-" % len(kept)]}, {}
        sessions[name] = None
        if behavior == "fail" and path.lower() in items:
            raise refused(409, "nameAlreadyExists")
        return self.end(path, kept)

    def content(self, path):
        body = self.there(path)[1]
        if body is None or self.command != "GET":
            raise refused(400, "invalidRequest")
        return 200, body, {"Content_Type": "application/octet-stream", "cut": faults.once("short", path)}


serve(port, Graph, sys.argv[5])
