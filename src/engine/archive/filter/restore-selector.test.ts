import { describe, expect, test } from 'vitest'
import { patternSources } from './pattern.ts'
import { createRestoreSelector } from './restore-selector.ts'

const all = { selected: true, descend: true }
const below = { selected: false, descend: true }
const nothing = { selected: false, descend: false }
const single = { selected: true, descend: false }

describe('the selection of a restore', () => {
  test('is everything without patterns', () => {
    const select = createRestoreSelector({})
    expect(select('/a', true)).toEqual(all)
    expect(select('/a/b', false)).toEqual(single)
  })

  test('with includes is what they match, wherever it lies', () => {
    const select = createRestoreSelector({ include: patternSources(['/home/me/docs', '*.pdf']) })
    expect(select('/home', true)).toEqual(below)
    expect(select('/home/me/docs', true)).toEqual(all)
    expect(select('/home/me/docs/x', false)).toEqual(single)
    expect(select('/home/me/a.pdf', false)).toEqual(single)
    expect(select('/home/me/a.txt', false)).toEqual(nothing)
  })

  test('goes into no directory in which nothing can match', () => {
    const select = createRestoreSelector({ include: patternSources(['/home/me/docs']) })
    expect(select('/etc', true)).toEqual(nothing)
    expect(select('/home', true)).toEqual(below)
    expect(select('/home/you', true)).toEqual(nothing)
  })

  test('joins includes of both kinds', () => {
    const select = createRestoreSelector({
      include: patternSources(['/a/b']),
      iinclude: patternSources(['/C/D']),
    })
    expect(select('/a', true)).toEqual(below)
    expect(select('/c', true)).toEqual(below)
    expect(select('/c/d', false)).toEqual(single)
    expect(select('/a/B', false)).toEqual(nothing)
  })

  test('takes back includes with !', () => {
    const select = createRestoreSelector({ include: patternSources(['/a', '!*.tmp']) })
    expect(select('/a/x', false)).toEqual(single)
    expect(select('/a/x.tmp', false)).toEqual(nothing)
  })

  test('with excludes is all but what they match', () => {
    const select = createRestoreSelector({ exclude: patternSources(['*.tmp']), iexclude: patternSources(['CACHE']) })
    expect(select('/a', true)).toEqual(all)
    expect(select('/a/b.tmp', true)).toEqual(nothing)
    expect(select('/a/b.tmp/c', false)).toEqual(nothing)
    expect(select('/a/Cache', true)).toEqual(nothing)
    expect(select('/a/b', false)).toEqual(single)
  })

  test('cannot be both', () => {
    const options = { include: patternSources(['a']), iexclude: patternSources(['b']) }
    expect(() => createRestoreSelector(options)).toThrow(expect.objectContaining({ code: 'HF_USAGE' }))
  })
})
