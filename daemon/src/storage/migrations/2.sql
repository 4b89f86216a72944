-- Fetches from a hub: a row lives until it is forgotten, also when the fetch is over.
CREATE TABLE downloads (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT    NOT NULL,
    repository    TEXT    NOT NULL,
    -- As it was asked for.
    revision      TEXT    NOT NULL,
    -- Precision that was asked for, if any.
    wish          TEXT,
    -- Known once the hub was asked.
    commit_id     TEXT,
    level         TEXT,
    directory     TEXT,
    state         TEXT    NOT NULL,
    fault_reason  TEXT,
    fault_message TEXT,
    total_bytes   INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL
);

CREATE TABLE download_files (
    download INTEGER NOT NULL REFERENCES downloads (id) ON DELETE CASCADE,
    -- Relative to the repository.
    path     TEXT    NOT NULL,
    digest   TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    PRIMARY KEY (download, path)
) WITHOUT ROWID;

CREATE INDEX download_files_by_digest ON download_files (digest);

-- Contents that are here in part or whole, however many downloads want them.
CREATE TABLE download_contents (
    digest    TEXT PRIMARY KEY NOT NULL,
    -- A bit per chunk that is on the disk.
    chunks    BLOB    NOT NULL,
    -- Set when all of it is here and was checked.
    sha256    TEXT,
    -- 1 after what was here turned out to be wrong once.
    refetched INTEGER NOT NULL
) WITHOUT ROWID;
