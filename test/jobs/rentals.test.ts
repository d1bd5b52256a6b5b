/** A whole schema as a shop has it, by one command into each system: types, keys, indexes, foreign keys, and the night after it changed. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

// Enums, domains, arrays, a document to search, a computed column, a table that inherits, one in partitions, a circle, a view.
const SCHEMA = `
  CREATE TYPE rating AS ENUM ('all', 'teens', 'adults');
  CREATE DOMAIN year AS int CHECK (VALUE BETWEEN 1901 AND 2155);
  CREATE TABLE store (store_id serial PRIMARY KEY, manager int NOT NULL UNIQUE, opened date NOT NULL);
  CREATE TABLE staff (staff_id serial PRIMARY KEY, store_id int NOT NULL REFERENCES store, name text NOT NULL, picture bytea);
  ALTER TABLE store ADD FOREIGN KEY (manager) REFERENCES staff DEFERRABLE INITIALLY DEFERRED;
  CREATE TABLE film (film_id serial PRIMARY KEY, title varchar(80) NOT NULL, made year, rated rating DEFAULT 'all', rate numeric(4,2) NOT NULL DEFAULT 4.99,
    extras text[], words tsvector NOT NULL, minutes smallint, hours numeric(4,2) GENERATED ALWAYS AS (round(minutes / 60.0, 2)) STORED,
    changed timestamptz NOT NULL DEFAULT now());
  CREATE INDEX film_words ON film USING gin (words); CREATE INDEX film_title ON film (title);
  CREATE FUNCTION index_words() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.words := to_tsvector('english', NEW.title); RETURN NEW; END $$;
  CREATE TRIGGER words BEFORE INSERT OR UPDATE ON film FOR EACH ROW EXECUTE FUNCTION index_words();
  CREATE TABLE rental (rental_id bigint PRIMARY KEY, film_id int NOT NULL REFERENCES film, token uuid NOT NULL UNIQUE, span tstzrange, kept interval);
  CREATE TABLE payment (payment_id int NOT NULL, rental_id bigint NOT NULL REFERENCES rental, amount numeric(5,2) NOT NULL, paid timestamptz NOT NULL,
    PRIMARY KEY (paid, payment_id)) PARTITION BY RANGE (paid);
  CREATE TABLE payment_1 PARTITION OF payment FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
  CREATE TABLE payment_2 PARTITION OF payment FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
  CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL);
  CREATE TABLE member (points int, PRIMARY KEY (id)) INHERITS (person);
  CREATE VIEW paid AS SELECT film_id, sum(amount) AS amount FROM payment JOIN rental USING (rental_id) GROUP BY 1;
  BEGIN; INSERT INTO store VALUES (1, 1, '2020-02-29'), (2, 2, '0044-03-15 BC'::date + 1000000);
  INSERT INTO staff VALUES (1, 1, 'Ada', '\\x00ff'), (2, 2, 'Bob é😀', NULL); COMMIT;
  INSERT INTO film (film_id, title, made, rated, extras, minutes) SELECT i, 'Film ' || i, 1950 + i % 70, (enum_range(null::rating))[i % 3 + 1],
    (ARRAY['{}', NULL, '{Trailers,"Behind, \\"x\\""}', '{NULL}'])[i % 4 + 1]::text[], i % 200 FROM generate_series(1, 300) AS i;
  INSERT INTO rental SELECT i, i % 300 + 1, md5(i::text)::uuid, tstzrange(timestamptz '2026-01-01 00:00+00', timestamptz '2026-01-01 00:00+00' + i * interval '1 h'),
    i * interval '1 month 1 day 0.5 s' FROM generate_series(1, 1000) AS i;
  INSERT INTO payment SELECT i, i, i % 99 + 0.99, timestamptz '2026-01-01 12:00+00' + i * interval '50 min' FROM generate_series(1, 1000) AS i;
  INSERT INTO person VALUES (1, 'alone'); INSERT INTO member VALUES (2, 'also', 7)`

const CHANGES = [
  "ALTER TYPE rating ADD VALUE 'kids' AFTER 'all'",
  `ALTER TABLE film ADD COLUMN facts jsonb, ADD COLUMN aka text[], ALTER COLUMN title TYPE varchar(200);
   UPDATE film SET rated = 'kids', facts = '{"a": 1.50}', aka = '{x,NULL}', title = repeat(title, 20) WHERE film_id < 9;
   UPDATE payment SET paid = paid + interval '31 days' WHERE payment_id = 3; DELETE FROM payment WHERE payment_id % 100 = 7;
   INSERT INTO member VALUES (3, 'new', NULL); INSERT INTO store VALUES (3, 3, '2026-01-01'); INSERT INTO staff VALUES (3, 3, 'Cyd', NULL);
   CREATE TABLE festival (festival_id int PRIMARY KEY, film_id int NOT NULL REFERENCES film); INSERT INTO festival VALUES (1, 2)`,
]

const TABLES = ['film', 'member', 'payment', 'person', 'rental', 'staff', 'store']
/** Each table's rows as a list of texts that all three systems write alike. */
const selects = (tables: string[], text: (column: string) => string) => {
  const columns: Record<string, string[]> = {
    film: ['film_id', 'title', 'made', 'rated', 'rate', 'words', 'minutes', 'hours'],
    member: ['id', 'name', 'points'],
    payment: ['payment_id', 'rental_id', 'amount'],
    person: ['id', 'name'],
    rental: ['rental_id', 'film_id', 'token', 'span'],
    staff: ['staff_id', 'store_id', 'name'],
    store: ['store_id', 'manager', 'opened'],
    festival: ['festival_id', 'film_id'],
  }
  return tables.map(
    table =>
      `SELECT ${columns[table]!.map(name => `${text(name)} AS ${name}`).join(', ')} FROM ${table} ORDER BY 1`,
  )
}

async function same(
  source: FreshDatabase,
  tables: string[],
  text: (column: string) => string,
  ask: (sql: string) => Promise<object[]>,
) {
  const wanted = selects(tables, column => `${column}::text`)
  for (const [index, sql] of selects(tables, text).entries())
    assert.deepEqual(await ask(sql), await source.query(wanted[index]!), tables[index])
}

test('a whole schema goes into Postgres, MariaDB and DuckDB, with what holds it together, and follows a night of changes', async t => {
  const [source, warehouse, legacy] = [await freshPostgres(t), await freshPostgres(t), await freshMariadb(t)]
  await source.query(`SET TimeZone = 'UTC'; ${SCHEMA}`)
  const job = await smallJob(t, 'rentals', {})
  const duckdb = `duckdb:${join(job.folder, 'w.duckdb')}`
  const night = async (tables: string[]) => {
    for (const [url, ...more] of [
      [warehouse.url, '--foreign-keys'],
      [legacy.url, '--foreign-keys'],
      [duckdb],
    ]) {
      const { code, output } = await job.cli('copy', source.url, url!, '--indexes', ...more)
      assert.equal(code, 0, output)
    }
    await same(source, tables, column => `${column}::text`, warehouse.query)
    await same(source, tables, column => `CAST(${column} AS CHAR)`, legacy.query)
    const duck = await Duck.open({ path: join(job.folder, 'w.duckdb') })
    try {
      await same(
        source,
        tables,
        column => `${column}::VARCHAR`,
        sql => duck.rows(sql),
      )
    } finally {
      duck.close()
    }
  }
  await night(TABLES)
  const facts = async (sql: string) => (await warehouse.query<{ fact: string }>(sql)).map(({ fact }) => fact)
  assert.deepEqual(
    await facts(
      `SELECT conrelid::regclass || ': ' || pg_get_constraintdef(oid) AS fact FROM pg_constraint WHERE contype = 'f' ORDER BY 1`,
    ),
    [
      'payment: FOREIGN KEY (rental_id) REFERENCES rental(rental_id) DEFERRABLE',
      'rental: FOREIGN KEY (film_id) REFERENCES film(film_id) DEFERRABLE',
      'staff: FOREIGN KEY (store_id) REFERENCES store(store_id) DEFERRABLE',
      'store: FOREIGN KEY (manager) REFERENCES staff(staff_id) DEFERRABLE',
    ],
  )
  assert.deepEqual(
    await facts(
      `SELECT regexp_replace(indexdef, '^.* ON public[.]', '') AS fact FROM pg_indexes WHERE tablename IN ('film', 'payment', 'rental') ORDER BY 1`,
    ),
    [
      'film USING btree (film_id)',
      'film USING btree (title)',
      'film USING gin (words)',
      'payment USING btree (paid, payment_id)',
      'rental USING btree (rental_id)',
      'rental USING btree (token)',
    ],
  )
  const [keys] = await legacy.query<{ n: string }>(
    `SELECT count(*) AS n FROM information_schema.referential_constraints WHERE constraint_schema = '${legacy.name}'`,
  )
  assert.equal(Number(keys!.n), 4)
  for (const sql of CHANGES) await source.query(sql)
  await night([...TABLES, 'festival'])
  const [film] = await warehouse.query(`SELECT facts::text, aka::text FROM film WHERE film_id = 8`)
  assert.deepEqual(film, { facts: '{"a": 1.50}', aka: '{x,NULL}' })
})
