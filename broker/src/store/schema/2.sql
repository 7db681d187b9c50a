CREATE TABLE commands (
    jti TEXT NOT NULL PRIMARY KEY,
    agent TEXT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    result TEXT,
    ended INTEGER
) STRICT;
CREATE INDEX commands_by_time ON commands (issued);
CREATE INDEX commands_under_way ON commands (jti) WHERE ended IS NULL;
