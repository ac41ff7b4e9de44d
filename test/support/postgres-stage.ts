import { createHash } from 'node:crypto'
import { chownSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { advance, checksumText, INITIAL_REGISTER } from '../../src/engine/kernels/crc32c.ts'
import type { Repository } from '../../src/engine/repository/repository.ts'
import type { StoredSnapshot } from '../../src/engine/repository/snapshot.ts'
import type { Node } from '../../src/engine/repository/tree/node.ts'
import { TreeLoader } from '../../src/engine/repository/tree-loader.ts'
import { TreeMaker } from '../../src/engine/restore/testing.ts'
import type { Id } from '../../src/lib/id.ts'
import type { ProofCheck } from '../../src/sources/proof.ts'
import type { RestoreJob, SourceRestoreObserver } from '../../src/sources/restore.ts'
import type { PostgresServer } from './servers/postgres.ts'
import { sourceOf } from './servers/postgres-source.ts'
import { unprivileged } from './servers/server-folder.ts'
import { contentOf } from './stored-nodes.ts'
import { plainOptions } from './test-repository.ts'

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

/** What becomes of a file: other bytes, a link, or undefined when it goes. */
export type Alteration = (bytes: Buffer) => Uint8Array | { readonly link: string } | undefined

/** The snapshot with changed files, named by their paths in it: `/shop/data/PG_VERSION`. A path that is not there gets an empty file to change. */
export async function altered(
  repository: Repository,
  snapshot: StoredSnapshot,
  changes: Readonly<Record<string, Alteration>>,
): Promise<StoredSnapshot> {
  const maker = new TreeMaker(repository)
  const loader = new TreeLoader(repository)
  const open = new Map(Object.entries(changes))
  const rewritten = async (tree: Id, folder: string): Promise<Id> => {
    const { nodes } = await loader.load(tree)
    const kept: Node[] = []
    for (const node of nodes) {
      const path = `${folder}/${node.name}`
      if (node.type === 'dir' && [...open.keys()].some((other) => other.startsWith(`${path}/`)))
        kept.push({ ...node, subtree: await rewritten(node.subtree!, path) })
      else if (open.has(path)) {
        const file = await changed(node.name, open.get(path)!, await contentOf(repository, node), node)
        if (file !== undefined) kept.push(file)
        open.delete(path)
      } else kept.push(node)
    }
    for (const [path, change] of open)
      if (path.slice(0, path.lastIndexOf('/')) === folder) {
        kept.push((await changed(path.slice(folder.length + 1), change, Buffer.alloc(0)))!)
        open.delete(path)
      }
    return await maker.tree(kept)
  }
  const changed = async (name: string, change: Alteration, bytes: Buffer, node?: Node): Promise<Node | undefined> => {
    const now = change(Buffer.from(bytes))
    if (now === undefined) return undefined
    if ('link' in now) return maker.symlink(name, now.link)
    const pieces: Uint8Array[] = []
    for (let at = 0; at < now.length; at += PIECE_BYTES) pieces.push(now.subarray(at, at + PIECE_BYTES))
    const { uid, gid, mode } = node ?? { uid: 0, gid: 0, mode: 0o600 }
    return await maker.file(name, pieces, { uid, gid, mode })
  }
  const tree = await rewritten(snapshot.tree!, '')
  await maker.writer.flush()
  loader.close()
  if (open.size > 0) throw new Error(`not in the snapshot: ${[...open.keys()].join(', ')}`)
  return { ...snapshot, tree }
}

const PIECE_BYTES = 512 * 1024

/** Changes one byte. */
export const flipped =
  (at: number) =>
  (bytes: Buffer): Buffer => {
    bytes[at < 0 ? bytes.length + at : at]! ^= 0x40
    return bytes
  }

/** Takes bytes away at the end. */
export const shortened =
  (by: number) =>
  (bytes: Buffer): Buffer =>
    bytes.subarray(0, -by)

export const removed: Alteration = () => undefined

/** Replaces text that must be there. */
export const replaced =
  (from: string | RegExp, to: string) =>
  (bytes: Buffer): Buffer => {
    const text = bytes.toString('latin1')
    const now = text.replace(from, to)
    if (now === text) throw new Error(`nothing to replace: ${from}`)
    return Buffer.from(now, 'latin1')
  }

/** A server's manifest about a file that was changed on the way to it: nothing but what is in the file can tell. */
export const attested =
  (path: string, bytes: Uint8Array, name: string = path) =>
  (manifest: Buffer): Buffer => {
    const crc = checksumText(~advance(INITIAL_REGISTER, bytes) >>> 0)
    const line = new RegExp(`"Path": "${path}", "Size": [0-9]+(,.*"Checksum": ")[0-9a-f]+`)
    const text = replaced(line, `"Path": "${name}", "Size": ${bytes.length}$1${crc}`)(manifest)
    const body = text.subarray(0, text.lastIndexOf('"Manifest-Checksum"'))
    const sum = createHash('sha256').update(body).digest('hex')
    return Buffer.concat([body, Buffer.from(`"Manifest-Checksum": "${sum}"}\n`)])
  }

/** Checks as they are reported, and the failed ones as text. */
export function recordedChecks(): {
  readonly checks: ProofCheck[]
  readonly report: (check: ProofCheck) => void
  failures(): string
  outcome(name: string): ProofCheck['outcome'] | undefined
} {
  const checks: ProofCheck[] = []
  return {
    checks,
    report: (check) => void checks.push(check),
    failures: () =>
      checks
        .filter(({ outcome }) => outcome === 'failed')
        .map(({ name, detail }) => `${name}: ${detail}`)
        .join('\n'),
    outcome: (name) => checks.find((check) => check.name === name)?.outcome,
  }
}
