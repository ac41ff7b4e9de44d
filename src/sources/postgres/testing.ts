import { createHash } from 'node:crypto'
import { chownSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import type { PostgresServer } from '../../../test/support/servers/postgres.ts'
import { sourceOf } from '../../../test/support/servers/postgres-source.ts'
import { unprivileged } from '../../../test/support/servers/server-folder.ts'
import { plainOptions } from '../../../test/support/test-repository.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import type { RestoreJob, SourceRestoreObserver } from '../restore.ts'

export const ACCOUNTS = 2000
export const BALANCE = 100

/** A tablespace, tables with indexes, and money that moves and is never made: a torn cluster has another sum. */
export async function fillServer(server: PostgresServer): Promise<void> {
  const space = `${server.socketDirectory}/space`
  mkdirSync(space, { mode: 0o700 })
  if (unprivileged.uid !== undefined) chownSync(space, unprivileged.uid, unprivileged.gid!)
  await server.sql(`CREATE TABLESPACE fast LOCATION '${space}'`)
  await server.sql(`
    CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, filler text);
    INSERT INTO account SELECT g, ${BALANCE}, repeat('x', 200) FROM generate_series(1, ${ACCOUNTS}) g;
    CREATE TABLE marker (n int PRIMARY KEY, at timestamptz DEFAULT now()) TABLESPACE fast;
    CREATE TABLE bulk AS SELECT g, md5(g::text) FROM generate_series(1, 30000) g;
    CREATE INDEX bulk_md5 ON bulk (md5 COLLATE "C");
    CREATE SEQUENCE ticket START 41; SELECT nextval('ticket');
    CREATE MATERIALIZED VIEW total AS SELECT sum(balance) FROM account;
    CHECKPOINT`)
}

/** Moves money until it is told to stop. */
export async function keepWriting(
  server: PostgresServer,
): Promise<{ readonly done: () => number; readonly stop: () => Promise<void> }> {
  let committed = 0
  let stopped = false
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  const work = (async () => {
    for (let n = 1; !stopped; n++) {
      await client.query(`BEGIN;
        UPDATE account SET balance = balance - 1 WHERE id = ${((n * 7919) % ACCOUNTS) + 1};
        UPDATE account SET balance = balance + 1 WHERE id = ${((n * 104_729) % ACCOUNTS) + 1};
        INSERT INTO marker VALUES ((SELECT coalesce(max(n), 0) + 1 FROM marker)); COMMIT`)
      committed = n
    }
    await client.end()
  })()
  return {
    done: () => committed,
    stop: async () => {
      stopped = true
      await work
    },
  }
}

/** Backs a server up as the source `shop`. */
export async function snapshotOf(
  server: Pick<PostgresServer, 'url'>,
  repository: Repository,
  parent?: StoredSnapshot,
): Promise<StoredSnapshot> {
  const options = { ...plainOptions(repository, ['source=shop']), parent }
  const { result } = await sourceOf(server).backup({ repository, type: 'full', require: [], options })
  return result.snapshot!
}

export const restoreJob = (
  repository: Repository,
  snapshot: StoredSnapshot,
  path: string,
  more: Partial<RestoreJob> = {},
): RestoreJob => ({
  repository,
  snapshot,
  target: { kind: 'directory', path },
  include: [],
  exclude: [],
  rename: [],
  overwrite: false,
  ...more,
})

/** Takes nothing but what may happen; errors fail the test. */
export const quietObserver: SourceRestoreObserver = {
  onStep: () => undefined,
  onProgress: () => undefined,
  onWarning: () => undefined,
  onError: (item, error) => {
    throw new Error(`${item}: ${error.message}`)
  },
}

/** Content, permissions and owners of everything below a folder, by path; `except` names what is left out. */
export function fingerprints(folder: string, except: readonly string[] = []): Map<string, string> {
  const found = new Map<string, string>()
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = path.slice(folder.length + 1)
    if (except.includes(name)) continue
    if (entry.isSymbolicLink()) found.set(name, readlinkSync(path))
    else {
      const { mode, uid, gid } = statSync(path)
      const content = entry.isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex') : 'folder'
      found.set(name, `${mode.toString(8)} ${uid}:${gid} ${content}`)
    }
  }
  return found
}
