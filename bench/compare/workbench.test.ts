import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Measurement } from './measure.ts'
import type { Tool } from './tools.ts'
import { Workbench } from './workbench.ts'

const tools: readonly [Tool, Tool] = [
  { name: 'restic', program: '/bin/true', version: '1' },
  { name: 'holdfast', program: '/bin/true', version: '2' },
]

let scratch: string
let bench: Workbench
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-workbench-'))
  bench = new Workbench({ folder: join(scratch, 'work'), tools, rounds: 3, waits: false, snapshots: 2, say: () => {} })
})
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true })
})

const measured = (exitCode: number, stderr = ''): Measurement => ({
  wallMs: 1,
  cpuMs: 1,
  peakBytes: 1,
  stealMs: 0,
  exitCode,
  stdout: '',
  stderr,
})

test('the tools take turns, and neither is always first', async () => {
  const order: string[] = []
  await bench.inTurn('some case', async (tool, round) => {
    order.push(`${tool.name} ${round}`)
    return measured(0)
  })
  expect(order).toEqual(['restic 0', 'holdfast 0', 'holdfast 1', 'restic 1', 'restic 2', 'holdfast 2'])
  expect(bench.runs).toHaveLength(6)
  expect(bench.objections).toEqual([])
})

test('a run that fails is an objection, with what the program said and no stack trace', async () => {
  const stderr = 'starting\nFatal: no room\n    at store (file.js:1:1)\n\nNode.js v24.21.0\n'
  await bench.inTurn('some case', async (tool, round) =>
    measured(tool.name === 'holdfast' && round === 1 ? 3 : 0, stderr),
  )
  expect(bench.objections).toEqual([{ case: 'some case', reason: 'holdfast ended with 3: Fatal: no room' }])
})

test('closing deletes what it made and nothing else', () => {
  bench.close()
  expect(existsSync(join(scratch, 'work'))).toBe(false)
  expect(existsSync(scratch)).toBe(true)
})
