import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { processExists } from './process.ts'

test('tells running processes from ended and impossible ones', () => {
  expect(processExists(process.pid)).toBe(true)
  expect(processExists(1)).toBe(true)
  const { pid } = spawnSync('true')
  expect(processExists(pid)).toBe(false)
  for (const pid of [0, -1, -process.pid, 1.5, Number.NaN, 2 ** 40]) expect(processExists(pid)).toBe(false)
})

test('a process of somebody else exists', () => {
  if (process.geteuid!() === 0) process.seteuid!(65534)
  try {
    expect(processExists(1)).toBe(true)
  } finally {
    if (process.getuid!() === 0) process.seteuid!(0)
  }
})
