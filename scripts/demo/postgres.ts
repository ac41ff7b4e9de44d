import { spawnSync } from 'node:child_process'
import { chownSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { findServerPrograms } from '../../src/sources/postgres/server-programs.ts'
import { freePort } from '../../src/sources/sandbox/free-port.ts'
import type { SandboxProcess } from '../../src/sources/sandbox/sandbox-folder.ts'
import { type DemoDatabase, type DemoServers, removeData, whenReady } from './database.ts'

const MAJORS = [18, 17, 16, 15, 14, 13]
const ACCOUNTS = 10_000

/** Accounts between which money moves, and a journal of what was certainly committed; undefined without a PostgreSQL on this machine. */
export async function postgresForDemo(servers: DemoServers): Promise<DemoDatabase | undefined> {
  const programs = MAJORS.map(findServerPrograms).find((found) => found !== undefined)
  if (programs === undefined) return undefined
  const { sandbox, signal } = servers
  const data = join(sandbox.path, 'shop')
  const made = spawnSync(
    join(programs.folder, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-N', '-E', 'UTF8', '--no-locale', '--data-checksums'],
    {
      ...sandbox.user,
      cwd: '/',
      encoding: 'utf8',
    },
  )
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`)
  const port = await freePort()
  let server: SandboxProcess | undefined
  let written = 0

  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }
  const start = async (dataDirectory: string): Promise<void> => {
    server = sandbox.start('postgres', join(programs.folder, 'postgres'), [
      ...['-D', dataDirectory, '-p', String(port), '-c', 'listen_addresses=127.0.0.1'],
      ...['-c', `unix_socket_directories=${sandbox.path}`],
    ])
    await whenReady(
      server,
      async () => {
        await (await connect()).end()
        return true
      },
      signal,
    )
  }

  await start(data)
  const client = await connect()
  await client.query(`
    CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, owner text NOT NULL);
    INSERT INTO account SELECT g, 100, repeat(md5(g::text), 4) FROM generate_series(1, ${ACCOUNTS}) g;
    CREATE TABLE journal (n int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())`)
  await client.end()

  return {
    name: 'shop',
    product: `PostgreSQL ${programs.version.split(' ')[0]}`,
    source: { type: 'postgres', url: `postgres://postgres@127.0.0.1:${port}/postgres`, checkpoint: 'fast' },
    written: () => written,
    describe: () => `${ACCOUNTS} accounts`,
    async write(stop) {
      const writer = await connect()
      while (!stop.aborted) {
        const [from, to] = [(written * 7919) % ACCOUNTS, (written * 104_729 + 1) % ACCOUNTS]
        await writer.query(`BEGIN;
          UPDATE account SET balance = balance - 1 WHERE id = ${from + 1};
          UPDATE account SET balance = balance + 1 WHERE id = ${to + 1};
          INSERT INTO journal (n) VALUES (${written + 1}); COMMIT`)
        written++
      }
      await writer.end()
    },
    async destroy() {
      await server!.stop('SIGKILL')
      removeData(data)
    },
    async startAndProve(restored, writtenBefore) {
      const again = join(sandbox.path, 'shop-restored')
      renameSync(restored, again)
      const { uid, gid } = sandbox.user
      if (uid !== undefined) chownSync(again, uid, gid!)
      sandbox.handOver(again)
      await start(again)
      const reader = await connect()
      try {
        const { rows } = await reader.query<{ money: number; last: number; count: number }>(
          'SELECT (SELECT sum(balance)::int FROM account) AS money, max(n) AS last, count(*)::int AS count FROM journal',
        )
        const { money, last, count } = rows[0]!
        if (money !== 100 * ACCOUNTS)
          throw new Error(`after the restore the accounts hold ${money}, not ${100 * ACCOUNTS}`)
        if (count !== last || last < writtenBefore)
          throw new Error(
            `after the restore the journal has ${count} of ${last} entries; ${writtenBefore} were written before the backup`,
          )
        return `all ${ACCOUNTS} accounts with their money, and ${count} journal entries without a gap (${writtenBefore} were written when the backup began)`
      } finally {
        await reader.end()
      }
    },
  }
}
