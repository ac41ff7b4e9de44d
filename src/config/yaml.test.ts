import { describe, expect, test } from 'vitest'
import { exampleText, loadText, problemsIn } from './testing.ts'

const base = `version: 1
repositories:
  main: { url: /srv/main, password: env:KEY }
`

describe('a file that is no YAML is refused at the place of the mistake', () => {
  test.each<[string, string, string]>([
    [
      'a key twice',
      `${base}version: 1\n`,
      'holdfast.yaml:4:1: the key "version" is here a second time; the first is at ',
    ],
    ['a tab', 'version: 1\nrepositories:\n\tmain: {}\n', 'holdfast.yaml:3:1: a tab cannot indent; use spaces'],
    [
      'a quote that does not end',
      'version: 1\nsources: "x\n',
      'holdfast.yaml:3:1: is no valid YAML: missing closing "quote',
    ],
    [
      'a second document',
      `${base}---\nversion: 1\n`,
      'holdfast.yaml:4:1: a second document begins here; a configuration is one',
    ],
    ['a tag', 'version: !!js/function x\n', 'holdfast.yaml:1:10: is no valid YAML: unresolved tag'],
    [
      'an anchor that is not there',
      `${base}defaults: *all\n`,
      'holdfast.yaml:4:11: there is no anchor &all before this',
    ],
    [
      'an alias in its own anchor',
      `${base}defaults: &all\n  verify: *all\n`,
      'holdfast.yaml:5:11: *all stands inside of what it repeats',
    ],
    ['a list as key', `${base}? [a]\n: b\n`, 'holdfast.yaml:4:3: a key must be text'],
    [
      'a key of JavaScript',
      `${base}__proto__: { version: 2 }\n`,
      'holdfast.yaml:4:1: the key "__proto__" is not possible',
    ],
    ['a text', 'holdfast\n', 'holdfast.yaml:1:1: is no map of keys; begin with "version: 1"'],
    ['nothing', '', 'holdfast.yaml:1:1: is empty; begin with "version: 1"'],
    ['deep nesting', '['.repeat(100_000), 'is nested too deeply'],
    ['deep but possible nesting', `${base}defaults: ${'['.repeat(100)}${']'.repeat(100)}\n`, 'is nested too deeply'],
    ['size', `#${' '.repeat(1024 * 1024)}`, 'holdfast.yaml:1:1: is larger than 1 MiB'],
  ])('%s', async (_, text, expected) => {
    expect(await problemsIn(loadText(text))).toContainEqual(expect.stringContaining(expected))
  })

  test('bytes that are no text', async () => {
    expect(await problemsIn(loadText(Uint8Array.of(0x76, 0xff)))).toEqual(['holdfast.yaml:1:1: is not UTF-8 text'])
  })

  test('aliases that unfold to billions of values end early', async () => {
    const levels = Array.from(
      { length: 20 },
      (_, level) => `a${level + 1}: &a${level + 1} [${`*a${level},`.repeat(9)}]`,
    )
    const problems = await problemsIn(loadText(`a0: &a0 [x]\n${levels.join('\n')}\n`))
    expect(problems).toContainEqual(
      expect.stringMatching(/^holdfast\.yaml:\d+:\d+: holds more than 50000 values, aliases unfolded$/),
    )
  })
})

describe('YAML that is fine', () => {
  test('an anchor may be used again', async () => {
    const text = `${base}sources:
  a: { type: files, paths: &paths [/srv/a] }
  b: { type: files, paths: *paths }
`
    const { sources, originOf } = await loadText(text)
    expect(sources.get('b')!.settings).toEqual({ paths: ['/srv/a'], exclude: [] })
    expect(originOf(['sources', 'b', 'paths'])).toMatch(/:6:28$/)
  })

  test('Windows line ends and a byte order mark do not matter', async () => {
    const { sources } = await loadText(`\u{feff}${exampleText.replaceAll('\n', '\r\n')}`)
    expect(sources.size).toBe(7)
  })

  test('names are kept as they are written', async () => {
    const { repositories } = await loadText(
      'version: 1\nrepositories:\n  01: { url: /a, password: env:K }\n  1: { url: /b, password: env:K }\n',
    )
    expect([...repositories.keys()].toSorted()).toEqual(['01', '1'])
  })

  test('names that JavaScript gives a meaning are names', async () => {
    const { repositories, sources } = await loadText(
      'version: 1\nrepositories: { constructor: { url: /a, password: env:K } }\nsources: { toString: { type: files, paths: [/a] } }\n',
    )
    expect(repositories.get('constructor')!.url).toBe('/a')
    expect(sources.get('toString')!.repositories).toEqual(['constructor'])
  })
})
