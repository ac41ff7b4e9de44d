/**
 * Records what restic 0.19.1 prints and returns for a fixed list of command lines, into test/golden/restic-0.19.1. These recordings are
 * what our own command line is compared with.
 *
 *   RESTIC=/path/to/restic node scripts/record-restic.ts [SCENARIO...]
 *
 * Takes the `restic` on PATH unless RESTIC names one, and refuses any other version.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ProgramWorld } from '../test/support/program-world.ts'
import { type Recording, record } from '../test/support/recording.ts'
import { argumentsOf, type ResticScenario, resticScenarios, runCase } from '../test/support/restic-cases.ts'

const VERSION = '0.19.1'
const target = new URL(`../test/golden/restic-${VERSION}/`, import.meta.url).pathname
const restic = process.env.RESTIC ?? 'restic'

const COMMANDS = [
  'backup',
  'cache',
  'cat',
  'check',
  'copy',
  'diff',
  'dump',
  'find',
  'forget',
  'init',
  'key',
  'key add',
  'key list',
  'key passwd',
  'key remove',
  'list',
  'ls',
  'migrate',
  'prune',
  'recover',
  'repair',
  'repair index',
  'repair packs',
  'repair snapshots',
  'restore',
  'rewrite',
  'snapshots',
  'stats',
  'tag',
  'unlock',
  'version',
]

const found = execFileSync(restic, ['version'], { encoding: 'utf8' })
if (!found.startsWith(`restic ${VERSION} `)) {
  console.error(`${restic} is not restic ${VERSION}: ${found.trim()}`)
  process.exit(1)
}

process.umask(0o022)
// Defaults in help texts come from the environment.
const environment = { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '/' }
const wanted = process.argv.slice(2)
await mkdir(join(target, 'help'), { recursive: true })
if (wanted.length === 0) await recordHelp()
for (const scenario of resticScenarios) {
  if (wanted.length > 0 && !wanted.includes(scenario.name)) continue
  const recordings = await recordScenario(scenario)
  await writeFile(join(target, `${scenario.name}.json`), `${JSON.stringify(recordings, undefined, 1)}\n`)
  console.log(`${scenario.name}: ${recordings.length} cases`)
}

async function recordHelp(): Promise<void> {
  const overview = execFileSync(restic, ['help'], { encoding: 'utf8', env: environment })
  await writeFile(join(target, 'help', 'restic.txt'), overview)
  for (const command of COMMANDS) {
    const text = execFileSync(restic, [...command.split(' '), '--help'], { encoding: 'utf8', env: environment })
    // The global options are the same everywhere and are in restic.txt.
    await writeFile(
      join(target, 'help', `${command.replace(' ', '-')}.txt`),
      text.replace(/\nGlobal Flags:\n[\s\S]*/, ''),
    )
  }
}

async function recordScenario(scenario: ResticScenario): Promise<Recording[]> {
  const world = new ProgramWorld([restic], await mkdtemp(join(tmpdir(), 'holdfast-record-')))
  try {
    await world.prepare()
    await scenario.prepare?.(world)
    const recordings: Recording[] = []
    for (const one of scenario.cases) {
      await one.before?.(world)
      const args = await argumentsOf(one, world)
      const result = await runCase(one, args, world)
      const { sorted = false, prefixes = false, volatile = [] } = one
      const recording = record(one.name, args, result, { folder: world.folder, sorted, prefixes, volatile })
      const environment = one.options?.environment
      recordings.push(environment === undefined ? recording : { ...recording, environment })
    }
    return recordings
  } finally {
    await world.remove()
  }
}
