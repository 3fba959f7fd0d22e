"""A place for HTTP requests: each becomes a line of JSON in a file, and is answered as another file says.

argv: file for requests, file with the status to answer (200 if there is none), and for TLS certificate and key. Prints the port.
"""
import http.server
import json
import os
import ssl
import sys

requests, status, tls = sys.argv[1], sys.argv[2], sys.argv[3:]


class Sink(http.server.BaseHTTPRequestHandler):
    def take(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        # Header values are bytes; http.server reads them as latin-1.
        headers = {k.lower(): v.encode("latin-1").decode("utf-8", "replace") for k, v in self.headers.items()}
        line = {"method": self.command, "path": self.path, "headers": headers, "body": body.decode("utf-8", "replace")}
        with open(requests, "a") as out:
            out.write(json.dumps(line) + "\n")
        code = int(open(status).read()) if os.path.exists(status) else 200
        # An unfriendly server repeats what it was told.
        answer = ("refused: %s %s\n" % (self.path, headers.get("authorization", ""))).encode() if code >= 300 else b"ok\n"
        self.send_response(code)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = take

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
if tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
