"""A strict imitation of OpenStack's object storage with its three logins, in memory, written from OpenStack's public API.

argv: port, uses of a token before it expires, rows of a listing's page, longest object in bytes, file for a log.
User `ada` with password `p@ss:w`, project `backups` (id `p1`), domain `default` (name `Default`), regions `One` and `Two`;
for the first login the user is `backups:ada`. What the API does not have is refused with 400. A line of the log is a
method, a path and a status. Objects of containers with the policy PCA are sealed: the first download is refused for a second.
"""
import hashlib
import http.server
import json
import sys
import threading
import urllib.parse as url

port, uses, rows, longest = map(int, sys.argv[1:5])
log = open(sys.argv[5], "a", buffering=1)
ACCOUNT = "/v1/AUTH_p1"
POLICIES = {"gold", "silver", "PCA"}
lock = threading.RLock()
tokens = {}
containers = {}  # name: (policy, {object: Object})
made = 0


class Refused(Exception):
    def __init__(self, status, text="", **headers):
        self.status, self.text, self.headers = status, text, headers


class Object:
    def __init__(self, body=b"", etag=None, segments=None, manifest=None):
        self.body, self.segments, self.manifest = body, segments, manifest
        self.etag = etag or hashlib.md5(body).hexdigest()
        self.sealed = True


def new_token():
    global made
    made += 1
    token = "token-%d" % made
    tokens[token] = uses
    return token


def whole(found):
    """The bytes of an object, of its segments, or of all objects that begin as it says."""
    if found.segments is not None:
        return b"".join(containers[c][1][o].body for c, o in found.segments)
    if found.manifest is not None:
        container, prefix = url.unquote(found.manifest).split("/", 1)
        objects = containers[container][1]
        return b"".join(objects[name].body for name in sorted(objects) if name.startswith(prefix))
    return found.body


class Swift(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Headers and body of an answer go in one packet.
    wbufsize = -1

    def any(self):
        self.unread = int(self.headers.get("Content-Length") or 0)
        try:
            status, body, headers = self.take()
        except Refused as refused:
            status, body, headers = refused.status, refused.text.encode(), refused.headers
        log.write("%s %s %d\n" % (self.command, self.path, status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        if self.unread:
            # As a server does that will not read all that is on its way.
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = any

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        body = self.rfile.read(self.unread)
        if len(body) < self.unread:
            raise Refused(499)
        self.unread = 0
        return body

    def take(self):
        path, _, query = self.path.partition("?")
        pairs = url.parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        self.query = dict(pairs)
        if len(self.query) != len(pairs):
            raise Refused(400, "twice the same parameter")
        if path == "/auth/v1.0" and self.command == "GET":
            return self.first()
        if path in ("/v2.0/tokens", "/v3/auth/tokens") and self.command == "POST":
            if self.headers.get("Content-Type") != "application/json":
                raise Refused(400)
            auth = json.loads(self.body())["auth"]
            return self.second(auth) if path.startswith("/v2.0") else self.third(auth)
        if not path.startswith(ACCOUNT + "/"):
            raise Refused(404)
        with lock:
            token = self.headers.get("X-Auth-Token")
            if not tokens.get(token):
                raise Refused(401, Www_Authenticate='Swift realm="AUTH_p1"')
            tokens[token] -= 1
        container, slash, name = path[len(ACCOUNT) + 1:].partition("/")
        container, name = url.unquote(container), url.unquote(name)
        if not container or "/" in container:
            raise Refused(400)
        if name:
            return self.object(container, name)
        return self.container(container)

    def storage(self, region=""):
        return "http://127.0.0.1:%d%s" % (port, ACCOUNT) + ("" if region != "Two" else "/nowhere")

    def first(self):
        if (self.headers.get("X-Auth-User"), self.headers.get("X-Auth-Key")) != ("backups:ada", "p@ss:w"):
            raise Refused(401)
        token = new_token()
        return 200, b"", {"X-Storage-Url": self.storage(), "X-Auth-Token": token, "X-Storage-Token": token}

    def second(self, auth):
        if set(auth) - {"passwordCredentials", "tenantName", "tenantId"} or len(auth) != 2:
            raise Refused(400)
        if auth["passwordCredentials"] != {"username": "ada", "password": "p@ss:w"}:
            raise Refused(401)
        if auth.get("tenantName", "backups") != "backups" or auth.get("tenantId", "p1") != "p1":
            raise Refused(401)
        endpoints = [{"region": r, "publicURL": self.storage(r), "internalURL": "http://127.0.0.1:1/", "adminURL": "http://127.0.0.1:1/"}
                     for r in ("Two", "One")]
        catalog = [{"type": "identity", "name": "keystone", "endpoints": []}, {"type": "object-store", "name": "swift", "endpoints": endpoints}]
        token = {"id": new_token(), "expires": "2099-01-01T00:00:00Z"}
        user = {"id": "u1", "name": "ada", "username": "ada", "roles": [], "roles_links": []}
        return 200, json.dumps({"access": {"token": token, "user": user, "serviceCatalog": catalog}}).encode(), {}

    def third(self, auth):
        if set(auth) != {"identity", "scope"} or auth["identity"].get("methods") != ["password"]:
            raise Refused(400)
        domain = ({"id": "default"}, {"name": "Default"})
        user = auth["identity"]["password"]["user"]
        project = auth["scope"]["project"]
        if user.get("password") != "p@ss:w":
            raise Refused(401)
        if not (user.get("id") == "u1" or (user.get("name") == "ada" and user.get("domain") in domain)):
            raise Refused(401)
        if not (project == {"id": "p1"} or (project.get("name") == "backups" and project.get("domain") in domain)):
            raise Refused(401)
        endpoints = [{"interface": i, "region": r, "region_id": r, "url": self.storage(r) if i == "public" else "http://127.0.0.1:1/"}
                     for r in ("Two", "One") for i in ("admin", "internal", "public")]
        catalog = [{"type": "object-store", "name": "swift", "endpoints": endpoints}]
        of = {"id": "default", "name": "Default"}
        body = {"token": {"methods": ["password"], "user": {"id": "u1", "name": "ada", "domain": of}, "catalog": catalog,
                          "project": {"id": "p1", "name": "backups", "domain": of}, "roles": [],
                          "issued_at": "2026-01-01T00:00:00.000000Z", "expires_at": "2099-01-01T00:00:00.000000Z"}}
        return 201, json.dumps(body).encode(), {"X-Subject-Token": new_token()}

    def container(self, name):
        if self.command == "PUT":
            self.body()
            policy = self.headers.get("X-Storage-Policy", "gold")
            if policy not in POLICIES:
                raise Refused(400, "Invalid X-Storage-Policy")
            with lock:
                if name in containers:
                    if "X-Storage-Policy" in self.headers and containers[name][0] != policy:
                        raise Refused(409)
                    return 202, b"", {}
                containers[name] = (policy, {})
            return 201, b"", {}
        with lock:
            if name not in containers:
                raise Refused(404)
            policy, objects = containers[name]
            names = sorted((n.encode() for n in objects))
            sizes = {n: (0 if o.manifest is not None else len(whole(o)), o.etag) for n, o in objects.items()}
        if self.command == "HEAD":
            return 204, b"", {"X-Container-Object-Count": len(names), "X-Storage-Policy": policy}
        if self.command != "GET" or set(self.query) - {"format", "prefix", "delimiter", "marker", "limit", "path"}:
            raise Refused(400)
        if self.query.get("format") != "json":
            raise Refused(400, "only JSON is imitated")
        prefix, marker = self.query.get("prefix", "").encode(), self.query.get("marker", "").encode()
        delimiter = self.query.get("delimiter", "").encode()
        folders = "path" not in self.query
        if not folders:
            prefix, delimiter = self.query["path"].encode(), b"/"
        page = []
        for n in names:
            if not n.startswith(prefix):
                continue
            end = n.find(delimiter, len(prefix)) if delimiter else -1
            if end >= 0 and folders:
                folder = n[:end + len(delimiter)]
                if folder > marker and not (page and page[-1].get("subdir") == folder.decode()):
                    page.append({"subdir": folder.decode()})
            elif end < 0 and n > marker:
                size, etag = sizes[n.decode()]
                page.append({"name": n.decode(), "bytes": size, "hash": etag, "content_type": "application/octet-stream",
                             "last_modified": "2026-11-21T00:00:00.000000"})
            if len(page) == min(rows, int(self.query.get("limit", rows))):
                break
        return 200, json.dumps(page).encode(), {"Content_Type": "application/json"}

    def object(self, container, name):
        way = self.query.pop("multipart-manifest", None)
        if self.query:
            raise Refused(400)
        with lock:
            if container not in containers:
                raise Refused(404)
            policy, objects = containers[container]
        if self.command == "PUT":
            return self.put(objects, name, way)
        with lock:
            found = objects.get(name)
            if found is None:
                raise Refused(404)
            if self.command == "DELETE":
                return self.delete(objects, name, found, way)
            if self.command not in ("GET", "HEAD") or way:
                raise Refused(400)
            body = whole(found)
        headers = {"Etag": found.etag, "Content_Length": len(body), "Content_Type": "application/octet-stream"}
        if found.segments is not None:
            headers["X-Static-Large-Object"] = "True"
            headers["Etag"] = '"%s"' % found.etag
        if found.manifest is not None:
            headers["X-Object-Manifest"] = found.manifest
        if policy == "PCA" and self.command == "GET" and found.sealed:
            found.sealed = False
            raise Refused(429, Retry_After="1")
        return 200, body, headers

    def put(self, objects, name, way):
        if "Content-Length" not in self.headers and "Transfer-Encoding" not in self.headers:
            raise Refused(411)
        if self.unread > longest:
            raise Refused(413)
        condition = self.headers.get("If-None-Match")
        if condition not in (None, "*"):
            raise Refused(400)
        body = self.body()
        with lock:
            if condition and name in objects:
                raise Refused(412)
            if way == "put":
                segments = []
                for row in json.loads(body):
                    if set(row) - {"path", "etag", "size_bytes"} or not row["path"].startswith("/"):
                        raise Refused(400)
                    container, _, segment = row["path"][1:].partition("/")
                    there = containers.get(container, ("", {}))[1].get(segment)
                    if there is None or there.etag != row["etag"] or len(there.body) != row["size_bytes"] or not there.body:
                        raise Refused(400, "a segment is not what the manifest says")
                    segments.append((container, segment))
                etags = "".join(containers[c][1][s].etag for c, s in segments)
                made = Object(etag=hashlib.md5(etags.encode()).hexdigest(), segments=segments)
            elif way is None:
                made = Object(body, manifest=self.headers.get("X-Object-Manifest"))
                if self.headers.get("ETag", made.etag) != made.etag:
                    raise Refused(422)
            else:
                raise Refused(400)
            objects[name] = made
        return 201, b"", {"Etag": made.etag}

    def delete(self, objects, name, found, way):
        if way == "delete":
            if found.segments is None:
                raise Refused(400)
            for container, segment in found.segments:
                containers[container][1].pop(segment, None)
        elif way is not None:
            raise Refused(400)
        del objects[name]
        if way is None:
            return 204, b"", {}
        if self.headers.get("Accept") != "application/json":
            return 200, b"Response Status: 200 OK\n", {}
        answer = {"Response Status": "200 OK", "Number Deleted": len(found.segments) + 1, "Number Not Found": 0, "Errors": []}
        return 200, json.dumps(answer).encode(), {"Content_Type": "application/json"}


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


Server(("127.0.0.1", port), Swift).serve_forever()
