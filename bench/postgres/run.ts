/** `npm run bench:postgres -- OPTIONS`: Holdfast against pgBackRest on the same cluster, in turn; see `--help`. */
import { parseArgs } from 'node:util'
import { systemClock } from '../../src/lib/clock.ts'
import { describeMachine } from '../compare/machine.ts'
import { publish } from '../compare/publish.ts'
import { BenchCluster } from './cluster.ts'
import { compare } from './compare.ts'
import { fiveToMarkdown, storeFive } from './five.ts'
import { toMarkdown } from './report.ts'
import { holdfastTool, pgbackrestTool } from './tools.ts'

const usage = `Usage: npm run bench:postgres -- --pgbackrest PROGRAM [options]
       npm run bench:postgres -- --five --restic PROGRAM [options]

Makes a PostgreSQL cluster with realistic rows and runs Holdfast and pgBackRest in turn on it: a full backup, one after random updates, a
restore. Needs Linux, root, a quiet machine, and about 20 GB below --work, which user nobody must be able to reach.
With --five: what five snapshots of a cluster that changes take, beside restic's of its data directory; on any machine.

  --pgbackrest PROGRAM  the pgBackRest to compare with
  --five                compare stored bytes with restic's
  --restic PROGRAM      the restic to compare with (RESTIC, else the one on PATH)
  --rows N              rows of the table (5000000, about 1.5 GB with indexes; half of it with --five)
  --updates N           random updates between two backups (2500)
  --rounds N            runs of each tool in each case (3)
  --work FOLDER         where cluster and repositories lie (/var/tmp/holdfast-bench-postgres)
  --save NAME           write bench/results/DATE-NAME.json and .md
`

const { values } = parseArgs({
  options: {
    pgbackrest: { type: 'string' },
    five: { type: 'boolean' },
    restic: { type: 'string', default: process.env.RESTIC ?? 'restic' },
    rows: { type: 'string' },
    updates: { type: 'string', default: '2500' },
    rounds: { type: 'string', default: '3' },
    work: { type: 'string', default: '/var/tmp/holdfast-bench-postgres' },
    save: { type: 'string' },
    help: { type: 'boolean' },
  },
})

const say = (text: string): void => console.error(text)
const rows = Number(values.rows ?? (values.five ? 2_500_000 : 5_000_000))

if (values.help) process.stdout.write(usage)
else if (values.five) await five()
else if (values.pgbackrest === undefined) process.stdout.write(usage)
else await main(values.pgbackrest)

async function five(): Promise<void> {
  await using cluster = await BenchCluster.create({ work: values.work, rows, say })
  const result = await storeFive(cluster, { restic: values.restic, rows, say })
  publish(result, fiveToMarkdown(result), values.save)
}

async function main(program: string): Promise<void> {
  const machine = describeMachine('/var/tmp')
  await using cluster = await BenchCluster.create({
    work: values.work,
    rows,
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
