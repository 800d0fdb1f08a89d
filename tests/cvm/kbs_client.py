"""A client of the KBS protocol, version 0.4.0, written from the protocol's document; Debian's cryptography does the
mathematics. Used by the tests as the stranger that talks to our broker."""
import base64
import hashlib
import http.client
import json
import os
import ssl
import struct

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def b64u(b):
    return base64.urlsafe_b64encode(b).rstrip(b"=").decode()


def un64u(s):
    return base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))


def concat_kdf(z, alg, bits):
    alg = alg.encode()
    info = struct.pack(">I", len(alg)) + alg + struct.pack(">II", 0, 0) + struct.pack(">I", bits)
    out = b""
    for i in range(1, (bits + 255) // 256 + 1):
        out += hashlib.sha256(struct.pack(">I", i) + z + info).digest()
    return out[: bits // 8]


CURVES = {"P-256": (ec.SECP256R1, 32), "P-384": (ec.SECP384R1, 48), "P-521": (ec.SECP521R1, 66)}


def jwk_of(key, alg):
    if isinstance(key, rsa.RSAPrivateKey):
        n = key.public_key().public_numbers()
        size = (n.n.bit_length() + 7) // 8
        return {"kty": "RSA", "alg": alg, "n": b64u(n.n.to_bytes(size, "big")), "e": b64u(n.e.to_bytes(3, "big"))}
    n = key.public_key().public_numbers()
    crv = next(c for c, (k, _) in CURVES.items() if isinstance(key.curve, k))
    size = CURVES[crv][1]
    return {"kty": "EC", "crv": crv, "alg": alg, "x": b64u(n.x.to_bytes(size, "big")), "y": b64u(n.y.to_bytes(size, "big"))}


def public_of(jwk):
    if jwk["kty"] == "RSA":
        return rsa.RSAPublicNumbers(int.from_bytes(un64u(jwk["e"]), "big"), int.from_bytes(un64u(jwk["n"]), "big")).public_key()
    curve = CURVES[jwk["crv"]][0]()
    return ec.EllipticCurvePublicNumbers(
        int.from_bytes(un64u(jwk["x"]), "big"), int.from_bytes(un64u(jwk["y"]), "big"), curve
    ).public_key()


def jwe_open(key, jwe):
    head = json.loads(un64u(jwe["protected"]))
    assert head["enc"] == "A256GCM", head
    wrapped = un64u(jwe["encrypted_key"])
    if head["alg"] == "ECDH-ES+A256KW":
        z = key.exchange(ec.ECDH(), public_of(head["epk"]))
        cek = keywrap.aes_key_unwrap(concat_kdf(z, head["alg"], 256), wrapped)
    else:
        assert head["alg"] == "RSA-OAEP-256", head
        cek = key.decrypt(wrapped, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    return AESGCM(cek).decrypt(un64u(jwe["iv"]), un64u(jwe["ciphertext"]) + un64u(jwe["tag"]), jwe["protected"].encode())


def jwe_seal(jwk, plain):
    """What a broker does: flattened JWE for the key in jwk."""
    cek, iv = os.urandom(32), os.urandom(12)
    head = {"alg": jwk["alg"], "enc": "A256GCM"}
    if jwk["kty"] == "RSA":
        wrapped = public_of(jwk).encrypt(cek, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    else:
        eph = ec.generate_private_key(CURVES[jwk["crv"]][0]())
        head["epk"] = {k: v for k, v in jwk_of(eph, "").items() if k != "alg"}
        wrapped = keywrap.aes_key_wrap(concat_kdf(eph.exchange(ec.ECDH(), public_of(jwk)), jwk["alg"], 256), cek)
    protected = b64u(json.dumps(head).encode())
    sealed = AESGCM(cek).encrypt(iv, plain, protected.encode())
    return {"protected": protected, "encrypted_key": b64u(wrapped), "iv": b64u(iv), "ciphertext": b64u(sealed[:-16]),
            "tag": b64u(sealed[-16:])}


def report_data(nonce, jwk, additional=""):
    """SHA-384 over the RFC 8785 form; these values hold nothing that json.dumps would write otherwise."""
    text = json.dumps({"additional-evidence": additional, "nonce": nonce, "tee-pubkey": jwk}, sort_keys=True,
                      separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha384(text.encode()).digest()


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


class Client:
    def __init__(self, host, port, ca, key=None):
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.http = http.client.HTTPSConnection(host, port, context=context, timeout=20)
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.alg = "RSA-OAEP-256" if isinstance(self.key, rsa.RSAPrivateKey) else "ECDH-ES+A256KW"
        self.cookie = self.token = None

    def ask(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if self.cookie and "Cookie" not in headers and "Authorization" not in headers:
            headers["Cookie"] = f"kbs-session-id={self.cookie}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        self.http.request(method, "/kbs/v0/" + path, body=None if body is None else json.dumps(body), headers=headers)
        r = self.http.getresponse()
        text = r.read()
        for h in r.headers.get_all("Set-Cookie") or []:
            name, _, value = h.split(";")[0].partition("=")
            if name == "kbs-session-id":
                self.cookie = value
        if r.status != 200:
            raise Refused(r.status, json.loads(text))
        return json.loads(text)

    def auth(self, tee="sample", version="0.4.0", extra=""):
        self.nonce = self.ask("POST", "auth", {"version": version, "tee": tee, "extra-params": extra})["nonce"]
        return self.nonce

    def attest(self, evidence=None, nonce=None, **more):
        jwk = jwk_of(self.key, self.alg)
        nonce = nonce or self.nonce
        if evidence is None:
            evidence = {"svn": "1", "report_data": base64.b64encode(report_data(nonce, jwk)).decode()}
        body = {"runtime-data": {"nonce": nonce, "tee-pubkey": jwk},
                "tee-evidence": {"primary_evidence": evidence, "additional_evidence": ""}}
        body.update(more)
        self.token = self.ask("POST", "attest", body)["token"]
        return self.token

    def get(self, resource, **kw):
        return jwe_open(self.key, self.ask("GET", "resource/" + resource, **kw))
