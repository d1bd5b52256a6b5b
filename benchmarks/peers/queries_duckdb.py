"""DuckDB alone: one process, a table a query, over the files as they lie."""
import glob
import os
import sys

import duckdb

data, queries, target = sys.argv[1], sys.argv[2], sys.argv[3]
con = duckdb.connect(target, config={"threads": "2", "memory_limit": os.environ["MEMORY"]})
for file in glob.glob(os.path.join(data, "*.parquet")):
    con.execute(f"CREATE TEMP VIEW {os.path.basename(file)[:-8]} AS FROM '{file}'")
for file in sorted(glob.glob(os.path.join(queries, "*.sql"))):
    with open(file) as text:
        con.execute(f"CREATE TABLE {os.path.basename(file)[:-4]} AS {text.read()}")
