import { hostname, userInfo } from 'node:os'
import type { RunResult } from './program-world.ts'

/** What a program did with one command line, with everything replaced that differs from run to run. */
export interface Recording {
  readonly name: string
  readonly arguments: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly exitCode: number
  /** One element for each line: JSON values parsed, everything else as text. */
  readonly stdout: readonly unknown[]
  readonly stderr: readonly unknown[]
}

export interface RecordingOptions {
  /** The folder of the world, which stands in many messages. */
  readonly folder: string
  /** For output whose order is left to chance: sorted, equal lines once. */
  readonly sorted?: boolean
  /** Arguments of one letter are beginnings of ids. */
  readonly prefixes?: boolean
  /** Further numbers that vary, by key. */
  readonly volatile?: readonly string[]
}

const VOLATILE_NUMBERS = new Set([
  'total_duration',
  'duration',
  'seconds_elapsed',
  'seconds_remaining',
  'data_added',
  'data_added_packed',
  'metadata_size',
  'metadata_size_in_repo',
  'inode',
  'device_id',
  'uid',
  'gid',
  'packed_size',
  'pid',
])

const SECRETS = new Set(['k', 'r', 'encrypt', 'salt', 'data', 'chunker_polynomial'])
const NAMES = new Set(['username', 'userName', 'user', 'group'])

/** The lines of a result, normalised. */
export function record(name: string, args: readonly string[], result: RunResult, options: RecordingOptions): Recording {
  return {
    name,
    arguments: args.map((argument) =>
      options.prefixes === true && argument.length === 1 ? '<prefix>' : normaliseText(argument, options),
    ),
    exitCode: result.exitCode,
    stdout: lines(result.stdout, options),
    stderr: lines(result.stderr, options),
  }
}

function lines(output: Buffer, options: RecordingOptions): unknown[] {
  if (output.includes(0)) return ['<binary>']
  const text = output.toString('utf8')
  if (text === '') return []
  const document = wholeDocument(text)
  const found = document === undefined ? text.replace(/\n$/, '').split('\n').map(parseLine) : [document]
  const result = mergeStatus(found.map((line) => normalise(line, undefined, options)))
  if (options.sorted !== true) return result
  return [...new Set(result.map((line) => JSON.stringify(line)))].sort().map((line) => JSON.parse(line) as unknown)
}

/** JSON over several lines, as `cat` and `ls --ncdu` print it. */
function wholeDocument(text: string): unknown {
  if (!/^[[{].*\n./.test(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function parseLine(line: string): unknown {
  if (!/^[[{]/.test(line)) return line
  try {
    return JSON.parse(line)
  } catch {
    return line
  }
}

/** How many status messages there are depends on the clock: one with all fields stands for them. */
function mergeStatus(found: readonly unknown[]): unknown[] {
  const isStatus = (line: unknown): line is object =>
    typeof line === 'object' && line !== null && 'message_type' in line && line.message_type === 'status'
  const all = found.filter(isStatus)
  if (all.length === 0) return [...found]
  const merged = Object.assign({}, ...all) as Record<string, unknown>
  const fields = Object.entries(merged).map(([key, value]) => [
    key,
    typeof value === 'number' ? '<number>' : Array.isArray(value) ? ['<file>'] : value,
  ])
  return [
    Object.fromEntries(fields.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))),
    ...found.filter((line) => !isStatus(line)),
  ]
}

function normalise(value: unknown, key: string | undefined, options: RecordingOptions): unknown {
  if (typeof value === 'string') {
    if (key !== undefined && SECRETS.has(key)) return '<secret>'
    return key !== undefined && NAMES.has(key) && isOwnName(value) ? '<user>' : normaliseText(value, options)
  }
  if (typeof value === 'number') {
    const varies = key !== undefined && (VOLATILE_NUMBERS.has(key) || options.volatile?.includes(key) === true)
    return varies ? '<number>' : value
  }
  if (Array.isArray(value)) return value.map((item) => normalise(item, key, options))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [normaliseText(name, options), normalise(field, name, options)]),
  )
}

const rules: readonly (readonly [RegExp, string])[] = [
  [/restic-check-cache-\d+/g, 'restic-check-cache-<number>'],
  [/(?<=\/data\/)[0-9a-f]{2}(?=\/)/g, '<xx>'],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g, '<time>'],
  [/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?( [+-]\d{4})?( UTC)?( m=[+-][\d.]+)?/g, '<time>'],
  [/\b[0-9a-f]{64}\b/g, '<id>'],
  [/\b(?=[0-9a-f]*[a-f])[0-9a-f]{10}\b|(?<=repository )[0-9a-f]{10}\b/g, '<id-10>'],
  [/\b[0-9a-f]{8}\b/g, '<short-id>'],
  [/\[\d+:\d\d(:\d\d)?\]/g, '[<duration>]'],
  [/\b(in|took|after) (\d+:\d\d(:\d\d)?|[\d.]+(ns|µs|ms|s|m[\d.]+s))/g, '$1 <duration>'],
  [/[\d.]+(ns|µs|ms|m?[\d.]*s) ago/g, '<duration> ago'],
  [/\d+(\.\d+)? ([KMGT]i)?B\b/g, '<size>'],
  [/\bPID \d+/g, 'PID <number>'],
  [/\bprocess \d+ of \S+ on /g, 'process <number> of <user> on '],
  [/\((UID) \d+, (GID) \d+\)/g, '(UID <number>, GID <number>)'],
  [/(?<=prefix \\?")[0-9a-f](?=\\?")/g, '<prefix>'],
  // Which files are hit depends on how blobs came to lie in packs.
  [/^ {2}(file|dir) ".*": /g, '  $1 "<path>": '],
  [/(snapshots, )\d+ files, .*/g, '$1<counts>'],
  [/\d+ \/ \d+ packs/g, '<number> / <number> packs'],
  [/go1\.[\d.]+/g, '<go-version>'],
]

const isOwnName = (name: string): boolean => name === userInfo().username || name === 'root'

function normaliseText(text: string, options: RecordingOptions): string {
  let result = text.replaceAll(options.folder, '<work>')
  for (const [pattern, replacement] of rules) result = result.replace(pattern, replacement)
  const { username } = userInfo()
  return result
    .replaceAll(new RegExp(`\\b${escapePattern(hostname())}\\b`, 'g'), '<host>')
    .replaceAll(new RegExp(`(?<=by )${escapePattern(username)}\\b`, 'g'), '<user>')
}

const escapePattern = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
