"""A strict imitation of Dropbox's files, in memory, written from the public description of its HTTP interface.

argv: port, uses of an access token before it expires, entries of a listing's page, longest part in bytes, file for a log.
`torn` in a name: what is stored the first time has another byte at its end.
The refresh token is `refresh`, the app `app` with the secret `secret`. What is not in the description is refused with 400.
"""
import hashlib
import http.server
import json
import sys
import threading
import urllib.parse as url

port, uses, rows, longest = map(int, sys.argv[1:5])
log = open(sys.argv[5], "a", buffering=1)
lock = threading.RLock()
tokens, files, sessions, cursors, torn = {}, {}, {}, {}, set()
COMMIT = {"path", "mode", "autorename", "mute", "strict_conflict"}


class Refused(Exception):
    def __init__(self, status, summary=""):
        self.status, self.summary = status, summary


def checked(argument, allowed, wanted=()):
    if set(argument) - set(allowed) or set(wanted) - set(argument):
        raise Refused(400)
    path = argument.get("path")
    if path is not None and (path == "/" or (path and not path.startswith("/")) or path.endswith("/") or "\\" in path):
        raise Refused(409, "path/malformed_path/..")
    return argument


def content_hash(body):
    blocks = (body[at:at + (4 << 20)] for at in range(0, len(body), 4 << 20))
    return hashlib.sha256(b"".join(hashlib.sha256(block).digest() for block in blocks)).hexdigest()


def entry(path, body):
    name = path.rsplit("/", 1)[1]
    return {".tag": "file", "name": name, "path_display": path, "path_lower": path.lower(), "id": "id:x", "rev": "1", "size": len(body),
            "content_hash": content_hash(body)}


def commit(argument, body):
    checked(argument, COMMIT, ["path"])
    path, mode = argument["path"], argument.get("mode", "add")
    if mode not in ("add", "overwrite") or argument.get("autorename"):
        raise Refused(400)
    with lock:
        if "torn" in path and body and path not in torn:
            torn.add(path)
            body = body[:-1] + bytes([body[-1] ^ 1])
        there = files.get(path.lower())
        if there and mode == "add" and (argument.get("strict_conflict") or there[1] != body):
            raise Refused(409, "path/conflict/file/..")
        files[path.lower()] = (path, body)
    found = entry(path, body)
    del found[".tag"]
    return found


class Dropbox(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self):
        self.unread = int(self.headers.get("Content-Length") or 0)
        kind, headers = "application/json", {}
        try:
            status, body = 200, self.take()
            if isinstance(body, bytes):
                kind = "application/octet-stream"
            else:
                body = json.dumps(body).encode()
        except Refused as refused:
            status = refused.status
            body = json.dumps({"error_summary": refused.summary, "error": {".tag": "other"}}).encode()
        log.write("%s %d\n" % (self.path, status))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.unread:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def body(self):
        body = self.rfile.read(self.unread)
        if len(body) < self.unread:
            raise Refused(408)
        self.unread = 0
        return body

    def take(self):
        kind = self.headers.get("Content-Type")
        if self.path == "/oauth2/token":
            return self.token(dict(url.parse_qsl(self.body().decode(), strict_parsing=True)))
        with lock:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if not tokens.get(token):
                raise Refused(401, "expired_access_token/..")
            tokens[token] -= 1
        what = self.path.removeprefix("/2/files/")
        if what in ("list_folder", "list_folder/continue", "get_metadata", "delete_v2"):
            if kind != "application/json" or "Dropbox-API-Arg" in self.headers:
                raise Refused(400)
            argument = json.loads(self.body())
            return getattr(self, what.replace("/", "_"))(argument)
        argument = self.headers.get("Dropbox-API-Arg", "")
        if not argument.isascii():
            raise Refused(400)
        argument = json.loads(argument)
        if what == "download":
            path = checked(argument, ["path"], ["path"])["path"]
            with lock:
                if path.lower() not in files:
                    raise Refused(409, "path/not_found/..")
                return files[path.lower()][1]
        if kind != "application/octet-stream":
            raise Refused(400)
        if self.unread > longest:
            raise Refused(413)
        if what == "upload":
            checked(argument, COMMIT, ["path"])
            return commit(argument, self.body())
        body = self.body()
        if what == "upload_session/start":
            checked(argument, ["close"])
            with lock:
                name = "session-%d" % len(sessions)
                sessions[name] = body
            return {"session_id": name}
        if what not in ("upload_session/append_v2", "upload_session/finish"):
            raise Refused(400)
        checked(argument, ["cursor", "close" if what.endswith("v2") else "commit"], ["cursor"])
        cursor = checked(argument["cursor"], ["session_id", "offset"], ["session_id", "offset"])
        with lock:
            whole = sessions.get(cursor["session_id"])
            if whole is None:
                raise Refused(409, "lookup_failed/not_found/..")
            if len(whole) != cursor["offset"]:
                raise Refused(409, "lookup_failed/incorrect_offset/..")
            sessions[cursor["session_id"]] = whole = whole + body
        if what.endswith("v2"):
            return None
        return commit(argument["commit"], whole)

    def token(self, form):
        if form != {"grant_type": "refresh_token", "refresh_token": "refresh", "client_id": "app", "client_secret": "secret"}:
            raise Refused(400, "invalid_grant")
        with lock:
            name = "access-%d" % len(tokens)
            tokens[name] = uses
        return {"access_token": name, "token_type": "bearer", "expires_in": 14400}

    def page(self, entries):
        answer = {"entries": entries[:rows], "cursor": "cursor-%d" % len(cursors), "has_more": len(entries) > rows}
        cursors[answer["cursor"]] = entries[rows:]
        return answer

    def list_folder(self, argument):
        folder = checked(argument, ["path", "recursive"], ["path"])["path"].lower()
        with lock:
            below = [found for path, found in sorted(files.items()) if path.startswith(folder + "/")]
            if folder and not below:
                raise Refused(409, "path/not_found/..")
            here = [entry(path, body) for path, body in below if "/" not in path[len(folder) + 1:]]
            return self.page([{".tag": "folder", "name": "sub", "path_lower": folder + "/sub", "id": "id:y"}] + here)

    def list_folder_continue(self, argument):
        with lock:
            return self.page(cursors[checked(argument, ["cursor"], ["cursor"])["cursor"]])

    def get_metadata(self, argument):
        path = checked(argument, ["path"], ["path"])["path"].lower()
        with lock:
            if path not in files:
                raise Refused(409, "path/not_found/..")
            return entry(*files[path])

    def delete_v2(self, argument):
        path = checked(argument, ["path"], ["path"])["path"].lower()
        with lock:
            if path not in files:
                raise Refused(409, "path_lookup/not_found/..")
            return {"metadata": entry(*files.pop(path))}


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


Server(("127.0.0.1", port), Dropbox).serve_forever()
