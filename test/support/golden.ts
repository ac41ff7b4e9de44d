import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { ourWorld } from './our-world.ts'
import { type Recording, record } from './recording.ts'
import { argumentsOf, type ResticCase, type ResticScenario, runCase } from './restic-cases.ts'

/** What Holdfast does otherwise than restic 0.19.1 in one case, on purpose. What is not given here is the same. */
export interface Difference {
  /** Words of docs/guide/from-restic.md that explain it. */
  readonly see: string
  readonly exitCode?: number
  /** Lines of different things that are done at once come in any order. */
  readonly anyOrder?: boolean
  /** The whole output in place of restic's, or a change of it. */
  readonly stdout?: Expected
  readonly stderr?: Expected
}

type Expected = readonly unknown[] | ((restic: readonly unknown[]) => readonly unknown[])

/** Differences by scenario and case. */
export type Differences = Readonly<Record<string, Readonly<Record<string, Difference>>>>

const folder = new URL('../golden/restic-0.19.1/', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

/** What restic 0.19.1 did in the cases of a scenario. */
export const readRecordings = (scenario: string): readonly Recording[] =>
  JSON.parse(readFileSync(new URL(`${scenario}.json`, folder), 'utf8')) as Recording[]

/** Runs the cases of a scenario with Holdfast, one after the other, and records them as restic's were. */
export async function playScenario(
  scenario: ResticScenario,
  onCase: (one: ResticCase, recording: Recording) => void,
): Promise<void> {
  await using world = await ourWorld()
  await scenario.prepare?.(world)
  for (const one of scenario.cases) {
    await one.before?.(world)
    const args = await argumentsOf(one, world)
    const result = await runCase(one, args, world)
    const { sorted = false, prefixes = false, volatile = [] } = one
    onCase(one, record(one.name, args, result, { folder: world.folder, sorted, prefixes, volatile }))
  }
}

/** Fields of JSON that only Holdfast prints; programs written for restic pass over them. */
const OWN_FIELDS = new Set(['error_code'])

/** Fields that are there when things take a second or longer. */
const SLOW_FIELDS = new Set(['seconds_elapsed', 'seconds_remaining'])

/** Messages for people: how they are worded is no contract, that there is one is. */
const WORDED_FIELDS = new Set(['message'])

/**
 * What differs between what is expected (restic's recording with the difference on purpose) and what Holdfast did, in words; empty when
 * nothing does. JSON has to be the same in every field; lines of standard output in every character but for the width of columns; of lines
 * for people on standard error it matters only whether there are any.
 */
export function compareRecordings(restic: Recording, ours: Recording, difference?: Difference): string[] {
  const problems: string[] = []
  const exitCode = difference?.exitCode ?? restic.exitCode
  if (ours.exitCode !== exitCode) problems.push(`exit code ${ours.exitCode} instead of ${exitCode}`)
  for (const stream of ['stdout', 'stderr'] as const) {
    const change = difference?.[stream]
    const wanted = typeof change === 'function' ? change(restic[stream]) : (change ?? restic[stream])
    const isWorded = stream === 'stderr' && change === undefined
    const [expected, found] = [wanted, ours[stream]].map((lines) => {
      const found = essence(lines, isWorded)
      return difference?.anyOrder === true ? found.toSorted() : found
    })
    if (!isDeepStrictEqual(found, expected))
      problems.push(`${stream} is\n${show(found!)}\ninstead of\n${show(expected!)}`)
  }
  return problems
}

function essence(lines: readonly unknown[], isWorded: boolean): readonly unknown[] {
  const essences = lines.map((line) => (typeof line === 'string' ? plainLine(line) : plainValue(line, undefined)))
  if (!isWorded) return essences
  const messages = essences.filter((line) => typeof line !== 'string')
  return messages.length < essences.length ? [...messages, '<text>'] : messages
}

/** Columns and rules are as wide as what stands in them. */
const plainLine = (line: string): string =>
  line
    .replace(/ {2,}/g, '  ')
    .replace(/-{5,}/g, '-----')
    // How well something compresses is no contract.
    .replace(/^( *Compression (?:Progress|Ratio|Space Saving): +)[\d.]+/, '$1<number>')
    .trimEnd()

function plainValue(value: unknown, key: string | undefined): unknown {
  if (typeof value === 'string') {
    if (key !== undefined && WORDED_FIELDS.has(key)) return '<text>'
    return value === 'restic 0.19.1' || value === `holdfast ${manifest.version}` ? '<program>' : value
  }
  if (Array.isArray(value)) return value.map((item) => plainValue(item, key))
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([name]) => !OWN_FIELDS.has(name) && !SLOW_FIELDS.has(name))
  return Object.fromEntries(fields.map(([name, field]) => [name, plainValue(field, name)]))
}

const show = (lines: readonly unknown[]): string => lines.map((line) => `  ${JSON.stringify(line)}`).join('\n')
