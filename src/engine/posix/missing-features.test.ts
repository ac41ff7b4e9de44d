import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { libc } from './libc.ts'
import { missingFeatures } from './missing-features.ts'

const inProcess = (settings: NodeJS.ProcessEnv): string[] => {
  const module = new URL('./missing-features.ts', import.meta.url).href
  const script = `import { missingFeatures } from ${JSON.stringify(module)}; console.log(JSON.stringify(missingFeatures()))`
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
    env: { ...process.env, ...settings },
    encoding: 'utf8',
  })
  return JSON.parse(output) as string[]
}

test.skipIf(!libc())('nothing is missing with the native library (needs the native library)', () => {
  expect(missingFeatures()).toEqual([])
})

test('without it, what is missing is told', () => {
  const missing = inProcess({ HOLDFAST_NATIVE: 'off' })
  expect(missing.length).toBeGreaterThan(3)
  expect(missing.join('\n')).toMatch(/extended attributes[\s\S]*times[\s\S]*devices/)
})
