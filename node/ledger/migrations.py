"""The tables, step by step. A migration that has run anywhere is never changed."""

import json
from typing import Any

from sqlite_utils import Database, Migrations

from node import base64url
from node.ledger.sqlite import append_only

migrations = Migrations("kpnode")

_APPEND_ONLY = (
    "entries", "nodes", "checkpoints", "stream_out", "stream_in", "seen_checkpoints", "acts", "home",
)  # fmt: skip


@migrations(name="0001-ledger")
def _ledger(db: Database) -> None:
    tables = """
        CREATE TABLE documents (
          doc_id TEXT PRIMARY KEY CHECK (length(doc_id) = 43),
          typ TEXT NOT NULL, iss TEXT NOT NULL, iat INTEGER NOT NULL,
          jws BLOB NOT NULL) STRICT;
        CREATE TABLE entries (
          idx INTEGER PRIMARY KEY CHECK (idx >= 0),
          doc_id TEXT NOT NULL UNIQUE,
          leaf BLOB NOT NULL CHECK (length(leaf) = 32),
          recorded_at INTEGER NOT NULL) STRICT;
        CREATE TABLE nodes (
          level INTEGER NOT NULL, idx INTEGER NOT NULL,
          hash BLOB NOT NULL CHECK (length(hash) = 32),
          PRIMARY KEY (level, idx)) STRICT, WITHOUT ROWID;
        CREATE TABLE checkpoints (
          size INTEGER PRIMARY KEY, root BLOB NOT NULL, note TEXT NOT NULL,
          signed_at INTEGER NOT NULL) STRICT;

        CREATE TABLE stream_out (
          peer TEXT NOT NULL, position INTEGER NOT NULL CHECK (position > 0),
          doc_id TEXT NOT NULL, head BLOB NOT NULL CHECK (length(head) = 32),
          queued_at INTEGER NOT NULL,
          PRIMARY KEY (peer, position)) STRICT, WITHOUT ROWID;
        CREATE INDEX stream_out_doc ON stream_out (doc_id);
        CREATE TABLE stream_in (
          peer TEXT NOT NULL, position INTEGER NOT NULL CHECK (position > 0),
          doc_id TEXT NOT NULL, head BLOB NOT NULL CHECK (length(head) = 32),
          received_at INTEGER NOT NULL,
          PRIMARY KEY (peer, position)) STRICT, WITHOUT ROWID;
        CREATE INDEX stream_in_doc ON stream_in (doc_id, peer);
        CREATE TABLE outcomes (
          peer TEXT NOT NULL, doc_id TEXT NOT NULL,
          outcome TEXT NOT NULL CHECK (outcome IN ('accepted', 'duplicate', 'rejected')),
          idx INTEGER, errors TEXT NOT NULL, receipt TEXT NOT NULL, at INTEGER NOT NULL,
          PRIMARY KEY (peer, doc_id)) STRICT, WITHOUT ROWID;
        CREATE TABLE quarantine (
          peer TEXT NOT NULL, position INTEGER NOT NULL, doc_id TEXT NOT NULL,
          size_bytes INTEGER NOT NULL, jws BLOB, errors TEXT NOT NULL, judged_at INTEGER NOT NULL,
          PRIMARY KEY (peer, position)) STRICT, WITHOUT ROWID;
        CREATE TABLE rejudged (
          peer TEXT NOT NULL, doc_id TEXT NOT NULL, idx INTEGER NOT NULL,
          named_in TEXT, named_size INTEGER,
          PRIMARY KEY (peer, doc_id)) STRICT, WITHOUT ROWID;
        CREATE INDEX quarantine_doc ON quarantine (peer, doc_id);

        CREATE TABLE sent (
          manifest TEXT PRIMARY KEY, peer TEXT NOT NULL, jws BLOB NOT NULL,
          first INTEGER NOT NULL, last INTEGER NOT NULL, made_at INTEGER NOT NULL) STRICT;
        CREATE INDEX sent_peer ON sent (peer, made_at);
        CREATE TABLE receipts (
          manifest TEXT PRIMARY KEY, peer TEXT NOT NULL,
          direction TEXT NOT NULL CHECK (direction IN ('given', 'held')),
          jws BLOB NOT NULL, at INTEGER NOT NULL, until INTEGER) STRICT;
        CREATE INDEX receipts_until ON receipts (until) WHERE until IS NOT NULL;
        CREATE TABLE peers (
          authority TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, pinned_at INTEGER NOT NULL,
          in_flight TEXT, acknowledged INTEGER NOT NULL DEFAULT 0,
          proven_size INTEGER NOT NULL DEFAULT 0, known INTEGER NOT NULL DEFAULT 0,
          attempts INTEGER NOT NULL DEFAULT 0, next_try INTEGER NOT NULL DEFAULT 0,
          batch INTEGER NOT NULL DEFAULT 1000, last_error TEXT,
          last_out INTEGER, last_in INTEGER, bad_proofs INTEGER NOT NULL DEFAULT 0,
          lease TEXT, lease_until INTEGER NOT NULL DEFAULT 0) STRICT;
        CREATE TABLE seen_checkpoints (
          peer TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL,
          at INTEGER NOT NULL, PRIMARY KEY (peer, size)) STRICT, WITHOUT ROWID;
        CREATE TABLE incidents (
          id INTEGER PRIMARY KEY, peer TEXT NOT NULL, code TEXT NOT NULL,
          direction TEXT NOT NULL CHECK (direction IN ('in', 'out', 'both')),
          detail TEXT NOT NULL, evidence TEXT NOT NULL, at INTEGER NOT NULL,
          resolved_at INTEGER, because TEXT) STRICT;
        CREATE TABLE spot_checks (
          peer TEXT NOT NULL, doc_id TEXT NOT NULL, idx INTEGER NOT NULL,
          PRIMARY KEY (peer, doc_id)) STRICT, WITHOUT ROWID;
        CREATE TABLE tokens (
          iss TEXT NOT NULL, jti TEXT NOT NULL, until INTEGER NOT NULL,
          PRIMARY KEY (iss, jti)) STRICT, WITHOUT ROWID;

        CREATE TABLE certificates (
          participant TEXT NOT NULL, number TEXT NOT NULL, doc_id TEXT NOT NULL UNIQUE,
          side TEXT NOT NULL CHECK (side IN ('exporter', 'importer')), peer TEXT NOT NULL,
          state TEXT NOT NULL, PRIMARY KEY (participant, number)) STRICT, WITHOUT ROWID;
        CREATE TABLE life (
          certificate TEXT NOT NULL, idx INTEGER NOT NULL, event TEXT NOT NULL,
          doc_id TEXT NOT NULL, state TEXT NOT NULL,
          PRIMARY KEY (certificate, idx)) STRICT, WITHOUT ROWID;
        CREATE TABLE drafts (
          number TEXT PRIMARY KEY, doc_id TEXT NOT NULL,
          state TEXT NOT NULL, officer TEXT) STRICT;
        CREATE TABLE papers (
          number TEXT PRIMARY KEY, authority TEXT NOT NULL, doc_id TEXT NOT NULL) STRICT;
        CREATE TABLE re_exports (
          number TEXT NOT NULL, carats TEXT NOT NULL, used_by TEXT NOT NULL,
          PRIMARY KEY (number, used_by)) STRICT, WITHOUT ROWID;
        CREATE TABLE home (
          one INTEGER PRIMARY KEY CHECK (one = 1), origin TEXT NOT NULL) STRICT;
        CREATE TABLE acts (
          id INTEGER PRIMARY KEY, at INTEGER NOT NULL, verb TEXT NOT NULL, subject TEXT NOT NULL,
          office TEXT, officer TEXT, account TEXT NOT NULL) STRICT
        """
    _run(db, tables)
    for table in _APPEND_ONLY:
        append_only(db.conn, table)
    _immutable_documents(db)


def _immutable_documents(db: Database) -> None:
    # A document's bytes are never changed; after retention they may be erased.
    db.conn.execute(
        "CREATE TRIGGER documents_no_update BEFORE UPDATE ON documents "
        "BEGIN SELECT RAISE(ABORT, 'documents are immutable'); END"
    )


@migrations(name="0002-delivery")
def _delivery(db: Database) -> None:
    _run(
        db,
        """
        ALTER TABLE peers ADD COLUMN paused_at INTEGER;
        ALTER TABLE peers ADD COLUMN paused_because TEXT;
        ALTER TABLE peers ADD COLUMN looked_through INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE peers ADD COLUMN proven_at INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE peers ADD COLUMN shown_size INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE receipts ADD COLUMN bridge BLOB;
        ALTER TABLE sent ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE sent ADD COLUMN carried INTEGER NOT NULL DEFAULT 0;
        CREATE TABLE key_sets (
          authority TEXT NOT NULL, fingerprint TEXT NOT NULL, jwks BLOB NOT NULL,
          pinned_at INTEGER NOT NULL,
          PRIMARY KEY (authority, fingerprint)) STRICT, WITHOUT ROWID;
        CREATE TABLE logs (
          number INTEGER PRIMARY KEY CHECK (number > 1),
          predecessor TEXT NOT NULL, because TEXT NOT NULL, began_at INTEGER NOT NULL) STRICT;
        CREATE TABLE places_taken (
          peer TEXT NOT NULL, position INTEGER NOT NULL, head BLOB NOT NULL CHECK (length(head) = 32),
          at INTEGER NOT NULL, PRIMARY KEY (peer, position)) STRICT, WITHOUT ROWID;
        CREATE TABLE recovery (
          peer TEXT PRIMARY KEY, silent INTEGER NOT NULL CHECK (silent IN (0, 1))) STRICT;
        ALTER TABLE seen_checkpoints RENAME TO seen_before;
        CREATE TABLE seen_checkpoints (
          peer TEXT NOT NULL, log INTEGER NOT NULL, size INTEGER NOT NULL,
          root BLOB NOT NULL, note TEXT NOT NULL, at INTEGER NOT NULL,
          PRIMARY KEY (peer, log, size)) STRICT, WITHOUT ROWID;
        INSERT INTO seen_checkpoints SELECT peer, 1, size, root, note, at FROM seen_before;
        DROP TABLE seen_before;
        CREATE INDEX documents_succession ON documents (iss)
          WHERE typ = 'vnd.kp.succession.v1+jwt'
        """,
    )
    for table in ("seen_checkpoints", "logs", "key_sets", "places_taken"):
        append_only(db.conn, table)


@migrations(name="0003-growth")
def _growth(db: Database) -> None:
    """One index with random keys, the doc id's; everything else grows at its end.

    Parties get a table of their own, so that certificates are found by them.
    """
    _run(
        db,
        """
        CREATE TABLE documents_new (
          idx INTEGER PRIMARY KEY CHECK (idx >= 0),
          doc_id TEXT NOT NULL UNIQUE CHECK (length(doc_id) = 43),
          typ TEXT NOT NULL, iss TEXT NOT NULL, iat INTEGER NOT NULL,
          jws BLOB NOT NULL) STRICT;
        INSERT INTO documents_new SELECT e.idx, d.doc_id, d.typ, d.iss, d.iat, d.jws
          FROM entries e JOIN documents d USING (doc_id) ORDER BY e.idx;
        DROP TABLE documents;
        ALTER TABLE documents_new RENAME TO documents;
        CREATE INDEX documents_succession ON documents (iss)
          WHERE typ = 'vnd.kp.succession.v1+jwt';
        CREATE TABLE entries_new (
          idx INTEGER PRIMARY KEY CHECK (idx >= 0),
          doc_id TEXT NOT NULL,
          leaf BLOB NOT NULL CHECK (length(leaf) = 32),
          recorded_at INTEGER NOT NULL) STRICT;
        INSERT INTO entries_new SELECT idx, doc_id, leaf, recorded_at FROM entries ORDER BY idx;
        DROP TABLE entries;
        ALTER TABLE entries_new RENAME TO entries;
        DROP INDEX stream_in_doc;

        CREATE TABLE parties (
          party INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, folded TEXT NOT NULL) STRICT;
        CREATE TABLE certificates_before AS SELECT * FROM certificates;
        DROP TABLE certificates;
        CREATE TABLE certificates (
          participant TEXT NOT NULL, number TEXT NOT NULL, doc_id TEXT NOT NULL,
          side TEXT NOT NULL CHECK (side IN ('exporter', 'importer')), peer TEXT NOT NULL,
          state TEXT NOT NULL, entry INTEGER NOT NULL UNIQUE,
          exporter INTEGER NOT NULL, importer INTEGER NOT NULL,
          PRIMARY KEY (participant, number)) STRICT, WITHOUT ROWID;
        CREATE INDEX certificates_number ON certificates (number);
        CREATE INDEX certificates_exporter ON certificates (exporter, number);
        CREATE INDEX certificates_importer ON certificates (importer, number)
        """,
    )
    append_only(db.conn, "entries")
    _immutable_documents(db)
    held = db.conn.execute(
        "SELECT c.participant, c.number, c.doc_id, c.side, c.peer, c.state, d.idx, d.jws "
        "FROM certificates_before c JOIN documents d USING (doc_id) ORDER BY d.idx"
    )
    for *row, jws in held:
        body = json.loads(base64url.decode(bytes(jws).split(b".")[1]))["body"]
        parties = []
        for role in ("exporter", "importer"):
            name = body[role]["name"]
            db.conn.execute(
                "INSERT OR IGNORE INTO parties (name, folded) VALUES (?, ?)",
                (name, name.casefold()),
            )
            found = db.conn.execute("SELECT party FROM parties WHERE name = ?", (name,))
            parties.append(found.fetchone()[0])
        db.conn.execute(
            "INSERT INTO certificates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, *parties)
        )
    db.conn.execute("DROP TABLE certificates_before")


@migrations(name="0004-watch")
def _watch(db: Database) -> None:
    _run(
        db,
        """
        CREATE TABLE deliveries (
          id INTEGER PRIMARY KEY, peer TEXT NOT NULL,
          at INTEGER NOT NULL, until INTEGER NOT NULL, tries INTEGER NOT NULL,
          first INTEGER NOT NULL, last INTEGER NOT NULL,
          step TEXT NOT NULL, error TEXT, took_s REAL) STRICT;
        CREATE INDEX deliveries_peer ON deliveries (peer, id);
        CREATE INDEX certificates_state ON certificates (side, state);
        CREATE INDEX acts_verb ON acts (verb, id);
        ALTER TABLE peers ADD COLUMN last_step TEXT;
        ALTER TABLE peers ADD COLUMN clock_s INTEGER;
        CREATE TABLE alerts (
          code TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL,
          since INTEGER NOT NULL, opened_at INTEGER, better_since INTEGER,
          PRIMARY KEY (code, subject)) STRICT, WITHOUT ROWID
        """,
    )


@migrations(name="0005-between-authorities")
def _between_authorities(db: Database) -> None:
    _run(
        db,
        """
        CREATE TABLE inquiries (
          doc_id TEXT PRIMARY KEY, entry INTEGER NOT NULL, number TEXT NOT NULL,
          peer TEXT NOT NULL, sent INTEGER NOT NULL CHECK (sent IN (0, 1)),
          asks TEXT NOT NULL, answer_by TEXT NOT NULL, asked_at INTEGER NOT NULL,
          first TEXT NOT NULL, answer TEXT, verdict TEXT, answered_at INTEGER) STRICT;
        CREATE INDEX inquiries_number ON inquiries (number, entry);
        CREATE INDEX inquiries_open ON inquiries (entry) WHERE answer IS NULL;
        CREATE TABLE register (
          doc_id TEXT PRIMARY KEY, entry INTEGER NOT NULL, iss TEXT NOT NULL,
          subject TEXT NOT NULL, participant TEXT NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,
          reason TEXT NOT NULL, raised_at INTEGER NOT NULL, standing TEXT NOT NULL,
          CHECK (length(first) = length(last))) STRICT;
        CREATE INDEX register_numbers ON register (participant, first);
        CREATE TABLE said (
          alert TEXT NOT NULL, entry INTEGER NOT NULL, doc_id TEXT NOT NULL,
          PRIMARY KEY (alert, entry)) STRICT, WITHOUT ROWID;
        CREATE TABLE looked_at (
          certificate TEXT PRIMARY KEY, entry INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE profiles (
          entry INTEGER PRIMARY KEY, doc_id TEXT NOT NULL, authority TEXT NOT NULL,
          begins TEXT NOT NULL, body TEXT NOT NULL) STRICT;
        CREATE TABLE admissions (
          number TEXT PRIMARY KEY, authority TEXT NOT NULL, carats TEXT NOT NULL,
          doc_id TEXT NOT NULL) STRICT;
        CREATE TABLE adjustments (
          doc_id TEXT PRIMARY KEY, number TEXT NOT NULL, carats TEXT NOT NULL) STRICT;
        CREATE INDEX adjustments_number ON adjustments (number);
        CREATE INDEX re_exports_used_by ON re_exports (used_by)
        """,
    )


@migrations(name="0006-api")
def _api(db: Database) -> None:
    _run(
        db,
        """
        CREATE TABLE access_tokens (
          id TEXT PRIMARY KEY, name TEXT NOT NULL, digest BLOB NOT NULL CHECK (length(digest) = 32),
          scopes TEXT NOT NULL, made_at INTEGER NOT NULL, until INTEGER NOT NULL,
          revoked_at INTEGER, last_used INTEGER) STRICT;
        CREATE TABLE answers_given (
          token TEXT NOT NULL, key TEXT NOT NULL, request BLOB NOT NULL, answer TEXT NOT NULL,
          at INTEGER NOT NULL, PRIMARY KEY (token, key)) STRICT, WITHOUT ROWID;
        CREATE INDEX answers_given_at ON answers_given (at)
        """,
    )


@migrations(name="0007-webhooks")
def _webhooks(db: Database) -> None:
    _run(
        db,
        """
        CREATE TABLE subscribers (
          id TEXT PRIMARY KEY, url TEXT NOT NULL, made_at INTEGER NOT NULL,
          cursor INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
          next_try INTEGER NOT NULL DEFAULT 0, last_error TEXT, stopped_at INTEGER) STRICT
        """,
    )


@migrations(name="0008-search")
def _search(db: Database) -> None:
    _run(
        db,
        """
        CREATE TABLE seals (
          seal TEXT NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY (seal, entry)) STRICT, WITHOUT ROWID;
        ALTER TABLE certificates ADD COLUMN issued_on TEXT NOT NULL DEFAULT '';
        ALTER TABLE certificates ADD COLUMN expires_on TEXT NOT NULL DEFAULT ''
        """,
    )
    held = db.conn.execute(
        "SELECT c.entry, d.jws FROM certificates c JOIN documents d ON d.idx = c.entry UNION ALL "
        "SELECT c.entry, d.jws FROM life l JOIN documents d USING (idx) "
        "JOIN documents o ON o.doc_id = l.certificate JOIN certificates c ON c.entry = o.idx"
    )
    days = []
    for entry, jws in held:
        body = json.loads(base64url.decode(bytes(jws).split(b".")[1]))["body"]
        db.conn.executemany(
            "INSERT OR IGNORE INTO seals VALUES (?, ?)",
            [(container["seal"], entry) for container in body.get("containers", ())],
        )
        if "mining_origins" in body:
            days.append((body["issued_on"], body["expires_on"], entry))
    db.conn.executemany(
        "UPDATE certificates SET issued_on = ?, expires_on = ? WHERE entry = ?", days
    )


@migrations(name="0009-long-lives")
def _long_lives(db: Database) -> None:
    """What is asked with every bundle costs the same after twenty years; leaves stand once."""
    _run(
        db,
        """
        DROP INDEX sent_peer;
        CREATE INDEX sent_until ON sent (peer, until, manifest);
        CREATE INDEX rejudged_order ON rejudged (peer, idx);
        DROP TRIGGER nodes_no_delete;
        DELETE FROM nodes WHERE level = 0
        """,
    )
    append_only(db.conn, "nodes", "DELETE")


@migrations(name="0010-papers")
def _papers(db: Database) -> None:
    """Goods on a paper alone have a state; what was found before export stands beside the draft."""
    _run(
        db,
        """
        ALTER TABLE papers ADD COLUMN state TEXT NOT NULL DEFAULT 'presented without announcement';
        UPDATE papers SET state = 'admitted on paper'
          WHERE number IN (SELECT number FROM admissions);
        INSERT INTO life (certificate, idx, event, doc_id, state)
          SELECT p.doc_id, d.idx, 'record:admission', a.doc_id, p.state
          FROM papers p JOIN admissions a USING (number) JOIN documents d ON d.doc_id = a.doc_id;
        ALTER TABLE drafts ADD COLUMN found TEXT NOT NULL DEFAULT '{}'
        """,
    )
    inspected = "SELECT 1 FROM drafts WHERE state = 'inspected before export'"
    if db.conn.execute(inspected).fetchone() is None:
        return  # else all records are looked at, of which there may be many
    records = db.conn.execute(
        "SELECT jws FROM documents WHERE typ = 'vnd.kp.record.v1+jwt' AND jws IS NOT NULL ORDER BY idx"
    )
    found: dict[str, dict[str, Any]] = {}
    for (jws,) in records:
        body = json.loads(base64url.decode(bytes(jws).split(b".")[1]))["body"]
        if body["act"] == "export-inspection":
            found.setdefault(body["number"], {}).update(body["found"])
    db.conn.executemany(
        "UPDATE drafts SET found = ? WHERE number = ?",
        [
            (json.dumps(told, ensure_ascii=False, separators=(",", ":")), number)
            for number, told in found.items()
        ],
    )


def _run(db: Database, statements: str) -> None:
    # One by one: executescript would commit the migration's transaction first.
    for statement in statements.split(";"):
        db.conn.execute(statement)
