CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID, STRICT;
INSERT INTO meta VALUES ('origin', lower(hex(randomblob(8))));

CREATE TABLE agents (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    heard INTEGER NOT NULL,
    online INTEGER NOT NULL,
    reason TEXT NOT NULL,
    session INTEGER NOT NULL,
    status BLOB,
    tracking BLOB NOT NULL,
    lost INTEGER NOT NULL,
    unknown_gaps INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    containers INTEGER,
    running INTEGER,
    engine INTEGER,
    complete INTEGER NOT NULL,
    conflict TEXT,
    events INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE snapshots (
    agent INTEGER PRIMARY KEY REFERENCES agents ON DELETE CASCADE,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE events (
    arrival INTEGER PRIMARY KEY,
    agent INTEGER NOT NULL REFERENCES agents ON DELETE CASCADE,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    first INTEGER,
    at INTEGER NOT NULL,
    time INTEGER,
    action TEXT NOT NULL,
    container BLOB,
    name TEXT,
    fields BLOB
) STRICT;
CREATE UNIQUE INDEX events_by_number ON events (agent, epoch, seq);
CREATE UNIQUE INDEX events_once ON events (time, agent, container, action) WHERE time IS NOT NULL;

CREATE TABLE upstream (
    agent TEXT NOT NULL,
    server TEXT NOT NULL,
    upstream TEXT NOT NULL,
    standing TEXT NOT NULL,
    token TEXT,
    secret TEXT,
    note TEXT NOT NULL,
    told_offline INTEGER NOT NULL,
    told_empty INTEGER NOT NULL,
    PRIMARY KEY (agent, server)
) WITHOUT ROWID, STRICT;
