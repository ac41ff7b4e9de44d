import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
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
