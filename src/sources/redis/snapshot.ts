import type { Repository } from '../../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { type Node, textToByteString } from '../../engine/repository/tree/node.ts'
import { fileContent, findDumpSource } from '../../engine/restore/dump/dump-snapshot.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { loadJson } from '../json-file.ts'
import { type RedisManifest, redisManifest } from './manifest.ts'
import { type ServerRecord, serverRecord } from './server-record.ts'

/** A snapshot of a server, opened. */
export interface RedisSnapshot {
  /** As in messages: `snapshot 1a2b3c4d`. */
  readonly name: string
  readonly manifest: RedisManifest
  readonly record: ServerRecord
  /** Size of its RDB file, which the manifest may contradict. */
  readonly bytes: number
  /** The RDB file; it can be read as often as need be. */
  rdb(signal?: AbortSignal): AsyncIterable<Uint8Array>
}

const PIECE_BYTES = 256 * 1024

/**
 * Opens what a backup of this sort of source has stored.
 * @throws HoldfastError HF_PATH_NOT_FOUND when it is another sort of snapshot or lacks a file, HF_DATA_DAMAGED for a manifest that is none
 */
export async function openSnapshot(
  repository: Repository,
  snapshot: StoredSnapshot,
  signal?: AbortSignal,
): Promise<RedisSnapshot> {
  const name = `snapshot ${shortId(snapshot.id)}`
  const root = rootOf(snapshot)
  const [path, ...others] = snapshot.paths
  if (path === undefined || others.length > 0 || !/^\/[^/]+$/.test(path))
    throw new HoldfastError(
      'HF_PATH_NOT_FOUND',
      `${name} is not of a Redis server: it is of ${snapshot.paths.join(', ')}`,
      {
        hint: '"holdfast snapshots" shows what each is of',
      },
    )
  const file = async (relative: string): Promise<Node> => {
    const found = await findDumpSource(repository, root, textToByteString(`${path}/${relative}`), signal)
    if (found.kind === 'file') return found.node
    throw new HoldfastError('HF_PATH_NOT_FOUND', `${path}/${relative} of ${name} is a folder`)
  }
  const manifest = await loadJson(repository, root, `${path}/.holdfast/manifest.json`, redisManifest.parse, signal)
  const record = await loadJson(repository, root, `${path}/.holdfast/server.json`, serverRecord.parse, signal)
  const rdb = await file('data/dump.rdb')
  return {
    name,
    manifest,
    record,
    bytes: Number(rdb.size),
    rdb: (readSignal = signal) => inPieces(fileContent(repository, rdb, readSignal)),
  }
}

/** Whoever reads keys collects those of a piece: a blob would have a hundred thousand of them. */
async function* inPieces(blobs: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const blob of blobs)
    for (let at = 0; at < blob.length; at += PIECE_BYTES) yield blob.subarray(at, at + PIECE_BYTES)
}
