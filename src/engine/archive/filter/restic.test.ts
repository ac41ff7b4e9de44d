import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { resticPrograms, resticVersion, runRestic } from '../../../../test/support/restic-trees.ts'
import { asBuffer } from '../../../lib/bytes.ts'
import { lstat } from '../../posix/attributes.ts'
import { byteStringToText } from '../../repository/tree/node.ts'
import { fromByteString, toByteString } from './byte-string.ts'
import { patternSources } from './pattern.ts'
import { readPatternFiles } from './pattern-file.ts'
import { createPatternList } from './pattern-list.ts'
import { createSelector, type SelectorOptions } from './selector.ts'

describe.skipIf(lacks('restic')).each(resticPrograms)('selection agrees with %s', (program) => {
  let root: string
  let tree: string

  /** What restic says it would take of the tree, as text. */
  function takenByRestic(options: readonly string[], targets: readonly string[] = [tree]): string[] {
    const output = runRestic(program, join(root, 'repository'), [
      ...['backup', '--dry-run', '-vv', '--json'],
      ...options,
      ...targets,
    ])
    const lines = output.toString().split('\n')
    return lines
      .filter((line) => line.startsWith('{"message_type":"verbose_status"'))
      .map((line) => JSON.parse(line) as { item: string })
      .map(({ item }) => item.replace(/\/$/, ''))
      .filter((item) => item.startsWith(`${tree}/`))
      .sort()
  }

  /** What a walk takes that asks the selector. */
  function takenByUs(options: Partial<SelectorOptions>, targets: readonly string[] = [tree]): string[] {
    const { selectByName, select } = createSelector({
      targets: targets.map((target) => Buffer.from(target)),
      warn: () => undefined,
      ...options,
    })
    const taken: string[] = []
    const walk = (path: string): void => {
      if (!selectByName(path)) return
      const bytes = asBuffer(fromByteString(path))
      const attributes = lstat(bytes)
      if (!select(path, attributes)) return
      taken.push(byteStringToText(path))
      if (attributes.type !== 'dir') return
      for (const name of readdirSync(bytes, { encoding: 'buffer' })) walk(`${path}/${toByteString(name)}`)
    }
    for (const target of targets) walk(target)
    return taken.filter((path) => path.startsWith(`${tree}/`)).sort()
  }

  beforeAll(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), 'agree-')))
    tree = join(root, 'tree')
    mkdirSync(tree)
    runRestic(program, join(root, 'repository'), ['init'])
  })
  afterAll(() => rmSync(root, { recursive: true }))
  afterEach(() => rmSync(tree, { recursive: true }))

  /** Writes patterns one to a line and gives the file's path. */
  function patternFile(name: string, patterns: readonly string[]): string {
    const path = join(root, name)
    writeFileSync(path, fromByteString(patterns.join('\n')))
    return path
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
  test.each([1, 2])('on 100 lists of patterns, each on a tree of its own (%i)', async () => {
    const cases = fc.sample(fc.record({ files: paths, exclude: patterns, iexclude: patterns }), 100)
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
    const ours = takenByUs({
      exclude: await readPatternFiles([exclude], '--exclude-file'),
      iexclude: await readPatternFiles([iexclude], '--iexclude-file'),
    })
    expect(ours).toEqual(takenByRestic(['--exclude-file', exclude, '--iexclude-file', iexclude]))
    expect(ours.length).toBeGreaterThan(300)
  })

  test('on relative patterns', async () => {
    write(tree, fc.sample(fc.array(name, { minLength: 1, maxLength: 5 }), 300))
    let checked = 0
    for (const list of fc.sample(fc.array(pattern, { minLength: 1, maxLength: 4 }), 100)) {
      const lines = list.map(
        ({ negated, components, ending }) => `${negated ? '!' : ''}${components.map(raw).join('/')}${ending}`,
      )
      const exclude = patternFile('exclude', lines)
      const patterns = await readPatternFiles([exclude], '--exclude-file')
      // Before 0.19 restic applied patterns to the target too.
      if (createPatternList(patterns).matches(tree)) continue
      expect(takenByUs({ exclude: patterns }), lines.join(' ')).toEqual(takenByRestic(['--exclude-file', exclude]))
      if (++checked === 5) break
    }
    expect(checked).toBe(5)
  })

  test('on tag files, caches, sizes and file systems', () => {
    const files = {
      'tagged/.nobackup': '',
      'tagged/file': 'x',
      'tagged/sub/file': 'x',
      'headed/tag': 'HEAD and more',
      'headed/file': 'x',
      'misled/tag': 'HEAP',
      'misled/file': 'x',
      'cache/CACHEDIR.TAG': 'Signature: 8a477f597d28d172789f06886806bc55\n',
      'cache/file': 'x',
      'fake cache/CACHEDIR.TAG': 'Signature: 8a477f597d28d172789f06886806bc5',
      'fake cache/file': 'x',
      'sizes/1024': 'x'.repeat(1024),
      'sizes/1025': 'x'.repeat(1025),
    }
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(tree, path, '..'), { recursive: true })
      writeFileSync(join(tree, path), text)
    }
    const options = ['--exclude-caches', '--exclude-larger-than', '1k', '--one-file-system']
    const tags = ['.nobackup', 'tag:HEAD']
    const ours = takenByUs({
      excludeCaches: true,
      excludeLargerThanBytes: 1024,
      oneFileSystem: true,
      excludeIfPresent: tags,
    })
    expect(ours).toEqual(takenByRestic([...options, ...tags.flatMap((tag) => ['--exclude-if-present', tag])]))
    expect(ours).toHaveLength(14)
  })

  // Before, options applied to targets too.
  test.skipIf(lacks('restic') || Number(resticVersion(program).split('.')[1]) < 19)('on what the targets name', () => {
    for (const path of ['a/b/c', 'd/b/c', 'e']) mkdirSync(join(tree, path), { recursive: true })
    for (const path of ['a/b/x', 'a/x', 'd/b/x', 'd/x', 'e/tag', 'e/x']) writeFileSync(join(tree, path), 'text')
    const targets = [join(tree, 'a/b'), join(tree, 'd/x'), join(tree, 'e/x')]
    const ours = takenByUs(
      { exclude: patternSources(['b', 'x', `!${tree}/a/b`]), excludeIfPresent: ['tag'], excludeLargerThanBytes: 1 },
      targets,
    )
    const options = [
      '-e',
      'b',
      '-e',
      'x',
      '-e',
      `!${tree}/a/b`,
      '--exclude-if-present',
      'tag',
      '--exclude-larger-than',
      '1',
    ]
    // The directories above the targets are there in any case.
    const theirs = takenByRestic(options, targets).filter(
      (path) => !['a', 'd', 'e'].includes(path.slice(tree.length + 1)),
    )
    expect(ours).toEqual(theirs)
    expect(ours).toEqual(['a/b', 'a/b/c', 'd/x', 'e/x'].map((path) => join(tree, path)))
  })
})
