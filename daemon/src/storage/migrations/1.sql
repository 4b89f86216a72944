-- What loads really took, by what was loaded and how.
CREATE TABLE measurements (
    digest         TEXT    NOT NULL,
    variant        TEXT    NOT NULL,
    context_length INTEGER NOT NULL,
    device         TEXT    NOT NULL,
    runtime        TEXT    NOT NULL,
    base_bytes     INTEGER NOT NULL,
    peak_bytes     INTEGER NOT NULL,
    load_ms        INTEGER NOT NULL,
    factor         REAL    NOT NULL,
    updated_at_ms  INTEGER NOT NULL,
    PRIMARY KEY (digest, variant, context_length, device, runtime)
) WITHOUT ROWID;

-- What packages need, as computed from their files, so that these need not be read again.
CREATE TABLE package_estimates (
    digest   TEXT PRIMARY KEY NOT NULL,
    -- Version of the code that computed it, and the settings it went by.
    made_by  TEXT NOT NULL,
    -- JSON.
    estimate TEXT NOT NULL
) WITHOUT ROWID;

-- Counters of one model on one day (UTC, days since 1970).
CREATE TABLE usage_days (
    model             TEXT    NOT NULL,
    day               INTEGER NOT NULL,
    loads             INTEGER NOT NULL,
    failed_loads      INTEGER NOT NULL,
    load_ms           INTEGER NOT NULL,
    peak_bytes        INTEGER NOT NULL,
    requests          INTEGER NOT NULL,
    failed_requests   INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    busy_ms           INTEGER NOT NULL,
    PRIMARY KEY (model, day)
) WITHOUT ROWID;

CREATE TABLE usage_unloads (
    model  TEXT    NOT NULL,
    day    INTEGER NOT NULL,
    reason TEXT    NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (model, day, reason)
) WITHOUT ROWID;

-- What is known of a model whatever the period.
CREATE TABLE usage_models (
    model           TEXT PRIMARY KEY NOT NULL,
    last_used_at_ms INTEGER,
    last_load_ms    INTEGER
) WITHOUT ROWID;
