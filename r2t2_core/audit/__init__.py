"""The audit log: what was decided is recorded, provable and replayable.

    entries       what an entry holds            chain         hashes and signed heads
    keys          the signing key                database      SQLite or Postgres, one writer
    log           append and read                pictures      by content hash, beside the chain
    anchors       heads that live elsewhere      verification  chain, signature, anchors, evidence
    recorder      the one door for callers       access        roles and tokens
    erasure       a person's right; retention    search        what the audit page asks
    replay        the same again, compared       bundle        one zip that proves itself

Knows nothing of pages and HTTP.
"""
