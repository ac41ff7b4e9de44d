import { readFileSync, readlinkSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import { toEpochNanoseconds } from '../../lib/go-time.ts'
import { type Id, isId } from '../../lib/id.ts'
import { decodeLock, STALE_AFTER } from './lock-file.ts'
import type { LockFiles } from './lock-files.ts'

/*
 * A lock file names host and process, which says little: another machine may have the same name, and a container has numbers of its own. So
 * that the lock of a killed process can be taken away without asking anybody, each process notes in a folder of its machine which lock files
 * it has written, and what it is: the boot, the namespace of process numbers, its number and when it began.
 */

/** What a process is, so that no other one ever is the same. */
interface ProcessIdentity {
  readonly boot: string
  readonly namespace: string
  readonly pid: number
  /** In ticks since the boot. */
  readonly started: string
}

/** Undefined where the system does not tell. */
function identityOf(pid: number): ProcessIdentity | undefined {
  try {
    // The name of the program, in parentheses, may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\)/s, '').trim().split(' ')
    const started = fields[19]
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    return started === undefined ? undefined : { boot, namespace: readlinkSync('/proc/self/ns/pid'), pid, started }
  } catch {
    return undefined
  }
}

/** The same lock files, each noted in `folder` for as long as it is there. That it cannot be noted is no failure. */
export function noteLocks(files: LockFiles, folder: string): LockFiles {
  const self = identityOf(process.pid)
  if (self === undefined) return files
  return {
    list: (signal) => files.list(signal),
    load: (id, signal) => files.load(id, signal),
    async save(json) {
      const id = await files.save(json)
      await mkdir(folder, { recursive: true, mode: 0o700 })
        .then(() => writeFile(join(folder, id), JSON.stringify(self), { mode: 0o600 }))
        .catch(() => undefined)
      return id
    },
    async remove(id) {
      await files.remove(id).catch(async (error: unknown) => {
        if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) await forget(folder, id)
        throw error
      })
      await forget(folder, id)
    },
  }
}

const forget = (folder: string, id: Id): Promise<void> => rm(join(folder, id), { force: true }).catch(() => undefined)

/**
 * Removes the locks that processes of this machine have noted in `folder` and left behind: those of a process that is gone, and after a
 * restart of the machine those that were not renewed for 30 minutes. What nobody noted here is left to `unlock`.
 * @returns the removed ones
 */
export async function removeNotedLeftovers(
  files: LockFiles,
  folder: string,
  { clock = systemClock, signal }: { readonly clock?: Clock | undefined; readonly signal?: AbortSignal } = {},
): Promise<readonly Id[]> {
  const removed: Id[] = []
  for (const id of await readdir(folder).catch(() => [])) {
    if (!isId(id) || !(await isLeftBehind(files, folder, id, clock, signal))) continue
    try {
      await files.remove(id)
      removed.push(id)
    } catch (error) {
      if (!isHoldfastError(error)) throw error
      // It is gone already, or may not be removed: then it is told by whoever meets it.
      if (error.code !== 'HF_STORAGE_NOT_FOUND') continue
    }
    await forget(folder, id)
  }
  return removed
}

async function isLeftBehind(
  files: LockFiles,
  folder: string,
  id: Id,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const noted = await readNote(join(folder, id))
  const self = identityOf(process.pid)
  if (noted === undefined || self === undefined) return false
  if (noted.boot === self.boot)
    return noted.namespace === self.namespace && identityOf(noted.pid)?.started !== noted.started
  try {
    return clock.now() - toEpochNanoseconds(decodeLock(await files.load(id, signal), id).time) > STALE_AFTER
  } catch (error) {
    return isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')
  }
}

async function readNote(path: string): Promise<ProcessIdentity | undefined> {
  try {
    const { boot, namespace, pid, started } = JSON.parse(await readFile(path, 'utf8')) as Partial<ProcessIdentity>
    const isWhole = [boot, namespace, started].every((value) => typeof value === 'string') && Number.isInteger(pid)
    return isWhole ? { boot: boot!, namespace: namespace!, pid: pid!, started: started! } : undefined
  } catch {
    return undefined
  }
}
