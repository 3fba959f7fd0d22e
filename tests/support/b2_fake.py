"""The one call of Backblaze's native interface that tells where the interface of S3 is, written from its public description.

argv: port, id and key it knows, address of the server of S3, file for a log.
"""
import base64
import http.server
import json
import sys

port, key_id, key, s3 = int(sys.argv[1]), *sys.argv[2:5]
log = open(sys.argv[5], "a", buffering=1)


class Accounts(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        log.write(self.path + "\n")
        known = {"%s:%s" % (i, key): i for i in (key_id, "0123456789ab")}
        kind, _, given = self.headers.get("Authorization", "").partition(" ")
        given = base64.b64decode(given).decode() if kind == "Basic" else ""
        if self.path != "/b2api/v3/b2_authorize_account":
            return self.answer(400, {"status": 400, "code": "bad_request", "message": "Invalid request path"})
        if given not in known:
            return self.answer(401, {"status": 401, "code": "unauthorized", "message": ""})
        storage = {"apiUrl": "https://api000.invalid", "downloadUrl": "https://f000.invalid", "s3ApiUrl": s3, "infoType": "storageApi",
                   "absoluteMinimumPartSize": 5000000, "recommendedPartSize": 100000000, "capabilities": ["readFiles"]}
        self.answer(200, {"accountId": "0123456789ab", "authorizationToken": "token", "apiInfo": {"storageApi": storage}})

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Accounts).serve_forever()
