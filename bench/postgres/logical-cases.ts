import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import pg from 'pg'
import { LineSum } from '../../src/engine/kernels/line-sum.ts'
import { monotonicMilliseconds } from '../../src/lib/clock.ts'
import { CopySession } from '../../src/sources/postgres/logical/copy-session.ts'
import { DUMP_AVERAGE_BYTES, fingerprintOf } from '../../src/sources/postgres/logical/dump-files.ts'
import type { Measurement } from '../compare/measure.ts'
import { settle } from '../compare/settle.ts'
import type { BenchCluster } from './cluster.ts'
import { run, sizeOf } from './tools.ts'

export const logicalCases = ['raw', 'first', 'again', 'first with sums', 'again with sums'] as const
export type LogicalCase = (typeof logicalCases)[number]

export interface LogicalRun extends Pick<Measurement, 'wallMs' | 'cpuMs' | 'peakBytes' | 'stealMs'> {
  readonly case: LogicalCase
  readonly round: number
  /** What the repository grew by. */
  readonly storedBytes: number
}

export interface LogicalBench {
  readonly cluster: BenchCluster
  readonly tables: readonly string[]
  readonly jobs: number
  readonly rounds: number
  /** Folder of `pg_dump`. */
  readonly clients: string
  readonly say: (text: string) => void
}

const holdfast = join(import.meta.dirname, '../../bin/holdfast')

/** In turn, in each round: what COPY takes alone, a first dump into an empty repository, the same again; then both with sums of rows. */
export async function measureLogical(bench: LogicalBench): Promise<readonly LogicalRun[]> {
  const { cluster, say } = bench
  const runs: LogicalRun[] = []
  const note = (name: LogicalCase, round: number, measured: Omit<LogicalRun, 'case' | 'round'>): void => {
    runs.push({ case: name, round, ...measured })
    say(`${name}: ${(measured.wallMs / 1000).toFixed(2)} s, ${(measured.cpuMs / 1000).toFixed(2)} s of CPU`)
  }
  // Nobody pays for pages that come from the disk.
  await copyRaw(bench)
  for (let round = 0; round < bench.rounds; round++) {
    await settle()
    const wallMs = await copyRaw(bench)
    note('raw', round, { wallMs, cpuMs: 0, peakBytes: 0, stealMs: 0, storedBytes: 0 })
    const kinds = ['stream', 'rows'] as const
    for (const fingerprint of round % 2 === 0 ? kinds : kinds.toReversed()) {
      const repository = cluster.folder('holdfast')
      configure(bench, repository, fingerprint)
      const environment = { HOLDFAST_POSTGRES_BIN: bench.clients }
      await run([holdfast, 'init'], cluster.work, environment)
      let before = 0
      for (const name of ['first', 'again'] as const) {
        await settle()
        const { wallMs, cpuMs, peakBytes, stealMs } = await run(
          [holdfast, 'backup:run', 'shop'],
          cluster.work,
          environment,
        )
        const stored = sizeOf(join(repository, 'repository', 'data'))
        note(fingerprint === 'stream' ? name : `${name} with sums`, round, {
          wallMs,
          cpuMs,
          peakBytes,
          stealMs,
          storedBytes: stored - before,
        })
        before = stored
      }
      cluster.remove(repository)
    }
  }
  return runs
}

function configure({ cluster, jobs }: LogicalBench, repository: string, fingerprint: 'stream' | 'rows'): void {
  const password = cluster.write('password', randomBytes(24).toString('base64'))
  cluster.write(
    'holdfast.yaml',
    `version: 1
repositories: { main: { url: ${repository}/repository, password: "file:${password}" } }
sources:
  shop:
    type: postgres
    mode: logical
    url: "postgres://postgres@127.0.0.1:${cluster.port}/postgres"
    jobs: ${jobs}
    globals: false
    fingerprint: ${fingerprint}
defaults: { verify: none }
`,
  )
}

/** Lets the server write all tables as text to nowhere, as many at a time as a dump reads. @returns milliseconds */
async function copyRaw({ cluster, tables, jobs }: LogicalBench): Promise<number> {
  const started = monotonicMilliseconds()
  const waiting = tables.values()
  const work = async (): Promise<void> => {
    const client = new pg.Client({ host: '127.0.0.1', port: cluster.port, user: 'postgres', database: 'postgres' })
    await client.connect()
    try {
      for (const table of waiting) await client.query(`COPY ${table} TO '/dev/null'`)
    } finally {
      await client.end()
    }
  }
  await Promise.all(Array.from({ length: jobs }, work))
  return monotonicMilliseconds() - started
}

/** What fingerprints cost by themselves, in nanoseconds of CPU for a byte of rows. */
export interface FingerprintCost {
  /** A hash over the ids of blobs that there are anyway. */
  readonly stream: number
  readonly rows: number
}

const SAMPLE_BYTES = 32 * 2 ** 20
const TIMES = 10

/** Measured on rows of the benchmark, so that it is no difference of two numbers that vary by more. */
export async function measureFingerprints({ cluster, tables }: LogicalBench): Promise<FingerprintCost> {
  const endpoint = {
    host: '127.0.0.1',
    port: cluster.port,
    user: 'postgres',
    database: 'postgres',
    sslmode: 'disable',
  } as const
  const sample = Buffer.alloc(SAMPLE_BYTES)
  let filled = 0
  await using session = await CopySession.open(endpoint, undefined)
  for await (const piece of session.copyOut(`COPY ${tables[0]} TO STDOUT`)) {
    const part = piece.subarray(0, SAMPLE_BYTES - filled)
    sample.set(part, filled)
    filled += part.length
    if (filled === SAMPLE_BYTES) break
  }
  const rows = sample.subarray(0, filled)
  const ids = randomBytes(Math.ceil(filled / DUMP_AVERAGE_BYTES) * 32)
  const perByte = (work: () => void): number => {
    work()
    const before = process.cpuUsage()
    for (let i = 0; i < TIMES; i++) work()
    const { user, system } = process.cpuUsage(before)
    return ((user + system) * 1000) / (TIMES * filled)
  }
  const sum = new LineSum(randomBytes(16))
  return { stream: perByte(() => void fingerprintOf(ids)), rows: perByte(() => sum.update(rows)) }
}
