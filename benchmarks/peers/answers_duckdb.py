"""The answers to TPC-H's queries that DuckDB's extension brings, as JSON: by scale (0.01, 0.1 and 1) and number."""
import glob
import json
import os

import duckdb

con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
site = os.path.dirname(os.path.dirname(duckdb.__file__))
con.execute(f"LOAD '{glob.glob(site + '/**/tpch.duckdb_extension', recursive=True)[0]}'")
answers = {}
for scale, number, answer in con.execute("SELECT scale_factor, query_nr, answer FROM tpch_answers()").fetchall():
    answers.setdefault(f"{float(scale):g}", {})[f"q{number:02}"] = answer
print(json.dumps(answers))
