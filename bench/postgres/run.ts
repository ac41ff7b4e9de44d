/** `npm run bench:postgres -- OPTIONS`: Holdfast against pgBackRest on the same cluster, in turn; see `--help`. */
import { parseArgs } from 'node:util'
import { systemClock } from '../../src/lib/clock.ts'
import { describeMachine } from '../compare/machine.ts'
import { publish } from '../compare/publish.ts'
import { BenchCluster } from './cluster.ts'
import { compare } from './compare.ts'
import { toMarkdown } from './report.ts'
import { holdfastTool, pgbackrestTool } from './tools.ts'

const usage = `Usage: npm run bench:postgres -- --pgbackrest PROGRAM [options]

Makes a PostgreSQL cluster with realistic rows and runs Holdfast and pgBackRest in turn on it: a full backup, one after random updates, a
restore. Needs Linux, root, a quiet machine, and about 12 GB below --work, which user nobody must be able to reach.

  --pgbackrest PROGRAM  the pgBackRest to compare with
  --rows N              rows of the table (5000000, about 1.5 GB with indexes)
  --updates N           random updates between two backups (2500)
  --rounds N            runs of each tool in each case (3)
  --work FOLDER         where cluster and repositories lie (/var/tmp/holdfast-bench-postgres)
  --save NAME           write bench/results/DATE-NAME.json and .md
`

const { values } = parseArgs({
  options: {
    pgbackrest: { type: 'string' },
    rows: { type: 'string', default: '5000000' },
    updates: { type: 'string', default: '2500' },
    rounds: { type: 'string', default: '3' },
    work: { type: 'string', default: '/var/tmp/holdfast-bench-postgres' },
    save: { type: 'string' },
    help: { type: 'boolean' },
  },
})

if (values.help || values.pgbackrest === undefined) process.stdout.write(usage)
else await main(values.pgbackrest)

async function main(program: string): Promise<void> {
  const say = (text: string): void => console.error(text)
  const machine = describeMachine('/var/tmp')
  await using cluster = await BenchCluster.create({
    work: values.work,
    rows: Number(values.rows),
    pgbackrest: program,
    say,
  })
  const tools = [pgbackrestTool(cluster, program), holdfastTool(cluster)] as const
  const runs = await compare(cluster, tools, { rounds: Number(values.rounds), updates: Number(values.updates), say })
  const result = {
    date: new Date(Number(systemClock.now() / 1_000_000n)).toISOString(),
    machine,
    versions: Object.fromEntries(tools.map(({ name, version }) => [name, version])),
    server: cluster.version,
    clusterBytes: cluster.bytes,
    updates: Number(values.updates),
    runs,
  }
  publish(result, toMarkdown(result), values.save)
}
