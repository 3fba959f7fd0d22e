"""A strict imitation of what OpenStack's own storage cannot show on one machine, in memory, written from OpenStack's public
API: Keystone's logins of the versions 2 and 3, clocks that differ, and OVH's archive. Storage itself is as small as it can be.

argv: port, whether there is a login of version 2, file for a log. User `ada` with password `p@ss:w`, project `backups` (id `p1`), domain `default` (name `Default`),
regions `One` and `Two`. What the API does not have is refused with 400. A line of the log is a method, a path and a status.
An upload named `newer` comes too late. Objects of containers with the policy PCA are sealed: a download is refused until a second after
the first one was.
"""
import hashlib
import http.server
import json
import sys
import threading
import time
import urllib.parse as url

port = int(sys.argv[1])
has_second = sys.argv[2] == "second"
log = open(sys.argv[3], "a", buffering=1)
ACCOUNT = "/v1/AUTH_p1"
lock = threading.RLock()
tokens = set()
containers = {}  # name: (policy, {object: Object})


class Refused(Exception):
    def __init__(self, status, text="", **headers):
        self.status, self.text, self.headers = status, text, headers


class Object:
    def __init__(self, body):
        self.body, self.etag, self.open_at = body, hashlib.md5(body).hexdigest(), None

    def is_open(self):
        with lock:
            if self.open_at is None:
                self.open_at = time.monotonic() + 1
            # Clocks of a busy machine are no reason to fail.
            return time.monotonic() >= self.open_at - 0.05


def new_token():
    with lock:
        token = "token-%d" % len(tokens)
        tokens.add(token)
    return token


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
        body = self.rfile.read(self.unread)
        if len(body) < self.unread:
            raise Refused(499)
        self.unread = 0
        return body

    def take(self):
        path, _, query = self.path.partition("?")
        self.query = dict(url.parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        if path in ("/v2.0/tokens", "/v3/auth/tokens") and self.command == "POST":
            if self.headers.get("Content-Type") != "application/json":
                raise Refused(400)
            auth = json.loads(self.body())["auth"]
            if path.startswith("/v2.0") and not has_second:
                raise Refused(404, "The resource could not be found.")
            return self.second(auth) if path.startswith("/v2.0") else self.third(auth)
        if not path.startswith(ACCOUNT + "/"):
            raise Refused(404)
        if self.headers.get("X-Auth-Token") not in tokens:
            raise Refused(401, Www_Authenticate='Swift realm="AUTH_p1"')
        container, slash, name = path[len(ACCOUNT) + 1:].partition("/")
        container, name = url.unquote(container), url.unquote(name)
        if not container:
            raise Refused(400)
        if name:
            return self.object(container, name)
        return self.container(container)

    def storage(self, region=""):
        # As whoever asks has reached it: there may be something before it.
        return "http://%s%s" % (self.headers["Host"], ACCOUNT) + ("" if region != "Two" else "/nowhere")

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
            with lock:
                if name in containers:
                    return 202, b"", {}
                containers[name] = (self.headers.get("X-Storage-Policy"), {})
            return 201, b"", {}
        with lock:
            if name not in containers:
                raise Refused(404)
            objects = sorted(containers[name][1].items())
        if self.command != "GET" or set(self.query) - {"format", "prefix", "delimiter", "marker"}:
            raise Refused(400)
        prefix, marker = self.query["prefix"], self.query["marker"]
        rows = [{"name": n, "bytes": len(o.body), "hash": o.etag, "content_type": "application/octet-stream",
                 "last_modified": "2026-11-21T00:00:00.000000"}
                for n, o in objects if n.startswith(prefix) and n > marker]
        return 200, json.dumps(rows).encode(), {"Content_Type": "application/json"}

    def object(self, container, name):
        with lock:
            if container not in containers:
                raise Refused(404)
            policy, objects = containers[container]
        if self.query:
            raise Refused(400)
        if self.command == "PUT":
            if self.headers.get("If-None-Match", "*") != "*":
                raise Refused(400)
            if "If-None-Match" in self.headers and name in objects:
                raise Refused(412)
            body = self.body()
            if name == "newer":
                return 202, b"", {}
            objects[name] = Object(body)
            return 201, b"", {"Etag": objects[name].etag}
        if self.command == "DELETE":
            if objects.pop(name, None) is None:
                raise Refused(404)
            return 204, b"", {}
        found = objects.get(name)
        if found is None:
            raise Refused(404)
        if self.command not in ("GET", "HEAD"):
            raise Refused(400)
        if policy == "PCA" and self.command == "GET" and not found.is_open():
            raise Refused(429, Retry_After="1")
        headers = {"Etag": found.etag, "Content_Length": len(found.body), "Content_Type": "application/octet-stream"}
        return 200, found.body, headers


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


Server(("127.0.0.1", port), Swift).serve_forever()
