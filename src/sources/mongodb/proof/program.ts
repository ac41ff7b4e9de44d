import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { versionNumbers } from '../member.ts'

/** A `mongod` of this machine. */
export interface MongodProgram {
  readonly path: string
  readonly version: string
}

const usualFolders = ['/usr/bin', '/usr/local/bin', '/opt/mongodb/bin']
const VERSION_TIMEOUT_MS = 10_000

/** The one HOLDFAST_MONGOD names, else all on PATH and at usual places. */
export async function findMongod(environment: NodeJS.ProcessEnv = process.env): Promise<readonly MongodProgram[]> {
  const { HOLDFAST_MONGOD: named, PATH = '' } = environment
  const folders = [...PATH.split(delimiter).filter((folder) => folder !== ''), ...usualFolders]
  const paths = named === undefined ? [...new Set(folders)].map((folder) => join(folder, 'mongod')) : [named]
  const found = await Promise.all(paths.filter(isExecutable).map(versionOf))
  return found.filter((program) => program !== undefined)
}

/** One that takes dumps of a server of `version`: of the same major, else of the next. */
export function mongodFor(programs: readonly MongodProgram[], version: string): MongodProgram | undefined {
  const [major] = versionNumbers(version)
  const majorOf = (program: MongodProgram): number => versionNumbers(program.version)[0]
  return (
    programs.find((program) => majorOf(program) === major) ?? programs.find((program) => majorOf(program) === major + 1)
  )
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

async function versionOf(path: string): Promise<MongodProgram | undefined> {
  try {
    const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: VERSION_TIMEOUT_MS })
    const version = /^db version v(\d+\.\d+\.\d+)/m.exec(stdout)?.[1]
    return version === undefined ? undefined : { path, version }
  } catch {
    return undefined
  }
}
