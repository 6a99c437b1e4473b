-- Replicated rows, byte for byte as they came. `hlc` and `origin` are 63-bit integers. The key is the table: no rowid.
CREATE TABLE rec (
    kind   INTEGER NOT NULL,
    pk     BLOB    NOT NULL,
    ver    INTEGER NOT NULL,
    hlc    INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    rank   INTEGER NOT NULL,
    body   BLOB    NOT NULL,
    PRIMARY KEY (kind, pk)
) WITHOUT ROWID;

-- No index on (origin, seq): deltas are served from memory, and it would cost every row a quarter of its size. It must
-- never be UNIQUE: INSERT OR REPLACE would then silently delete another row. `check` looks for doubles.

CREATE TABLE vector (
    origin INTEGER NOT NULL PRIMARY KEY,
    seq    INTEGER NOT NULL
) WITHOUT ROWID;

-- Local facts (term, vote, epoch, origin), each value one msgpack object.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- Event log of this node, bounded. Ids only grow: the newest line is never deleted.
CREATE TABLE note (
    id    INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    what  TEXT    NOT NULL,
    text  TEXT    NOT NULL,
    node  TEXT    NOT NULL,
    job   TEXT    NOT NULL,
    actor TEXT    NOT NULL,
    cause INTEGER NOT NULL
);
