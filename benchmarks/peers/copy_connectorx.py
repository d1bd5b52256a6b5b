"""ConnectorX reads over two connections into Arrow; pyarrow writes."""
import sys

import connectorx
import pyarrow.parquet as parquet

source, target = sys.argv[1], sys.argv[2]
table = connectorx.read_sql(
    source, "SELECT * FROM lineitem", return_type="arrow", partition_on="l_orderkey", partition_num=2
)
parquet.write_table(table, target, compression="zstd")
