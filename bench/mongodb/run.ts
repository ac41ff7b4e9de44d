/** `npm run bench:mongodb -- OPTIONS`: Holdfast against the driver alone, and against MongoDB's tools; see `--help`. */
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MongoClient } from 'mongodb'
import { systemClock } from '../../src/lib/clock.ts'
import { startFerret } from '../../test/support/servers/mongo/ferret.ts'
import { canMakeFerret, hasFerret, makeFerret } from '../../test/support/servers/mongo/ferret-programs.ts'
import { describeMachine } from '../compare/machine.ts'
import { publish } from '../compare/publish.ts'
import { compare } from './compare.ts'
import { collections, writeDocuments } from './documents.ts'
import { toMarkdown } from './report.ts'
import { serverCpu } from './server-cpu.ts'
import { driverTool, holdfastTool, type MongoTool, mongoTools } from './tools.ts'

const usage = `Usage: npm run bench:mongodb -- [options]

Fills a FerretDB with realistic documents and lets Holdfast, and the driver alone, read and write them in turn: a first dump, another of the
same, a restore. Needs Linux, Go and Debian's package tools, a quiet machine, and 3 GB below --work.

  --megabytes N    documents in two collections (300)
  --rounds N       runs of each tool in each case (3)
  --tools FOLDER   compare with the mongodump and mongorestore in it, too
  --tenfold        measure peak memory with ten times the data once more: takes long
  --work FOLDER    where repositories lie (/var/tmp/holdfast-bench-mongodb)
  --save NAME      write bench/results/DATE-NAME.json and .md
`

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '300' },
    rounds: { type: 'string', default: '3' },
    tools: { type: 'string' },
    tenfold: { type: 'boolean', default: false },
    work: { type: 'string', default: '/var/tmp/holdfast-bench-mongodb' },
    save: { type: 'string' },
    help: { type: 'boolean' },
  },
})

const DATABASE = 'shop'
const TENFOLD = 'tenfold'
const MEGABYTE = 1e6
const say = (text: string): void => console.error(text)

if (values.help) process.stdout.write(usage)
else await main()

async function main(): Promise<void> {
  if (!hasFerret()) {
    if (!canMakeFerret())
      throw new Error('FerretDB is not here, and cannot be built: Go, apt-get and dpkg-deb are needed')
    say('building FerretDB, which takes some minutes')
    makeFerret()
  }
  const machine = describeMachine('/var/tmp')
  mkdirSync(values.work, { recursive: true, mode: 0o755 })
  const work = mkdtempSync(join(values.work, 'run-'))
  try {
    await using server = await startFerret()
    const { url } = server
    const bytes = Number(values.megabytes) * MEGABYTE
    const { files, documents } = await fill(url, DATABASE, bytes, work)
    const driver = driverTool(url, files)
    const holdfast = holdfastTool(url, DATABASE, work)
    const tools: MongoTool[] = [driver, holdfast]
    if (values.tools !== undefined) tools.push(mongoTools(url, values.tools, work))
    const serverCpuMs = await serverCpu(url, driver, DATABASE)
    const runs = await compare({ url, name: DATABASE, documents }, tools, { rounds: Number(values.rounds), say })
    const tenfold = values.tenfold ? await measureTenfold(url, bytes, work) : undefined
    const result = {
      date: new Date(Number(systemClock.now() / 1_000_000n)).toISOString(),
      machine,
      server: 'FerretDB 2.7.0 over DocumentDB',
      versions: Object.fromEntries(tools.map(({ name, version }) => [name, version])),
      bytes: files.reduce((sum, file) => sum + statSync(file).size, 0),
      documents: Object.values(documents).reduce((sum, count) => sum + count, 0),
      serverCpuMs,
      runs,
      tenfold,
    }
    publish(result, toMarkdown(result), values.save)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Writes the documents to files, and from there into a database. */
async function fill(
  url: string,
  database: string,
  bytes: number,
  work: string,
): Promise<{ readonly files: readonly string[]; readonly documents: Readonly<Record<string, number>> }> {
  say(`filling ${database} with ${bytes / MEGABYTE} MB`)
  const folder = mkdtempSync(join(work, `${database}-`))
  const files: string[] = []
  const documents: Record<string, number> = {}
  for (const collection of collections) {
    const file = join(folder, `${collection.name}.bson`)
    documents[collection.name] = await writeDocuments(file, collection, bytes * collection.share)
    files.push(file)
  }
  await driverTool(url, files).restore('', database)
  return { files, documents }
}

/** Peaks of a dump and a restore of ten times as much. */
async function measureTenfold(
  url: string,
  bytes: number,
  work: string,
): Promise<{ readonly dump: number; readonly restore: number }> {
  const { files } = await fill(url, TENFOLD, 10 * bytes, work)
  for (const file of files) rmSync(file)
  const tool = holdfastTool(url, TENFOLD, work)
  await tool.begin()
  const dump = await tool.dump(TENFOLD)
  await using client = await new MongoClient(url).connect()
  await client.db(TENFOLD).dropDatabase()
  const restore = await tool.restore(TENFOLD, `${TENFOLD}_restored`)
  return { dump: dump.peakBytes, restore: restore.peakBytes }
}
