import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { idBytes } from '../../../engine/archive/hex-ids.ts'
import { isHoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { ProofJob } from '../../proof.ts'
import { CheckList, type Fault, isElsewhere } from '../proof/check-list.ts'
import { clientProgramRemedy, findClientProgram, runProgram } from './client-programs.ts'
import { END_OF_ROWS, fingerprintOf } from './dump-files.ts'
import { LargeObjectsDigest, largeObjectFile } from './dump-large-objects.ts'
import type { DatabaseRecord, StoredFile, TableRecord } from './manifest.ts'
import { decoded } from './names.ts'
import { LogicalSnapshot } from './snapshot.ts'
import type { Toc } from './toc.ts'

const NEWLINE = 0x0a
const END_LINES = END_OF_ROWS.filter((byte) => byte === NEWLINE).length

/**
 * Compares a logical snapshot with its manifest: its files, by sizes and fingerprints; its tables of contents, read here and by `pg_restore`;
 * and the rows of each table, counted. Reads the repository only.
 */
export async function checkLogicalStructure(configured: string, job: ProofJob): Promise<void> {
  const checks = new CheckList(job, 'structure')
  let snapshot: LogicalSnapshot | undefined
  await checks.check('manifest of the snapshot', async () => {
    snapshot = await LogicalSnapshot.open(job.repository, job.snapshot, configured, job.signal)
    const { server, databases } = snapshot.manifest
    const point = `point=${databases[0]?.lsn}`
    if (!job.snapshot.tags.includes(point))
      throw new Error(`the snapshot is not tagged ${point}: is it of another backup?`)
    return `PostgreSQL ${server.version}, ${databases.map(({ name }) => name).join(', ')}`
  })
  if (snapshot === undefined) return
  const { manifest } = snapshot
  if (manifest.globals !== undefined)
    checks.faults('globals.sql', fileFaults(snapshot, manifest.globals, 'globals.sql'))
  for (const database of manifest.databases) await checkDatabase(checks, snapshot, database, job)
}

async function checkDatabase(
  checks: CheckList,
  snapshot: LogicalSnapshot,
  record: DatabaseRecord,
  { signal }: ProofJob,
): Promise<void> {
  const { name, tables, dump } = record
  const files = [
    ...fileFaults(snapshot, dump, `dump of ${name}`),
    ...tables.flatMap((table) => fileFaults(snapshot, table, itemOf(name, table))),
    ...(await largeObjectFaults(snapshot, record, signal)),
  ]
  const bytes = tables.reduce((sum, table) => sum + table.bytes, dump.bytes)
  checks.faults(`files of ${name}`, files, `${tables.length + 1} files, ${formatSize(bytes)}`)
  if (snapshot.manifest.dumpFormat !== 'directory') return
  let toc: Toc | undefined
  await checks.check(`table of contents of ${name}`, async () => {
    toc = await snapshot.toc(record, signal)
    const faults = [...contentFaults(snapshot, record, toc)]
    if (faults.length > 0) throw new Error(faults.map(({ item, what }) => `${item}: ${what}`).join('; '))
    return `${toc.entries.length} entries, by pg_dump ${toc.dumpVersion}`
  })
  if (toc !== undefined) await checkByProgram(checks, snapshot, record, signal)
  const rowFaults: Fault[] = []
  let rows = 0
  for (const table of tables) {
    try {
      const found = await countRows(snapshot, table, signal)
      rows += found
      if (found !== table.rows)
        rowFaults.push({ item: itemOf(name, table), what: `${found} rows, and ${table.rows} were read` })
    } catch (error) {
      signal?.throwIfAborted()
      if (isElsewhere(error)) throw error
      rowFaults.push({ item: itemOf(name, table), what: (error as Error).message })
    }
  }
  checks.faults(`rows of ${name}`, rowFaults, `${rows} rows of ${tables.length} tables`)
}

const itemOf = (database: string, { schema, name }: TableRecord): string => `${database}.${schema}.${name}`

function fileFaults(
  { files }: LogicalSnapshot,
  { path, bytes, fingerprint }: StoredFile,
  item: string,
): readonly Fault[] {
  const node = files.get(path)
  if (node === undefined) return [{ item, what: `${path} is not in the snapshot` }]
  if (Number(node.size) !== bytes) return [{ item, what: `${path} has ${node.size} bytes, and ${bytes} were written` }]
  if (fingerprintOf(idBytes(node.content ?? [])) !== fingerprint)
    return [{ item, what: `${path} consists of other blobs than those that were written` }]
  return []
}

async function largeObjectFaults(
  snapshot: LogicalSnapshot,
  { name, dump, largeObjects }: DatabaseRecord,
  signal: AbortSignal | undefined,
): Promise<readonly Fault[]> {
  if (largeObjects === undefined) return []
  const item = `large objects of ${name}`
  const folder = dump.path.slice(0, dump.path.lastIndexOf('/'))
  const digest = new LargeObjectsDigest()
  try {
    const list = (await snapshot.whole({ path: `${folder}/blobs.toc` }, signal)).toString('latin1')
    for (const [, oid] of list.matchAll(/^([0-9]+) /gm)) {
      const node = snapshot.files.get(`${folder}/${largeObjectFile(oid!)}`)
      if (node === undefined) return [{ item, what: `large object ${oid} is not in the snapshot` }]
      digest.add(oid!, fingerprintOf(idBytes(node.content ?? [])), Number(node.size))
    }
  } catch (error) {
    signal?.throwIfAborted()
    if (isElsewhere(error) || !isHoldfastError(error)) throw error
    return [{ item, what: error.message }]
  }
  return digest.fingerprint === largeObjects.fingerprint
    ? []
    : [
        {
          item,
          what: `${digest.count} with ${digest.bytes} bytes are not the ${largeObjects.count} with ${largeObjects.bytes} that were read`,
        },
      ]
}

/** What the table of contents and the manifest do not agree about. */
function* contentFaults({ files }: LogicalSnapshot, record: DatabaseRecord, toc: Toc): Generator<Fault> {
  const folder = record.dump.path.slice(0, record.dump.path.lastIndexOf('/'))
  const known = new Map(record.tables.map((table) => [table.path, table]))
  for (const { kind, fileName, schema, tag } of toc.entries) {
    if (kind !== 'TABLE DATA') continue
    const item = `${record.name}.${decoded(schema ?? '')}.${decoded(tag)}`
    if (!known.delete(`${folder}/${fileName}`)) yield { item, what: 'the manifest does not know its rows' }
    else if (!files.has(`${folder}/${fileName}`)) yield { item, what: 'its rows are not in the snapshot' }
  }
  for (const table of known.values()) yield { item: itemOf(record.name, table), what: 'the dump does not have it' }
}

/** An independent reader of the table of contents. */
async function checkByProgram(
  checks: CheckList,
  snapshot: LogicalSnapshot,
  record: DatabaseRecord,
  signal: AbortSignal | undefined,
): Promise<void> {
  const check = `pg_restore --list of ${record.name}`
  const needed = Number.parseInt(snapshot.manifest.programVersion, 10)
  const program = findClientProgram('pg_restore', needed)
  if (program === undefined)
    return checks.skipped(check, `no pg_restore of PostgreSQL ${needed} or newer here: ${clientProgramRemedy(needed)}`)
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-list-'))
  try {
    writeFileSync(join(folder, 'toc.dat'), await snapshot.whole(record.dump, signal), { mode: 0o600 })
    await checks.check(check, async () => {
      const list = await runProgram('pg_restore', program, { args: ['--list', folder], signal }, 'HF_RESTORE_FAILED')
      return `${list.split('\n').filter((line) => /^[0-9]/.test(line)).length} entries`
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** How many rows the file of a table has. @throws Error when its end is not that of a table */
async function countRows(
  snapshot: LogicalSnapshot,
  table: TableRecord,
  signal: AbortSignal | undefined,
): Promise<number> {
  let lines = 0
  let end: Buffer = Buffer.alloc(0)
  for await (const piece of snapshot.content(table, signal)) {
    for (let at = 0; at < piece.length; at++) if (piece[at] === NEWLINE) lines++
    end = Buffer.concat([end, piece.subarray(-END_OF_ROWS.length)]).subarray(-END_OF_ROWS.length)
  }
  if (!end.equals(END_OF_ROWS)) throw new Error('it is cut off: its end is missing')
  return lines - END_LINES
}
