import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isAlive, killAll, processesIn } from '../../../src/sources/sandbox/processes.ts'

export { freePort } from '../../../src/sources/sandbox/free-port.ts'

/** Whom servers run as when tests run as root, which most of them refuse: Debian's `nobody`. */
const UNPRIVILEGED = 65534

/** Options of `spawn` for a program that must not be root. */
export const unprivileged: { readonly uid?: number; readonly gid?: number } =
  process.getuid?.() === 0 ? { uid: UNPRIVILEGED, gid: UNPRIVILEGED } : {}

/**
 * A new folder for a server, which the user it runs as can write. Its name holds our process id: what tests that were killed left behind is
 * removed first, servers included.
 */
export function serverFolder(kind: string): string {
  removeLeftovers(kind)
  const folder = mkdtempSync(join(tmpdir(), `holdfast-${kind}-${process.pid}-`))
  chmodSync(folder, 0o755)
  if (unprivileged.uid !== undefined) chownSync(folder, unprivileged.uid, unprivileged.gid!)
  return folder
}

function removeLeftovers(kind: string): void {
  const pattern = new RegExp(`^holdfast-${kind}-([0-9]+)-`)
  for (const name of readdirSync(tmpdir())) {
    const owner = Number(pattern.exec(name)?.[1])
    if (!(owner > 0) || isAlive(owner)) continue
    const folder = join(tmpdir(), name)
    killAll(processesIn(folder))
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}
