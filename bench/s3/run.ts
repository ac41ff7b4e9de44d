/** `npm run bench:s3 -- OPTIONS`: Holdfast and restic on a MinIO of this machine, near and far, and Holdfast on the local disk; see `--help`. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../../src/lib/clock.ts'
import { startLatencyProxy } from '../../test/support/servers/latency-proxy.ts'
import { type MinioServer, startMinio } from '../../test/support/servers/minio.ts'
import { canMakeMinio, hasMinio, makeMinio } from '../../test/support/servers/minio-program.ts'
import { findDifference } from '../compare/equal.ts'
import { describeMachine } from '../compare/machine.ts'
import { measure } from '../compare/measure.ts'
import { publish } from '../compare/publish.ts'
import { settle } from '../compare/settle.ts'
import { readIntoMemory } from '../compare/warm.ts'
import { ensureTree } from '../tree/keep.ts'
import { planTree } from '../tree/plan.ts'
import { type Run, toMarkdown } from './report.ts'

const usage = `Usage: npm run bench:s3 -- [options]

Backs up and restores a tree of about 1 GiB with Holdfast and restic in turn: to a MinIO of this machine, to the same one with a round trip
of 50 ms before it, and, Holdfast only, to the local disk. Needs Linux, a quiet machine on which nobody has just deleted many files, Go when
MinIO is still to be built, and about 17 GB, less with fewer rounds or places.

  --places LIST     some of local, near, far (all of them)
  --tools LIST      some of holdfast, restic (both)
  --restic PROGRAM  the restic to compare with (RESTIC, else the one on PATH)
  --scale F         size of the tree, relative to 60,000 files and 2 GiB (0.5)
  --rounds N        runs of each tool in each place (2)
  --latency MS      round trip to the far store (50)
  --work FOLDER     where the tree and what is restored lie (/var/tmp/holdfast-bench-s3)
  --save NAME       write bench/results/DATE-NAME.json and .md
`

const { values } = parseArgs({
  options: {
    places: { type: 'string', default: 'local,near,far' },
    tools: { type: 'string', default: 'holdfast,restic' },
    restic: { type: 'string', default: process.env.RESTIC ?? 'restic' },
    scale: { type: 'string', default: '0.5' },
    rounds: { type: 'string', default: '2' },
    latency: { type: 'string', default: '50' },
    work: { type: 'string', default: '/var/tmp/holdfast-bench-s3' },
    save: { type: 'string' },
    help: { type: 'boolean' },
  },
})

interface Place {
  readonly name: string
  /** Of a repository that gets this name. */
  readonly url: (name: string) => string
  readonly tools: readonly Run['tool'][]
}

const PASSWORD = 'bench'
const TICKS_PER_SECOND = 100

if (values.help) process.stdout.write(usage)
else await main()

async function main(): Promise<void> {
  if (!hasMinio()) {
    if (!canMakeMinio()) throw new Error('MinIO has to be built, which needs Go')
    console.error('building MinIO; it takes some minutes')
    makeMinio()
  }
  const chosen = { places: listOf('places', ['local', 'near', 'far']), tools: listOf('tools', ['holdfast', 'restic']) }
  const tree = join(values.work, 'tree')
  const restored = join(values.work, 'restored')
  mkdirSync(values.work, { recursive: true })
  const plan = planTree({ scale: Number(values.scale) })
  ensureTree(plan, tree)
  readIntoMemory([tree])
  const machine = describeMachine(values.work)
  const server = await startMinio()
  const far = await startLatencyProxy(server.port, Number(values.latency))
  const runs: Run[] = []
  try {
    const places: Readonly<Record<string, Place>> = {
      local: { name: 'local disk', url: (name) => join(values.work, name), tools: ['holdfast'] },
      near: { name: 'MinIO', url: (name) => `s3:${server.url}/${name}`, tools: ['holdfast', 'restic'] },
      far: {
        name: `MinIO, ${values.latency} ms away`,
        url: (name) => `s3:http://127.0.0.1:${far.port}/${name}`,
        tools: ['holdfast', 'restic'],
      },
    }
    for (let round = 1; round <= Number(values.rounds); round++)
      for (const { name, url, tools } of chosen.places.map((place) => places[place]!)) {
        const taking = tools.filter((tool) => chosen.tools.includes(tool))
        // Who comes first changes from round to round.
        for (const tool of round % 2 === 0 ? taking.toReversed() : taking) {
          const id = `${tool}-${runs.length}`
          runs.push(...(await runOne(server, tool, name, url(id), tree, join(restored, id))))
        }
      }
  } finally {
    await far.stop()
    await server.stop()
    // Not between the runs: for minutes after the deletion of as many files ext4 creates others several times slower.
    rmSync(restored, { recursive: true, force: true })
  }
  const result = {
    date: new Date(Number(systemClock.now() / 1_000_000n)).toISOString(),
    machine,
    treeBytes: plan.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    runs,
  }
  publish(result, toMarkdown(result), values.save)
}

/** What an option lists, each of which has to be one of `known`. */
function listOf(option: 'places' | 'tools', known: readonly string[]): readonly string[] {
  const names = values[option].split(',')
  const unknown = names.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`--${option} knows ${known.join(', ')}, not ${JSON.stringify(unknown)}`)
  return names
}

/** A backup of the tree into a new repository and a restore of it into a new folder, where it is compared with the original. */
async function runOne(
  server: MinioServer,
  tool: Run['tool'],
  place: string,
  url: string,
  tree: string,
  target: string,
): Promise<Run[]> {
  const program = tool === 'restic' ? values.restic : join(import.meta.dirname, '../../bin/holdfast')
  const cache = join(values.work, 'cache')
  const isLocal = !url.startsWith('s3:')
  rmSync(cache, { recursive: true, force: true })
  if (isLocal) rmSync(url, { recursive: true, force: true })
  const env = { ...process.env, ...server.environment, RESTIC_PASSWORD: PASSWORD }
  const command = (...args: readonly string[]): string[] => [program, '-r', url, '--cache-dir', cache, ...args]
  const work = async (what: Run['what'], args: readonly string[]): Promise<Run> => {
    await settle()
    const before = cpuSeconds(server.pid)
    const { wallMs, cpuMs, peakBytes, exitCode, stderr } = await measure(command(...args), { environment: env })
    if (exitCode !== 0) throw new Error(`${tool} ${args[0]} ended with ${exitCode}: ${stderr}`)
    const wallSeconds = wallMs / 1000
    const ownSeconds = cpuMs / 1000
    const serverSeconds = cpuSeconds(server.pid) - before
    console.error(`${place}: ${tool} ${what} ${wallSeconds.toFixed(1)} s, ${ownSeconds.toFixed(1)} s CPU`)
    return { place, tool, what, wallSeconds, ownSeconds, serverSeconds, peakBytes }
  }
  await measure(command('init'), { environment: env })
  const runs = [
    await work('backup', ['backup', '--quiet', tree]),
    await work('restore', ['restore', 'latest', '--quiet', '--target', target]),
  ]
  const difference = findDifference(tree, join(target, tree))
  if (difference !== undefined) throw new Error(`${tool} restored something else from ${place}: ${difference}`)
  if (isLocal) rmSync(url, { recursive: true, force: true })
  return runs
}

/** What a process has used of the processors so far. */
function cpuSeconds(pid: number): number {
  const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')
  const fields = rest.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}
