CREATE TABLE documents (
  kind     TEXT    NOT NULL,
  key      TEXT    NOT NULL,
  body     BLOB    NOT NULL,
  revision INTEGER NOT NULL,
  PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE counter (revision INTEGER NOT NULL);
INSERT INTO counter VALUES (0);
