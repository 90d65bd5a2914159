"""Reads the mails of a folder with Python's own reader; prints one JSON object for each file name."""

import hashlib
import json
import pathlib
import sys
from email import message_from_string, policy


def read(raw):
    # Header addresses outside ASCII are UTF-8 (RFC 6532); everything else in our mails is ASCII.
    mail = message_from_string(raw.decode("utf-8"), policy=policy.default)
    fields = mail.items()
    bodies = {}
    attachments = []
    for part, kind in leaves(mail):
        is_body = kind in ("text/plain", "text/html") and part["content-disposition"] is None
        if is_body:
            bodies[kind] = part.get_content()
        else:
            attachments.append(attachment(part, kind))
    return {
        "names": [name for name, _ in fields],
        "subject": mail["subject"],
        "from": addresses(mail["from"]),
        "to": addresses(mail["to"]),
        "cc": addresses(mail["cc"]),
        "headers": {name: str(value) for name, value in fields if name.startswith("X-")},
        "text": bodies.get("text/plain"),
        "html": bodies.get("text/html"),
        "attachments": attachments,
        "defects": [str(defect) for part in mail.walk() for defect in part.defects],
    }


def leaves(part):
    kind = part.get_content_type()
    if not kind.startswith("multipart/"):
        yield part, kind
        return
    for inner in part.get_payload():
        yield from leaves(inner)


def attachment(part, kind):
    within = kind == "message/rfc822"
    content = part.get_payload(0).as_bytes(policy=policy.SMTP) if within else part.get_payload(decode=True)
    cid = part["content-id"]
    return {
        "name": part.get_filename(),
        "type": kind,
        "cid": None if cid is None else cid.strip().strip("<>"),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def addresses(header):
    return [] if header is None else [[one.display_name, one.addr_spec] for one in header.addresses]


folder = pathlib.Path(sys.argv[1])
json.dump({file.name: read(file.read_bytes()) for file in folder.glob("*.eml")}, sys.stdout)
