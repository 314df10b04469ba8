/* tests/unit/store/version_1.h - a database as schema version 1 made it, as SQL. It never changes:
 * whatever the newest version is, this must be readable. */
#pragma once

static const char *const version_1[] = {
    "PRAGMA application_id=1414680148; PRAGMA user_version=1;",
    "CREATE TABLE meta ( id INTEGER PRIMARY KEY CHECK (id = 1), instance_id BLOB NOT NULL, co"
    "mmits INTEGER NOT NULL, slot_generation_erasable INTEGER NOT NULL, slot_generation_durab"
    "le INTEGER NOT NULL, clock_floor INTEGER NOT NULL, last_key INTEGER NOT NULL, last_alias"
    " INTEGER NOT NULL, last_tombstone INTEGER NOT NULL, last_outbox INTEGER NOT NULL, mac BL"
    "OB) STRICT;",
    "INSERT INTO meta VALUES(1,X'c102030405060708090a0b0c0d0e0f10',1,21,22,0,1,1,1,1,X'3f7360"
    "0a5104ec042043b5047dd7f079fb04d74ff12952db27ab61895c5a47d5');",
    "CREATE TABLE keys ( serial INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT N"
    "ULL, key_id TEXT NOT NULL, version INTEGER NOT NULL, spec INTEGER NOT NULL, usage INTEGE"
    "R NOT NULL, origin INTEGER NOT NULL, multi_region INTEGER NOT NULL, primary_region TEXT "
    "NOT NULL, created INTEGER NOT NULL, state INTEGER NOT NULL, deletion_date INTEGER NOT NU"
    "LL, pending_window_days INTEGER NOT NULL, description TEXT NOT NULL, policy TEXT NOT NUL"
    "L, rotation_enabled INTEGER NOT NULL, rotation_period_days INTEGER NOT NULL, next_rotati"
    "on INTEGER NOT NULL, on_demand_start INTEGER NOT NULL, on_demand_count INTEGER NOT NULL,"
    " mac BLOB NOT NULL, UNIQUE (account, region, key_id)) STRICT;",
    "INSERT INTO keys VALUES(1,'111122223333','eu-west-3','the-key-id',5,15,1,1,2,'us-east-1'"
    ",1000,3,-1,30,'what for','{}',1,365,2000,3000,4,X'87762cc0ade3d63052f003c6f092aad094c63a"
    "4474370b6112d1567c7034abac');",
    "CREATE TABLE materials ( key INTEGER NOT NULL REFERENCES keys (serial) ON DELETE CASCADE"
    ", position INTEGER NOT NULL, id BLOB NOT NULL, check_tag BLOB NOT NULL, role INTEGER NOT"
    " NULL, present INTEGER NOT NULL, expiration INTEGER NOT NULL, valid_to INTEGER NOT NULL,"
    " description TEXT, rotation_date INTEGER NOT NULL, rotation_type INTEGER NOT NULL, creat"
    "ed INTEGER NOT NULL, wrapped BLOB NOT NULL, domain_version INTEGER NOT NULL, slot INTEGE"
    "R NOT NULL, slot_generation INTEGER NOT NULL, slot_class INTEGER NOT NULL, PRIMARY KEY ("
    "key, position)) STRICT, WITHOUT ROWID;",
    "INSERT INTO materials VALUES(1,0,X'a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
    "0a0a0a0a0a0',X'b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0',2,1,1,4"
    "000,NULL,5000,2,6000,X'77726170706564',0,77,-1,1);",
    "INSERT INTO materials VALUES(1,1,X'a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"
    "1a1a1a1a1a1',X'b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1',2,1,1,4"
    "000,'material',5000,2,6000,X'77726170706564',1,77,-1,1);",
    "CREATE TABLE tags ( key INTEGER NOT NULL REFERENCES keys (serial) ON DELETE CASCADE, pos"
    "ition INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (key, posit"
    "ion)) STRICT, WITHOUT ROWID;",
    "INSERT INTO tags VALUES(1,0,'name','');",
    "CREATE TABLE aliases ( serial INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NO"
    "T NULL, name TEXT NOT NULL, version INTEGER NOT NULL, key_id TEXT NOT NULL, created INTE"
    "GER NOT NULL, updated INTEGER NOT NULL, mac BLOB NOT NULL, UNIQUE (account, region, name"
    "), FOREIGN KEY (account, region, key_id) REFERENCES keys (account, region, key_id)  ON D"
    "ELETE CASCADE) STRICT;",
    "INSERT INTO aliases VALUES(1,'111122223333','eu-west-3','alias/x',3,'the-key-id',1,2,X'a"
    "398450d4a02c85d9dc78c5ef6ad7186d6206689f4ec0b1a998c54168bbd0f7d');",
    "CREATE TABLE import_keys ( id BLOB PRIMARY KEY NOT NULL, account TEXT NOT NULL, region T"
    "EXT NOT NULL, key_id TEXT NOT NULL, wrapping_algorithm INTEGER NOT NULL, wrapping_spec I"
    "NTEGER NOT NULL, fingerprint BLOB NOT NULL, valid_to INTEGER NOT NULL, wrapped BLOB NOT "
    "NULL, domain_version INTEGER NOT NULL, slot INTEGER NOT NULL, slot_generation INTEGER NO"
    "T NULL, slot_class INTEGER NOT NULL, mac BLOB NOT NULL, FOREIGN KEY (account, region, ke"
    "y_id) REFERENCES keys (account, region, key_id)  ON DELETE CASCADE) STRICT;",
    "INSERT INTO import_keys VALUES(X'c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0','111122223333','eu-we"
    "st-3','the-key-id',4,5,X'd0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d"
    "0',6,X'77726170706564',9,77,-1,1,X'618bf7c14390a0a7e58f0745810364ae33e1e20dd6ffb1d27f1f6"
    "9ed07e07241');",
    "CREATE TABLE domain_keys ( account TEXT NOT NULL, region TEXT NOT NULL, version INTEGER "
    "NOT NULL, wrapped BLOB NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (account, region, versio"
    "n)) STRICT, WITHOUT ROWID;",
    "INSERT INTO domain_keys VALUES('111122223333','eu-west-3',13,X'646f6d61696e',X'9c58ce066"
    "11f6649766c95bf522a68742a6aa814d99ec6b991a61b7757017b80');",
    "CREATE TABLE accounts ( id TEXT PRIMARY KEY NOT NULL, created INTEGER NOT NULL, mac BLOB"
    " NOT NULL) STRICT, WITHOUT ROWID;",
    "INSERT INTO accounts VALUES('111122223333',7,X'aaaecdad8e3919e048bed83e89691079e2a5b1feb"
    "989bfe3b5205486f067cfad');",
    "CREATE TABLE access_keys ( id TEXT PRIMARY KEY NOT NULL, account TEXT NOT NULL, principa"
    "l_arn TEXT NOT NULL, principal_id TEXT NOT NULL, active INTEGER NOT NULL, created INTEGE"
    "R NOT NULL, version INTEGER NOT NULL, wrapped_secret BLOB NOT NULL, mac BLOB NOT NULL) S"
    "TRICT, WITHOUT ROWID;",
    "INSERT INTO access_keys VALUES('AKIA','111122223333','arn:root','root',1,8,9,X'736563726"
    "574',X'f86423ebd345311471cdff8200ffc691740673430d5f2e9bfd0c6c750265dc76');",
    "CREATE TABLE tombstones ( serial INTEGER PRIMARY KEY, key_arn TEXT NOT NULL, material BL"
    "OB NOT NULL, slot INTEGER NOT NULL, slot_generation INTEGER NOT NULL, slot_class INTEGER"
    " NOT NULL, at INTEGER NOT NULL, reason INTEGER NOT NULL, erased INTEGER NOT NULL, mac BL"
    "OB NOT NULL) STRICT;",
    "INSERT INTO tombstones VALUES(1,'arn:key',X'e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0"
    "e0e0e0e0e0e0e0e0e0e0',10,11,1,12,1,1,X'4673591c5eeb62cc033d75ea37ea1b6fb7a6b44a72cbfd242"
    "986c6a52bc9ce29');",
    "CREATE TABLE outbox ( serial INTEGER PRIMARY KEY, event TEXT NOT NULL, mac BLOB NOT NULL"
    ") STRICT;",
    "INSERT INTO outbox VALUES(1,'{\"e\":1',X'68dc04232f4fa7f75af374954e49116733ff9a63b1f22ab55"
    "c3a252adbca0029');",
    "CREATE INDEX aliases_by_key ON aliases (account, region, key_id);",
    "CREATE INDEX import_keys_by_key ON import_keys (account, region, key_id);",
    "CREATE INDEX tombstones_open ON tombstones (serial) WHERE erased = 0;",
};
