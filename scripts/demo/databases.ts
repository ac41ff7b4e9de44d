import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../src/lib/clock.ts'
import { SandboxFolder } from '../../src/sources/sandbox/sandbox-folder.ts'
import type { DemoDatabase, DemoServers } from './database.ts'
import { postgresForDemo } from './postgres.ts'
import { redisForDemo } from './redis.ts'
import { type DemoStage, rate } from './stage.ts'

/** So many are in each database when the backup begins: they have to be there afterwards. */
const WRITES_BEFORE = 100

/** Backs databases up while they are written to, proves the backup, destroys them, restores them, and looks for every write. */
export async function demonstrateDatabases(stage: DemoStage, signal: AbortSignal): Promise<void> {
  await using sandbox = SandboxFolder.create({ root: stage.folder })
  const servers: DemoServers = { sandbox, signal }
  const found: readonly (DemoDatabase | undefined)[] = [await postgresForDemo(servers), await redisForDemo(servers)]
  const databases = found.filter((database) => database !== undefined)
  if (databases.length === 0) {
    console.log('\nNo database server is on this machine: that part is left out.')
    return
  }
  console.log(
    `\nDatabases: ${databases.map((database) => `${database.product} with ${database.describe()}`).join('; ')}.`,
  )
  writeFileSync(
    join(stage.folder, 'holdfast.yaml'),
    JSON.stringify(
      {
        version: 1,
        repositories: {
          main: { url: join(stage.folder, 'databases'), password: `file:${join(stage.folder, 'password')}` },
        },
        sources: Object.fromEntries(databases.map(({ name, source }) => [name, source])),
        defaults: { verify: 'none' },
      },
      undefined,
      2,
    ),
  )
  await stage.holdfast(['init'])

  const stop = new AbortController()
  const writing = Promise.all(databases.map((database) => database.write(AbortSignal.any([stop.signal, signal]))))
  writing.catch(() => undefined)
  while (databases.some((database) => database.written() < WRITES_BEFORE)) await systemClock.sleep(20, signal)
  const before = databases.map((database) => database.written())
  const backupMs = await stage.holdfast(['backup:run', '--all'])
  const during = databases.map((database, i) => database.written() - before[i]!)
  stop.abort()
  await writing
  console.log(`  meanwhile: ${databases.map(({ name }, i) => `${during[i]} writes to ${name}`).join(', ')}`)
  const verifyMs = await stage.holdfast(['verify:run', '--all'])

  for (const database of databases) await database.destroy()
  console.log(`\nDisaster: ${databases.map(({ product }) => product).join(' and ')} killed, the data deleted.\n`)
  const restoreMs = await stage.holdfast(['restore:run', '--all', '--to', 'restored'])
  const findings: string[] = []
  for (const [i, database] of databases.entries()) {
    signal.throwIfAborted()
    findings.push(await database.startAndProve(join(stage.folder, 'restored', database.name), before[i]!))
  }

  console.log(`
Proved: servers started on what was restored have ${findings.join('; ')}.
Before the disaster, throw-away servers had shown the same of the backup, with every checksum, index and key compared.

  backup under writes ${rate(backupMs)}
  proof               ${rate(verifyMs)}
  restore (RTO)       ${rate(restoreMs)}`)
}
