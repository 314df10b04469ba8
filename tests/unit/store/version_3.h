/* tests/unit/store/version_3.h - a database as schema version 3 made it, as SQL. It never changes:
 * whatever the newest version is, this must be readable. */
#pragma once

static const char *const version_3[] = {
    "PRAGMA application_id=1414680148; PRAGMA user_version=3;",
    "CREATE TABLE access_key_usage ( access_key INTEGER PRIMARY KEY REFERENCES access_keys (s"
    "erial) ON DELETE CASCADE, at INTEGER NOT NULL, service INTEGER NOT NULL, region TEXT NOT"
    " NULL, mac BLOB NOT NULL) STRICT;",
    "CREATE TABLE access_keys ( serial INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, account "
    "TEXT NOT NULL REFERENCES accounts (id), principal_id TEXT NOT NULL, version INTEGER NOT "
    "NULL, root INTEGER NOT NULL, active INTEGER NOT NULL, created INTEGER NOT NULL, wrapped_"
    "secret BLOB NOT NULL, session INTEGER NOT NULL, session_name TEXT NOT NULL, expires INTE"
    "GER NOT NULL, token_hash BLOB NOT NULL, source_identity TEXT NOT NULL, provider TEXT NOT"
    " NULL, transitive_tags INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;",
    "CREATE TABLE accounts ( id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, organization T"
    "EXT NOT NULL, created INTEGER NOT NULL, version INTEGER NOT NULL, mac BLOB NOT NULL) STR"
    "ICT, WITHOUT ROWID;",
    "CREATE TABLE aliases ( serial INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NO"
    "T NULL, name TEXT NOT NULL, version INTEGER NOT NULL, key_id TEXT NOT NULL, created INTE"
    "GER NOT NULL, updated INTEGER NOT NULL, mac BLOB NOT NULL, UNIQUE (account, region, name"
    "), FOREIGN KEY (account, region, key_id) REFERENCES keys (account, region, key_id) ON DE"
    "LETE CASCADE) STRICT;",
    "CREATE TABLE attachments ( identity INTEGER NOT NULL REFERENCES identities (serial) ON D"
    "ELETE CASCADE, position INTEGER NOT NULL, arn TEXT NOT NULL, PRIMARY KEY (identity, posi"
    "tion)) STRICT, WITHOUT ROWID;",
    "CREATE TABLE documents ( identity INTEGER NOT NULL REFERENCES identities (serial) ON DEL"
    "ETE CASCADE, position INTEGER NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, created "
    "INTEGER NOT NULL, is_default INTEGER NOT NULL, PRIMARY KEY (identity, position)) STRICT,"
    " WITHOUT ROWID;",
    "CREATE TABLE domain_keys ( account TEXT NOT NULL, region TEXT NOT NULL, version INTEGER "
    "NOT NULL, wrapped BLOB NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (account, region, versio"
    "n)) STRICT, WITHOUT ROWID;",
    "CREATE TABLE grants ( serial INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT"
    " NULL, key_id TEXT NOT NULL, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, created INTEGE"
    "R NOT NULL, grantee TEXT NOT NULL, grantee_is_service INTEGER NOT NULL, retiring TEXT NO"
    "T NULL, retiring_is_service INTEGER NOT NULL, issuing_account TEXT NOT NULL, operations "
    "INTEGER NOT NULL, constraint_kind INTEGER NOT NULL, pairs BLOB NOT NULL, source_arn TEXT"
    " NOT NULL, mac BLOB NOT NULL, FOREIGN KEY (account, region, key_id) REFERENCES keys (acc"
    "ount, region, key_id) ON DELETE CASCADE) STRICT;",
    "CREATE TABLE identities ( serial INTEGER PRIMARY KEY, account TEXT NOT NULL REFERENCES a"
    "ccounts (id), kind INTEGER NOT NULL, name TEXT NOT NULL COLLATE NOCASE, unique_id TEXT N"
    "OT NULL UNIQUE, version INTEGER NOT NULL, path TEXT NOT NULL, description TEXT NOT NULL,"
    " created INTEGER NOT NULL, updated INTEGER NOT NULL, trust TEXT NOT NULL, trust_principa"
    "ls TEXT NOT NULL, max_session_s INTEGER NOT NULL, boundary TEXT NOT NULL, last_version I"
    "NTEGER NOT NULL, mac BLOB NOT NULL, UNIQUE (account, kind, name)) STRICT;",
    "CREATE TABLE identity_tags ( identity INTEGER NOT NULL REFERENCES identities (serial) ON"
    " DELETE CASCADE, position INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRI"
    "MARY KEY (identity, position)) STRICT, WITHOUT ROWID;",
    "CREATE TABLE import_keys ( id BLOB PRIMARY KEY NOT NULL, account TEXT NOT NULL, region T"
    "EXT NOT NULL, key_id TEXT NOT NULL, wrapping_algorithm INTEGER NOT NULL, wrapping_spec I"
    "NTEGER NOT NULL, fingerprint BLOB NOT NULL, valid_to INTEGER NOT NULL, wrapped BLOB NOT "
    "NULL, domain_version INTEGER NOT NULL, slot INTEGER NOT NULL, slot_generation INTEGER NO"
    "T NULL, slot_class INTEGER NOT NULL, mac BLOB NOT NULL, FOREIGN KEY (account, region, ke"
    "y_id) REFERENCES keys (account, region, key_id) ON DELETE CASCADE) STRICT;",
    "CREATE TABLE key_usage ( key INTEGER PRIMARY KEY REFERENCES keys (serial) ON DELETE CASC"
    "ADE, operation INTEGER NOT NULL, at INTEGER NOT NULL, event_id BLOB NOT NULL, request_id"
    " BLOB NOT NULL, since INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;",
    "CREATE TABLE keys ( serial INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT N"
    "ULL, key_id TEXT NOT NULL, version INTEGER NOT NULL, spec INTEGER NOT NULL, usage INTEGE"
    "R NOT NULL, origin INTEGER NOT NULL, multi_region INTEGER NOT NULL, primary_region TEXT "
    "NOT NULL, created INTEGER NOT NULL, state INTEGER NOT NULL, deletion_date INTEGER NOT NU"
    "LL, pending_window_days INTEGER NOT NULL, description TEXT NOT NULL, policy TEXT NOT NUL"
    "L, rotation_enabled INTEGER NOT NULL, rotation_period_days INTEGER NOT NULL, next_rotati"
    "on INTEGER NOT NULL, on_demand_start INTEGER NOT NULL, on_demand_count INTEGER NOT NULL,"
    " mac BLOB NOT NULL, principals TEXT NOT NULL DEFAULT '', UNIQUE (account, region, key_id"
    ")) STRICT;",
    "INSERT INTO \"keys\" VALUES(1,'111122223333','eu-west-3','the-key-id',5,15,1,1,1,'eu-wes"
    "t-3',1000,3,-1,30,'what for','{}',1,365,2000,3000,4,X'5921AA9146EBCA35AE3DC81028D0420580"
    "8BEFAF3500F9741757BAD148260AF5','arn:role AROAX\n');",
    "INSERT INTO \"keys\" VALUES(2,'111122223333','eu-west-3','a-single-one',5,15,1,1,0,'',10"
    "00,3,-1,30,'what for','{}',1,365,2000,3000,4,X'F61835163BA2FD71205DC71F52BB177CCF1CB5EA2"
    "E15DDF69505124F0CA98946','');",
    "CREATE TABLE materials ( key INTEGER NOT NULL REFERENCES keys (serial) ON DELETE CASCADE"
    ", position INTEGER NOT NULL, id BLOB NOT NULL, check_tag BLOB NOT NULL, role INTEGER NOT"
    " NULL, present INTEGER NOT NULL, expiration INTEGER NOT NULL, valid_to INTEGER NOT NULL,"
    " description TEXT, rotation_date INTEGER NOT NULL, rotation_type INTEGER NOT NULL, creat"
    "ed INTEGER NOT NULL, wrapped BLOB NOT NULL, domain_version INTEGER NOT NULL, slot INTEGE"
    "R NOT NULL, slot_generation INTEGER NOT NULL, slot_class INTEGER NOT NULL, PRIMARY KEY ("
    "key, position)) STRICT, WITHOUT ROWID;",
    "INSERT INTO \"materials\" VALUES(1,0,X'A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A"
    "0A0A0A0A0A0A0A0',X'B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0',2,1"
    ",1,4000,NULL,5000,2,6000,X'77726170706564',0,77,-1,1);",
    "INSERT INTO \"materials\" VALUES(1,1,X'A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A"
    "1A1A1A1A1A1A1A1',X'B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1B1',2,1"
    ",1,4000,'material',5000,2,6000,X'77726170706564',1,77,-1,1);",
    "INSERT INTO \"materials\" VALUES(2,0,X'A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A"
    "0A0A0A0A0A0A0A0',X'B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0',2,1"
    ",1,4000,NULL,5000,2,6000,X'77726170706564',0,77,-1,1);",
    "CREATE TABLE meta ( id INTEGER PRIMARY KEY CHECK (id = 1), instance_id BLOB NOT NULL, co"
    "mmits INTEGER NOT NULL, slot_generation_erasable INTEGER NOT NULL, slot_generation_durab"
    "le INTEGER NOT NULL, clock_floor INTEGER NOT NULL, last_key INTEGER NOT NULL, last_alias"
    " INTEGER NOT NULL, last_tombstone INTEGER NOT NULL, last_outbox INTEGER NOT NULL, mac BL"
    "OB, last_identity INTEGER NOT NULL DEFAULT 0, last_access_key INTEGER NOT NULL DEFAULT 0"
    ", last_grant INTEGER NOT NULL DEFAULT 0) STRICT;",
    "INSERT INTO \"meta\" VALUES(1,X'C102030405060708090A0B0C0D0E0F10',2,0,0,0,2,0,0,0,X'90E3"
    "2A2029CED15AE7894307ED23998945627A21B641A1A1D35DA5903A5CC13F',0,0,0);",
    "CREATE TABLE outbox ( serial INTEGER PRIMARY KEY, event TEXT NOT NULL, mac BLOB NOT NULL"
    ") STRICT;",
    "CREATE TABLE session_policies ( access_key INTEGER NOT NULL REFERENCES access_keys (seri"
    "al) ON DELETE CASCADE, position INTEGER NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL"
    ", created INTEGER NOT NULL, is_default INTEGER NOT NULL, PRIMARY KEY (access_key, positi"
    "on)) STRICT, WITHOUT ROWID;",
    "CREATE TABLE session_tags ( access_key INTEGER NOT NULL REFERENCES access_keys (serial) "
    "ON DELETE CASCADE, position INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, P"
    "RIMARY KEY (access_key, position)) STRICT, WITHOUT ROWID;",
    "CREATE TABLE tags ( key INTEGER NOT NULL REFERENCES keys (serial) ON DELETE CASCADE, pos"
    "ition INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (key, posit"
    "ion)) STRICT, WITHOUT ROWID;",
    "INSERT INTO \"tags\" VALUES(1,0,'name','');",
    "CREATE TABLE tombstones ( serial INTEGER PRIMARY KEY, key_arn TEXT NOT NULL, material BL"
    "OB NOT NULL, slot INTEGER NOT NULL, slot_generation INTEGER NOT NULL, slot_class INTEGER"
    " NOT NULL, at INTEGER NOT NULL, reason INTEGER NOT NULL, erased INTEGER NOT NULL, mac BL"
    "OB NOT NULL) STRICT;",
    "CREATE INDEX aliases_by_key ON aliases (account, region, key_id);",
    "CREATE INDEX import_keys_by_key ON import_keys (account, region, key_id);",
    "CREATE INDEX tombstones_open ON tombstones (serial) WHERE erased = 0;",
    "CREATE INDEX grants_by_key ON grants (account, region, key_id);",
    "CREATE UNIQUE INDEX grants_named ON grants (name, account, region, key_id, grantee, gran"
    "tee_is_service, retiring, retiring_is_service, issuing_account, operations, constraint_k"
    "ind, pairs, source_arn) WHERE name <> '';",
};
