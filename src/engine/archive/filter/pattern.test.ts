import { describe, expect, test } from 'vitest'
import { HoldfastError } from '../../../lib/errors.ts'
import { checkPattern, parsePatterns, patternSources } from './pattern.ts'

function refusal(run: () => unknown): HoldfastError {
  try {
    run()
  } catch (error) {
    if (error instanceof HoldfastError) return error
    throw error
  }
  throw new Error('was accepted')
}

describe('patterns that cannot be understood', () => {
  test.each([
    ['*[._]log[.-][0-9]', 12, "']'"],
    ['src/**/[', 8, "'['"],
    ['!a/b[', 5, "'['"],
    ['[a/b]', 1, 'same path component'],
    ['//a//[]', 7, "']'"],
    ['größe-[', 7, "'['"],
    ['trailing\\', 9, 'escapes nothing'],
    ['slash\\/x', 6, 'escapes nothing'],
  ])('%s is refused at character %i', (pattern, position, reason) => {
    const error = refusal(() => checkPattern(pattern))
    expect(error.code).toBe('HF_PATTERN_INVALID')
    expect(error.message).toContain(JSON.stringify(pattern))
    expect(error.message).toContain(reason)
    expect(error.message).toContain(`at character ${position}`)
    expect(error.context).toMatchObject({ pattern, position })
    expect(error.hint).toContain('\\')
  })

  test('are named with file, line and column', () => {
    const source = { text: '*.[', origin: { file: 'excludes.txt', line: 7, column: 3 } }
    const error = refusal(() => parsePatterns([source]))
    expect(error.message).toContain('excludes.txt:7:5')
    expect(error.context).toMatchObject({ file: 'excludes.txt', line: 7 })
  })

  test('are all named at once', () => {
    const error = refusal(() => parsePatterns(patternSources(['[', 'fine', ']['])))
    expect(error.message).toMatch(/^2 invalid patterns:\n.*"\["[\s\S]*\n.*"\]\["/)
  })

  test.each(['*', '!x', '/', '', '!', '[\\]]', '**/*.{ts,js}', '[^a]*', '\\[', 'x]y'])('%s is fine', (pattern) => {
    expect(() => checkPattern(pattern)).not.toThrow()
  })
})
