#!/bin/sh
# A database on the disk behind port 9: one connection, a line of SQL each; what it answers comes back. Every COMMIT is flushed to the disk.
# usage: database
if [ ! -d /database ]; then
    mkdir /database
    mount -t ext4 /dev/sda2 /database || exit 1
    rm -f /database/bank.db*
    sqlite3 /database/bank.db "CREATE TABLE accounts (number INTEGER PRIMARY KEY, balance INTEGER); CREATE TABLE history (number INTEGER, amount INTEGER);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) INSERT INTO accounts SELECT i, 0 FROM n;" || exit 1
fi
exec nc -l -p 9 -e sqlite3 /database/bank.db
