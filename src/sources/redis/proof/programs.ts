import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { type RdbFormat, reads } from '../rdb-versions.ts'
import { productName, type ServerFacts } from '../server.ts'

/** A server that is installed on this machine. */
export interface ServerProgram extends Pick<ServerFacts, 'kind' | 'version'> {
  readonly path: string
}

const names = ['redis-server', 'valkey-server'] as const
/** Where packages put servers, besides PATH, which services and cron have short. */
const usualFolders = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/sbin', '/opt/redis/bin', '/opt/valkey/bin']
const VERSION_TIMEOUT_MS = 10_000

/** All servers there are: those that HOLDFAST_REDIS_SERVERS names (paths with `:` between them), else those on PATH and at usual places. */
export async function findPrograms(environment: NodeJS.ProcessEnv = process.env): Promise<readonly ServerProgram[]> {
  const { HOLDFAST_REDIS_SERVERS: named, PATH = '' } = environment
  const folders = [...PATH.split(delimiter).filter((folder) => folder !== ''), ...usualFolders]
  const paths = named?.split(delimiter) ?? folders.flatMap((folder) => names.map((name) => join(folder, name)))
  const found = await Promise.all([...new Set(paths)].filter(isExecutable).map(versionOf))
  return found.filter((program) => program !== undefined)
}

/** One that reads the format: of the same product if there is one. */
export function programFor(
  programs: readonly ServerProgram[],
  format: RdbFormat,
  kind: ServerFacts['kind'],
): ServerProgram | undefined {
  const fit = programs.filter((program) => reads(program, format))
  return fit.find((program) => program.kind === kind) ?? fit[0]
}

/** `Redis 7.0.15 (/usr/bin/redis-server)`. */
export const programText = (program: ServerProgram): string => `${productName(program)} (${program.path})`

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

async function versionOf(path: string): Promise<ServerProgram | undefined> {
  try {
    const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: VERSION_TIMEOUT_MS })
    const found = /^(Redis|Valkey) server v=(\d+\.\d+\.\d+)/i.exec(stdout)
    if (found === null) return undefined
    return { path, kind: found[1]!.toLowerCase() === 'valkey' ? 'valkey' : 'redis', version: found[2]! }
  } catch {
    return undefined
  }
}
