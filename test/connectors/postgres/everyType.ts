/**
 * Every type a column can have in Postgres 18 and its contrib extensions: an SQL expression of a random value, and
 * values at its edges. Values that a logical type cannot hold are not among them: they have tests of their own.
 */
export interface TypeCase {
  type: string
  /** A random value; evaluated once a row. */
  random: string
  edges?: string[]
}

export const SETUP = `CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "fine", \\really', 'é€😀');
  CREATE TYPE pair AS (a text, b date, c numeric, d char(4));
  CREATE DOMAIN positive AS numeric(12,3) CHECK (VALUE > 0);
  CREATE DOMAIN feeling AS mood; CREATE DOMAIN feelings AS feeling[]; CREATE DOMAIN padded AS char(7);
  CREATE TYPE spoken AS (a int, b text);
  CREATE FUNCTION speak(spoken) RETURNS text LANGUAGE sql AS $$ SELECT 'spoken' $$;
  CREATE CAST (spoken AS text) WITH FUNCTION speak(spoken);
  CREATE TYPE outer_pair AS (p pair, "The ""x""" text[], n int[]);
  CREATE TYPE public.int4 AS ENUM ('not', 'the', 'integer')`

// Letters, controls, quotes, separators, and characters of two, three and four bytes.
const TEXT = String.raw`translate(md5(random()::text), '0123456789', E'\\\n\t\r\x01''",é€😀')`
const some = (sql: string) => `left(${sql}, random(0, 32))`
const LONG = `repeat(${TEXT}, CASE WHEN random() < 0.01 THEN 200 ELSE random(0, 2) END)`
const pick = (...literals: string[]) => `(array[${literals.join(', ')}])[random(1, ${literals.length})]`
const MICROS = `random(0::bigint, 86399999999) * interval '1 microsecond'`
const NEAR = `date '2000-01-01' + random(-60000, 60000)`
const FAR = `date '4714-11-24 BC' + random(0, 109190000)`
const HASH = `('x' || md5(random()::text))`

function decimal(precision: number, scale: number): TypeCase {
  const digits = '9'.repeat(precision)
  const most = scale === 0 ? digits : `${digits.slice(0, precision - scale)}.${'9'.repeat(scale)}`
  return {
    type: `numeric(${precision},${scale})`,
    random: `random(-${most}, ${most}) / ('1e' || random(0, ${precision}))::numeric`,
    edges: [most, `-${most}`, '0', `1e-${scale}`, `-1e-${scale}`],
  }
}

const plain = (type: string, random: string, ...edges: string[]): TypeCase => ({ type, random, edges })

export const EVERY_TYPE: TypeCase[] = [
  plain('boolean', 'random() < 0.5'),
  plain('smallint', 'random(-32768, 32767)', '-32768', '32767', '0'),
  plain('integer', 'random(-2147483648, 2147483647)', '-2147483648', '2147483647'),
  plain(
    'bigint',
    `${HASH}::bit(64)::bigint >> random(0, 63)`,
    "'-9223372036854775808'",
    "'9223372036854775807'",
    '4294967296',
    '-4294967296',
  ),
  plain('oid', 'random(0::bigint, 4294967295)', "'4294967295'", "'0'"),
  plain('xid', 'random(0::bigint, 4294967295)::text::xid', "'4294967295'"),
  plain('cid', 'random(0::bigint, 4294967295)::text::cid', "'4294967295'"),
  plain(
    'xid8',
    `random(0::numeric, 18446744073709551615)::text::xid8`,
    "'18446744073709551615'",
    "'9223372036854775808'",
    "'0'",
  ),
  ...[
    [1, 0],
    [4, 0],
    [4, 4],
    [9, 4],
    [15, 2],
    [15, 15],
    [16, 2],
    [18, 7],
    [19, 0],
    [30, 10],
    [38, 0],
    [38, 3],
    [38, 38],
  ].map(([precision, scale]) => decimal(precision!, scale!)),
  plain('numeric(39,1)', `random(-1e37, 1e37) / ('1e' || random(0, 38))::numeric`, "'NaN'"),
  plain('numeric(3,-2)', 'random(-99900, 99900)', '99900', "'NaN'"),
  plain('numeric(2,5)', 'random(-0.00099, 0.00099)', '0.00099', "'NaN'"),
  plain(
    'numeric',
    `random(-1e30, 1e30) * ('1e' || random(-60, 60))::numeric`,
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "'1e131071'",
    "'-1e-16383'",
    "'0.000'",
    "'1.0000000000000000000000000000000000000000000000000'",
  ),
  plain(
    'real',
    '(random() - 0.5) * 10 ^ random(-37, 38)',
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "'-0'",
    "'1e-45'",
    "'3.4028235e38'",
  ),
  plain(
    'double precision',
    '(random() - 0.5) * 10 ^ random(-300, 308)',
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "'-0'",
    "'5e-324'",
    "'1.7976931348623157e308'",
  ),
  plain(
    'money',
    `${HASH}::bit(64)::bigint::numeric / 10000`,
    "'-92233720368547758.08'",
    "'92233720368547758.07'",
  ),
  plain('char(9)', `left(${TEXT}, random(0, 9))`, "''", "'   '"),
  plain('bpchar', `left(${TEXT}, random(0, 9)) || '  '`, "' '"),
  plain('varchar(40)', some(TEXT), "''"),
  plain('text', LONG, "''", `repeat('😀', 100000)`, String.raw`E'\\N'`),
  plain('name', `left(md5(random()::text), random(0, 32))::name`, "repeat('x', 63)"),
  plain('"char"', 'random(-128, 127)::"char"', '0::"char"', `E'\\\\'`),
  plain('citext', some(TEXT), "''"),
  plain(
    'bytea',
    `substr(decode(md5(random()::text), 'hex'), random(1, 17))`,
    "''",
    `repeat('ab', 50000)::bytea`,
  ),
  plain('date', NEAR, "'0001-01-01'", "'0001-12-31 BC'", "'4714-11-24 BC'", "'5874897-12-31'"),
  plain('date', `date '4714-11-24 BC' + random(0, 2147483493)`),
  plain('time', `time '00:00' + ${MICROS}`, "'00:00'", "'24:00'", "'23:59:59.999999'"),
  plain('time(3)', `time '00:00' + ${MICROS}`, "'24:00'"),
  plain(
    'timetz',
    `((time '00:00' + ${MICROS})::text || ${pick("'+00'", "'-08'", "'+05:30'", "'+15:59:59'", "'-15:59:59'")})::timetz`,
    "'24:00-15:59'",
  ),
  plain(
    'timestamp',
    `${NEAR} + ${MICROS}`,
    "'1969-12-31 23:59:59.999999'",
    "'0001-12-31 23:59:59.999999 BC'",
  ),
  plain(
    'timestamp',
    `${FAR} + ${MICROS}`,
    "'4714-11-24 00:00 BC'",
    "'294247-01-10 04:00:54.775806'",
    "'294246-12-31 23:59:59.999999'",
  ),
  plain('timestamp(0)', `${NEAR} + ${MICROS}`),
  plain(
    'timestamptz',
    `(${FAR} + ${MICROS})::timestamptz`,
    "'4714-11-24 00:00+00 BC'",
    "'294247-01-10 04:00:54.775806+00'",
  ),
  plain('timestamptz', `(${NEAR} + ${MICROS})::timestamptz`),
  plain(
    'interval',
    `make_interval(random(-99, 99), random(-99, 99), 0, random(-99, 99), random(-99, 99), 0, (random() - 0.5) * 1e5)`,
    "'0'",
    "'infinity'",
    "'-infinity'",
    "'-178000000 years'",
    "interval '1 day -00:00:00.000001'",
  ),
  plain(
    'uuid',
    'gen_random_uuid()',
    "'00000000-0000-0000-0000-000000000000'",
    "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
  ),
  plain('json', `json_build_object(${TEXT}, random(), 'b', null)`, `'{"a" :  1.0, "a":[ ]}'`, "'null'"),
  plain(
    'jsonb',
    `jsonb_build_array(random(), ${TEXT}, jsonb_build_object(${TEXT}, null))`,
    "'null'",
    `'{"b":1,"a":1e2}'`,
  ),
  plain('jsonpath', `('$.a' || random(0, 999) || ' ? (@ > ' || random(0, 9) || ')')::jsonpath`),
  plain(
    'xml',
    `xmlelement(name a, xmlattributes(random() as b), md5(random()::text) || '<&>é€😀')`,
    `'<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'`,
    "''",
    "'text only'",
  ),
  plain(
    'inet',
    `CASE WHEN random() < 0.5 THEN (random(0, 255) || '.' || random(0, 255) || '.0.' || random(0, 255) || '/' || random(0, 32))::inet
       ELSE (to_hex(random(0, 65535)) || '::' || to_hex(random(0, 65535)) || '/' || random(0, 128))::inet END`,
    "'10.0.0.1'",
    "'::1'",
    "'::ffff:1.2.3.4'",
    "'0.0.0.0/0'",
  ),
  plain(
    'cidr',
    `set_masklen((random(0, 255) || '.' || random(0, 255) || '.7.0')::cidr, random(0, 32))`,
    "'10.0.0.1'",
    "'::1'",
  ),
  plain('macaddr', `substr(md5(random()::text), 1, 12)::macaddr`),
  plain('macaddr8', `substr(md5(random()::text), 1, 16)::macaddr8`),
  plain('bit(7)', `random(0, 127)::bit(7)`),
  plain('bit(64)', `${HASH}::bit(64)`),
  plain('bit varying', `substring(${HASH}::bit(64) from random(1, 65))::varbit`, "B''"),
  plain(
    'integer[]',
    `array[random(-9, 9), null, random(-2147483648, 2147483647)]`,
    "'{}'",
    "'[0:1][2:3]={{1,2},{3,NULL}}'",
  ),
  plain('text[]', `array[[${TEXT}, null], ['NULL', ${some(TEXT)}]]`, '\'{""}\''),
  plain('char(5)[]', `array[left(md5(random()::text), random(0, 5)), null]`),
  plain('timestamptz[]', `array[(${NEAR} + ${MICROS})::timestamptz, 'infinity']`),
  plain('mood[]', `array[${pick("'sad'", "'é€😀'")}::mood, null]`),
  plain(
    'pair',
    `row(${some(TEXT)}, ${NEAR}, random(-1e20, 1e20), 'x')::pair`,
    'row(null, null, null, null)::pair',
  ),
  plain('spoken', `row(random(-9, 9), ${some(TEXT)})::spoken`, 'row(null, null)::spoken'),
  plain('mood', `(enum_range(null::mood))[random(1, 4)]`),
  plain('public.int4', `(enum_range(null::public.int4))[random(1, 3)]`),
  plain('positive', `random(0.001, 999999999.999)`),
  plain('feeling', `(enum_range(null::mood))[random(1, 4)]`),
  plain('feelings', `array[(enum_range(null::mood))[random(1, 4)], null]`),
  plain('padded', `left(md5(random()::text), random(0, 7))`),
  plain(
    'int4range',
    `int4range(random(-99, 0), random(0, 99), ${pick("'[]'", "'()'", "'[)'")})`,
    "'empty'",
    "'(,)'",
  ),
  plain('numrange', `numrange(random(-9e9, 0), random(0, 9e9), '[]')`),
  plain('tstzrange', `tstzrange((${NEAR})::timestamptz, null)`, "'(-infinity,infinity)'"),
  plain(
    'datemultirange',
    `datemultirange(daterange(${NEAR}, 'infinity'), daterange('4000-01-01 BC', '3000-01-01 BC'))`,
    "'{}'",
  ),
  plain('tsvector', `to_tsvector('simple', ${TEXT} || ' ' || md5(random()::text))`, "''"),
  plain('tsquery', `to_tsquery('simple', 'a' || md5(random()::text) || ':* & !b')`, "''"),
  plain('point', 'point((random() - 0.5) * 1e9, random())', "'(NaN,-Infinity)'"),
  plain('line', 'line(point(random(), random()), point(2, 3 + random()))'),
  plain('lseg', 'lseg(point(random(), 1), point(2, random()))'),
  plain('box', 'box(point(random(), 1), point(2, random()))'),
  plain('path', `path(polygon(box(point(random(), 1), point(2, random()))))`, "'[(0,0),(1e300,-1e-300)]'"),
  plain('polygon', 'polygon(random(3, 5), circle(point(random(), 0), random()))'),
  plain('circle', 'circle(point(random(), 1), random())'),
  plain('hstore', `hstore(array[${TEXT}, 'b'], array[${TEXT}, null])`, "''"),
  plain('ltree', `(md5(random()::text) || '.b')::ltree`, "''"),
  plain('regclass', `${pick("'pg_class'", "'pg_type'")}::regclass`, '4294967295::oid', '0::oid'),
  plain('regtype', `${pick("'timestamptz'", "'mood'", "'numeric[]'")}::regtype`),
  plain('regproc', `${pick("'pg_catalog.boolout'", "'pg_catalog.int4in'")}::regproc`),
  plain('regrole', `'postgres'::regrole`),
  plain('pg_lsn', `('0/0'::pg_lsn + random(0::numeric, 18446744073709551615))`, "'FFFFFFFF/FFFFFFFF'"),
  plain('tid', `('(' || random(0::bigint, 4294967295) || ',' || random(0, 65535) || ')')::tid`),
  plain('pg_snapshot', `('10:20:1' || random(0, 9))::pg_snapshot`),
  plain('txid_snapshot', `('10:20:1' || random(0, 9))::txid_snapshot`),
  plain('oidvector', `(random(0, 9) || ' 2')::oidvector`, "''"),
  plain('int2vector', `(random(0, 9) || ' -2')::int2vector`),
  plain('refcursor', `${some(TEXT)}::refcursor`),
  plain('aclitem', `'postgres=rw/postgres'::aclitem`),
]
