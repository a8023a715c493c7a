"""What receivers of messages do, with libraries that others wrote: decrypt Web Push (http-ece), verify VAPID and the
assertions of service accounts (PyJWT), verify webhooks (standardwebhooks), make keys and certificates, serve mail over
STARTTLS (aiosmtpd). A question is JSON on stdin, the answer JSON on stdout."""

import base64
import datetime
import json
import sys


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pem(key):
    from cryptography.hazmat.primitives import serialization as s

    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode()


def browser(_):
    """The keys that a browser makes when it subscribes."""
    import os
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(s.Encoding.X962, s.PublicFormat.UncompressedPoint)
    return {"private": pem(key), "p256dh": b64(point), "auth": b64(os.urandom(16))}


def web_push(question):
    """What a browser reads, and what its push service checks of the sender."""
    import http_ece
    import jwt
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    key = s.load_pem_private_key(question["private"].encode(), None)
    body = base64.b64decode(question["body"])
    content = http_ece.decrypt(body, private_key=key, auth_secret=unb64(question["auth"]), version="aes128gcm")
    scheme, parameters = question["authorization"].split(" ", 1)
    assert scheme == "vapid", scheme
    parameters = dict(part.strip().split("=", 1) for part in parameters.split(","))
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unb64(parameters["k"]))
    claims = jwt.decode(parameters["t"], point, algorithms=["ES256"], audience=question["audience"])
    return {"content": json.loads(content), "claims": claims, "key": parameters["k"]}


def service_account(question):
    """The file of a service account, and the key that its assertions are verified with."""
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode()
    account = {
        "type": "service_account",
        "project_id": "example-project",
        "private_key_id": "key-1",
        "private_key": pem(key),
        "client_email": "bank@example-project.iam.example",
        "token_uri": question["token_uri"],
    }
    return {"account": account, "public": public}


def assertion(question):
    import jwt

    claims = jwt.decode(question["assertion"], question["public"], algorithms=["RS256"], audience=question["audience"])
    return {"claims": claims, "header": jwt.get_unverified_header(question["assertion"])}


def webhook(question):
    from standardwebhooks import Webhook, WebhookVerificationError

    try:
        content = Webhook(question["secret"]).verify(question["body"], question["headers"])
    except WebhookVerificationError as error:
        return {"refused": str(error)}
    return {"content": content if not isinstance(content, (bytes, str)) else json.loads(content)}


def certificate(_):
    """A certificate of localhost, and that of the authority that signed it."""
    import ipaddress
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)

    def named(name):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

    def signed(name, key, issuer, issuer_key, is_authority):
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(issuer))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=10))
        builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), True)
        if not is_authority:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(s.Encoding.PEM).decode()

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    return {
        "authority": signed("authority", authority, "authority", authority, True),
        "certificate": signed("localhost", own, "authority", authority, False),
        "private": pem(own),
    }


def serve_mail(port, certificate_file, key_file, folder, tls):
    """aiosmtpd, which takes mail only over TLS and only from the user `bank`; each mail becomes a file."""
    import asyncio
    import os
    import ssl
    from aiosmtpd.smtp import SMTP, AuthResult

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate_file, key_file)

    class Handler:
        async def handle_RCPT(self, server, session, envelope, address, options):
            if address.startswith("nobody"):
                return "550 no such user"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, server, session, envelope):
            name = os.path.join(folder, str(len(os.listdir(folder))))
            with open(name + ".aside", "wb") as file:
                file.write(envelope.content)
            os.rename(name + ".aside", name + ".eml")
            return "250 taken"

    def authenticate(server, session, envelope, mechanism, data):
        good = data.login == b"bank" and data.password == b"secret"
        return AuthResult(success=good, handled=good)

    def factory():
        wanted = {"authenticator": authenticate, "auth_required": True, "hostname": "localhost"}
        if tls == "starttls":
            return SMTP(Handler(), tls_context=context, require_starttls=True, **wanted)
        return SMTP(Handler(), auth_require_tls=False, **wanted)

    async def serve():
        secured = context if tls == "tls" else None
        server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", port, ssl=secured)
        async with server:
            await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    if sys.argv[1] == "serve-mail":
        serve_mail(int(sys.argv[2]), *sys.argv[3:7])
    else:
        answers = {
            "browser": browser,
            "web-push": web_push,
            "service-account": service_account,
            "assertion": assertion,
            "webhook": webhook,
            "certificate": certificate,
        }
        json.dump(answers[sys.argv[1]](json.load(sys.stdin)), sys.stdout)
