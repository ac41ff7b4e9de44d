import { mkdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { syncPath } from '../../../engine/posix/sync-tree.ts'
import { HoldfastError, isHoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { RdbReader } from '../rdb/reader.ts'
import { readFacts } from '../server.ts'
import { startTransfer } from '../transfer.ts'
import type { TargetServer } from './target.ts'
import { writeRdb } from './write-rdb.ts'

const NANOSECONDS_PER_MILLISECOND = 1_000_000n

/** Where what a server has before it is restored is kept: below XDG_STATE_HOME. `now` in nanoseconds since 1970. */
export function safetyCopyPath(source: string, now: bigint, environment: NodeJS.ProcessEnv = process.env): string {
  const state = environment.XDG_STATE_HOME || join(homedir(), '.local/state')
  const time = new Date(Number(now / NANOSECONDS_PER_MILLISECOND)).toISOString().replace(/[:-]|\.\d+/g, '')
  return join(state, 'holdfast/before-restore', `${source.replace(/[^\w.-]/g, '_')}-${time}.rdb`)
}

/**
 * Keeps what a server has now, its RDB file, checked whole.
 * @throws HoldfastError HF_RESTORE_FAILED when it cannot be written, what the server throws
 */
export async function keepSafetyCopy(
  content: AsyncIterable<Uint8Array>,
  path: string,
  signal?: AbortSignal,
): Promise<void> {
  const partial = `${path}.partial`
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await writeRdb(partial, checked(content), () => undefined, signal)
    await rename(partial, path)
    await syncPath(dirname(path))
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined)
    if (isHoldfastError(error)) throw error
    throw new HoldfastError('HF_RESTORE_FAILED', `${path} cannot be written: ${(error as Error).message}`, {
      cause: error,
      hint: `${systemErrorCode(error) === 'ENOSPC' ? 'make room, or ' : ''}name another folder in XDG_STATE_HOME; the target has not been touched`,
    })
  }
}

/** The RDB file of a server, on a connection of its own. */
export async function* transferred(open: TargetServer, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  using client = await open(signal)
  const facts = await readFacts(client)
  const { bytes } = await startTransfer(client, facts.kind === 'valkey' ? facts.version : undefined)
  yield* bytes
}

async function* checked(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = new RdbReader({ onEntry: () => undefined })
  for await (const piece of bytes) {
    reader.push(piece)
    yield piece
  }
  reader.end()
}
