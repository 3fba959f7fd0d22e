"""What strict imitations of services over HTTP share: one answer for each request, tokens that run out, a log, and faults.

A fault is a word in the name of a file, and happens once for each name:
lost     the upload is confirmed, and nothing is stored
torn     what is stored is another byte at its end
deaf     the upload is stored, and the line ends before anybody is told
busy     the upload is refused for a second, and again for whoever comes sooner
short    the first download ends in the middle
late     listings show it after some looks
expired  the token runs out in the middle of the upload
"""
import base64
import email.utils
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse as url

lock = threading.RLock()
FAULTS = ("lost", "torn", "deaf", "busy", "short", "late", "expired", "partial")


class Refused(Exception):
    def __init__(self, status, body=None, **headers):
        self.status, self.body, self.headers = status, body, headers


class Deaf(Exception):
    """The line ends."""


class Faults:
    def __init__(self):
        self.done, self.until = set(), {}

    def once(self, fault, name):
        assert fault in FAULTS
        with lock:
            if fault not in name or (fault, name) in self.done:
                return False
            self.done.add((fault, name))
            return True

    def wait(self, name):
        """Seconds somebody who comes too soon is told to wait."""
        with lock:
            if "busy" not in name:
                return None
            now = time.monotonic()
            if name not in self.until:
                self.until[name] = now + 1
            # Clocks of a busy machine are no reason to fail.
            return 1 if now < self.until[name] - 0.05 else None


def now():
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".%03dZ" % (seconds * 1000 % 1000)


def unpadded(text):
    if "=" in text:
        raise Refused(400)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signed(assertion, public_key):
    """Head and claims of a JWT whose signature holds."""
    text, _, signature = assertion.rpartition(".")
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("text", "signature")]
        for path, content in zip(paths, (text.encode(), unpadded(signature))):
            with open(path, "wb") as file:
                file.write(content)
        checked = ["openssl", "dgst", "-sha256", "-verify", public_key, "-signature", paths[1], paths[0]]
        if subprocess.run(checked, stdout=subprocess.DEVNULL).returncode:
            raise Refused(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
    head, claims = text.split(".")
    return json.loads(unpadded(head)), json.loads(unpadded(claims))


def field(parts, names):
    """A value only of these, each given once."""
    found = dict(url.parse_qsl(parts, keep_blank_values=True, strict_parsing=bool(parts)))
    if set(found) - set(names):
        raise Refused(400, {"error": {"code": 400, "message": "unknown parameter " + repr(set(found) - set(names))}})
    return found


class Tokens:
    def __init__(self, uses):
        self.uses, self.left = uses, {}

    def give(self):
        with lock:
            name = "access-%d" % len(self.left)
            self.left[name] = self.uses
        return {"access_token": name, "token_type": "Bearer", "expires_in": 3599}

    def take(self, header, answer):
        with lock:
            token = (header or "").removeprefix("Bearer ")
            if not self.left.get(token):
                raise Refused(401, answer)
            self.left[token] -= 1
            return token

    def end(self, token):
        with lock:
            self.left[token] = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Headers and body of an answer go in one packet.
    wbufsize = -1
    log = None

    def any(self):
        self.unread = int(self.headers.get("Content-Length") or 0)
        headers, cut = {}, False
        path, _, self.query = self.path.partition("?")
        try:
            status, body, headers = self.take(url.unquote(path) if "%2F" not in path else path)
            cut = headers.pop("cut", False)
        except Refused as refused:
            status, body, headers = refused.status, refused.body, refused.headers
        except Deaf:
            self.log.write("%s %s deaf\n" % (self.command, self.path))
            self.close_connection = True
            return
        self.log.write("%s %s %d\n" % (self.command, self.path, status))
        if not isinstance(body, bytes):
            headers.setdefault("Content-Type", "application/json; charset=UTF-8")
            body = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        if self.unread or cut:
            # As a server does that will not read all that is on its way.
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:len(body) // 2] if cut else body)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = any

    def log_message(self, *_):
        pass

    def body(self):
        body = self.rfile.read(self.unread)
        if len(body) < self.unread:
            raise Deaf
        self.unread = 0
        return body

    def json(self):
        if (self.headers.get("Content-Type") or "").split(";")[0] != "application/json":
            raise Refused(400, {"error": {"code": 400, "message": "no JSON"}})
        return json.loads(self.body())

    def form(self):
        if self.headers.get("Content-Type") != "application/x-www-form-urlencoded":
            raise Refused(400, {"error": "invalid_request"})
        return dict(url.parse_qsl(self.body().decode(), strict_parsing=True))


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def serve(port, handler, log):
    handler.log = open(log, "a", buffering=1)
    Server(("127.0.0.1", port), handler).serve_forever()
