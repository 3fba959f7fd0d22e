"""A region of Amazon's in front of another server of S3: what is signed for another region is refused, and the right one is named.

argv: port, port of the server, the region, file for a log.
Written from Amazon's public description: the code `AuthorizationHeaderMalformed` with the element `Region`, and for HEAD, whose answers
have no body, the header `x-amz-bucket-region`.
"""
import http.client
import http.server
import re
import sys

port, behind, region = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
log = open(sys.argv[4], "a", buffering=1)


class Region(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        scope = re.search(r"Credential=[^/]+/\d{8}/([^/]+)/s3/aws4_request", self.headers.get("Authorization", ""))
        signed = scope[1] if scope else None
        log.write("%s %s %s\n" % (self.command, signed, self.path))
        if signed != region:
            text = ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization "
                    "header is malformed; the region '%s' is wrong; expecting '%s'</Message><Region>%s</Region></Error>" % (signed, region, region))
            head = {"x-amz-bucket-region": region} if self.command == "HEAD" else {}
            return self.answer(400, {"Content-Type": "application/xml", **head}, b"" if self.command == "HEAD" else text.encode())
        line = http.client.HTTPConnection("127.0.0.1", behind)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        line.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            line.putheader(name, value)
        line.endheaders(body)
        said = line.getresponse()
        kept = {name: value for name, value in said.getheaders() if name.lower() not in ("connection", "transfer-encoding")}
        self.answer(said.status, kept, said.read())

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = any

    def answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        elif not any(name.lower() == "content-length" for name in headers):
            self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Region).serve_forever()
