import { HoldfastError } from '../../lib/errors.ts'
import type { ReplicationConnection, TextRow } from './replication.ts'
import { SQLSTATE_DATA_CORRUPTED } from './server-error.ts'
import { messageTypes } from './wire.ts'

export interface BaseBackupOptions {
  readonly majorVersion: number
  /** Stands in the backup's `backup_label`. */
  readonly label: string
  readonly checkpoint: 'fast' | 'spread'
  /** Bytes per second. */
  readonly maxRate: number | undefined
  /** The manifest of an earlier backup: send only what changed since. PostgreSQL 17 and later. */
  readonly since?: AsyncIterable<Uint8Array> | undefined
}

export interface LogPosition {
  /** As the server writes it: `0/3000138`. */
  readonly lsn: string
  readonly timeline: number
}

export interface Tablespace {
  readonly oid: number
  /** Where it lies on the server. */
  readonly location: string
  /** As the server estimates it. */
  readonly sizeBytes: number
}

/** What a base backup consists of, in the order in which it comes. */
export type BackupPart =
  | {
      readonly kind: 'start'
      readonly position: LogPosition
      readonly tablespaces: readonly Tablespace[]
      /** Of everything, as the server estimates it. */
      readonly sizeBytes: number
    }
  /** A tar archive: of the data directory, or of the tablespace. */
  | {
      readonly kind: 'archive'
      readonly tablespace: Tablespace | undefined
      readonly content: AsyncIterable<Uint8Array>
    }
  /** The server's `backup_manifest`. */
  | { readonly kind: 'manifest'; readonly content: AsyncIterable<Uint8Array> }
  | {
      readonly kind: 'end'
      readonly position: LogPosition
      /** The server found pages whose checksum is wrong; its warnings name them. Everything was sent all the same. */
      readonly isDamaged: boolean
    }

/** From here on an answer holds one copy whose messages say what they are; before, there is one copy for each archive. */
const FIRST_WITH_TYPED_COPY = 15

/**
 * The command for a backup with the WAL it needs to become consistent. Tablespaces are not to be mapped: their content lies in the
 * snapshot where a link lies on the server. Archiving is not waited for, since the WAL is in the backup.
 */
export function baseBackupCommand({ majorVersion, label, checkpoint, maxRate, since }: BaseBackupOptions): string {
  const quotedLabel = `'${label.replaceAll("'", "''")}'`
  const rate = maxRate === undefined ? [] : [`MAX_RATE ${Math.floor(maxRate / 1024)}`]
  if (majorVersion < FIRST_WITH_TYPED_COPY) {
    const fast = checkpoint === 'fast' ? ['FAST'] : []
    const words = [`LABEL ${quotedLabel}`, 'PROGRESS', ...fast, 'WAL', 'NOWAIT', ...rate]
    return `BASE_BACKUP ${[...words, "MANIFEST 'yes'", "MANIFEST_CHECKSUMS 'CRC32C'"].join(' ')}`
  }
  const options = [`LABEL ${quotedLabel}`, 'PROGRESS', `CHECKPOINT '${checkpoint}'`, 'WAL', 'WAIT false', ...rate]
  const increment = since === undefined ? [] : ['INCREMENTAL']
  return `BASE_BACKUP (${[...options, "MANIFEST 'yes'", "MANIFEST_CHECKSUMS 'CRC32C'", ...increment].join(', ')})`
}

/**
 * Takes a base backup (PostgreSQL documentation, "Streaming Replication Protocol", BASE_BACKUP). The content of a part has to be read to
 * its end before the next is asked for. Of what changed since an earlier backup, files come as incremental ones where that is less. A server that
 * cannot tell what changed says so before the first part; one that is not through with its WAL makes the first part wait.
 *
 * @throws HoldfastError when the server fails, is gone, or says what makes no sense
 */
export async function* baseBackup(
  connection: ReplicationConnection,
  options: BaseBackupOptions,
): AsyncGenerator<BackupPart> {
  if (options.since !== undefined) await connection.copyIn('UPLOAD_MANIFEST', options.since)
  connection.send(baseBackupCommand(options))
  const position = await readPosition(connection)
  const rows = await connection.result()
  const spaces = rows.map((row) => tablespaceOf(connection, row))
  const tablespaces = spaces.filter((space) => space !== undefined)
  const sizeBytes = rows.reduce((sum, row) => sum + 1024 * Number(row.size ?? 0), 0)
  yield { kind: 'start', position, tablespaces, sizeBytes }
  if (options.majorVersion < FIRST_WITH_TYPED_COPY) yield* copyPerArchive(connection, spaces)
  else yield* typedCopy(connection, tablespaces)
  const end = await readPosition(connection)
  yield { kind: 'end', position: end, isDamaged: await endsDamaged(connection) }
}

async function readPosition(connection: ReplicationConnection): Promise<LogPosition> {
  const rows = await connection.result()
  const lsn = connection.only(rows, 'recptr')
  const timeline = Number(connection.only(rows, 'tli'))
  if (!/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/.test(lsn) || !Number.isInteger(timeline))
    throw connection.wire.unexpected(`the impossible log position ${lsn}`)
  return { lsn, timeline }
}

/** The data directory itself is the row without a location. */
function tablespaceOf(connection: ReplicationConnection, row: TextRow): Tablespace | undefined {
  const { spcoid, spclocation, size } = row
  if (spcoid === undefined) return undefined
  const oid = Number(spcoid)
  if (!(oid > 0 && oid < 2 ** 32) || spclocation === undefined)
    throw connection.wire.unexpected(`the impossible tablespace ${spcoid}`)
  return { oid, location: spclocation, sizeBytes: 1024 * Number(size ?? 0) }
}

/** PostgreSQL 13 and 14: a copy for each row of the list, then one with the manifest. */
async function* copyPerArchive(
  connection: ReplicationConnection,
  spaces: readonly (Tablespace | undefined)[],
): AsyncGenerator<BackupPart> {
  for (const tablespace of spaces) {
    await connection.wire.expect(messageTypes.copyOut)
    yield { kind: 'archive', tablespace, content: copyContent(connection) }
  }
  await connection.wire.expect(messageTypes.copyOut)
  yield { kind: 'manifest', content: copyContent(connection) }
}

async function* copyContent({ wire }: ReplicationConnection): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { type } = await wire.next()
    if (type === messageTypes.copyDone) return
    if (type !== messageTypes.copyData) throw wire.unexpected(`message ${JSON.stringify(type)} in a copy`)
    yield* wire.pieces()
  }
}

/** First bytes of the copy's messages. */
const ARCHIVE = 'n'.charCodeAt(0)
const DATA = 'd'.charCodeAt(0)
const MANIFEST = 'm'.charCodeAt(0)
const PROGRESS = 'p'.charCodeAt(0)

/** PostgreSQL 15 and later: one copy; `n` begins an archive and `m` the manifest, `d` has their content, `p` says how far it is. */
async function* typedCopy(
  connection: ReplicationConnection,
  tablespaces: readonly Tablespace[],
): AsyncGenerator<BackupPart> {
  const { wire } = connection
  await wire.expect(messageTypes.copyOut)
  /** The first byte of the message that ended the content before it; undefined at the end of the copy. */
  let next: number | undefined
  const step = async (): Promise<number | undefined> => {
    const { type } = await wire.next()
    if (type === messageTypes.copyDone) return undefined
    if (type !== messageTypes.copyData) throw wire.unexpected(`message ${JSON.stringify(type)} in a copy`)
    return await wire.byte()
  }
  async function* content(): AsyncGenerator<Uint8Array> {
    for (next = await step(); next === DATA || next === PROGRESS; next = await step())
      if (next === DATA) yield* wire.pieces()
  }
  next = await step()
  while (next !== undefined) {
    if (next === ARCHIVE) {
      const [name, location] = (await wire.body()).toString('utf8').split('\0')
      const tablespace = tablespaces.find(({ oid, location: place }) => name === `${oid}.tar` && place === location)
      if (tablespace === undefined && name !== 'base.tar') throw wire.unexpected(`the unknown archive ${name}`)
      yield { kind: 'archive', tablespace, content: content() }
    } else if (next === MANIFEST) yield { kind: 'manifest', content: content() }
    else if (next === PROGRESS) next = await step()
    else throw wire.unexpected(`a part of the unknown type ${next}`)
  }
}

/** Whether the answer ends with the one error that is no failure: bad checksums, told when everything is sent. */
async function endsDamaged(connection: ReplicationConnection): Promise<boolean> {
  try {
    for (;;) {
      const { type } = await connection.wire.next()
      if (type === messageTypes.readyForQuery) return false
    }
  } catch (error) {
    if (error instanceof HoldfastError && error.context.sqlstate === SQLSTATE_DATA_CORRUPTED) return true
    throw error
  }
}
