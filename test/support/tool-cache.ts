import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

/**
 * Where programs that tests build for themselves are kept from run to run, by name and version. Servers run as somebody else when tests run
 * as root, whose home nobody else can read: then it lies where programs of the machine keep such things.
 */
export function toolCache(): string {
  const { XDG_CACHE_HOME } = process.env
  if (XDG_CACHE_HOME) return join(XDG_CACHE_HOME, 'holdfast-test')
  return join(process.getuid?.() === 0 ? '/var/cache' : join(homedir(), '.cache'), 'holdfast-test')
}

/** Whether a tool was built. */
export function hasTool(name: string): boolean {
  try {
    return statSync(join(toolCache(), name)).isDirectory()
  } catch {
    return false
  }
}

/**
 * Builds a tool in a folder of its own and puts it in its place when it is whole, so that nobody ever sees half of it. Whoever builds the
 * same at the same time is not waited for; the first one's is kept.
 */
export function makeTool(name: string, build: (folder: string) => void): void {
  const place = join(toolCache(), name)
  mkdirSync(dirname(place), { recursive: true, mode: 0o755 })
  removeAbandoned(name)
  const making = mkdtempSync(`${place}.`)
  try {
    build(making)
    renameSync(making, place)
  } catch (error) {
    rmSync(making, { recursive: true, force: true })
    if (!hasTool(name)) throw error
  }
}

/** No build takes that long. */
const ABANDONED_MS = 60 * 60 * 1000

/** What builds that were killed left behind. */
function removeAbandoned(name: string): void {
  for (const entry of readdirSync(toolCache())) {
    const path = join(toolCache(), entry)
    if (!entry.startsWith(`${name}.`) || Date.now() - statSync(path).mtimeMs < ABANDONED_MS) continue
    rmSync(path, { recursive: true, force: true })
  }
}
