import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { textToByteString } from '../../repository/tree/node.ts'
import { type ComponentPattern, compileComponent, isProblem } from './component-pattern.ts'

function compiled(text: string): ComponentPattern {
  const pattern = compileComponent(text)
  if (isProblem(pattern)) throw new Error(`${text}: ${pattern.reason}`)
  return pattern
}

const matches = (pattern: string, name: string): boolean =>
  compiled(textToByteString(pattern)).test(textToByteString(name))

describe('patterns of one component', () => {
  test.each([
    ['notes.txt', 'notes.txt', true],
    ['notes.txt', 'notes-txt', false],
    ['*', '', true],
    ['*', '.hidden', true],
    ['***', 'x', true],
    ['*.log', 'a.log', true],
    ['*.log', '.log', true],
    ['*.log', 'a.log.1', false],
    ['core.*', 'core.', true],
    ['*cache*', 'my-cache-2', true],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'acb', false],
    ['*ab*ab', 'ab', false],
    ['*ab', 'aab', true],
    ['?', '', false],
    ['??', 'a', false],
    ['a?c', 'abc', true],
    ['*?', 'x', true],
    ['[a-c]x', 'bx', true],
    ['[a-c]x', 'dx', false],
    ['[^a-c]x', 'dx', true],
    ['[^a]', '', false],
    ['[abx-z]', 'y', true],
    ['[b-a]', 'a', false],
    ['[!a]', '!', true],
    ['[!a]', 'b', false],
    ['[*]*', '*star', true],
    ['[[]', '[', true],
    ['[\\]]', ']', true],
    ['[\\-a]', '-', true],
    ['[a\\-c]', 'b', false],
    ['[]]', ']', 'problem'],
    ['\\*', '*', true],
    ['\\*', 'x', false],
    ['\\a', 'a', true],
    ['a]', 'a]', true],
    ['{a,b}', '{a,b}', true],
  ])('%s on %s: %s', (pattern, name, expected) => {
    if (expected === 'problem') expect(compileComponent(pattern)).toHaveProperty('reason')
    else expect(matches(pattern, name)).toBe(expected)
  })

  test.each([
    ['?', 'é', true],
    ['??', 'é', false],
    ['???', '漢字😀', true],
    ['[é-ü]', 'ö', true],
    ['[^é]', 'é', false],
    ['[^é]', '漢', true],
    ['*é', 'café', true],
    ['[α-ω]*[!-~]', 'λx', true],
    // A star takes bytes: what is left of a character is invalid and so not of the class.
    ['*[^é]', 'é', true],
    ['*??', 'é', false],
    ['*?é', 'é', false],
  ])('characters, not bytes: %s on %s: %s', (pattern, name, expected) => {
    expect(matches(pattern, name)).toBe(expected)
  })

  test('an invalid byte is one character, and U+FFFD for a class', () => {
    expect(compiled('a?b').test('a\xffb')).toBe(true)
    expect(compiled('a?b').test('a\xc3b')).toBe(true)
    expect(compiled('a?b').test('a\xe6\xbcb')).toBe(false)
    expect(compiled(textToByteString('[\ufffd]')).test('\xff')).toBe(true)
    expect(compiled('[^a]').test('\xff')).toBe(true)
    expect(compiled('\xff*').test('\xff\xfe')).toBe(true)
    expect(compiled('\xff*').test('\xfe')).toBe(false)
  })

  test.each([
    ['[', 0],
    ['ab[', 2],
    ['[a', 0],
    ['[a-', 0],
    ['[a-]', 3],
    ['[-a]', 1],
    ['[]a]', 1],
    ['[^]', 2],
    ['x[]*]', 2],
    ['abc\\', 3],
    ['*[\\', 1],
    ['[\xff]', 1],
    // Go only notices these when a name gets that far.
    ['a[b]*[', 5],
    ['zzz*[]', 5],
  ])('%j is refused at byte %i', (pattern, offset) => {
    expect(compileComponent(pattern)).toMatchObject({ offset, reason: expect.any(String) })
  })

  test('says so when only one name matches', () => {
    expect(compiled('a.b').literal).toBe('a.b')
    expect(compiled('a\\*b').literal).toBe('a*b')
    expect(compiled('a*').literal).toBeUndefined()
  })

  test('agrees with a matcher that tries everything', () => {
    const atom = fc.constantFrom('*', '?', 'a', 'b', '[ab]', '[^a]', '[a-~]', '\\*', '\\a')
    const name = fc.array(fc.constantFrom('a', 'b', '*', 'c'), { maxLength: 6 })
    fc.assert(
      fc.property(fc.array(atom, { maxLength: 6 }), name, (atoms, chars) => {
        expect(matches(atoms.join(''), chars.join(''))).toBe(tryAll(atoms, chars))
      }),
      { numRuns: 5000 },
    )
  })

  test('no pattern makes it try forever', () => {
    expect(compiled('*a?'.repeat(100)).test('a'.repeat(150))).toBe(false)
    expect(compiled(`${'*a[ab]'.repeat(50)}*c`).test('a'.repeat(4096))).toBe(false)
  })
})

function tryAll(atoms: readonly string[], chars: readonly string[]): boolean {
  const [atom, ...restAtoms] = atoms
  const [char, ...restChars] = chars
  if (atom === undefined) return char === undefined
  if (atom === '*') return tryAll(restAtoms, chars) || (char !== undefined && tryAll(atoms, restChars))
  if (char === undefined) return false
  const accepted: Record<string, (char: string) => boolean> = {
    '?': () => true,
    '[ab]': (c) => c === 'a' || c === 'b',
    '[^a]': (c) => c !== 'a',
    '[a-~]': (c) => c !== '*',
    '\\*': (c) => c === '*',
    '\\a': (c) => c === 'a',
  }
  return (accepted[atom]?.(char) ?? atom === char) && tryAll(restAtoms, restChars)
}
