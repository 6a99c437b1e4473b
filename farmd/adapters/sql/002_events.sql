-- Who did what and why, on every node: the task, the reason, a name of the event that all nodes share, and when this
-- node learned of it. One line is kept of each event.
ALTER TABLE note ADD COLUMN task INTEGER NOT NULL DEFAULT -1;
ALTER TABLE note ADD COLUMN why TEXT NOT NULL DEFAULT '';
ALTER TABLE note ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE note ADD COLUMN noted_ms INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX note_key ON note (key) WHERE key != '';
