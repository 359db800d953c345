"""Every check of a document: its rule id, its stable code, its source.

One entry a rule; `docs/rules.md` lists the same and a test compares them. Programs
branch on the code (protocol section 7), people look the rule up.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule demands (one sentence), the code of its refusal and its source."""

    code: str
    demand: str
    source: str


RULES: dict[str, Rule] = {
    # Bytes, JWS and header
    "KP-J-001": Rule(
        "not-json",
        "Input handed to a command is strict JSON: UTF-8, no duplicate member, no NaN.",
        "protocol 2; RFC 8259 section 4",
    ),
    "KP-J-002": Rule(
        "not-a-jws",
        "A document is a compact JWS: base64url, two dots, strict JSON in header and payload.",
        "protocol 2; RFC 7515 section 3.1",
    ),
    "KP-J-003": Rule(
        "too-large",
        "A document has at most 256 KiB; a manifest or receipt at most 1 MiB.",
        "protocol 2",
    ),
    "KP-J-004": Rule(
        "bad-header",
        "The header is exactly alg (Ed25519 or ES256), kid (a thumbprint) and typ.",
        "protocol 2; RFC 8725 section 3.1",
    ),
    "KP-J-005": Rule(
        "unknown-type",
        "typ is a kind and version this node accepts in this place.",
        "protocol 2; RFC 8725 section 3.11",
    ),
    "KP-J-006": Rule(
        "not-csv",
        "A table handed to a command is CSV in UTF-8, with the columns of certificate export.",
        "RFC 4180",
    ),
    "KP-J-007": Rule(
        "not-judged",
        "The node can judge the document; where it fails at one, that is kept for a later version.",
        "protocol 3 rule 1",
    ),
    # Signature and trust
    "KP-S-001": Rule(
        "unknown-issuer",
        "The issuer has a pinned key set here.",
        "protocol 6; RFC 8725 section 3.8",
    ),
    "KP-S-002": Rule(
        "bad-signature",
        "The signature verifies with the key named, and alg is that key's.",
        "protocol 6; RFC 7515 section 5.2",
    ),
    "KP-S-003": Rule(
        "wrong-key-role",
        "The key has the role for this kind: doc, msg or log.",
        "protocol 2",
    ),
    "KP-S-004": Rule(
        "unknown-key",
        "The issuer's pinned set has a key with this kid.",
        "protocol 2; RFC 8725 section 3.8",
    ),
    "KP-S-005": Rule(
        "key-not-current",
        "The key was in use at iat (120 s of grace at both ends).",
        "protocol 6",
    ),
    "KP-S-006": Rule("revoked-key", "The key is not revoked.", "protocol 6"),
    # Who speaks to whom
    "KP-A-001": Rule("wrong-audience", "aud has this authority.", "protocol 6"),
    "KP-A-002": Rule("wrong-sandbox", "Sandbox and production documents never mix.", "protocol 2"),
    "KP-A-003": Rule(
        "wrong-authority",
        "iss is the peer that sent the document, and may issue this kind.",
        "protocol 6",
    ),
    "KP-A-004": Rule("unknown-recipient", "to is a peer of this node.", "protocol 7"),
    "KP-A-005": Rule(
        "wrong-authority",
        "The body speaks for the authority that signed it: issued_by, confirmed_by, participant.",
        "protocol 2; KPCS section II",
    ),
    "KP-A-006": Rule(
        "wrong-authority",
        "A succession names a log of its issuer, and a checkpoint of a log before it.",
        "protocol 5",
    ),
    "KP-A-007": Rule(
        "wrong-authority",
        "The issuer's own profile of the day lets it issue the kind.",
        "Order 269 article 19; domain brief S37",
    ),
    "KP-A-008": Rule(
        "wrong-authority",
        "Where the issuer has announced its signatories, one of them has issued and validated.",
        "domain brief 2.8, 3.1",
    ),
    # Form
    "KP-D-001": Rule(
        "schema-invalid", "Envelope and body have the form of their kind's schema.", "protocol 2"
    ),
    "KP-D-002": Rule(
        "schema-invalid",
        "Text is NFC, without control characters, bidirectional overrides or outer white space.",
        "protocol 1",
    ),
    "KP-D-003": Rule("schema-invalid", "Lists of names are sorted and unique.", "protocol 2"),
    "KP-B-001": Rule(
        "malformed-bundle",
        "A bundle's lines are what its manifest names, byte for byte.",
        "protocol 3",
    ),
    # Certificate
    "KP-C-001": Rule(
        "number-pattern",
        "The number has the issuer's form and starts with its participant's letters.",
        "KPCS Annex I A; domain brief 2.1",
    ),
    "KP-C-002": Rule(
        "number-range",
        "The number lies in a range its issuer has announced.",
        "domain brief 2.1, 2.8",
    ),
    "KP-C-003": Rule(
        "number-conflict",
        "A participant uses a number once.",
        "KPCS Annex I A (unique numbering)",
    ),
    "KP-C-004": Rule(
        "not-a-participant",
        "Provenance and destination are participants on the day of issue.",
        "KPCS section III (c); Order 269 article 5",
    ),
    "KP-C-005": Rule(
        "route-inconsistent",
        "Provenance is the issuer's participant.",
        "protocol 2; KPCS section I",
    ),
    "KP-C-006": Rule(
        "route-inconsistent",
        "Destination is the addressee's participant and not the provenance (but within CN).",
        "protocol 2; domain brief 2.2",
    ),
    "KP-C-007": Rule(
        "dates-inconsistent",
        "The certificate expires after the day of issue; when issuing, not in the past.",
        "KPCS Annex I A",
    ),
    "KP-C-008": Rule(
        "validity-too-long",
        "The validity is at most what the issuer's rule allows.",
        "Order 269 article 14; EU Regulation 2368/2002 article 12(5)",
    ),
    "KP-C-009": Rule(
        "issued-in-future",
        "issued_on is a day that has begun somewhere; iat is at most 120 s ahead.",
        "protocol 7",
    ),
    "KP-C-010": Rule(
        "hs-out-of-scope",
        "Every line is 7102.10, 7102.21 or 7102.31.",
        "KPCS section I; Order 269 article 19",
    ),
    "KP-C-011": Rule(
        "sums-differ", "Lines add up to the totals, exactly.", "protocol 1; UN A/76 item 50b"
    ),
    "KP-C-012": Rule(
        "origin-inconsistent",
        "Unmixed goods have one mining origin, mixed goods none or at least two.",
        "KPCS Annex I A; protocol 2",
    ),
    "KP-C-013": Rule(
        "declaration-missing",
        "The exporter declares that the goods are not conflict diamonds.",
        "Order 269 article 9",
    ),
    "KP-C-014": Rule(
        "source-missing",
        "A re-export has the certificates the goods came in with.",
        "Order 269 article 9 (3); EU Regulation 2368/2002 article 12",
    ),
    "KP-C-015": Rule(
        "source-exceeded",
        "The sources' carats add up to the total and never exceed what came in.",
        "Order 269 article 9 (3)",
    ),
    "KP-C-016": Rule(
        "embargoed",
        "Provenance and destination are not suspended on the day of issue.",
        "domain brief 2.9; Order 269 article 5",
    ),
    "KP-C-017": Rule(
        "embargoed",
        "No mining origin is under an embargo on the day of issue.",
        "UN General Assembly 77/277, op. 1; domain brief S88",
    ),
    "KP-C-018": Rule(
        "embargoed",
        "A restricted participant's goods name a zone open that day, and an approval while one is asked.",
        "domain brief 2.9; UN A/72/775, 39 and 40",
    ),
    "KP-C-019": Rule(
        "source-missing",
        "A source of a re-export was admitted here, through the node or recorded from its paper.",
        "Order 269 article 9 (3)",
    ),
    "KP-C-020": Rule(
        "policy-refused",
        "The value of a carat of each line is what the issuer's policy holds for plausible.",
        "UN A/72/775, 50; domain brief S60",
    ),
    # Confirmation
    "KP-F-001": Rule(
        "unknown-reference",
        "re names a certificate held here, of this number, between these two authorities.",
        "protocol 7",
    ),
    "KP-F-002": Rule(
        "wrong-state",
        "A certificate is confirmed once.",
        "KPCS section III (b); Order 269 article 8",
    ),
    "KP-F-003": Rule(
        "wrong-state",
        "As-issued quotes the certificate's own figures; as-amended needs an amendment.",
        "Order 269 article 8",
    ),
    "KP-F-004": Rule(
        "dates-inconsistent",
        "Goods arrive from the eve of the day of issue on (further west it is still that day), by the "
        "day of expiry, and not in the future.",
        "KPCS section III (b); Order 269 article 14",
    ),
    "KP-F-005": Rule(
        "wrong-state",
        "Goods are admitted with seals intact; broken seals need an inspection and a decision.",
        "Order 269 articles 7 and 15",
    ),
    "KP-F-006": Rule(
        "wrong-state",
        "Goods admitted on paper are confirmed with the carats that were recorded.",
        "Order 269 articles 8 and 9 (3)",
    ),
    # The life of a certificate
    "KP-L-001": Rule(
        "wrong-state",
        "Goods and certificate are sealed before they leave, once the certificate is issued.",
        "Order 269 article 11 (1)",
    ),
    "KP-L-002": Rule(
        "wrong-state", "Delivery is what the importer's receipt says of it.", "protocol 3"
    ),
    "KP-L-003": Rule(
        "wrong-state",
        "A discrepancy is raised while the goods are not admitted, one at a time; after a refusal again.",
        "Order 269 article 8 (1)",
    ),
    "KP-L-004": Rule(
        "wrong-state",
        "The exporter consents or refuses once, to a discrepancy that is open.",
        "Order 269 article 8 (1)",
    ),
    "KP-L-005": Rule(
        "wrong-state",
        "An amendment needs consent, and has the values consented to.",
        "Order 269 article 8 (1)",
    ),
    "KP-L-006": Rule(
        "wrong-state",
        "A technical certificate is issued while the goods are not admitted.",
        "Order 269 articles 8 (2) and 19; KP/2017/Plenary/AD5",
    ),
    "KP-L-007": Rule(
        "wrong-state",
        "Goods are taken back with the technical certificate that ordered the return.",
        "Order 269 article 12",
    ),
    "KP-L-008": Rule(
        "wrong-state",
        "A certificate is revoked before its goods are admitted or sent back, and no values agreed.",
        "KPCS section II; Canada, Export and Import of Rough Diamonds Act s. 11, 12",
    ),
    "KP-L-009": Rule(
        "wrong-state",
        "A certificate is presented once, and never after it was used, voided or sent back.",
        "Order 269 article 6; domain brief 6",
    ),
    "KP-L-010": Rule(
        "wrong-state",
        "Goods are inspected when they are here and not yet decided on.",
        "Order 269 article 7 (1)",
    ),
    "KP-L-011": Rule(
        "wrong-state",
        "Goods are held before they are admitted; what is held, or revoked, may be seized.",
        "Order 269 article 18",
    ),
    "KP-L-012": Rule(
        "dates-inconsistent",
        "A technical certificate is good for sixty days at most, is used while it is, "
        "and follows a consultation about its certificate.",
        "Order 269 article 14",
    ),
    "KP-L-013": Rule(
        "wrong-state", "Values proposed differ from the certificate's.", "Order 269 article 8 (1)"
    ),
    "KP-L-014": Rule(
        "wrong-state", "Consent is to values that were proposed.", "Order 269 article 8 (1)"
    ),
    "KP-L-015": Rule(
        "dates-inconsistent",
        "Goods are presented while the certificate is valid, the last day included.",
        "Order 269 article 14; EU Regulation 2368/2002 article 4",
    ),
    "KP-L-016": Rule(
        "number-conflict", "A technical certificate's number is used once.", "Order 269 article 19"
    ),
    "KP-L-017": Rule(
        "unknown-reference",
        "What replaces a certificate is another one, issued here and still good.",
        "KPCS section II",
    ),
    # Inquiries
    "KP-Q-001": Rule(
        "route-inconsistent",
        "The number's participant is asked whether it is genuine; of an arrival its issuer asks.",
        "Order 269 article 7 (2)",
    ),
    "KP-Q-002": Rule(
        "unknown-reference",
        "What answers an inquiry, or asks again, names it and its number, of this pair.",
        "protocol 7",
    ),
    "KP-Q-003": Rule(
        "wrong-state", "An answer is one to what was asked.", "Order 269 article 7 (2)"
    ),
    "KP-Q-004": Rule(
        "policy-refused",
        "Only the certificate's destination learns more than genuine or not.",
        "domain brief 2.10; Canada, Export and Import of Rough Diamonds Act s. 4",
    ),
    "KP-Q-005": Rule(
        "unknown-reference",
        "Sources disclosed are those whose digest the certificate has.",
        "protocol 2",
    ),
    "KP-Q-006": Rule(
        "dates-inconsistent", "An inquiry's deadline is not past.", "domain brief S10"
    ),
    "KP-Q-007": Rule(
        "wrong-state",
        "A question that is open is asked again only on purpose.",
        "domain brief S10",
    ),
    # Alerts
    "KP-W-001": Rule(
        "alerted",
        "No alert of the certificate's own participant is in force on its number.",
        "protocol 7; domain brief 2.8",
    ),
    "KP-W-002": Rule(
        "alerted",
        "Goods flagged by another authority's alert are admitted once an officer has looked at it.",
        "protocol 7; UN A/72/775, 47",
    ),
    "KP-W-003": Rule(
        "number-range",
        "An alert's numbers are of one participant and one length, in order.",
        "domain brief 2.8",
    ),
    "KP-W-004": Rule(
        "unknown-reference",
        "What is said of an alert names it and its numbers; an alert itself names none.",
        "protocol 7",
    ),
    "KP-W-005": Rule(
        "wrong-authority",
        "Who raised an alert withdraws it; the numbers' participant confirms or denies it.",
        "domain brief 2.8",
    ),
    "KP-W-006": Rule(
        "wrong-state",
        "An alert that has ended, or was confirmed, is not again.",
        "domain brief 2.8",
    ),
    "KP-W-007": Rule(
        "alerted",
        "What its own participant has called not genuine is not admitted, nor a source; its newest answer counts.",
        "domain brief S54, S80",
    ),
    # Profiles
    "KP-P-001": Rule(
        "wrong-authority", "A profile is about the participant of who signed it.", "protocol 2"
    ),
    "KP-P-002": Rule(
        "number-pattern",
        "A number pattern can be read and begins with the letters; ranges have that form.",
        "KPCS section II (d)",
    ),
    "KP-P-003": Rule(
        "dates-inconsistent", "A range or signatory ends after it begins.", "KPCS section II (d)"
    ),
    # Drafts
    "KP-N-001": Rule(
        "number-conflict",
        "A number is reserved by its draft, and never used again once withdrawn.",
        "Order 269 article 11 (2)",
    ),
    "KP-N-002": Rule(
        "wrong-state",
        "A draft is issued or withdrawn once.",
        "Order 269 article 11",
    ),
    "KP-N-003": Rule(
        "policy-refused",
        "Where four eyes are the policy, who drafted does not issue; both are named.",
        "local policy",
    ),
    "KP-N-004": Rule(
        "wrong-state",
        "What was found before export is what the certificate says, within the tolerance.",
        "Order 269 articles 10, 11 (2)",
    ),
}
