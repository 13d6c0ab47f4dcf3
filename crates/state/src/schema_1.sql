-- Version 1. Times are nanoseconds since the epoch. Released schemas are never edited: a change is a new file.

CREATE TABLE apps (
    app TEXT NOT NULL,
    env TEXT NOT NULL,
    owner TEXT,
    current INTEGER,                        -- the serving release
    last_release INTEGER NOT NULL,          -- the highest number given, so that none is given twice
    created_ns INTEGER NOT NULL,
    PRIMARY KEY (app, env)
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (
    app TEXT NOT NULL,
    env TEXT NOT NULL,
    no INTEGER NOT NULL,
    state TEXT NOT NULL,                    -- preparing, starting, serving, retired, failed
    created_ns INTEGER NOT NULL,
    origin TEXT NOT NULL,                   -- deploy, rollback to v2
    source INTEGER NOT NULL,                -- the release whose folder holds the source: its own, or the one rolled back to
    digest TEXT NOT NULL,
    manifest_schema INTEGER NOT NULL,
    manifest TEXT NOT NULL,                 -- the resolved manifest, JSON
    config TEXT NOT NULL,                   -- JSON object: variable to value
    secrets TEXT NOT NULL,                  -- JSON object: key to version
    reason TEXT,
    PRIMARY KEY (app, env, no),
    FOREIGN KEY (app, env) REFERENCES apps (app, env)
) STRICT, WITHOUT ROWID;

CREATE TABLE instances (
    serial INTEGER PRIMARY KEY,
    app TEXT NOT NULL,
    env TEXT NOT NULL,
    process TEXT NOT NULL,
    release INTEGER NOT NULL,
    port INTEGER,
    uid INTEGER,
    socket TEXT NOT NULL,                   -- known before the start, so that no start is ever unknown
    ticket TEXT,                            -- JSON; absent until the start has returned
    desired TEXT NOT NULL,                  -- run, stop
    started_ns INTEGER NOT NULL,
    restarts INTEGER NOT NULL,              -- crashes of this instance's place before it
    healthy INTEGER NOT NULL DEFAULT 0,     -- whether it had become healthy: it starts as healthy when adopted
    FOREIGN KEY (app, env, release) REFERENCES releases (app, env, no)
) STRICT;

CREATE TABLE serials (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE scale (
    app TEXT NOT NULL,
    env TEXT NOT NULL,
    process TEXT NOT NULL,
    instances INTEGER NOT NULL,
    PRIMARY KEY (app, env, process),
    FOREIGN KEY (app, env) REFERENCES apps (app, env)
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    app TEXT NOT NULL,
    env TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    nonce BLOB,                             -- absent in a version that says: removed
    ciphertext BLOB,
    PRIMARY KEY (app, env, key, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    kind TEXT NOT NULL,                     -- queue
    app TEXT NOT NULL,
    env TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,              -- SHA-256 of the token
    nonce BLOB NOT NULL,
    ciphertext BLOB NOT NULL,               -- the token itself: instances are given it
    created_ns INTEGER NOT NULL,
    PRIMARY KEY (kind, app, env)
) STRICT, WITHOUT ROWID;

CREATE TABLE seal_check (                   -- one row, by which a wrong key is told
    id INTEGER PRIMARY KEY CHECK (id = 1),
    nonce BLOB NOT NULL,
    ciphertext BLOB NOT NULL
) STRICT;

CREATE TABLE uids (
    uid INTEGER PRIMARY KEY,
    app TEXT NOT NULL,
    env TEXT NOT NULL,
    UNIQUE (app, env)
) STRICT;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ns INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    app TEXT,
    env TEXT,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
