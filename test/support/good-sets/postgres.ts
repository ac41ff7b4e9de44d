import pg from 'pg'
import type { Dice } from './dice.ts'

const { escapeIdentifier: identifier, escapeLiteral: literal } = pg

/** A type of column, with an expression that gives its value in row `g`; `s` is another number for each column. */
interface ColumnType {
  readonly type: string
  readonly value: (s: number) => string
  /** Access methods that index it. */
  readonly indexes: readonly string[]
}

const ordered = ['btree', 'hash', 'brin']

const types: readonly ColumnType[] = [
  { type: 'smallint', value: (s) => `(hashint8(g + ${s}) % 32767)::int2`, indexes: ordered },
  { type: 'integer', value: (s) => `hashint8(g * ${s})`, indexes: ordered },
  { type: 'bigint', value: (s) => `hashint8extended(g, ${s})`, indexes: ordered },
  { type: 'numeric(12, 3)', value: (s) => `(hashint8(g + ${s}) / 1000.0)::numeric(12, 3)`, indexes: ordered },
  { type: 'numeric', value: (s) => `('1e' || g % 60)::numeric / ${s}`, indexes: ordered },
  { type: 'real', value: (s) => `(sin(g) * ${s})::float4`, indexes: ordered },
  {
    type: 'double precision',
    value: (s) => `CASE g % 9 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' ELSE cos(g) * ${s} END`,
    indexes: ordered,
  },
  { type: 'text', value: (s) => `repeat(md5((g + ${s})::text), (g % 4)::int)`, indexes: ['btree', 'hash'] },
  { type: 'text COLLATE "C"', value: (s) => `E'\\\\N\\t\\n\\r\\\\.' || g % ${s}`, indexes: ['btree'] },
  { type: 'varchar(40)', value: (s) => `'ünïcödé 漢字 🙂 ' || (g * ${s})`, indexes: ordered },
  { type: 'char(7)', value: (s) => `(g % ${s})::text`, indexes: ordered },
  { type: 'bytea', value: (s) => `decode(md5((g * ${s})::text), 'hex') || '\\x000a5c'`, indexes: ['btree', 'hash'] },
  { type: 'boolean', value: (s) => `(g + ${s}) % 3 = 0`, indexes: ['btree', 'hash'] },
  { type: 'date', value: (s) => `date '1970-01-01' + ((g * ${s}) % 90000)::int`, indexes: ordered },
  { type: 'timestamp', value: (s) => `timestamp '2026-01-01' + g * interval '${s} microseconds'`, indexes: ordered },
  {
    type: 'timestamptz',
    value: (s) => `timestamptz '1999-12-31 23:59:59+00' + g * interval '${s} seconds'`,
    indexes: ordered,
  },
  { type: 'interval', value: (s) => `g * interval '1 month 2 days ${s} seconds'`, indexes: ['btree', 'hash'] },
  { type: 'uuid', value: (s) => `md5((g + ${s})::text)::uuid`, indexes: ordered },
  { type: 'json', value: (s) => `json_build_object('b', g, 'a', ${s})`, indexes: [] },
  {
    type: 'jsonb',
    value: (s) => `jsonb_build_object('n', g, 'tags', jsonb_build_array(g % 7, ${s}, null, 'é'))`,
    indexes: ['gin'],
  },
  { type: 'inet', value: (s) => `('10.' || g % 250 || '.0.${s % 250}/24')::inet`, indexes: ordered },
  { type: 'macaddr', value: () => `'08:00:2b:01:02:03'::macaddr`, indexes: ordered },
  { type: 'bit varying', value: (s) => `(g % 1000)::int::bit(${1 + (s % 30)})`, indexes: ['btree'] },
  { type: 'point', value: (s) => `point(g, ${s})`, indexes: ['gist'] },
  { type: 'int4range', value: (s) => `int4range((g % 1000)::int, (g % 1000)::int + ${s})`, indexes: ['btree', 'gist'] },
  { type: 'integer[]', value: (s) => `ARRAY[g % 5, NULL, ${s}]::int[]`, indexes: ['btree', 'gin'] },
  { type: 'text[]', value: (s) => `ARRAY[['a,b', NULL], ['"', 'x' || g % ${s}]]`, indexes: ['btree', 'gin'] },
  { type: 'tsvector', value: () => `to_tsvector('simple', 'row ' || g)`, indexes: ['gin', 'gist'] },
  { type: 'money', value: (s) => `((g % 1000) * ${s})::int::money`, indexes: ['btree'] },
]

/**
 * Statements that make a database of few and small things of many kinds: tables with columns of all types, partitions, indexes, constraints,
 * sequences, large objects, row level security, views, rights. They run on PostgreSQL 13 and later, as a superuser, in an empty database.
 */
export function* postgresSet(dice: Dice): Generator<string> {
  yield `DO $$ BEGIN CREATE ROLE auditor NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$`
  const schemas = ['public', ...Array.from({ length: dice.below(3) }, (_, i) => `${dice.word()} ${i}`)]
  for (const schema of schemas.slice(1)) yield `CREATE SCHEMA ${identifier(schema)}`
  yield `CREATE TYPE mood AS ENUM (${Array.from({ length: dice.between(1, 5) }, (_, i) => literal(`${dice.word()}${i}`)).join(', ')})`
  yield 'CREATE DOMAIN share AS numeric CHECK (VALUE BETWEEN 0 AND 100)'
  yield 'CREATE TYPE place AS (street text, number int)'
  const tables: string[] = []
  for (let i = 0, count = dice.between(1, 6); i < count; i++) {
    const schema = identifier(dice.pick(schemas))
    const name = `${schema}.${identifier(`${dice.word()} ${i}`)}`
    yield* table(dice, schema, name, i)
    tables.push(name)
  }
  yield* sequences(dice, schemas)
  for (let i = 0, count = dice.below(4); i < count; i++)
    yield `SELECT lo_from_bytea(${1000 + i}, '\\x${dice.bytes(dice.pick([0, 1, 2047, 2048, 5000])).toString('hex')}')`
  const [first] = tables
  yield `CREATE VIEW seen AS SELECT count(*) AS n FROM ${first}`
  if (dice.oneIn(2))
    yield `CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM ${first}${dice.oneIn(3) ? ' WITH NO DATA' : ''}`
  if (dice.oneIn(2)) {
    yield `CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$`
    yield `CREATE TRIGGER kept BEFORE UPDATE ON ${dice.pick(tables)} FOR EACH ROW EXECUTE FUNCTION keep()`
  }
  if (dice.oneIn(2)) yield `CREATE PUBLICATION changes FOR ALL TABLES`
}

function* sequences(dice: Dice, schemas: readonly string[]): Generator<string> {
  for (let i = 0, count = dice.below(4); i < count; i++) {
    const name = `${identifier(dice.pick(schemas))}.counter${i}`
    const last = dice.between(1, 1000)
    yield `CREATE SEQUENCE ${name}${dice.oneIn(2) ? ' CYCLE' : ''} MINVALUE -7 INCREMENT ${dice.between(1, 9)}`
    yield `SELECT setval(${literal(name)}, ${last}, ${dice.oneIn(2)})`
  }
}

function* table(dice: Dice, schema: string, name: string, number: number): Generator<string> {
  const rows = dice.pick([0, 1, 2, 10, 100, 500, 1500])
  const columns = Array.from({ length: dice.between(1, 8) }, (_, i) => ({
    ...dice.pick(types),
    name: identifier(`${dice.word()} ${i}`),
    salt: dice.between(1, 997),
    isSparse: dice.oneIn(3),
  }))
  const definitions = columns.map(({ name: column, type }) => `${column} ${type}`)
  const key = dice.pick(['serial', 'identity', 'plain', 'none'] as const)
  const partition = dice.oneIn(4) ? dice.pick(['RANGE', 'LIST', 'HASH'] as const) : undefined
  if (key === 'serial') definitions.unshift('id bigserial')
  if (key === 'identity')
    definitions.unshift(
      `id int GENERATED ${dice.pick(['ALWAYS', 'BY DEFAULT'])} AS IDENTITY (START ${dice.between(1, 99)})`,
    )
  if (key === 'plain') definitions.unshift('id int')
  definitions.push('part int NOT NULL')
  if (dice.oneIn(3)) definitions.push('twice int GENERATED ALWAYS AS (part * 2) STORED')
  if (dice.oneIn(3))
    definitions.push(
      'feeling mood DEFAULT (enum_first(NULL::mood))',
      'portion share DEFAULT 50',
      `home place DEFAULT ROW('x, "y"', ${number})`,
    )
  if (dice.oneIn(3)) definitions.push('CHECK (part >= 0)')
  const isUnlogged = partition === undefined && dice.oneIn(8)
  yield `CREATE ${isUnlogged ? 'UNLOGGED ' : ''}TABLE ${name} (${definitions.join(', ')})${partition === undefined ? '' : ` PARTITION BY ${partition} (part)`}`
  if (partition !== undefined)
    for (const [i, bounds] of partitions[partition].entries())
      yield `CREATE TABLE ${schema}.part_${number}_${i} PARTITION OF ${name} ${bounds}`
  const filled = ['part', ...columns.map((column) => column.name), ...(key === 'plain' ? ['id'] : [])]
  const values = [
    'g % 30',
    ...columns.map(({ value, salt, isSparse }) =>
      isSparse ? `CASE WHEN g % 3 = 0 THEN ${value(salt)} END` : value(salt),
    ),
    ...(key === 'plain' ? ['g'] : []),
  ]
  if (rows > 0)
    yield `INSERT INTO ${name} (${filled.join(', ')}) SELECT ${values.join(', ')} FROM generate_series(1::bigint, ${rows}) g`
  // Rows that have moved and gone, as in every database that lives.
  if (dice.oneIn(2)) yield `UPDATE ${name} SET part = part WHERE part % 7 = 0`
  if (dice.oneIn(3)) yield `DELETE FROM ${name} WHERE part = 5`
  if (key !== 'none' && partition === undefined) yield `ALTER TABLE ${name} ADD PRIMARY KEY (id)`
  for (const { name: column, indexes } of columns)
    if (indexes.length > 0 && dice.oneIn(2)) {
      const method = dice.pick(indexes)
      yield `CREATE INDEX ON ${name} USING ${method} (${column})${dice.oneIn(3) ? ' WHERE part > 3' : ''}`
    }
  if (dice.oneIn(3)) yield `CREATE INDEX ON ${name} ((part + 1), part DESC NULLS LAST)`
  if (dice.oneIn(4)) {
    yield `ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`
    yield `CREATE POLICY few ON ${name} TO auditor USING (part < 10)`
    if (dice.oneIn(2)) yield `ALTER TABLE ${name} FORCE ROW LEVEL SECURITY`
  }
  if (dice.oneIn(3)) yield `GRANT ${dice.pick(['SELECT', 'UPDATE (part)', 'INSERT'])} ON ${name} TO auditor`
  if (dice.oneIn(3)) yield `COMMENT ON TABLE ${name} IS ${literal(dice.word(40))}`
  if (dice.oneIn(4)) yield `ALTER TABLE ${name} REPLICA IDENTITY FULL`
}

const partitions = {
  RANGE: ['FOR VALUES FROM (MINVALUE) TO (10)', 'FOR VALUES FROM (10) TO (20)', 'DEFAULT'],
  LIST: ['FOR VALUES IN (1, 2, 3)', 'DEFAULT'],
  HASH: ['FOR VALUES WITH (MODULUS 2, REMAINDER 0)', 'FOR VALUES WITH (MODULUS 2, REMAINDER 1)'],
} as const
