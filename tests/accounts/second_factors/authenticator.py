"""A software authenticator: it makes passkeys and signs with them. A test can make it sign a lie."""

import hashlib
import json
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import encode_cbor

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def text_of(raw):
    """Base64url without padding."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


def bytes_of(text):
    """The bytes of such a base64url text."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """One passkey at `origin`; `counts` says whether it counts its uses."""

    def __init__(self, *, origin="http://testserver", counts=True):
        self.origin, self.counts = origin, counts
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = secrets.token_bytes(32)
        self.sign_count = 0
        self.handle = None

    def _client_data(self, kind, challenge, origin):
        facts = {"type": kind, "challenge": challenge, "origin": origin or self.origin, "crossOrigin": False}
        return json.dumps(facts).encode()

    def _data(self, rp_id, flags, attested=b""):
        return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.sign_count) + attested

    def _written(self, **response):
        parts = {name: text_of(value) if value is not None else None for name, value in response.items()}
        id_ = text_of(self.credential_id)
        return json.dumps({"id": id_, "rawId": id_, "type": "public-key", "response": parts})

    def create(self, options, *, origin=None, rp_id=None, challenge=None):
        """The answer to registration options."""
        self.handle = bytes_of(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        public = encode_cbor({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)})
        attested = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id + public
        data = self._data(rp_id or options["rp"]["id"], PRESENT | VERIFIED | ATTESTED, attested)
        return self._written(
            clientDataJSON=self._client_data("webauthn.create", challenge or options["challenge"], origin),
            attestationObject=encode_cbor({"fmt": "none", "attStmt": {}, "authData": data}),
        )

    def get(self, options, *, origin=None, rp_id=None, challenge=None, verified=True, handle=..., signer=None):
        """The answer to assertion options."""
        self.sign_count += self.counts
        data = self._data(rp_id or options["rpId"], PRESENT | (VERIFIED if verified else 0))
        client_data = self._client_data("webauthn.get", challenge or options["challenge"], origin)
        signed = data + hashlib.sha256(client_data).digest()
        return self._written(
            clientDataJSON=client_data,
            authenticatorData=data,
            signature=(signer or self.key).sign(signed, ec.ECDSA(hashes.SHA256())),
            userHandle=self.handle if handle is ... else handle,
        )
