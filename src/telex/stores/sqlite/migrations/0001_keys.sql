-- The keys of clients; of a token only its digest. Times are seconds since 1970.
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    tail TEXT NOT NULL,
    models TEXT, -- a JSON list; NULL: all
    admin INTEGER NOT NULL,
    rpm INTEGER,
    tpm INTEGER,
    concurrent INTEGER,
    created_at REAL NOT NULL,
    expires_at REAL,
    revoked_at REAL
) STRICT;

-- A name is free again when its key is revoked.
CREATE UNIQUE INDEX keys_name ON keys (name) WHERE revoked_at IS NULL;
