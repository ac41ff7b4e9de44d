import { randomBytes } from 'node:crypto'
import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { measure } from '../compare/measure.ts'
import { settle } from '../compare/settle.ts'
import { withNodePeak } from './peak.ts'
import type { BenchServer } from './server.ts'

export const redisCases = ['raw', 'redis-cli', 'backup', 'restore', 'proof'] as const
export type RedisCase = (typeof redisCases)[number]

export interface RedisRun {
  readonly case: RedisCase
  readonly round: number
  /** Of the RDB file. */
  readonly bytes: number
  readonly wallMs: number
  /** Of all processes: of a proof that of its server too. */
  readonly cpuMs: number
  /** Of the largest Node; servers are not counted. 0 where there is none. */
  readonly peakBytes: number
  readonly stealMs: number
}

const program = join(import.meta.dirname, '../../bin/holdfast')
const node = process.execPath

/** Runs all cases in turn, those of the transfer from the first to the last and back, on the same server. */
export async function runCases(
  server: BenchServer,
  { rounds, say }: { readonly rounds: number; readonly say: (text: string) => void },
): Promise<readonly RedisRun[]> {
  const { work, port } = server
  const runs: RedisRun[] = []
  const [repository, restored, copy] = ['repository', 'restored', 'copy.rdb'].map((name) => join(work, name)) as [
    string,
    string,
    string,
  ]
  const password = join(work, 'password')
  writeFileSync(password, randomBytes(24).toString('base64'), { mode: 0o600 })
  const config = join(work, 'holdfast.yaml')
  writeFileSync(
    config,
    `version: 1
repositories: { main: { url: ${repository}, password: "file:${password}" } }
sources: { session: { type: redis, url: "redis://127.0.0.1:${port}" } }
defaults: { verify: none }
`,
  )
  const environment = { PATH: process.env.PATH, HOME: work, TMPDIR: work, LC_ALL: 'C.UTF-8', HOLDFAST_CONFIG: config }
  const run = async (command: readonly string[]): ReturnType<typeof measure> => {
    const measured = await measure(command, { folder: work, environment })
    if (measured.exitCode !== 0)
      throw new Error(`${command.join(' ')} ended with ${measured.exitCode}:\n${measured.stdout}${measured.stderr}`)
    return measured
  }
  let bytes = 0
  const commands: Readonly<Record<RedisCase, () => Promise<readonly string[]>>> = {
    raw: async () => [node, join(import.meta.dirname, 'raw-read.ts'), String(port)],
    'redis-cli': async () => {
      rmSync(copy, { force: true })
      return ['redis-cli', '-p', String(port), '--rdb', copy]
    },
    backup: async () => {
      rmSync(repository, { recursive: true, force: true })
      await run([program, 'init'])
      return [program, 'backup:run', 'session']
    },
    restore: async () => {
      rmSync(restored, { recursive: true, force: true })
      return [program, 'restore:run', 'session', '--to', restored]
    },
    proof: async () => [program, 'verify:run', 'session', '--level', 'data'],
  }
  const transfers: readonly RedisCase[] = ['raw', 'redis-cli', 'backup']
  for (let round = 0; round < rounds; round++) {
    for (const name of [...(round % 2 === 0 ? transfers : transfers.toReversed()), 'restore', 'proof'] as const) {
      const command = await commands[name]()
      await settle()
      const { value, peakBytes } = await withNodePeak(() => run(command))
      if (name === 'redis-cli') bytes = statSync(copy).size
      const { wallMs, cpuMs, stealMs } = value
      runs.push({ case: name, round, bytes: 0, wallMs, cpuMs, peakBytes, stealMs })
      say(`${name}: ${(wallMs / 1000).toFixed(2)} s, ${(peakBytes / 2 ** 20).toFixed(0)} MiB`)
    }
    // A figure counts only when what came back is whole.
    await run(['redis-check-rdb', join(restored, 'dump.rdb')])
  }
  return runs.map((each) => ({ ...each, bytes }))
}
