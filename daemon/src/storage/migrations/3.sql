-- Keys of the HTTP API. A key itself is never here: only what it begins with and its SHA-256.
CREATE TABLE keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    -- Separated by commas.
    scopes TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    last_used_at_ms INTEGER,
    revoked_at_ms INTEGER
) STRICT;

CREATE UNIQUE INDEX keys_in_use ON keys (name) WHERE revoked_at_ms IS NULL;

-- What was done with keys and binds, and who was refused.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    event TEXT NOT NULL,
    key_name TEXT,
    address TEXT,
    detail TEXT NOT NULL
) STRICT;

CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    -- The key it belongs to; none: the user of this machine.
    owner INTEGER,
    title TEXT NOT NULL,
    model TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    -- Of its messages.
    bytes INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE conversation_messages (
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    -- A message as JSON.
    message TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (conversation, position)
) STRICT, WITHOUT ROWID;

-- Answers of the responses API that were asked to be kept.
CREATE TABLE responses (
    id TEXT PRIMARY KEY,
    owner INTEGER,
    previous TEXT,
    created_at_ms INTEGER NOT NULL,
    -- The answer as it was told, and what it answered, both JSON.
    body TEXT NOT NULL,
    input TEXT NOT NULL
) STRICT;

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    owner INTEGER,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    -- What was asked, what came of it: JSON.
    request TEXT NOT NULL,
    result TEXT,
    progress REAL NOT NULL DEFAULT 0,
    fault_reason TEXT,
    fault_message TEXT,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER
) STRICT;
