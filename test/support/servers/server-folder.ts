import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

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
    for (const pid of processesIn(folder)) kill(pid)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

/** Processes that were started with a folder among their arguments, or work in it. */
function processesIn(folder: string): readonly number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid && concerns(pid, folder))
}

function concerns(pid: number, folder: string): boolean {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return args.some((arg) => arg.includes(folder)) || `${readlinkSync(`/proc/${pid}/cwd`)}/`.startsWith(`${folder}/`)
  } catch {
    return false
  }
}

function isAlive(pid: number): boolean {
  try {
    // The field behind the name is the state; a zombie is dead.
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Gone by itself.
  }
}

/** A port of the loopback interface that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
