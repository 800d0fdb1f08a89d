"""A broker of the KBS protocol, version 0.4.0, written from the protocol's document, for tests of our client. It accepts
evidence of TEE "sample" only. usage: kbs_server.py CERT KEY; prints its port."""
import base64
import hmac
import http.server
import json
import os
import ssl
import sys
import uuid

from kbs_client import jwe_seal, report_data

SESSIONS = {}
SECRET = b"from the other broker"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, body, cookie=None):
        text = json.dumps(body).encode()
        self.send_response(status)
        if cookie:
            self.send_header("Set-Cookie", f"kbs-session-id={cookie}; Path=/")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refuse(self, status, kind, detail):
        self.reply(status, {"type": "https://github.com/confidential-containers/kbs/errors/" + kind, "detail": detail})

    def session(self):
        for part in self.headers.get("Cookie", "").split("; "):
            name, _, value = part.partition("=")
            if name == "kbs-session-id":
                return value, SESSIONS.get(value)
        return None, None

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/kbs/v0/auth":
            if body["version"] != "0.4.0" or body["tee"] != "sample" or "extra-params" not in body:
                return self.refuse(401, "AttestationError", "version or tee")
            cookie, nonce = uuid.uuid4().hex, base64.b64encode(os.urandom(32)).decode()
            SESSIONS[cookie] = {"nonce": nonce}
            return self.reply(200, {"nonce": nonce, "extra-params": ""}, cookie)
        cookie, s = self.session()
        if self.path != "/kbs/v0/attest" or not s:
            return self.refuse(401, "AttestationError", "no session")
        runtime, evidence = body["runtime-data"], body["tee-evidence"]
        want = report_data(s["nonce"], runtime["tee-pubkey"], evidence["additional_evidence"])
        have = base64.b64decode(evidence["primary_evidence"]["report_data"])
        if runtime["nonce"] != s["nonce"] or set(runtime) != {"nonce", "tee-pubkey"} or \
                not hmac.compare_digest(have, want + b"\0" * (len(have) - len(want))):
            return self.refuse(401, "AttestationError", "report data")
        s["key"] = runtime["tee-pubkey"]
        return self.reply(200, {"token": "e30.e30.e30"}, cookie)

    def do_GET(self):
        _, s = self.session()
        if not s or "key" not in s:
            return self.refuse(401, "TokenNotFound", "Attestation Token not found")
        if self.path != "/kbs/v0/resource/default/key/theirs":
            return self.refuse(403, "PolicyDeny", "Access denied by policy")
        return self.reply(200, jwe_seal(s["key"], SECRET))


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    server.serve_forever()
