import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Workbench } from './workbench.ts'

/** What a first backup spends its time on. */
export const stages = ['read', 'chunk', 'hash', 'compress', 'verify', 'encrypt', 'write', 'key', 'other'] as const
export type Stage = (typeof stages)[number]

/** The share of each stage, of all threads' time that is not idle; they add up to 1. */
export type StageShares = Readonly<Record<Stage, number>>

/** The part that counts of a `.cpuprofile` as V8 writes it. Times are in microseconds. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** System calls by the name that Node's own functions have in a profile. */
const callStages: Readonly<Record<string, Stage>> = {
  read: 'read',
  open: 'read',
  writeBuffer: 'write',
  writeBuffers: 'write',
  fsync: 'write',
  fdatasync: 'write',
  rename: 'write',
  link: 'write',
}

/** Adds up profiles, one of each thread. Throws when they hold no time at all. */
export function sharesOf(profiles: readonly CpuProfile[]): StageShares {
  const spent = Object.fromEntries(stages.map((stage) => [stage, 0])) as Record<Stage, number>
  for (const { nodes, samples, timeDeltas } of profiles) {
    // WebAssembly has no names in a profile: a thread that derives keys does nothing else, and no other does.
    const derives = nodes.some(({ callFrame }) => callFrame.url.includes('/scrypt-blocks.'))
    const stageById = new Map(nodes.map(({ id, callFrame }) => [id, stageOf(callFrame, derives)]))
    for (const [i, id] of samples.entries()) {
      const stage = stageById.get(id)
      if (stage !== undefined) spent[stage] += timeDeltas[i]!
    }
  }
  const total = Object.values(spent).reduce((sum, time) => sum + time, 0)
  if (!(total > 0)) throw new Error('the profiles hold no time')
  return Object.fromEntries(stages.map((stage) => [stage, spent[stage] / total])) as StageShares
}

/** undefined: idle. */
function stageOf(
  { functionName, url }: { readonly functionName: string; readonly url: string },
  derives: boolean,
): Stage | undefined {
  if (functionName === '(idle)' || functionName === '(root)') return undefined
  if (url.startsWith('wasm:')) return derives ? 'key' : 'chunk'
  const file = url.slice(url.lastIndexOf('/') + 1)
  if (file.startsWith('zstd')) return functionName === 'decompress' ? 'verify' : 'compress'
  if (file.startsWith('cipher') || file.startsWith('poly1305')) return 'encrypt'
  if (file.startsWith('sha256')) return 'hash'
  if (file.startsWith('rabin')) return 'chunk'
  return (url === '' ? callStages[functionName] : undefined) ?? 'other'
}

/** Backs `paths` up once more, under Node's profiler; undefined when the program is none of Node's. */
export async function profileFirstBackup(bench: Workbench, paths: readonly string[]): Promise<StageShares | undefined> {
  const [, holdfast] = bench.tools
  const folder = bench.folderFor('profiles')
  await bench.initialise(holdfast, 'profiled')
  const { exitCode } = await bench.run(holdfast, 'profiled', ['backup', '--quiet', ...paths], {
    NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${folder}`,
  })
  if (exitCode !== 0) throw new Error('the backup failed under the profiler')
  const profiles = readProfiles(folder)
  return profiles.length === 0 ? undefined : sharesOf(profiles)
}

function readProfiles(folder: string): CpuProfile[] {
  try {
    return readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
