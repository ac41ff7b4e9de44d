/** `npm run bench:redis -- OPTIONS`: backup, restore and proof of a Redis server, and what the server can give; see `--help`. */
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../../src/lib/clock.ts'
import { describeMachine } from '../compare/machine.ts'
import { publish } from '../compare/publish.ts'
import { runCases } from './cases.ts'
import { toMarkdown } from './report.ts'
import { BenchServer } from './server.ts'

const usage = `Usage: npm run bench:redis -- [options]

Fills a Redis server and measures in turn: a raw read of its RDB file, redis-cli --rdb, Holdfast's backup, restore into a folder, and proof. Needs
Linux, redis-server, redis-cli and redis-check-rdb on PATH, and a quiet machine. Below 4 minutes as it is; memory for the server twice.

  --items N      what is put into the server (1000000, an RDB file of about 157 MiB)
  --rounds N     runs of each case (3)
  --work FOLDER  where server, repository and copies lie (/var/tmp/holdfast-bench-redis)
  --save NAME    write bench/results/DATE-NAME.json and .md
`

const { values } = parseArgs({
  options: {
    items: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '3' },
    work: { type: 'string', default: '/var/tmp/holdfast-bench-redis' },
    save: { type: 'string' },
    help: { type: 'boolean' },
  },
})

if (values.help) process.stdout.write(usage)
else await main()

async function main(): Promise<void> {
  const say = (text: string): void => console.error(text)
  const machine = describeMachine('/var/tmp')
  const items = Number(values.items)
  mkdirSync(values.work, { recursive: true, mode: 0o755 })
  say(`filling a server with ${items} items`)
  await using server = await BenchServer.create({ work: values.work, items, program: 'redis-server' })
  const runs = await runCases(server, { rounds: Number(values.rounds), say })
  const program = join(import.meta.dirname, '../../bin/holdfast')
  const result = {
    date: new Date(Number(systemClock.now() / 1_000_000n)).toISOString(),
    machine,
    holdfast: spawnSync(program, ['version'], { encoding: 'utf8' }).stdout.trim(),
    server: server.version,
    items,
    runs,
  }
  publish(result, toMarkdown(result), values.save)
}
