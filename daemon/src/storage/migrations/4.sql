-- What the user of this machine is told, and what came of it.
CREATE TABLE notifications (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    -- Keys, labels and commands of the buttons: JSON.
    actions TEXT NOT NULL,
    state TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 1,
    -- What is open under the same key is replaced.
    dedupe_key TEXT,
    created_at_ms INTEGER NOT NULL,
    changed_at_ms INTEGER NOT NULL,
    deadline_ms INTEGER NOT NULL,
    deferred_since_ms INTEGER,
    deferred_until_ms INTEGER,
    -- How the desktop knows it while it is on a screen.
    handle TEXT NOT NULL DEFAULT '',
    -- The button that was pressed, and what came of it: none while it is under way.
    acted TEXT,
    outcome TEXT,
    problem TEXT
) STRICT;

CREATE UNIQUE INDEX notifications_open ON notifications (dedupe_key)
    WHERE state IN ('waiting', 'shown') AND dedupe_key IS NOT NULL;
