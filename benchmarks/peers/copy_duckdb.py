"""DuckDB with its extensions for MySQL and Postgres, from the wheels that carry them."""
import glob
import os
import sys
from urllib.parse import unquote, urlsplit

import duckdb

source, target = sys.argv[1], sys.argv[2]
table, key = os.environ["TABLE"], os.environ["KEY"]
con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
site = os.path.dirname(os.path.dirname(duckdb.__file__))


def load(name):
    con.execute(f"LOAD '{glob.glob(site + f'/**/{name}.duckdb_extension', recursive=True)[0]}'")


def attach(url, alias, kind):
    at = urlsplit(url)
    name = "database" if kind == "mysql" else "dbname"
    settings = {"host": at.hostname, "port": at.port, "user": at.username, "password": unquote(at.password or ""), name: at.path[1:]}
    load(f"{kind}_scanner")
    con.execute(f"ATTACH '{' '.join(f'{k}={v}' for k, v in settings.items())}' AS {alias} (TYPE {kind})")


if source.endswith((".parquet", ".csv")):
    rows = f"'{source}'"
else:
    attach(source, "s", "mysql" if source.startswith("mysql") else "postgres")
    rows = f"s.{'public.' if source.startswith('postgres') else ''}{table}"
over = os.environ["OVER"]
if target.startswith("postgres"):
    attach(target, "t", "postgres")
    con.execute("BEGIN")
    if over == "kept":
        con.execute(f"CALL postgres_execute('t', 'TRUNCATE public.{table}')")
        con.execute(f"INSERT INTO t.public.{table} FROM {rows}")
    else:
        if over == "own":
            con.execute(f"DROP TABLE IF EXISTS t.public.{table}")
        con.execute(f"CREATE TABLE t.public.{table} AS FROM {rows}")
        con.execute(f"CALL postgres_execute('t', 'ALTER TABLE public.{table} ADD PRIMARY KEY ({key})')")
    con.execute("COMMIT")
else:
    con.execute(f"COPY (FROM {rows}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
