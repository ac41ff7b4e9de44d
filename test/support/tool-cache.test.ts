import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { scratchFolder } from './test-repository.ts'
import { hasTool, makeTool, toolCache } from './tool-cache.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

test('a tool is there when it is whole, and the first one is kept', () => {
  using scratch = scratchFolder()
  vi.stubEnv('XDG_CACHE_HOME', scratch.path)
  expect(() =>
    makeTool('hammer-1', (folder) => {
      writeFileSync(join(folder, 'half'), '')
      throw new Error('out of iron')
    }),
  ).toThrow('out of iron')
  expect(hasTool('hammer-1')).toBe(false)
  expect(readdirSync(toolCache())).toEqual([])
  const build = (text: string) => (folder: string) => {
    expect(hasTool('hammer-1')).toBe(text === 'second')
    writeFileSync(join(folder, 'hammer'), text)
  }
  makeTool('hammer-1', build('first'))
  makeTool('hammer-1', build('second'))
  expect(readFileSync(join(toolCache(), 'hammer-1', 'hammer'), 'utf8')).toBe('first')
  expect(readdirSync(toolCache())).toEqual(['hammer-1'])
})

test('what a build left behind that was killed is removed, and one that runs is not', () => {
  using scratch = scratchFolder()
  vi.stubEnv('XDG_CACHE_HOME', scratch.path)
  const [old, running] = [join(toolCache(), 'hammer-1.abc'), join(toolCache(), 'hammer-1.def')]
  for (const path of [old, running]) mkdirSync(path, { recursive: true })
  utimesSync(old, 0, 0)
  makeTool('hammer-1', () => undefined)
  expect(readdirSync(toolCache()).sort()).toEqual(['hammer-1', 'hammer-1.def'])
})
