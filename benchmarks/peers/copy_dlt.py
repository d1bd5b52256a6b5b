"""dlt, as its documentation has it for speed: ConnectorX into Arrow, files that the target loads in bulk."""
import os
import sys

import dlt
from dlt.sources.sql_database import sql_table

source, target = sys.argv[1], sys.argv[2]
destination = (
    dlt.destinations.postgres(target)
    if target.startswith("postgres")
    else dlt.destinations.filesystem(bucket_url="file://" + target)
)
if source.endswith(".parquet"):
    import pyarrow
    import pyarrow.parquet as parquet

    # dlt does not take views of strings.
    def plain(field):
        return field.with_type(pyarrow.string()) if pyarrow.types.is_string_view(field.type) else field

    def rows():
        file = parquet.ParquetFile(source)
        schema = pyarrow.schema([plain(field) for field in file.schema_arrow])
        for batch in file.iter_batches(100_000):
            yield pyarrow.Table.from_batches([batch]).cast(schema)

    table = dlt.resource(rows, name="lineitem")
elif source.endswith(".csv"):
    from dlt.sources.filesystem import filesystem
    from pyarrow import csv

    @dlt.transformer
    def rows(items):
        for item in items:
            with item.open() as file:
                yield csv.read_csv(file)

    folder, pattern = os.path.split(source)
    table = (filesystem(bucket_url="file://" + folder, file_glob=pattern) | rows).with_name("lineitem")
else:
    table = sql_table(credentials=source, table=os.environ["TABLE"], backend="connectorx", reflection_level="full_with_precision")
pipeline = dlt.pipeline("bench", destination=destination, dataset_name="public", pipelines_dir=os.environ["HOME_OF_TOOL"])
info = pipeline.run(
    table,
    write_disposition="replace",
    loader_file_format="csv" if target.startswith("postgres") else "parquet",
)
info.raise_on_failed_jobs()
