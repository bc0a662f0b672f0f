-- What was used of limits in the last minute. Times are seconds since 1970.
CREATE TABLE counts (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    which TEXT NOT NULL,
    amount INTEGER NOT NULL,
    at REAL NOT NULL
) STRICT;
