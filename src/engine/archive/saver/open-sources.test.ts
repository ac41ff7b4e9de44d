import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { scratchFolder } from '../../../../test/support/test-repository.ts'

/** Takes, reads and closes all files of a folder, and says how many were open at most and how many failed. */
const program = `
import { closeSync, readFileSync, readdirSync } from 'node:fs'
import { lstat } from './src/engine/posix/attributes.ts'
import { OpenSources } from './src/engine/archive/saver/open-sources.ts'
import { packBatch } from './src/engine/archive/saver/file-batch.ts'
const [folder] = process.argv.slice(-1)
const names = readdirSync(folder).sort((a, b) => a - b)
const batch = packBatch(names.map((name) => {
  const path = Buffer.from(folder + '/' + name)
  return { path, attributes: lstat(path) }
}))
const open = () => readdirSync('/proc/self/fd').length
const before = open()
let [most, wrong] = [0, 0]
{
  using sources = new OpenSources(batch, true)
  for (const [i, name] of names.entries()) {
    if (i === names.length - 5) break
    const fd = sources.take(i)
    most = Math.max(most, open() - before)
    if (readFileSync(fd, 'utf8') !== name) wrong++
    closeSync(fd)
  }
}
console.log(JSON.stringify({ most, wrong, left: open() - before }))
`

test.each([
  ['as many as it likes', 1000, 25, 40],
  ['hardly any', 34, 1, 14],
])('with %s descriptors every file is opened, in order, and none is left open', (_, limit, least, most) => {
  using scratch = scratchFolder()
  const folder = scratch.join('many')
  mkdirSync(folder)
  for (let i = 0; i < 120; i++) writeFileSync(join(folder, `${i}`), `${i}`)
  const script = 'ulimit -n "$1" && shift && exec "$@"'
  const node = [process.execPath, '--input-type=module-typescript', '--eval', program, '--', folder]
  const output = execFileSync('/bin/sh', ['-c', script, 'sh', `${limit}`, ...node], {
    cwd: join(import.meta.dirname, '../../../..'),
    encoding: 'utf8',
  })
  const result = JSON.parse(output) as { most: number }
  expect(result).toMatchObject({ wrong: 0, left: 0 })
  expect(result.most).toBeGreaterThanOrEqual(least)
  expect(result.most).toBeLessThanOrEqual(most)
})
