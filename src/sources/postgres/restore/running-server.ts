import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { isAlive } from '../../sandbox/processes.ts'

/** Names of the server's process, whatever its title says. */
const programNames: ReadonlySet<string> = new Set(['postgres', 'postmaster'])

/**
 * What works in a data directory, as text for a message; undefined when nothing does. A server is found by `postmaster.pid`, as it would find
 * another one itself: by its process, or by shared memory that somebody is still attached to; and without that file by the folder its
 * processes work in. Servers of other machines, or of containers whose processes cannot be seen, are not found.
 */
export function runningServer(dataDirectory: string): string | undefined {
  const [pid, , , , , , sharedMemory = ''] = postmasterFile(dataDirectory)
  if (Number(pid) > 0 && isAlive(Number(pid))) return `postmaster.pid names process ${Number(pid)}, which runs`
  const segment = Number(sharedMemory.trim().split(/\s+/)[1])
  if (segment > 0 && isAttached(segment))
    return `processes of a server are still attached to its shared memory ${segment}`
  const worker = workingIn(dataDirectory)
  return worker === undefined ? undefined : `process ${worker} is a PostgreSQL server that works there`
}

/** Lines of `postmaster.pid`: process, data directory, start, port, socket folder, address, key and number of the shared memory. */
function postmasterFile(dataDirectory: string): readonly string[] {
  try {
    return readFileSync(`${dataDirectory}/postmaster.pid`, 'utf8').split('\n')
  } catch {
    return []
  }
}

/** Linux lists segments of shared memory; elsewhere nothing is known of them. */
function isAttached(segment: number): boolean {
  try {
    const [head = '', ...rows] = readFileSync('/proc/sysvipc/shm', 'utf8').trim().split('\n')
    const columns = head.trim().split(/\s+/)
    const [id, attached] = [columns.indexOf('shmid'), columns.indexOf('nattch')]
    return rows
      .map((row) => row.trim().split(/\s+/))
      .some((values) => Number(values[id]) === segment && Number(values[attached]) > 0)
  } catch {
    return false
  }
}

function workingIn(dataDirectory: string): number | undefined {
  try {
    return readdirSync('/proc')
      .map(Number)
      .find((pid) => pid > 0 && isServerIn(pid, dataDirectory))
  } catch {
    return undefined
  }
}

function isServerIn(pid: number, dataDirectory: string): boolean {
  try {
    return (
      programNames.has(readFileSync(`/proc/${pid}/comm`, 'utf8').trim()) &&
      readlinkSync(`/proc/${pid}/cwd`) === dataDirectory
    )
  } catch {
    // It has ended, or belongs to somebody else.
    return false
  }
}
