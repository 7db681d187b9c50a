-- A database as the first version wrote it. Never changed.
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
INSERT INTO meta VALUES ('origin', '0123456789abcdef');
CREATE TABLE agents (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, heard INTEGER NOT NULL, online INTEGER NOT NULL, reason TEXT NOT NULL, session INTEGER NOT NULL, status BLOB, tracking BLOB NOT NULL, lost INTEGER NOT NULL, unknown_gaps INTEGER NOT NULL, missing INTEGER NOT NULL, containers INTEGER, running INTEGER, engine INTEGER, complete INTEGER NOT NULL, conflict TEXT, events INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO agents VALUES (1, 'pi', 17, 1, 'start', 4, x'737461747573', x'010203', 5, 1, 2, 25, 20, 1, 1, 'a b', 2);
CREATE TABLE snapshots (agent INTEGER PRIMARY KEY REFERENCES agents ON DELETE CASCADE, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, content_type TEXT NOT NULL, bytes BLOB NOT NULL) STRICT;
INSERT INTO snapshots VALUES (1, 7, 1, 9, 'application/cbor', x'a0');
CREATE TABLE events (arrival INTEGER PRIMARY KEY, agent INTEGER NOT NULL REFERENCES agents ON DELETE CASCADE, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, first INTEGER, at INTEGER NOT NULL, time INTEGER, action TEXT NOT NULL, container BLOB, name TEXT, fields BLOB) STRICT;
INSERT INTO events VALUES (2000000, 1, 7, 1, NULL, 1000, 50, 'start', x'0707070707070707070707070707070707070707070707070707070707070707', 'web', NULL);
INSERT INTO events VALUES (2000001, 1, 7, 2, NULL, 1000, 60, 'die', x'0707070707070707070707070707070707070707070707070707070707070707', 'web', NULL);
CREATE UNIQUE INDEX events_by_number ON events (agent, epoch, seq);
CREATE UNIQUE INDEX events_once ON events (time, agent, container, action) WHERE time IS NOT NULL;
CREATE TABLE upstream (agent TEXT NOT NULL, server TEXT NOT NULL, upstream TEXT NOT NULL, standing TEXT NOT NULL, token TEXT, secret TEXT, note TEXT NOT NULL, told_offline INTEGER NOT NULL, told_empty INTEGER NOT NULL, PRIMARY KEY (agent, server)) WITHOUT ROWID, STRICT;
INSERT INTO upstream VALUES ('pi', 'https://radar.example', 'up-1', 'enrolled', 'hush-token', 'hush', '', 1, 0);
PRAGMA user_version = 1;
PRAGMA application_id = 1382303079;
