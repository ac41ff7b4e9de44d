import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { textToByteString } from '../../repository/tree/node.ts'
import { lowerCase } from './byte-string.ts'
import { type ComponentPattern, compileComponent, isProblem } from './component-pattern.ts'
import { patternSources } from './pattern.ts'
import { createPatternList } from './pattern-list.ts'

const list = (...patterns: string[]) => createPatternList(patternSources(patterns))

describe('one pattern on one path', () => {
  test.each([
    // Relative: any run of components, and everything below.
    ['*.o', '/src/lib/main.o', true],
    ['*.o', '/src/lib/main.c', false],
    ['lib', '/src/lib', true],
    ['lib', '/src/lib/main.c', true],
    ['lib', '/src/libs', false],
    ['src/lib', '/home/src/lib/x', true],
    ['src/lib', '/home/src/x/lib', false],
    ['src/*', '/src', false],
    ['src/*', '/a/src/b/c', true],
    ['*', '/anything', true],
    ['a/b', '/a', false],
    // Absolute: from the root.
    ['/src', '/src', true],
    ['/src', '/src/main.c', true],
    ['/src', '/home/src', false],
    ['/src', '/srcs', false],
    ['/*/main.c', '/src/main.c', true],
    ['/*/main.c', '/src/lib/main.c', false],
    ['/', '/anything/at/all', true],
    // Slashes and dots are tidied first.
    ['src/', '/src', true],
    ['/src//lib/', '/src/lib', true],
    ['./lib', '/src/lib', true],
    ['/src/../lib', '/lib', true],
    ['/src/../lib', '/src/lib', false],
    ['/../lib', '/lib', true],
    ['../lib', '/src/lib', false],
    ['.', '/src', false],
    ['..', '/src', false],
    // `**`: any number of components.
    ['**', '/a', true],
    ['/**', '/a', true],
    ['a/**/z', '/x/a/z', true],
    ['a/**/z', '/x/a/b/c/z/y', true],
    ['a/**/z', '/x/z/a', false],
    ['/a/**/z', '/a/b/z', true],
    ['/a/**/z', '/b/a/z', false],
    ['/**/z', '/a/b/z', true],
    ['/**/z', '/z', true],
    ['a/**', '/x/a', true],
    ['**/a', '/a', true],
    ['a/**/b/**/c', '/a/b/c', true],
    ['a/**/b/**/c', '/a/x/b/y/c', true],
    ['a/**/b/**/c', '/a/c/b', false],
    ['a/**b', '/a/xb', true],
    ['a/**b', '/a/x/b', false],
    // Escapes.
    ['\\!important', '/a/!important', true],
    ['a\\*', '/a*', true],
    ['a\\*', '/ab', false],
  ])('%s on %s: %s', (pattern, path, expected) => {
    expect(list(pattern).matches(path)).toBe(expected)
  })

  test('several `**` leave one component for each other, as in restic', () => {
    // What is in the directory goes, the directory stays.
    const contents = list('/home/**/cache/**')
    expect(contents.matches('/home/me/cache')).toBe(false)
    expect(contents.matches('/home/me/cache/x')).toBe(true)
    expect(contents.matches('/home/cache')).toBe(false)
    expect(contents.matches('/home/cache/x')).toBe(true)
    expect(list('/**/cache/**').matches('/cache')).toBe(false)
    // With relative patterns the root makes up for one of them.
    expect(list('**/cache/**').matches('/cache')).toBe(true)
    expect(list('**/home/**/cache/**').matches('/home/cache')).toBe(false)
    expect(list('**/home/**/cache/**').matches('/x/home/cache')).toBe(true)
  })

  test('relative paths know no root', () => {
    expect(list('user.*').matches('user.mime_type')).toBe(true)
    expect(list('/user.*').inspect('user.mime_type')).toEqual({ matched: false, childMayMatch: false })
    expect(list('a/b').matches('a/b/c')).toBe(true)
    expect(list('**/a/**').matches('a')).toBe(false)
  })
})

describe('lists', () => {
  test.each([
    [[], '/a', false],
    [['', '*.c'], '/a.c', true],
    [['*.c', '*.h'], '/a.h', true],
    // The last pattern that fits decides.
    [['*.log', '!important.log'], '/x/important.log', false],
    [['*.log', '!important.log'], '/x/other.log', true],
    [['!important.log', '*.log'], '/x/important.log', true],
    [['/var/*', '!/var/lib', '/var/lib/cache'], '/var/lib/cache/x', true],
    [['/var/*', '!/var/lib', '/var/lib/cache'], '/var/lib/data', false],
    [['/var/**', '!/var/lib'], '/var/log/x', true],
    [['!a'], '/a', false],
    [['**', '!**/'], '/a', false],
  ] as const)('%j on %s: %s', (patterns, path, expected) => {
    expect(list(...patterns).matches(path)).toBe(expected)
  })

  test.each([
    [['/home/me/docs'], '/home', true],
    [['/home/me/docs'], '/home/me', true],
    [['/home/me/docs'], '/home/you', false],
    [['/home/me/docs'], '/home/me/docs/deep/down', true],
    [['/home/*/docs'], '/home/you', true],
    [['/home/*/docs'], '/home/you/music', false],
    [['/home/**/docs'], '/home/you/music/x', true],
    [['/home/**/docs'], '/etc', false],
    [['docs'], '/anywhere/else', true],
    [['/**/docs'], '/anywhere/else', true],
    [['/home/me', '!/home'], '/home', false],
    [['!/home', '/home/me'], '/home', true],
    [['docs', '!/home'], '/home/me', false],
    [['docs', '!/home', '/home/me/docs'], '/home/me', true],
    [['!docs'], '/a', false],
  ] as const)('below: %j on %s: %s', (patterns, path, expected) => {
    expect(list(...patterns).inspect(path).childMayMatch).toBe(expected)
  })

  test('ignore letter case when told, in patterns and paths', () => {
    const insensitive = createPatternList(patternSources(['*.JPG', 'Ünïcode', '[A-C]?']), { ignoreCase: true })
    expect(insensitive.matches('/a/b.jpg')).toBe(true)
    expect(insensitive.matches('/a/B.JpG')).toBe(true)
    expect(insensitive.matches(textToByteString('/a/üNÏCODE/x'))).toBe(true)
    expect(insensitive.matches('/bX')).toBe(true)
    expect(insensitive.matches('/dX')).toBe(false)
    expect(list('*.JPG').matches('/a/b.jpg')).toBe(false)
  })

  test('the answer does not depend on what was asked before', () => {
    const patterns = list('/a/b', '!c', 'x/**/y', '/a/**/z/**')
    const paths = ['/a', '/a/b', '/a/b/c', '/a/bb', 'a/b', '/x/1/y', '/a/q/z/w', '/', '/a/b/', '/a/b/c/d', '/a/q/z']
    const alone = (path: string) => list('/a/b', '!c', 'x/**/y', '/a/**/z/**').inspect(path)
    for (const first of paths)
      for (const second of paths) {
        patterns.inspect(first)
        expect(patterns.inspect(second), `${second} after ${first}`).toEqual(alone(second))
      }
  })

  test('agree with the definition, taken literally', () => {
    const name = fc.constantFrom('a', 'b', 'ab', 'A', 'é', '\xff')
    const component = fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'ab', '*', 'a*', '?', '[ab]', '*b', 'A', 'é') },
      { weight: 2, arbitrary: fc.constant('**') },
    )
    const pattern = fc
      .tuple(fc.boolean(), fc.boolean(), fc.array(component, { minLength: 1, maxLength: 5 }))
      .map(([negated, absolute, parts]) => `${negated ? '!' : ''}${absolute ? '/' : ''}${parts.join('/')}`)
    const step = fc.oneof({ weight: 3, arbitrary: name }, { weight: 1, arbitrary: fc.constant('') })
    fc.assert(
      fc.property(
        fc.array(pattern, { minLength: 1, maxLength: 4 }),
        fc.array(step, { minLength: 1, maxLength: 20 }),
        fc.boolean(),
        fc.boolean(),
        (patterns, walk, rooted, ignoreCase) => {
          const compiled = createPatternList(patternSources(patterns), { ignoreCase })
          // A walk: down by a name, up by an empty one.
          const path: string[] = []
          for (const next of walk) {
            if (next === '') path.splice(-2)
            else if (path.length < 6) path.push(next)
            if (path.length === 0) continue
            const text = (rooted ? '/' : '') + path.join('/')
            expect(compiled.inspect(text), `${patterns} on ${text}`).toEqual(byDefinition(patterns, text, ignoreCase))
            expect(compiled.matches(text)).toBe(compiled.inspect(text).matched)
          }
        },
      ),
      { numRuns: 3000 },
    )
  })
})

/** The rules of restic as its documentation and behaviour state them, one pattern after the other, without any cleverness. */
function byDefinition(patterns: readonly string[], path: string, ignoreCase: boolean) {
  const fold = (text: string): string => (ignoreCase ? lowerCase(text) : text)
  const components = (text: string): string[] => {
    const parts = text.split('/')
    return text.startsWith('/') ? ['/', ...parts.slice(1)] : parts
  }
  const strings = components(fold(path))
  let matched = false
  let childMayMatch = false
  for (const pattern of patterns) {
    const parts = components(fold(textToByteString(pattern.replace(/^!/, ''))))
    const fits = fitsSomewhere(parts, strings)
    const firstStars = parts.indexOf('**')
    const fixed = firstStars < 0 ? parts.length : firstStars
    const below =
      parts[0] !== '/' || fitsSomewhere(parts.slice(0, Math.min(fixed, strings.length)), strings.slice(0, fixed))
    if (pattern.startsWith('!')) {
      matched &&= !fits
      childMayMatch &&= !fits
    } else {
      matched ||= fits
      childMayMatch ||= below
    }
  }
  return { matched, childMayMatch }
}

function fitsSomewhere(parts: readonly string[], strings: readonly string[]): boolean {
  const stars = parts.indexOf('**')
  if (stars >= 0) {
    for (let count = 0; count <= strings.length - parts.length + 1; count++) {
      const replaced = [...parts.slice(0, stars), ...Array(count).fill('*'), ...parts.slice(stars + 1)]
      if (fitsSomewhere(replaced, strings)) return true
    }
    return false
  }
  if (parts.length === 0) return false
  const lowest = parts[0] !== '/' && strings[0] === '/' ? 1 : 0
  const highest = parts[0] === '/' ? 0 : strings.length - parts.length
  for (let offset = lowest; offset <= highest && offset + parts.length <= strings.length; offset++)
    if (parts.every((part, i) => fitsComponent(part, strings[offset + i]!))) return true
  return false
}

function fitsComponent(part: string, name: string): boolean {
  if (part === '/' || name === '/') return part === name
  const pattern = compileComponent(part)
  if (isProblem(pattern)) throw new Error(pattern.reason)
  return (pattern satisfies ComponentPattern).test(name)
}
