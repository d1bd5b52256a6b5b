const TEXT = String.raw`translate(substr(md5(random()::text), 1, random(0, 9)), '0123456', E'\\\n {}"'',é')`
const DAY = `date '2000-01-01' + random(-900000, 900000)`
const MOMENT = `(${DAY} + random(0::bigint, 86399999999) * interval '1 microsecond')`
const INTERVAL = `make_interval(random(-99, 99), random(-99, 99), 0, random(-99, 99), random(-99, 99), 0, (random() - 0.5) * 1e5)`
const PAIR = `row(${TEXT}, ${DAY}, random(-1e20, 1e20), 'x')::pair`
const list = (value: string) =>
  `CASE random(0, 5) WHEN 0 THEN '{}' WHEN 1 THEN NULL ELSE array[${value}, null, ${value}] END`

/** Types of Postgres that DuckDB has: theirs, ours, and a random value. */
export const DUCK_TYPES: [type: string, duck: string, random: string][] = [
  ['uuid', 'UUID', 'gen_random_uuid()'],
  ['jsonb', 'JSON', `jsonb_build_array(random(), ${TEXT}, 12345678901234567890.12)`],
  ['mood', "ENUM('sad', 'ok', 'it''s \"fine\", \\really', 'é€😀')", '(enum_range(null::mood))[random(1, 4)]'],
  [
    'feeling',
    "ENUM('sad', 'ok', 'it''s \"fine\", \\really', 'é€😀')",
    '(enum_range(null::mood))[random(1, 4)]',
  ],
  ['interval', 'INTERVAL', INTERVAL],
  [
    'timetz',
    'TIME WITH TIME ZONE',
    `((${MOMENT})::time::text || (array['+00', '-08', '+05:30', '+15:59:59'])[random(1, 4)])::timetz`,
  ],
  ['bit(7)', 'BIT', 'random(0, 127)::bit(7)'],
  ['boolean[]', 'BOOLEAN[]', list('random() < 0.5')],
  ['smallint[]', 'SMALLINT[]', list('random(-32768, 32767)')],
  ['bigint[]', 'BIGINT[]', list(`('x' || md5(random()::text))::bit(64)::bigint`)],
  ['real[]', 'FLOAT[]', list(`(array['NaN', '-0', '1e-45', '3.4028235e38', random()])[random(1, 5)]::real`)],
  [
    'double precision[]',
    'DOUBLE[]',
    list(`(array['-Infinity', '-0', '5e-324', random()])[random(1, 4)]::float8`),
  ],
  ['numeric(10,2)[]', 'DECIMAL(10,2)[]', list('random(-99999999.99, 99999999.99)')],
  ['numeric(38,10)[]', 'DECIMAL(38,10)[]', list('random(-1e27, 1e27) / 7')],
  ['numeric[]', 'VARCHAR[]', list(`random(-1e30, 1e30) * ('1e' || random(-60, 60))::numeric`)],
  ['text[]', 'VARCHAR[]', list(`(array['NULL', '', '[1]', ${TEXT}])[random(1, 4)]`)],
  ['char(5)[]', 'VARCHAR[]', list(`left(${TEXT}, random(0, 5))`)],
  ['bytea[]', 'BLOB[]', list(`substr(decode(md5(random()::text), 'hex'), random(1, 17))`)],
  ['date[]', 'DATE[]', list(DAY)],
  ['time[]', 'TIME[]', list(`(${MOMENT})::time`)],
  ['timestamp[]', 'TIMESTAMP[]', list(MOMENT)],
  ['timestamptz[]', 'TIMESTAMP WITH TIME ZONE[]', list(`(${MOMENT})::timestamptz`)],
  ['uuid[]', 'UUID[]', list('gen_random_uuid()')],
  ['jsonb[]', 'JSON[]', list(`jsonb_build_object(${TEXT}, ${TEXT})`)],
  ['interval[]', 'INTERVAL[]', list(INTERVAL)],
  [
    'mood[]',
    "ENUM('sad', 'ok', 'it''s \"fine\", \\really', 'é€😀')[]",
    list('(enum_range(null::mood))[random(1, 4)]'),
  ],
  [
    'feelings',
    "ENUM('sad', 'ok', 'it''s \"fine\", \\really', 'é€😀')[]",
    `array[(enum_range(null::mood))[random(1, 4)], null]`,
  ],
  ['integer[][]', 'INTEGER[][]', `array[[random(-9, 9), null], [3, 4]]`],
  ['text[][][]', 'VARCHAR[][][]', `array[[[${TEXT}], [${TEXT}]], [['NULL'], [null]]]`],
  [
    'pair',
    'STRUCT(a VARCHAR, b DATE, c VARCHAR, d VARCHAR)',
    `CASE random(0, 5) WHEN 0 THEN row(null, null, null, null)::pair WHEN 1 THEN NULL ELSE ${PAIR} END`,
  ],
  ['pair[]', 'STRUCT(a VARCHAR, b DATE, c VARCHAR, d VARCHAR)[]', list(PAIR)],
  [
    'outer_pair',
    'STRUCT(p STRUCT(a VARCHAR, b DATE, c VARCHAR, d VARCHAR), "The ""x""" VARCHAR[], n INTEGER[])',
    `row(${PAIR}, array[${TEXT}, null], '{}')::outer_pair`,
  ],
]
