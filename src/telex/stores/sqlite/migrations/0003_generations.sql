-- Generations, their frames, and responses that others may go on from. Times are seconds since 1970, sizes are bytes.
CREATE TABLE generations (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- so that none is given twice: what is left of one that is forgotten has it too
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    created REAL NOT NULL,
    record BLOB NOT NULL,
    reading BLOB NOT NULL,
    request BLOB NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    background INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    ended REAL,
    expires REAL,
    frames INTEGER NOT NULL DEFAULT 0, -- how many it has
    written INTEGER NOT NULL DEFAULT 0, -- how long they are together
    size INTEGER NOT NULL AS (length(record) + length(reading) + length(request) + written)
) STRICT;

CREATE UNIQUE INDEX generations_key ON generations (owner, key) WHERE key != '';
CREATE INDEX generations_order ON generations (created, id, background);
CREATE INDEX generations_owner ON generations (owner, created, id, background);
CREATE INDEX generations_unfinished ON generations (created, id) WHERE ended IS NULL;
CREATE INDEX generations_ended ON generations (ended, number) WHERE ended IS NOT NULL;
CREATE INDEX generations_expires ON generations (expires) WHERE expires IS NOT NULL;

-- What one write brought. A row's place is the generation's number * 2^32 + how many of its frames are before, so that all rows of one
-- generation lie together and in order.
CREATE TABLE frames (
    place INTEGER PRIMARY KEY,
    frames BLOB NOT NULL -- a msgpack list
) STRICT;

CREATE TABLE responses (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    generation TEXT NOT NULL,
    body BLOB NOT NULL,
    input BLOB NOT NULL,
    native INTEGER NOT NULL,
    items TEXT NOT NULL, -- a JSON list
    created REAL NOT NULL,
    expires REAL NOT NULL,
    size INTEGER NOT NULL AS (length(body) + length(input)),
    UNIQUE (owner, id)
) STRICT;

CREATE INDEX responses_created ON responses (created, number);
CREATE INDEX responses_expires ON responses (expires);

CREATE TABLE items (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    response INTEGER NOT NULL REFERENCES responses ON DELETE CASCADE,
    PRIMARY KEY (owner, id, response)
) STRICT, WITHOUT ROWID;

CREATE INDEX items_response ON items (response);

-- Those that are forgotten.
CREATE TABLE gone (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    at REAL NOT NULL
) STRICT;

CREATE INDEX gone_at ON gone (at);

-- The numbers of those that are forgotten whose frames are still to be deleted.
CREATE TABLE litter (number INTEGER PRIMARY KEY) STRICT;

-- How long all generations and responses are together.
CREATE TABLE total (size INTEGER NOT NULL) STRICT;
INSERT INTO total VALUES (0);

CREATE TRIGGER generation_created AFTER INSERT ON generations BEGIN
    UPDATE total SET size = size + NEW.size;
END;

CREATE TRIGGER generation_changed AFTER UPDATE ON generations WHEN NEW.size != OLD.size BEGIN
    UPDATE total SET size = size + NEW.size - OLD.size;
END;

CREATE TRIGGER generation_deleted AFTER DELETE ON generations BEGIN
    UPDATE total SET size = size - OLD.size;
    INSERT INTO litter SELECT OLD.number WHERE OLD.frames > 0;
END;

CREATE TRIGGER response_created AFTER INSERT ON responses BEGIN
    UPDATE total SET size = size + NEW.size;
END;

CREATE TRIGGER response_deleted AFTER DELETE ON responses BEGIN
    UPDATE total SET size = size - OLD.size;
END;
