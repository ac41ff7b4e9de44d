import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { asBuffer } from '../../../lib/bytes.ts'
import { byteStringToText } from '../../repository/tree/node.ts'
import { fromByteString, toByteString } from './byte-string.ts'
import { readPatternFiles } from './pattern-file.ts'
import { createPatternList } from './pattern-list.ts'
import { createSelector } from './selector.ts'

/** The restic to agree with. */
const restic = process.env.RESTIC ?? 'restic'
const version = /^restic (\d+\.\d+)/.exec(spawnSync(restic, ['version'], { encoding: 'utf8' }).stdout ?? '')?.[1]

describe.skipIf(version === undefined)(`selection agrees with restic ${version ?? '(not installed)'}`, () => {
  let root: string
  let tree: string

  /** What restic says it would take, as text. */
  function takenByRestic(options: readonly string[]): string[] {
    const { status, stdout, stderr } = runRestic('backup', '--dry-run', '-vv', '--json', ...options, tree)
    expect(status, stderr).toBe(0)
    const lines = stdout.split('\n').filter((line) => line.startsWith('{"message_type":"verbose_status"'))
    return lines
      .map((line) => JSON.parse(line) as { item: string })
      .map(({ item }) => item.replace(/\/$/, ''))
      .filter((item) => item.startsWith(`${tree}/`))
      .sort()
  }

  const runRestic = (...args: string[]) =>
    spawnSync(restic, args, {
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      env: {
        ...process.env,
        RESTIC_REPOSITORY: join(root, 'repository'),
        RESTIC_PASSWORD: 'x',
        RESTIC_CACHE_DIR: join(root, 'cache'),
      },
    })

  beforeAll(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), 'agree-')))
    tree = join(root, 'tree')
    mkdirSync(tree)
    expect(runRestic('init').status).toBe(0)
  })
  afterAll(() => rmSync(root, { recursive: true }))

  /** Writes patterns one to a line and gives the file's path. */
  function patternFile(name: string, patterns: readonly string[]): string {
    const path = join(root, name)
    writeFileSync(path, fromByteString(patterns.join('\n')))
    return path
  }

  async function takenByUs(exclude: string, iexclude: string): Promise<string[]> {
    const { selectByName } = createSelector({
      targets: [Buffer.from(tree)],
      exclude: await readPatternFiles([exclude], '--exclude-file'),
      iexclude: await readPatternFiles([iexclude], '--iexclude-file'),
      warn: () => undefined,
    })
    const taken: string[] = []
    const walk = (directory: string): void => {
      for (const entry of readdirSync(asBuffer(fromByteString(directory)), {
        encoding: 'buffer',
        withFileTypes: true,
      })) {
        const path = `${directory}/${toByteString(entry.name)}`
        if (!selectByName(path)) continue
        taken.push(byteStringToText(path))
        if (entry.isDirectory()) walk(path)
      }
    }
    walk(tree)
    return taken.sort()
  }

  // Few letters make patterns fit often; \xff is a name that is not UTF-8.
  const name = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom('a', 'b', 'ab', 'A', 'c.o') },
    {
      weight: 2,
      arbitrary: fc.constantFrom('é', 'É', '漢b', '\xff', 'a\xff', '*', '[a]', '!a', 'a b', 'İ', '#x', 'x$y'),
    },
  )
  const paths = fc.array(fc.array(name, { minLength: 1, maxLength: 5 }), { minLength: 3, maxLength: 12 })
  const atom = fc.constantFrom('*', '?', '[ab]', '[^a]', '[é-ü]', 'a', 'b', '.o', 'é', '\\*', '\\[', '\xff', 'A')
  const component = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'ab', 'A', '*.o', '*', 'É', '漢?', 'x$$y') },
    { weight: 3, arbitrary: fc.constant('**') },
    { weight: 3, arbitrary: fc.array(atom, { minLength: 1, maxLength: 3 }).map((atoms) => atoms.join('')) },
  )
  const pattern = fc.record({
    negated: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
    absolute: fc.integer({ min: 0, max: 2 }).map((n) => n === 0),
    components: fc.array(component, { minLength: 1, maxLength: 4 }),
    ending: fc.constantFrom('', '', '', '/', '/.'),
  })
  const patterns = fc.array(pattern, { maxLength: 5 })

  /** Raw bytes of text in which U+00FF stands for the byte 0xff. */
  const raw = (text: string): string =>
    text
      .split('\xff')
      .map((part) => Buffer.from(part).toString('latin1'))
      .join('\xff')

  function write(directory: string, files: readonly (readonly string[])[]): void {
    mkdirSync(directory, { recursive: true })
    for (const file of files) {
      const bytes = asBuffer(fromByteString(`${directory}/${file.map(raw).join('/')}`))
      mkdirSync(bytes, { recursive: true })
      writeFileSync(Buffer.concat([bytes, Buffer.from('/file.o')]), '')
    }
  }

  // restic's time grows with the square of the number of lists.
  test.each([1, 2])('on 150 lists of patterns, each on a tree of its own (%i)', async () => {
    const cases = fc.sample(fc.record({ files: paths, exclude: patterns, iexclude: patterns }), 150)
    const written = { exclude: [] as string[], iexclude: [] as string[] }
    cases.forEach(({ files, ...lists }, i) => {
      // Bound to the folder of its case, a list cannot disturb another one, and one run of restic answers for all.
      const directory = `${tree}/case ${i}`
      write(directory, files)
      for (const kind of ['exclude', 'iexclude'] as const)
        for (const { negated, absolute, components, ending } of lists[kind])
          written[kind].push(
            `${negated ? '!' : ''}${directory}${absolute ? '' : '/**'}/${components.map(raw).join('/')}${ending}`,
          )
    })
    const exclude = patternFile('exclude', written.exclude)
    const iexclude = patternFile('iexclude', written.iexclude)
    const ours = await takenByUs(exclude, iexclude)
    expect(ours).toEqual(takenByRestic(['--exclude-file', exclude, '--iexclude-file', iexclude]))
    expect(ours.length).toBeGreaterThan(400)
    rmSync(tree, { recursive: true })
  })

  test('on relative patterns', async () => {
    write(tree, fc.sample(fc.array(name, { minLength: 1, maxLength: 5 }), 300))
    let checked = 0
    for (const list of fc.sample(fc.array(pattern, { minLength: 1, maxLength: 4 }), 100)) {
      const lines = list.map(
        ({ negated, components, ending }) => `${negated ? '!' : ''}${components.map(raw).join('/')}${ending}`,
      )
      const exclude = patternFile('exclude', lines)
      // Before 0.19 restic applied patterns to the target too.
      if (createPatternList(await readPatternFiles([exclude], '--exclude-file')).matches(tree)) continue
      const ours = await takenByUs(exclude, patternFile('iexclude', []))
      expect(ours, lines.join(' ')).toEqual(takenByRestic(['--exclude-file', exclude]))
      if (++checked === 5) break
    }
    expect(checked).toBe(5)
  })
})
