-- The pause that is in force: one row, or none.
CREATE TABLE pause (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    since_ms INTEGER NOT NULL,
    -- None: until somebody resumes.
    until_ms INTEGER
) STRICT;
