import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { AnyDescription } from '../command.ts'
import { globalOptions } from '../options/global.ts'
import type { AnyOptionTable, Option } from '../options/option.ts'
import { parseOptions } from '../options/parse.ts'

const helpFolder = new URL('../../../test/golden/restic-0.19.1/help/', import.meta.url)

interface ResticOption {
  readonly long: string
  readonly short: string | undefined
  readonly placeholder: string | undefined
  readonly initial: string | undefined
}

/** The options in a help text of restic, without -h. */
function resticOptions(text: string): ResticOption[] {
  return text.split('\n').flatMap((line) => {
    const match = /^ {2}(?:-(\w), | {4})--([\w-]+)(?: (\S+))? {2,}(.*)$/.exec(line)
    if (match === null || match[2] === 'help') return []
    const initial = /\(default (?:"([^"]*)"|([^:)]*))\)$/.exec(match[4]!)
    const text = initial?.[1] ?? initial?.[2]
    return [{ long: match[2]!, short: match[1], placeholder: match[3], initial: text === '[]' ? undefined : text }]
  })
}

const ours = ({ long, short, arity, kind, initialText }: Option<unknown>): ResticOption => ({
  long,
  short,
  placeholder: arity === 'value' || arity === 'list' ? kind.placeholder : undefined,
  initial: initialText,
})

const byName = (a: ResticOption, b: ResticOption): number => (a.long < b.long ? -1 : 1)
const own = (table: AnyOptionTable): ResticOption[] =>
  Object.values(table)
    .filter(({ long }) => long !== 'help')
    .map(ours)
    .sort(byName)

async function load(name: string): Promise<AnyDescription> {
  const module: Record<string, AnyDescription> = await import(
    /* @vite-ignore */ new URL(`${name}.ts`, import.meta.url).href
  )
  return Object.entries(module).find(([key]) => key.endsWith('Description'))![1]
}

const names = readdirSync(helpFolder)
  .map((file) => file.replace('.txt', ''))
  .filter((name) => !['restic', 'key', 'repair'].includes(name))
const readHelp = (name: string): string => readFileSync(new URL(`${name}.txt`, helpFolder), 'utf8')

/** What Holdfast's commands take and restic's do not. */
const additions: Readonly<Record<string, readonly string[]>> = {
  copy: ['all', 'dry-run'],
  snapshots: ['all'],
}

describe('the option tables hold what restic 0.19.1 has', () => {
  test('there is a help text for each of the commands', () => {
    expect(names).toHaveLength(29)
  })

  test('options of every command, and that for the configuration', () => {
    const taken = own(globalOptions.options).filter(({ long }) => long !== 'config')
    expect(taken).toEqual(resticOptions(readHelp('restic')).sort(byName))
  })

  test.each(names)('%s', async (name) => {
    const description = await load(name)
    const refused = new Set(description.refused?.map(({ long }) => long))
    const expected = resticOptions(readHelp(name)).filter(({ long }) => !refused.has(long))
    const taken = own(description.options).filter(({ long }) => !additions[name]?.includes(long))
    expect(taken).toEqual(expected.sort(byName))
    expect(description.name).toBe(name.replace(/^(key|repair)-/, '$1 '))
  })

  test('nothing is refused that restic documents', async () => {
    const refused = await Promise.all(
      names.map(async (name) => {
        const documented = new Set(resticOptions(readHelp(name)).map(({ long }) => long))
        return ((await load(name)).refused ?? [])
          .filter(({ long }) => documented.has(long))
          .map(({ long }) => `${name} --${long}`)
      }),
    )
    expect(refused.flat()).toEqual([])
  })
})

describe('every command', () => {
  test.each([...names, 'help', 'completion'])(
    '%s: no name or letter is used twice, and the texts are complete',
    async (name) => {
      const description = await load(name)
      const options = [...Object.values(globalOptions.options), ...Object.values(description.options as AnyOptionTable)]
      const others = [...(globalOptions.refused ?? []), ...(description.refused ?? []), ...(description.retired ?? [])]
      const longs = [
        ...options.flatMap(({ long, aliases }) => [long, ...(aliases ?? []).map((alias) => alias.long)]),
        ...others.map(({ long }) => long),
      ]
      const letters = options.flatMap(({ short }) => short ?? [])
      expect(new Set(longs).size).toBe(longs.length)
      expect(new Set(letters).size).toBe(letters.length)
      expect(description.summary).toMatch(/^[A-Z].*[^.]$/)
      expect(description.examples.length).toBeGreaterThan(0)
      for (const { line } of description.examples) expect(line).toContain(`holdfast ${description.name}`)
      for (const { help } of options) expect(help).toMatch(/^(?![A-Z][a-z]).*[^.]$/)
    },
  )
})

describe('what the tables cannot say', () => {
  async function refusal(line: string): Promise<string> {
    const words = line.split(' ')
    const name = names.includes(words.slice(0, 2).join('-')) ? words.slice(0, 2).join('-') : words[0]!
    const description = await load(name)
    const parsed = parseOptions(words.slice(name.includes('-') ? 2 : 1), globalOptions, description, {})
    try {
      description.check?.(parsed.options, parsed.positionals, parsed.global)
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }

  test.each([
    ['init --from-repo x', 'a source repository was given, but nothing to take from it'],
    ['init --from-repo x --copy-chunker-params', ''],
    ['backup', 'nothing to back up'],
    ['backup /data', ''],
    ['backup --files-from x', ''],
    ['backup --stdin', ''],
    ['backup --stdin /data', '--stdin was given and also the path "/data"'],
    ['backup --stdin --files-from x', '--stdin and --files-from cannot be given together'],
    ['backup --stdin-from-command', '--stdin-from-command was given without a command'],
    ['backup --stdin-from-command echo x', ''],
    [
      'backup --stdin-from-command --files-from-raw x echo',
      '--stdin-from-command and --files-from-raw cannot be given together',
    ],
    ['ls latest sub', 'folder "sub" is not an absolute path'],
    ['ls latest /sub', ''],
    ['ls --json --ncdu latest', '--json and --ncdu cannot be given together'],
    ['ls --ncdu --sort size latest', '--ncdu and --sort cannot be given together'],
    ['find --blob --tree x', '--blob and --tree cannot be given together'],
    ['find --oldest 2024-02-02 --newest 2024-02-01 x', 'the time of --oldest is after that of --newest'],
    ['find --oldest 2024-02-01 --newest 2024-02-02 x', ''],
    ['restore latest', 'no folder to restore to'],
    ['restore latest -t x -e a -i b', 'patterns to leave out and patterns to take cannot be given together'],
    ['restore latest -t x --dry-run --verify', '--dry-run and --verify cannot be given together'],
    ['restore latest -t / --delete', '--delete with --target / would empty this machine'],
    ['restore latest -t /tmp/.. --delete', '--delete with --target / would empty this machine'],
    ['restore latest -t / --delete -i /etc', ''],
    ['forget', 'no policy was given, so nothing would be removed'],
    ['forget --keep-last 0', 'no policy was given, so nothing would be removed'],
    ['forget --keep-within 0d', 'no policy was given, so nothing would be removed'],
    ['forget --keep-last unlimited', ''],
    ['forget --keep-tag a', ''],
    ['forget 79766175', ''],
    ['forget --unsafe-allow-remove-all', '--unsafe-allow-remove-all needs a filter'],
    ['forget --unsafe-allow-remove-all --tag a', ''],
    ['forget --keep-last 1 --no-lock', '--no-lock is possible only together with --dry-run'],
    ['prune --no-lock', '--no-lock is possible only together with --dry-run'],
    ['prune --no-lock -n', ''],
    [
      'prune --repack-uncompressed --compression off',
      '--repack-uncompressed with --compression off would rewrite data without compressing it',
    ],
    ['check --read-data --read-data-subset 1/2', '--read-data and --read-data-subset cannot be given together'],
    ['tag', 'nothing to do'],
    ['tag --set a --add b', '--set cannot be given together with --add or --remove'],
    ['rewrite', 'nothing to do'],
    ['rewrite -e a -i b', 'patterns to leave out and patterns to take cannot be given together'],
    ['rewrite --snapshot-summary', ''],
    [
      'key add --new-password-file x --new-insecure-no-password',
      '--new-password-file and --new-insecure-no-password cannot be given together',
    ],
    ['cat nonsense x', '"nonsense" is not a type of thing to print'],
    ['cat snapshot', 'no id of the snapshot was given'],
    ['cat config', ''],
    ['list nonsense', '"nonsense" is not a type of thing to list'],
  ])('%s: %s', async (line, message) => {
    expect(await refusal(line)).toBe(message)
  })
})
